"""How is it recorded what events tell of files? One transaction records it for all subjects of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from tasks.domain.arrivals import LastChange, Unannounced
from tasks.domain.assess.states import LearntBy, Unreadable
from tasks.domain.plan.plan import Gap
from tasks.ledger.announcements import Announcements
from tasks.ledger.arrivals import Arrivals
from tasks.ledger.database import Database, delete
from tasks.ledger.gaps import Gaps, gaps_table
from tasks.ledger.objects import Objects


@dataclass
class Told:
    """What the events of some files have told, and what follows from that, by key."""

    before: Mapping[str, LastChange | None]  # what was known when that was decided; None for a file never heard of
    changes: dict[str, LastChange] = field(default_factory=dict)
    listed: dict[str, LastChange] = field(default_factory=dict)  # of other files, about which the lake was asked
    announced: Collection[str] = ()  # files of whose last change an event has told
    shown: Mapping[str, Unannounced] = field(default_factory=dict)  # changes that the lake has shown before their event
    archived: Mapping[str, Unreadable] = field(default_factory=dict)
    restored: Collection[str] = ()
    gaps: Collection[Gap] = ()  # newly seen
    closed: Collection[str] = ()  # gaps that were seen before, and are none any more
    read_to: datetime | None = None  # how far the watch has come; see Watch
    returned: datetime | None = None


@dataclass(frozen=True, slots=True)
class Events:
    """Records what events tell, across the subjects of the ledger."""

    database: Database
    objects: Objects
    arrivals: Arrivals
    announcements: Announcements
    gaps: Gaps

    def record(self, told: Told, now: datetime) -> bool:
        """Records what events have told, completely or not at all.

        Returns False, with nothing recorded, if another process has recorded a change of one of these files since it
        was decided what follows. Then that has to be decided anew.
        """

        def write(connection: sa.Connection) -> bool:
            if connection.dialect.name == "postgresql":  # SQLite lets one transaction write at a time
                connection.execute(sa.text("LOCK TABLE arrivals IN SHARE ROW EXCLUSIVE MODE"))
            if self.objects.last_changes(connection, told.before) != told.before:
                return False
            self.arrivals.write(connection, told.changes, now, LearntBy.EVENT)
            self.arrivals.write(connection, told.listed, now, LearntBy.LISTING)
            self.announcements.write(connection, told.shown)
            self.announcements.delete(connection, told.announced)
            self.objects.write_delivery(connection, told.archived, told.restored)
            self.gaps.write(connection, told.gaps)
            if told.closed:
                delete(connection, gaps_table, told.closed)
            self.announcements.write_progress(connection, now, told.read_to, told.returned)
            return True

        return self.database.write(write)
