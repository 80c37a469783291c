"""The flow of the scraper deployments: a part of a reconcile, done by another process."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any

from prefect import flow
from prefect.states import State
from pydantic import Field

from config.models import Priority
from flows.conclusion import conclude
from flows.in_process import InProcess
from flows.opening import open_run
from flows.steps import plan_and_fetch, publish_fill, settings_of_run
from flows.task_runner import FillTaskRunner
from tasks.answers.report import Report
from tasks.domain.expected.cells import Selection, assume_utc
from tasks.observe.session import Part


@flow(name="scraper", task_runner=FillTaskRunner())
async def scraper(
    source: str,
    keys: Annotated[list[str], Field(min_length=1)],
    seasons: list[str] | None = None,
    since: date | None = None,
    until: date | None = None,
    part_of: str | None = None,
    ends: datetime | None = None,
    as_of: datetime | None = None,
    priority: Priority | None = None,
    lake: str | None = None,
    ledger: str | None = None,
) -> State[Any]:
    """Fetches the files with these keys that the lake lacks. A reconcile schedules it.

    Args:
        source: the source of the files
        keys: their keys in the lake, at least one
        seasons: their seasons, such as 2023-24; schedules of other seasons are not read
        since: their first day
        until: their last day
        part_of: the id, in the ledger, of the run that has planned this one
        ends: start no fill after this time
        as_of: look at the lake as if it were this time
        priority: the priority of all fills, if the planning run was given one
        lake: the id of the planning run's lake; if the lake here has another id, nothing is done
        ledger: the id of the planning run's ledger; if the ledger here has another id, nothing is done
    """
    selection = Selection((source,), (), tuple(seasons or ()), since, until, tuple(keys))
    part = Part(part_of, ends, lake, ledger)
    return await conclude(_fetch_part(selection, as_of and assume_utc(as_of), priority, part))


async def _fetch_part(selection: Selection, as_of: datetime | None, priority: Priority | None, part: Part) -> Report:
    """The steps of a scraper run. Raises AdceError and ConfigError."""
    begun = time.monotonic()
    config = settings_of_run(dry_run=False)
    async with open_run(config, selection, as_of=as_of, priority=priority, part=part) as here:
        session, look = here.run.session, await here.run.look()
        report = await plan_and_fetch(here, look, look.gaps(selection.keys), InProcess(here))
        if part.of:  # the run whose work it is takes the reasons of what is left
            session.ledger.plans.keep(session.id, report.plan_document(), session.now(), session.id)
    report = replace(report, seconds=time.monotonic() - begun)
    await publish_fill(report)
    return report
