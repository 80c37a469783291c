"""How are counts, moments, durations and scores told to people?"""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter

from config.models import Duration
from tasks.domain.wording import and_more, duration, factor, one_line, plural, score, size, utc, verb, without_traceback


@pytest.mark.parametrize(
    ("count", "word", "told"),
    [(0, "file", "0 files"), (1, "file", "1 file"), (1230, "fill", "1,230 fills")],
)
def test_one_is_not_told_as_many(count: int, word: str, told: str) -> None:
    assert plural(count, word) == told


@pytest.mark.parametrize(("count", "told"), [(0, "are have"), (1, "is has"), (2, "are have")])
def test_a_verb_agrees_with_its_count(count: int, told: str) -> None:
    assert f"{verb(count, 'is', 'are')} {verb(count, 'has', 'have')}" == told


@pytest.mark.parametrize(("count", "told"), [(1, ""), (2, " (and 1 more)"), (1_235, " (and 1,234 more)")])
def test_of_many_the_first_is_told_and_how_many_more_there_are(count: int, told: str) -> None:
    assert and_more(count) == told


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ({"seconds": 0}, "0s"),
        ({"seconds": 0.5}, "0.5s"),
        ({"seconds": 9.44}, "9.4s"),
        ({"seconds": 9.96}, "10s"),
        ({"seconds": 30.4}, "30s"),
        ({"seconds": 59.6}, "1m"),
        ({"seconds": 87.4}, "1m 27s"),
        ({"minutes": 15}, "15m"),
        ({"minutes": 90}, "1h 30m"),
        ({"hours": 1, "minutes": 59, "seconds": 40}, "2h"),
        ({"hours": 6}, "6h"),
        ({"hours": 30}, "1d 6h"),
        ({"days": 180}, "180d"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(span: dict[str, float], told: str) -> None:
    assert duration(timedelta(**span)) == told


def test_a_duration_that_is_told_can_be_written_in_the_configuration() -> None:
    for span in (timedelta(minutes=90), timedelta(hours=30), timedelta(seconds=0.5)):
        assert TypeAdapter(Duration).validate_python(duration(span)) == span


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=-5))], ids=str)
def test_a_moment_is_told_with_its_date_in_utc(zone: timezone | None) -> None:
    hour = 3 if zone and zone is not UTC else 8
    assert utc(datetime(2026, 11, 29, hour, 48, 59, tzinfo=zone)) == "2026-11-29 08:48 UTC"


@pytest.mark.parametrize(
    ("value", "told"), [(18, "18.0"), (1.5, "1.5"), (1.15, "1.15"), (100 / 3, "33.33"), (0.1 + 0.2, "0.3")]
)
def test_a_part_of_a_score_is_told_with_one_or_two_digits(value: float, told: str) -> None:
    assert factor(value) == told


def test_a_score_is_told_with_one_digit() -> None:
    assert [score(value) for value in (18, 1.75, 1234.56)] == ["18.0", "1.8", "1,234.6"]


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 kB"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (65_432, "65 kB"),
        (1_000_000, "1.0 MB"),
        (1.54e9, "1.5 GB"),
        (2.1e12, "2.1 TB"),
    ],
)
def test_a_size_is_told_in_its_largest_unit(count: float, told: str) -> None:
    assert size(int(count)) == told


def test_a_text_in_one_line_cannot_control_the_terminal() -> None:
    assert one_line("1\n\t2 \x1b[31mred\x1b[0m\r\x07 \udcff \u202eé") == "1 2 [31mred [0m é"


def test_of_a_traceback_only_its_error_is_kept() -> None:
    text = "failed with error:\nTraceback (most recent call last):\n  File x\nValueError: no\n"
    assert without_traceback(text) == "failed with error: ValueError: no"
