"""The flow of an ad hoc fill: a reconcile of the part of the lake that its parameters name."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

from prefect import flow
from prefect.states import State

from config.models import Priority
from flows.conclusion import conclude
from flows.in_process import InProcess
from flows.opening import open_run
from flows.parameters import (
    IsoDay,
    PriorityName,
    SeasonName,
    SourceName,
    Texts,
    naming_datasets,
    priority_of,
    selection_of,
)
from flows.run_name import run_name
from flows.steps import executor_of, plan_and_fetch, publish_fill, settings_of_run
from flows.task_runner import FillTaskRunner
from tasks.answers.report import Report
from tasks.domain.errors import SelectionError
from tasks.domain.expected.cells import Selection
from tasks.domain.times import moment_of
from tasks.observe.look import check_keys


@flow(name="fill", flow_run_name=run_name, task_runner=FillTaskRunner(), validate_parameters=False)
@naming_datasets
async def fill(
    source: SourceName = "",
    dataset: str = "",
    season: SeasonName = "",
    since: IsoDay = "",
    until: IsoDay = "",
    keys: Texts = (),
    priority: PriorityName = "",
    everything: bool = False,
    again: bool = False,
    as_of: str = "",
    dry_run: bool = False,
) -> State[Any]:
    """Fetches now what the lake lacks of a source, a dataset, a season, a span of days, or of some files.

    For example source=espn, season=2023-24. What is left empty does not narrow it down, but something must be given.

    Args:
        source: only this source
        dataset: only this dataset: DATASETS
        season: only this season, such as 2023-24
        since: only from this day on, such as 2024-01-31; the day of a game is that of the Eastern time zone
        until: only up to this day, such as 2024-02-29
        keys: only these files, by their keys in the lake, such as espn_box_scores/401585601.json
        priority: the priority of all fills, instead of the one that each would have
        everything: everything that the lake lacks; leave all others empty then
        again: with keys: fetch these files again though they are there and whole; a bad answer replaces none
        as_of: look at the lake as if it were this time, such as 2024-01-31T12:00:00Z; empty for now
        dry_run: only report what would be fetched
    """

    async def work() -> Report:
        selection = selection_of([source], [dataset], [season], since, until, keys)
        if selection.is_everything and not everything:
            raise SelectionError("nothing is given: give a source, dataset, season, day or key, or everything=true")
        if everything and not selection.is_everything:
            raise SelectionError("everything=true, and a part of it is given too; leave one out")
        if again and not selection.keys:
            raise SelectionError("again=true, and no keys are given; say which files")
        clock = moment_of("as_of", as_of or None)
        return await _fill(selection, clock, priority_of(priority), again=again, dry_run=dry_run)

    return await conclude(work())


async def _fill(
    selection: Selection, as_of: datetime | None, priority: Priority | None, *, again: bool, dry_run: bool
) -> Report:
    """The steps of a fill. Raises AdceError and ConfigError."""
    begun = time.monotonic()
    config = settings_of_run(dry_run=dry_run)
    async with open_run(config, selection, as_of=as_of, priority=priority) as here:
        run = here.run
        look = await run.look()
        check_keys(run.session, look)
        gaps = look.gaps(selection.keys) + (look.again(selection.keys, run.session.now()) if again else [])
        executor = InProcess(here) if again else executor_of(here)  # a scraper run fetches gaps only
        report = await plan_and_fetch(here, look, gaps, executor)
    report = replace(report, seconds=time.monotonic() - begun)
    await publish_fill(report)
    return report
