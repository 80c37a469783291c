"""In which one state is a cell, and why?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from config.models import Dataset
from tasks.domain.assess.finality import GAME_LENGTH, expected_ends, next_look, why_not_final
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.reasons import Limit, Reason
from tasks.domain.times import SKEW

# A correction that the last planned look found is confirmed by one more, after as long again but at most after this.
_LONGEST_CONFIRMATION = timedelta(days=7)


class State(StrEnum):
    PRESENT = "present"
    NOT_DUE = "not_due"
    GAP = "gap"
    IN_FLIGHT = "in_flight"
    DEFERRED = "deferred"
    UNAVAILABLE = "unavailable"


class Kind(StrEnum):
    """What is wrong with a gap, the worst first."""

    VANISHED = "vanished"  # it was there, and nobody knows why it is not any more
    SHRUNK = "shrunk"  # somebody else stored less than was there
    MISSING = "missing"
    UNREADABLE = "unreadable"  # the lake cannot give it: archived, access denied, a broken disk
    INVALID = "invalid"
    UNDERSIZED = "undersized"
    STALE = "stale"


class LakeObject(NamedTuple):
    """What the lake has under a key."""

    key: str
    size: int
    modified: datetime
    etag: str


class LearntBy(StrEnum):
    """How it became known which version the lake has of a file."""

    LISTING = "listing"
    OWN = "own"  # ADCE has stored it
    EVENT = "event"  # of the lake


class Learnt(NamedTuple):
    """How and when a version became known; at None, by an older ADCE, which kept no time."""

    by: LearntBy
    at: datetime | None


class Content(NamedTuple):
    """Names a version of an object, whoever reads it."""

    etag: str
    size: int


class Version(NamedTuple):
    """What an examination is about: a version of an object, and the check that has read it."""

    etag: str
    size: int
    check: str


def content_of(have: LakeObject) -> Content:
    return Content(have.etag, have.size)


def version_of(have: LakeObject, check: str) -> Version:
    return Version(have.etag, have.size, check)


class Examination(NamedTuple):
    """What a check found in one version of a stored body. It begins with the fields of a Version."""

    etag: str
    size: int
    check: str
    verdict: Verdict
    fetched: datetime | None = None  # when ADCE last had just this from the source; None if it never had
    agreed: bool = False  # two downloads, one after the other, said the same
    was_size: int | None = None  # of the former version, if somebody else has replaced it by less
    changed: bool = False  # the last download said something else than the one before

    @property
    def good(self) -> bool:
        return self.verdict.wholeness is not Wholeness.BAD

    def is_of(self, have: LakeObject) -> bool:
        """Is it about this version of the object? Perhaps by a former check."""
        return self.etag == have.etag and self.size == have.size

    def is_by(self, check: str, have: LakeObject) -> bool:
        """Is it about this version of the object, and by this check?"""
        return self.check == check and self.etag == have.etag and self.size == have.size


class Unreadable(NamedTuple):
    """A version of a stored body that the lake would not give."""

    content: Content
    reason: str
    first: datetime  # when that was found, by the real clock
    last: datetime

    def is_of(self, have: LakeObject) -> bool:
        return self.content == content_of(have)


def taken_at(have: LakeObject, current: Examination, now: datetime, horizon: datetime) -> datetime | None:
    """When the source gave it: None if nobody knows, since all times that are told of it lie after the `horizon`.

    Of what somebody else has stored, that is when they did. The same of what was fetched by a run whose clock was
    ahead: a later look must not seem done. What was taken after a `now` that was set back counts as taken then.
    """
    told = [at for at in (current.fetched, have.modified) if at is not None and at <= horizon]
    return next((at for at in told if at <= now), now) if told else None


def without_false_time(seen: Examination, have: LakeObject | None, cell: Cell, horizon: datetime) -> Examination:
    """The same, fetched at a time after the `horizon` and so under a wrong clock, before that time can seem true.

    What the lake says of the time is left to count; if it has no better time, the file is as old as it can be.
    """
    if have is None or have.modified <= horizon:
        return seen._replace(fetched=None, agreed=False)
    return seen._replace(fetched=seasons.eastern_midnight(cell.first_day), agreed=False)


@dataclass(frozen=True, slots=True)
class Status:
    state: State
    reason: str
    kind: Kind | None = None
    until: datetime | None = None
    lost: bool = False  # there was a good file, which ADCE did not take away: an operator is to be told
    limit: Limit | None = None
    of: str = ""  # whose limit it is: see Reason
    partial: bool = False  # unavailable, and what the lake has is the best that the source ever had


def left_for(reason: Reason, gap: Status) -> Status:
    """What a gap is that is left for later."""
    return replace(gap, state=State.DEFERRED, reason=reason.text, until=reason.until, limit=reason.limit, of=reason.of)


_COMPLETE = Status(State.PRESENT, "complete")
_NOT_READ = Status(State.DEFERRED, "not read yet", limit=Limit.EXAMINE_AT_MOST)


def state_of(
    cell: Cell,
    dataset: Dataset,
    have: LakeObject | None,
    known: Examination | None,
    current: Examination | None,
    looks: Sequence[timedelta],
    now: datetime,
    final_after: timedelta = GAME_LENGTH,
    horizon: datetime | None = None,
) -> Status:
    """The one state of a cell, with its one reason.

    `known` is what was found in the last version of the stored body that was read, by whichever check, and `current`
    the same if that is the version that is there. `looks` says how long after a final game its files are
    looked at again, and `final_after` how long after its start a game should be final in a list. No time after the
    `horizon` is believed: see times.horizon.
    """
    horizon = horizon or now + SKEW
    verdict = None if current is None else current.verdict
    had = _had(have, known) if current is None else current.was_size
    is_whole = verdict is not None and verdict.wholeness is Wholeness.WHOLE
    if is_whole and current is not None and have is not None and have.size >= dataset.min_bytes and had is None:
        if cell.game is not None:
            return _whole_game(cell, cell.game, have, current, looks, now, horizon)
        taken = taken_at(have, current, now, horizon)
        again = _next_look(cell, dataset, current, taken, final_after)
        if again is None:
            return _COMPLETE
        if now < again:
            return Status(State.PRESENT, "up to date; looked at again, since more may be listed", until=again)
    if waits := _why_not_due(cell, now):
        return waits
    if have is None:
        return _gap(Kind.VANISHED, "not in the lake any more", had) if had else _gap(Kind.MISSING, "not in the lake")
    if have.size < dataset.min_bytes:
        return _gap(Kind.UNDERSIZED, f"{have.size} bytes; a whole one has at least {dataset.min_bytes}", had)
    if verdict is not None and verdict.wholeness is Wholeness.BAD:
        return _gap(Kind.INVALID, verdict.reason, had)
    if had:
        return _gap(Kind.SHRUNK, f"{have.size} bytes", had)
    if current is None or verdict is None:
        return _NOT_READ
    if verdict.wholeness is Wholeness.WHOLE:
        taken = taken_at(have, current, now, horizon)
        return _gap(Kind.STALE, why_not_final(dataset, cell.last_day, taken) if taken else _untimed(have))
    if dataset.refresh is None or not verdict.fits(dataset):
        return _gap(Kind.INVALID, verdict.reason)
    return _partial(cell, dataset, have, current, now, final_after, horizon)


def _had(have: LakeObject | None, known: Examination | None) -> int | None:
    """Size of the last known good file, if it has vanished or shrunk and ADCE did not do it."""
    if known is None or not known.good or (have is not None and have.size >= known.size):
        return None
    return known.size


def _whole_game(
    cell: Cell,
    game: Game,
    have: LakeObject,
    current: Examination,
    looks: Sequence[timedelta],
    now: datetime,
    horizon: datetime,
) -> Status:
    """Complete; but the files of a game that ended lately may still be corrected at the source."""
    agreed = current.agreed and (current.fetched is None or current.fetched <= horizon)
    if agreed or not looks or game.status is not GameStatus.FINAL:
        return _COMPLETE
    known = taken_at(have, current, now, horizon)
    taken = known or cell.due_at  # a final game's file is no older
    again = next((cell.due_at + look for look in looks if cell.due_at + look > taken), None)
    if again is None:
        if not current.changed:
            return _COMPLETE
        again = taken + min(looks[-1], _LONGEST_CONFIRMATION)
    if now >= again:
        looked = f"last looked at on {_minute(taken)}" if known else _untimed(have)
        return _gap(Kind.STALE, f"{looked}; corrections may have come since")
    return Status(State.PRESENT, "complete; looked at again for corrections", until=again)


def _partial(
    cell: Cell,
    dataset: Dataset,
    have: LakeObject,
    current: Examination,
    now: datetime,
    final_after: timedelta,
    horizon: datetime,
) -> Status:
    """A list that was right when it was taken and has more to tell."""
    reason = current.verdict.reason
    overdue = [end for end in expected_ends(current.verdict.games, final_after) if end <= now]
    if overdue and current.fetched is None:  # somebody else has stored it, who may have taken it long before
        return _gap(Kind.STALE, reason)
    taken = taken_at(have, current, now, horizon)
    again = _next_look(cell, dataset, current, taken, final_after)
    if taken is None:
        return _gap(Kind.STALE, f"{_untimed(have)}; {reason}")
    if again is None or now >= again:
        return _gap(Kind.STALE, reason)
    return Status(State.PRESENT, f"as of {_minute(taken)}; {reason}", until=again)


def _next_look(
    cell: Cell, dataset: Dataset, current: Examination, taken: datetime | None, final_after: timedelta
) -> datetime | None:
    """When a list is looked at again, at once if nobody knows when it was taken; None once it is final."""
    if taken is None:
        return cell.due_at
    return next_look(dataset, cell.season, cell.last_day, current.verdict, taken, final_after)


def _why_not_due(cell: Cell, now: datetime) -> Status | None:
    if now < cell.due_at:
        return Status(State.NOT_DUE, f"due from {_minute(cell.due_at)}", until=cell.due_at)
    if cell.game is not None and cell.game.status is not GameStatus.FINAL:
        return Status(State.NOT_DUE, f"its schedule calls the game {cell.game.status.value}, not final")
    return None


def _untimed(have: LakeObject) -> str:
    return f"nobody knows when it was taken: its time, {_minute(have.modified)}, is yet to come"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _gap(kind: Kind, reason: str, had: int | None = None) -> Status:
    """`had` is the size of the good file that was lost."""
    return Status(State.GAP, f"{reason}; it had {had} bytes before" if had else reason, kind, lost=had is not None)


def count_states(states: Iterable[State]) -> dict[str, int]:
    """How many cells are in each state, and in all: {"total": …, "present": …, …}."""
    counts = Counter(states)
    return {"total": sum(counts.values())} | {state.value: counts[state] for state in State}
