"""Where does each file of the lake stand? List, read new bodies, expect, judge: for all, a selection, or some files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from blocks.listing import Listing
from config.models import Config
from tasks.domain.assess.agreement import compare, trusted, untouched
from tasks.domain.assess.assessment import Assessment, assess, expected_cells, listed_games
from tasks.domain.assess.doubts import complete_until
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.overview import Overview, gaps_of, joined, overview_of, stored_files
from tasks.domain.assess.states import NOT_READ, Examination, Kind, LakeObject, State, Status, without_false_time
from tasks.domain.assess.unknown import find_unknown
from tasks.domain.assess.unlisted import estimate_unlisted
from tasks.domain.errors import UnexpectedKeysError
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import (
    Cell,
    calendar_cells,
    first_seasons_by_schedule,
    game_cells,
    games_from,
    selected_datasets,
)
from tasks.domain.expected.games import Game, by_season, deduplicated
from tasks.domain.expected.keys import Misnamed, find_misnamed, folders
from tasks.domain.outcomes import RunPart
from tasks.domain.reasons import Limit
from tasks.domain.wording import and_more
from tasks.log_lines import about
from tasks.many_objects import many_objects
from tasks.observe.heads import ask
from tasks.observe.held import Held, recall
from tasks.observe.inventory import inventory_of_first_look
from tasks.observe.knowledge import Knowledge
from tasks.observe.last_seen import with_last_seen
from tasks.observe.listing import examine_stored, list_lake, list_ranges
from tasks.observe.moved import drop_moved
from tasks.observe.other_seasons import files_of_other_seasons
from tasks.observe.scope import scope_of_look
from tasks.observe.session import Session, listed_datasets
from tasks.observe.unannounced import record_findings, record_listing
from tasks.progress import PROGRESS

log = logging.getLogger(__name__)

_FEW = 1000  # files of a selection by key up to which each file is looked up, instead of listing their folders
_FEW_CELLS = 200  # the same limit for cells that are given
_MANY_GAMES = 50_000  # games from which on they are judged in parts
_MANY_FILES = 500_000  # files that the ledger knows, from which on they are not read all at once
_NOT_THERE = (Kind.MISSING, Kind.VANISHED)
_MANY = 50_000  # files above which everything is read from the ledger, instead of what it knows of these


@dataclass(frozen=True)
class Look:
    """The states of files at one moment, and what was known then. Files stored later are added to `known`."""

    assessment: Assessment  # of the files that were judged
    overview: Overview  # of all files, including those whose former judgement holds
    known: Knowledge

    def gaps(self, named: Collection[str] = ()) -> list[Gap]:
        """The gaps that should be fetched, including those of the keys that are `named`; see Overview.gaps."""
        return self.overview.gaps(self.known.first_seen, named)

    def new_gaps(self) -> list[Gap]:
        """The gaps that are seen for the first time."""
        return _new(self.gaps(), self.known.first_seen)

    def closed(self, seen_before: Iterable[str]) -> list[str]:
        """The former gaps that are closed now."""
        return _closed(self.overview.statuses, seen_before)

    def again(self, keys: Collection[str], now: datetime) -> list[Gap]:
        """Gaps for those of the keys whose files are there and whole: somebody wants them fetched again."""
        cells, statuses = self.assessment.cells, self.assessment.statuses
        there = [key for key in keys if key in statuses and statuses[key].state is State.PRESENT]
        return [Gap(cells[key], Kind.STALE, "asked for again", now) for key in there]


class Reader:
    """Reads stored bodies that the present body checks have not read: at most `at_most` of them over its lifetime."""

    def __init__(self, session: Session, at_most: int | None = None):
        """`at_most` is `reconcile.examine_at_most` by default. Findings are recorded if the ledger may be written."""
        self._session = session
        self._remaining = session.config.reconcile.examine_at_most if at_most is None else at_most

    async def read(self, known: Knowledge, cells: Iterable[Cell]) -> bool:
        """Reads the bodies of some cells, and adds what it finds to `known`. Returns whether it found anything.

        Raises LakeError when the lake no longer answers; what was found before is kept.
        """
        if not self._remaining:
            return False
        session = self._session
        begun = session.learnt_at()
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
        for key in found.not_files:
            known.gone(key)
        known.examinations |= found.read
        known.unreadable = {k: seen for k, seen in known.unreadable.items() if k not in found.read} | found.unreadable
        if len(found) and not session.ledger.only_reads:
            record_findings(session, found, known.objects, begun)
        if found.lake_error:
            raise found.lake_error
        return len(found) > 0 or bool(found.not_files)


async def look_at_lake(
    session: Session,
    reader: Reader,
    *,
    remember: bool,
    listing: MutableMapping[str, LakeObject] | None = None,
    by_schedule: bool = False,
    by_inventory: bool = True,
) -> Look:
    """The state of every selected cell.

    A look `by_schedule` may list only where something can have changed; see scope.scope_of. Every other one lists
    everything that is selected.

    `listing` is a fixed listing to use instead of asking the lake; nothing is written to the ledger then. With
    `remember`, the ledger records gaps that are seen for the first time, and forgets those that are closed. Without
    `by_inventory`, the lake is listed even by a first look.
    """
    with many_objects(), session.watch.running(RunPart.LOOK):
        remember = remember and listing is None
        try:
            return await _look_at_lake(session, reader, remember, listing, by_schedule, by_inventory)
        finally:
            session.count_list_requests()


async def examine_cells(session: Session, cells: Mapping[str, Cell]) -> Mapping[str, Examination]:
    """What the body checks find in the files of some cells, by key. Those that nobody has read are read."""
    known = Knowledge()
    _load(session, known, cells)
    known.objects = await objects_of(session, cells)
    await Reader(session).read(known, cells.values())
    return known.examinations


async def look_at_cells(session: Session, cells: Mapping[str, Cell]) -> Look:
    """The state of some cells, as a look at the whole lake would find it. Only what these cells need is read."""
    known = Knowledge(first_seen=_first_seen(session, cells, remember=False))
    _load(session, known, cells)
    known.objects = await objects_of(session, cells)
    judged = await _judge_known(session, Reader(session, _FEW_CELLS), known, cells)
    return _look(session, judged, known)


def look_at_recorded(session: Session, cells: Mapping[str, Cell], at: datetime | None = None) -> Look:
    """The state of some cells at a time, or now, as far as the ledger knows them: the lake is not asked.

    A file of which the ledger has neither a version nor a gap lies in the lake and was not read yet, if it was due when
    the lake was looked at.
    """
    ledger, now = session.ledger, at or session.now()
    wrong, last = ledger.gaps.kinds(cells), ledger.looks.last()
    there = {key: one.change.object(key) for key, one in ledger.objects.last(cells).items()}
    objects = {key: have for key, have in there.items() if have and wrong.get(key) not in _NOT_THERE}
    known = Knowledge(objects=objects, first_seen=_first_seen(session, cells, remember=False))
    _load(session, known, cells)
    taken = known.taken(cells.values(), now, session.horizon())
    known.disagreements = untouched(trusted(ledger.disagreements.current(), session.horizon()), taken)
    judged = _judge(session, known, cells, now)
    unread = {
        key: NOT_READ
        for key, status in judged.statuses.items()
        if status.kind is Kind.MISSING and status.state is State.GAP and key not in wrong
        if last and cells[key].due_at <= last.taken_at
    }
    return _look(session, replace(judged, statuses={**judged.statuses, **unread}), known)


async def judge_known(
    session: Session, cells: Mapping[str, Cell], objects: Mapping[str, LakeObject], recorded: Collection[str]
) -> tuple[list[Gap], list[str]]:
    """The gaps among some files that nobody has seen before, and the keys of former gaps that are closed now.

    The `objects` of the files are known: the lake is not asked, no body is read, and nothing is recorded. Of the files
    that are not in `recorded`, the ledger has no examination. A gap that another process records meanwhile is not
    closed: known gaps are loaded before anything else, and a look records what it has read before the gap.
    """
    known = Knowledge(objects=dict(objects), first_seen=_first_seen(session, cells, remember=False))
    _load(session, known, cells, recorded)
    judged = (await _judge_known(session, Reader(session, 0), known, cells)).with_claims(session.leases.claims())
    gaps = gaps_of(cells, judged.statuses, known.first_seen, judged.taken_at)
    new = with_last_seen(session, _new(gaps, known.first_seen), known, Held())
    return new, _closed(judged.statuses, known.first_seen)


async def _judge_known(session: Session, reader: Reader, known: Knowledge, cells: Mapping[str, Cell]) -> Assessment:
    """The assessment of some cells of which everything is loaded."""
    taken = known.taken(cells.values(), session.now(), session.horizon())
    known.disagreements = untouched(trusted(session.ledger.disagreements.current(), session.horizon()), taken)
    known.obstacles = _obstacles(session, known, cells)
    return await _judge_and_read(session, reader, known, cells)


def newly_due(session: Session, known: Knowledge, schedules: Iterable[Cell]) -> Look:
    """The state of the games that newly stored schedules list. Their gaps are recorded in the ledger."""
    cells = {key: cell for key, cell in _listed_by(session, known, schedules).items() if known.has_asked(key)}
    if inventory := known.inventory:  # what it lacks is not known to be missing
        cells = {key: cell for key, cell in cells.items() if key in known.objects or inventory.settled_at(key)}
    _load(session, known, cells)
    _add_newer(session, known, cells)
    known.obstacles |= _obstacles(session, known, cells)
    known.first_seen |= _first_seen(session, cells, remember=True)
    look = _look(session, _judge(session, known, cells), known)
    session.ledger.gaps.record(look.new_gaps())
    return look


async def look_up_newly_due(session: Session, known: Knowledge, schedules: Iterable[Cell]) -> None:
    """Asks the lake for the games that newly stored schedules list, unless the look has listed it there."""
    if known.inventory:
        cells = _listed_by(session, known, schedules)
        _load(session, known, cells)
        await _settle(session, known, cells.values())
        known.list_requests = known.inventory.objects.requests
    elif isinstance(known.objects, Listing) and not known.objects.is_whole:
        unknown = [key for key in _listed_by(session, known, schedules) if not known.has_asked(key)]
        known.objects.note(unknown, await session.lake.find_all(unknown))


async def look_up(session: Session, reader: Reader, known: Knowledge, gaps: Iterable[Gap]) -> set[str]:
    """Asks the lake for the files of some gaps that were not listed. Returns the keys of those that are not gaps now.

    A fill has to know which version of a file it replaces. A file of which the lake refuses to tell is left to a look
    that lists it.
    """
    cells = {gap.cell.key: gap.cell for gap in gaps if not known.has_asked(gap.cell.key)}
    found = await ask(session.lake, cells)
    for key, error in found.refused.items():
        log.warning("%s; the file is left to a run that lists it", error, extra=about(key=key, reason=error))
    told = cells.keys() - found.refused.keys()
    assert isinstance(known.objects, Listing)
    known.objects.note(told, found.objects)
    _load(session, known, told)
    other = {key: cells[key] for key in told if not known.is_as_read(key)}
    assessment = await _judge_and_read(session, reader, known, other)
    return {key for key in other if assessment.statuses[key].state is not State.GAP}.union(found.refused)


def _misnamed(config: Config, fileless: Iterable[str], objects: Listing) -> tuple[Misnamed, ...]:
    """Those of some datasets without files in whose folders there are other files, as far as these were listed."""
    places = {name: folders([config.datasets[name]]) for name in fileless}
    listed = {name for name, some in places.items() if all(map(objects.has_listed_folder, some))}
    inner = folders(config.datasets[name] for name in listed)
    keys = chain.from_iterable(map(objects.within, inner))
    return tuple(find_misnamed(config, listed, keys))


def _listed_by(session: Session, known: Knowledge, schedules: Iterable[Cell]) -> dict[str, Cell]:
    """The cells of the games that some schedules list, by key."""
    schedules = list(schedules)
    return {
        cell.key: cell
        for schedule, listed in listed_games(session.config, schedules, known.verdicts(schedules)).items()
        for cell in game_cells(session.config, schedule, listed, session.now(), session.selection)
    }


def _add_newer(session: Session, known: Knowledge, keys: Collection[str]) -> None:
    """Adds to `known` the objects of some files of which others have learnt since the lake was listed."""
    latest = session.horizon()
    for key, one in session.ledger.objects.last(keys).items():
        is_newer = key not in known.objects and one.is_learnt_between(known.as_of(key), latest)
        if is_newer and (have := one.change.object(key)):
            known.objects[key] = have


def check_keys(session: Session, look: Look) -> None:
    """Raises UnexpectedKeysError for keys of the selection that are not expected."""
    accounted = look.assessment.cells.keys() | set(look.overview.unknown_keys)
    unexpected = [key for key in session.selection.keys if key not in accounted]
    if unexpected:
        key, more = unexpected[0], and_more(len(unexpected))
        raise UnexpectedKeysError(f"{key} is not expected{more}; `adce why {key}` says why", unexpected)


def _look(session: Session, judged: Assessment, known: Knowledge) -> Look:
    """A look at the files that were judged, with the claims of other runs on them."""
    assessment = judged.with_claims(session.leases.claims())
    return Look(assessment, overview_of(assessment), known)


async def _look_at_lake(
    session: Session,
    reader: Reader,
    remember: bool,
    listing: MutableMapping[str, LakeObject] | None,
    by_schedule: bool,
    by_inventory: bool,
) -> Look:
    config, selection, now, begun = session.config, session.selection, session.now(), session.learnt_at()
    calendar = {cell.key: cell for cell in calendar_cells(config, now, selection)}
    last_file = session.ledger.attempts.last_file()  # before the listing, which may miss files stored from now on
    few = bool(selection.keys) and len(selection.keys) + len(calendar) <= _FEW
    wanted = [*selection.keys, *calendar] if few else None
    may_hold = listing is None and selection.has_whole_partitions
    by_inventory = by_inventory and listing is None and not selection.keys
    inventory = await inventory_of_first_look(session) if by_inventory else None
    recalling = asyncio.create_task(asyncio.to_thread(_recall, session, wanted, now if may_hold else None))
    try:
        if listing is not None:
            objects = Listing.of(listing.values())
        elif inventory:
            objects = inventory.objects
        elif by_schedule and remember and config.reconcile.verify_every:
            objects = await _objects_of_scope(session, (await recalling)[1], calendar.values(), wanted)
        else:
            objects = await _objects(session, wanted)
    finally:
        await asyncio.wait({recalling})
    known, held = recalling.result()
    is_listed = listing is None and inventory is None
    known.objects, known.last_file, known.begun, known.inventory = objects, last_file, begun, inventory
    if inventory:
        known.begun = min(begun, complete_until(inventory.as_of))
    while True:
        held.drop_changed(session, calendar, objects)
        schedules = [cell for cell in calendar.values() if config.datasets[cell.dataset].lists_games]
        if is_listed:
            await _drop_moved(session, held, objects, (cell.key for cell in schedules if cell.partition not in held))
        await _read_schedules(session, reader, known, held, schedules, remember)
        games = _listed_games(session, known, held, schedules)
        read = set(known.verdicts(schedules))
        if objects.is_whole:
            break
        cells = expected_cells(config, calendar.values(), games, selection, now, held)
        lacking = held.not_listed(cells, objects)
        if not lacking:
            break
        # What is judged has to be listed first. That may show further changes, and so more to judge.
        objects.add(await list_ranges(session.lake, listed_datasets(session).values(), lacking))
    unlike = set()
    if may_hold and inventory is None:
        unlike = await _judge_in_parts(session, known, held, games, objects, now)
    cells = expected_cells(config, calendar.values(), games, selection, now, held)
    if is_listed:
        await _drop_moved(session, held, objects, cells)
    _load(session, known, [*cells, *held.gaps()])
    if listing is None:
        known.obstacles = await asyncio.to_thread(_obstacles, session, known, [*cells, *calendar])
    judged = await _judge_and_read(session, reader, known, cells, now)
    claims = session.leases.claims()
    assessment = judged.with_claims(claims)
    overview = joined([overview_of(assessment), *held.overviews(now)], now).with_claims(claims)
    stored = stored_files(cells, objects.among(cells)) | held.stored()
    fileless = listed_datasets(session).keys() - {partition.dataset for partition in stored}
    misnamed = () if few else _misnamed(config, fileless, objects)
    since = held.verified_since(begun)
    verified_since = None if objects.is_whole else since
    from_inventory = inventory.from_inventory if inventory else None
    overview = replace(
        overview, stored=stored, misnamed=misnamed, from_inventory=from_inventory, verified_since=verified_since
    )
    # In a held partition only a schedule that is an exception can be unknown.
    schedules = [cell for cell in schedules if cell.partition not in held or cell.key in overview.statuses]
    read |= {cell.key for cell in schedules if cell.partition in held}
    known.list_requests = objects.requests
    look = Look(assessment, _with_unknown(session, known, overview, assessment, schedules, read), known)
    first_seen = _first_seen(session, remember=remember)
    known.first_seen = {key: first_seen[key] for key in overview.statuses.keys() & first_seen.keys()}
    if remember:
        _forget_false_times(session, assessment, known)
        expected = (first_seen.keys() & cells.keys()) | held.among(session, first_seen.keys() - cells.keys())
        gaps = with_last_seen(session, look.new_gaps(), known, held)
        record_listing(session, known, judged.cells.keys() | unlike, gaps, look.closed(expected), since)
        held.replace(session, judged, known, objects)
    return look


def _recall(session: Session, keys: Iterable[str] | None, now: datetime | None) -> tuple[Knowledge, Held]:
    """What the ledger knows of some files, or of all if `keys` is None, and the judgements that may hold at `now`.

    If there are such judgements, nothing else is read yet. If `now` is None, no judgements are used.
    """
    held = recall(session, now) if now else Held()
    known = Knowledge()
    if not held and (now is None or not session.ledger.objects.has_more_than(_MANY_FILES)):
        _load(session, known, keys)
    return known, held


def _load(
    session: Session, known: Knowledge, keys: Iterable[str] | None, recorded: Collection[str] | None = None
) -> None:
    """Adds to `known` what the ledger knows of some files, or of all if `keys` is None.

    With `recorded`, it is not asked for examinations of any others than these.
    """
    if known.loaded is None:
        return
    wanted = None if keys is None else [key for key in dict.fromkeys(keys) if key not in known.loaded]
    if wanted is not None and len(wanted) > _MANY and not session.ledger.objects.has_more_than(_MANY_FILES):
        wanted = None
    ledger = session.ledger
    read = wanted if recorded is None else recorded
    known.examinations = ledger.objects.examined(read) | known.examinations
    known.unreadable = ledger.objects.unreadable(read) | known.unreadable
    known.absences = ledger.absences.current(wanted) | known.absences
    known.loaded = None if wanted is None else known.loaded.union(wanted)


async def _judge_in_parts(
    session: Session,
    known: Knowledge,
    held: Held,
    games: Mapping[str, Collection[Game]],
    objects: Listing,
    now: datetime,
) -> set[str]:
    """Judges the files of many games, those of one dataset and season at a time, so that few are in memory.

    What has its judgement then is held. The others are left to be judged together, such as those of which a body has
    to be read. Returns the files that are not in the version that was last read or stored.
    """
    unlike: set[str] = set()
    if sum(map(len, games.values())) < _MANY_GAMES or session.horizon() < now:
        return unlike
    held.cut(objects)
    ledger = session.ledger
    every = replace(known, unreadable=ledger.objects.unreadable(), absences=ledger.absences.current())
    for cells in _parts(session, games, now, held):
        await _drop_moved(session, held, objects, cells)
        part = replace(every, objects=objects.among(cells))
        if known.loaded is not None:
            part.examinations = ledger.objects.examined(cells)
        part.obstacles = _obstacles(session, part, cells)
        held.hold(session, _judge(session, part, cells, now), part)
        different = part.not_as_read(cells)
        unlike |= different
        left = {key for key, cell in cells.items() if (cell.dataset, cell.season) not in held}
        seen = part.examinations
        known.examinations.update((key, seen[key]) for key in left | different if key in seen)
        if known.loaded is not None:
            known.loaded |= left
    known.unreadable, known.absences = every.unreadable, every.absences
    return unlike


def _parts(
    session: Session, games: Mapping[str, Collection[Game]], now: datetime, held: Held
) -> Iterator[dict[str, Cell]]:
    """The cells of games, without those of held partitions: those of one dataset and season at a time.

    Whatever is known of so few files fits into the caches of a processor.
    """
    for schedule, listed in games.items():
        for some in by_season(listed).values():
            for name in games_from(session.config, schedule, session.selection):
                one = replace(session.selection, datasets=(name,))
                if cells := expected_cells(session.config, (), {schedule: some}, one, now, held):
                    yield cells


async def _drop_moved(session: Session, held: Held, objects: Listing, keys: Iterable[str]) -> None:
    """Drops files from a listing that are not there any more; see moved.drop_moved."""
    if session.lake.folder is None:
        await drop_moved(session, objects, held.changed_among(keys), if_unknown=not held.is_first)


async def _read_schedules(
    session: Session, reader: Reader, known: Knowledge, held: Held, schedules: Iterable[Cell], remember: bool
) -> None:
    """Reads the bodies of schedules that nobody has read, and compares the sources' schedules of the current season."""
    season = seasons.current_season(session.now())
    changed = [cell for cell in schedules if cell.partition not in held]
    compared = [cell for cell in schedules if cell.season == season]
    _load(session, known, [cell.key for cell in (*changed, *compared)])
    by_key = {cell.key: cell for cell in changed}
    if known.inventory:  # a schedule that is bad or stale in it may be good in the lake
        await _judge_settled(session, known, by_key)
    if await reader.read(known, changed) and known.inventory:
        await _judge_settled(session, known, by_key)
        await reader.read(known, changed)
    _compare(session, known, compared, remember)
    differing = {one.key for one in known.disagreements}
    held.drop({cell.partition for cell in compared if cell.key in differing})


def _listed_games(session: Session, known: Knowledge, held: Held, schedules: Iterable[Cell]) -> dict[str, list[Game]]:
    """The games of the schedule datasets that have games to be judged. It drops the judgements of changed games."""
    config, selection = session.config, session.selection
    by_dataset: dict[str, list[Cell]] = {}
    for cell in schedules:
        by_dataset.setdefault(cell.dataset, []).append(cell)
    listed: dict[str, list[Game]] = {}
    for name, cells in by_dataset.items():
        needed = None  # of all seasons
        if held.has_all([name]) and all(cell.partition in held for cell in cells):
            needed = held.seasons_to_judge(games_from(config, name, selection))
            if not needed:
                continue
            listed[name] = _games_of(session, known, cells, needed)
        else:
            _load(session, known, [cell.key for cell in cells])
            listed |= listed_games(config, cells, known.verdicts(cells))
        held.compare_games(config, name, listed.get(name, ()), selection, needed)
    return listed


def _games_of(session: Session, known: Knowledge, schedules: Iterable[Cell], needed: Collection[str]) -> list[Game]:
    """The games of some seasons that these schedules list, without reading those of the others."""
    cells = {cell.key: cell for cell in schedules}
    part = replace(known, examinations=session.ledger.objects.examined(cells, with_games=False))
    read = part.verdicts(cells.values())
    entries = session.ledger.games.of_seasons(read, needed)
    games = deduplicated(game for key in cells for game in entries.get(key, ()))
    return [game for game in games if game.season in needed]


async def _objects(session: Session, wanted: Collection[str] | None) -> Listing:
    """The objects under the `wanted` keys, or if that is None, in the folders of the selected datasets."""
    progress = PROGRESS.get()
    progress("Listing the lake", 0, 1)
    if wanted is None:
        hints = await asyncio.to_thread(session.ledger.judgements.ranges)
        objects = await list_lake(session.lake, listed_datasets(session).values(), hints)
    else:
        objects = Listing.of((await session.lake.find_all(wanted)).values())
    progress("Listing the lake", 1, 1)
    return objects


async def _objects_of_scope(
    session: Session, held: Held, calendar: Iterable[Cell], wanted: Collection[str] | None
) -> Listing:
    """The objects of a scheduled look at a lake that is verified on a rotation: all as of any look, or some ranges."""
    now = session.now()
    watch = session.ledger.announcements.watch(now)
    scope = scope_of_look(session, watch, is_held=held.is_of_everything(session))
    log.info("this look lists %s", scope.text)
    if watch is None or scope.everything:
        return await _objects(session, wanted)
    ranges = held.ranges_to_list(session, calendar, now, now + session.config.reconcile.interval, watch.since)
    progress = PROGRESS.get()
    progress("Listing the lake", 0, 1)
    objects = await list_ranges(session.lake, listed_datasets(session).values(), ranges)
    progress("Listing the lake", 1, 1)
    return objects


async def objects_of(session: Session, cells: Mapping[str, Cell]) -> MutableMapping[str, LakeObject]:
    """The objects of some cells, by key.

    If there are many, or the lake refuses to tell of one, their folders are listed, with whatever else they hold.
    """
    if len(cells) <= _FEW_CELLS:
        found = await ask(session.lake, cells)
        if not found.refused:
            return found.objects
    datasets = [session.config.datasets[name] for name in {cell.dataset for cell in cells.values()}]
    hints = await asyncio.to_thread(session.ledger.judgements.ranges)
    objects = await list_lake(session.lake, datasets, hints)
    await drop_moved(session, objects, cells, if_unknown=False)
    return objects


def _obstacles(session: Session, known: Knowledge, keys: Iterable[str]) -> dict[str, str]:
    return session.lake.obstacles(key for key in keys if key not in known.objects)


def _judge(session: Session, known: Knowledge, cells: Mapping[str, Cell], now: datetime | None = None) -> Assessment:
    """The assessment of cells at `now` that follows from what is known."""
    with session.watch.running(RunPart.JUDGE):
        return assess(
            session.config,
            cells,
            known.objects.among(cells) if isinstance(known.objects, Listing) else known.objects,
            known.examinations,
            session.checks,
            now or session.now(),
            known.absences,
            known.unreadable,
            known.disagreements,
            known.obstacles,
            session.horizon(),
        )


async def _judge_and_read(
    session: Session, reader: Reader, known: Knowledge, cells: Mapping[str, Cell], now: datetime | None = None
) -> Assessment:
    """The assessment of cells, after the reader has read the bodies that nobody has read, as far as it may."""
    assessment = await _judge_settled(session, known, cells, now)
    if assessment.unseen and await reader.read(known, assessment.unseen):
        assessment = await _judge_settled(session, known, cells, now)
    return assessment


async def _judge_settled(
    session: Session, known: Knowledge, cells: Mapping[str, Cell], now: datetime | None = None
) -> Assessment:
    """The assessment of cells. Where it may not rest on an inventory, it rests on what the lake answers."""
    assessment = _judge(session, known, cells, now)
    if await _settle(session, known, cells.values(), assessment.statuses):
        assessment = _judge(session, known, cells, now)
    return assessment


async def _settle(
    session: Session, known: Knowledge, cells: Iterable[Cell], statuses: Mapping[str, Status] | None = None
) -> bool:
    """Asks the lake for cells whose states may not rest on an inventory, if one is used. Returns whether it did."""
    if known.inventory is None:
        return False
    by_key = {cell.key: cell for cell in cells}
    return await known.inventory.settle(by_key, known.examinations, session.now(), session.learnt_at(), statuses)


def _compare(session: Session, known: Knowledge, schedules: Collection[Cell], remember: bool) -> None:
    """Finds which of the current season's schedules list fewer games than another source's.

    With `remember`, the ledger records them. Schedules outside the selection keep what the ledger has of them.
    """
    now, horizon = session.now(), session.horizon()
    before = trusted(session.ledger.disagreements.current(), horizon)
    taken = known.taken(schedules, now, horizon)
    games = listed_games(session.config, schedules, known.verdicts(schedules))
    comparison = compare(session.config, schedules, known.examinations, taken, games, before, now)
    known.disagreements = comparison.found
    if not remember:
        return
    found = [disagreement for disagreement in comparison.found if disagreement not in before]
    for disagreement in found:
        if disagreement.next_look() is None:
            fields = about(key=disagreement.key, limit=Limit.DISAGREEMENT, reason=disagreement.what)
            text = "%s lists %s; looking again did not change that"
            log.warning(text, disagreement.key, disagreement.what, extra=fields)
    session.ledger.disagreements.record(found, comparison.mended)


def _with_unknown(
    session: Session,
    known: Knowledge,
    overview: Overview,
    assessment: Assessment,
    schedules: Collection[Cell],
    read: Collection[str],
) -> Overview:
    """The overview, extended by what is unknown: games whose schedules are not known.

    `read` are the keys of the schedules whose games are known. A part of another run has no unknowns, since that run
    has found its files to be expected.
    """
    if session.part:
        return overview
    config, selection = session.config, session.selection
    needed = first_seasons_by_schedule(config, selection)
    if not selection.keys:
        judged = (cell.key for cell in schedules if cell.key in assessment.cells)
        statuses = {**overview.statuses, **{key: assessment.statuses[key] for key in judged}}
        asked = selected_datasets(config, selection)
        needed_by = {name: ", ".join(by) for name, by in needed.items() if name not in asked}
        unknown = find_unknown(needed, schedules, statuses, read)
        others = files_of_other_seasons(session, known, unknown)
        estimate = estimate_unlisted(
            config, unknown, statuses, overview.counts, selection, overview.taken_at, others.values()
        )
        stored = {**stored_files(others, known.objects), **overview.stored}
        return replace(overview, unknown=unknown, unlisted=estimate, needed_by=needed_by, stored=stored)
    unlisted = {key: session.keys.dataset_of(key) for key in selection.keys if key not in assessment.cells}
    needed = {name: {d: first for d, first in by.items() if d in unlisted.values()} for name, by in needed.items()}
    statuses = {**_judge(session, known, {cell.key: cell for cell in schedules}).statuses}
    unknown = find_unknown(needed, schedules, statuses, read)
    datasets = {part.dataset for part in unknown}
    keys = tuple(key for key, dataset in unlisted.items() if dataset in datasets)
    return replace(overview, unknown=unknown, unknown_keys=keys)


def _new(gaps: Iterable[Gap], first_seen: Mapping[str, datetime]) -> list[Gap]:
    """The gaps that are seen for the first time."""
    return [gap for gap in gaps if gap.cell.key not in first_seen]


def _closed(statuses: Mapping[str, Status], seen_before: Iterable[str]) -> list[str]:
    """The files that were gaps before of which nothing is wrong now, whether or not they may be fetched."""
    return [key for key in seen_before if (status := statuses.get(key)) is None or status.kind is None]


def _first_seen(session: Session, keys: Iterable[str] | None = None, *, remember: bool) -> dict[str, datetime]:
    """When gaps were first detected: those among some keys, or all.

    Times that only a wrong clock can have written are ignored, and forgotten.
    """
    known, horizon = session.ledger.gaps.first_seen(keys), session.horizon()
    ahead = [key for key, at in known.items() if at > horizon]
    if ahead and remember:
        session.ledger.gaps.close(ahead)
    return {key: at for key, at in known.items() if at <= horizon} if ahead else known


def _forget_false_times(session: Session, assessment: Assessment, known: Knowledge) -> None:
    """Corrects the examinations of files that were fetched under a clock that was ahead: they count as older."""
    cells, horizon = assessment.cells, session.horizon()
    false = {
        key: without_false_time(seen, known.objects.get(key), cells[key], horizon)
        for key, seen in known.examinations.items()
        if seen.fetched is not None and seen.fetched > horizon and key in cells
    }
    if false:
        log.warning("%s files were fetched under a clock that was ahead; they count as older", len(false))
        known.examinations |= false
        session.ledger.objects.record(false)
