"""Is what fails in a row kept as it is now, in both databases?"""

from collections.abc import Sequence
from contextlib import closing
from datetime import date, timedelta

from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind
from tasks.domain.limits.pauses import Pause
from tasks.domain.outcomes import Failure, FileOutcome, Outcome
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord
from tasks.ledger.failures import FailedBodies, InARow
from tasks.ledger.fills import FillEnd
from tests.builders import NOW, a_cell

HOUR = timedelta(hours=1)


def fill(ledger: Ledger, hours: float, *outcomes: FileOutcome, priority: str = "CRITICAL") -> None:
    at = NOW + hours * HOUR
    record = FillRecord("f", "r", "espn", "espn_summary", "missing", priority, 1.0, at)
    ledger.fills.record(FillEnd(record, at, outcomes))


def failed(keys: Sequence[str], failure: Failure = Failure.UNFIT) -> list[FileOutcome]:
    return [FileOutcome(key, Outcome.FAILED, 1, error=f"{key} is bad", failure=failure) for key in keys]


def test_what_fails_in_a_row_is_counted_until_it_succeeds_or_is_too_old(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        ledger.gaps.record(Gap(a_cell(key=key), Kind.MISSING, "", NOW) for key in "abc")
        fill(ledger, 0, *failed("ab"))
        fill(ledger, 1, *failed("bc"))
        fill(ledger, 2, *failed("c"), priority="HIGH")
        assert ledger.failures.in_a_row("CRITICAL", NOW) == {"espn_summary": InARow(2, "b", 2)}
        assert ledger.failures.in_a_row("HIGH", NOW) == {"espn_summary": InARow(2, "c", 1)}
        assert ledger.failures.in_a_row("CRITICAL", NOW + HOUR / 2) == {"espn_summary": InARow(2, "b", 1)}
        assert ledger.failures.failed_checks(NOW) == {"espn_summary": FailedBodies(5, "c is bad", "c")}
        assert ledger.failures.failed_checks(NOW + 3 * HOUR) == {}
        fill(ledger, 3, FileOutcome("b", Outcome.STORED, 1), *failed("a"))
        assert ledger.failures.in_a_row("CRITICAL", NOW) == {"espn_summary": InARow(2, "a", 1)}
        assert ledger.failures.failed_checks(NOW) == {"espn_summary": FailedBodies(1, "a is bad", "a")}
        ledger.prune(NOW + 9 * HOUR)
        assert ledger.check()["failing_files"] == ledger.check()["failed_checks"] == 0


def test_openings_of_a_breaker_and_the_events_of_a_day_are_kept(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        opened = Pause("espn_summary", openings=(NOW, NOW + HOUR))
        ledger.pauses.change("espn_summary", lambda _: opened)
        assert ledger.pauses.current() == {"espn_summary": opened}
        day = date(2026, 1, 15)
        for count in (2, 0, 3):
            ledger.database.write(
                lambda connection, count=count: ledger.announcements.count_taken(connection, day, count)
            )
        assert (ledger.announcements.taken(day), ledger.announcements.taken(date(2026, 1, 16))) == (5, 0)
