"""The main job: see what the lake lacks, and fetch it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Failed, State

from config.load import ConfigError, load_config
from config.models import Config
from flows.dispatch import Dispatcher, FillTaskRunner
from flows.run import open_run
from tasks.domain.errors import AdceError
from tasks.domain.expected import Selection
from tasks.report import Report

log = logging.getLogger(__name__)


@flow(name="reconcile", task_runner=FillTaskRunner())
async def reconcile(
    sources: list[str] | None = None,
    datasets: list[str] | None = None,
    seasons: list[str] | None = None,
    since: date | None = None,
    until: date | None = None,
    max_fills: int | None = None,
    as_of: datetime | None = None,
    dry_run: bool = False,
) -> State[Any]:
    """Looks at the lake, plans, fetches what is missing, stale or broken, looks again, and reports.

    Without parameters it is about everything. Fails when a file could not be fetched; what was stored stays.
    """
    selection = Selection(tuple(sources or ()), tuple(datasets or ()), tuple(seasons or ()), since, until)
    return await conclude(reconcile_lake(selection, as_of=as_of, max_fills=max_fills, dry_run=dry_run))


async def conclude(work: Awaitable[Report]) -> State[Any]:
    """The state of a run that ends in a report: not green when a file failed, or when the run could not begin.

    The state's data is the report, or the error.
    """
    try:
        report = await work
    except (AdceError, ConfigError) as error:
        return Failed(message=str(error), data=error)
    state = Failed if report.failed else Completed
    return state(message=report.line(), data=report)


async def reconcile_lake(
    selection: Selection,
    *,
    as_of: datetime | None = None,
    max_fills: int | None = None,
    dry_run: bool = False,
) -> Report:
    """The steps of a reconcile. Runs inside a flow with a FillTaskRunner. Raises AdceError and ConfigError."""
    begun = time.monotonic()
    config = load_config()
    dry_run = dry_run or config.dry_run
    async with open_run(config, selection, as_of=as_of, max_fills=max_fills, fetches=not dry_run) as run:
        survey = await run.look(remember=True)
        plan = run.plan(survey)
        report = Report(survey, plan.fills, plan.deferred, config, run.ledger.pauses(run.now()), {})
        if not dry_run:
            dispatcher = Dispatcher(run)
            await dispatcher.run_all(plan)
            survey = await run.look(remember=True)
            report = replace(
                report,
                survey=survey,
                fills=tuple(run.fills.values()),
                deferred=tuple(dispatcher.deferred),
                paused=run.ledger.pauses(run.now()),
                outcomes=run.outcomes,
            )
    report = replace(report, seconds=time.monotonic() - begun)
    await publish(report)
    return report


async def plan_lake(
    config: Config, selection: Selection, *, as_of: datetime | None = None, max_fills: int | None = None
) -> Report:
    """What a reconcile would do now. Fetches nothing; first sightings are kept unless the clock is set."""
    async with open_run(config, selection, as_of=as_of, max_fills=max_fills, fetches=False) as run:
        survey = await run.look(remember=as_of is None)
        plan = run.plan(survey)
        return Report(survey, plan.fills, plan.deferred, config, run.ledger.pauses(run.now()))


async def publish(report: Report) -> None:
    """The run's summary: a log line, and an artifact in the Prefect UI."""
    get_run_logger().info(report.line())
    await create_markdown_artifact(report.markdown(), key="reconcile", description=report.line())
