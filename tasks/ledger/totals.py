"""How much has happened since the ledger was made? Running totals, which are never pruned."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from tasks.domain.metrics import Amounts, Series
from tasks.ledger.database import Database, metadata

totals_table = sa.Table(
    "totals",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("labels", sa.String, primary_key=True),
    sa.Column("bucket", sa.String, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
)
_ADDED = {"value": "totals.value + excluded.value"}


@dataclass(frozen=True, slots=True)
class Totals:
    """The running totals of the metrics; see tasks.domain.metrics."""

    database: Database

    def current(self) -> dict[Series, float]:
        """The values of all totals."""
        return self.database.read(self.read)

    def read(self, connection: sa.Connection) -> dict[Series, float]:
        """The values of all totals, in an open transaction."""
        columns = totals_table.c
        found = connection.execute(sa.select(columns.name, columns.labels, columns.bucket, columns.value))
        return {Series(name, labels, bucket): value for name, labels, bucket, value in found}

    def record(self, amounts: Amounts) -> None:
        """Adds amounts to the totals in a transaction of its own."""
        if amounts.by_series:
            self.database.write(lambda connection: self.add(connection, amounts))

    def add(self, connection: sa.Connection, amounts: Amounts) -> None:
        """Adds amounts to the totals, at the end of the transaction that records what the amounts measure.

        Many transactions add to the same rows. In PostgreSQL, each holds the locks on them until it ends, so this is
        the last thing that it does.
        """
        rows = [{**series._asdict(), "value": value} for series, value in amounts.by_series.items()]
        self.database.upsert(connection, totals_table, rows, _ADDED)
