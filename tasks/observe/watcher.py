"""What do messages change in the lake as ADCE knows it? Those that come together are decided and judged together."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tasks import clock
from tasks.domain.arrivals import (
    UNKNOWN,
    Effect,
    Event,
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


class Watcher:
    """Takes messages about the lake of a session."""

    def __init__(self, session: Session):
        """Raises AdceError if the lake sends no events."""
        if session.lake.bucket is None:
            raise AdceError(f"lake {session.lake.url}: a folder sends no events; `adce reconcile` looks at it")
        self._session = session
        self._bucket, self._prefix = session.lake.bucket
        self._expected = ExpectedFiles(session)

    async def take(self, messages: Sequence[str]) -> Taken:
        """Records what messages tell, and judges what follows from it. All of it is committed when this returns.

        Raises AdceError if the lake or the ledger cannot be used. The messages can be taken again then.
        """
        taken = Taken([Fate.ALREADY_KNOWN] * len(messages))
        events: dict[str, list[tuple[int, Event]]] = {}
        for position, message in enumerate(messages):
            try:
                found = parse(message)
            except MessageError as error:
                taken.fates[position], taken.errors[position] = Fate.UNREADABLE, str(error)
                continue
            for event in found:
                if key := self._key(event):
                    events.setdefault(key, []).append((position, event))
                else:
                    taken.fates[position] = Fate.FOREIGN
        by_key = {key: [event for _, event in some] for key, some in events.items()}
        decided = await self._take(by_key)
        for key, some in events.items():
            usual = Fate.OWN if key in decided.own else Fate.ALREADY_KNOWN
            for (position, _), is_applied in zip(some, decided.settled[key].applied, strict=True):
                taken.fates[position] = Fate.APPLIED if is_applied else usual
        return taken

    def _key(self, event: Event) -> str | None:
        """The key in the lake of an event's object; None if it is no file of a dataset."""
        if event.bucket != self._bucket or not event.key.startswith(self._prefix):
            return None
        key = event.key.removeprefix(self._prefix)
        return key if self._expected.dataset_of(key) else None

    async def _take(self, events: Mapping[str, Sequence[Event]]) -> _Decided:
        """Decides what follows from events, judges the files that it concerns, and records all of it."""
        session = self._session
        cells = self._expected.cells(events)
        await self._wait_for_claims({cells[key].work for key in events if key in cells})
        while True:
            now = session.now()
            decided = await self._decide(events, now)
            told = decided.told(events, now)
            changed = decided.changed
            if changed:
                await self._judge(changed, cells, told)
            if session.ledger.events.record(told, now):
                break
        self._expected.judged(changed, cells)
        schedules = {key: cells[key] for key in changed if key in cells and self._expected.is_schedule(cells[key])}
        if schedules:
            await self._read(schedules)
        return decided

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

    async def _judge(self, changed: Collection[str], cells: Mapping[str, Cell], told: Told) -> None:
        """Adds to what was `told` which files are lacking now, or are so no longer.

        Judged are the changed files, and once the other files of the same games.
        """
        concerned = self._expected.concerned(changed, cells)
        last = self._session.ledger.objects.last(concerned.keys() - told.changes.keys())
        known = {key: one.change for key, one in last.items()} | told.changes
        told.listed = await self._ask(cell for key, cell in concerned.items() if key not in known)
        known |= told.listed
        objects = {key: have for key, change in known.items() if (have := change.object(key))}
        look = await judge_cells(self._session, concerned, objects, told.archived)
        told.gaps, told.closed = look.new_gaps(), look.closed(look.known.first_seen)

    async def _ask(self, cells: Iterable[Cell]) -> dict[str, LastChange]:
        """What the lake has of files of which nothing is known, by key. It is asked about those that are due."""
        session, now = self._session, self._session.now()
        if self._if_unknown(now) != UNKNOWN:
            return {}
        keys = [cell.key for cell in cells if is_due(cell, now)]
        found = await session.lake.find_all(keys) if keys else {}
        return {key: LastChange.of(found.get(key), now) for key in keys}

    async def _read(self, schedules: Mapping[str, Cell]) -> None:
        """Reads schedules that have changed, and judges them and the files of the games that they list."""
        seen = await examine_cells(self._session, schedules)
        self._expected.forget()
        games = {game.id for one in seen.values() for game in one.verdict.games}
        cells = {**self._expected.of_games(games), **schedules}
        told = Told({})
        await self._judge(cells, cells, told)
        self._session.ledger.events.record(told, self._session.now())


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
