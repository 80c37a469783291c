"""Which runs were there, and how did each end?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from tasks.domain.flow_names import RECONCILE
from tasks.domain.outcomes import RunEnd, RunPart
from tasks.domain.wording import utc
from tasks.ledger.database import Database, UtcSeconds, metadata, rows

EVERYTHING = "everything"  # what a reconcile of the whole lake is about
DEATHS = (RunEnd.DIED, RunEnd.DEATH_REPORTED)

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
    sa.Column("state", sa.String),
    sa.Column("why", sa.String),
    sa.Column("needs_mending", sa.Boolean),
    *(sa.Column(f"{part}_seconds", sa.Double) for part in RunPart),
    sa.Column("cycle_seconds", sa.Double),  # of a reconcile, from its start to its plan
    sa.Index("ix_runs_kind_outcome_ended", "kind", "outcome", "ended"),
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a flow, in this process or another."""

    id: str
    kind: str  # the name of the flow
    about: str  # which part of the lake the run is for, in words
    holder: str  # the run's host and process, for people
    process: str | None  # the name of the process; see processes.own_name
    flow_run: str | None  # the id of the flow run in Prefect
    began: datetime
    ended: datetime | None
    outcome: RunEnd | None  # None while the run is at work
    why: str | None = None  # why the run was stopped or failed; else the message of its final state in Prefect
    state: str | None = None  # the name of that state, if the run ended by itself
    needs_mending: bool | None = None  # has it left something undone that has failed? None if that is not known
    seconds: Mapping[str, float] = field(default_factory=dict)  # how long each RunPart took

    @classmethod
    def of(cls, row: Any) -> RunRecord:
        """The record of a row that has all columns of the table `runs`."""
        values = {f.name: getattr(row, f.name) for f in fields(cls) if f.name not in ("outcome", "seconds")}
        seconds = {part.value: spent for part in RunPart if (spent := getattr(row, f"{part}_seconds")) is not None}
        return cls(**values, outcome=row.outcome and RunEnd(row.outcome), seconds=seconds)

    @property
    def already_at_work(self) -> str:
        """The message for another run of the same kind that finds this one at work."""
        return f"another {self.kind} is at work: run {self.id[:8]} of {self.holder}, since {utc(self.began)}"

    @property
    def died(self) -> bool:
        """Did the run die, whether or not Prefect knows?"""
        return self.outcome in DEATHS

    @property
    def failed(self) -> bool:
        """Did the run end by an error of its own, before it recorded the outcome of every file?"""
        return self.outcome is RunEnd.FAILED


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of all processes that use the ledger."""

    database: Database

    def of_flow_run(self, flow_run: str) -> RunRecord | None:
        """The run of a flow run in Prefect; None if it has not recorded yet that it is at work."""
        is_its = runs_table.c.flow_run == flow_run
        query = sa.select(runs_table).where(is_its).order_by(runs_table.c.began.desc()).limit(1)
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        return RunRecord.of(row) if row else None

    def ids_of(self, flow_runs: Iterable[str]) -> dict[str, str]:
        """The ids of the runs of these flow runs in Prefect, by those of the flow runs. Some may not have begun."""
        columns = runs_table.c
        query = sa.select(columns.flow_run, columns.id).where(columns.flow_run.in_(list(flow_runs)))
        return self.database.read(lambda connection: dict(rows(connection, query.order_by(columns.began))))

    def of_id(self, id: UUID) -> list[RunRecord]:
        """The run of this id, and the runs of the flow run that has it in Prefect."""
        is_its = (runs_table.c.id == id.hex) | (runs_table.c.flow_run == str(id))
        rows = self.database.read(lambda connection: connection.execute(sa.select(runs_table).where(is_its)).all())
        return [RunRecord.of(row) for row in rows]

    def begun_since(
        self, since: datetime, kinds: Collection[str], most: int, flow_runs: Collection[str] = ()
    ) -> list[RunRecord]:
        """The last runs of these kinds that began since then, the newest first, and all of these flow runs."""
        columns = runs_table.c
        of_kinds = sa.select(runs_table).where(columns.kind.in_(list(kinds))).order_by(columns.began.desc())

        def read(connection: sa.Connection) -> list[RunRecord]:
            late = connection.execute(of_kinds.where(columns.began >= since).limit(most)).all()
            rows = {row.id: row for row in late}
            rows |= {row.id: row for row in connection.execute(of_kinds.where(columns.flow_run.in_(list(flow_runs))))}
            return [RunRecord.of(row) for row in rows.values()]

        return self.database.read(read)

    def first_began(self) -> datetime | None:
        """When the first run began that is still recorded."""
        return self.database.read(first_began)

    def last_cycle(self) -> tuple[datetime, float] | None:
        """When the last reconcile of the whole lake began that has published a plan, and its seconds until then."""
        columns = runs_table.c
        is_one = (columns.kind == RECONCILE) & (columns.about == EVERYTHING) & columns.cycle_seconds.is_not(None)
        query = sa.select(columns.began, columns.cycle_seconds).where(is_one).order_by(columns.began.desc()).limit(1)
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        return (row.began, row.cycle_seconds) if row else None

    def last_server(self) -> str | None:
        """The address of the Prefect server of the last run, if it had one of its own and not an embedded API."""
        columns = runs_table.c
        query = sa.select(columns.server).where(columns.server.is_not(None)).order_by(columns.began.desc()).limit(1)
        server: str | None = self.database.read(lambda connection: connection.execute(query).scalar())
        return server if server and server.startswith("http") else None

    def is_first(self, kind: str, run: str = "") -> bool:
        """Is there no run of this kind besides the one with the id `run`?"""
        query = sa.select(runs_table.c.id).where(runs_table.c.kind == kind, runs_table.c.id != run).limit(1)
        return self.database.read(lambda connection: connection.execute(query).first()) is None

    def any_has_looked(self) -> bool:
        """Is there a run that has come to its end, or was stopped on the way? It has looked at its part of the lake."""
        query = sa.select(runs_table.c.id).where(runs_table.c.outcome.in_([RunEnd.ENDED, RunEnd.STOPPED])).limit(1)
        return self.database.read(lambda connection: connection.execute(query).first()) is not None

    def last_ends(self, kinds: Iterable[str]) -> dict[tuple[str, RunEnd], datetime]:
        """When the last run of each kind ended with each outcome. A death that is reported counts as one."""
        columns = runs_table.c
        last = sa.select(sa.func.max(columns.ended))
        cases = [(kind, end) for kind in kinds for end in RunEnd]

        def read(connection: sa.Connection) -> dict[tuple[str, RunEnd], datetime]:
            found: dict[tuple[str, RunEnd], datetime] = {}
            for kind, end in cases:
                at = connection.execute(last.where(columns.kind == kind, columns.outcome == end.value)).scalar()
                case = kind, RunEnd.DIED if end in DEATHS else end
                if at and (case not in found or at > found[case]):
                    found[case] = at
            return found

        return self.database.read(read)

    def by_id(self, ids: Iterable[str]) -> Mapping[str, RunRecord]:
        """The runs with these ids, by id."""
        query = sa.select(runs_table).where(runs_table.c.id.in_(list(ids)))
        return self.database.read(lambda connection: {row.id: RunRecord.of(row) for row in connection.execute(query)})

    def prune(self, connection: sa.Connection, before: datetime) -> None:
        """Deletes runs that have ended and that began before a time, in an open transaction."""
        old = runs_table.c.ended.is_not(None) & (runs_table.c.began < before)
        connection.execute(runs_table.delete().where(old))


def first_began(connection: sa.Connection) -> datetime | None:
    """When the first run began that is still recorded, in an open transaction.

    Only of files that came due later is it known how soon they were found. The others are the backfill of the lake.
    """
    return connection.execute(sa.select(sa.func.min(runs_table.c.began))).scalar()
