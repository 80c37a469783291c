"""Are the running totals the sum of everything that was recorded?"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tasks.domain.assess.states import Kind
from tasks.domain.limits.pauses import Pause
from tasks.domain.metrics import (
    BEYOND,
    DEFERRALS,
    DETECTED_TO_STORED,
    DUE_TO_DETECTED,
    DUE_TO_STORED,
    FAILURES,
    FILE_SECONDS,
    FILES,
    FILL_SECONDS,
    FILLS,
    PAUSES,
    REFUSALS,
    REQUESTS,
    RUNS,
    STORED_BYTES,
    SUM,
    WAITED_SECONDS,
    Series,
    series_of,
)
from tasks.domain.outcomes import Failure, FileOutcome, Outcome, RunEnd
from tasks.domain.reasons import Limit, Reason
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord
from tasks.ledger.fills import FillEnd
from tasks.ledger.leases import Leases, leases_table
from tasks.ledger.totals import Totals
from tests.builders import NOW, a_gap

SECOND = timedelta(seconds=1)
FILL = FillRecord("f", "r", "espn", "d", "missing", "HIGH", 1.0, NOW)
BY_DATASET = '{"dataset":"d"}'
BOTH = '{"dataset":"d","source":"espn"}'
ESPN = '{"source":"espn"}'


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with closing(Ledger(url)) as ledger:
        yield ledger


def test_a_fill_adds_what_became_of_its_files_and_how_long_that_took(ledger: Ledger) -> None:
    stored, late, failed = (a_gap(n, first_seen=NOW - 90 * SECOND) for n in range(3))
    outcomes = [
        FileOutcome(stored.cell.key, Outcome.STORED, 2, 100, seconds=0.3, waited=2.0, stored=NOW),
        FileOutcome.deferred(late.cell.key, Reason(Limit.BACKOFF, "paused")),
        FileOutcome(failed.cell.key, Outcome.FAILED, 4, error="HTTP 500", waited=7000.0, failure=Failure.BROKEN),
    ]
    end = FillEnd(FILL, NOW + 4 * SECOND, outcomes, gaps=[stored, late, failed])
    for _ in range(2):
        ledger.fills.record(end)
    files = '{"dataset":"d","outcome":"%s","source":"espn"}'
    once = {
        Series(FILLS.name, '{"dataset":"d","outcome":"failed","source":"espn"}'): 1,
        Series(FILL_SECONDS.name, BY_DATASET, "5"): 1,
        Series(FILL_SECONDS.name, BY_DATASET, SUM): 4,
        Series(FILES.name, files % "stored"): 1,
        Series(FILES.name, files % "deferred"): 1,
        Series(FILES.name, files % "failed"): 1,
        Series(FAILURES.name, '{"dataset":"d","failure":"broken","source":"espn"}'): 1,
        Series(DEFERRALS.name, '{"limit":"backoff","source":"espn"}'): 1,
        Series(REQUESTS.name, BOTH): 6,
        Series(STORED_BYTES.name, BOTH): 100,
        Series(FILE_SECONDS.name, BY_DATASET, "0.5"): 1,
        Series(FILE_SECONDS.name, BY_DATASET, SUM): 0.3,
        Series(DETECTED_TO_STORED.name, BY_DATASET, "300"): 1,
        Series(DETECTED_TO_STORED.name, BY_DATASET, SUM): 90,
        Series(DUE_TO_STORED.name, BY_DATASET, "259200"): 1,
        Series(DUE_TO_STORED.name, BY_DATASET, SUM): (NOW - stored.cell.due_at).total_seconds(),
        Series(WAITED_SECONDS.name, ESPN, "2.5"): 1,
        Series(WAITED_SECONDS.name, ESPN, BEYOND): 1,
        Series(WAITED_SECONDS.name, ESPN, SUM): 7002,
    }
    assert ledger.totals.current() == pytest.approx({series: 2 * value for series, value in once.items()})
    ledger.prune(NOW + timedelta(days=1))
    assert ledger.attempts.of(stored.cell.key) == []
    assert len(ledger.totals.current()) == len(once), "what is pruned stays counted"


def test_a_transaction_that_fails_adds_nothing_and_records_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Totals.add

    def fail(totals: Totals, connection: sa.Connection, amounts: object) -> None:
        add(totals, connection, amounts)  # type: ignore[arg-type]
        raise RuntimeError("killed")

    before = ledger.check()
    monkeypatch.setattr(Totals, "add", fail)
    with pytest.raises(RuntimeError, match="killed"):
        ledger.fills.record(FillEnd(FILL, NOW, [FileOutcome("k", Outcome.STORED, 1, 100)]))
    assert ledger.check() == before


def test_a_missing_file_is_detected_once_after_it_was_due(ledger: Ledger) -> None:
    missing = a_gap(1)
    missing = replace(missing, first_seen=missing.cell.due_at + 61 * SECOND)
    stale = a_gap(2, kind=Kind.STALE)
    for _ in range(2):
        ledger.gaps.record([missing, stale])
    name, labels = DUE_TO_DETECTED.name, '{"dataset":"espn_summary"}'
    assert ledger.totals.current() == {Series(name, labels, "300"): 1, Series(name, labels, SUM): 61}


def test_how_soon_a_file_is_found_and_stored_is_known_if_it_came_due_after_the_first_run_began(ledger: Ledger) -> None:
    leases = Leases(ledger.database, "first", timedelta(minutes=1))
    leases.begin("reconcile", "everything", None, lambda why: None)
    began = datetime.now(UTC)
    hour = timedelta(hours=1)
    gaps = [
        replace(gap, cell=gap.cell._replace(due_at=due), first_seen=due + hour)
        for gap, due in ((a_gap(1), began - 3650 * 24 * hour), (a_gap(2), began - hour), (a_gap(3), began + hour))
    ]
    ledger.gaps.record(gaps)
    stored = [FileOutcome(gap.cell.key, Outcome.STORED, stored=gap.first_seen + hour) for gap in gaps]
    ledger.fills.record(FillEnd(FILL, began, stored, gaps=gaps))
    leases.end(RunEnd.ENDED)
    sums = {series.name: value for series, value in ledger.totals.current().items() if series.bucket == SUM}
    assert (sums[DUE_TO_DETECTED.name], sums[DUE_TO_STORED.name]) == (3600, 7200)
    assert sums[DETECTED_TO_STORED.name] == 3 * 3600


def test_refusals_and_the_pauses_that_they_begin_are_counted(ledger: Ledger) -> None:
    paused = Pause("espn@new", NOW, "HTTP 429")
    for change in (paused, replace(paused, until=NOW + SECOND), replace(paused, step=1)):
        ledger.pauses.record_refusal("espn@new", lambda pause, change=change: change)  # type: ignore[misc]
    ledger.pauses.record_refusal("espn@new", lambda pause: replace(paused, step=2), is_counted=False)
    assert ledger.totals.current() == {Series(REFUSALS.name, ESPN): 3, Series(PAUSES.name, ESPN): 3}


def test_totals_that_many_add_to_at_once_lose_nothing(ledger: Ledger) -> None:
    def add(n: int) -> None:
        for m in range(10):
            record = replace(FILL, dataset=f"d{(n + m) % 3}")
            ledger.fills.record(FillEnd(record, NOW, [FileOutcome("k", Outcome.STORED, 1, 100)]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    requests = [value for series, value in ledger.totals.current().items() if series.name == REQUESTS.name]
    assert sum(requests) == 40


def test_a_run_that_was_taken_for_dead_counts_once_whoever_finds_it_and_however_it_ends(ledger: Ledger) -> None:
    asleep, other = (Leases(ledger.database, name, timedelta(minutes=1)) for name in ("asleep", "other"))
    asleep.begin("reconcile", "everything", None, lambda why: None)
    lapse = leases_table.update().where(leases_table.c.name == "asleep").values(until=1.0)
    ledger.database.write(lambda connection: connection.execute(lapse))
    for _ in range(2):
        other.end_dead_runs()
    asleep.end(RunEnd.STOPPED)
    assert ledger.totals.current() == {series_of(RUNS, flow="reconcile", outcome="died"): 1}
    assert ledger.runs.by_id(["asleep"])["asleep"].outcome is RunEnd.STOPPED
