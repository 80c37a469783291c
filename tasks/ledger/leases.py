"""Who is at work on what, and is it still alive? The leases of runs, and their marks on what they fetch."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

import sqlalchemy as sa

from tasks import clock
from tasks.domain.assess.claims import Claim
from tasks.domain.errors import BucketError, LedgerError
from tasks.domain.metrics import RUN_SECONDS, RUNS, Amounts
from tasks.domain.outcomes import RunEnd, RunPart
from tasks.ledger.database import Database, among, metadata
from tasks.ledger.runs import DEATHS, RunRecord, Server, runs_table
from tasks.ledger.totals import Totals
from tasks.processes import is_gone, own_name

log = logging.getLogger(__name__)

RECONCILE = "reconcile"  # the lease that only one run has at a time
_SLACK = 1.0  # seconds by which a clock may be corrected
_RENEWALS = 3  # in the time that a lease lasts

leases_table = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("run", sa.String, nullable=False, index=True),
    sa.Column("until", sa.Double, nullable=False),
    sa.Column("lasts", sa.Double, nullable=False),
)
marks_table = sa.Table(
    "marks",
    metadata,
    sa.Column("work", sa.String, primary_key=True),
    sa.Column("run", sa.String, nullable=False, index=True),
)
_WANTED = {
    "sqlite": "SELECT value AS work FROM json_each(:works)",
    "postgresql": "SELECT json_array_elements_text(CAST(:works AS json)) AS work",
}


@cache
def _claim(dialect: str) -> sa.TextClause:
    """As text, since SQLAlchemy 2.0 compiles an ON CONFLICT anew every time."""
    return sa.text(
        f"""
        INSERT INTO marks (work, run) SELECT wanted.work, :run FROM ({_WANTED[dialect]}) AS wanted WHERE true
        ON CONFLICT (work) DO UPDATE SET run = excluded.run
        WHERE marks.run IN (excluded.run, :parent) OR marks.run NOT IN
            (SELECT name FROM leases WHERE until > :now AND until <= :now + lasts + {_SLACK})
        RETURNING work
        """
    ).bindparams(sa.bindparam("now", type_=sa.Double))


class Leases:
    """What one run holds. All times are of Database.now, the clock that everybody who shares the ledger sees.

    A lease is renewed by a thread of its own, so that long computations of the run do not cost it. One that would last
    longer than any lease does was taken before a clock was set back, and counts as lapsed.

    A run that does a part of what another has planned, its `parent`, may take over the parent's marks.
    """

    def __init__(self, database: Database, run: str, lasts: timedelta, parent: str | None = None):
        self.run = run
        self.parent = parent or run
        self._database = database
        self._totals = Totals(database)
        self._kind = ""
        self._lasts = lasts.total_seconds()
        self._names = {run}  # of the leases that this run has
        self._ended = threading.Event()
        self._renewing: threading.Thread | None = None
        self._on_lost: Callable[[str], None] = lambda why: None
        self._lost: str | None = None  # why the leases are not this run's any more
        self._sure_until = math.inf  # by tasks.clock, when nobody can have taken a lease over

    def begin(
        self,
        kind: str,
        about: str,
        flow_run: str | None,
        on_lost: Callable[[str], None],
        server: Server | None = None,
    ) -> None:
        """Records the run and takes its own lease; `on_lost` is told, in some thread, when it could not be kept.

        Raises BucketError while a run that is alive uses the rate buckets of another Prefect server than `server`.
        """
        asked = clock.seconds()
        self._kind = kind

        def write(connection: sa.Connection) -> None:
            now = self._database.now(connection)
            if server:
                _refuse_two_servers(connection, server, now)
            connection.execute(
                runs_table.insert().values(
                    id=self.run,
                    kind=kind,
                    about=about,
                    holder=f"{socket.gethostname()} (process {os.getpid()})",
                    process=own_name(),
                    flow_run=flow_run,
                    server=server and server.address,
                    buckets=server and json.dumps(dict(server.buckets)),
                    began=datetime.fromtimestamp(now, UTC),
                )
            )
            connection.execute(leases_table.insert().values(name=self.run, **self._lease(now)))

        self._database.write(write)
        self._on_lost = on_lost
        self._sure_until = asked + self._lasts
        self._renewing = threading.Thread(target=self._keep, daemon=True, name="leases")
        self._renewing.start()

    def take(self, name: str) -> tuple[RunRecord, float] | None:
        """Takes a lease that one run has at a time; or tells who has it, and for how many seconds yet."""

        def write(connection: sa.Connection) -> tuple[RunRecord, float] | None:
            now = self._database.now(connection)
            insert = self._database.dialect.insert(leases_table)
            statement = insert.values(name=name, **self._lease(now)).on_conflict_do_update(
                index_elements=["name"],
                set_=self._lease(now),
                where=~_alive(now) | (leases_table.c.run == self.run),
            )
            connection.execute(statement)
            query = sa.select(leases_table.c.until, *runs_table.c).join(
                runs_table, runs_table.c.id == leases_table.c.run
            )
            row = connection.execute(query.where(leases_table.c.name == name)).one()
            return None if row.id == self.run else (RunRecord.of(row), row.until - now)

        held = self._database.write(write)
        if held is None:
            self._names.add(name)
        return held

    def claim(self, connection: sa.Connection, works: Iterable[str]) -> set[str]:
        """Marks what is not marked by another run that is alive; gives what this run may do."""
        now, wanted = self._database.now(connection), json.dumps(sorted(set(works)))
        values = {"works": wanted, "run": self.run, "parent": self.parent, "now": now}
        return set(connection.execute(_claim(connection.dialect.name), values).scalars())

    def release(self, works: Iterable[str]) -> None:
        """Takes this run's marks off."""
        works = list(works)
        self._database.write(lambda connection: release(connection, self.run, works))

    def claims(self) -> dict[str, Claim]:
        """What other runs that are alive are at, by Cell.work."""

        def read(connection: sa.Connection) -> dict[str, Claim]:
            now = self._database.now(connection)
            query = (
                sa.select(marks_table.c.work, runs_table.c.id, runs_table.c.holder, leases_table.c.until)
                .join(leases_table, leases_table.c.name == marks_table.c.run)
                .join(runs_table, runs_table.c.id == marks_table.c.run)
                .where(_alive(now), marks_table.c.run.not_in([self.run, self.parent]))
            )
            return {
                work: Claim(run, holder, datetime.fromtimestamp(until, UTC))
                for work, run, holder, until in connection.execute(query)
            }

        return self._database.read(read)

    def bury_the_dead(self) -> list[RunRecord]:
        """Records the end of runs that died, and frees what they held; gives those that `buried` was not told of.

        Their lease has lapsed, or their process was on this host and is gone.
        """

        def write(connection: sa.Connection) -> list[RunRecord]:
            now = self._database.now(connection)
            alive = set(connection.execute(sa.select(leases_table.c.name).where(_alive(now))).scalars())
            unended = connection.execute(
                sa.select(runs_table.c.id, runs_table.c.process, runs_table.c.kind).where(runs_table.c.ended.is_(None))
            )
            kinds = {run: kind for run, process, kind in unended if run not in alive or is_gone(process)}
            dead = list(kinds)
            ended = {"ended": datetime.fromtimestamp(now, UTC), "outcome": RunEnd.DIED.value}
            this = runs_table.c.id.in_(dead) & runs_table.c.ended.is_(None)
            connection.execute(runs_table.update().where(this).values(ended))
            for table in (marks_table, leases_table):
                connection.execute(table.delete().where(table.c.run.in_(dead)))
            amounts = Amounts()
            for kind in kinds.values():
                amounts.count(RUNS, kind=kind, outcome=RunEnd.DIED.value)
            unburied = sa.select(runs_table).where(runs_table.c.outcome == RunEnd.DIED.value)
            records = [RunRecord.of(row) for row in connection.execute(unburied)]
            self._totals.add(connection, amounts)
            return records

        return self._database.write(write)

    def at_work(self) -> set[str]:
        """The flow runs, by their ids in Prefect, of the runs that are alive."""

        def read(connection: sa.Connection) -> set[str]:
            now = self._database.now(connection)
            query = sa.select(runs_table.c.flow_run).join(leases_table, leases_table.c.name == runs_table.c.id)
            found = connection.execute(query.where(_alive(now), runs_table.c.flow_run.is_not(None)))
            return set(found.scalars())

        return self._database.read(read)

    def buried(self, run: str) -> None:
        """Everybody who is to know that a run died has been told."""
        update = runs_table.update().where(runs_table.c.id == run).values(outcome=RunEnd.BURIED.value)
        self._database.write(lambda connection: connection.execute(update))

    def end(self, outcome: RunEnd, why: str | None = None, seconds: Mapping[str, float] | None = None) -> None:
        """Records how the run ended, why it was stopped, and its `seconds` by RunPart; gives everything back."""
        seconds = seconds or {}
        amounts = Amounts()
        amounts.count(RUNS, kind=self._kind, outcome=outcome.value)
        for part in RunPart:
            if part in seconds:
                amounts.observe(RUN_SECONDS, seconds[part], kind=self._kind, part=part.value)
        self._ended.set()
        if self._renewing:
            self._renewing.join()

        def write(connection: sa.Connection) -> None:
            now = datetime.fromtimestamp(self._database.now(connection), UTC)
            ended: dict[str, object] = {"ended": now, "outcome": outcome.value, "why": why}
            ended |= {f"{part}_seconds": seconds[part] for part in RunPart if part in seconds}
            connection.execute(runs_table.update().where(runs_table.c.id == self.run).values(ended))
            for table in (marks_table, leases_table):
                connection.execute(table.delete().where(table.c.run == self.run))
            self._totals.add(connection, amounts)

        self._database.write(write)

    def why_lost(self) -> str | None:
        """Why the leases are not this run's any more, or None while they are; to be asked before anything is begun.

        When the process was stopped, or its host asleep, for so long that they may have lapsed, they are renewed first.
        """
        if self._lost is None and clock.seconds() >= self._sure_until and not self._ended.is_set():
            self._renew_or_lose()
        return self._lost

    def others_died_since(self, moment: datetime) -> bool:
        """Has another run died since, or is its lease lapsed? What it stored last, it may not have recorded."""

        def read(connection: sa.Connection) -> bool:
            alive = sa.select(leases_table.c.name).where(_alive(self._database.now(connection)))
            columns = runs_table.c
            lapsed = columns.ended.is_(None) & columns.id.not_in(alive)
            died = columns.outcome.in_(DEATHS) & (columns.ended > moment - timedelta(seconds=_SLACK))
            query = sa.select(columns.id).where(columns.id != self.run, lapsed | died).limit(1)
            return connection.execute(query).first() is not None

        return self._database.read(read)

    def _keep(self) -> None:
        while not self._ended.wait(self._lasts / _RENEWALS):
            self._renew_or_lose()
            if self._lost:
                return

    def _renew_or_lose(self) -> None:
        asked = clock.seconds()
        try:
            kept = self._database.write(self._renew)
        except LedgerError as error:
            self._lose(str(error))
            return
        if kept:
            self._sure_until = asked + self._lasts
        else:
            self._lose("its lease lapsed, and another run may have taken over")

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = why
            self._on_lost(why)

    def _renew(self, connection: sa.Connection) -> bool:
        """Whether all leases are still this run's: after a long sleep of the host they may not be, and never are again.

        A lease that has lapsed is not revived: somebody else may have seen that it had.
        """
        now = self._database.now(connection)
        mine = (leases_table.c.run == self.run) & _alive(now)
        renewed = connection.execute(leases_table.update().where(mine).values(until=now + self._lasts)).rowcount
        return renewed >= len(self._names)  # one that was just taken is not among the names yet

    def _lease(self, now: float) -> dict[str, object]:
        return {"run": self.run, "until": now + self._lasts, "lasts": self._lasts}


def release(connection: sa.Connection, run: str, works: Iterable[str]) -> None:
    """Takes a run's marks off, in the transaction that records what became of the work."""
    mine = (marks_table.c.run == run) & among(connection, marks_table.c.work, works)
    connection.execute(marks_table.delete().where(mine))


def _alive(now: float) -> sa.ColumnElement[bool]:
    columns = leases_table.c
    return (columns.until > now) & (columns.until <= now + columns.lasts + _SLACK)


def _refuse_two_servers(connection: sa.Connection, server: Server, now: float) -> None:
    if connection.dialect.name == "postgresql":  # two that begin at once see each other
        connection.execute(sa.text("LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE"))
    query = sa.select(runs_table).join(leases_table, leases_table.c.name == runs_table.c.id)
    for row in connection.execute(query.where(_alive(now), runs_table.c.server.is_not(None))):
        if server.splits(Server(row.server, json.loads(row.buckets))) and not is_gone(row.process):
            raise BucketError(
                f"the rate buckets of {row.server} are in use, by run {row.id[:8]} of {row.holder}, and this run's "
                f"Prefect API is {server.address}: both together would spend every rate twice; "
                "let PREFECT_API_URL name the same server, or wait for that run to end"
            )
