"""Is a look recorded completely or not at all, and does it come back as it was?"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from config.models import Priority
from tasks.domain.assess.overview import Place, Standing, Stored
from tasks.domain.assess.recorded import RecordedLook, Waiting
from tasks.domain.assess.states import State
from tasks.domain.assess.unknown import UnknownSchedule
from tasks.domain.expected.cells import Partition
from tasks.domain.metrics import CELLS, QUEUE, series_of
from tasks.domain.outcomes import RunEnd
from tasks.ledger import Ledger
from tasks.ledger.leases import RECONCILE, Leases
from tasks.ledger.looks import gauges_table, looks_table, tallied_table, tallies_table
from tests.builders import NOW

HOUR = timedelta(hours=1)
PRESENT, READ = Standing(State.PRESENT), Standing(State.DEFERRED, unread=True)
MARKED = Standing(State.UNAVAILABLE, by_operator=True)
_CELLS = series_of(CELLS, source="espn", dataset="d", state="present")
LOOK = RecordedLook(
    NOW,
    NOW - HOUR,
    NOW - 9 * HOUR,
    "run",
    "s3://lake",
    12,
    1,
    2,
    {Place("d", "2025-26", "2026-01-05"): {PRESENT: 3, READ: 1}, Place("d", "2024-25", ""): {MARKED: 1}},
    {Partition("d", "2025-26"): Stored(4, 5_000_000_000)},
    tuple(UnknownSchedule(name, "2023-24", "2023-11", "month.html") for name in "de"),
    {Priority.HIGH: Waiting(2, NOW - HOUR)},
    {_CELLS: 3.0, series_of(QUEUE, priority="HIGH"): 2.0},
)


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with closing(Ledger(url)) as ledger:
        yield ledger


def test_a_look_comes_back_as_it_was_recorded_and_the_next_one_replaces_it(ledger: Ledger) -> None:
    assert (ledger.looks.recorded(), ledger.looks.last()) == (None, None)
    ledger.looks.record(LOOK)
    assert ledger.looks.recorded() == LOOK
    last = ledger.looks.last()
    assert last is not None
    assert (last.unknown, last.listed_since) == (1, NOW - 9 * HOUR)
    other = replace(
        LOOK,
        taken_at=NOW + HOUR,
        counts={Place("d", "2025-26", "2026-01-05"): {PRESENT: 4}, Place("e", "2025-26", ""): {PRESENT: 1}},
        stored={},
        unknown=(),
        queue={},
        gauges={_CELLS: 4.0},
    )
    ledger.looks.record(other)
    assert ledger.looks.recorded() == other
    ledger.forget_lake()
    assert ledger.looks.recorded() is None
    assert [name for name in ("tallied", "tallies", "unknown_schedules", "gauges") if ledger.check()[name]] == []


def test_the_days_of_a_look_are_the_first_and_the_last_of_which_it_has_counted_files(ledger: Ledger) -> None:
    assert ledger.looks.days() is None
    ledger.looks.record(replace(LOOK, counts={Place("d", "2025-26", span): {PRESENT: 1} for span in ("", "2025-10")}))
    assert ledger.looks.days() is None
    spans = ("2026-01-14", "2025-12", "", "2026-02", "2025-12-31", "2026-01-05")
    ledger.looks.record(replace(LOOK, counts={Place("d", "2025-26", span): {PRESENT: 1} for span in spans}))
    assert ledger.looks.days() == (date(2025, 12, 31), date(2026, 1, 14))


def test_only_partitions_that_have_changed_are_written_again(ledger: Ledger) -> None:
    ledger.looks.record(LOOK)

    def mark(connection: sa.Connection) -> None:
        connection.execute(tallies_table.update().values(cells=77))

    ledger.database.write(mark)
    changed = {**LOOK.counts, Place("d", "2024-25", ""): {MARKED: 2}}
    ledger.looks.record(replace(LOOK, counts=changed))
    found = ledger.looks.recorded()
    assert found is not None
    assert found.counts == {
        Place("d", "2025-26", "2026-01-05"): {PRESENT: 77, READ: 77},
        Place("d", "2024-25", ""): {MARKED: 2},
    }


@pytest.mark.parametrize("table", [looks_table, tallied_table, tallies_table, gauges_table], ids=lambda t: t.name)
def test_a_look_of_which_a_part_cannot_be_written_leaves_the_last_one(
    ledger: Ledger, table: sa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.looks.record(LOOK)
    database = type(ledger.database)

    def failing(write: object) -> object:
        def to_table(self: object, connection: object, to: sa.Table, *rest: object) -> object:
            if to is table:
                raise RuntimeError("killed")
            return write(self, connection, to, *rest)  # type: ignore[operator]

        return to_table

    for name in ("upsert", "insert_stored"):
        monkeypatch.setattr(database, name, failing(getattr(database, name)))
    with pytest.raises(RuntimeError, match="killed"):
        ledger.looks.record(replace(LOOK, taken_at=NOW + HOUR, counts={}, gauges={_CELLS: 9.0}))
    monkeypatch.undo()
    assert ledger.looks.recorded() == LOOK


def test_a_run_that_has_lost_the_lease_records_no_look(ledger: Ledger) -> None:
    first, second = (Leases(ledger.database, name, timedelta(minutes=1)) for name in ("first", "second"))
    for leases in (first, second):
        leases.begin("reconcile", "everything", None, lambda why: None)
    assert first.take(RECONCILE) is None
    mine = replace(LOOK, run="first")
    assert ledger.looks.record(mine, lambda connection: first.holds(connection, RECONCILE))
    assert not ledger.looks.record(LOOK, lambda connection: second.holds(connection, RECONCILE))
    assert ledger.looks.recorded() == mine
    for leases in (first, second):
        leases.end(RunEnd.ENDED)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_no_other_run_takes_the_lease_while_its_holder_records_a_look(url: str) -> None:
    with closing(Ledger(url)) as ledger, closing(Ledger(url)) as other:
        first = Leases(ledger.database, "first", timedelta(minutes=1))
        first.begin("reconcile", "everything", None, lambda why: None)
        assert first.take(RECONCILE) is None
        unlocked = sa.text("SELECT name FROM leases WHERE name = 'reconcile' FOR UPDATE SKIP LOCKED")

        def free() -> int:
            return len(other.database.write(lambda connection: connection.execute(unlocked).all()))

        def may(connection: sa.Connection) -> bool:
            assert free() == 1
            assert first.holds(connection, RECONCILE)
            return free() == 0

        assert ledger.looks.record(LOOK, may)
        assert free() == 1
        first.end(RunEnd.ENDED)


def test_the_last_finished_run_is_that_of_the_last_look_that_was_recorded_at_the_end_of_its_plan(
    ledger: Ledger,
) -> None:
    began = datetime.now(UTC)

    def run(name: str, end: RunEnd | None, *is_done: bool) -> None:
        leases = Leases(ledger.database, name, timedelta(minutes=1))
        leases.begin("reconcile", "everything", None, lambda why: None)
        for one in is_done:
            ledger.looks.record(replace(LOOK, run=name), is_done=one)
        if end:
            leases.end(end)

    run("a part of the lake, or left to another run", RunEnd.ENDED)
    run("stopped before it has worked through its plan", RunEnd.STOPPED, False)
    assert ledger.looks.finished() is None
    run("done", RunEnd.ENDED, False, True)
    finished = ledger.looks.finished()
    assert finished is not None
    assert finished >= began
    run("failed after it had looked", RunEnd.FAILED, False)
    run("the next part of the lake", RunEnd.ENDED)
    assert ledger.looks.finished() == finished
    last = ledger.looks.last()
    assert last is not None
    assert last.run == "failed after it had looked"
    run("not ended yet", None, False, True)
    begun = ledger.looks.finished()
    assert begun is not None
    assert begun >= finished, "the clock of a look may be another, as in the sandbox"
    ledger.looks.record(replace(LOOK, run="no longer recorded"), is_done=True)
    assert ledger.looks.finished() == LOOK.taken_at
