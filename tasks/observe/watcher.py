"""What do messages change in the lake as ADCE knows it? Those that come together are decided and judged together."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from tasks import clock
from tasks.domain.arrivals import (
    UNKNOWN,
    Effect,
    Event,
    EventType,
    LastChange,
    MessageError,
    Settled,
    Unannounced,
    answered,
    parse,
    settled,
)
from tasks.domain.assess.states import LearntBy, Unreadable, is_due
from tasks.domain.errors import AdceError
from tasks.domain.expected.cells import Cell
from tasks.domain.plan.plan import Gap
from tasks.ledger.events import Told
from tasks.observe.expected_files import ExpectedFiles
from tasks.observe.look import examine_cells, judge_cells
from tasks.observe.session import Session

_CLAIM_SECONDS = 10.0  # how long an event waits for the run that is fetching its file to record it
_POLL_SECONDS = 0.2
_ARCHIVED = "archived; restore it, and its event makes it readable"


class Fate(StrEnum):
    """What became of a message."""

    APPLIED = "applied"  # it has changed what is known of a file
    ALREADY_KNOWN = "already_known"  # it changes nothing
    OWN = "own"  # it tells of a file that ADCE itself has stored
    FOREIGN = "foreign"  # it is of another bucket, or of an object that is no file of a dataset
    UNREADABLE = "unreadable"  # it is no message of S3


@dataclass
class Taken:
    """What became of some messages, in their order."""

    fates: list[Fate]
    errors: dict[int, str] = field(default_factory=dict)  # why a message is unreadable, by its position
    gaps: Collection[Gap] = ()  # that were not known before
    elsewhere: dict[int, str] = field(default_factory=dict)  # the bucket of a message of another one, by its position


class Watcher:
    """Takes messages about the lake of a session."""

    def __init__(self, session: Session):
        """Raises AdceError if the lake sends no events."""
        if session.lake.bucket is None:
            raise AdceError(f"lake {session.lake.url}: a folder sends no events; `adce reconcile` looks at it")
        self._session = session
        self._bucket, self._prefix = session.lake.bucket
        self._expected = ExpectedFiles(session)
        self._games: set[str] = set()  # the games whose files `follow` has to judge
        self._schedules: dict[str, Cell] = {}  # schedules that have changed, which it has to judge too
        self._followed: set[str] = set()  # the games whose files were judged before
        self._judged: set[str] = set()  # the files that were judged since `follow` was last called

    async def take(self, messages: Sequence[str], read_to: datetime | None = None) -> Taken:
        """Records what messages tell, and judges what follows from it. All of it is committed when this returns.

        `read_to` is the time until which all messages that were sent have been taken, once these are, if it is known.

        Raises AdceError if the lake or the ledger cannot be used. The messages can be taken again then.
        """
        taken = Taken([Fate.ALREADY_KNOWN] * len(messages))
        events: dict[str, list[tuple[int, Event]]] = {}
        latest = self._session.horizon()
        for position, message in enumerate(messages):
            try:
                found = parse(message)
            except MessageError as error:
                taken.fates[position], taken.errors[position] = Fate.UNREADABLE, str(error)
                continue
            for event in found:
                if event.bucket != self._bucket:
                    taken.fates[position], taken.elsewhere[position] = Fate.FOREIGN, event.bucket
                elif key := self._key(event):
                    if event.at > latest:  # by a wrong clock; the change happened before the message came
                        event = event._replace(at=latest)
                    events.setdefault(key, []).append((position, event))
                else:
                    taken.fates[position] = Fate.FOREIGN
        by_key = {key: [event for _, event in some] for key, some in events.items()}
        decided, taken.gaps = await self._take(by_key, read_to)
        for key, some in events.items():
            usual = Fate.OWN if key in decided.own else Fate.ALREADY_KNOWN
            for (position, _), is_applied in zip(some, decided.settled[key].applied, strict=True):
                taken.fates[position] = Fate.APPLIED if is_applied else usual
        return taken

    def _key(self, event: Event) -> str | None:
        """The key in the lake of an event's object; None if it is no file of a dataset."""
        if not event.key.startswith(self._prefix):
            return None
        key = event.key.removeprefix(self._prefix)
        return key if self._expected.dataset_of(key) else None

    @property
    def has_consequences(self) -> bool:
        """Has something been taken of which the consequences are not judged yet?"""
        return bool(self._games or self._schedules)

    async def follow(self) -> Collection[Gap]:
        """Judges what follows from what was taken, beyond the files themselves: the other files of the same games.

        It is best called when no more messages wait, because the files of a game tend to come together. Returns the
        gaps that were not known before. Raises AdceError as `take` does; what follows is judged in the next call then.
        """
        if not self.has_consequences:
            self._judged.clear()
            return ()
        session = self._session
        cells = {**self._expected.of_games(self._games), **self._schedules}
        for key in self._judged:
            cells.pop(key, None)
        while True:
            last = session.ledger.objects.last(cells)
            told = Told({key: last[key].change if key in last else None for key in cells})
            await self._judge(cells, {key: one.change for key, one in last.items()}, told)
            if session.ledger.events.record(told, session.now()):
                break
        self._followed |= self._games
        self._games, self._schedules = set(), {}
        self._judged.clear()
        return told.gaps

    async def _take(
        self, events: Mapping[str, Sequence[Event]], read_to: datetime | None
    ) -> tuple[_Decided, Collection[Gap]]:
        """Decides what follows from events, judges the files that they tell of, and records all of it.

        Returns what was decided, and the gaps that were not known before.
        """
        session = self._session
        cells = self._expected.cells(events)
        await self._wait_for_claims({cell.work for cell in cells.values()})
        while True:
            now = session.now()
            decided = await self._decide(events, now)
            told = replace(decided.told(events, now), read_to=read_to, returned=decided.returned(events))
            changed = {key: cells[key] for key in decided.changed if key in cells}
            if changed:
                await self._judge(changed, told.changes, told)
            if session.ledger.events.record(told, now):
                break
        self._judged.update(changed)
        await self._note_consequences(changed)
        return decided, told.gaps

    async def _note_consequences(self, changed: Mapping[str, Cell]) -> None:
        """Notes what `follow` has to judge: the games of the files, and those that changed schedules list."""
        schedules = {key: cell for key, cell in changed.items() if self._expected.is_schedule(cell)}
        games = {cell.game.id for cell in changed.values() if cell.game}
        if schedules:
            self._judged -= schedules.keys()  # they were judged before they were read
            seen = await examine_cells(self._session, schedules)
            self._expected.forget()
            self._followed.clear()
            self._schedules |= schedules
            games |= {game.id for one in seen.values() for game in one.verdict.games}
        self._games |= games - self._followed

    async def _decide(self, events: Mapping[str, Sequence[Event]], now: datetime) -> _Decided:
        """What follows from events, by what is known and, where that does not settle it, by what the lake answers."""
        last = self._session.ledger.objects.last(events)
        if_unknown = self._if_unknown(now)
        before = {key: last[key].change if key in last else if_unknown for key in events}
        found = {key: settled(some, before[key]) for key, some in events.items()}
        asked = [key for key, one in found.items() if one.asks]
        if asked:
            have = await self._session.lake.find_all(asked)
            found |= {key: answered(have.get(key), now, events[key], before[key]) for key in asked}
        own = {key for key, one in last.items() if one.by is LearntBy.OWN}
        waiting = self._session.ledger.announcements.waiting(events)
        return _Decided(before, found, asked, own, waiting, events.keys() - last.keys())

    def _if_unknown(self, now: datetime) -> LastChange:
        """The last change of a file of which nothing is recorded."""
        watch = self._session.ledger.announcements.watch(now)
        return LastChange(None, asked=watch.listed) if watch and watch.listed else UNKNOWN

    async def _wait_for_claims(self, works: Collection[str]) -> None:
        """Waits for the runs that are fetching some files, so that what they record is not taken for a change."""
        ends = clock.seconds() + _CLAIM_SECONDS
        while not self._session.leases.claims().keys().isdisjoint(works) and clock.seconds() < ends:
            await asyncio.sleep(_POLL_SECONDS)

    async def _judge(self, cells: Mapping[str, Cell], known: Mapping[str, LastChange], told: Told) -> None:
        """Adds to what was `told` which of these files are lacking now, or are so no longer.

        `known` are their last changes. The lake is asked about the others.
        """
        told.listed = await self._ask(cell for key, cell in cells.items() if key not in known)
        objects = {key: have for key, change in [*known.items(), *told.listed.items()] if (have := change.object(key))}
        told.gaps, told.closed = await judge_cells(self._session, cells, objects, told.archived)

    async def _ask(self, cells: Iterable[Cell]) -> dict[str, LastChange]:
        """What the lake has of files of which nothing is known, by key. It is asked about those that are due."""
        session, now = self._session, self._session.now()
        if self._if_unknown(now) != UNKNOWN:
            return {}
        keys = [cell.key for cell in cells if is_due(cell, now)]
        found = await session.lake.find_all(keys) if keys else {}
        return {key: LastChange.of(found.get(key), now) for key in keys}


@dataclass(frozen=True)
class _Decided:
    """What follows from the events of some files, by key."""

    before: Mapping[str, LastChange]
    settled: Mapping[str, Settled]
    asked: Collection[str]  # the files of which the lake was asked
    own: Collection[str]  # the files whose version that was known before ADCE has stored itself
    waiting: Mapping[str, Unannounced]  # changes that were seen before, of which an event was awaited
    unknown: Collection[str]  # the files of which nothing was recorded

    @property
    def changed(self) -> set[str]:
        """The files of which something new is known."""
        return {key for key, one in self.settled.items() if any(one.applied)}

    def returned(self, events: Mapping[str, Sequence[Event]]) -> datetime | None:
        """The time of the newest event that tells of a version that ADCE has stored itself; None if there is none."""
        times = (
            event.at
            for key in self.own
            for event in events[key]
            if event.type is EventType.CREATED and event.content == self.before[key].content
        )
        return max(times, default=None)

    def told(self, events: Mapping[str, Sequence[Event]], now: datetime) -> Told:
        """What is to be recorded of it."""
        after = {key: one.change for key, one in self.settled.items()}
        shown = {key: Unannounced.of(after[key], self.before[key], now) for key in self.asked if key in self.changed}
        waiting = {**self.waiting, **shown}
        announced = {
            key
            for key, change in waiting.items()
            if change.content != after[key].content or any(map(change.is_told_by, events[key]))
        }
        return Told(
            before={key: None if key in self.unknown else one for key, one in self.before.items()},
            changes={key: change for key, change in after.items() if change != self.before[key]},
            announced=announced,
            shown={key: change for key, change in shown.items() if key not in announced},
            archived={
                key: Unreadable(one.change.content, _ARCHIVED, now, now)
                for key, one in self.settled.items()
                if one.delivery is Effect.UNREADABLE and one.change.content
            },
            restored=[key for key, one in self.settled.items() if one.delivery is Effect.READABLE],
        )
