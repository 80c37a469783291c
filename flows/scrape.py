"""One fill: fetch its files, check each, store it, and say what became of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from prefect import flow
from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger
from prefect.states import Completed, Failed, State

from config.models import TEST_FOLDER
from flows.run import RUN, Run
from tasks.commands import prepare
from tasks.domain.absences import looked
from tasks.domain.errors import AbsentError, AdceError, FetchError, HealingError, HeldError, LakeError, RefusedError
from tasks.domain.expected import Cell
from tasks.domain.plan import Fill
from tasks.domain.rollout import source_for
from tasks.domain.states import Examination, version_of
from tasks.domain.verdicts import Fault, Verdict, Wholeness
from tasks.history import Change, FileOutcome
from tasks.inventory import judge
from tasks.sources.fingerprints import fingerprint

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
    record = {
        "fill": fill.id,
        "run": run.id,
        "source": fill.source,
        "dataset": fill.dataset,
        "arm": fill.arm,
        "kind": fill.kind.value,
        "priority": fill.priority.value,
        "score": fill.score.total,
        "started": run.now(),
    }
    outcomes: list[FileOutcome] = []
    changes: list[Change] = []

    async def one(path: str, cells: list[Cell]) -> None:
        for outcome in await _fetch_and_store(run, fill, path, cells, changes):
            outcomes.append(outcome)
            run.outcomes[outcome.key] = outcome

    limit = run.time_limit(fill)
    seconds = min(limit.total_seconds(), run.cut_short_at - time.monotonic())
    try:
        async with asyncio.timeout(seconds) as run.limits[fill.id], asyncio.TaskGroup() as group:
            for path, cells in fill.requests().items():
                group.create_task(one(path, cells))
    except TimeoutError:
        done = {o.key for o in outcomes}
        reason = f"its fill was stopped after its time limit of {limit}"
        if run.stopped:
            reason = f"the run was stopped: {run.stopped}"
        for key in (key for key in fill.keys if key not in done):
            run.outcomes[key] = FileOutcome(key, "deferred", error=reason, until=run.next_run())
            outcomes.append(run.outcomes[key])
    finally:
        del run.limits[fill.id]
        if run.config.test_mode:  # what it has done is nobody's history
            run.ledger.database.write(lambda connection: _release(run, fill, connection))
        else:
            run.ledger.history.record_fill(
                record, outcomes, run.now(), lambda connection: _settle(run, fill, outcomes, changes, connection)
            )
    await run.prefect_answers()
    return outcomes


def _settle(
    run: Run, fill: Fill, outcomes: Iterable[FileOutcome], changes: Iterable[Change], connection: sa.Connection
) -> None:
    """What follows from the outcomes of a fill, in the transaction that records them."""
    rules = run.config.reconcile.unavailable
    before = run.ledger.absences_now(connection, [o.key for o in outcomes if o.absent])
    absent = {
        o.key: looked(before.get(o.key), o.key, fill.dataset, o.error or "", run.now(), rules)
        for o in outcomes
        if o.absent
    }
    run.absences |= absent
    stored = {o.key: run.examinations[o.key] for o in outcomes if o.outcome == "stored"}
    run.ledger.settle(connection, stored, absent.values())
    for change in changes:
        run.ledger.history.record_change(connection, change)
    _release(run, fill, connection)


def _release(run: Run, fill: Fill, connection: sa.Connection) -> None:
    run.leases.release(connection, {gap.cell.work for gap in fill.gaps})


async def _fetch_and_store(
    run: Run, fill: Fill, path: str, cells: list[Cell], changes: list[Change]
) -> list[FileOutcome]:
    """One request or command, and what it brings stored under each of the keys that lack it."""
    source = run.sources[fill.source]
    dataset = run.scrapers[fill.scraper]
    fields = cells[0].fields
    verdicts: dict[bytes, Verdict] = {}

    def check(body: bytes) -> None:
        verdict = verdicts[body] = judge(body, fields, dataset)
        if not verdict.fits(dataset):
            raise _unfit(verdict, path)

    for cell in cells:
        if run.keys.dataset_of(cell.key) != fill.dataset:
            return _unfilled(cells, "failed", LakeError(f"{cell.key!r} is no key of {fill.dataset}: it is not stored"))
    try:
        command = prepare(dataset, fields, source.settings.game_id)
        is_known_hole = all(cell.key in run.absences for cell in cells)
        settings = source_for(run.config, fill.source, fill.arm)
        fetched = await source.fetch(fill.scraper, path, check, settings, command=command, is_known_hole=is_known_hole)
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
    keys = [template.format_map(fields) for template in dataset.keys]
    for cell in cells:
        requests = fetched.requests if cell is cells[0] else 0
        body = fetched.bodies[keys.index(cell.key) if len(fetched.bodies) > 1 else 0]
        try:
            await _store(run, cell, body, verdicts[body], changes)
        except AdceError as error:
            outcomes.append(FileOutcome(cell.key, "failed", requests, error=str(error)))
            continue
        outcomes.append(FileOutcome(cell.key, "stored", requests, len(body), seconds=fetched.seconds))
    return outcomes


def _unfit(verdict: Verdict, path: str) -> FetchError:
    """The error that says what follows from a body that cannot be stored."""
    reason = f"{path}: {verdict.reason}"
    match verdict.fault:
        case Fault.REFUSED:
            return RefusedError(reason, shut_out=True)
        case Fault.ABSENT:
            return AbsentError(reason)
        case Fault.CUT_OFF:
            return HealingError(reason)
        case _:
            return FetchError(reason)


async def _store(run: Run, cell: Cell, body: bytes, verdict: Verdict, changes: list[Change]) -> None:
    """Stores a good body. One that says the same as the good one in the lake leaves that as it is.

    Of one that says something else, the former version is kept in the history and the change recorded. In test mode
    the lake keeps it aside, and nothing else changes.
    """
    key, check = cell.key, run.scrapers[cell.scraper].check
    if run.config.test_mode:
        key = f"{TEST_FOLDER}/{key}"
        await run.lake.put(key, body, replaces=await run.lake.find(key))
        return
    if cell.game is not None and run.is_examined(cell) and run.examinations[key].verdict.wholeness is Wholeness.WHOLE:
        former, have = await run.lake.get(key)
        was, became = fingerprint(former, check), fingerprint(body, check)
        if was == became:
            version = version_of(have, run.checks[cell.scraper])
            run.examinations[key] = Examination(version, verdict, run.now(), agreed=True)
            return
        kept_as = None
        if run.config.history:
            kept_as = f"{run.config.history}/{key}/{have.modified:%Y%m%dT%H%M%SZ}"
            await run.lake.put(kept_as, former)
        log.warning("%s was corrected at the source; the former version is %s", key, kept_as or "left to the bucket")
        changes.append(Change(key, run.now(), run.id, was, became, kept_as))
    have = await run.lake.put(key, body, replaces=run.objects.get(key))
    run.objects[key] = have
    run.examinations[key] = Examination(version_of(have, run.checks[cell.scraper]), verdict, run.now())


def _unfilled(
    cells: Iterable[Cell], outcome: str, error: AdceError, until: datetime | None = None, *, in_this_run: bool = False
) -> list[FileOutcome]:
    requests = error.requests
    rows = []
    for cell in cells:
        rows.append(
            FileOutcome(
                cell.key,
                outcome,
                requests,
                error=str(error),
                until=until,
                in_this_run=in_this_run,
                absent=isinstance(error, AbsentError),
            )
        )
        requests = 0
    return rows
