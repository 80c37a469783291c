"""Up to which day is a dataset complete? Compared with the definition, day by day, for generated files."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.assess.completeness import day_that_ends, end_of, first_lacking_days, last_complete_day
from tasks.domain.assess.states import LACKING, State, Status
from tasks.domain.assess.unknown import Unknown
from tests.builders import a_board, a_cell

TODAY = date(2026, 1, 15)
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = st.integers(-9, 3).map(lambda days: TODAY + days * DAY)
FILES = st.lists(st.tuples(DAYS, st.integers(0, 4), st.sampled_from(State)), max_size=6)
SCHEDULES = st.lists(DAYS, max_size=1)


@given(FILES, SCHEDULES)
def test_it_is_the_last_day_that_is_over_and_up_to_which_nothing_lacks(
    files: list[tuple[date, int, State]], schedules: list[date]
) -> None:
    keys = [str(number) for number in range(len(files))]
    cells = {
        key: a_cell(key=key, first_day=first, last_day=first + days * DAY)
        for key, (first, days, _) in zip(keys, files, strict=True)
    }
    statuses = {key: Status(state, "") for key, (*_, state) in zip(keys, files, strict=True)}
    unknown = [Unknown("espn_summary", a_board(first_day=day, last_day=day)) for day in schedules]
    first = first_lacking_days(cells, statuses, unknown)
    found = last_complete_day(first.get("espn_summary"), NOW)

    def is_complete_up_to(day: date) -> bool:
        lacks = any(begin <= day for begin, _, state in files if state in LACKING)
        return day < TODAY and not lacks and all(day < begin for begin in schedules)

    assert is_complete_up_to(found)
    assert not is_complete_up_to(found + DAY)
    assert end_of(found).astimezone(UTC) == datetime(found.year, found.month, found.day, 5, tzinfo=UTC) + DAY
    assert day_that_ends(end_of(found).astimezone(UTC)) == found


def test_a_dataset_is_not_complete_less_far_because_another_lacks_a_file() -> None:
    cells = {"a": a_cell(key="a"), "b": a_board(key="b")}
    statuses = {"a": Status(State.PRESENT, ""), "b": Status(State.DEFERRED, "")}
    assert first_lacking_days(cells, statuses, []) == {"espn_scoreboard": date(2026, 1, 13)}
