"""What does a run hold open? Configuration, lake, ledger, buckets and the connections to the sites."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from prefect.client.orchestration import PrefectClient
from prefect_aws import AwsCredentials

from blocks.lake import Lake
from config.load import ConfigError
from config.models import Config
from tasks.buckets import client_for_buckets, open_buckets
from tasks.domain.errors import AdceError, LakeError
from tasks.domain.expected import Cell, Selection, calendar_cells, game_cells
from tasks.domain.keys import KeyPatterns
from tasks.domain.lanes import LATENCY, START_UP, Supply, foresee, with_eta
from tasks.domain.pacing import spacing
from tasks.domain.plan import Fill, Gap, Plan, make_plan
from tasks.domain.scoring import success_factor
from tasks.domain.states import LakeObject
from tasks.domain.survey import Survey, expected_cells, listed_games, take_survey
from tasks.domain.verdicts import Verdict
from tasks.fetch import SourceClient
from tasks.gate import Gate
from tasks.inventory import check_id, examine_stored, list_lake
from tasks.ledger import Examination, FileOutcome, Ledger, version_of
from tasks.sources.checks import CHECKS

log = logging.getLogger(__name__)
T = TypeVar("T")

_PREFECT_ATTEMPTS = 300  # looks at whether the Prefect API is back, one a second

Progress = Callable[[str, int, int], None]  # what is going on, how many are done, of how many

# Who wants to see the progress of runs of this process: the command line's progress bar.
PROGRESS: ContextVar[Progress] = ContextVar("PROGRESS", default=lambda what, done, total: None)

# The run that scraper subflows of this process belong to.
RUN: ContextVar[Run] = ContextVar("RUN")


@dataclass
class Run:
    """One look at the lake and what is done about it. Flows pass keys; this is where they find the things."""

    config: Config
    selection: Selection
    lake: Lake
    ledger: Ledger
    client: PrefectClient | None = None  # of the Prefect API, while the run fetches
    as_of: datetime | None = None
    max_fills: int | None = None
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    sources: dict[str, SourceClient] = field(default_factory=dict)
    objects: dict[str, LakeObject] = field(default_factory=dict)
    examinations: dict[str, Examination] = field(default_factory=dict)
    keys: KeyPatterns = field(init=False)
    fills: dict[str, Fill] = field(default_factory=dict)  # started in this run, by id
    started: dict[str, asyncio.Event] = field(default_factory=dict)
    outcomes: dict[str, FileOutcome] = field(default_factory=dict)  # of this run, by key
    dataset_of: dict[str, str] = field(default_factory=dict)  # by key, of the fills that were started
    history: dict[str, tuple[float, float]] = field(default_factory=dict)  # files stored and failed by dataset
    latencies: dict[str, float] = field(default_factory=dict)  # seconds by source, as the ledger remembers
    start_up: float = START_UP  # seconds from submitting a fill to its first request, a running mean

    def __post_init__(self) -> None:
        self.keys = KeyPatterns(self.config)

    async def work_on(self, fill: Fill, work: Coroutine[Any, Any, T]) -> T:
        """Does the work of a fill's subflow in the loop that the run's connections and buckets belong to.

        Prefect runs every task, and so every subflow in a task, in a thread and a loop of its own.
        """
        self.loop.call_soon_threadsafe(self.started[fill.id].set)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    async def prefect_answers(self) -> None:
        """Waits until the Prefect API does: a flow run that begins or ends while it does not is lost."""
        if self.client is None:
            return
        for attempt in range(_PREFECT_ATTEMPTS):
            if (trouble := await self.client.api_healthcheck()) is None:
                return
            if attempt == 0:
                log.warning("the Prefect API does not answer (%s); the run waits", trouble)
            await asyncio.sleep(1)
        raise AdceError(f"the Prefect API has not answered for {_PREFECT_ATTEMPTS} s: {trouble}; is the server up?")

    def now(self) -> datetime:
        return self.as_of or datetime.now(UTC)

    def next_run(self) -> datetime:
        """When what is left undone is looked at again."""
        return (self.as_of or self.begun).replace(microsecond=0) + self.config.reconcile.interval

    @property
    def ends(self) -> datetime:
        """After this time no fill is started."""
        return self.begun + self.config.reconcile.time_budget

    def time_limit(self, fill: Fill) -> timedelta:
        """After which a fill is stopped: the configured limit, or twice its estimate."""
        estimate = self.supply(fill.source).seconds(len(fill.requests()))
        return max(self.config.reconcile.fill_time_limit, timedelta(seconds=2 * estimate))

    def supply(self, source: str) -> Supply:
        """What a source gives, as far as it was measured."""
        settings = self.config.sources[source]
        client = self.sources.get(source)
        latency = client.latency if client else self.latencies.get(source, LATENCY)
        return Supply(spacing(settings.rates), latency, self.start_up, settings.lanes)

    async def look(self, *, remember: bool) -> Survey:
        """The state of every selected cell, from a fresh listing; what the checks find is kept in the ledger."""
        config, now = self.config, self.now()
        progress = PROGRESS.get()
        datasets = [d for n, d in config.datasets.items() if self.selection.has(n, d) or n in self._schedules_in_use()]
        progress("Listing the lake", 0, 1)
        self.objects = await list_lake(self.lake, datasets)
        progress("Listing the lake", 1, 1)
        self.examinations = self.ledger.examinations()
        calendar = list(calendar_cells(config, now, self.selection))
        await self._examine([c for c in calendar if config.datasets[c.dataset].lists_games])
        verdicts = self._verdicts(calendar)
        cells = expected_cells(config, listed_games(config, calendar, verdicts), self.selection, now)
        await self._examine(cells.values())
        survey = self._survey(cells, now)
        if remember:
            self._remember(survey)
        return survey

    def plan(self, survey: Survey) -> Plan:
        """The plan for the gaps of a survey."""
        return self.plan_for(survey.gaps(self.ledger.first_seen(survey.statuses)))

    def newly_due(self, fill: Fill) -> list[Gap]:
        """The gaps among the games of the schedules that a fill has just brought."""
        config, now = self.config, self.now()
        schedules = [gap.cell for gap in fill.gaps if self._stored(gap.cell.key)]
        verdicts = self._verdicts(schedules)
        cells = {
            cell.key: cell
            for schedule, games in listed_games(config, schedules, verdicts).items()
            for cell in game_cells(config, schedule, games, self.selection)
        }
        survey = self._survey(cells, now)
        gaps = survey.gaps(self.ledger.first_seen(cells))
        self.ledger.record_gaps(gaps)
        return gaps

    def plan_for(self, gaps: list[Gap]) -> Plan:
        """The plan for these gaps, with the ledger's history and what is held until the run has used up its time."""
        held = {name: hold for name, hold in self.ledger.holds().items() if hold.until and hold.until > self.ends}
        return make_plan(self.config, gaps, self.now(), self.success(), held, self.max_fills)

    def success(self) -> dict[str, float]:
        """The success factor by dataset: of the ledger's history, and of what this run has done so far."""
        scoring = self.config.scoring
        counts = dict(self.history)
        for key, outcome in self.outcomes.items():
            if outcome.outcome != "deferred":
                stored, failed = counts.get(self.dataset_of[key], (0.0, 0.0))
                good = outcome.outcome == "stored"
                counts[self.dataset_of[key]] = (stored + good, failed + (not good))
        return {name: success_factor(*count, scoring) for name, count in counts.items()}

    def foresee(self, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        """The fills, each with when it would start and end."""
        fills = list(fills)
        now = datetime.now(UTC)
        supplies = {source: self.supply(source) for source in self.config.sources}
        opens = {n: (h.until - now).total_seconds() for n, h in self.ledger.holds().items() if h.until}
        spans = foresee(fills, supplies, self.config.reconcile.max_concurrent, opens)
        return tuple(with_eta(fills, spans, self.now()))

    def _survey(self, cells: dict[str, Cell], now: datetime) -> Survey:
        current = self._current_examinations(cells.values())
        verdicts = {key: examined.verdict for key, examined in current.items()}
        fetched = {key: examined.fetched for key, examined in current.items() if examined.fetched}
        return take_survey(self.config, cells, self.objects, verdicts, fetched, now)

    def _verdicts(self, cells: Iterable[Cell]) -> dict[str, Verdict]:
        return {key: examined.verdict for key, examined in self._current_examinations(cells).items()}

    def _current_examinations(self, cells: Iterable[Cell]) -> dict[str, Examination]:
        """What was found in the versions that the lake has now."""
        checks = {name: check_id(dataset) for name, dataset in self.config.datasets.items()}
        current = {}
        for cell in cells:
            have, examined = self.objects.get(cell.key), self.examinations.get(cell.key)
            if have and examined and examined.version == version_of(have, checks[cell.dataset]):
                current[cell.key] = examined
        return current

    async def _examine(self, cells: Iterable[Cell]) -> None:
        found = await examine_stored(
            self.lake,
            self.config,
            cells,
            self.objects,
            self.examinations,
            self.config.reconcile.examine_at_most,
            lambda done, total: PROGRESS.get()("Looking into stored files", done, total),
        )
        self.examinations |= found
        self.ledger.record_examinations(found)

    def _remember(self, survey: Survey) -> None:
        """Notes gaps that are seen for the first time, and forgets those that are closed."""
        known = self.ledger.first_seen(survey.statuses)
        gaps = survey.gaps(known)
        self.ledger.record_gaps(gap for gap in gaps if gap.cell.key not in known)
        self.ledger.close_gaps(known.keys() - {gap.cell.key for gap in gaps})

    def _stored(self, key: str) -> bool:
        outcome = self.outcomes.get(key)
        return outcome is not None and outcome.outcome == "stored"

    def _schedules_in_use(self) -> set[str | None]:
        return {d.schedule for n, d in self.config.datasets.items() if self.selection.has(n, d)}


@asynccontextmanager
async def open_run(
    config: Config,
    selection: Selection,
    *,
    as_of: datetime | None = None,
    max_fills: int | None = None,
    fetches: bool = True,
) -> AsyncIterator[Run]:
    """A run with its lake and ledger open and, if it `fetches`, its buckets checked and its sites ready to be asked.

    Raises an AdceError that names what cannot be opened.
    """
    _check_the_checks(config)
    lake = Lake(
        url=config.lake,
        connections=config.reconcile.lake_connections,
        aws_credentials=await _credentials(config.aws_credentials),
    )
    lake.check(create=fetches)
    ledger = Ledger(config.ledger)
    run = Run(config, selection, lake, ledger, as_of=as_of, max_fills=max_fills)
    run.latencies = ledger.latencies()
    run.history = ledger.outcomes_by_dataset(config.scoring.success.half_life, run.now())
    selection.check(config, run.now())
    token = RUN.set(run)
    try:
        if fetches:
            async with client_for_buckets() as client, AsyncExitStack() as stack:
                run.client = client
                run.sources = await _open_sources(config, client, ledger, run.latencies)
                for source in run.sources.values():
                    stack.push_async_callback(source.close)
                yield run
        else:
            yield run
    finally:
        RUN.reset(token)
        ledger.close()


async def _credentials(block: str | None) -> AwsCredentials | None:
    if block is None:
        return None
    try:
        return await AwsCredentials.load(block)
    except ValueError:
        raise LakeError(
            f"aws_credentials: Prefect has no AwsCredentials block {block!r}; make it there, or set null"
        ) from None


def _check_the_checks(config: Config) -> None:
    lines = [
        f"datasets.{name}.check.name: no check {dataset.check.name!r}; there are {', '.join(sorted(CHECKS))}"
        for name, dataset in config.datasets.items()
        if dataset.check.name not in CHECKS
    ]
    if lines:
        raise ConfigError(lines)


async def _open_sources(
    config: Config, client: PrefectClient, ledger: Ledger, latencies: Mapping[str, float]
) -> dict[str, SourceClient]:
    """The sites that are switched on, each behind its bucket. Raises BucketError unless every bucket is right."""
    buckets = await open_buckets(client, config)
    return {
        name: SourceClient(
            name,
            config.sources[name],
            bucket,
            Gate(name, config.sources[name], config.reconcile.breaker, ledger),
            latencies.get(name, LATENCY),
        )
        for name, bucket in buckets.items()
    }
