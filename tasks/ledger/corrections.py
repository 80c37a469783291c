"""Which files in the lake have the sources corrected?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from tasks.ledger.database import Database, UtcSeconds, metadata

changes_table = sa.Table(
    "changes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String, nullable=False, index=True),
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("was", sa.String, nullable=False),
    sa.Column("became", sa.String, nullable=False),
    sa.Column("kept_as", sa.String),
)


@dataclass(frozen=True, slots=True)
class Change:
    """A correction at the source: `was` and `became` are fingerprints, `kept_as` is the former version's key."""

    key: str
    at: datetime
    run: str
    was: str
    became: str
    kept_as: str | None


@dataclass(frozen=True, slots=True)
class Corrections:
    """The corrections by the sources."""

    database: Database

    def of(self, key: str) -> list[Change]:
        """The corrections of a key, the latest first."""
        columns = [column for column in changes_table.c if column.name != "id"]
        query = sa.select(*columns).where(changes_table.c.key == key).order_by(changes_table.c.id.desc())
        return self.database.read(lambda connection: [Change(*row) for row in connection.execute(query)])

    @staticmethod
    def write(connection: sa.Connection, changes: Iterable[Change]) -> None:
        """Records corrections, in an open transaction."""
        for change in changes:
            connection.execute(changes_table.insert().values(asdict(change)))
