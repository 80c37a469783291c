"""Which sources are paused, and which circuit breakers are open?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from tasks.domain.limits.pauses import Pause, is_new_pause
from tasks.domain.metrics import PAUSES, REFUSALS, Amounts
from tasks.ledger.database import Database, UtcSeconds, UtcSecondsList, metadata
from tasks.ledger.totals import Totals

pauses_table = sa.Table(
    "pauses",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("until", UtcSeconds),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("failures", UtcSecondsList, nullable=False),
    sa.Column("probe_until", UtcSeconds),
    sa.Column("resumed_at", UtcSeconds),
    sa.Column("since", UtcSeconds),
    sa.Column("openings", UtcSecondsList, nullable=False, server_default="[]"),
)


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses of sources, also at the addresses of rollouts, and the circuit breakers of scrapers, by name."""

    database: Database
    totals: Totals

    def current(self) -> dict[str, Pause]:
        """The pauses and circuit breakers, by name. Those that have never changed are left out."""
        query = sa.select(pauses_table)
        return self.database.read(
            lambda connection: {row.name: Pause(**row._mapping) for row in connection.execute(query)}
        )

    def change(self, name: str, change: Callable[[Pause], Pause]) -> Pause:
        """Applies a change to a pause, and returns the new one. No other process can change it at the same time."""
        return self.database.write(lambda connection: self._change(connection, name, change)[1], durable=True)

    def record_refusal(self, name: str, change: Callable[[Pause], Pause], *, is_counted: bool = True) -> Pause:
        """Applies the change that follows from a refusal. Adds the refusal, and a new pause, to the running totals.

        If it is not counted as a refusal, as no answer at all is none, only a new pause is.
        """

        def write(connection: sa.Connection) -> Pause:
            before, after = self._change(connection, name, change)
            amounts, source = Amounts(), name.partition("@")[0]
            amounts.count(REFUSALS, is_counted, source=source)
            amounts.count(PAUSES, is_new_pause(before, after), source=source)
            self.totals.add(connection, amounts)
            return after

        return self.database.write(write, durable=True)

    def _change(self, connection: sa.Connection, name: str, change: Callable[[Pause], Pause]) -> tuple[Pause, Pause]:
        """Applies a change, in an open transaction. Returns the pause before and after it."""
        fresh = asdict(Pause(name))
        insert = self.database.dialect.insert(pauses_table).values(fresh)
        # An update that changes nothing takes the lock: on the row in PostgreSQL, on the file in SQLite.
        connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"name": name}))
        row = connection.execute(sa.select(pauses_table).where(pauses_table.c.name == name)).one()
        before = Pause(**row._mapping)
        after = change(before)
        values = {field: getattr(after, field) for field in fresh}
        connection.execute(pauses_table.update().where(pauses_table.c.name == name).values(values))
        return before, after
