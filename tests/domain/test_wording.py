"""How are counts and durations told to people?"""

from datetime import timedelta

import pytest

from tasks.domain.wording import duration, plural


@pytest.mark.parametrize(
    ("count", "word", "told"),
    [(0, "file", "0 files"), (1, "file", "1 file"), (1230, "fill", "1,230 fills")],
)
def test_one_is_not_told_as_many(count: int, word: str, told: str) -> None:
    assert plural(count, word) == told


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ({"seconds": 0}, "0 s"),
        ({"seconds": 0.5}, "0.5 s"),
        ({"seconds": 9.4}, "9.4 s"),
        ({"seconds": 10.4}, "10 s"),
        ({"seconds": 30}, "30 s"),
        ({"seconds": 87.4}, "87 s"),
        ({"minutes": 15}, "15 min"),
        ({"minutes": 90}, "90 min"),
        ({"hours": 6}, "6 h"),
        ({"days": 1}, "1 day"),
        ({"days": 180}, "180 days"),
    ],
)
def test_a_duration_is_told_in_its_largest_unit(span: dict[str, float], told: str) -> None:
    assert duration(timedelta(**span)) == told
