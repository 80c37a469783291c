"""Which one state is a cell in, and why?"""

from __future__ import annotations

from collections.abc import Sequence
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
from tasks.domain.wording import utc

# If the last planned look finds a correction, one more look confirms it. The wait until then is as long as the longest
# of the configured intervals, but at most this.
_LONGEST_CONFIRMATION = timedelta(days=7)


class State(StrEnum):
    """The state of a cell. Every cell is in exactly one."""

    PRESENT = "present"  # the lake has the file as it should be
    NOT_DUE = "not_due"  # the file cannot be expected yet
    GAP = "gap"  # the file is due, but missing or not as it should be
    IN_FLIGHT = "in_flight"  # another run is fetching it
    DEFERRED = "deferred"  # a rule keeps it from being fetched now
    UNAVAILABLE = "unavailable"  # the source does not have it


LACKING = (State.GAP, State.IN_FLIGHT, State.DEFERRED)  # the states of holes: due files that the lake lacks or has bad


class Kind(StrEnum):
    """What is wrong with a gap, the worst first."""

    VANISHED = "vanished"  # the lake had it, and it disappeared without ADCE's doing
    SHRUNK = "shrunk"  # somebody else has replaced it with a smaller version
    MISSING = "missing"  # the lake never had it
    UNREADABLE = "unreadable"  # the lake cannot deliver it: it is archived, access is denied, or the disk is broken
    INVALID = "invalid"  # the body check found fault with it
    UNDERSIZED = "undersized"  # it is smaller than the dataset's `min_bytes`
    STALE = "stale"  # it was right when it was taken, but there may be a newer version


class LakeObject(NamedTuple):
    """An object as the lake lists it. `size` is in bytes, and `modified` is when it was stored."""

    key: str
    size: int
    modified: datetime
    etag: str


class LearntBy(StrEnum):
    """How ADCE learnt which version of a file the lake has."""

    LISTING = "listing"
    OWN = "own"  # ADCE has stored the version itself
    EVENT = "event"  # an event of the lake has named the version


class Learnt(NamedTuple):
    """How and when ADCE learnt of a version. `at` is None if an older ADCE, which recorded no time, learnt of it."""

    by: LearntBy
    at: datetime | None


class Content(NamedTuple):
    """Identifies a version of an object."""

    etag: str
    size: int


class Version(NamedTuple):
    """Identifies an examination: a version of an object and the body check that has read it."""

    etag: str
    size: int
    check: str


def content_of(have: LakeObject) -> Content:
    """The version of an object that the lake lists."""
    return Content(have.etag, have.size)


def version_of(have: LakeObject, check: str) -> Version:
    """The version of an object that the lake lists, as read by a body check."""
    return Version(have.etag, have.size, check)


class Examination(NamedTuple):
    """What a body check found in one version of a stored body. The first fields are those of a Version."""

    etag: str
    size: int
    check: str
    verdict: Verdict
    fetched: datetime | None = None  # when ADCE last got this same content from the source; None if it never did
    agreed: bool = False  # two consecutive downloads had the same content
    was_size: int | None = None  # size of the former version, if somebody else has replaced it with a smaller one
    changed: bool = False  # the content of the last download differed from that of the one before

    @property
    def good(self) -> bool:
        """Is it the right document, complete or not?"""
        return self.verdict.wholeness is not Wholeness.BAD

    def is_of(self, have: LakeObject) -> bool:
        """Is it about this version of the object? The body check may have been a former one."""
        return self.etag == have.etag and self.size == have.size

    def is_by(self, check: str, have: LakeObject) -> bool:
        """Is it about this version of the object, and by this body check?"""
        return self.check == check and self.etag == have.etag and self.size == have.size


class Unreadable(NamedTuple):
    """A version of a stored body that the lake could not deliver."""

    content: Content
    reason: str
    first: datetime  # when this was first found, by the real clock
    last: datetime  # when this was last found, by the real clock

    def is_of(self, have: LakeObject) -> bool:
        """Is it about this version of the object?"""
        return self.content == content_of(have)


def taken_at(have: LakeObject, current: Examination, now: datetime, horizon: datetime) -> datetime | None:
    """When a stored file was taken from its source; None if all its times are after the `horizon`.

    This is when ADCE fetched it, or else when it was stored. If both times are after `now`, because `now` was set back,
    it counts as taken at `now`.
    """
    trusted = [at for at in (current.fetched, have.modified) if at is not None and at <= horizon]
    return next((at for at in trusted if at <= now), now) if trusted else None


def without_false_time(seen: Examination, have: LakeObject | None, cell: Cell, horizon: datetime) -> Examination:
    """The examination of a file whose time of fetching is after the `horizon` and therefore wrong, without that time.

    The time at which the lake stored the file counts instead. If that is wrong as well, the file counts as fetched when
    its first day began, which is the earliest possible time.
    """
    if have is None or have.modified <= horizon:
        return seen._replace(fetched=None, agreed=False)
    return seen._replace(fetched=seasons.eastern_midnight(cell.first_day), agreed=False)


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a cell, and why it is in that state."""

    state: State
    reason: str
    kind: Kind | None = None
    until: datetime | None = None  # when the state can change by itself, if that is known
    lost: bool = False  # a good file vanished or shrank without ADCE's doing, and an operator should know
    limit: Limit | None = None  # the rule that decided, if one did
    of: str = ""  # what the limit belongs to; see Reason
    partial: bool = False  # unavailable, and the lake has the best version that the source ever had

    @property
    def until_name(self) -> str:
        """What people read before the time `until`: "next look", or "until" if the file stays as it is before."""
        if self.state is State.PRESENT:
            return "next look"
        return self.limit.until_name if self.limit else "until"

    @property
    def until_in_words(self) -> str:
        """When the state can change by itself: "until 2026-01-15 12:00 UTC"; empty if that is not known."""
        return f"{self.until_name} {utc(self.until)}" if self.until else ""


def deferred_by(reason: Reason, gap: Status) -> Status:
    """The status of a gap that is deferred for this reason."""
    return replace(gap, state=State.DEFERRED, reason=reason.text, until=reason.until, limit=reason.limit, of=reason.of)


_COMPLETE = Status(State.PRESENT, "complete")
NOT_READ = Status(State.DEFERRED, "not read yet", limit=Limit.EXAMINE_AT_MOST)


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

    `known` is what a body check, present or former, found in the last version of the stored body that was read, and
    `current` the same if the lake still has that version. `looks` are the times after `cell.due_at` at which the files
    of a final game are fetched again for corrections. A list should show a game as final `final_after` its start. Times
    after the `horizon` are not trusted; see times.horizon.
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
        return NOT_READ
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
    """The status of a complete file of a game. It is fetched again while the source may still correct it."""
    agreed = current.agreed and (current.fetched is None or current.fetched <= horizon)
    if agreed or not looks or game.status is not GameStatus.FINAL:
        return _COMPLETE
    known = taken_at(have, current, now, horizon)
    taken = known or cell.due_at  # a complete file of a final game cannot be older
    again = next((cell.due_at + look for look in looks if cell.due_at + look > taken), None)
    if again is None:
        if not current.changed:
            return _COMPLETE
        again = taken + min(looks[-1], _LONGEST_CONFIRMATION)
    if now >= again:
        looked = f"last looked at on {utc(taken)}" if known else _untimed(have)
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
    """The status of a list that was right when it was taken, but has open entries."""
    reason = current.verdict.reason
    overdue = [end for end in expected_ends(current.verdict.games, final_after) if end <= now]
    if overdue and current.fetched is None:  # somebody else has stored it, perhaps long after taking it
        return _gap(Kind.STALE, reason)
    taken = taken_at(have, current, now, horizon)
    again = _next_look(cell, dataset, current, taken, final_after)
    if taken is None:
        return _gap(Kind.STALE, f"{_untimed(have)}; {reason}")
    if again is None or now >= again:
        return _gap(Kind.STALE, reason)
    return Status(State.PRESENT, f"as of {utc(taken)}; {reason}", until=again)


def _next_look(
    cell: Cell, dataset: Dataset, current: Examination, taken: datetime | None, final_after: timedelta
) -> datetime | None:
    """When a list is fetched again: at once if the time at which it was taken is unknown; None once it is final."""
    if taken is None:
        return cell.due_at
    return next_look(dataset, cell.season, cell.last_day, current.verdict, taken, final_after)


def is_due(cell: Cell, now: datetime) -> bool:
    """Should the lake have the file at `now`?"""
    return _why_not_due(cell, now) is None


def came_due(cell: Cell, since: datetime | None, now: datetime) -> bool:
    """Is the file due at `now`, and was not due yet at `since`? If `since` is None, only the first counts.

    Time makes any other file a gap only if corrections or more entries of a list may have come.
    """
    return is_due(cell, now) and (since is None or cell.due_at > since)


def _why_not_due(cell: Cell, now: datetime) -> Status | None:
    """The status of a cell that is not due at `now`; None if it is due."""
    if now < cell.due_at:
        return Status(State.NOT_DUE, f"due from {utc(cell.due_at)}", until=cell.due_at)
    if cell.game is not None and cell.game.status is not GameStatus.FINAL:
        return Status(State.NOT_DUE, f"its schedule calls the game {cell.game.status.value}, not final")
    return None


def _untimed(have: LakeObject) -> str:
    return f"it is unknown when it was taken: its modification time, {utc(have.modified)}, is in the future"


def _gap(kind: Kind, reason: str, had: int | None = None) -> Status:
    """The status of a gap. `had` is the size of the good file that was lost, if one was."""
    return Status(State.GAP, f"{reason}; it had {had} bytes before" if had else reason, kind, lost=had is not None)
