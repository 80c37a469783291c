"""Which version of each file has the lake, how was that learnt, and what was found in it?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import sqlalchemy as sa

from tasks.domain.assess.states import Content, Examination, LakeObject, Learnt, LearntBy, Unreadable
from tasks.domain.assess.verdicts import Fault, Verdict, Wholeness
from tasks.ledger.database import Database, UtcSeconds, among, delete, metadata, rows
from tasks.ledger.games import Games, games_table

objects_table = sa.Table(
    "objects",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("etag", sa.String, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("modified", UtcSeconds),
    sa.Column("learnt_by", sa.String, nullable=False),
    sa.Column("learnt_at", UtcSeconds),
    sa.Column("body_check", sa.String, nullable=False),
    sa.Column("wholeness", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("fault", sa.String),
    sa.Column("fetched", UtcSeconds),
    sa.Column("agreed", sa.Boolean, nullable=False),
    sa.Column("was_size", sa.BigInteger),
    sa.Column("changed", sa.Boolean, nullable=False, server_default=sa.false()),
)
unreadable_table = sa.Table(
    "unreadable",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("etag", sa.String, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("first", UtcSeconds, nullable=False),
    sa.Column("last", UtcSeconds, nullable=False),
)
# A version that was known already was learnt when and as it was, whoever reads it once more.
_SAME = "objects.etag = excluded.etag AND objects.size = excluded.size"
_KEPT = {
    "modified": f"CASE WHEN {_SAME} THEN coalesce(excluded.modified, objects.modified) ELSE excluded.modified END",
    "learnt_by": f"CASE WHEN {_SAME} THEN objects.learnt_by ELSE excluded.learnt_by END",
    "learnt_at": f"CASE WHEN {_SAME} THEN objects.learnt_at ELSE excluded.learnt_at END",
}
_REPLACED = {c.name: f"excluded.{c.name}" for c in objects_table.c if not c.primary_key} | _KEPT


@dataclass(frozen=True, slots=True)
class Objects:
    """The stored files, by key, each in the last version that was read or stored."""

    database: Database
    games: Games

    def count(self) -> int:
        """How many stored files it knows of its lake, whole or not."""
        query = sa.select(sa.func.count()).select_from(objects_table)
        return self.database.read(lambda connection: int(connection.execute(query).scalar_one()))

    def examined(self, keys: Iterable[str] | None = None) -> dict[str, Examination]:
        """What the checks found in stored bodies, by key: of all, or of some."""
        columns = objects_table.c
        query = sa.select(
            columns.key,
            columns.etag,
            columns.size,
            columns.body_check,
            columns.wholeness,
            columns.reason,
            columns.fault,
            columns.fetched,
            columns.agreed,
            columns.was_size,
            columns.changed,
        )
        if keys is not None:
            keys = list(keys)

        def read(connection: sa.Connection) -> dict[str, Examination]:
            found = {}
            verdicts: dict[tuple[str, str, str | None], Verdict] = {}  # most say the same
            checks: dict[str, str] = {}  # each once in memory
            listed = self.games.listed(connection, keys)
            chosen = query if keys is None else query.where(among(connection, columns.key, keys))
            for key, etag, size, check, wholeness, reason, fault, fetched, agreed, was_size, changed in rows(
                connection, chosen
            ):
                said = wholeness, reason, fault
                verdict = verdicts.get(said)
                if verdict is None:
                    verdict = Verdict(Wholeness(wholeness), reason, fault=fault and Fault(fault))
                    verdicts[said] = verdict
                if key in listed:
                    verdict = replace(verdict, games=listed[key])
                found[key] = Examination(
                    etag,
                    size,
                    checks.setdefault(check, check),
                    verdict,
                    None if fetched is None else datetime.fromtimestamp(fetched, UTC),
                    bool(agreed),
                    was_size,
                    bool(changed),
                )
            return found

        return self.database.read(read)

    def learnt(self, keys: Iterable[str]) -> dict[str, Learnt]:
        """How it became known which version there is of some files, by key."""
        columns, keys = objects_table.c, list(keys)
        query = sa.select(columns.key, columns.learnt_by, columns.learnt_at)

        def read(connection: sa.Connection) -> dict[str, Learnt]:
            found = connection.execute(query.where(among(connection, columns.key, keys)))
            return {key: Learnt(LearntBy(by), at) for key, by, at in found}

        return self.database.read(read)

    def unreadable(self, keys: Iterable[str] | None = None) -> dict[str, Unreadable]:
        """The stored bodies that the lake could not give, by key: of all, or of some."""
        query = sa.select(unreadable_table)

        def read(connection: sa.Connection) -> dict[str, Unreadable]:
            chosen = query if keys is None else query.where(among(connection, unreadable_table.c.key, keys))
            found = connection.execute(chosen)
            return {key: Unreadable(Content(etag, size), *values) for key, etag, size, *values in found}

        return self.database.read(read)

    def record(
        self,
        found: Mapping[str, Examination],
        unreadable: Mapping[str, Unreadable] | None = None,
        objects: Mapping[str, LakeObject] | None = None,
        at: datetime | None = None,
    ) -> None:
        """Records what was found in stored bodies, and which of them could not be read.

        The `objects` were listed `at` a time; a version that was not known so far was learnt then.
        """
        refused = [
            {"key": key, **seen.content._asdict(), "reason": seen.reason, "first": seen.first, "last": seen.last}
            for key, seen in (unreadable or {}).items()
        ]

        def write(connection: sa.Connection) -> None:
            self.write(connection, found, objects or {}, at)
            self.database.upsert(connection, unreadable_table, refused, {"etag", "size", "reason", "first", "last"})

        self.database.write(write)

    def write(
        self,
        connection: sa.Connection,
        found: Mapping[str, Examination],
        objects: Mapping[str, LakeObject],
        at: datetime | None,
        own: Collection[str] = (),
    ) -> None:
        """The same of what was found, within a transaction; the `own` ones are those that ADCE has stored."""
        rows = [
            {
                "key": key,
                "etag": e.etag,
                "size": e.size,
                "modified": have.modified if (have := objects.get(key)) and e.is_of(have) else None,
                "learnt_by": (LearntBy.OWN if key in own else LearntBy.LISTING).value,
                "learnt_at": at,
                "body_check": e.check,
                "wholeness": e.verdict.wholeness.value,
                "reason": e.verdict.reason,
                "fault": e.verdict.fault and e.verdict.fault.value,
                "fetched": e.fetched,
                "agreed": e.agreed,
                "was_size": e.was_size,
                "changed": e.changed,
            }
            for key, e in found.items()
        ]
        self.database.upsert(connection, objects_table, rows, _REPLACED)
        self.games.write(connection, {key: e.verdict.games for key, e in found.items()})
        delete(connection, unreadable_table, found)

    def forget(self, connection: sa.Connection) -> int:
        """Forgets all of them; gives how many those were."""
        for table in (unreadable_table, games_table):
            connection.execute(table.delete())
        return connection.execute(objects_table.delete()).rowcount
