"""Which sources are paused, and which breakers are open?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from tasks.domain.limits.pauses import Pause, is_new_pause
from tasks.domain.metrics import PAUSES, REFUSALS, Amounts
from tasks.ledger.database import Database, UtcSeconds, UtcSecondsList, metadata
from tasks.ledger.totals import Totals

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
    totals: Totals

    def now(self) -> dict[str, Pause]:
        """The pauses of sources and the breakers of datasets, by name; those that were never touched are left out."""
        query = sa.select(holds_table)
        return self.database.read(
            lambda connection: {row.name: Pause(**row._mapping) for row in connection.execute(query)}
        )

    def change(self, name: str, change: Callable[[Pause], Pause]) -> Pause:
        """Applies a change to what the ledger says now; no other process changes it meanwhile."""
        return self.database.write(lambda connection: self._change(connection, name, change)[1], durable=True)

    def refuse(self, name: str, change: Callable[[Pause], Pause]) -> Pause:
        """The same of a source that has refused a request: the refusal counts, and so does a pause that it begins."""

        def write(connection: sa.Connection) -> Pause:
            before, after = self._change(connection, name, change)
            amounts = Amounts()
            amounts.count(REFUSALS, source=name)
            amounts.count(PAUSES, is_new_pause(before, after), source=name)
            self.totals.add(connection, amounts)
            return after

        return self.database.write(write, durable=True)

    def _change(self, connection: sa.Connection, name: str, change: Callable[[Pause], Pause]) -> tuple[Pause, Pause]:
        """The hold before and after."""
        fresh = asdict(Pause(name))
        insert = self.database.dialect.insert(holds_table).values(fresh)
        # An update that changes nothing takes the lock: of the row in PostgreSQL, of the file in SQLite.
        connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"name": name}))
        row = connection.execute(sa.select(holds_table).where(holds_table.c.name == name)).one()
        before = Pause(**row._mapping)
        after = change(before)
        values = {field: getattr(after, field) for field in fresh}
        connection.execute(holds_table.update().where(holds_table.c.name == name).values(values))
        return before, after
