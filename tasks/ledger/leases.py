"""Which runs are alive, and which files does each of them fetch? The leases of runs, and their claims."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from tasks import clock
from tasks.domain.assess.claims import Claim
from tasks.domain.errors import BucketError, LedgerError
from tasks.domain.flow_names import RECONCILE as RECONCILE_FLOW
from tasks.domain.limits.servers import Server, Use
from tasks.domain.metrics import RUN_SECONDS, RUNS, Amounts
from tasks.domain.outcomes import RunEnd, RunPart
from tasks.ledger.database import Database, among, metadata
from tasks.ledger.requests import report_requests
from tasks.ledger.runs import DEATHS, EVERYTHING, RunRecord, runs_table
from tasks.ledger.totals import Totals
from tasks.processes import is_gone, own_name

log = logging.getLogger(__name__)

RECONCILE = "reconcile"  # the name of a lease that only one run can hold at a time
METRICS = "metrics"  # the same for processes that send metrics, which need not be runs
ALERTS = "alerts"  # the same for processes that evaluate and tell incidents
_LONGEST_RUN = timedelta(days=1)  # of those that have ended and are compared with others
_SLACK = 1.0  # seconds by which a clock may be corrected
_RENEWALS = 3  # how often a lease is renewed in the time that it lasts, or more often if that is long
_REPORT_EVERY = 10.0  # seconds after which a lease is renewed at the latest, which reports the requests that were sent

leases_table = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("run", sa.String, nullable=False, index=True),
    sa.Column("until", sa.Double, nullable=False),
    sa.Column("lasts", sa.Double, nullable=False),
)
claims_table = sa.Table(
    "claims",
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
    """The statement of Leases.claim as text, because SQLAlchemy 2.0 compiles an ON CONFLICT clause every time."""
    return sa.text(
        f"""
        INSERT INTO claims (work, run) SELECT wanted.work, :run FROM ({_WANTED[dialect]}) AS wanted WHERE true
        ON CONFLICT (work) DO UPDATE SET run = excluded.run
        WHERE claims.run IN (excluded.run, :parent) OR claims.run NOT IN
            (SELECT name FROM leases WHERE until > :now AND until <= :now + lasts + {_SLACK})
        RETURNING work
        """
    ).bindparams(sa.bindparam("now", type_=sa.Double))


def live_flow_runs(database: Database) -> set[str]:
    """The ids, in Prefect, of the flow runs of the runs that are alive, as far as that is known on this host."""

    def read(connection: sa.Connection) -> set[str]:
        now, table = database.now(connection), runs_table.c
        query = sa.select(table.flow_run, table.process).join(leases_table, leases_table.c.name == table.id)
        found = connection.execute(query.where(_alive(now), table.flow_run.is_not(None)))
        return {flow_run for flow_run, process in found if not is_gone(process)}

    return database.read(read)


def runs_at_work(database: Database) -> dict[str, int]:
    """How many runs are at work, by kind: they have no end, and are alive as far as that is known on this host."""

    def read(connection: sa.Connection) -> dict[str, int]:
        table = runs_table.c
        query = sa.select(table.kind, table.process).join(leases_table, leases_table.c.name == table.id)
        found = connection.execute(query.where(_alive(database.now(connection)), table.ended.is_(None)))
        return Counter(kind for kind, process in found if not is_gone(process))

    return database.read(read)


def live_claims(database: Database) -> int:
    """How many requests the runs that are alive have claimed."""

    def read(connection: sa.Connection) -> int:
        join = claims_table.join(leases_table, leases_table.c.name == claims_table.c.run)
        query = sa.select(sa.func.count()).select_from(join).where(_alive(database.now(connection)))
        return int(connection.execute(query).scalar_one())

    return database.read(read)


def unplanned_since(database: Database) -> datetime | None:
    """When the reconcile of the whole lake began that is at work and has not published a plan yet; None without one."""

    def read(connection: sa.Connection) -> datetime | None:
        table = runs_table.c
        query = sa.select(table.began, table.process).join(leases_table, leases_table.c.name == table.id)
        is_one = (table.kind == RECONCILE_FLOW) & (table.about == EVERYTHING) & table.cycle_seconds.is_(None)
        found = connection.execute(query.where(_alive(database.now(connection)), table.ended.is_(None), is_one))
        return min((began for began, process in found if not is_gone(process)), default=None)

    return database.read(read)


def uses_since(database: Database, since: datetime) -> list[Use]:
    """The runs that have used the rate buckets of Prefect servers since then, also those that were refused.

    One that has died, or whose lease has lapsed, counts as ended when it began: when it died is not recorded.
    """
    table = runs_table.c
    wanted = sa.select(table.server, table.buckets, table.began, table.ended, table.outcome, table.process)
    wanted = wanted.where(table.server.is_not(None))
    ended = wanted.where(table.began >= since - _LONGEST_RUN, table.ended >= since)

    def read(connection: sa.Connection) -> list[Use]:
        alive = _alive(database.now(connection))
        at_work = wanted.join(leases_table, leases_table.c.name == table.id).where(alive, table.ended.is_(None))
        return [_use(*row) for query in (at_work, ended) for row in connection.execute(query)]

    return database.read(read)


def _use(
    server: str, buckets: str, began: datetime, ended: datetime | None, outcome: str | None, process: str | None
) -> Use:
    has_died = outcome in DEATHS or (ended is None and is_gone(process))
    is_refused = outcome == RunEnd.FAILED and ended == began  # see Leases._record_refused
    return Use(Server(server, json.loads(buckets)), began, began if has_died else ended, is_refused)


class Leases:
    """The leases and claims of one run. All times are those of Database.now, the clock that all processes share.

    A run is alive while it holds the lease with its own id as the name. A separate thread renews the leases, so that
    long computations do not make them lapse. It also reports the requests that the run has sent. A lease that would
    end later than is possible was taken before the clock was set back, and counts as lapsed.

    A run that does a part of the plan of another run, its `parent`, may take over the parent's claims.
    """

    def __init__(self, database: Database, run: str, lasts: timedelta, parent: str | None = None):
        self.run = run
        self.parent = parent or run
        self._database = database
        self._totals = Totals(database)
        self.sent: Callable[[], Mapping[str, int]] = lambda: {}  # the requests that the run has sent, by source
        self._reported: Mapping[str, int] = {}  # those of them that the ledger knows
        self._kind = ""
        self._lasts = lasts.total_seconds()
        self._names = {run}  # the names of the leases that this run holds
        self._ended = threading.Event()
        self._renewing: threading.Thread | None = None
        self._on_lost: Callable[[str], None] = lambda why: None
        self._lost: str | None = None  # why this run has lost its leases
        self._sure_until = math.inf  # by tasks.clock; until then no other run can have taken a lease over

    def begin(
        self,
        kind: str,
        about: str,
        flow_run: str | None,
        on_lost: Callable[[str], None],
        server: Server | None = None,
    ) -> None:
        """Records that the run begins, and takes its own lease.

        If a lease is lost, `on_lost` is called with the reason, in any thread. Raises BucketError if another run that
        is alive uses the rate buckets of a different Prefect server than `server`.
        """
        asked = clock.seconds()
        self._kind = kind

        def write(connection: sa.Connection) -> None:
            now = self._database.now(connection)
            if server:
                _refuse_two_servers(connection, server, now)
            connection.execute(runs_table.insert().values(self._row(about, flow_run, server, now)))
            connection.execute(leases_table.insert().values(name=self.run, **self._lease(now)))

        try:
            self._database.write(write)
        except BucketError as error:
            self._record_refused(about, flow_run, server, str(error))
            raise
        self._on_lost = on_lost
        self._sure_until = asked + self._lasts
        self._renewing = threading.Thread(target=self._keep, daemon=True, name="leases")
        self._renewing.start()

    def _row(self, about: str, flow_run: str | None, server: Server | None, now: float) -> dict[str, object]:
        """The columns of a run that begins now."""
        return {
            "id": self.run,
            "kind": self._kind,
            "about": about,
            "holder": f"{socket.gethostname()} (process {os.getpid()})",
            "process": own_name(),
            "flow_run": flow_run,
            "server": server and server.address,
            "buckets": server and json.dumps(dict(server.buckets)),
            "began": datetime.fromtimestamp(now, UTC),
        }

    def _record_refused(self, about: str, flow_run: str | None, server: Server | None, why: str) -> None:
        """Records a run that may not begin, as one that has failed at once."""

        def write(connection: sa.Connection) -> None:
            row = self._row(about, flow_run, server, self._database.now(connection))
            end = {"ended": row["began"], "outcome": RunEnd.FAILED.value, "why": why}
            connection.execute(runs_table.insert().values(row | end))
            amounts = Amounts()
            amounts.count(RUNS, flow=self._kind, outcome=RunEnd.FAILED.value)
            self._totals.add(connection, amounts)

        self._database.write(write)

    def take(self, name: str) -> tuple[RunRecord, float] | None:
        """Takes the lease with this name. Returns None, or the run that holds it and the seconds until it ends."""

        def write(connection: sa.Connection) -> tuple[RunRecord, float] | None:
            now = self._database.now(connection)
            hold(connection, self._database, name, self.run, now, self._lasts)
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
        """Claims units of work (Cell.work) for this run, in an open transaction. Returns those that it has now.

        It does not get those that another run has claimed, if that run is alive.
        """
        now, wanted = self._database.now(connection), json.dumps(sorted(set(works)))
        values = {"works": wanted, "run": self.run, "parent": self.parent, "now": now}
        return set(connection.execute(_claim(connection.dialect.name), values).scalars())

    def release(self, works: Iterable[str]) -> None:
        """Ends claims of this run."""
        works = list(works)
        self._database.write(lambda connection: release(connection, self.run, works))

    def claims(self) -> dict[str, Claim]:
        """The claims of other runs that are alive, by Cell.work."""

        def read(connection: sa.Connection) -> dict[str, Claim]:
            now = self._database.now(connection)
            query = (
                sa.select(claims_table.c.work, runs_table.c.id, runs_table.c.holder, leases_table.c.until)
                .join(leases_table, leases_table.c.name == claims_table.c.run)
                .join(runs_table, runs_table.c.id == claims_table.c.run)
                .where(_alive(now), claims_table.c.run.not_in([self.run, self.parent]))
            )
            return {
                work: Claim(run, holder, datetime.fromtimestamp(until, UTC))
                for work, run, holder, until in connection.execute(query)
            }

        return self._database.read(read)

    def end_dead_runs(self) -> list[RunRecord]:
        """Records the deaths of runs, and ends their leases and claims.

        A run has died if its lease has lapsed, or if its process was on this host and is gone. Returns all runs whose
        deaths are not reported yet; see record_death_reported.
        """

        def write(connection: sa.Connection) -> list[RunRecord]:
            now = self._database.now(connection)
            alive = set(connection.execute(sa.select(leases_table.c.name).where(_alive(now))).scalars())
            unended = connection.execute(
                sa.select(runs_table.c.id, runs_table.c.process).where(runs_table.c.ended.is_(None))
            )
            dead = [run for run, process in unended if run not in alive or is_gone(process)]
            ended = {"ended": datetime.fromtimestamp(now, UTC), "outcome": RunEnd.DIED.value}
            this = runs_table.c.id.in_(dead) & runs_table.c.ended.is_(None)
            died = connection.execute(runs_table.update().where(this).values(ended).returning(runs_table.c.kind))
            amounts = Amounts()
            for kind in died.scalars():  # a run whose death another process has recorded meanwhile is not among them
                amounts.count(RUNS, flow=kind, outcome=RunEnd.DIED.value)
            for table in (claims_table, leases_table):
                connection.execute(table.delete().where(table.c.run.in_(dead)))
            unreported = sa.select(runs_table).where(runs_table.c.outcome == RunEnd.DIED.value)
            records = [RunRecord.of(row) for row in connection.execute(unreported)]
            self._totals.add(connection, amounts)
            return records

        return self._database.write(write)

    def holds(self, connection: sa.Connection, name: str) -> bool:
        """Does this run hold the lease with this name? If so, until the end of the open transaction.

        In PostgreSQL, the row is locked, so that no other run can take the lease over meanwhile.
        """
        mine = (leases_table.c.name == name) & (leases_table.c.run == self.run)
        query = sa.select(leases_table.c.name).where(mine, _alive(self._database.now(connection)))
        query = query.with_for_update(read=True)
        return connection.execute(query).first() is not None

    def is_at_work(self, run: str) -> bool:
        """Is the run with this id alive, and without an end?"""

        def read(connection: sa.Connection) -> Any:
            query = sa.select(runs_table.c.process).join(leases_table, leases_table.c.name == runs_table.c.id)
            is_alive = _alive(self._database.now(connection)) & runs_table.c.ended.is_(None)
            return connection.execute(query.where(runs_table.c.id == run, is_alive)).one_or_none()

        row = self._database.read(read)
        return row is not None and not is_gone(row.process)

    def live_flow_runs(self) -> set[str]:
        """The ids, in Prefect, of the flow runs of the runs that are alive."""
        return live_flow_runs(self._database)

    def record_death_reported(self, run: str) -> None:
        """Records that Prefect and the log know of the death of a run."""
        update = runs_table.update().where(runs_table.c.id == run).values(outcome=RunEnd.DEATH_REPORTED.value)
        self._database.write(lambda connection: connection.execute(update))

    def end(
        self,
        outcome: RunEnd,
        why: str | None = None,
        seconds: Mapping[str, float] | None = None,
        state: str | None = None,
        needs_mending: bool | None = None,
    ) -> None:
        """Records how the run ended, and the `seconds` each RunPart took. See RunRecord for the other arguments.

        Ends its leases and claims, and the thread that renews them.
        """
        seconds = seconds or {}
        self._ended.set()
        if self._renewing:
            self._renewing.join()
        sent = self.sent()

        def write(connection: sa.Connection) -> None:
            now, mine = self._database.now(connection), runs_table.c.id == self.run
            self._report(connection, sent, now)
            at = datetime.fromtimestamp(now, UTC)
            amounts = Amounts()
            end_of_it = connection.execute(sa.select(runs_table.c.ended).where(mine).with_for_update()).scalar()
            if end_of_it is None:  # else another process has taken the run for dead, and counted that
                amounts.count(RUNS, flow=self._kind, outcome=outcome.value)
            for part in RunPart:
                if part in seconds:
                    amounts.observe(RUN_SECONDS, seconds[part], flow=self._kind, part=part.value)
            ended: dict[str, object] = {"ended": at, "outcome": outcome.value, "state": state, "why": why}
            ended["needs_mending"] = needs_mending
            ended |= {f"{part}_seconds": seconds[part] for part in RunPart if part in seconds}
            connection.execute(runs_table.update().where(mine).values(ended))
            for table in (claims_table, leases_table):
                connection.execute(table.delete().where(table.c.run == self.run))
            self._totals.add(connection, amounts)

        self._database.write(write)

    def why_lost(self) -> str | None:
        """Why the run has lost its leases, or None while it holds them. To be called before anything is begun.

        If the process was suspended, or its host asleep, for so long that the leases may have lapsed, this first tries
        to renew them.
        """
        if self._lost is None and clock.seconds() >= self._sure_until and not self._ended.is_set():
            self._renew_or_lose()
        return self._lost

    def another_run_died_since(self, moment: datetime) -> bool:
        """Has another run died since a time, or has its lease lapsed?

        If so, it may have stored files without recording them.
        """

        def read(connection: sa.Connection) -> bool:
            alive = sa.select(leases_table.c.name).where(_alive(self._database.now(connection)))
            columns = runs_table.c
            lapsed = columns.ended.is_(None) & columns.id.not_in(alive)
            died = columns.outcome.in_(DEATHS) & (columns.ended > moment - timedelta(seconds=_SLACK))
            query = sa.select(columns.id).where(columns.id != self.run, lapsed | died).limit(1)
            return connection.execute(query).first() is not None

        return self._database.read(read)

    def _keep(self) -> None:
        while not self._ended.wait(renewed_every(self._lasts)):
            self._renew_or_lose()
            if self._lost:
                return

    def _renew_or_lose(self) -> None:
        asked, sent = clock.seconds(), self.sent()
        try:
            kept = self._database.write(lambda connection: self._renew(connection, sent))
        except LedgerError as error:
            self._lose(str(error))
            return
        self._reported = sent
        if kept:
            self._sure_until = asked + self._lasts
        else:
            self._lose("its lease lapsed, and another run may have taken over")

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = why
            self._on_lost(why)

    def _renew(self, connection: sa.Connection, sent: Mapping[str, int]) -> bool:
        """Renews the leases of this run. Returns False if any has lapsed, as after a long sleep of the host.

        A lease that has lapsed is never renewed, because another run may have noticed that it had.
        """
        now = self._database.now(connection)
        self._report(connection, sent, now)
        held = (leases_table.c.run == self.run) & _alive(now)
        renewed = connection.execute(leases_table.update().where(held).values(until=now + self._lasts)).rowcount
        return renewed >= len(self._names)  # a lease that `take` has just taken is not among the names yet

    def _report(self, connection: sa.Connection, sent: Mapping[str, int], now: float) -> None:
        """Reports the requests that the run has sent since the last report."""
        new = {source: count - self._reported.get(source, 0) for source, count in sent.items()}
        report_requests(connection, self.run, now, new)

    def _lease(self, now: float) -> dict[str, object]:
        """The columns of a lease that begins now."""
        return {"run": self.run, "until": now + self._lasts, "lasts": self._lasts}


def renewed_every(lasts: float) -> float:
    """After how many seconds a lease is renewed that lasts for so many."""
    return min(lasts / _RENEWALS, _REPORT_EVERY)


def hold(connection: sa.Connection, database: Database, name: str, run: str, now: float, lasts: float) -> bool:
    """Takes the lease with this name for some seconds, or renews it, in an open transaction. Has `run` got it then?

    Nobody else can take it before the transaction has ended.
    """
    lease = {"run": run, "until": now + lasts, "lasts": lasts}
    statement = database.dialect.insert(leases_table).values(name=name, **lease)
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_=lease, where=~_alive(now) | (leases_table.c.run == run)
    )
    connection.execute(statement)
    holder = sa.select(leases_table.c.run).where(leases_table.c.name == name)
    return bool(connection.execute(holder).scalar_one() == run)


def let_go(connection: sa.Connection, name: str, run: str) -> None:
    """Ends the lease with this name, if `run` has it."""
    connection.execute(leases_table.delete().where(leases_table.c.name == name, leases_table.c.run == run))


def release(connection: sa.Connection, run: str, works: Iterable[str]) -> None:
    """Ends claims of a run, in the transaction that records the outcome of the work."""
    is_claim = (claims_table.c.run == run) & among(connection, claims_table.c.work, works)
    connection.execute(claims_table.delete().where(is_claim))


def _alive(now: float) -> sa.ColumnElement[bool]:
    """The SQL condition that a lease has not lapsed."""
    columns = leases_table.c
    return (columns.until > now) & (columns.until <= now + columns.lasts + _SLACK)


def _refuse_two_servers(connection: sa.Connection, server: Server, now: float) -> None:
    """Raises BucketError if a run that is alive uses the rate buckets of another Prefect server."""
    if connection.dialect.name == "postgresql":  # locks the table, so that two runs that begin at once see each other
        connection.execute(sa.text("LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE"))
    query = sa.select(runs_table).join(leases_table, leases_table.c.name == runs_table.c.id)
    for row in connection.execute(query.where(_alive(now), runs_table.c.server.is_not(None))):
        other = Server(row.server, json.loads(row.buckets))
        if server.doubles_rates_with(other) and not is_gone(row.process):
            raise BucketError(
                f"the rate buckets of {row.server} are in use, by run {row.id[:8]} of {row.holder}, and this run's "
                f"Prefect API is {server.address}: both together would spend every rate twice; "
                "let PREFECT_API_URL name the same server, or wait for that run to end"
            )
