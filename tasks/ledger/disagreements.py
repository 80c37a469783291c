"""Which schedules list fewer games than the schedule of another source?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date

import sqlalchemy as sa

from tasks.domain.assess.agreement import Disagreement
from tasks.ledger.database import Database, UtcSeconds, metadata

disagreements_table = sa.Table(
    "disagreements",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("day", sa.String, primary_key=True),
    sa.Column("what", sa.String, nullable=False),
    sa.Column("first", UtcSeconds, nullable=False),
    sa.Column("taken", UtcSeconds, nullable=False),
    sa.Column("looks", sa.Integer, nullable=False),
    sa.Column("richer", sa.String, nullable=False, server_default=""),
)


@dataclass(frozen=True, slots=True)
class Disagreements:
    """The disagreements between sources, by schedule and day, until the sources agree."""

    database: Database

    def current(self) -> list[Disagreement]:
        """All disagreements that are not mended yet."""
        query = sa.select(disagreements_table)
        return self.database.read(
            lambda connection: [
                Disagreement(
                    row.key, date.fromisoformat(row.day), row.what, row.first, row.taken, row.looks, row.richer
                )
                for row in connection.execute(query)
            ]
        )

    def record(self, found: Iterable[Disagreement], mended: Iterable[Disagreement]) -> None:
        """Records disagreements that are new or were looked at again, and deletes those that are mended."""
        new = [asdict(one) | {"day": one.day.isoformat()} for one in found]
        old = list(mended)
        columns = disagreements_table.c

        def write(connection: sa.Connection) -> None:
            self.database.upsert(connection, disagreements_table, new, {"what", "first", "taken", "looks", "richer"})
            for one in old:
                mine = (columns.key == one.key) & (columns.day == one.day.isoformat())
                connection.execute(disagreements_table.delete().where(mine))

        if new or old:
            self.database.write(write)
