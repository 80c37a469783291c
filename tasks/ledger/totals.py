"""How much has there been of everything, since the ledger began? Running totals, which are never pruned."""

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
    """The totals, by name, labels and bucket: see tasks.domain.metrics."""

    database: Database

    def now(self) -> dict[Series, float]:
        columns = totals_table.c
        query = sa.select(columns.name, columns.labels, columns.bucket, columns.value)
        found = self.database.read(lambda connection: connection.execute(query).all())
        return {Series(name, labels, bucket): value for name, labels, bucket, value in found}

    def add(self, connection: sa.Connection, amounts: Amounts) -> None:
        """Adds amounts, within the transaction that records what they are of, and as the last thing in it.

        Many add to the same rows: in PostgreSQL they wait for each other here, and for nothing after it.
        """
        rows = [{**series._asdict(), "value": value} for series, value in amounts.by_series.items()]
        self.database.upsert(connection, totals_table, rows, _ADDED)
