"""How complete was the lake, hour by hour? Each row is of the look within its hour that has found the least of it."""

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
    """How many of the wanted files were there when it was worst in an hour, and how many schedules were not known."""

    hour: datetime
    wanted: int
    present: int
    unknown: int

    def is_worse_than(self, other: Complete) -> bool:
        """Was a smaller part of the wanted files there? Where none is wanted, nothing can be lacking."""
        if not self.wanted or not other.wanted:
            return self.wanted > 0
        return self.present * other.wanted < other.present * self.wanted


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
        """Records how complete a look has found the lake, in an open transaction, unless it was worse in the same hour.

        The hour is one of the clock that all processes share, which for a sandbox is another than that of its look.
        """
        now = self.database.now(connection)
        present = _files(look, (State.PRESENT,))
        hour, wanted = datetime.fromtimestamp(now - now % _HOUR, UTC), present + _files(look, LACKING)
        row = Complete(hour, wanted, present, len({part.key for part in look.unknown}))
        columns = [completeness_table.c[name] for name in Complete._fields]
        former = connection.execute(sa.select(*columns).where(completeness_table.c.hour == hour)).one_or_none()
        if former is None or row.is_worse_than(Complete(*former)):
            self.database.upsert(connection, completeness_table, [row._asdict()], {"wanted", "present", "unknown"})

    def prune(self, connection: sa.Connection, before: datetime) -> None:
        """Deletes the hours before a time, in an open transaction."""
        connection.execute(completeness_table.delete().where(completeness_table.c.hour < before))

    def forget(self, connection: sa.Connection) -> None:
        """Deletes everything, in an open transaction: it was about another lake."""
        connection.execute(completeness_table.delete())


def _files(look: RecordedLook, states: tuple[State, ...]) -> int:
    return sum(n for standings in look.counts.values() for of, n in standings.items() if of.state in states)
