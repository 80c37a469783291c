"""Which files wait to be fetched, and since when does the oldest of each priority?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from config.models import Priority
from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.overview import overview_of
from tasks.domain.assess.recorded import Waiting
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.plan.queue import is_waiting, queue_of
from tasks.domain.reasons import Limit
from tests.builders import NOW, a_cell, a_config

HOUR, YEAR = timedelta(hours=1), timedelta(days=365)
MISSING = Status(State.GAP, "not in the lake", Kind.MISSING)
PAUSED = Status(State.DEFERRED, "paused", Kind.MISSING, limit=Limit.BACKOFF)
PRESENT = Status(State.PRESENT, "complete")


def test_what_only_somebody_else_can_mend_does_not_wait_to_be_fetched() -> None:
    assert is_waiting(MISSING)
    assert is_waiting(PAUSED)
    assert not is_waiting(replace(MISSING, kind=Kind.UNREADABLE))
    assert not is_waiting(replace(PAUSED, limit=Limit.ENABLED))
    assert not is_waiting(PRESENT)
    assert not is_waiting(Status(State.UNAVAILABLE, "none", Kind.MISSING))


def test_the_queue_tells_of_each_priority_how_many_files_wait_and_since_when_the_oldest_does() -> None:
    old = a_cell(season="2019-20", first_day=NOW.date() - 6 * YEAR, last_day=NOW.date() - 6 * YEAR)
    found = {
        "there": (a_cell(key="there"), PRESENT),
        "late": (a_cell(key="late"), MISSING),
        "later": (a_cell(key="later"), PAUSED),
        "old": (old._replace(key="old"), MISSING),
    }
    cells, statuses = ({key: pair[n] for key, pair in found.items()} for n in (0, 1))
    overview = overview_of(Assessment(cells, statuses, NOW))
    seen = {"there": NOW - 9 * HOUR, "late": NOW - HOUR, "later": NOW - 2 * HOUR}
    assert queue_of(overview, a_config(), seen) == {
        ("espn_summary", Priority.CRITICAL): Waiting(2, NOW - 2 * HOUR),
        ("espn_summary", Priority.LOW): Waiting(1, NOW),
    }
