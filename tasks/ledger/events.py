"""How is it recorded what events, listings and bodies tell of files? One transaction does it for all subjects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, TypeVar

import sqlalchemy as sa

from tasks.domain.arrivals import OF_THE_LAKE, Fate, LastChange, Unannounced
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Examination, LakeObject, LearntBy, Unreadable
from tasks.domain.metrics import EVENTS, Amounts
from tasks.ledger.announcements import Announcements
from tasks.ledger.arrivals import Arrivals, Recorded, lock_arrivals
from tasks.ledger.database import Database, delete
from tasks.ledger.gaps import Gaps, gaps_table
from tasks.ledger.objects import Objects
from tasks.ledger.totals import Totals


class Before(NamedTuple):
    """What was recorded of some files before their events came, by key."""

    last: Mapping[str, Recorded]  # their last changes; files never heard of are left out
    waiting: Mapping[str, Unannounced]  # changes that were seen before, of which an event is awaited
    listed: datetime | None  # when the whole lake was last listed while events are watched; see WatchRecord


@dataclass
class Told:
    """What the events of some files have told, by key."""

    asks: Collection[str] = ()  # files of which the lake has to be asked before anything is recorded
    changes: Mapping[str, LastChange] = field(default_factory=dict)
    announced: Collection[str] = ()  # files of whose last change an event has told
    shown: Mapping[str, Unannounced] = field(default_factory=dict)  # changes that the lake has shown before their event
    archived: Mapping[str, Unreadable] = field(default_factory=dict)
    restored: Collection[str] = ()
    fates: Mapping[Fate, int] = field(default_factory=dict)  # how many messages have had each fate with that


@dataclass
class Judged:
    """What follows from events for some files, by key."""

    last: Mapping[str, LastChange]  # by which they were judged; files never heard of are left out
    listed: Mapping[str, LastChange] = field(default_factory=dict)  # of files about which the lake was asked
    unannounced: Mapping[str, Unannounced] = field(default_factory=dict)  # of those, changes before their event
    gaps: Collection[Gap] = ()  # newly seen
    closed: Collection[str] = ()  # gaps that were seen before, and are none any more

    @property
    def last_of_changed(self) -> dict[str, LastChange | None]:
        """The last changes of the files of which something is recorded; None for a file never heard of."""
        keys = {gap.cell.key for gap in self.gaps}.union(self.closed, self.listed)
        return {key: self.last.get(key) for key in keys}


@dataclass(frozen=True)
class Shown:
    """What a listing of the lake, or the reading of files, has shown, and what follows from that, by key."""

    last: Mapping[str, LastChange | None]  # what was known when that was decided; None for a file never heard of
    changes: Mapping[str, LastChange] = field(default_factory=dict)  # those that a listing has shown
    read: Mapping[str, Examination] = field(default_factory=dict)
    unreadable: Mapping[str, Unreadable] = field(default_factory=dict)
    unannounced: Mapping[str, Unannounced] = field(default_factory=dict)
    gaps: Mapping[str, Gap] = field(default_factory=dict)  # newly seen
    closed: Set[str] = frozenset()  # gaps that were seen before, and are none any more

    def among(self, keys: Set[str]) -> Shown:
        """What it has shown of these files."""
        return Shown(
            _among(self.last, keys),
            _among(self.changes, keys),
            _among(self.read, keys),
            _among(self.unreadable, keys),
            _among(self.unannounced, keys),
            _among(self.gaps, keys),
            self.closed & keys,
        )


T = TypeVar("T", bound=Told)
Fact = TypeVar("Fact")
_SHOWN_AT_ONCE = 1000  # files


@dataclass(frozen=True, slots=True)
class Events:
    """Records what events, listings and bodies tell, across the subjects of the ledger."""

    database: Database
    objects: Objects
    arrivals: Arrivals
    announcements: Announcements
    gaps: Gaps
    totals: Totals

    def take(self, keys: Collection[str], decide: Callable[[Before], T], now: datetime) -> T:
        """Records what events of some files have told, as it is decided by what was recorded before, and returns it.

        No other process records anything of these files in between. Nothing is recorded if the lake has to be asked.
        """

        def write(connection: sa.Connection) -> T:
            lock_arrivals(connection)
            watch = self.announcements.find_watch(connection, now)
            last = self.objects.last_in(connection, keys)
            waiting = self.announcements.find_waiting(connection, keys)
            told = decide(Before(last, waiting, watch and watch.listed))
            if not told.asks:
                self.arrivals.write(connection, told.changes, now, LearntBy.EVENT)
                self.announcements.write(connection, told.shown)
                self.announcements.delete(connection, told.announced)
                self.objects.write_delivery(connection, told.archived, told.restored)
                amounts = Amounts()
                for fate, count in told.fates.items():
                    amounts.count(EVENTS, count, fate=fate.value)
                told_of_files = sum(told.fates.get(fate, 0) for fate in OF_THE_LAKE)
                self.announcements.count_taken(connection, now.astimezone(UTC).date(), told_of_files)
                self.totals.add(connection, amounts)
            return told

        return self.database.write(write)

    def judge(self, judged: Judged, now: datetime) -> bool:
        """Records what follows from events, completely or not at all.

        Returns False, with nothing recorded, if another process has recorded a change of one of these files since it
        was judged. Then it has to be judged anew.
        """
        before = judged.last_of_changed
        if not before:
            return True

        def write(connection: sa.Connection) -> bool:
            lock_arrivals(connection)
            if len(self._as_before(connection, before)) < len(before):
                return False
            self.arrivals.write(connection, judged.listed, now, LearntBy.LISTING)
            self.announcements.write(connection, judged.unannounced)
            self.gaps.write(connection, judged.gaps)
            if judged.closed:
                delete(connection, gaps_table, judged.closed)
            return True

        return self.database.write(write)

    def show(self, shown: Shown, objects: Mapping[str, LakeObject], at: datetime) -> None:
        """Records what the lake has shown at a time, when it had these objects.

        Files of which another process has recorded a change since it was decided what follows are left out, because
        that change is newer. Many files are recorded in parts, so that no transaction keeps others waiting for long.
        """
        keys = list(shown.last)
        for start in range(0, len(keys), _SHOWN_AT_ONCE):
            part = shown.among(set(keys[start : start + _SHOWN_AT_ONCE]))
            self.database.write(partial(self._show, part, objects, at))

    def _show(self, shown: Shown, objects: Mapping[str, LakeObject], at: datetime, connection: sa.Connection) -> None:
        lock_arrivals(connection)
        shown = shown.among(self._as_before(connection, shown.last))
        self.objects.write(connection, shown.read, objects, at)
        self.objects.write_unreadable(connection, shown.unreadable)
        self.arrivals.write(connection, shown.changes, at, LearntBy.LISTING)
        self.announcements.write(connection, shown.unannounced)
        self.gaps.write(connection, shown.gaps.values())
        if shown.closed:
            delete(connection, gaps_table, shown.closed)

    def _as_before(self, connection: sa.Connection, before: Mapping[str, LastChange | None]) -> set[str]:
        """The files whose last change is still this one."""
        last = self.objects.last_in(connection, before.keys())
        return {key for key, change in before.items() if (last[key].change if key in last else None) == change}


def _among(facts: Mapping[str, Fact], keys: Set[str]) -> dict[str, Fact]:
    """The facts about these files."""
    return {key: facts[key] for key in keys if key in facts} if facts else {}
