"""The flow of an ad hoc fill: a reconcile of the part of the lake that its parameters name."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from prefect import flow
from prefect.states import State

from config.models import Priority
from flows.reconcile import conclude, reconcile_lake, run_name
from flows.task_runner import FillTaskRunner
from tasks.domain.expected.cells import Selection


@flow(name="fill", flow_run_name=run_name, task_runner=FillTaskRunner())
async def fill(
    source: str | None = None,
    dataset: str | None = None,
    season: str | None = None,
    since: date | None = None,
    until: date | None = None,
    keys: list[str] | None = None,
    priority: Priority | None = None,
    as_of: datetime | None = None,
    dry_run: bool = False,
) -> State[Any]:
    """Fetches now what the lake lacks of a source, a dataset, a season, a span of days, or of some files.

    For example source=espn, season=2023-24.

    Args:
        source: only this source: espn, nba_api or basketball_reference
        dataset: only this dataset, by its name in the configuration
        season: only this season, such as 2023-24
        since: only from this day on
        until: only up to this day
        keys: only these files, by their keys in the lake
        priority: the priority of all fills (CRITICAL, HIGH, MEDIUM or LOW), instead of the one that each would have
        as_of: look at the lake as if it were this time
        dry_run: only report what would be fetched
    """
    selection = Selection(_maybe(source), _maybe(dataset), _maybe(season), since, until, tuple(keys or ()))
    return await conclude(reconcile_lake(selection, as_of=as_of, priority=priority, dry_run=dry_run))


def _maybe(name: str | None) -> tuple[str, ...]:
    return (name,) if name else ()
