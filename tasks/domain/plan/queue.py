"""Which files wait to be fetched, how many of each dataset and priority, and since when?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from config.models import Config, Priority
from tasks.domain.assess.overview import Overview
from tasks.domain.assess.recorded import Queue, Waiting
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected.cells import Cell
from tasks.domain.plan.scoring import priority_of


def is_waiting(status: Status) -> bool:
    """Does a file with this status wait to be fetched? It does not if only somebody else can mend what is wrong."""
    if status.state is State.GAP:
        return status.kind is not Kind.UNREADABLE
    return status.state is State.DEFERRED and status.limit is not None and status.limit.is_waited_for


def queue_of(overview: Overview, config: Config, first_seen: Mapping[str, datetime]) -> Queue:
    """The files that wait by what a look has found. `first_seen` is when gaps were detected, by key."""
    now = overview.taken_at
    found: dict[tuple[object, ...], tuple[Cell, Waiting]] = {}  # by what the priority depends on
    for key, status in overview.statuses.items():
        if is_waiting(status):
            cell, seen = overview.cells[key], first_seen.get(key, now)
            alike = cell.dataset, cell.season, cell.last_day
            _, before = found.get(alike, (cell, Waiting(0, seen)))
            found[alike] = cell, before.and_(Waiting(1, seen))
    queue: dict[tuple[str, Priority], Waiting] = {}
    for cell, waiting in found.values():
        of = cell.dataset, priority_of(cell, config.datasets[cell.dataset], config.scoring, now)
        queue[of] = queue[of].and_(waiting) if of in queue else waiting
    return queue
