"""The scraper subflow that executes one fill in this process."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger
from prefect.states import State

from config.secrets import no_secret_in_errors
from flows.prefect_run import CURRENT, PrefectRun, state_of
from tasks.answers.ending import ending_of_fill
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.plan import Fill
from tasks.log_lines import about
from tasks.run.fill import fill_gaps


@flow(name="scrape", flow_run_name="{dataset} {days} {kind}", validate_parameters=False)
async def scrape(
    fill: str, source: str, dataset: str, season: str, days: str, kind: str, priority: str, score: float, files: int
) -> State[Any]:
    """Fetches the files of one fill of the running reconcile. It fails if a file failed; the others are stored."""
    here = CURRENT.get()
    with no_secret_in_errors():
        here.has_begun(fill)
        (this,) = here.fills_of(fill)
        outcomes = await here.in_its_loop(_fill(here, this))
    logger = _own_logger()
    for outcome in outcomes:
        if outcome.outcome is not Outcome.STORED:
            fields = about(source, dataset, outcome.key, outcome.limit, outcome.error)
            logger.warning("%s %s: %s", outcome.key, outcome.label, outcome.error, extra=fields)
    end = ending_of_fill(outcomes)
    logger.log(end.severity, "%s", end)
    return state_of(end)


async def _fill(here: PrefectRun, fill: Fill) -> list[FileOutcome]:
    """Executes the fill, and returns once the Prefect API can record the end of the subflow."""
    outcomes = await fill_gaps(here.run, fill)
    await here.wait_for_api()
    return outcomes


def _own_logger() -> Any:
    """The logger of the subflow. Prefect's get_run_logger would return the one of the task around it."""
    context = FlowRunContext.get()
    assert isinstance(context, FlowRunContext)
    assert context.flow_run is not None
    return flow_run_logger(context.flow_run, context.flow)
