"""Which files do the sources not have, according to their answers or to operators?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from tasks.domain.assess.absences import Absence, Look
from tasks.ledger.database import Database, UtcSeconds, among, metadata
from tasks.ledger.judgements import touch

absences_table = sa.Table(
    "absences",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("dataset", sa.String, nullable=False),
    sa.Column("evidence", sa.String, nullable=False),
    sa.Column("first", UtcSeconds, nullable=False),
    sa.Column("last", UtcSeconds, nullable=False),
    sa.Column("looks", sa.Integer, nullable=False),
    sa.Column("until", UtcSeconds),
    sa.Column("note", sa.String),
    sa.Column("by", sa.String),
    sa.Column("unfinished", sa.Boolean, nullable=False, server_default=sa.false()),
)


@dataclass(frozen=True, slots=True)
class Absences:
    """The absences: for each file, the looks that did not find it, or an operator's statement."""

    database: Database

    def current(self, keys: Iterable[str] | None = None) -> dict[str, Absence]:
        """The absences by key: of these keys, or all of them."""
        return self.database.read(lambda connection: self._read(connection, keys))

    def _read(self, connection: sa.Connection, keys: Iterable[str] | None = None) -> dict[str, Absence]:
        query = sa.select(absences_table)
        if keys is not None:
            query = query.where(among(connection, absences_table.c.key, keys))
        return {row.key: Absence(**row._mapping) for row in connection.execute(query)}

    def record(self, absences: Iterable[Absence]) -> None:
        """Records absences. Each replaces the one that its key had."""
        absences = list(absences)
        self.database.write(lambda connection: self._write(connection, absences), durable=True)

    def clear(self, keys: Iterable[str]) -> None:
        """Deletes the absences of these keys."""
        keys = list(keys)
        self.database.write(lambda connection: self.delete(connection, keys), durable=True)

    def _write(self, connection: sa.Connection, absences: Iterable[Absence]) -> None:
        columns = [column.name for column in absences_table.c]
        rows = [{name: getattr(absence, name) for name in columns} for absence in absences]
        self.database.upsert(connection, absences_table, rows, set(columns) - {"key"})
        touch(self.database, connection, [row["key"] for row in rows])

    def delete(self, connection: sa.Connection, keys: Iterable[str]) -> None:
        """Deletes the absences of these keys, in an open transaction."""
        chosen = among(connection, absences_table.c.key, keys)
        deleted = connection.execute(absences_table.delete().where(chosen).returning(absences_table.c.key)).scalars()
        touch(self.database, connection, list(deleted))

    def add_looks(self, connection: sa.Connection, looks: Iterable[Look]) -> dict[str, Absence]:
        """Adds looks that found no file, in an open transaction. Returns the resulting absences by key."""
        if not (by_key := {look.key: look for look in looks}):
            return {}
        before = self._read(connection, by_key)
        after = {key: look.after(before.get(key)) for key, look in by_key.items()}
        self._write(connection, after.values())
        return after
