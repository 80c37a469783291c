"""How many requests have runs sent to each source in the last minutes?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from tasks.ledger.database import Database, UtcSeconds, metadata

_KEPT = timedelta(minutes=10)

requests_table = sa.Table(
    "requests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests that runs have sent. Each run reports them at least every ten seconds, and when it ends."""

    database: Database

    def lately(self, span: timedelta) -> dict[str, int]:
        """How many requests were reported in the last `span` by the clock of the ledger, by source."""

        def read(connection: sa.Connection) -> dict[str, int]:
            columns, begin = requests_table.c, datetime.fromtimestamp(self.database.now(connection), UTC) - span
            counts = sa.select(columns.source, sa.func.sum(columns.count)).where(columns.at > begin)
            return {source: int(count) for source, count in connection.execute(counts.group_by(columns.source))}

        return self.database.read(read)


def report_requests(connection: sa.Connection, run: str, now: float, sent: Mapping[str, int]) -> None:
    """Records the requests that a run has sent since its last report, by source. Forgets those of ten minutes ago."""
    at, columns = datetime.fromtimestamp(now, UTC), requests_table.c
    connection.execute(requests_table.delete().where((columns.at < at - _KEPT) | (columns.at > at + _KEPT)))
    rows = [{"run": run, "source": source, "at": at, "count": count} for source, count in sent.items() if count > 0]
    if rows:
        connection.execute(requests_table.insert(), rows)
