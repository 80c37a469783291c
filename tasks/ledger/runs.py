"""Which runs have there been, and how did each end?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tasks.domain.outcomes import RunEnd, RunPart
from tasks.ledger.database import Database, UtcSeconds, metadata

DEATHS = (RunEnd.DIED, RunEnd.BURIED)

runs_table = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("about", sa.String, nullable=False),
    sa.Column("holder", sa.String, nullable=False),
    sa.Column("process", sa.String),
    sa.Column("flow_run", sa.String),
    sa.Column("server", sa.String),
    sa.Column("buckets", sa.String),
    sa.Column("began", UtcSeconds, nullable=False, index=True),
    sa.Column("ended", UtcSeconds),
    sa.Column("outcome", sa.String),
    sa.Column("why", sa.String),
    *(sa.Column(f"{part}_seconds", sa.Double) for part in RunPart),
)


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server: its address, for people, and the ids of its rate buckets by name.

    The ids tell servers apart. One server has several addresses, and each database its own buckets.
    """

    address: str
    buckets: Mapping[str, str]

    def splits(self, other: Server) -> bool:
        """Has the other a bucket of its own for what this one has a bucket for? Then a rate would be spent twice."""
        return any(other.buckets.get(name, id) != id for name, id in self.buckets.items())


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a flow, of this process or another."""

    id: str
    kind: str
    about: str
    holder: str  # host and process, for people
    process: str | None  # processes.own_name
    flow_run: str | None  # its id in Prefect
    began: datetime
    ended: datetime | None
    outcome: RunEnd | None  # None while it is at work
    why: str | None = None  # it was stopped
    seconds: Mapping[str, float] = field(default_factory=dict)  # by RunPart

    @classmethod
    def of(cls, row: Any) -> RunRecord:
        """Of a row with all columns of `runs`."""
        outcome = row.outcome and RunEnd(row.outcome)
        return cls(
            row.id,
            row.kind,
            row.about,
            row.holder,
            row.process,
            row.flow_run,
            row.began,
            row.ended,
            outcome,
            row.why,
            {part.value: spent for part in RunPart if (spent := getattr(row, f"{part}_seconds")) is not None},
        )

    @property
    def as_another(self) -> str:
        """What another run of its kind says of it: who is at work, and since when."""
        return f"another {self.kind} is at work: {self.holder}, since {self.began:%H:%M:%S} UTC"

    @property
    def died(self) -> bool:
        return self.outcome in DEATHS

    @property
    def failed(self) -> bool:
        """It ended by an error of its own, before it could say what became of everything."""
        return self.outcome is RunEnd.FAILED


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of flows, of whichever process."""

    database: Database

    def of_flow_run(self, flow_run: str) -> RunRecord | None:
        """The run of a flow run in Prefect, if it has come so far as to say that it is at work."""
        mine = runs_table.c.flow_run == flow_run
        query = sa.select(runs_table).where(mine).order_by(runs_table.c.began.desc()).limit(1)
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        return RunRecord.of(row) if row else None

    def by_id(self, ids: Iterable[str]) -> Mapping[str, RunRecord]:
        """The runs with these ids."""
        query = sa.select(runs_table).where(runs_table.c.id.in_(list(ids)))
        return self.database.read(lambda connection: {row.id: RunRecord.of(row) for row in connection.execute(query)})

    def prune(self, connection: sa.Connection, before: datetime) -> None:
        """Forgets runs that have ended and began before then."""
        old = runs_table.c.ended.is_not(None) & (runs_table.c.began < before)
        connection.execute(runs_table.delete().where(old))
