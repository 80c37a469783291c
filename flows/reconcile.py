"""The main flow: find what the lake lacks, and fetch it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.states import Cancelled, Failed, State

from config.effective import effective_values
from config.load import ConfigError, load_config
from config.models import Priority
from config.secrets import no_secret_in_errors
from flows.by_deployment import ByDeployment
from flows.control import cancel_came_late
from flows.in_process import InProcess
from flows.old_runs import delete_old_runs
from flows.opening import open_run
from flows.parameters import Day, Seasons, Sources, Texts, naming_datasets, selection_of
from flows.prefect_run import PrefectRun, state_of
from flows.run_log import plan_lines
from flows.task_runner import FillTaskRunner
from tasks.answers import first_run
from tasks.answers.ending import CANCELLED, Ending, ending, headline
from tasks.answers.report import Report
from tasks.answers.settings import SettingsUsed, settings_used
from tasks.domain.errors import AdceError, LedgerError
from tasks.domain.expected.cells import Selection, assume_utc
from tasks.domain.outcomes import RunPart
from tasks.domain.plan.plan import in_start_order
from tasks.domain.times import moment_of
from tasks.domain.wording import plural, utc
from tasks.ledger.plans import PLAN, RUN, SETTINGS
from tasks.log_lines import IN_REPORT
from tasks.observe.look import check_keys
from tasks.observe.session import Part, Session
from tasks.progress import PROGRESS, no_progress, told
from tasks.run.dispatcher import Dispatcher, Executor
from tasks.run.run import Run
from tasks.show.coverage import markdown as coverage_markdown
from tasks.show.coverage.words import summary_of
from tasks.show.markdown import plan_markdown, run_markdown

log = logging.getLogger("flows.reconcile")  # whatever Prefect calls this module when it loads it from its file

_LOG_EVERY = 30.0  # seconds between two log lines about progress


def run_name() -> str:
    """The name of a flow run, from its parameters: "everything", or "espn 2023-24 from 2024-01-05"."""
    given = flow_run.parameters
    parts = [*_listed(given, "source"), *_listed(given, "dataset"), *_listed(given, "season")]
    parts += [f"{word} {given[name]}" for word, name in (("from", "since"), ("to", "until")) if given.get(name)]
    parts += [plural(len(given["keys"]), "file")] if given.get("keys") else []
    return " ".join(["dry run:"] * bool(given.get("dry_run")) + (parts or ["everything"]))


def _listed(given: dict[str, Any], name: str) -> list[str]:
    """The values of a parameter, which is a list if it is given under the plural of its name."""
    return [*(given.get(f"{name}s") or []), *filter(None, [given.get(name)])]


@flow(name="reconcile", flow_run_name=run_name, task_runner=FillTaskRunner(), validate_parameters=False)
@naming_datasets
async def reconcile(
    sources: Sources = (),
    datasets: Texts = (),
    seasons: Seasons = (),
    since: Day = "",
    until: Day = "",
    max_fills: int | None = None,
    as_of: str = "",
    dry_run: bool = False,
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
    """
    if reason := _why_superseded():
        get_run_logger().info("%s", reason)
        return Cancelled(message=reason)

    async def work() -> Report:
        selection = selection_of(sources, datasets, seasons, since, until)
        clock = moment_of("as_of", as_of or None)
        return await reconcile_lake(selection, as_of=clock, max_fills=max_fills, dry_run=dry_run, is_the_one=True)

    return await conclude(work())


def _why_superseded() -> str | None:
    """Why a scheduled run need not run because a later one is due; None if it has to run.

    After hours without a worker, many scheduled runs begin at once. Only the last one has work to do.
    """
    if "auto-scheduled" not in flow_run.tags:
        return None
    due: datetime = flow_run.scheduled_start_time
    try:
        interval = load_config().reconcile.interval
    except ConfigError:  # the run itself reports it
        return None
    late = datetime.now(UTC) - due
    return f"it was due at {utc(due)}, and a later run has become due" if late > interval else None


async def conclude(work: Awaitable[Report]) -> State[Any]:
    """The final state of a flow run, whose data is the report that `work` returns, or the error that it raises.

    If the run could not begin, it has failed. See `ending` for the states of the others. The last line of the log is
    the state's name and message.
    """
    if PROGRESS.get() is no_progress:
        PROGRESS.set(_LoggedProgress())
    try:
        with no_secret_in_errors():
            report = await work
    except (AdceError, ConfigError) as error:
        get_run_logger().error("Failed: %s", error)
        return Failed(message=str(error), data=error)
    end = ending(report)
    if end.type != CANCELLED and await cancel_came_late():
        end = Ending("Cancelled", CANCELLED, f"cancelled in Prefect, after its work; {end.message}")
    get_run_logger().log(end.severity, "%s", end)
    return state_of(end, report)


class _LoggedProgress:
    """Writes the progress of a run to its log, a line every half minute."""

    def __init__(self) -> None:
        self._logged = time.monotonic()
        self._log = get_run_logger()

    def __call__(self, activity: str, done: int, total: int, *, failed: int = 0, left: timedelta | None = None) -> None:
        if time.monotonic() - self._logged >= _LOG_EVERY:
            self._logged = time.monotonic()
            self._log.info("%s: %s", activity, told(done, total, failed, left))


async def reconcile_lake(
    selection: Selection,
    *,
    as_of: datetime | None = None,
    max_fills: int | None = None,
    dry_run: bool = False,
    priority: Priority | None = None,
    part: Part | None = None,
    is_the_one: bool = False,
    again: bool = False,
) -> Report:
    """The steps of a reconcile, and of the flows that do a part of its work. Call it in a flow with a FillTaskRunner.

    With `is_the_one`, this run takes the lease that only one reconcile may have at a time. While another run has the
    lease, this one defers everything. Ad hoc fills, scraper runs (which do a `part` of another run) and runs in test
    mode need no lease, and work beside the reconcile. The configuration is read once, at the start.

    Raises AdceError and ConfigError.
    """
    begun = time.monotonic()
    as_of = as_of and assume_utc(as_of)
    config = load_config()
    dry_run = dry_run or config.dry_run
    config = config.model_copy(update={"dry_run": dry_run})
    opening = open_run(
        config, selection, as_of=as_of, max_fills=max_fills, priority=priority, part=part, fetches=not dry_run
    )
    remember = as_of is None or not dry_run  # a dry run with a set clock leaves nothing in the ledger
    async with opening as here:
        run, session = here.run, here.run.session
        other = await run.take_reconcile_lease() if is_the_one and not (dry_run or config.test_mode) else None
        look = await run.look(remember=remember)
        if part is None:
            check_keys(session, look)
        gaps = look.gaps(selection.keys) + (look.again(selection.keys, session.now()) if again else [])
        plan = run.plan(gaps) if other is None else run.defer_to(other, look.gaps())
        fills, pauses = run.planner.forecast(plan.fills), run.planner.pauses()
        report = Report(
            look.overview,
            fills,
            plan.deferred,
            config,
            pauses,
            outcomes={},
            was_lost=run.lost,
            selection=selection,
            settings=_settings(session) if is_the_one else None,
            left_to=other,
        )
        for line in plan_lines(report):
            log.info("%s", line)
        planned = report.plan_document()
        if is_the_one and first_run.is_first(session):
            for line in first_run.about(config):
                get_run_logger().info(line)
        leads = is_the_one and other is None and not (dry_run or config.test_mode)  # it has the lease of the reconcile
        if leads and session.leases.why_lost() is None:
            session.ledger.plans.keep(RUN, planned, session.now(), session.id)
            session.ledger.plans.keep(SETTINGS, effective_values(config), session.begun, session.id)
        elif is_the_one and not leads and remember and not config.test_mode:
            session.ledger.plans.keep(PLAN, planned, session.now(), session.id)
        if not dry_run:
            if plan.fills:
                await run.prepare_lake()
            done_by = _done_by(run, time.monotonic() - begun) if is_the_one and not as_of else None
            dispatcher = Dispatcher(
                run, InProcess(here) if again else _executor(here), done_by
            )  # a part fetches gaps only
            try:
                with session.watch.running(RunPart.FETCH):
                    await dispatcher.run_all(plan)
            except LedgerError:
                if leads:
                    report = replace(report, deferred=tuple(dispatcher.deferred), outcomes=run.outcomes)
                    with suppress(LedgerError):  # the ledger may be back by now, or not
                        _keep_deferrals(session, planned, report)
                raise
            look = await run.look(remember=True)
            await here.wait_for_api()
            if as_of is None and is_the_one:
                session.ledger.prune(session.begun - config.keep.attempts)
            report = replace(
                report,
                looked_at=look.overview,
                fills=tuple(in_start_order({fill.id: fill for fill in dispatcher.begun}.values())),
                deferred=tuple(dispatcher.deferred),
                pauses=run.planner.pauses(),
                outcomes=run.outcomes,
                performance=session.ledger.attempts.performance(),
                rollouts=run.planner.rollouts(),
                stopped=run.shutdown.reason,
                stop_signal=run.shutdown.signal,
            )
            if leads:
                _keep_deferrals(session, planned, report)
        if part and part.of:  # the run whose work it is takes the reasons of what is left
            session.ledger.plans.keep(session.id, report.plan_document(), session.now(), session.id)
    report = replace(report, seconds=time.monotonic() - begun)
    for refusal in report.refusals:
        log.error("%s", refusal, extra=IN_REPORT)
    await (publish(report) if is_the_one else create_markdown_artifact(run_markdown(report), "fill", headline(report)))
    if leads and not report.stopped:
        async with get_client() as client:
            await delete_old_runs(client, datetime.now(UTC) - config.keep.runs)
    return report


def _settings(session: Session) -> SettingsUsed:
    """The settings of the session, compared with those of the last run that fetched."""
    former = session.ledger.plans.kept(SETTINGS)
    values = effective_values(session.config)
    return settings_used(values, former.document, former.at) if former else settings_used(values)


def _keep_deferrals(session: Session, planned: dict[str, Any], report: Report) -> None:
    """Keeps the plan for `adce why`: the fills as they were planned, and the reasons of what the run has deferred.

    If this run has lost its lease, and another has taken over and kept its plan, that plan stays.
    """
    document = report.plan_document() | {"fills": planned["fills"]}
    session.ledger.plans.update(RUN, document, session.now(), session.id)


def _executor(here: PrefectRun) -> Executor:
    """The executor of a run's fills.

    Parts of another run, and runs in test mode, use this process: another one might not know that it is a test.
    """
    config = here.run.config
    is_whole = here.run.session.part is None and not config.test_mode
    return ByDeployment(here) if config.dispatch == "deployment" and is_whole else InProcess(here)


def _done_by(run: Run, looked: float) -> datetime:
    """The time by which the fills of a reconcile should be done.

    Before the next reconcile begins, this one looks at the lake again, which takes about `looked` seconds.
    """
    rules = run.config.reconcile
    since: datetime = flow_run.scheduled_start_time if "auto-scheduled" in flow_run.tags else run.session.begun
    return since + rules.interval - min(timedelta(seconds=looked), rules.interval - rules.time_budget)


async def publish(report: Report) -> None:
    """Publishes the report of a run as three artifacts in the Prefect UI."""
    await create_markdown_artifact(run_markdown(report), key="reconcile", description=headline(report))
    await create_markdown_artifact(plan_markdown(report), key="plan", description=plural(len(report.fills), "fill"))
    cover = report.coverage
    await create_markdown_artifact(coverage_markdown(cover), key="coverage", description=summary_of(cover.total))
