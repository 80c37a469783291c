"""What does a run hold open? Configuration, lake, ledger, buckets and the connections to the sites."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, TypeVar

from prefect.client.orchestration import PrefectClient

from config.models import Config, Dataset, Priority
from flows.presence import at_work
from tasks.buckets import client_for_buckets, open_buckets
from tasks.domain.errors import AdceError, LakeError, LedgerError
from tasks.domain.expected import Selection, game_cells
from tasks.domain.holds import PROBE_PATIENCE
from tasks.domain.keys import folders
from tasks.domain.lakes import Pairing
from tasks.domain.lanes import LATENCY, START_UP, Supply
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.pacing import spacing
from tasks.domain.plan import Deferral, Fill, Gap, Plan, without
from tasks.domain.reasons import Limit, Reason
from tasks.domain.rollout import scrapers, source_for
from tasks.domain.survey import Survey, listed_games
from tasks.domain.times import SKEW
from tasks.domain.verdicts import Wholeness
from tasks.fetch import SourceClient
from tasks.gate import Gate
from tasks.identity import leave_mark
from tasks.ledger.leases import RECONCILE
from tasks.ledger.runs import RunRecord
from tasks.outage import Outage
from tasks.prefect_api import ApiOutage, trouble
from tasks.progress import PROGRESS
from tasks.view import Part, View, open_lake_and_ledger

log = logging.getLogger(__name__)
T = TypeVar("T")

_WHOLE = Wholeness.WHOLE
_START_WEIGHT = 0.2  # of the newest start in the running mean of start-up times
_PREFECT_PATIENCE = 300.0  # seconds for the Prefect API to come back

# The run that scraper subflows of this process belong to.
RUN: ContextVar[Run] = ContextVar("RUN")


@dataclass
class Run(View):
    """One look at the lake and what is done about it. Flows pass keys; this is where they find the things."""

    tells_lost: ClassVar[bool] = True

    client: PrefectClient | None = None  # of the Prefect API, while the run fetches
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    sources: dict[str, SourceClient] = field(default_factory=dict)
    fills: dict[str, Fill] = field(default_factory=dict)  # started in this run, by id
    started: dict[str, asyncio.Event] = field(default_factory=dict)
    limits: dict[str, asyncio.Timeout] = field(default_factory=dict)  # of the fills that run, by id
    outcomes: dict[str, FileOutcome] = field(default_factory=dict)  # of this run, by key
    dataset_of: dict[str, str] = field(default_factory=dict)  # by key, of the fills that were started
    start_up: float = START_UP  # seconds from submitting a fill to its first request, a running mean
    scrapers: dict[str, Dataset] = field(init=False)  # the settings of each
    outage: Outage = field(init=False)
    api_outage: ApiOutage = field(default_factory=ApiOutage)
    shut: dict[str, LakeError] = field(default_factory=dict)  # folders of the lake that cannot be written
    stopped: str | None = None  # why no more is started
    stop_signal: int | None = None  # if that is why
    was_signalled: bool = False
    cut_short_at: float = math.inf  # by time.monotonic, when it is stopped
    on_change: Callable[[], None] = lambda: None  # it was stopped, or an outage has begun or is over

    def __post_init__(self) -> None:
        super().__post_init__()
        self.scrapers = scrapers(self.config)
        self.outage = Outage(partial(self.lake.check_writable, folders(self.config.datasets.values())))
        self.outage.on_change = self._outage_changed

    def _outage_changed(self) -> None:
        """A fill that waits for the lake may wait as long as the run has time, and for the grace at least."""
        if self.outage.reason and not self.stopped:
            left = (self.ends - datetime.now(UTC)).total_seconds()
            wait = max(left, self.config.reconcile.grace.total_seconds())
            for limit in self.limits.values():
                with suppress(RuntimeError):  # it has run out already
                    limit.reschedule(self.loop.time() + wait)
        self.on_change()

    async def begin_to_store(self) -> None:
        """Before anything is asked for: sees that the lake can be written, and has it say which one it is."""
        await self.lake.check_writable(folders(self.config.datasets.values()))
        if self.pairing and not self.config.test_mode:
            mark = await leave_mark(self.lake, self.ledger, self.pairing)
            self.pairing = Pairing(mark, is_marked=True)

    async def work_on(self, fill: Fill, work: Coroutine[Any, Any, T]) -> T:
        """Does the work of a fill's subflow in the loop that the run's connections and buckets belong to.

        Prefect runs every task, and so every subflow in a task, in a thread and a loop of its own.
        """
        self.loop.call_soon_threadsafe(self.started[fill.id].set)
        return await self.in_its_loop(work)

    async def in_its_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """The same, of whatever needs the run's connections."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def has_started(self, seconds: float) -> None:
        """A fill has taken so long from being submitted to its first request."""
        self.start_up += _START_WEIGHT * (seconds - self.start_up)

    def stop(self, why: str, by_signal: int | None = None) -> None:
        """Starts no more, lets what runs end within the grace, and then cuts it short; at a second signal at once.

        A run that is cancelled in Prefect sees that itself, and has one signal from its worker, in either order.
        """
        at_once = self.was_signalled and by_signal is not None
        self.was_signalled = self.was_signalled or by_signal is not None
        if self.stopped and not at_once:
            return
        grace = 0.0 if at_once else self.config.reconcile.grace.total_seconds()
        log.warning("the run stops: %s; %s fills run, and have %.0f s to end", why, len(self.limits), grace)
        if not self.stopped:
            self.stopped, self.stop_signal = why, by_signal
        self.cut_short_at = time.monotonic() + grace
        self.on_change()
        self.loop.call_later(grace, self._cut_short)

    def _cut_short(self) -> None:
        for limit in self.limits.values():
            with suppress(RuntimeError):  # it has run out already, and its fill is about to end
                limit.reschedule(self.loop.time())

    async def other_reconcile(self) -> RunRecord | None:
        """None when this is the one reconcile from now on; else the other, which is alive: it renews its lease."""
        seen: tuple[str, float] | None = None
        while held := self.leases.take(RECONCILE):
            record, seconds = held
            until = time.monotonic() + seconds
            if seen and (record.id != seen[0] or until > seen[1] + 0.5):
                return record
            PROGRESS.get()(f"Is {record.holder} still at work?", 0, 1)
            seen = seen or (record.id, until)
            await asyncio.sleep(min(1.0, max(seconds, 0.05)))
        if seen:
            self.leases.bury_the_dead()  # who had it may only have slept, and is to learn that it has lost it
        return None

    def claim(self, fill: Fill) -> tuple[Fill | None, list[Gap]]:
        """What of a fill this run may do now, and the gaps that another run is at.

        What another run has stored since this one listed the lake is in neither.
        """
        works = {gap.cell.work for gap in fill.gaps}
        claimed, stored = self.ledger.fills.claim(self.leases, works, fill.keys, self.last_file)
        others = [gap for gap in fill.gaps if gap.cell.work not in claimed]
        return without(fill, stored | {gap.cell.key for gap in others}), others

    async def stored_by_the_dead(self, fill: Fill) -> list[FileOutcome]:
        """Files of a fill that are good by now, since a run that died stored them: the ledger was not told."""
        try:
            if not self.leases.others_died_since(self.begun):
                return []
            found = await self.lake.find_all(fill.keys)
            new = {k: o for k, o in found.items() if k not in self.objects or self.objects[k].etag != o.etag}
            self.objects |= new
            cells = [gap.cell for gap in fill.gaps if gap.cell.key in new]
            await self.examine([cell for cell in cells if not self.is_examined(cell)])
        except LakeError:  # which the first file to be stored will meet
            return []
        except LedgerError as error:
            self.outage.end_by(error)
            return []
        good = [c.key for c in cells if self.is_examined(c) and self.examinations[c.key].verdict.wholeness is _WHOLE]
        return [FileOutcome(key, Outcome.STORED, bytes=new[key].size) for key in good]

    async def prefect_answers(self) -> None:
        """Waits until the Prefect API does: a flow run that begins or ends while it does not is lost."""
        if self.client is None:
            return
        with self.api_outage.watched() as in_vain:
            while error := await self.client.api_healthcheck():
                if in_vain(error) > _PREFECT_PATIENCE:
                    raise AdceError(
                        f"the Prefect API {trouble(error)}, and has done so for {_PREFECT_PATIENCE:.0f} s; is the "
                        "server up?"
                    )
                await asyncio.sleep(1)

    def time_limit(self, fill: Fill) -> timedelta:
        """After which a fill is stopped: the configured limit, or twice its estimate and what its commands may take.

        Of a rate for all sources together it may get no more than its source's share.
        """
        sharing = sum(source.enabled for source in self.config.sources.values()) if self.config.rates else 1
        estimate = self.supply(fill.source).seconds(fill.cost)
        command = self.config.datasets[fill.dataset].command
        patience = len(fill.requests()) * command.timeout if command else timedelta()
        return max(self.config.reconcile.fill_time_limit, timedelta(seconds=2 * sharing * estimate) + patience)

    def supply(self, source: str) -> Supply:
        """What a source gives, as far as it was measured."""
        client = self.sources.get(source)
        return super().supply(source) if client is None else self._supply(source, client.latency, self.start_up)

    def leave_to(self, other: RunRecord, survey: Survey) -> Plan:
        """Everything is the other reconcile's."""
        reason = self.left_because(Limit.OTHER_RECONCILE, other.as_another)
        return Plan((), tuple(Deferral(gap, reason) for gap in survey.gaps(self.first_seen)))

    def left_because(self, limit: Limit, text: str) -> Reason:
        """Why something is left to the next run."""
        return Reason(limit, text, self.next_run())

    def why_stopped(self) -> Reason:
        return self.left_because(Limit.STOPPED, f"the run was stopped: {self.stopped}")

    def why_not_written(self, error: LakeError | LedgerError) -> Reason:
        """Lake or ledger cannot be written."""
        return self.left_because(Limit.LAKE if isinstance(error, LakeError) else Limit.LEDGER, str(error))

    def newly_due(self, fill: Fill) -> list[Gap]:
        """The gaps among the games of the schedules that a fill has just brought."""
        config, now = self.config, self.now()
        if self.selection.keys:
            return []
        schedules = [gap.cell for gap in fill.gaps if self._stored(gap.cell.key)]
        verdicts = self._verdicts(schedules)
        cells = {
            cell.key: cell
            for schedule, games in listed_games(config, schedules, verdicts).items()
            for cell in game_cells(config, schedule, games, now, self.selection)
        }
        self.obstacles |= self._obstacles(cells)
        survey = self._survey(cells, now)
        self.note_lost(survey)
        self.first_seen |= self.seen_first(cells, remember=True)
        gaps = survey.gaps(self.first_seen)
        self.ledger.gaps.record(gap for gap in gaps if gap.cell.key not in self.first_seen)
        return gaps

    def success(self) -> dict[str, float]:
        """The success factor by dataset: of the ledger's history, and of what this run has done so far."""
        counts = dict(self.history)
        for key, outcome in self.outcomes.items():
            if outcome.outcome is not Outcome.DEFERRED:
                stored, failed = counts.get(self.dataset_of[key], (0.0, 0.0))
                good = outcome.is_there
                counts[self.dataset_of[key]] = (stored + good, failed + (not good))
        return self._factors(counts)

    def _stored(self, key: str) -> bool:
        outcome = self.outcomes.get(key)
        return outcome is not None and outcome.is_there


@asynccontextmanager
async def open_run(
    config: Config,
    selection: Selection,
    *,
    as_of: datetime | None = None,
    max_fills: int | None = None,
    priority: Priority | None = None,
    part: Part | None = None,
    fetches: bool = True,
) -> AsyncIterator[Run]:
    """A run with its lake and ledger open and, if it `fetches`, its buckets checked and its sites ready to be asked.

    Raises an AdceError that names what cannot be opened.
    """
    lake, ledger, pairing = await open_lake_and_ledger(config, selection, as_of, fetches=fetches, part=part)
    run = Run(config, selection, lake, ledger, as_of, max_fills, priority, part, pairing=pairing)
    token = RUN.set(run)
    try:
        if fetches:
            async with client_for_buckets() as client, AsyncExitStack() as stack:
                run.client = client
                run.sources = await _open_sources(run, client)
                for source in run.sources.values():
                    source.why_not = run.leases.why_lost
                    stack.push_async_callback(source.close)
                await stack.enter_async_context(at_work(run, client))
                yield run
        else:
            yield run
    finally:
        RUN.reset(token)
        ledger.close()


async def _open_sources(run: Run, client: PrefectClient) -> dict[str, SourceClient]:
    """The sites that are switched on, each behind its bucket. Raises BucketError unless every bucket is right."""
    config = run.config
    windows = (
        config.maintenance if run.as_of is None else ()
    )  # a clock that was set stands still: the plan has said all
    return {
        name: SourceClient(
            name,
            config.sources[name],
            bucket,
            Gate(
                name,
                config.sources[name],
                config.reconcile.breaker,
                run.ledger,
                windows,
                _longest_probe(config, name),
            ),
            run.latencies.get(name, LATENCY),
            outage=run.outage,
        )
        for name, bucket in (await open_buckets(client, config, run.api_outage)).items()
    }


def _longest_probe(config: Config, source: str) -> timedelta:
    """After which a probe of a source is given up at the latest, whatever it asks for and in whichever way."""
    ways = [config.sources[source], *(source_for(config, source, rollout) for rollout in config.rollout)]
    commands = [dataset.command for dataset in scrapers(config).values() if dataset.source == source]
    lasts = [timedelta(seconds=way.timeouts.total) for way in ways] + [c.timeout for c in commands if c]
    requests = max(way.connections for way in ways) + max(c.requests if c else 1 for c in [None, *commands])
    return PROBE_PATIENCE + max(*lasts, requests * timedelta(seconds=spacing(config.sources[source].rates))) + SKEW
