"""How is it recorded what events tell of files? One transaction records it for all subjects of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

import sqlalchemy as sa

from tasks.domain.arrivals import LastChange, Unannounced
from tasks.domain.assess.states import LearntBy, Unreadable
from tasks.domain.plan.plan import Gap
from tasks.ledger.announcements import Announcements
from tasks.ledger.arrivals import Arrivals, Recorded
from tasks.ledger.database import Database, delete
from tasks.ledger.gaps import Gaps, gaps_table
from tasks.ledger.objects import Objects


class Before(NamedTuple):
    """What was recorded of some files before their events came, by key."""

    last: Mapping[str, Recorded]  # their last changes; files never heard of are left out
    waiting: Mapping[str, Unannounced]  # changes that were seen before, of which an event is awaited
    listed: datetime | None  # when the whole lake was last listed while events are watched; see Watch


@dataclass
class Told:
    """What the events of some files have told, by key."""

    asks: Collection[str] = ()  # files of which the lake has to be asked before anything is recorded
    changes: Mapping[str, LastChange] = field(default_factory=dict)
    announced: Collection[str] = ()  # files of whose last change an event has told
    shown: Mapping[str, Unannounced] = field(default_factory=dict)  # changes that the lake has shown before their event
    archived: Mapping[str, Unreadable] = field(default_factory=dict)
    restored: Collection[str] = ()


@dataclass
class Judged:
    """What follows from events for some files, by key."""

    last: Mapping[str, LastChange]  # by which they were judged; files never heard of are left out
    listed: Mapping[str, LastChange] = field(default_factory=dict)  # of files about which the lake was asked
    gaps: Collection[Gap] = ()  # newly seen
    closed: Collection[str] = ()  # gaps that were seen before, and are none any more

    @property
    def last_of_changed(self) -> dict[str, LastChange | None]:
        """The last changes of the files of which something is recorded; None for a file never heard of."""
        keys = {gap.cell.key for gap in self.gaps}.union(self.closed, self.listed)
        return {key: self.last.get(key) for key in keys}


T = TypeVar("T", bound=Told)


@dataclass(frozen=True, slots=True)
class Events:
    """Records what events tell, across the subjects of the ledger."""

    database: Database
    objects: Objects
    arrivals: Arrivals
    announcements: Announcements
    gaps: Gaps

    def take(self, keys: Collection[str], decide: Callable[[Before], T], now: datetime) -> T:
        """Records what events of some files have told, as it is decided by what was recorded before, and returns it.

        No other process records anything of these files in between. Nothing is recorded if the lake has to be asked.
        """

        def write(connection: sa.Connection) -> T:
            _lock(connection)
            watch = self.announcements.find_watch(connection, now)
            last = self.objects.last_in(connection, keys)
            waiting = self.announcements.find_waiting(connection, keys)
            told = decide(Before(last, waiting, watch and watch.listed))
            if not told.asks:
                self.arrivals.write(connection, told.changes, now, LearntBy.EVENT)
                self.announcements.write(connection, told.shown)
                self.announcements.delete(connection, told.announced)
                self.objects.write_delivery(connection, told.archived, told.restored)
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
            _lock(connection)
            last = self.objects.last_in(connection, before)
            if any((last[key].change if key in last else None) != change for key, change in before.items()):
                return False
            self.arrivals.write(connection, judged.listed, now, LearntBy.LISTING)
            self.gaps.write(connection, judged.gaps)
            if judged.closed:
                delete(connection, gaps_table, judged.closed)
            return True

        return self.database.write(write)


def _lock(connection: sa.Connection) -> None:
    """Keeps other processes from recording changes of files until the transaction ends. SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE arrivals IN SHARE ROW EXCLUSIVE MODE"))
