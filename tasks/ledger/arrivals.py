"""What have events, and looks because of them, told of the files in the lake?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from tasks.domain.arrivals import LastChange
from tasks.domain.assess.states import Content, LearntBy
from tasks.ledger.database import Database, UtcSeconds, among, delete, metadata, moment, rows

arrivals_table = sa.Table(
    "arrivals",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("etag", sa.String),  # with `size`; both are null if there is no object
    sa.Column("size", sa.BigInteger),
    sa.Column("modified", UtcSeconds),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("sequencer", sa.String, nullable=False),
    sa.Column("asked", UtcSeconds),
    sa.Column("learnt_by", sa.String, nullable=False),
    sa.Column("learnt_at", UtcSeconds, nullable=False),
)
_table = arrivals_table.c
_REPLACED = set(_table.keys()) - {"key"}
LEARNT_BY = {one.value: one for one in LearntBy}  # for rows that the driver returns: it takes less time than LearntBy()


class Recorded(NamedTuple):
    """The last known change of a file, and how and when ADCE learnt of it."""

    change: LastChange
    by: LearntBy
    at: datetime | None

    def is_learnt_between(self, begin: datetime, end: datetime) -> bool:
        """Has ADCE learnt of the change after `begin`, and not after `end`?"""
        return self.at is not None and begin < self.at <= end

    def when_listed(self, at: datetime | None) -> LastChange:
        """The change; it was still the last one when the whole lake was listed, if it was recorded before."""
        return self.change if at and self.at and self.at > at else self.change.as_listed(at)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The last change of each file of which an event has told."""

    database: Database

    def last(self, connection: sa.Connection, keys: Iterable[str] | None = None) -> dict[str, Recorded]:
        """The last changes by key, in an open transaction: of these files, or of all."""
        query = sa.select(arrivals_table)
        if keys is not None:
            query = query.where(among(connection, _table.key, keys))
        return {key: _recorded(*values) for key, *values in rows(connection, query)}

    def record(self, changes: Mapping[str, LastChange], at: datetime, by: LearntBy) -> None:
        """Records the last changes of files, of which ADCE learnt at this time."""
        self.database.write(lambda connection: self.write(connection, changes, at, by))

    def write(self, connection: sa.Connection, changes: Mapping[str, LastChange], at: datetime, by: LearntBy) -> None:
        """Records the last changes of files, of which ADCE learnt at this time, in an open transaction."""
        found = [
            {
                "key": key,
                **stored_content(change.content),
                "modified": change.modified,
                "version": change.version,
                "sequencer": change.sequencer,
                "asked": change.asked,
                "learnt_by": by.value,
                "learnt_at": at,
            }
            for key, change in changes.items()
        ]
        self.database.upsert(connection, arrivals_table, found, _REPLACED)

    def delete_replaced(
        self, connection: sa.Connection, versions: Mapping[str, Content], own: Collection[str]
    ) -> dict[str, LastChange]:
        """Deletes, in an open transaction, what was told of files that are now known in these other versions.

        ADCE has stored the files in `own` itself. Returns what events have told of them, by key.
        """
        lock_arrivals(connection, shared=True)
        told_of_own = self.last(connection, own) if own else {}
        delete(connection, arrivals_table, own)
        told = self.last(connection, versions.keys() - set(own)).items()
        delete(connection, arrivals_table, [key for key, one in told if one.change.content != versions[key]])
        return {key: one.change for key, one in told_of_own.items() if one.by is LearntBy.EVENT}


def lock_arrivals(connection: sa.Connection, *, shared: bool = False) -> None:
    """Keeps other processes from recording changes of files until the transaction ends. SQLite does so by itself.

    Several that record what was stored, or delete, share the lock. On PostgreSQL it is an advisory one, because a lock
    of the table would cancel an autovacuum.
    """
    if connection.dialect.name == "postgresql":
        lock = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        connection.execute(sa.text(f"SELECT {lock}(4144434501)"))


def stored_content(content: Content | None) -> dict[str, str | int | None]:
    """The values of the columns `etag` and `size` for a version; both are null if there is no object."""
    return {"etag": content.etag, "size": content.size} if content else {"etag": None, "size": None}


def read_content(etag: str | None, size: int | None) -> Content | None:
    """The version of which these are the values of the columns `etag` and `size`."""
    return None if etag is None or size is None else Content(etag, size)


def _recorded(
    etag: str | None,
    size: int | None,
    modified: float | None,
    version: str,
    sequencer: str,
    asked: float | None,
    by: str,
    at: float,
) -> Recorded:
    change = LastChange(read_content(etag, size), moment(modified), version, sequencer, moment(asked))
    return Recorded(change, LEARNT_BY[by], moment(at))
