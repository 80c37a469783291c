"""Where does each file of the lake stand? List, read new bodies, expect, judge: for all, a selection, or some files."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from tasks.domain.assess.agreement import believed, compare, untouched
from tasks.domain.assess.assessment import Assessment, assess, expected_cells, listed_games
from tasks.domain.assess.states import LakeObject, without_false_time
from tasks.domain.assess.unknown import find_unknown
from tasks.domain.errors import SelectionError
from tasks.domain.expected.cells import Cell, calendar_cells, game_cells, needing
from tasks.domain.expected.games import Game
from tasks.domain.outcomes import RunPart
from tasks.domain.plan.plan import Gap
from tasks.observe.knowledge import Knowledge
from tasks.observe.listing import examine_stored, list_lake
from tasks.observe.session import Session
from tasks.progress import PROGRESS

log = logging.getLogger(__name__)

_FEW = 1000  # files of a selection by key up to which each file is looked up, instead of listing their folders
_FEW_CELLS = 200  # the same limit for cells that are given


@dataclass(frozen=True)
class Look:
    """The state of each cell at one moment, and what was known then. Files stored later are added to `known`."""

    assessment: Assessment
    known: Knowledge

    def gaps(self, named: Collection[str] = ()) -> list[Gap]:
        """The gaps that should be fetched, including those of the keys that are `named`; see Assessment.gaps."""
        return self.assessment.gaps(self.known.first_seen, named)


class Reader:
    """Reads stored bodies that the present body checks have not read: at most `at_most` of them over its lifetime."""

    def __init__(self, session: Session, at_most: int | None = None, *, records: bool = True):
        """Findings are recorded in the ledger if `records`. `at_most` is `reconcile.examine_at_most` by default."""
        self.records = records
        self._session = session
        self._remaining = session.config.reconcile.examine_at_most if at_most is None else at_most

    async def read(self, known: Knowledge, cells: Iterable[Cell]) -> bool:
        """Reads the bodies of some cells, and adds what it finds to `known`. Returns whether it found anything.

        Raises LakeError when the lake no longer answers; what was found before is kept.
        """
        session = self._session
        found = await examine_stored(
            session.lake,
            session.config,
            cells,
            known.objects,
            known.examinations,
            known.unreadable,
            self._remaining,
            session.begun,
            lambda done, total: PROGRESS.get()("Reading stored files", done, total),
        )
        self._remaining -= len(found)
        known.examinations |= found.read
        known.unreadable = {k: seen for k, seen in known.unreadable.items() if k not in found.read} | found.unreadable
        if self.records:
            session.ledger.objects.record(found.read, found.unreadable, known.objects, session.begun)
        if found.lake_error:
            raise found.lake_error
        return len(found) > 0


async def look_at_lake(
    session: Session, reader: Reader, *, remember: bool, listing: Mapping[str, LakeObject] | None = None
) -> Look:
    """The state of every selected cell.

    `listing` is a fixed listing to use instead of asking the lake; nothing is written to the ledger then. With
    `remember`, the ledger records gaps that are seen for the first time, and forgets those that are closed.
    """
    with _many_objects(), session.watch.running(RunPart.LOOK):
        return await _look_at_lake(session, reader, remember and listing is None, listing)


async def look_at_cells(session: Session, cells: Mapping[str, Cell]) -> Look:
    """The state of some cells, as a look at the whole lake would find it. Only what these cells need is read."""
    reader = Reader(session, _FEW_CELLS)
    known = _remembered(session, cells)
    known.objects = await _objects_of(session, cells)
    taken = known.taken(cells.values(), session.now(), session.horizon())
    known.disagreements = untouched(believed(session.ledger.disagreements.now(), session.horizon()), taken)
    known.obstacles = _obstacles(session, known, cells)
    assessment = await _judge_and_read(session, reader, known, cells)
    known.first_seen = session.ledger.gaps.first_seen(cells)
    return Look(assessment, known)


def newly_due(session: Session, known: Knowledge, schedules: Iterable[Cell]) -> Look:
    """The state of the games that newly stored schedules list. Their gaps are recorded in the ledger."""
    schedules = list(schedules)
    games = listed_games(session.config, schedules, known.verdicts(schedules))
    cells = {
        cell.key: cell
        for schedule, listed in games.items()
        for cell in game_cells(session.config, schedule, listed, session.now(), session.selection)
    }
    known.obstacles |= _obstacles(session, known, cells)
    assessment = _judge(session, known, cells)
    known.first_seen |= _first_seen(session, cells, remember=True)
    look = Look(assessment, known)
    session.ledger.gaps.record(gap for gap in look.gaps() if gap.cell.key not in known.first_seen)
    return look


def check_keys(session: Session, assessment: Assessment) -> None:
    """Raises SelectionError for keys of the selection that are not expected."""
    accounted = assessment.cells.keys() | set(assessment.unknown_keys)
    unexpected = [key for key in session.selection.keys if key not in accounted]
    if unexpected:
        more = f" (and {len(unexpected) - 1} more)" if len(unexpected) > 1 else ""
        raise SelectionError(f"{unexpected[0]} is not expected{more}; `adce why {unexpected[0]}` says why")


async def _look_at_lake(
    session: Session, reader: Reader, remember: bool, listing: Mapping[str, LakeObject] | None
) -> Look:
    config, selection, now = session.config, session.selection, session.now()
    calendar = list(calendar_cells(config, now, selection))
    last_file = session.ledger.attempts.last_file()  # before the listing, which may miss files stored from now on
    few = bool(selection.keys) and len(selection.keys) + len(calendar) <= _FEW
    wanted = [*selection.keys, *(cell.key for cell in calendar)] if few else None
    remembering = asyncio.create_task(asyncio.to_thread(_remembered, session, wanted))
    try:
        objects = await _objects(session, wanted) if listing is None else dict(listing)
    finally:
        await asyncio.wait({remembering})
    known = remembering.result()
    known.objects, known.last_file = objects, last_file
    schedules = [cell for cell in calendar if config.datasets[cell.dataset].lists_games]
    await reader.read(known, schedules)
    verdicts = known.verdicts(calendar)
    games = listed_games(config, calendar, verdicts)
    _compare(session, known, schedules, games, remember)
    cells = expected_cells(config, games, selection, now)
    if listing is None:
        keys = [*cells, *(cell.key for cell in calendar)]
        known.obstacles = await asyncio.to_thread(_obstacles, session, known, keys)
    assessment = await _judge_and_read(session, reader, known, cells)
    assessment = _with_unknown(session, known, assessment, schedules, verdicts)
    known.first_seen = _first_seen(session, cells, remember=remember)
    look = Look(assessment, known)
    if remember:
        _forget_false_times(session, look)
        new = [gap for gap in look.gaps() if gap.cell.key not in known.first_seen]
        session.ledger.gaps.record(new)
        session.ledger.gaps.close(key for key in known.first_seen if assessment.statuses[key].kind is None)
    return look


def _remembered(session: Session, keys: Iterable[str] | None) -> Knowledge:
    """What the ledger knows of some files, or of all if `keys` is None."""
    keys = None if keys is None else list(keys)
    ledger = session.ledger
    return Knowledge(
        examinations=ledger.objects.examined(keys),
        unreadable=ledger.objects.unreadable(keys),
        absences=ledger.absences.now(keys),
    )


async def _objects(session: Session, wanted: Collection[str] | None) -> dict[str, LakeObject]:
    """The objects under the `wanted` keys, or if that is None, in the folders of the selected datasets."""
    progress = PROGRESS.get()
    progress("Listing the lake", 0, 1)
    if wanted is None:
        config, has = session.config, session.selection.has
        in_use = {d.schedule for n, d in config.datasets.items() if has(n, d)}
        datasets = [d for n, d in config.datasets.items() if has(n, d) or n in in_use]
        objects = await list_lake(session.lake, datasets)
    else:
        objects = await session.lake.find_all(wanted)
    progress("Listing the lake", 1, 1)
    return objects


async def _objects_of(session: Session, cells: Mapping[str, Cell]) -> dict[str, LakeObject]:
    if len(cells) <= _FEW_CELLS:
        return await session.lake.find_all(cells)
    datasets = [session.config.datasets[name] for name in {cell.dataset for cell in cells.values()}]
    return await list_lake(session.lake, datasets)


def _obstacles(session: Session, known: Knowledge, keys: Iterable[str]) -> dict[str, str]:
    return session.lake.obstacles(key for key in keys if key not in known.objects)


def _judge(session: Session, known: Knowledge, cells: Mapping[str, Cell]) -> Assessment:
    """The assessment of cells that follows from what is known."""
    with session.watch.running(RunPart.JUDGE):
        return assess(
            session.config,
            cells,
            known.objects,
            known.examinations,
            session.checks,
            session.now(),
            known.absences,
            session.leases.claims(),
            known.unreadable,
            known.disagreements,
            known.obstacles,
            session.horizon(),
        )


async def _judge_and_read(session: Session, reader: Reader, known: Knowledge, cells: Mapping[str, Cell]) -> Assessment:
    """The assessment of cells, after the reader has read the bodies that nobody has read, as far as it may."""
    assessment = _judge(session, known, cells)
    if assessment.unseen and await reader.read(known, assessment.unseen):
        assessment = _judge(session, known, cells)
    return assessment


def _compare(
    session: Session,
    known: Knowledge,
    schedules: Iterable[Cell],
    games: Mapping[str, Iterable[Game]],
    remember: bool,
) -> None:
    """Finds the schedules of the running season that list fewer games than another source's.

    With `remember`, the ledger records them. Schedules outside the selection keep what the ledger has of them.
    """
    now, horizon = session.now(), session.horizon()
    schedules = list(schedules)
    before = believed(session.ledger.disagreements.now(), horizon)
    taken = known.taken(schedules, now, horizon)
    comparison = compare(session.config, schedules, known.examinations, taken, games, before, now)
    known.disagreements = comparison.found
    if not remember:
        return
    found = [disagreement for disagreement in comparison.found if disagreement not in before]
    for disagreement in found:
        if disagreement.next_look() is None:
            log.warning("%s lists %s; looking again did not change that", disagreement.key, disagreement.what)
    session.ledger.disagreements.record(found, comparison.mended)


def _with_unknown(
    session: Session, known: Knowledge, assessment: Assessment, schedules: Iterable[Cell], read: Collection[str]
) -> Assessment:
    """The assessment, extended by what is unknown: games whose schedules are not known.

    `read` are the keys of the schedules whose games are known. A part of another run has no unknowns, since that run
    has found its files to be expected.
    """
    if session.part:
        return assessment
    config, selection = session.config, session.selection
    needed = needing(config, selection)
    if not selection.keys:
        asked = {name for name, dataset in config.datasets.items() if selection.has(name, dataset)}
        needed_by = {name: ", ".join(by) for name, by in needed.items() if name not in asked}
        return replace(
            assessment, unknown=find_unknown(needed, schedules, assessment.statuses, read), needed_by=needed_by
        )
    unlisted = {key: session.keys.dataset_of(key) for key in selection.keys if key not in assessment.cells}
    needed = {name: {d: first for d, first in by.items() if d in unlisted.values()} for name, by in needed.items()}
    statuses = _judge(session, known, {cell.key: cell for cell in schedules}).statuses
    unknown = find_unknown(needed, schedules, statuses, read)
    datasets = {part.dataset for part in unknown}
    keys = tuple(key for key, dataset in unlisted.items() if dataset in datasets)
    return replace(assessment, unknown=unknown, unknown_keys=keys)


def _first_seen(session: Session, keys: Iterable[str], *, remember: bool) -> dict[str, datetime]:
    """When each gap was first detected. Times that only a wrong clock can have written are ignored, and forgotten."""
    known, horizon = session.ledger.gaps.first_seen(keys), session.horizon()
    ahead = [key for key, at in known.items() if at > horizon]
    if ahead and remember:
        session.ledger.gaps.close(ahead)
    return {key: at for key, at in known.items() if at <= horizon} if ahead else known


def _forget_false_times(session: Session, look: Look) -> None:
    """Corrects the examinations of files that were fetched under a clock that was ahead: they count as older."""
    known, cells, horizon = look.known, look.assessment.cells, session.horizon()
    false = {
        key: without_false_time(seen, known.objects.get(key), cells[key], horizon)
        for key, seen in known.examinations.items()
        if seen.fetched is not None and seen.fetched > horizon and key in cells
    }
    if false:
        log.warning("%s files were fetched under a clock that was ahead; they count as older", len(false))
        known.examinations |= false
        session.ledger.objects.record(false)


@contextmanager
def _many_objects() -> Iterator[None]:
    """A block that runs without the garbage collector, which would traverse millions of new objects over and over.

    Afterwards they are frozen, so that later collections pass over them; reference counting still frees them.
    """
    was_on = gc.isenabled()
    gc.disable()
    gc.unfreeze()  # the objects of the look before
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
