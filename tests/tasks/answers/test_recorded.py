"""Is there one number for everything that is told of a look: by the run, the recorded coverage, metrics and SQL?"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from config.models import Priority
from tasks.answers.metrics import measured
from tasks.answers.recorded import coverage, coverage_of, recorded_look
from tasks.answers.report import Report
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.overview import Overview, Stored, count_cells, exceptions
from tasks.domain.assess.periods import By
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.assess.unknown import Unknown
from tasks.domain.expected.cells import Cell, Partition, Selection
from tasks.domain.metrics import (
    CELLS,
    COMPLETE_UNTIL,
    DEFERRED,
    GAPS,
    LAKE_BYTES,
    LAKE_FILES,
    LOOK_TIME,
    OLDEST,
    QUEUE,
    UNKNOWN,
    UNREAD,
    VERIFIED_SINCE,
)
from tasks.domain.plan.plan import Deferral
from tasks.domain.reasons import Limit, Reason
from tasks.ledger import Ledger
from tests.builders import NOW, a_board, a_cell, a_config

CONFIG = a_config()
DAY = timedelta(days=1)
STATUSES = (
    Status(State.PRESENT, "complete"),
    Status(State.PRESENT, "it grows", until=NOW + DAY),
    Status(State.NOT_DUE, "unplayed"),
    Status(State.GAP, "missing", Kind.MISSING),
    Status(State.GAP, "denied", Kind.UNREADABLE),
    Status(State.GAP, "deleted", Kind.VANISHED, lost=True),
    Status(State.IN_FLIGHT, "another run is at it", Kind.MISSING, limit=Limit.OTHER_RUN),
    Status(State.DEFERRED, "not read yet", limit=Limit.EXAMINE_AT_MOST),
    Status(State.DEFERRED, "disabled", Kind.STALE, limit=Limit.ENABLED),
    Status(State.UNAVAILABLE, "not there", limit=Limit.LOOKS),
    Status(State.UNAVAILABLE, "marked", limit=Limit.OPERATOR),
)
SEASONS = ("1999-00", "2024-25", "2025-26")
FILES = st.lists(
    st.tuples(
        st.sampled_from([*CONFIG.datasets]),
        st.sampled_from(SEASONS),
        st.integers(0, 40),
        st.sampled_from([0, 30]),
        st.sampled_from(STATUSES),
        st.booleans(),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    with closing(Ledger("sqlite://")) as ledger:
        yield ledger


def _report(files: list[tuple[str, str, int, int, Status, bool]], unknown: bool) -> Report:
    """The report of a run that has found these files, and has put off some of the gaps."""
    cells: dict[str, Cell] = {}
    statuses: dict[str, Status] = {}
    deferred: list[Deferral] = []
    for number, (dataset, season, begins, lasts, status, is_deferred) in enumerate(files):
        first = date(int(season[:4]), 12, 1) + begins * DAY
        key = f"{dataset}/{number}"
        last = first + lasts * DAY
        cells[key] = a_cell(key=key, dataset=dataset, season=season, first_day=first, last_day=last, game=None)
        statuses[key] = status
        if status.state is State.GAP and status.kind and is_deferred:
            gap = Gap(cells[key], status.kind, status.reason, NOW)
            deferred.append(Deferral(gap, Reason(Limit.MAX_FILLS, "the cap")))
    told = exceptions(statuses)
    overview = Overview(
        count_cells(cells, statuses),
        {key: cells[key] for key in told},
        told,
        NOW,
        never_read=sum(status.limit is Limit.EXAMINE_AT_MOST for status in statuses.values()),
        unknown=(Unknown("espn_summary", a_board()),) if unknown else (),
        stored={cell.partition: Stored(1, 5) for key, cell in cells.items() if statuses[key].state is State.PRESENT},
        verified_since=NOW - DAY,
    )
    return Report(overview, (), tuple(deferred), CONFIG, list_requests=7)


@given(FILES, st.booleans())
def test_all_that_tell_of_a_look_tell_the_same_numbers(
    ledger: Ledger, files: list[tuple[str, str, int, int, Status, bool]], unknown: bool
) -> None:
    report = _report(files, unknown)
    seen = {key: NOW - timedelta(hours=n) for n, key in enumerate(report.statuses)}
    ledger.looks.record(recorded_look(report, "run", seen))
    told = coverage(CONFIG, ledger)
    assert told is not None
    # The run's own report, of which `adce coverage` is one, and what is recorded of it
    assert told.finest == report.coverage.finest
    assert (told.as_of, told.since, told.lake) == (NOW, NOW - DAY, report.coverage.lake)
    # The service, which tells of seasons alone
    by_season = ledger.looks.recorded(by_season=True)
    assert by_season
    assert coverage_of(by_season, CONFIG, Selection()).rows(By.SEASON) == told.rows(By.SEASON)
    # SQL
    query = sa.text("SELECT state, sum(cells), sum(CASE WHEN unread THEN cells ELSE 0 END) FROM tallies GROUP BY state")
    rows = ledger.database.read(lambda connection: connection.execute(query).all())
    total = told.total
    assert {state: cells for state, cells, _ in rows} == {s.value: n for s in State if (n := getattr(total, s.value))}
    assert sum(unread for *_, unread in rows) == total.unread
    # Metrics
    values = measured(CONFIG, ledger, NOW).values
    for state in State:
        assert sum(n for (*_, of), n in values[CELLS].items() if of == state) == getattr(total, state.value)
    assert sum(values[GAPS].values()) == total.gap
    assert sum(values[DEFERRED].values()) == total.deferred
    assert values[UNREAD] == {(): total.unread}
    assert sum(values[UNKNOWN].values()) == len(total.unknown)
    stored = report.looked_at.stored.values()
    assert sum(values[LAKE_FILES].values()) * 5 == sum(values[LAKE_BYTES].values()) == sum(s.bytes for s in stored)
    assert (values[LOOK_TIME], values[VERIFIED_SINCE]) == ({(): NOW.timestamp()}, {(): (NOW - DAY).timestamp()})
    off = total.deferred - sum(s.limit is Limit.MAX_FILLS for s in report.statuses.values())
    unreadable = sum(s.state is State.GAP and s.kind is Kind.UNREADABLE for s in report.statuses.values())
    assert sum(values[QUEUE].values()) == total.gap - unreadable + total.deferred - off
    assert {of for of, n in values[QUEUE].items() if n} == values[OLDEST].keys()
    lacking = {row.dataset for row in told.finest if row.tally.lacking or row.tally.unknown}
    yesterday = datetime(2026, 1, 15, 5, tzinfo=UTC).timestamp()
    complete = {of for (of,), until in values[COMPLETE_UNTIL].items() if until == yesterday}
    assert complete == {row.dataset for row in told.finest} - lacking


def test_what_waits_is_told_by_priority_with_the_time_of_the_oldest_detection(ledger: Ledger) -> None:
    report = _report([("espn_summary", season, 40, 0, STATUSES[3], False) for season in SEASONS * 2], False)
    seen = {key: NOW - n * DAY for n, key in enumerate(report.statuses)}
    ledger.looks.record(recorded_look(report, "run", seen))
    found = ledger.looks.recorded()
    assert found is not None
    assert {name: (one.files, NOW - one.oldest) for name, one in found.queue.items()} == {
        Priority.CRITICAL: (2, 5 * DAY),
        Priority.MEDIUM: (2, 4 * DAY),
        Priority.LOW: (2, 3 * DAY),
    }


def test_a_part_of_the_recorded_look_is_told_and_what_is_configured_no_longer_is_not(ledger: Ledger) -> None:
    files = [(name, season, 0, 0, STATUSES[0], False) for name in ("espn_summary", "br_totals") for season in SEASONS]
    look = recorded_look(_report(files, True), "run", {})
    ledger.looks.record(replace(look, stored={Partition("br_totals", "2024-25"): Stored(1, 1)}))
    part = coverage(CONFIG, ledger, Selection(sources=("espn",), seasons=("2025-26",)))
    assert part is not None
    assert [(row.dataset, row.season, row.tally.present) for row in part.finest if row.tally.present] == [
        ("espn_summary", "2025-26", 1)
    ]
    assert len(part.total.unknown) == 1
    fewer = a_config(datasets={name: one for name, one in CONFIG.datasets.items() if name != "br_totals"})
    begun = NOW - 3 * DAY
    by_inventory = replace(look, inventory=begun)
    ledger.looks.record(by_inventory)
    told, values = coverage(CONFIG, ledger), measured(CONFIG, ledger, NOW).values
    assert told is not None
    assert (told.inventory, values[VERIFIED_SINCE]) == (begun, {(): begun.timestamp()})
    left = coverage(fewer, ledger)
    assert left is not None
    assert left.total.present == 3
    assert measured(fewer, ledger, NOW).values[CELLS]["espn", "espn_summary", "present"] == 3
