"""Which sources and datasets has an operator paused?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from tasks.domain.limits.pauses import OperatorPause, Pause, end_of, probed_now
from tasks.ledger.database import Database, UtcSeconds, metadata
from tasks.ledger.pauses import pauses_table

operator_pauses_table = sa.Table(
    "operator_pauses",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("since", UtcSeconds, nullable=False),
    sa.Column("until", UtcSeconds),
    sa.Column("note", sa.String, nullable=False),
    sa.Column("by", sa.String, nullable=False),
)


@dataclass(frozen=True, slots=True)
class OperatorPauses:
    """The pauses of sources and datasets that operators have set, by name."""

    database: Database

    def current(self, now: datetime) -> dict[str, OperatorPause]:
        """The pauses that are not over at `now`."""
        pauses = self.database.read(_all)
        return {pause.name: pause for pause in pauses if pause.is_on(now)}

    def begin(self, pause: OperatorPause) -> OperatorPause | None:
        """Records a pause. Returns the one of the same name that it replaces. Deletes those that are over."""
        row = {"name": pause.name, "since": pause.since, "until": pause.ends, "note": pause.reason, "by": pause.by}

        def write(connection: sa.Connection) -> OperatorPause | None:
            connection.execute(operator_pauses_table.delete().where(operator_pauses_table.c.until <= pause.since))
            replaced = next((other for other in _all(connection) if other.name == pause.name), None)
            self.database.upsert(connection, operator_pauses_table, [row], row.keys() - {"name"})
            return replaced

        return self.database.write(write, durable=True)

    def resume(self, name: str, now: datetime) -> list[Pause]:
        """Ends all pauses of a source or a dataset, in all its variants. Returns those that were on.

        The operator's pause is over at once. A pause after a refusal and an open circuit breaker become half-open: the
        next request is a probe, whose answer decides.
        """

        def write(connection: sa.Connection) -> list[Pause]:
            mine = operator_pauses_table.c.name == name
            ended: list[Pause] = [pause for pause in _all(connection) if pause.name == name and pause.is_on(now)]
            connection.execute(operator_pauses_table.delete().where(mine))
            of = pauses_table.c.name
            is_its = (of == name) | of.startswith(f"{name}@", autoescape=True)
            is_open = sa.select(pauses_table).where(is_its, pauses_table.c.until > now).with_for_update()
            for row in connection.execute(is_open).all():
                pause = Pause(**row._mapping)
                ended.append(pause)
                probed = probed_now(pause, now)
                values = {"until": probed.until, "probe_until": probed.probe_until}
                connection.execute(pauses_table.update().where(of == pause.name).values(values))
            return ended

        return self.database.write(write, durable=True)


def _all(connection: sa.Connection) -> list[OperatorPause]:
    found = connection.execute(sa.select(operator_pauses_table))
    return [OperatorPause(row.name, end_of(row.until), row.note, by=row.by, since=row.since) for row in found]
