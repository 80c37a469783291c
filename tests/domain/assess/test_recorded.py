"""Do the numbers that are recorded of a look add up to what the look has found?"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.overview import Overview, overview_of
from tasks.domain.assess.recorded import RecordedLook, is_whole_look, record_of
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected.cells import Selection
from tasks.domain.metrics import (
    CELLS,
    CRITICAL_FILES,
    CRITICAL_OLDEST,
    DEFERRED,
    GAPS,
    LOST_FILES,
    OLDEST,
    QUEUE,
    UNREAD,
    UNREADABLE_FILES,
    Metric,
    series_of,
)
from tasks.domain.plan.queue import is_waiting, queue_of
from tasks.domain.reasons import Limit
from tests.builders import NOW, a_cell, a_config

CONFIG = a_config()
HOUR = timedelta(hours=1)
MISSING = Status(State.GAP, "not in the lake", Kind.MISSING)
UNREADABLE = Status(State.GAP, "archived", Kind.UNREADABLE)
PAUSED = Status(State.DEFERRED, "paused", Kind.MISSING, limit=Limit.BACKOFF)
SWITCHED_OFF = Status(State.DEFERRED, "disabled", Kind.MISSING, limit=Limit.ENABLED)
PRESENT = Status(State.PRESENT, "complete")
STATUSES = (MISSING, UNREADABLE, PAUSED, SWITCHED_OFF, PRESENT, Status(State.UNAVAILABLE, "none", Kind.MISSING))
DATASETS = ("espn_summary", "nba_playbyplay")


def _overview(files: list[tuple[str, Status]]) -> Overview:
    cells = {str(n): a_cell(key=str(n), dataset=dataset) for n, (dataset, _) in enumerate(files)}
    statuses = {str(n): status for n, (_, status) in enumerate(files)}
    return overview_of(Assessment(cells, statuses, NOW, never_read=2, by_former_checks=1))


def _recorded(files: list[tuple[str, Status]]) -> RecordedLook:
    seen = {str(n): NOW - n * HOUR for n in range(len(files))}
    overview = _overview(files)
    return record_of(overview, CONFIG, queue_of(overview, CONFIG, seen), run="run", lake="s3://lake", list_requests=3)


def _sum(look: RecordedLook, metric: Metric) -> float:
    return sum(value for series, value in look.gauges.items() if series.name == metric.name)


@given(st.lists(st.tuples(st.sampled_from(DATASETS), st.sampled_from(STATUSES))))
def test_each_file_counts_once_in_each_number_that_it_belongs_to(files: list[tuple[str, Status]]) -> None:
    look, states = _recorded(files), Counter(status.state for _, status in files)
    assert sum(count for standings in look.counts.values() for count in standings.values()) == len(files)
    assert (_sum(look, CELLS), _sum(look, GAPS), _sum(look, DEFERRED)) == (
        len(files),
        states[State.GAP],
        states[State.DEFERRED],
    )
    for dataset in DATASETS:
        gaps = series_of(CELLS, source=CONFIG.datasets[dataset].source, dataset=dataset, state="gap")
        assert look.gauges.get(gaps, 0) == sum(of == dataset and s.state is State.GAP for of, s in files)
    waiting = [n for n, (_, status) in enumerate(files) if is_waiting(status)]
    assert _sum(look, QUEUE) == len(waiting)
    assert [found.oldest for found in look.queue.values()] == [NOW - n * HOUR for n in waiting[-1:]]
    assert look.gauges[series_of(UNREAD)] == 2


def test_the_gauges_have_the_queue_and_a_whole_listing_is_as_of_the_look() -> None:
    look = _recorded([("espn_summary", PRESENT), ("espn_summary", MISSING), ("espn_summary", PAUSED)])
    assert look.gauges[series_of(QUEUE, priority="CRITICAL")] == 2
    assert look.gauges[series_of(OLDEST, priority="CRITICAL")] == (NOW - 2 * HOUR).timestamp()
    of_it = {"source": "espn", "dataset": "espn_summary"}
    assert look.gauges[series_of(CRITICAL_OLDEST, **of_it)] == (NOW - 2 * HOUR).timestamp()
    assert look.gauges[series_of(CRITICAL_FILES, **of_it)] == 2
    assert look.verified_since == look.taken_at == NOW


@pytest.mark.parametrize("kind", [Kind.VANISHED, Kind.SHRUNK, Kind.UNREADABLE])
@pytest.mark.parametrize(
    ("state", "limit", "is_counted"),
    [
        (State.GAP, None, True),
        (State.IN_FLIGHT, Limit.OTHER_RUN, True),
        (State.DEFERRED, Limit.BACKOFF, True),
        (State.DEFERRED, Limit.BREAKER, True),
        (State.DEFERRED, Limit.OPERATOR_PAUSE, True),
        (State.DEFERRED, Limit.MAINTENANCE, True),
        (State.DEFERRED, Limit.ENABLED, False),
        (State.UNAVAILABLE, Limit.LOOKS, True),
        (State.UNAVAILABLE, Limit.OPERATOR, False),
    ],
)
def test_a_file_is_lost_until_it_is_mended_whatever_keeps_it_from_being_fetched(
    kind: Kind, state: State, limit: Limit | None, *, is_counted: bool
) -> None:
    status = Status(state, "not as it was", kind, lost=True, limit=limit)
    look = _recorded([("espn_summary", status), ("espn_summary", MISSING)])
    gauge = UNREADABLE_FILES if kind is Kind.UNREADABLE else LOST_FILES
    expected = {series_of(gauge, source="espn", dataset="espn_summary"): 1} if is_counted else {}
    assert {s: n for s, n in look.gauges.items() if s.name in (LOST_FILES.name, UNREADABLE_FILES.name)} == expected


@pytest.mark.parametrize(
    ("selection", "as_of", "in_a_lake", "in_a_sandbox"),
    [
        (Selection(), None, True, True),
        (Selection(), NOW, False, True),
        (Selection(since=date(2026, 1, 5), until=date(2026, 1, 14)), NOW, False, True),
        (Selection(since=date(2026, 1, 5)), None, False, True),
        (Selection(sources=("espn",)), NOW, False, False),
        (Selection(seasons=("2025-26",)), None, False, False),
    ],
)
def test_a_sandbox_is_whole_by_its_own_clock_and_days(
    selection: Selection, as_of: datetime | None, *, in_a_lake: bool, in_a_sandbox: bool
) -> None:
    assert is_whole_look(CONFIG, selection, as_of, None) is in_a_lake
    assert is_whole_look(CONFIG.model_copy(update={"sandbox": True}), selection, as_of, None) is in_a_sandbox


@pytest.mark.parametrize(
    ("since", "until", "is_whole"),
    [
        (date(2026, 1, 5), date(2026, 1, 14), True),
        (date(2026, 1, 4), date(2026, 1, 15), True),
        (None, None, True),
        (date(2026, 1, 5), None, True),
        (date(2026, 1, 6), date(2026, 1, 14), False),
        (date(2026, 1, 5), date(2026, 1, 13), False),
        (date(2026, 1, 14), date(2026, 1, 14), False),
    ],
)
def test_a_look_at_fewer_days_of_a_sandbox_does_not_replace_the_recorded_one(
    since: date | None, until: date | None, *, is_whole: bool
) -> None:
    sandbox = CONFIG.model_copy(update={"sandbox": True})
    recorded = date(2026, 1, 5), date(2026, 1, 14)
    assert is_whole_look(sandbox, Selection(since=since, until=until), NOW, recorded) is is_whole
