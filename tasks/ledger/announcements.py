"""Which changes of the lake has no event told, although events are watched?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from tasks.domain.arrivals import LastChange, Unannounced
from tasks.domain.assess.states import LakeObject
from tasks.domain.metrics import MISSED_EVENTS, Amounts
from tasks.ledger.arrivals import read_content, stored_content
from tasks.ledger.database import Database, UtcSeconds, among, delete, metadata
from tasks.ledger.totals import Totals

# Changes that a listing, or a HEAD request, has found before an event told of them, and files that ADCE has stored
unannounced_table = sa.Table(
    "unannounced",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("etag", sa.String),  # with `size`; both are null if the object is gone
    sa.Column("size", sa.BigInteger),
    sa.Column("changed", UtcSeconds, nullable=False),
    sa.Column("earliest", UtcSeconds),
    sa.Column("own", sa.Boolean, nullable=False, server_default=sa.false()),
)
missed_events_table = sa.Table(
    "missed_events",
    metadata,
    sa.Column("day", sa.String, primary_key=True),
    sa.Column("folder", sa.String, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
)
events_taken_table = sa.Table(
    "events_taken",
    metadata,
    sa.Column("day", sa.String, primary_key=True),  # in UTC
    sa.Column("count", sa.Integer, nullable=False),
)
watches_table = sa.Table(
    "watches",
    metadata,
    sa.Column("lake", sa.String, primary_key=True),
    sa.Column("since", UtcSeconds, nullable=False),
    sa.Column("progress", UtcSeconds, nullable=False),
    sa.Column("listed", UtcSeconds),
    sa.Column("read_to", UtcSeconds),
    sa.Column("returned", UtcSeconds),
)
_THE_LAKE = "the lake of this ledger"
_OF_A_WATCH = ("since", "progress", "listed", "read_to", "returned")
_WATCH = sa.select(*(watches_table.c[name] for name in _OF_A_WATCH))
_REPLACED = set(unannounced_table.columns.keys()) - {"key"}
_AWAITED = [column for column in unannounced_table.c if column.name != "own"]
_PAUSE = timedelta(days=1)  # a watch that has made no progress for so long has ended, and the next one begins anew


class WatchRecord(NamedTuple):
    """Since when events are watched, and when that last made progress.

    `listed` is since when looks have listed the whole lake meanwhile. What they have shown of expected files is
    recorded, so that events from before change nothing. A file of which nothing is known may have been there without
    being expected.

    All messages that were sent until `read_to` have been taken in, and the newest event of a file that ADCE has stored
    itself is of the time `returned`.
    """

    since: datetime
    progress: datetime
    listed: datetime | None = None
    read_to: datetime | None = None
    returned: datetime | None = None

    def moved(
        self, *, progress: datetime | None = None, read_to: datetime | None = None, returned: datetime | None = None
    ) -> WatchRecord:
        """The same watch, which has come as far as these say; it never goes back."""
        return self._replace(
            progress=progress or self.progress,
            read_to=_later(self.read_to, read_to),
            returned=_later(self.returned, returned),
        )


@dataclass(frozen=True, slots=True)
class Announcements:
    """The changes of the lake of which no event has told."""

    database: Database
    totals: Totals

    def watch(self, now: datetime) -> WatchRecord | None:
        """The watch that is on at `now`; None if events are not watched."""
        return self.database.read(lambda connection: self.find_watch(connection, now))

    def find_watch(self, connection: sa.Connection, now: datetime, *, to_write: bool = False) -> WatchRecord | None:
        """The watch that is on at `now`, in an open transaction. With `to_write`, nobody else changes it then."""
        found = connection.execute(_WATCH.with_for_update() if to_write else _WATCH).one_or_none()
        return WatchRecord(*found) if found and now - found.progress <= _PAUSE else None

    def progressed(self, now: datetime, read_to: datetime | None = None, returned: datetime | None = None) -> None:
        """Records that the queue of the lake was read. The watch begins now if none is on.

        `read_to` and `returned` are those of a WatchRecord, as far as they are known; they never go back.
        """

        def write(connection: sa.Connection) -> None:
            before = self.find_watch(connection, now, to_write=True) or WatchRecord(now, now)
            self._write_watch(connection, before.moved(progress=now, read_to=read_to, returned=returned))

        self.database.write(write)

    def _write_watch(self, connection: sa.Connection, watch: WatchRecord) -> None:
        row = {"lake": _THE_LAKE, **watch._asdict()}
        self.database.upsert(connection, watches_table, [row], set(_OF_A_WATCH))

    def write_stored(
        self,
        connection: sa.Connection,
        objects: Mapping[str, LakeObject],
        told: Mapping[str, LastChange],
        at: datetime,
    ) -> None:
        """Records, in an open transaction, that the events of files are awaited that ADCE has stored itself.

        `told` is what events have told of these files already. Nothing is recorded while events are not watched.
        """
        watch = self.find_watch(connection, at, to_write=True)
        if watch is None or not objects:
            return
        own = unannounced_table.c.own & (unannounced_table.c.changed < at - _PAUSE)
        connection.execute(unannounced_table.delete().where(own))
        stored = {key: Unannounced.stored(have) for key, have in objects.items()}
        came = {key for key, one in stored.items() if key in told and told[key].content == one.content}
        self.delete(connection, came)
        self.write(connection, {key: one for key, one in stored.items() if key not in came}, are_own=True)
        if came:
            self._write_watch(connection, watch.moved(returned=max(stored[key].changed for key in came)))

    def last_awaited(self, since: datetime, until: Iterable[datetime]) -> list[datetime]:
        """When ADCE has stored the last of the files whose events are still awaited: since a time, until each other."""
        table = unannounced_table.c
        latest = (sa.func.max(sa.case((table.changed <= end, table.changed))) for end in until)
        query = sa.select(*latest).where(table.own & (table.changed >= since))
        return self.database.read(lambda connection: [*filter(None, connection.execute(query).one())])

    def listed(self, at: datetime) -> None:
        """Records that looks have listed the whole lake since this time, and have recorded what they have found."""
        self.database.write(lambda connection: connection.execute(watches_table.update().values(listed=at)))

    def found(self, changes: Mapping[str, Unannounced]) -> None:
        """Records, by key, changes of which no event has told yet."""
        self.database.write(lambda connection: self.write(connection, changes))

    def write(self, connection: sa.Connection, changes: Mapping[str, Unannounced], *, are_own: bool = False) -> None:
        """Records, in an open transaction, changes of which no event has told yet, by key: others', or ADCE's own."""
        found = [
            {
                "key": key,
                **stored_content(one.content),
                "changed": one.changed,
                "earliest": one.earliest,
                "own": are_own,
            }
            for key, one in changes.items()
        ]
        self.database.upsert(connection, unannounced_table, found, _REPLACED)

    def find_waiting(self, connection: sa.Connection, keys: Iterable[str]) -> dict[str, Unannounced]:
        """The changes of these files, by key, of which an event is still awaited, in an open transaction."""
        query = sa.select(*_AWAITED).where(among(connection, unannounced_table.c.key, keys))
        return {
            key: Unannounced(read_content(etag, size), *times) for key, etag, size, *times in connection.execute(query)
        }

    def delete(self, connection: sa.Connection, keys: Iterable[str]) -> None:
        """Records, in an open transaction, that events have told of the last changes of these files."""
        if keys := list(keys):
            delete(connection, unannounced_table, keys)

    def count_missed(self, before: datetime) -> dict[str, int]:
        """Counts the changes from before a time of which no event has told, by day and folder, without ADCE's own.

        Returns how many are new, by folder.
        """
        table = unannounced_table.c

        def write(connection: sa.Connection) -> dict[str, int]:
            query = sa.select(table.key, table.changed).where(table.changed <= before, ~table.own)
            missed: dict[str, datetime] = dict(map(tuple, connection.execute(query)))
            counts = Counter((changed.date().isoformat(), _folder(key)) for key, changed in missed.items())
            found = [{"day": day, "folder": folder, "count": count} for (day, folder), count in counts.items()]
            add = {"count": "missed_events.count + excluded.count"}
            self.database.upsert(connection, missed_events_table, found, add)
            self.delete(connection, missed)
            amounts = Amounts()
            amounts.count(MISSED_EVENTS, len(missed))
            self.totals.add(connection, amounts)
            return dict(Counter(map(_folder, missed)))

        return self.database.write(write)

    def missed(self, since: date) -> dict[tuple[date, str], int]:
        """How many changes no event has told, by day (in UTC) and folder, from a day on."""
        table = missed_events_table.c
        query = sa.select(table.day, table.folder, table["count"]).where(table.day >= since.isoformat())
        ordered = query.order_by(table.day.desc(), table.folder)
        return self.database.read(
            lambda connection: {
                (date.fromisoformat(day), folder): count for day, folder, count in connection.execute(ordered)
            }
        )

    def count_taken(self, connection: sa.Connection, day: date, count: int) -> None:
        """Counts, in an open transaction, messages of a day (in UTC) that told of a file of the lake."""
        row = {"day": day.isoformat(), "count": count}
        more = {"count": "events_taken.count + excluded.count"}
        self.database.upsert(connection, events_taken_table, [row] if count else [], more)

    def taken(self, day: date) -> int:
        """How many messages of a day (in UTC) told of a file of the lake."""
        query = sa.select(events_taken_table.c["count"]).where(events_taken_table.c.day == day.isoformat())
        return self.database.read(lambda connection: connection.execute(query).scalar() or 0)

    def prune(self, connection: sa.Connection, before: datetime) -> None:
        """Deletes, in an open transaction, what is counted of the days before a time."""
        for table in (missed_events_table, events_taken_table):
            connection.execute(table.delete().where(table.c.day < before.date().isoformat()))


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)


def _folder(key: str) -> str:
    return key.rpartition("/")[0]
