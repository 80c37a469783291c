"""Are the figures of the report computed as somebody would by hand?"""

from datetime import datetime, timedelta

import pytest

from tasks.domain.success import (
    Done,
    DueFile,
    Kept,
    Span,
    cycles,
    detection,
    kept,
    nearest_rank,
    refused,
    slowest_hundred,
    stretches,
    throughput,
)
from tests.builders import NOW, a_config

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def fills(*starts: int, lasts: int = 30, files: int = 1) -> list[Done]:
    """Fills that start so many seconds after NOW."""
    return [Done(NOW + at * SECOND, NOW + (at + lasts) * SECOND, files) for at in starts]


def run(begin: int, end: int) -> Span:
    return Span(NOW + begin * SECOND, NOW + end * SECOND)


def a_file(**change: object) -> DueFile:
    """A file that was due 30 hours before NOW, seen a minute later, and stored an hour after it was due."""
    due = NOW - 30 * HOUR
    times = {"due": due, "detected": due + MINUTE, "stored": due + HOUR} | change
    seconds = {name: one.timestamp() if isinstance(one, datetime) else one for name, one in times.items()}
    return DueFile(**{"dataset": "espn_summary", "is_gap": False} | seconds)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert [nearest_rank([1, 2, 3, 4], percent) for percent in (1, 50, 51, 95, 100)] == [1, 2, 3, 4, 4]


def test_detection_counts_files_that_became_due_in_the_time_and_were_seen() -> None:
    due = NOW - 5 * HOUR
    files = [a_file(due=due, detected=due + n * MINUTE) for n in (-1, 2, 3, 40)]
    left_out = [a_file(due=due - HOUR, detected=NOW), a_file(due=due, detected=None)]
    found = detection([*files, *left_out], since=due)
    assert (found.count, found.median, found.value, found.worst) == (4, 120, 2400, 2400)
    assert found.is_met is False
    assert detection(left_out, since=due).is_met is None


@pytest.mark.parametrize(("minutes", "met"), [(10, True), (11, False)])
def test_a_cycle_has_to_be_within_the_upper_end_of_its_target(minutes: int, met: bool) -> None:
    assert cycles([60.0 * minutes]).is_met is met


def test_fills_wait_from_the_start_of_a_runs_first_fill_to_that_of_its_last_one() -> None:
    done = fills(10, 10, 40, 70, 1000, 2000, 2060)
    found = stretches([run(0, 50), run(40, 200), run(900, 1100), run(1990, 2100)], done)
    assert [(one.begin, one.end) for one in found] == [run(10, 70), run(1000, 1000), run(2000, 2060)]
    rate, files = throughput(found)  # in two minutes: those that ended at 40, 40, 70 and 2030
    assert (rate.value, rate.count, files.value) == (2, 4, 2)
    assert rate.is_met is False
    assert rate.basis.startswith("4 fills in 2.0 minutes of runs")


def test_a_rate_is_not_known_if_no_fill_had_to_wait() -> None:
    rate, files = throughput(stretches([run(0, 100)], fills(10)))
    assert rate.value is files.value is rate.is_met is None


def test_the_slowest_hundred_fills_count_wherever_they_are_in_a_run() -> None:
    steady = [*range(0, 200, 2)]
    slow = [at + 300 for at in steady]  # the hundred fills after a pause of 102 s
    found = slowest_hundred(stretches([run(0, 1000)], fills(*steady, *slow, lasts=1)))
    assert found.count == 101
    assert found.value == 300  # from the first end on either side of the pause to the hundredth after it
    assert found.is_met is True
    assert slowest_hundred(stretches([run(0, 1000)], fills(*steady[1:]))).value is None, "99 fills"


def test_that_no_request_was_refused_is_known_and_how_many_were_by_429_is_not() -> None:
    none = refused({}, 7 * 24 * HOUR)
    assert (none.value, none.is_met) == (0, True)
    some = refused({"nba_api": 5, "espn": 2}, 2 * 24 * HOUR)
    assert (some.value, some.is_met) == (None, None)
    assert some.basis.startswith("7 refused (espn 2, nba_api 5), at most 3.5 a day")


def test_a_promise_counts_files_in_time_late_and_not_there() -> None:
    due = NOW - 30 * HOUR
    files = [
        *(a_file() for _ in range(97)),
        a_file(stored=due + 24 * HOUR),
        a_file(stored=due + 24 * HOUR + SECOND),
        a_file(stored=None, is_gap=True),
        a_file(stored=None),  # the source has none
        a_file(due=NOW - 23 * HOUR, stored=None, is_gap=True),  # there is an hour left
        a_file(due=NOW - 300 * HOUR),  # the promise ended before the time
        a_file(dataset="of_old"),
    ]
    (found,) = kept(a_config().datasets, files, NOW - 168 * HOUR, NOW)
    assert found == Kept("espn_summary", 24 * HOUR, 99, 100, 98, 1, 1, 1)
    assert (found.percent, found.budget, found.budget_left, found.is_met) == (98, 1, -1, False)


@pytest.mark.parametrize(("objective", "due", "budget"), [(99, 99, 0), (99.9, 1000, 1), (70, 10, 3), (100, 10, 0)])
def test_the_budget_is_whole_files(objective: float, due: int, budget: int) -> None:
    assert Kept("d", HOUR, objective, due, due, 0, 0, 0).budget == budget


def test_where_no_file_was_due_no_objective_is_met_or_missed() -> None:
    none = Kept("d", HOUR, 99, 0, 0, 0, 0, not_counted=3)
    assert (none.percent, none.is_met) == (None, None)


def test_of_several_attempts_at_a_file_the_earliest_times_count() -> None:
    first, second = a_file(detected=None, stored=None), a_file(due=NOW - 31 * HOUR)
    assert first.or_earlier(second) == second.or_earlier(first) == second
    assert first.or_earlier(first) == first
