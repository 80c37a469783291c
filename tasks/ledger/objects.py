"""What was found in the files of the lake, when each version was read?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from tasks.domain.states import Examination, Unreadable
from tasks.domain.verdicts import Fault, Verdict, Wholeness
from tasks.ledger.database import Database, UtcSeconds, among, delete, metadata, rows
from tasks.ledger.games import games_from, games_text

examined_table = sa.Table(
    "examined",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("wholeness", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("games", sa.String),
    sa.Column("fetched", UtcSeconds),
    sa.Column("agreed", sa.Boolean, nullable=False),
    sa.Column("was_size", sa.BigInteger),
    sa.Column("changed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("fault", sa.String),
)
unreadable_table = sa.Table(
    "unreadable",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("content", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("first", UtcSeconds, nullable=False),
    sa.Column("last", UtcSeconds, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Objects:
    """The stored files, as far as they were read."""

    database: Database

    def count(self) -> int:
        """How many stored files it knows of its lake, whole or not."""
        query = sa.select(sa.func.count()).select_from(examined_table)
        return self.database.read(lambda connection: int(connection.execute(query).scalar_one()))

    def examined(self, keys: Iterable[str] | None = None) -> dict[str, Examination]:
        """What the checks found in stored bodies, by key: of all, or of some."""
        columns = examined_table.c
        query = sa.select(
            columns.key,
            columns.version,
            columns.wholeness,
            columns.reason,
            columns.games,
            columns.fetched,
            columns.agreed,
            columns.was_size,
            columns.changed,
            columns.fault,
        )
        verdicts: dict[tuple[str, str, str | None], Verdict] = {}  # most say the same

        def read(connection: sa.Connection) -> dict[str, Examination]:
            found = {}
            chosen = query if keys is None else query.where(among(connection, columns.key, keys))
            for key, version, wholeness, reason, games, fetched, agreed, was_size, changed, fault in rows(
                connection, chosen
            ):
                verdict = verdicts.get((wholeness, reason, fault)) if games is None else None
                if verdict is None:
                    why = None if fault is None else Fault(fault)
                    verdict = Verdict(Wholeness(wholeness), reason, games_from(games or "[]"), why)
                    if games is None:
                        verdicts[wholeness, reason, fault] = verdict
                at = None if fetched is None else datetime.fromtimestamp(fetched, UTC)
                found[key] = Examination(version, verdict, at, bool(agreed), was_size, bool(changed))
            return found

        return self.database.read(read)

    def schedules_that_list(self, game: str) -> list[str]:
        """The keys of the stored schedules in which a game was found."""
        query = sa.select(examined_table.c.key).where(examined_table.c.games.contains(f'"{game}"', autoescape=True))
        return self.database.read(lambda connection: list(connection.execute(query).scalars()))

    def unreadable(self, keys: Iterable[str] | None = None) -> dict[str, Unreadable]:
        """The stored bodies that the lake could not give, by key: of all, or of some."""
        query = sa.select(unreadable_table)

        def read(connection: sa.Connection) -> dict[str, Unreadable]:
            chosen = query if keys is None else query.where(among(connection, unreadable_table.c.key, keys))
            return {key: Unreadable(*values) for key, *values in connection.execute(chosen)}

        return self.database.read(read)

    def record(self, found: Mapping[str, Examination], unreadable: Mapping[str, Unreadable] | None = None) -> None:
        """Records what was found in stored bodies, and which of them could not be read."""
        rows = [{"key": key, **refused._asdict()} for key, refused in (unreadable or {}).items()]

        def write(connection: sa.Connection) -> None:
            self.write(connection, found)
            self.database.upsert(connection, unreadable_table, rows, {"content", "reason", "first", "last"})

        self.database.write(write)

    def write(self, connection: sa.Connection, found: Mapping[str, Examination]) -> None:
        """The same of what was found, within a transaction."""
        rows = [
            {
                "key": key,
                "version": e.version,
                "wholeness": e.verdict.wholeness.value,
                "reason": e.verdict.reason,
                "games": games_text(e.verdict.games),
                "fetched": e.fetched,
                "agreed": e.agreed,
                "was_size": e.was_size,
                "changed": e.changed,
                "fault": e.verdict.fault and e.verdict.fault.value,
            }
            for key, e in found.items()
        ]
        columns = {column.name for column in examined_table.c} - {"key"}
        self.database.upsert(connection, examined_table, rows, columns)
        delete(connection, unreadable_table, found)

    def forget(self, connection: sa.Connection) -> int:
        """Forgets all of them; gives how many those were."""
        connection.execute(unreadable_table.delete())
        return connection.execute(examined_table.delete()).rowcount
