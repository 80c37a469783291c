"""A part of a reconcile that another process does: the flow of the scraper deployments."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from prefect import flow
from prefect.states import State
from pydantic import Field

from config.models import Priority
from flows.reconcile import conclude, reconcile_lake
from flows.task_runner import FillTaskRunner
from tasks.domain.expected.cells import Selection
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
    """Fetches some files of one source, those of them that the lake lacks. Reconcile submits it.

    Args:
        source: of which the files are
        keys: their keys in the lake, one at least: none would be all of the source
        seasons: in which they are, as 2023-24; spares reading the schedules of all others
        since: their first day
        until: their last day
        part_of: the run that has planned this, by its id in the ledger
        ends: start nothing after this time
        as_of: look at the lake as if it were this time
        priority: of all of it, if that run was given one
        lake: the id of that run's lake; with another one here nothing is done
        ledger: the id of that run's ledger, likewise
    """
    selection = Selection((source,), (), tuple(seasons or ()), since, until, tuple(keys))
    return await conclude(
        reconcile_lake(selection, as_of=as_of, priority=priority, part=Part(part_of, ends, lake, ledger))
    )
