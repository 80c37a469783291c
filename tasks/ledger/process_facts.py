"""What does each process know for the conditions of incidents, besides what the ledger knows?"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tasks.domain.incidents import Fact, Kind
from tasks.ledger.database import Database, metadata

_SLACK = 1.0  # seconds by which a clock may be corrected

process_facts_table = sa.Table(
    "process_facts",
    metadata,
    sa.Column("process", sa.String, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("facts", sa.String, nullable=False),  # JSON: a list of the fields of each fact
    sa.Column("watches", sa.String, nullable=False, server_default="[]"),  # JSON: a list of kinds
)


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The facts of processes, which whoever evaluates the conditions reads. Times are those of Database.now."""

    database: Database

    def keep(self, process: str, facts: Iterable[Fact], watches: Iterable[Kind] = ()) -> None:
        """Keeps what a process knows now, in place of what it knew before, and the kinds that it watches."""
        documents = {"facts": json.dumps([list(fact) for fact in facts]), "watches": json.dumps(sorted(watches))}

        def write(connection: sa.Connection) -> None:
            row = {"process": process, "at": self.database.now(connection), **documents}
            self.database.upsert(connection, process_facts_table, [row], row.keys() - {"process"})

        self.database.write(write)

    def forget(self, process: str) -> None:
        """Deletes what a process knew."""
        mine = process_facts_table.delete().where(process_facts_table.c.process == process)
        self.database.write(lambda connection: connection.execute(mine))

    def known(self, lasts: float) -> list[Fact]:
        """What all processes know. Deletes what is older than some seconds, or lies ahead: a clock was set back."""
        at = process_facts_table.c.at

        def write(connection: sa.Connection) -> list[Fact]:
            now = self.database.now(connection)
            is_old = (at <= now - lasts) | (at > now + _SLACK)
            connection.execute(process_facts_table.delete().where(is_old))
            query = sa.select(process_facts_table.c.facts).order_by(process_facts_table.c.process)
            return [fact for text in connection.execute(query).scalars() for fact in _facts_of(text)]

        return self.database.write(write)

    def watched(self) -> set[Kind]:
        """The kinds that processes watch whose facts `known` has returned, or that have told theirs since."""
        query = sa.select(process_facts_table.c.watches)
        found = self.database.read(lambda connection: connection.execute(query).scalars().all())
        return {Kind(kind) for text in found for kind in json.loads(text) if kind in tuple(Kind)}


def _facts_of(text: str) -> Iterable[Fact]:
    """The facts of a document. A kind that no version of this age knows is left out."""
    known: list[list[Any]] = [values for values in json.loads(text) if values[0] in tuple(Kind)]
    return (Fact(Kind(values[0]), *values[1:]) for values in known)
