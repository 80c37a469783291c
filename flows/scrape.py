"""One fill: fetch its files, check each, store it, and say what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from prefect import flow
from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger
from prefect.states import Completed, Failed, State

from flows.run import RUN, Run
from tasks.domain.errors import AdceError, FetchError, HealingError, HeldError, LakeError, RefusedError
from tasks.domain.expected import Cell
from tasks.domain.plan import Fill
from tasks.domain.verdicts import Verdict, Wholeness
from tasks.inventory import check_id, judge
from tasks.ledger import Examination, FileOutcome, version_of

log = logging.getLogger(__name__)


@flow(name="scrape", flow_run_name="{dataset} {days} {kind}", validate_parameters=False)
async def scrape(
    fill: str, source: str, dataset: str, season: str, days: str, kind: str, priority: str, score: float, files: int
) -> State[Any]:
    """Fetches the files of one fill of the running reconcile. Fails when a file failed; the others are stored."""
    run = RUN.get()
    outcomes = await run.work_on(run.fills[fill], fill_gaps(run, run.fills[fill]))
    counts = {what: sum(o.outcome == what for o in outcomes) for what in ("stored", "failed", "deferred")}
    logger = _own_logger()
    for outcome in outcomes:
        if outcome.outcome != "stored":
            logger.warning("%s %s: %s", outcome.key, outcome.outcome, outcome.error)
    logger.info("%s files stored, %s failed, %s deferred", *counts.values())
    if counts["failed"]:
        first = next(o for o in outcomes if o.outcome == "failed")
        return Failed(
            message=f"{counts['failed']} of {len(outcomes)} files failed; the first: {first.key}: {first.error}"
        )
    return Completed(message=f"{counts['stored']} files stored, {counts['deferred']} deferred")


def _own_logger() -> Any:
    """The subflow's: get_run_logger gives that of the task around it."""
    context = FlowRunContext.get()
    assert isinstance(context, FlowRunContext)
    assert context.flow_run is not None
    return flow_run_logger(context.flow_run, context.flow)


async def fill_gaps(run: Run, fill: Fill) -> list[FileOutcome]:
    """What became of each file of a fill; written to the ledger when all are done."""
    row = run.ledger.start_fill(
        fill=fill.id,
        run=run.id,
        source=fill.source,
        dataset=fill.dataset,
        kind=fill.kind.value,
        priority=fill.priority.value,
        score=fill.score.total,
        now=run.now(),
    )
    outcomes: list[FileOutcome] = []

    async def one(path: str, cells: list[Cell]) -> None:
        for outcome in await _fetch_and_store(run, fill, path, cells):
            outcomes.append(outcome)
            run.outcomes[outcome.key] = outcome

    limit = run.time_limit(fill)
    try:
        async with asyncio.timeout(limit.total_seconds()), asyncio.TaskGroup() as group:
            for path, cells in fill.requests().items():
                group.create_task(one(path, cells))
    except TimeoutError:
        done = {o.key for o in outcomes}
        for key in (key for key in fill.keys if key not in done):
            reason = f"its fill was stopped after its time limit of {limit}"
            run.outcomes[key] = FileOutcome(key, "deferred", error=reason, until=run.next_run())
            outcomes.append(run.outcomes[key])
    finally:
        stored = [o.key for o in outcomes if o.outcome == "stored"]
        run.ledger.record_examinations({key: run.examinations[key] for key in stored})
        run.ledger.end_fill(row, outcomes, run.now())
    await run.prefect_answers()
    return outcomes


async def _fetch_and_store(run: Run, fill: Fill, path: str, cells: list[Cell]) -> list[FileOutcome]:
    """One request, and its body stored under each of the keys that lack it."""
    source = run.sources[fill.source]
    dataset = run.config.datasets[fill.dataset]
    verdict = Verdict(Wholeness.BAD)

    def check(body: bytes) -> None:
        nonlocal verdict
        verdict = judge(body, cells[0], dataset)
        if verdict.refused:
            raise RefusedError(f"{path}: {verdict.reason}", shut_out=True)
        if verdict.cut_off:
            raise HealingError(f"{path}: {verdict.reason}")
        if verdict.wholeness is Wholeness.BAD or (verdict.wholeness is Wholeness.PARTIAL and dataset.refresh is None):
            raise FetchError(f"{path}: {verdict.reason}")
        if len(body) < dataset.min_bytes:
            raise FetchError(f"{path}: {len(body)} bytes; a whole one has at least {dataset.min_bytes}")

    for cell in cells:
        if run.keys.dataset_of(cell.key) != fill.dataset:
            return _unfilled(cells, "failed", LakeError(f"{cell.key!r} is no key of {fill.dataset}: it is not stored"))
    try:
        fetched = await source.fetch(fill.dataset, path, check)
    except HeldError as error:
        if error.refusal and not error.refusal.too_fast and (error.until > run.ends or error.refusals > 1):
            return _unfilled(cells, "failed", error.refusal, error.until)
        return _unfilled(cells, "deferred", error, error.until, in_this_run=error.until < run.ends)
    except AdceError as error:
        return _unfilled(cells, "failed", error)
    except Exception as error:  # a mistake of ours costs this file, not the others of its fill
        log.exception("%s could not be fetched", path)
        return _unfilled(cells, "failed", FetchError(f"{path}: {type(error).__name__}: {error}"))
    outcomes = []
    for cell in cells:
        requests = fetched.requests if cell is cells[0] else 0
        try:
            have = await run.lake.put(cell.key, fetched.body, replaces=run.objects.get(cell.key))
        except AdceError as error:
            outcomes.append(FileOutcome(cell.key, "failed", requests, error=str(error)))
            continue
        run.objects[cell.key] = have
        run.examinations[cell.key] = Examination(version_of(have, check_id(dataset)), verdict, run.now())
        outcomes.append(FileOutcome(cell.key, "stored", requests, len(fetched.body), seconds=fetched.seconds))
    return outcomes


def _unfilled(
    cells: Iterable[Cell], outcome: str, error: AdceError, until: datetime | None = None, *, in_this_run: bool = False
) -> list[FileOutcome]:
    requests = error.requests
    rows = []
    for cell in cells:
        rows.append(FileOutcome(cell.key, outcome, requests, error=str(error), until=until, in_this_run=in_this_run))
        requests = 0
    return rows
