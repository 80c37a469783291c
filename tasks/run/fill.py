"""How is one fill executed? Its files are fetched, checked and stored, and their outcomes recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial

from config.models import TEST_FOLDER
from tasks.domain.assess.absences import Look, looked
from tasks.domain.assess.finality import awaited_again, published_by
from tasks.domain.assess.partials import Version
from tasks.domain.assess.states import LakeObject, content_of
from tasks.domain.assess.verdicts import Fault, Verdict, Wholeness
from tasks.domain.errors import (
    AbsentError,
    AdceError,
    BucketError,
    FetchError,
    HealingError,
    LakeError,
    LedgerError,
    NoObjectError,
    PausedError,
    PrefectAwayError,
    Reach,
    RefusedError,
    UnfinishedError,
)
from tasks.domain.expected.cells import Cell
from tasks.domain.flags.rollouts import changes_request, source_for
from tasks.domain.outcomes import Asking, FileOutcome, Outcome
from tasks.domain.plan.plan import Fill, without
from tasks.domain.reasons import Limit, Reason
from tasks.domain.wording import duration
from tasks.ledger.attempts import FillRecord
from tasks.ledger.corrections import Change
from tasks.ledger.fills import FillEnd
from tasks.log_lines import about
from tasks.observe.listing import judge
from tasks.run.partials import keep_aside, keep_best
from tasks.run.run import Run
from tasks.sources.documents import wall_in
from tasks.sources.fingerprints import fingerprint
from tasks.upstream.commands import prepare

log = logging.getLogger(__name__)

_KEPT = "somebody else has stored a good file there meanwhile; it is kept"
_REPLACED = "%s: the file that somebody else has stored there is replaced: %s"
_MOST_CONFLICTS = 5  # attempts at storing a file under a key that somebody else writes to as well


async def fill_gaps(run: Run, fill: Fill) -> list[FileOutcome]:
    """Executes a fill and returns the outcome of each file. The ledger records them in one transaction at the end."""
    record = FillRecord(
        fill.id,
        run.session.id,
        fill.source,
        fill.dataset,
        fill.kind.value,
        fill.priority.value,
        fill.score.total,
        run.session.now(),
        fill.variant,
    )
    outcomes: list[FileOutcome] = []
    changes: list[Change] = []

    async def fetch_one(path: str, cells: list[Cell]) -> None:
        try:
            of_cells = await _fetch_and_store(run, fill, path, cells, changes)
        except LedgerError as error:
            run.outage.stop_requests(error)
            of_cells = _deferred(cells, run.why_not_written(error))
        outcomes.extend(of_cells)
        run.outcomes.add(of_cells)

    limit = run.time_limit(fill)
    try:
        async with run.shutdown.within(fill.id, limit), asyncio.TaskGroup() as group:
            outcomes += await run.stored_by_dead_runs(fill)
            run.outcomes.add(outcomes)
            rest = without(fill, {outcome.key for outcome in outcomes})
            for path, cells in (rest.requests() if rest else {}).items():
                group.create_task(fetch_one(path, cells))
    except TimeoutError:
        done = {o.key for o in outcomes}
        text = f"its fill was stopped after its time limit of {duration(limit)}"
        why = run.session.until_next_run(Limit.FILL_TIME_LIMIT, text)
        if run.outage.reason:
            why = run.why_not_written(run.outage.reason)
        if run.shutdown.reason:
            why = run.why_stopped()
        undone = [FileOutcome.deferred(key, why) for key in fill.keys if key not in done]
        outcomes += undone
        run.outcomes.add(undone)
    finally:
        try:
            run.known.absences |= run.session.ledger.fills.record(_end_of(run, fill, record, outcomes, changes))
        except LedgerError as error:
            run.outage.stop_requests(error)
    return outcomes


def _end_of(
    run: Run, fill: Fill, record: FillRecord, outcomes: Collection[FileOutcome], changes: Iterable[Change]
) -> FillEnd:
    """What the ledger has to record at the end of a fill."""
    dataset, rules = run.config.datasets[fill.dataset], run.config.reconcile.unavailable
    now = run.session.now()
    awaited = dataset.per != "date" and awaited_again(dataset, fill.season, now) is not None
    due_at = {gap.cell.key: gap.cell.due_at for gap in fill.gaps}
    stored = [o.key for o in outcomes if o.is_in_lake or o.kept_partial]
    return FillEnd(
        record,
        now,
        outcomes,
        examinations={key: run.known.examinations[key] for key in stored},
        objects={key: run.known.objects[key] for key in stored if key in run.known.objects},
        looks=[
            Look(o.key, fill.dataset, o.error or "", due_at[o.key], now, rules, o.unfinished, awaited)
            for o in outcomes
            if o.absent
        ],
        changes=changes,
        gaps=fill.gaps,
        is_test=run.config.test_mode,
    )


async def _fetch_and_store(
    run: Run, fill: Fill, path: str, cells: list[Cell], changes: list[Change]
) -> list[FileOutcome]:
    """Sends one request or runs one command, and stores the result under the keys of `cells`.

    Returns the outcome of each cell, and adds corrections to `changes`. Raises LedgerError.
    """
    source = run.sources[fill.source]
    dataset = run.scrapers[fill.scraper]
    fields = cells[0].fields
    verdicts: dict[bytes, Verdict] = {}

    def check(body: bytes) -> None:
        verdict = verdicts[body] = judge(body, fields, dataset)
        if verdict.fault is Fault.REFUSED and dataset.command and not wall_in(body.decode(errors="replace")):
            raise FetchError(f"{path}: {verdict.reason}")  # not a known wall, so it may be a mistake of the script
        if not verdict.fits(dataset):
            raise _unfit(verdict, path, body)

    for cell in cells:
        if run.session.keys.dataset_of(cell.key) != fill.dataset:
            return _failed(cells, LakeError(f"{cell.key!r} is not a key of {fill.dataset}, so it is not stored"))
    if all(_folder(cell.key) in run.closed_folders for cell in cells):  # the files could not be stored
        return _failed(cells, run.closed_folders[_folder(cells[0].key)])
    try:
        settings = source_for(run.config, fill.source, fill.variant)
        command = prepare(dataset, fields, settings)
        fetched = await source.fetch(
            fill.scraper,
            path,
            check,
            settings,
            command=command,
            max_bytes=dataset.largest,
            own_address=fill.own_address,
            proves_absence=not changes_request(run.config, fill.variant),
        )
    except PausedError as error:
        if error.reason.limit is Limit.LEASE:  # the run sends no more requests
            text = f"the run was stopped: {error.reason.text}"
            return _deferred(cells, run.session.until_next_run(Limit.LEASE, text), error.asking)
        if error.refusal:
            error.refusal.asking = error.asking
        if fill.own_address and error.reason.of == fill.own_address:  # planned again, without the variant
            if error.refusal:
                return _failed(cells, error.refusal, error.known_end, in_this_run=True)
            return _deferred(cells, error.reason, error.asking, in_this_run=True)
        if error.refusal and not error.refusal.too_fast and (error.until > run.session.ends or error.refusals > 1):
            return _failed(cells, error.refusal, error.known_end)
        return _deferred(cells, error.reason, error.asking, in_this_run=error.until < run.session.ends)
    except LedgerError:
        raise
    except PrefectAwayError as error:
        return _failed(cells, error)
    except BucketError as error:
        return _deferred(cells, run.stop_source(fill.source, error))
    except AbsentError as error:
        again = awaited_again(dataset, cells[0].season, run.session.now())
        if changes_request(run.config, fill.variant):
            # The next run asks without the variant. Until then, an awaited page must not count as not published.
            is_doubt = again is None or dataset.per == "date"
            return [replace(failed, absent=is_doubt) for failed in _failed(cells, error)]
        is_late = run.session.now() >= published_by(dataset, cells[0].season, cells[0].last_day)
        if again and not is_late and not any(cell.key in run.known.objects for cell in cells):
            later = Reason(Limit.NOT_PUBLISHED, str(error), again)
            return [replace(o, absent=True) for o in _deferred(cells, later, error.asking)]
        return await _absent(run, cells, error)
    except AdceError as error:
        return _failed(cells, error, in_this_run=bool(fill.own_address) and isinstance(error, RefusedError))
    except Exception as error:  # a bug costs the files of this request, not the others of the fill
        log.exception("%s could not be fetched", path)
        return _failed(cells, FetchError(f"{path}: {type(error).__name__}: {error}"))
    outcomes = []
    for cell in cells:
        is_first = cell is cells[0]
        body = fetched.bodies[cell.place if len(fetched.bodies) > 1 else 0]
        try:
            theirs = await _store(run, cell, body, verdicts[body], run.session.as_of or fetched.asked, changes)
        except LakeError as error:
            if error.reach is Reach.FOLDER:
                run.closed_folders[_folder(cell.key)] = error
            outcomes.append(_not_stored(run, cell.key, error, str(error)).after(fetched.asking, is_first=is_first))
            continue
        kind, size = (Outcome.STORED, len(body)) if theirs is None else (Outcome.KEPT, 0)
        outcome = FileOutcome(
            cell.key, kind, bytes=size, error=theirs, seconds=fetched.seconds, stored=run.session.now()
        )
        outcomes.append(outcome.after(fetched.asking, is_first=is_first))
    return outcomes


async def _absent(run: Run, cells: list[Cell], error: AbsentError) -> list[FileOutcome]:
    """The outcomes of files that the source does not have, or has only incomplete.

    Unless `keep_partial` is off, the best version seen so far is kept aside, and stored at the last look.
    """
    rules, now = run.config.reconcile.unavailable, run.session.now()
    outcomes = _failed(cells, error)
    if run.config.test_mode or not rules.keep_partial:
        return outcomes
    dataset = run.scrapers[cells[0].scraper]
    body = error.body if isinstance(error, UnfinishedError) else None
    if dataset.command and len(dataset.command.files) > 1:
        body = None  # nothing says to which key it belongs
    absences = run.session.ledger.absences.current([cell.key for cell in cells])
    kept = []
    for cell, outcome in zip(cells, outcomes, strict=True):
        after = looked(absences.get(cell.key), cell.key, cell.dataset, str(error), cell.due_at, now, rules)
        seen = None if body is None else Version(body, judge(body, cell.fields, dataset))
        try:
            if after.until is None:
                await keep_aside(run, cell, seen)
                kept.append(outcome)
            else:
                kept.append(replace(outcome, kept_partial=await keep_best(run, cell, seen)))
        except LakeError as lake_error:  # a look does not count if its version could not be kept
            not_kept = _not_stored(run, cell.key, lake_error, f"{error}; {lake_error}")
            kept.append(not_kept.after(error.asking, is_first=cell is cells[0]))
    return kept


def _not_stored(run: Run, key: str, error: LakeError, text: str) -> FileOutcome:
    """The outcome of a file that the lake does not accept: deferred if it accepts no files at all, else failed."""
    if error.reach is Reach.LAKE:
        return FileOutcome.deferred(key, run.session.until_next_run(Limit.LAKE, text))
    return FileOutcome(key, Outcome.FAILED, error=text, failure=error.failure)


def _folder(key: str) -> str:
    return key.rpartition("/")[0]


def _unfit(verdict: Verdict, path: str, body: bytes) -> FetchError:
    """The error for a body that cannot be stored; its type says what follows."""
    reason = f"{path}: {verdict.reason}"
    match verdict.fault:
        case Fault.REFUSED:
            return RefusedError(reason, shut_out=True)
        case Fault.ABSENT:
            return AbsentError(reason)
        case Fault.UNFINISHED:
            return UnfinishedError(reason, body)
        case Fault.CUT_OFF:
            return HealingError(reason)
        case _:
            return FetchError(reason)


async def _store(
    run: Run, cell: Cell, body: bytes, verdict: Verdict, taken: datetime, changes: list[Change]
) -> str | None:
    """Stores a good body that was requested at `taken`. Waits while the lake cannot be written.

    If the lake has a good file of the same game with the same content, nothing is stored. If the content differs, the
    source has corrected it: the former version is kept, and the correction is added to `changes`. If somebody else has
    stored a file meanwhile, a good one is kept and a bad one replaced. In test mode the body is stored in the test
    folder, and nothing else changes.

    Returns None, or if the file of somebody else was kept, a text that says so. Raises LakeError.
    """
    key = cell.key
    if run.config.test_mode:
        key = f"{TEST_FOLDER}/{key}"
        replaces = await run.outage.retry(lambda: run.session.lake.find(key))
        await run.outage.retry(lambda: run.session.lake.put(key, body, replaces))
        return None
    for _ in range(_MOST_CONFLICTS):
        correction = None
        if _is_whole_game(run, cell):
            former = await _read(run, key)
            if former is not None and content_of(former[1]) != content_of(run.known.objects[key]):
                if reason := _examine_theirs(run, cell, verdict, *former):
                    log.warning(_REPLACED, key, reason, extra=about(dataset=cell.dataset, key=key, reason=reason))
                    continue
                return _KEPT
            if former is not None:
                correction = await _correction(run, cell, former, body)
                if correction is None:
                    run.learn(cell, former[1], verdict, taken, agreed=True)
                    return None
        have, is_ours = await run.outage.retry(lambda: run.session.lake.put(key, body, run.known.objects.get(key)))
        if is_ours:
            changes += [correction] if correction else []
            run.learn(cell, have, verdict, taken, changed=correction is not None)
            return None
        theirs = await _read(run, key)
        if theirs is None:  # it has been removed again
            run.known.gone(key)
        elif reason := _examine_theirs(run, cell, verdict, *theirs):
            log.warning(_REPLACED, key, reason, extra=about(dataset=cell.dataset, key=key, reason=reason))
        else:
            return _KEPT
    raise LakeError(f"{key}: somebody else keeps storing bad files there; find out who", Reach.KEY)


def _is_whole_game(run: Run, cell: Cell) -> bool:
    """Does the lake have a whole file of this game, as far as the run knows?"""
    if cell.game is None or not run.known.is_examined(cell):
        return False
    return run.known.examinations[cell.key].verdict.wholeness is Wholeness.WHOLE


async def _read(run: Run, key: str) -> tuple[bytes, LakeObject] | None:
    """A file in the lake; None if there is none."""
    try:
        return await run.outage.retry(lambda: run.session.lake.get(key))
    except NoObjectError:
        return None


def _examine_theirs(run: Run, cell: Cell, ours: Verdict, body: bytes, have: LakeObject) -> str | None:
    """Why an object that somebody else has stored has to be replaced; None if it is as good as ours."""
    dataset = run.scrapers[cell.scraper]
    verdict = judge(body, cell.fields, dataset)
    run.learn(cell, have, verdict)
    is_less = ours.wholeness is Wholeness.WHOLE and verdict.wholeness is not Wholeness.WHOLE
    return verdict.reason if is_less or not verdict.fits(dataset) else None


async def _correction(run: Run, cell: Cell, former: tuple[bytes, LakeObject], body: bytes) -> Change | None:
    """The change of content from the former version to this body; None if the content is the same.

    If there is a change, the former version is kept in the folder `history`.
    """
    key, check = cell.key, run.scrapers[cell.scraper].check
    was, became = fingerprint(former[0], check), fingerprint(body, check)
    if was == became:
        return None
    kept_as = None
    if run.config.history:
        kept_as = await _keep(run, f"{run.config.history}/{key}/{former[1].modified:%Y%m%dT%H%M%SZ}", former[0])
    where, fields = kept_as or "left to the bucket", about(dataset=cell.dataset, key=key)
    log.warning("%s was corrected at the source; the former version is %s", key, where, extra=fields)
    return Change(key, run.session.now(), run.session.id, was, became, kept_as)


async def _keep(run: Run, name: str, former: bytes) -> str:
    """Stores a former version, and returns its key: the name, with a number if the name is taken."""
    for number in range(_MOST_CONFLICTS):
        kept_as = f"{name}-{number}" if number else name
        put = await run.outage.retry(partial(run.session.lake.put, kept_as, former))
        if put.is_ours:
            return kept_as
    raise LakeError(f"{name}: other files have this name among the former versions, with every number", Reach.KEY)


def _failed(
    cells: Iterable[Cell], error: AdceError, until: datetime | None = None, *, in_this_run: bool = False
) -> list[FileOutcome]:
    """The outcomes of the files of one request that failed. The first outcome counts all its requests."""
    failed = FileOutcome(
        "",
        Outcome.FAILED,
        error=str(error),
        until=until,
        in_this_run=in_this_run,
        failure=error.failure,
        absent=isinstance(error, AbsentError),
        unfinished=isinstance(error, UnfinishedError),
    )
    asking = error.asking
    return [replace(failed, key=cell.key).after(asking, is_first=not n) for n, cell in enumerate(cells)]


def _deferred(
    cells: Iterable[Cell], reason: Reason, asking: Asking | None = None, *, in_this_run: bool = False
) -> list[FileOutcome]:
    """The outcomes of the files of one request that is made later. The first outcome counts the requests so far."""
    return [
        FileOutcome.deferred(cell.key, reason, in_this_run=in_this_run).after(asking or Asking(), is_first=not n)
        for n, cell in enumerate(cells)
    ]
