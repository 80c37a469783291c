"""When was each gap first seen?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from tasks.domain.plan.plan import Gap
from tasks.ledger.database import Database, UtcSeconds, delete, metadata, rows

gaps_table = sa.Table(
    "gaps",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("dataset", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("first_seen", UtcSeconds, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps that are open, as far as they were seen."""

    database: Database

    def first_seen(self, keys: Iterable[str]) -> dict[str, datetime]:
        """When each of the gaps was first detected; keys that were no gap so far are left out."""
        query = sa.select(gaps_table.c.key, gaps_table.c.first_seen)
        known: dict[str, float] = dict(self.database.read(lambda connection: list(rows(connection, query))))
        return {key: datetime.fromtimestamp(known[key], UTC) for key in keys if key in known}

    def record(self, gaps: Iterable[Gap]) -> None:
        """Remembers when gaps were first seen; those that are known keep their time."""
        rows = [
            {"key": g.cell.key, "dataset": g.cell.dataset, "kind": g.kind.value, "first_seen": g.first_seen}
            for g in gaps
        ]
        self.database.write(lambda connection: self.database.upsert(connection, gaps_table, rows, {"kind"}))

    def close(self, keys: Iterable[str]) -> None:
        """Forgets gaps that are none any more."""
        keys = list(keys)
        self.database.write(lambda connection: delete(connection, gaps_table, keys))
