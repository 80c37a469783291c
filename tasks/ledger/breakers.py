"""Which sources are paused, and which breakers are open?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from tasks.domain.limits.pauses import Pause
from tasks.ledger.database import Database, UtcSeconds, UtcSecondsList, metadata

holds_table = sa.Table(
    "holds",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("until", UtcSeconds),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("failures", UtcSecondsList, nullable=False),
    sa.Column("probe_until", UtcSeconds),
    sa.Column("resumed_at", UtcSeconds),
)


@dataclass(frozen=True, slots=True)
class Breakers:
    """The holds of sources, of their variants and of scrapers, by name."""

    database: Database

    def now(self) -> dict[str, Pause]:
        """The pauses of sources and the breakers of datasets, by name; those that were never touched are left out."""
        query = sa.select(holds_table)
        return self.database.read(
            lambda connection: {row.name: Pause(**row._mapping) for row in connection.execute(query)}
        )

    def change(self, name: str, change: Callable[[Pause], Pause]) -> Pause:
        """Applies a change to what the ledger says now; no other process changes it meanwhile."""
        fresh = asdict(Pause(name))
        insert = self.database.dialect.insert(holds_table).values(fresh)

        def write(connection: sa.Connection) -> Pause:
            # An update that changes nothing takes the lock: of the row in PostgreSQL, of the file in SQLite.
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"name": name}))
            row = connection.execute(sa.select(holds_table).where(holds_table.c.name == name)).one()
            changed = change(Pause(**row._mapping))
            values = {field: getattr(changed, field) for field in fresh}
            connection.execute(holds_table.update().where(holds_table.c.name == name).values(values))
            return changed

        return self.database.write(write, durable=True)
