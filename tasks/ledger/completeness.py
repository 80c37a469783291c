"""How complete was the lake, hour by hour? Each row is of the last look that was recorded within its hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import sqlalchemy as sa

from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.assess.states import LACKING, State
from tasks.ledger.database import Database, UtcSeconds, metadata

_HOUR = 3600.0  # seconds
completeness_table = sa.Table(
    "completeness",
    metadata,
    sa.Column("hour", UtcSeconds, primary_key=True, autoincrement=False),
    sa.Column("wanted", sa.BigInteger, nullable=False),
    sa.Column("present", sa.BigInteger, nullable=False),
    sa.Column("unknown", sa.Integer, nullable=False),
)


class Complete(NamedTuple):
    """How many of the wanted files were there in an hour, and how many schedules were not known."""

    hour: datetime
    wanted: int
    present: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Completeness:
    """How complete the lake was."""

    database: Database

    def since(self, at: datetime) -> list[Complete]:
        """How complete it was in each hour since then, in their order. Hours without a look are left out."""
        query = sa.select(*(completeness_table.c[name] for name in Complete._fields)).order_by(
            completeness_table.c.hour
        )
        since = query.where(completeness_table.c.hour >= at)
        return self.database.read(lambda connection: [Complete(*row) for row in connection.execute(since)])

    def write(self, connection: sa.Connection, look: RecordedLook) -> None:
        """Records how complete a look has found the lake, in an open transaction, in place of an earlier one's row.

        The hour is one of the clock that all processes share, which for a sandbox is another than that of its look.
        """
        now = self.database.now(connection)
        present = _files(look, (State.PRESENT,))
        row = {"hour": datetime.fromtimestamp(now - now % _HOUR, UTC), "present": present}
        row |= {"wanted": present + _files(look, LACKING), "unknown": len({part.key for part in look.unknown})}
        self.database.upsert(connection, completeness_table, [row], {"wanted", "present", "unknown"})

    def prune(self, connection: sa.Connection, before: datetime) -> None:
        """Deletes the hours before a time, in an open transaction."""
        connection.execute(completeness_table.delete().where(completeness_table.c.hour < before))

    def forget(self, connection: sa.Connection) -> None:
        """Deletes everything, in an open transaction: it was about another lake."""
        connection.execute(completeness_table.delete())


def _files(look: RecordedLook, states: tuple[State, ...]) -> int:
    return sum(n for standings in look.counts.values() for of, n in standings.items() if of.state in states)
