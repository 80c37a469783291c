"""Where does the lake stand, and what would be fetched? Without Prefect, so that looking is quick."""

from __future__ import annotations

import asyncio
import gc
import logging
import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import ClassVar

from blocks.store import Store
from config.load import ConfigError
from config.models import Config, Priority
from tasks.domain.absences import Absence, doubted
from tasks.domain.agreement import Disagreement, believed, compare
from tasks.domain.errors import SelectionError
from tasks.domain.expected import Cell, Selection, calendar_cells, in_utc, needing
from tasks.domain.games import Game
from tasks.domain.holds import Hold, all_believed
from tasks.domain.keys import KeyPatterns, folders
from tasks.domain.lakes import LakeKind, Pairing
from tasks.domain.lanes import LATENCY, START_UP, Supply, foresee, with_eta
from tasks.domain.pacing import spacing
from tasks.domain.plan import Fill, Gap, Plan, make_plan
from tasks.domain.rollout import covered, variants
from tasks.domain.scoring import success_factor
from tasks.domain.states import Examination, LakeObject, Status, Unreadable, taken_at, without_false_time
from tasks.domain.survey import Survey, expected_cells, listed_games, take_survey
from tasks.domain.times import check_fetching_clock, horizon
from tasks.domain.unknown import find_unknown
from tasks.domain.verdicts import Verdict
from tasks.identity import check_pairing
from tasks.inventory import check_ids, examine_stored, list_lake
from tasks.ledger import Ledger
from tasks.ledger.attempts import Arm
from tasks.ledger.leases import Leases
from tasks.progress import PROGRESS
from tasks.report import IN_REPORT, Report
from tasks.sources.checks import CHECKS

log = logging.getLogger(__name__)

_MOST_TOLD = 20  # files in the log that vanished
_FEW = 1000  # files of which each is asked for, rather than their folders listed


@dataclass(frozen=True, slots=True)
class Part:
    """What a run does is a part of another's work: of which run, by its id in the ledger, and until when.

    It does it itself, and hands nothing over. `lake` and `ledger` are the ids of those that the other run has.
    """

    of: str | None
    ends: datetime | None
    lake: str | None = None
    ledger: str | None = None


@dataclass
class View:
    """One look at the lake, and what it is seen with."""

    tells_lost: ClassVar[bool] = False  # in the log, and not only in the report

    config: Config
    selection: Selection
    lake: Store
    ledger: Ledger
    as_of: datetime | None = None
    max_fills: int | None = None
    priority: Priority | None = None  # of all fills, whatever their own would be
    part: Part | None = None
    pairing: Pairing | None = None  # of the lake and the ledger
    listing: dict[str, LakeObject] | None = None  # what the lake is to hold: then nothing is kept of the look
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    objects: dict[str, LakeObject] = field(default_factory=dict)
    examinations: dict[str, Examination] = field(default_factory=dict)
    unreadable: dict[str, Unreadable] = field(default_factory=dict)
    obstacles: dict[str, str] = field(default_factory=dict)  # by key, what stands in place of a file
    absences: dict[str, Absence] = field(default_factory=dict)
    disagreements: list[Disagreement] = field(default_factory=list)
    first_seen: dict[str, datetime] = field(default_factory=dict)
    lost: dict[str, Status] = field(default_factory=dict)  # what had vanished or shrunk when this run saw it first
    last_file: int = 0  # number of the last attempt in the ledger when the lake was listed
    history: dict[str, tuple[float, float]] = field(init=False)  # files stored and failed by dataset
    latencies: dict[str, float] = field(init=False)  # seconds by source, as the ledger remembers
    to_read: int = field(init=False)  # stored bodies that this run may yet read
    keys: KeyPatterns = field(init=False)
    checks: dict[str, str] = field(init=False)  # by scraper, what its examinations must be of
    leases: Leases = field(init=False)

    def __post_init__(self) -> None:
        self.to_read = self.config.reconcile.examine_at_most
        self.keys = KeyPatterns(self.config)
        self.checks = check_ids(self.config)
        parent = self.part.of if self.part else None
        self.leases = Leases(self.ledger.database, self.id, self.config.reconcile.lease, parent)
        self.latencies = self.ledger.attempts.latencies()
        self.history = self.ledger.attempts.outcomes_by_dataset(self.config.scoring.success.half_life, self.now())

    def now(self) -> datetime:
        return self.as_of or datetime.now(UTC)

    def horizon(self) -> datetime:
        """No stored time after this is believed."""
        return horizon(self.config, self.now(), datetime.now(UTC))

    def next_run(self) -> datetime:
        """When what is left undone is looked at again."""
        return (self.as_of or self.begun).replace(microsecond=0) + self.config.reconcile.interval

    @property
    def ends(self) -> datetime:
        """After this time no fill is started."""
        ends = self.begun + self.config.reconcile.time_budget
        return min(ends, in_utc(self.part.ends)) if self.part and self.part.ends else ends

    async def report(self, *, remember: bool) -> Report:
        """What a reconcile would do now."""
        survey = await self.look(remember=remember)
        plan = self.plan(survey)
        fills, history = self.foresee(plan.fills), self.ledger.attempts
        holds, performance, rollouts = self.holds(), history.performance(), self.rollouts()
        return Report(
            survey,
            fills,
            plan.deferred,
            self.config,
            holds,
            performance=performance,
            rollouts=rollouts,
            met_lost=self.lost,
        )

    def holds(self) -> dict[str, Hold]:
        """Who is left alone, without what a wrong clock has written."""
        return all_believed(self.ledger.breakers.now(), self.config, datetime.now(UTC))

    def rollouts(self) -> dict[str, tuple[Arm, Arm]]:
        """How each rollout and the rest of its datasets have fared since it began."""
        arms = self.ledger.attempts.arms
        return {name: arms(name, covered(self.config, name)) for name in self.config.rollout}

    async def look(self, *, remember: bool) -> Survey:
        """The state of every selected cell, from a fresh listing; what the checks find is kept in the ledger."""
        with _many_objects():
            return await self._look(remember)

    async def _look(self, remember: bool) -> Survey:
        config, now = self.config, self.now()
        progress = PROGRESS.get()
        datasets = [d for n, d in config.datasets.items() if self.selection.has(n, d) or n in self._schedules_in_use()]
        calendar = list(calendar_cells(config, now, self.selection))
        progress("Listing the lake", 0, 1)
        self.last_file = self.ledger.attempts.last_file()  # first: what is stored from now on may be missed below
        few = bool(self.selection.keys) and len(self.selection.keys) + len(calendar) <= _FEW
        wanted = [*self.selection.keys, *(cell.key for cell in calendar)] if few else None
        known = asyncio.create_task(asyncio.to_thread(self.ledger.objects.examined, wanted))
        try:
            if self.listing is not None:
                self.objects = self.listing
            else:
                self.objects = await (list_lake(self.lake, datasets) if wanted is None else self.lake.find_all(wanted))
        finally:
            await asyncio.wait({known})
        progress("Listing the lake", 1, 1)
        self.examinations = known.result()
        self.unreadable = self.ledger.objects.unreadable(wanted)
        self.absences = self.ledger.absences.now()
        await self.examine([c for c in calendar if config.datasets[c.dataset].lists_games])
        verdicts = self._verdicts(calendar)
        games = listed_games(config, calendar, verdicts)
        self._compare(calendar, games, remember)
        cells = expected_cells(config, games, self.selection, now)
        if self.listing is None:
            self.obstacles = await asyncio.to_thread(self._obstacles, [*cells, *(cell.key for cell in calendar)])
        survey = self._survey(cells, now)
        if survey.unseen and await self.examine(survey.unseen):
            survey = self._survey(cells, now)
        survey = self._with_unknown(survey, calendar, verdicts)
        self.first_seen = self.seen_first(cells, remember=remember)
        self.note_lost(survey)
        if remember:
            self._remember(survey)
        return survey

    def _with_unknown(self, survey: Survey, calendar: Iterable[Cell], read: Collection[str]) -> Survey:
        """The same, with what is unknown of the selection; the games of the schedules that were `read` count.

        A part of another run is about files that this has found to be expected, and about no schedule of theirs.
        """
        if self.part:
            return survey
        config, selection = self.config, self.selection
        schedules = [cell for cell in calendar if config.datasets[cell.dataset].lists_games]
        needed = needing(config, selection)
        if not selection.keys:
            asked = {name for name, dataset in config.datasets.items() if selection.has(name, dataset)}
            needed_by = {name: ", ".join(by) for name, by in needed.items() if name not in asked}
            return replace(survey, unknown=find_unknown(needed, schedules, survey.statuses, read), needed_by=needed_by)
        unlisted = {key: self.keys.dataset_of(key) for key in selection.keys if key not in survey.cells}
        needed = {name: {d: first for d, first in by.items() if d in unlisted.values()} for name, by in needed.items()}
        statuses = self._survey({cell.key: cell for cell in schedules}, survey.taken_at).statuses
        unknown = find_unknown(needed, schedules, statuses, read)
        datasets = {part.dataset for part in unknown}
        keys = tuple(key for key, dataset in unlisted.items() if dataset in datasets)
        return replace(survey, unknown=unknown, unknown_keys=keys)

    def check_keys(self, survey: Survey) -> None:
        """Raises SelectionError for files that were asked for by key and that nothing expects."""
        accounted = survey.cells.keys() | set(survey.unknown_keys)
        unexpected = [key for key in self.selection.keys if key not in accounted]
        if unexpected:
            more = f" (and {len(unexpected) - 1} more)" if len(unexpected) > 1 else ""
            raise SelectionError(f"{unexpected[0]} is not expected{more}; `adce why {unexpected[0]}` tells why")

    def plan(self, survey: Survey) -> Plan:
        """The plan for the gaps of a survey."""
        return self.plan_for(survey.gaps(self.first_seen, self.selection.keys))

    def plan_for(self, gaps: list[Gap]) -> Plan:
        """The plan for these gaps, with the ledger's history and what is held until the run has used up its time."""
        now, own = datetime.now(UTC), variants(self.config)  # what a variant would have to wait for goes the usual way
        held = {
            name: hold
            for name, hold in self.holds().items()
            if hold.until and hold.until > (now if name in own else self.ends)
        }
        doubtful = doubted(self.absences.values())
        return make_plan(self.config, gaps, self.now(), self.success(), held, self.max_fills, self.priority, doubtful)

    def success(self) -> dict[str, float]:
        """The success factor by dataset, of the ledger's history."""
        return self._factors(self.history)

    def _factors(self, counts: Mapping[str, tuple[float, float]]) -> dict[str, float]:
        return {name: success_factor(*count, self.config.scoring) for name, count in counts.items()}

    def supply(self, source: str) -> Supply:
        """What a source gives, as far as the ledger remembers."""
        return self._supply(source, self.latencies.get(source, LATENCY), START_UP)

    def _supply(self, source: str, latency: float, start_up: float) -> Supply:
        settings = self.config.sources[source]
        return Supply(spacing([*settings.rates, *self.config.rates]), latency, start_up, settings.lanes)

    def foresee(self, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        """The fills, each with when it would start and end."""
        fills = list(fills)
        now = datetime.now(UTC)
        supplies = {source: self.supply(source) for source in self.config.sources}
        opens = {n: (h.until - now).total_seconds() for n, h in self.holds().items() if h.until}
        spans = foresee(fills, supplies, self.config.reconcile.max_concurrent, opens)
        return tuple(with_eta(fills, spans, self.now()))

    def _obstacles(self, keys: Iterable[str]) -> dict[str, str]:
        return self.lake.obstacles(key for key in keys if key not in self.objects)

    def _survey(self, cells: dict[str, Cell], now: datetime) -> Survey:
        return take_survey(
            self.config,
            cells,
            self.objects,
            self.examinations,
            self.checks,
            now,
            self.absences,
            self.leases.marks(),
            self.unreadable,
            self.disagreements,
            self.obstacles,
            self.horizon(),
        )

    def _compare(self, calendar: Iterable[Cell], games: Mapping[str, Iterable[Game]], remember: bool) -> None:
        """Which schedules of the running season list fewer games than another source's?

        What is remembered of those that are not looked at now stays as it is.
        """
        now, horizon = self.now(), self.horizon()
        schedules = [c for c in calendar if self.config.datasets[c.dataset].lists_games]
        taken = {
            c.key: at
            for c in schedules
            if self.is_examined(c)
            and (at := taken_at(self.objects[c.key], self.examinations[c.key], now, horizon)) is not None
        }
        known = believed(self.ledger.disagreements.now(), horizon)
        comparison = compare(self.config, schedules, self.examinations, taken, games, known, now)
        self.disagreements = comparison.found
        if not remember or self.listing is not None:
            return
        found = [one for one in comparison.found if one not in known]
        for one in found:
            if one.next_look() is None:
                log.warning("%s lists %s; looking again did not change that", one.key, one.what)
        self.ledger.disagreements.record(found, comparison.mended)

    def _verdicts(self, cells: Iterable[Cell]) -> dict[str, Verdict]:
        """What was found in the versions that the lake has now."""
        return {cell.key: self.examinations[cell.key].verdict for cell in cells if self.is_examined(cell)}

    def is_examined(self, cell: Cell) -> bool:
        """Has the version that the lake has now been read, by this check or by a former one?"""
        have, known = self.objects.get(cell.key), self.examinations.get(cell.key)
        return bool(have and known and known.is_of(have))

    async def examine(self, cells: Iterable[Cell]) -> bool:
        """Looks into stored bodies, as many as the run may yet; is anything known now that was not?

        Raises LakeError when the lake does not answer any more; what was found until then is kept.
        """
        found = await examine_stored(
            self.lake,
            self.config,
            cells,
            self.objects,
            self.examinations,
            self.unreadable,
            self.to_read,
            self.begun,
            lambda done, total: PROGRESS.get()("Looking into stored files", done, total),
        )
        self.to_read -= len(found)
        self.examinations |= found.read
        self.unreadable = {k: seen for k, seen in self.unreadable.items() if k not in found.read} | found.unreadable
        if self.listing is None:
            self.ledger.objects.record(found.read, found.unreadable, self.objects, self.begun)
        if found.trouble:
            raise found.trouble
        return len(found) > 0

    def _remember(self, survey: Survey) -> None:
        """Notes gaps that are seen for the first time, and forgets those that are closed, and what is not believed."""
        self._forget_false_times(survey)
        known = self.first_seen
        new = [gap for gap in survey.gaps(known) if gap.cell.key not in known]
        self.ledger.gaps.record(new)
        self.ledger.gaps.close(key for key in known if survey.statuses[key].kind is None)

    def _forget_false_times(self, survey: Survey) -> None:
        horizon, objects, cells = self.horizon(), self.objects, survey.cells
        false = {
            key: without_false_time(seen, objects.get(key), cells[key], horizon)
            for key, seen in self.examinations.items()
            if seen.fetched is not None and seen.fetched > horizon and key in cells
        }
        if false:
            log.warning("%s files were fetched under a clock that was ahead; they count as older", len(false))
            self.examinations |= false
            self.ledger.objects.record(false)

    def seen_first(self, keys: Iterable[str], *, remember: bool) -> dict[str, datetime]:
        """When each of the gaps was first detected. Those that were so under a wrong clock are detected anew."""
        known, horizon = self.ledger.gaps.first_seen(keys), self.horizon()
        ahead = [key for key, at in known.items() if at > horizon]
        if ahead and remember:
            self.ledger.gaps.close(ahead)
        return {key: at for key, at in known.items() if at <= horizon} if ahead else known

    def note_lost(self, survey: Survey) -> None:
        """Keeps what had vanished or shrunk. A run says so in its log, once, whoever has seen it before."""
        lost = {key: status for key, status in survey.lost.items() if key not in self.lost}
        self.lost |= lost
        if not self.tells_lost:
            return
        for key, status in list(lost.items())[:_MOST_TOLD]:
            log.error("%s %s: %s", key, status.kind and status.kind.value, status.reason, extra=IN_REPORT)
        if len(lost) > _MOST_TOLD:
            log.error("and %s more files that vanished or shrank", len(lost) - _MOST_TOLD, extra=IN_REPORT)

    def _schedules_in_use(self) -> set[str | None]:
        return {d.schedule for n, d in self.config.datasets.items() if self.selection.has(n, d)}


@contextmanager
def _many_objects() -> Iterator[None]:
    """Without the garbage collector, which goes through all of millions of objects again and again.

    It does not go through them afterwards either: they are freed when nobody has them any more.
    """
    was_on = gc.isenabled()
    gc.disable()
    gc.unfreeze()  # those of the look before
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


@asynccontextmanager
async def open_view(
    config: Config, selection: Selection, *, as_of: datetime | None = None, max_fills: int | None = None
) -> AsyncIterator[View]:
    """A view with its lake and ledger open. Raises an AdceError that names what cannot be opened."""
    lake, ledger, _ = await open_lake_and_ledger(config, selection, as_of)
    try:
        yield View(config, selection, lake, ledger, as_of, max_fills)
    finally:
        ledger.close()


async def open_lake_and_ledger(
    config: Config,
    selection: Selection,
    as_of: datetime | None,
    *,
    fetches: bool = False,
    part: Part | None = None,
) -> tuple[Store, Ledger, Pairing]:
    """After all that can be checked without them was found right.

    For who fetches, a local lake is made; but not for a part of a run, since that has one. Their clock is not ahead.
    """
    check_the_checks(config)
    selection.check(config, as_of or datetime.now(UTC))
    if fetches:
        check_fetching_clock(config, as_of, datetime.now(UTC))
    return await open_both(config, fetches=fetches, part=part)


async def open_both(
    config: Config, *, fetches: bool = False, part: Part | None = None
) -> tuple[Store, Ledger, Pairing]:
    """The lake and the ledger of the configuration, which belong together. Raises an AdceError if they do not."""
    lake = await open_lake(config)
    planned = (part.lake, part.ledger) if part else (None, None)
    lake.check()
    ledger = Ledger(config.ledger)
    try:
        kind = (LakeKind.SANDBOX if config.sandbox else LakeKind.REAL) if fetches else None
        pairing = await check_pairing(lake, ledger, kind, planned, folders(config.datasets.values()))
        if fetches and planned == (None, None):
            lake.check(create=True)
        return lake, ledger, pairing
    except BaseException:
        ledger.close()
        raise


async def open_lake(config: Config) -> Store:
    """The lake of the configuration, with the credentials of the block that it names. Raises LakeError."""
    connections = config.reconcile.lake_connections
    if config.aws_credentials is None:
        return Store(config.lake, connections)
    from blocks.lake import lake_with_credentials  # seconds: it imports Prefect

    return await lake_with_credentials(config.lake, connections, config.aws_credentials)


async def plan_lake(
    config: Config, selection: Selection, *, as_of: datetime | None = None, max_fills: int | None = None
) -> Report:
    """What a reconcile would do now. Fetches nothing; first sightings are kept unless the clock is set."""
    async with open_view(config, selection, as_of=as_of, max_fills=max_fills) as view:
        report = await view.report(remember=as_of is None)
        if as_of is None:
            view.ledger.plans.keep(report.plan_document(), view.now(), view.id)
        return report


def check_the_checks(config: Config) -> None:
    """Raises ConfigError for a dataset whose check there is none of."""
    lines = [
        f"datasets.{name}.check.name: no check {dataset.check.name!r}; there are {', '.join(sorted(CHECKS))}"
        for name, dataset in config.datasets.items()
        if dataset.check.name not in CHECKS
    ]
    if lines:
        raise ConfigError(lines)
