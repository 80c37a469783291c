"""In which one state is a cell, and why?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from config.models import Dataset
from tasks.domain.expected import Cell
from tasks.domain.games import GameStatus
from tasks.domain.verdicts import Verdict, Wholeness

# How long after its start a game is over at the latest; one that is not final by then is overdue.
GAME_LENGTH = timedelta(hours=4)
# A file that should have become final and has not is looked at again ever less often: after a
# quarter of the time that has passed since.
_PATIENCE = 0.25


class State(StrEnum):
    PRESENT = "present"
    NOT_DUE = "not_due"
    GAP = "gap"
    IN_FLIGHT = "in_flight"
    DEFERRED = "deferred"
    UNAVAILABLE = "unavailable"


class Kind(StrEnum):
    """What is wrong with a gap, the worst first."""

    MISSING = "missing"
    INVALID = "invalid"
    UNDERSIZED = "undersized"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class LakeObject:
    """What the lake has under a key."""

    key: str
    size: int
    modified: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class Status:
    state: State
    reason: str
    kind: Kind | None = None
    until: datetime | None = None


def state_of(
    cell: Cell,
    dataset: Dataset,
    have: LakeObject | None,
    verdict: Verdict | None,
    fetched: datetime | None,
    now: datetime,
) -> Status:
    """The one state of a cell, with its one reason.

    `verdict` is what the dataset's check found in the stored body, None while nobody has looked;
    `fetched` is when ADCE itself last stored it, which an object's date cannot tell after a copy.
    """
    if have is not None and have.size >= dataset.min_bytes:
        if verdict is None:
            return Status(State.PRESENT, "not looked into yet")
        if verdict.wholeness is Wholeness.WHOLE and not (
            early := _taken_early(cell, fetched or have.modified, verdict)
        ):
            return Status(State.PRESENT, "complete")
    if waits := _why_not_due(cell, now):
        return waits
    if have is None:
        return _gap(Kind.MISSING, "not in the lake")
    if have.size < dataset.min_bytes:
        return _gap(Kind.UNDERSIZED, f"{have.size} bytes; a whole one has at least {dataset.min_bytes}")
    assert verdict is not None
    if verdict.wholeness is Wholeness.BAD:
        return _gap(Kind.INVALID, verdict.reason)
    if verdict.wholeness is Wholeness.WHOLE:
        return _gap(Kind.STALE, early)
    if dataset.refresh is None:
        return _gap(Kind.INVALID, verdict.reason)
    return _partial(cell, dataset.refresh, have, verdict, fetched, now)


def _partial(
    cell: Cell, refresh: timedelta, have: LakeObject, verdict: Verdict, fetched: datetime | None, now: datetime
) -> Status:
    """A file that was right when it was taken and has more to tell."""
    starts = [game.start or cell.due_at for game in verdict.games if not game.status.settled]
    if starts:
        overdue_since = min(starts) + GAME_LENGTH
        if now < overdue_since:
            return Status(State.PRESENT, f"up to date; {verdict.reason}", until=overdue_since)
        looked = fetched
    else:
        overdue_since = cell.due_at
        looked = max(filter(None, (fetched, min(have.modified, now))))
    if looked is None:
        return _gap(Kind.STALE, verdict.reason)
    again = looked + max(refresh, (looked - overdue_since) * _PATIENCE if starts else refresh)
    if now >= again:
        return _gap(Kind.STALE, verdict.reason)
    return Status(State.PRESENT, f"as of {looked:%Y-%m-%d %H:%M} UTC; {verdict.reason}", until=again)


def _taken_early(cell: Cell, taken: datetime, verdict: Verdict) -> str:
    """An empty day that was stored before the day was over may have filled up since."""
    if cell.game is None and cell.first_day == cell.last_day and not verdict.games and taken < cell.due_at:
        return f"taken on {taken:%Y-%m-%d %H:%M} UTC, before the day was over"
    return ""


def _why_not_due(cell: Cell, now: datetime) -> Status | None:
    if now < cell.due_at:
        return Status(State.NOT_DUE, f"due from {cell.due_at:%Y-%m-%d %H:%M} UTC", until=cell.due_at)
    if cell.game is not None and cell.game.status is not GameStatus.FINAL:
        return Status(State.NOT_DUE, f"its schedule calls the game {cell.game.status.value}, not final")
    return None


def _gap(kind: Kind, reason: str) -> Status:
    return Status(State.GAP, reason, kind)


def count_states(states: Iterable[State]) -> dict[str, int]:
    """How many cells are in each state, and in all: {"total": …, "present": …, …}."""
    counts = Counter(states)
    return {"total": sum(counts.values())} | {state.value: counts[state] for state in State}
