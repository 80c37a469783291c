"""Which steps do the flows reconcile, fill and scraper have in common?

Each loads its settings, opens a run, looks at the lake, plans, fetches, and publishes what it has done.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from prefect.artifacts import create_markdown_artifact

from config.effective import effective_values
from config.load import load_config
from config.models import Config
from flows.by_deployment import ByDeployment
from flows.in_process import InProcess
from flows.prefect_run import PrefectRun
from flows.run_log import plan_lines
from tasks.answers.ending import ending
from tasks.answers.headline import headline
from tasks.answers.report import Report
from tasks.answers.settings import SettingsUsed, settings_used
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.overview import Overview
from tasks.domain.assess.states import State
from tasks.domain.outcomes import RunPart
from tasks.domain.plan.plan import Plan, in_start_order
from tasks.domain.wording import plural
from tasks.observe.look import Look
from tasks.observe.session import Session
from tasks.run.dispatcher import Dispatcher, Executor
from tasks.run.run import Run
from tasks.show.coverage import markdown as coverage_markdown
from tasks.show.coverage.words import summary_of
from tasks.show.markdown import plan_markdown, run_markdown

log = logging.getLogger(__name__)


def settings_of_run(*, dry_run: bool) -> Config:
    """The configuration, as a run reads it once, at its start. The run only reports if either says `dry_run`."""
    config = load_config()
    return config.model_copy(update={"dry_run": dry_run or config.dry_run})


def report_plan(run: Run, look: Look, plan: Plan, again: Collection[str] = ()) -> Report:
    """The report of a run that has planned, and not fetched yet. It is to fetch the files in `again` once more."""
    return Report(
        _naming(look, again),
        run.planner.forecast(plan.fills),
        plan.deferred,
        run.config,
        run.planner.pauses(),
        held=run.planner.held(),
        outcomes={},
        list_requests=look.known.list_requests,
        was_lost=run.lost,
        selection=run.session.selection,
        settings=_settings(run.session),
        again=again,
    )


def _naming(look: Look, again: Collection[str]) -> Overview:
    """The overview of a look, in which the files in `again` have their own statuses although they are there."""
    cells, statuses = look.assessment.cells, look.assessment.statuses
    judged = [key for key in again if key in statuses]
    return look.overview.naming({key: cells[key] for key in judged}, {key: statuses[key] for key in judged})


def _settings(session: Session) -> SettingsUsed:
    """The settings of the session, compared with those of the last reconcile that fetched."""
    former = session.ledger.settings.kept()
    values = effective_values(session.config)
    return settings_used(values, former.values, former.at) if former else settings_used(values)


def log_plan(report: Report) -> None:
    """Logs what a run has planned."""
    for line in plan_lines(report):
        log.info("%s", line)


def executor_of(here: PrefectRun) -> Executor:
    """The executor of a run's fills, as configured.

    A run in test mode does them in this process, because another one might not know that it is a test.
    """
    config = here.run.config
    return ByDeployment(here) if config.dispatch == "deployment" and not config.test_mode else InProcess(here)


async def fetch(here: PrefectRun, dispatcher: Dispatcher, plan: Plan, planned: Report) -> Report:
    """Fetches the fills of a plan, looks at the lake again, and returns the report of it all."""
    run = here.run
    if plan.fills:
        await run.prepare_lake()
    with run.session.watch.running(RunPart.FETCH):
        await dispatcher.run_all(plan)
    list_requests = run.known.list_requests  # with those for games that new schedules list
    look = await run.look()
    await here.wait_for_api()
    report = replace(
        planned,
        looked_at=_naming(look, planned.again).after(planned.looked_at),
        list_requests=list_requests + look.known.list_requests,
        fills=tuple(in_start_order({fill.id: fill for fill in dispatcher.begun}.values())),
        deferred=tuple(dispatcher.deferred),
        pauses=run.planner.pauses(),
        held=run.planner.held(),
        outcomes=run.outcomes,
        performance=run.session.ledger.attempts.performance(),
        rollouts=run.planner.rollouts(),
        stopped=run.shutdown.reason,
        stop_signal=run.shutdown.signal,
    )
    here.ending = ending(report)
    return report


async def plan_and_fetch(here: PrefectRun, look: Look, gaps: Sequence[Gap], executor: Executor) -> Report:
    """Plans and fetches gaps, and returns the report. A dry run only plans.

    Gaps that the look has not found are files that somebody wants fetched again.
    """
    run = here.run
    plan = run.plan(gaps)
    statuses = look.overview.statuses
    again = {g.cell.key for g in gaps if (s := statuses.get(g.cell.key)) is None or s.state is State.PRESENT}
    report = report_plan(run, look, plan, again)
    log_plan(report)
    return report if run.config.dry_run else await fetch(here, Dispatcher(run, executor), plan, report)


async def publish(report: Report) -> None:
    """Publishes the report of a reconcile as three artifacts in the Prefect UI."""
    await create_markdown_artifact(run_markdown(report), key="reconcile", description=headline(report))
    await create_markdown_artifact(plan_markdown(report), key="plan", description=plural(len(report.fills), "fill"))
    cover = report.coverage
    await create_markdown_artifact(coverage_markdown(cover), key="coverage", description=summary_of(cover.total))


async def publish_fill(report: Report) -> None:
    """Publishes the report of a run that does a part of a reconcile's work, as an artifact in the Prefect UI."""
    await create_markdown_artifact(run_markdown(report), key="fill", description=headline(report))
