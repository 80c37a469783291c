"""Which totals did CloudWatch get last, and whose turn is it to send? The cursor of whoever sends the metrics."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from tasks.domain.metrics import Series
from tasks.ledger.database import Database, UtcSeconds, metadata
from tasks.ledger.leases import METRICS, hold, leases_table, let_go
from tasks.ledger.totals import Totals

RENEWED_EVERY = 60.0  # seconds after which a service renews the lease, also if it has nothing to send yet
_LEAST_WAIT = 1.0  # seconds
_LASTS = 3 * RENEWED_EVERY  # seconds for which the lease lasts
_EARLY = timedelta(seconds=2)  # by which a sending may come before it is due, since nobody wakes up exactly in time

sendings_table = sa.Table(
    "sendings",
    metadata,
    sa.Column("sink", sa.String, primary_key=True),
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("totals", sa.LargeBinary, nullable=False),  # JSON, compressed
)
_CLOUDWATCH = "cloudwatch"


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave to send what the totals have gained. `before` is None if nothing was sent before, or is not known."""

    at: datetime
    totals: Mapping[Series, float]
    before: Mapping[Series, float] | None


@dataclass(frozen=True, slots=True)
class Sendings:
    """The totals as of the last sending, which only the holder of the lease METRICS replaces."""

    database: Database
    totals: Totals

    def take_turn(self, sender: str, every: timedelta) -> Turn | None:
        """Records that all totals of now are sent. They may be sent when this returns, and only by the caller.

        So what is not sent then, because the process is killed, is lost, and nothing is ever sent twice. `put_back`
        takes it back. Returns None if another sender holds the lease, or if a sending is not due yet.
        """

        def write(connection: sa.Connection) -> Turn | None:
            now = self.database.now(connection)
            if not hold(connection, self.database, METRICS, sender, now, _LASTS):
                return None
            at = datetime.fromtimestamp(now, UTC)
            query = sa.select(sendings_table.c.at, sendings_table.c.totals)
            row = connection.execute(query.where(sendings_table.c.sink == _CLOUDWATCH)).one_or_none()
            if row and timedelta(0) <= at - row.at < every - _EARLY:
                return None
            totals = self.totals.read(connection)
            new = {"sink": _CLOUDWATCH, "at": at, "totals": _packed(totals)}
            self.database.upsert(connection, sendings_table, [new], {"at", "totals"})
            return Turn(at, totals, _unpacked(row.totals) if row else None)

        return self.database.write(write, durable=True)

    def put_back(self, turn: Turn) -> None:
        """Takes back that the totals of a turn are sent, of which nothing was counted. The next turn sends them too.

        Nothing changes if there was another turn since, or if it is not known what was sent before.
        """
        if turn.before is None:
            return
        is_last = (sendings_table.c.sink == _CLOUDWATCH) & (sendings_table.c.at == turn.at)
        former = sendings_table.update().where(is_last).values(totals=_packed(turn.before))
        self.database.write(lambda connection: connection.execute(former), durable=True)

    def waits(self, sender: str, every: timedelta) -> float:
        """Seconds for which a sender waits before it asks for its turn again: until it is due, if it has the lease."""

        def read(connection: sa.Connection) -> float:
            holder = connection.execute(sa.select(leases_table.c.run).where(leases_table.c.name == METRICS)).scalar()
            at = connection.execute(sa.select(sendings_table.c.at).where(sendings_table.c.sink == _CLOUDWATCH)).scalar()
            if holder != sender or at is None:
                return RENEWED_EVERY
            due: float = (at + every).timestamp() - self.database.now(connection)
            return min(max(due, _LEAST_WAIT), RENEWED_EVERY)

        return self.database.read(read)

    def let_go(self, sender: str) -> None:
        """Ends the lease of a sender, if it has it, so that another one can go on at once."""
        self.database.write(lambda connection: let_go(connection, METRICS, sender))


def _packed(totals: Mapping[Series, float]) -> bytes:
    rows = [[*series, value] for series, value in totals.items()]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)


def _unpacked(content: bytes) -> dict[Series, float] | None:
    """The totals; None if they are damaged, so that the next sending begins anew."""
    with suppress(ValueError, TypeError, zlib.error):
        rows = json.loads(zlib.decompress(content))
        return {Series(str(name), str(labels), str(bucket)): float(value) for name, labels, bucket, value in rows}
    return None
