"""The main flow: find what the lake lacks, and fetch it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.states import Cancelled, State

from config.effective import effective_values
from config.load import ConfigError, load_config, ping_of
from config.models import Config
from flows.conclusion import conclude
from flows.old_runs import delete_old_runs
from flows.opening import open_run
from flows.parameters import IsoDay, SeasonNames, SourceNames, Texts, naming_datasets, selection_of
from flows.prefect_run import PrefectRun
from flows.run_name import run_name
from flows.steps import executor_of, fetch, log_plan, publish, report_plan, settings_of_run
from flows.task_runner import FillTaskRunner
from tasks.answers import first_run
from tasks.answers.recorded import recorded_look
from tasks.answers.report import Report
from tasks.domain.assess.recorded import is_whole_look
from tasks.domain.errors import LedgerError
from tasks.domain.expected.cells import Selection
from tasks.domain.plan.plan import Plan
from tasks.domain.times import moment_of
from tasks.domain.wording import utc
from tasks.ledger.leases import RECONCILE
from tasks.ledger.plans import PLAN, RUN
from tasks.observe.look import check_keys
from tasks.observe.session import Session
from tasks.publish.dead_mans_switch import DeadMansSwitch, pinging
from tasks.publish.evaluation import note_lost
from tasks.publish.sending import send_once
from tasks.publish.telling import facts_of_end, tell_once
from tasks.run.dispatcher import Dispatcher
from tasks.run.run import Run


@flow(name="reconcile", flow_run_name=run_name, task_runner=FillTaskRunner(), validate_parameters=False)
@naming_datasets
async def reconcile(
    sources: SourceNames = (),
    datasets: Texts = (),
    seasons: SeasonNames = (),
    since: IsoDay = "",
    until: IsoDay = "",
    max_fills: int | None = None,
    as_of: str = "",
    dry_run: bool = False,
    full: bool = False,
) -> State[Any]:
    """Looks at the lake, plans, fetches what is missing, stale or broken, looks again, and reports.

    What is left empty does not narrow it down: without parameters, it covers the whole lake, as the scheduled runs do.

    Args:
        sources: only these sources
        datasets: only these datasets: DATASETS
        seasons: only these seasons, such as 2023-24
        since: only from this day on, such as 2024-01-31; the day of a game is that of the Eastern time zone
        until: only up to this day, such as 2024-02-29
        max_fills: start at most this many fills
        as_of: look at the lake as if it were this time, such as 2024-01-31T12:00:00Z; a future time needs dry_run
        dry_run: only report what would be fetched
        full: list the whole lake; of runs that nobody starts, reconcile.verify_every may have them list less
    """
    if reason := _why_superseded():
        get_run_logger().info("%s", reason)
        return Cancelled(message=reason)

    async def work() -> Report:
        selection = selection_of(sources, datasets, seasons, since, until)
        clock = moment_of("as_of", as_of or None)
        by_schedule = _is_scheduled() and not full
        return await _reconcile(selection, clock, max_fills, dry_run=dry_run, by_schedule=by_schedule)

    return await conclude(work())


def _is_scheduled() -> bool:
    """Has a schedule started this run, and no person?"""
    return "auto-scheduled" in flow_run.tags


def _why_superseded() -> str | None:
    """Why a scheduled run need not run because a later one is due; None if it has to run.

    After hours without a worker, many scheduled runs begin at once. Only the last one has work to do.
    """
    if not _is_scheduled():
        return None
    due: datetime = flow_run.scheduled_start_time
    try:
        interval = load_config().reconcile.interval
    except ConfigError:  # the run itself reports it
        return None
    late = datetime.now(UTC) - due
    return f"it was due at {utc(due)}, and a later run has become due" if late > interval else None


async def _reconcile(
    selection: Selection, as_of: datetime | None, max_fills: int | None, *, dry_run: bool, by_schedule: bool
) -> Report:
    """A reconcile. If it is one of the whole lake, a dead man's switch hears of it (alerts.ping).

    Raises AdceError and ConfigError.
    """
    try:
        config = settings_of_run(dry_run=dry_run)
    except ConfigError:
        with pinging(ping_of() if selection.is_everything and not (as_of or dry_run) else None):
            raise
    is_at_work = not (config.dry_run or config.test_mode or config.sandbox)
    is_whole = is_at_work and is_whole_look(config, selection, as_of, None)
    try:
        with pinging(config.alerts.ping if is_whole else None) as switch:
            return await _steps(config, selection, as_of, max_fills, switch, by_schedule=by_schedule)
    except Exception as error:
        await tell_once(config, partial(facts_of_end, error))
        raise


async def _steps(
    config: Config,
    selection: Selection,
    as_of: datetime | None,
    max_fills: int | None,
    switch: DeadMansSwitch,
    *,
    by_schedule: bool,
) -> Report:
    """The steps of a reconcile.

    Only one reconcile at a time has a certain lease. While another run has it, this one defers everything. Runs in test
    mode need no lease, and work beside the reconcile, as ad hoc fills and scraper runs do.

    Raises AdceError and ConfigError.
    """
    begun = time.monotonic()
    async with open_run(config, selection, as_of=as_of, max_fills=max_fills) as here:
        run, session = here.run, here.run.session
        run.by_schedule = by_schedule
        needs_lease = not (config.dry_run or config.test_mode)
        other = await run.take_reconcile_lease() if needs_lease else None
        has_lease = needs_lease and other is None
        if has_lease:
            switch.started()
        look = await run.look()
        check_keys(session, look)
        gaps = look.gaps()
        plan = run.defer_to(other, gaps) if other else await run.look_up(run.plan(gaps), gaps)
        report = replace(report_plan(run, look, plan), left_to=other)
        log_plan(report)
        if first_run.is_first(session):
            for line in first_run.about(config):
                get_run_logger().info(line)
        planned = report.plan_document()
        _keep_plan(session, planned, has_lease=has_lease, seconds=time.monotonic() - begun)
        is_recorded = has_lease and _is_whole(session)
        if is_recorded:
            _record_look(run, report)
            note_lost(config, session.ledger, session.id, datetime.now(UTC))
        if has_lease:
            switch.succeeded()
        if not config.dry_run:
            done_by = None if as_of else _done_by(run, time.monotonic() - begun)
            report = await _fetch(here, plan, report, planned if has_lease else None, done_by)
            if is_recorded:
                _record_look(run, report, is_done=not report.stopped)
        if not (config.dry_run or as_of):
            session.ledger.prune(session.begun - config.keep.attempts)
    report = replace(report, seconds=time.monotonic() - begun)
    await publish(report)
    if not report.stopped:
        with run.shutdown.on_signals():  # a signal must not crash a run whose work is done
            await _finish(config, run, has_lease=has_lease)
    return report


async def _finish(config: Config, run: Run, *, has_lease: bool) -> None:
    """What a run does when its work is done. It tells of incidents also if another run has the lease, and may hang."""
    telling = tell_once(config, partial(facts_of_end, None))
    if not has_lease:
        await telling
        return
    await asyncio.gather(send_once(config), telling)
    async with get_client() as client:
        before = datetime.now(UTC) - config.keep.runs
        await delete_old_runs(client, before, lambda: run.shutdown.reason is not None)


def _keep_plan(session: Session, planned: dict[str, Any], *, has_lease: bool, seconds: float) -> None:
    """Keeps the plan for `adce why`, which was made within `seconds` of the start.

    That of the run that has the lease is kept apart, and its settings with it.
    """
    plans = session.ledger.plans
    if has_lease:
        if session.leases.why_lost() is None:
            plans.keep(RUN, planned, session.now(), session.id, cycle=seconds)
            session.ledger.settings.keep(effective_values(session.config), session.begun)
    elif session.remembers and not session.config.test_mode:
        plans.keep(PLAN, planned, session.now(), session.id)


def _is_whole(session: Session) -> bool:
    """May the look of this session be recorded as one at the whole lake?"""
    days = session.ledger.looks.days() if session.config.sandbox else None
    return is_whole_look(session.config, session.selection, session.as_of, days)


def _record_look(run: Run, report: Report, *, is_done: bool = False) -> None:
    """Records what the look at the whole lake has found, if the run still has the lease; see Looks.record."""
    session = run.session
    look = recorded_look(report, session.id, run.known.first_seen)
    session.ledger.looks.record(look, lambda connection: session.leases.holds(connection, RECONCILE), is_done=is_done)


async def _fetch(
    here: PrefectRun, plan: Plan, report: Report, planned: dict[str, Any] | None, done_by: datetime | None
) -> Report:
    """Fetches what is planned, and keeps what is left for later, even if the ledger fails meanwhile.

    `planned` is the plan that is kept, or None if the run has no lease.
    """
    run = here.run
    dispatcher = Dispatcher(run, executor_of(here), done_by)
    try:
        report = await fetch(here, dispatcher, plan, report)
    except LedgerError:
        with suppress(LedgerError):  # the ledger may be back by now, or not
            left = replace(report, deferred=tuple(dispatcher.deferred), outcomes=run.outcomes)
            _keep_deferrals(run.session, planned, left)
        raise
    _keep_deferrals(run.session, planned, report)
    return report


def _keep_deferrals(session: Session, planned: dict[str, Any] | None, report: Report) -> None:
    """Keeps the plan for `adce why`: the fills as they were planned, and the reasons of what the run has deferred.

    If the plan that is kept is not this run's, because another run has or had the lease, it stays.
    """
    if planned is None:
        return
    document = report.plan_document() | {"fills": planned["fills"]}
    session.ledger.plans.update(RUN, document, session.now(), session.id)


def _done_by(run: Run, looked: float) -> datetime:
    """The time by which the fills of a reconcile should be done.

    Before the next reconcile begins, this one looks at the lake again, which takes about `looked` seconds.
    """
    rules = run.config.reconcile
    since: datetime = flow_run.scheduled_start_time if _is_scheduled() else run.session.begun
    return since + rules.interval - min(timedelta(seconds=looked), rules.interval - rules.time_budget)
