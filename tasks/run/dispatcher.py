"""Which fill starts next? The best-scored one whose source has a free lane; within a source never a later one first."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tasks import clock
from tasks.domain.errors import LedgerError
from tasks.domain.limits.pauses import Pause, Phase
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.lanes import Lane, goes_along, next_fill
from tasks.domain.plan.plan import (
    Deferral,
    Fill,
    Plan,
    RunCap,
    first_request,
    in_start_order,
    rescored,
    what_costs,
    why_paused,
    why_waiting,
)
from tasks.domain.reasons import Limit, Reason
from tasks.domain.wording import duration
from tasks.progress import PROGRESS
from tasks.run.run import Run

log = logging.getLogger(__name__)

_STAY = timedelta(seconds=30)  # for which a run with nothing else to do waits for a source that is paused, or probed
_LOOK_EVERY = 0.5  # seconds, at whether a probe was answered: so long is believed what the ledger said
_MOST_CRASHES = 3  # of one fill's subflow in a run


@dataclass(frozen=True, slots=True)
class End:
    """How the work on some fills ended; what became of each file is in the run's outcomes."""

    message: str
    has_crashed: bool = False  # what it did not come to may be tried again


class Executor(Protocol):
    """Who does the fills that the dispatcher begins."""

    takes_batches: bool  # several fills at once, in a process of their own, whose requests nobody here sees

    async def prepare(self, sources: set[str]) -> None:
        """Called once, before anything begins. Raises AdceError if fills of these sources cannot be done."""

    async def ready(self) -> None:
        """Returns when a fill may begin. Raises AdceError if that takes too long."""

    async def execute(self, fills: Sequence[Fill], attempt: int, begun: Callable[[], None]) -> End:
        """Does the fills, of one source; calls `begun` in the loop of the run when the first is at work."""


class Clock:
    """The time of this host. A test may go through hours in a moment with one of its own."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def seconds(self) -> float:
        """Seconds since some moment."""
        return clock.seconds()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Returns when the event has happened, and after so many seconds at the latest."""
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({waiting}, timeout=None if seconds is None else max(seconds, 0.0))
        finally:
            waiting.cancel()


class Dispatcher:
    """Has an executor do fills, until there are none or the time is up.

    Between two starts the queue is scored again, with what the fills that have ended tell of their datasets. The age
    of a gap is that at the beginning of the run: within minutes it would only swap what is as good as equal.
    """

    def __init__(self, run: Run, executor: Executor, done_by: datetime | None = None, clock: Clock | None = None):
        """Nothing begins that is expected to be answered later than `done_by`."""
        self.run = run
        self.deferred: list[Deferral] = []
        self.begun: list[Fill] = []  # in the order of their starts
        self._executor = executor
        self._done_by = done_by
        self._clock = clock or Clock()
        self._queue: list[Fill] = []
        self._is_unsorted = False
        self._may_come = False  # more plans
        self._prepared: set[str] = set()  # sources
        self._lanes = {name: Lane(run.supply(name)) for name in run.sources}
        self._cap = RunCap(run.config, run.planner.max_fills)
        self._counted: set[str] = set()  # keys of the fills that count for it
        self._known: set[str] = set()  # keys that are planned or deferred already
        self._planned = self._done = 0
        self._running: dict[str, Fill] = {}
        self._executions = 0  # that run: of one fill each, unless the executor takes batches
        self._crashes: Counter[str] = Counter()  # of a fill's subflow
        self._starting: dict[str, str] = {}  # by source, the fill that has been submitted and does not run yet
        self._trouble: Exception | None = None
        self._late: dict[str, float] = {}  # since when the probe of another run is waited for, by the clock
        self._jobs: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()  # something happened after which another fill may be free to start
        self._deadline = self._clock.seconds() + (run.session.ends - self._clock.now()).total_seconds()
        run.on_change = self._changed.set
        for source in run.sources.values():
            source.on_request = self._request_left

    async def run_all(self, plan: Plan, more: AsyncIterator[Plan] | None = None) -> None:
        """Returns when every fill that was started has ended, and no `more` plans come.

        What was not started is in `deferred`. When the run stops or its time is up, no more plans are waited for.
        """
        await self._take(plan)
        self._may_come = more is not None
        coming = asyncio.create_task(self._take_all(more)) if more is not None else None
        try:
            while self._may_come or self._queue or self._running:
                self._changed.clear()
                self._report()
                if self.run.shutdown.reason:
                    self._defer(self._queue, self.run.why_stopped())
                outage = self.run.outage
                self._trouble = self._trouble or outage.final
                if self._trouble or self._clock.seconds() >= self._deadline:
                    budget = f"time budget of {duration(self.run.config.reconcile.time_budget)} is used up"
                    used_up = self.run.session.left_to_the_next_run(Limit.TIME_BUDGET, budget)
                    self._defer(self._queue, self.run.why_not_written(outage.reason) if outage.reason else used_up)
                try:
                    await self._go_on()
                except LedgerError as error:
                    outage.end_by(error)
        finally:
            if coming:
                coming.cancel()
        self._report()
        if given_up := self.run.outage.given_up:
            log.error("%s files that were fetched could not be stored before the run had to end", given_up)
        if trouble := self._trouble or self.run.outage.final:
            raise trouble

    async def _take(self, plan: Plan) -> None:
        if sources := {fill.source for fill in plan.fills} - self._prepared:
            await self._executor.prepare(sources)
            self._prepared |= sources
        self._add(plan)

    async def _take_all(self, plans: AsyncIterator[Plan]) -> None:
        try:
            async for plan in plans:
                await self._take(plan)
                self._changed.set()
        except Exception as error:  # it ends the run, when the fills that run have ended
            self._trouble = self._trouble or error
        finally:
            self._may_come = False
            self._changed.set()

    async def _go_on(self) -> None:
        """Begins the next fill, or waits until one may begin or something else is to be done."""
        if self._trouble or self.run.shutdown.reason or self._clock.seconds() >= self._deadline:
            self._may_come = False
            if self._running:
                await self._changed.wait()
            return
        self._defer_the_paused()
        if not self.run.outage.reason and (fill := self._next()) is not None:
            self._begin([fill, *self._more_like(fill)])
        elif self._may_come or self._queue or self._running:
            await self._wait()

    def _add(self, plan: Plan) -> None:
        self.deferred += plan.deferred
        self._known.update(deferral.gap.cell.key for deferral in plan.deferred)
        self._queue += plan.fills
        self._is_unsorted = True
        self._known.update(key for fill in plan.fills for key in fill.keys)
        self._planned += len(plan.fills)

    def _next(self) -> Fill | None:
        """The fill that starts now, if any may."""
        if self._executions >= self.run.config.reconcile.max_concurrent:
            return None
        if self._is_unsorted:
            success = self.run.success()
            self._queue = in_start_order(rescored(fill, success) for fill in self._queue)
            self._is_unsorted = False
        for name, lane in self._lanes.items():
            lane.supply = self.run.supply(name)
        paused = self._paused()
        while fill := next_fill(self._queue, self._lanes, paused.keys(), self._starting.keys()):
            if mine := self._take_fill(fill):
                return mine
        return None

    def _take_fill(self, fill: Fill, ahead: int = 0) -> Fill | None:
        """Takes a fill from the queue: what of it this run may do, claimed as its own; `ahead` requests go first."""
        begins, later = self._in_time(fill, ahead)
        if begins is None:
            late = "time budget: nothing of it would be done before the next run begins"
            self._defer([fill], self.run.session.left_to_the_next_run(Limit.TIME_BUDGET, late))
            return None
        is_rest = self._counted.issuperset(fill.keys)  # of a fill that was cut, or has to be begun once more
        if not is_rest and (over := self._cap.exceeded(fill.priority)):
            self._defer([fill], replace(over, until=self.run.session.next_run()))
            return None
        if not is_rest:
            self._cap.count(fill.priority)
        self._counted.update(fill.keys)
        self._queue.remove(fill)
        self._put_back(later)
        if self._is_half_open(begins) and (parts := first_request(begins)):
            begins, later = parts
            self._put_back(later)
        try:
            mine, others = self.run.claim(begins)
        except LedgerError:
            self._put_back(begins)
            raise
        at_work = self.run.session.left_to_the_next_run(Limit.OTHER_RUN, "another run is at it")
        self.deferred += [Deferral(gap, at_work) for gap in others]
        self._done += mine is None
        return mine

    def _in_time(self, fill: Fill, ahead: int) -> tuple[Fill | None, Fill | None]:
        """What of a fill is expected to be done in time, and the rest."""
        if self._done_by is None:
            return fill, None
        lane, interval = self._lanes[fill.source], self.run.config.reconcile.interval
        if fill.gaps[0].cell.cost > lane.supply.requests_within(interval.total_seconds(), 0):
            return first_request(fill) or (fill, None)  # no run would ever have the time
        left = (self._done_by - self._clock.now()).total_seconds()
        return what_costs(fill, lane.supply.requests_within(left, lane.waiting + ahead))

    def _put_back(self, rest: Fill | None) -> None:
        if rest:
            self._queue.append(rest)
            self._is_unsorted = True
            self._planned += 1

    def _more_like(self, first: Fill) -> list[Fill]:
        """What goes along with a fill that is handed over: nothing that is to be asked for once, to see."""
        if not self._executor.takes_batches:
            return []
        closed = self._paused()
        mine = (fill for fill in self._queue if fill.source == first.source)
        may = (fill for fill in mine if not closed.keys() & {fill.address, fill.scraper})
        behind = (fill for fill in may if not self._is_half_open(fill))
        others = goes_along(first, behind, self.run.supply(first.source), self.run.config.reconcile.batch_time)
        taken = [first]
        for fill in others:
            if also := self._take_fill(fill, ahead=sum(other.cost for other in taken)):
                taken.append(also)
        return taken[1:]

    def _paused(self) -> dict[str, Pause]:
        """The sources and scrapers of which no fill may start now; those that are half open let one through."""
        now = self._clock.now()
        paused = {}
        for source in self.run.sources.values():
            mine = [fill for fill in self._queue if fill.source == source.name]
            for name in {source.name, *(name for fill in mine for name in (fill.address, fill.scraper))}:
                pause = source.limiter.pause(name)
                phase = pause.phase(now)
                if phase is Phase.OPEN or (phase is Phase.HALF_OPEN and (self._asks(name) or not pause.may_probe(now))):
                    paused[name] = pause
        return paused

    def _is_half_open(self, fill: Fill) -> bool:
        pause = self.run.sources[fill.source].limiter.pause(fill.scraper)
        return pause.phase(self._clock.now()) is Phase.HALF_OPEN

    def _begin(self, fills: list[Fill]) -> None:
        """From now on the fills of a task have their lane, and no other of their source begins until it has started."""
        source = fills[0].source
        lane = self._lanes[source]
        fills = [replace(fill, starts=self.run.session.now()) for fill in fills]
        for fill in fills:
            self._running[fill.id] = fill
            self.run.outcomes.begin(fill)
            lane.waiting += fill.cost
        self.begun += fills
        self._starting[source] = fills[0].id
        self._executions += 1
        lane.running += 1
        job = asyncio.create_task(self._see_through(fills))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _see_through(self, fills: list[Fill]) -> None:
        """Has fills done, lets the next one begin when they are at work, and settles what became of them."""
        first = fills[0]
        counting: asyncio.Task[None] | None = None
        submitted = self._clock.seconds()

        def begun() -> None:
            nonlocal counting
            if self._starting.get(first.source) != first.id:
                return
            if self._executor.takes_batches:
                counting = asyncio.create_task(self._count_down(fills))
            else:
                self.run.has_started(self._clock.seconds() - submitted)
            del self._starting[first.source]
            self._changed.set()

        try:
            await self._executor.ready()
            if self.run.shutdown.reason:
                self._leave(fills)
                return
            submitted = self._clock.seconds()
            end = await self._executor.execute(fills, max(self._crashes[fill.id] for fill in fills), begun)
            for fill in fills:
                self._settle(fill, end)
        except Exception as error:  # it ends the run, when the fills that run have ended
            self._trouble = self._trouble or error
        finally:
            if counting:
                counting.cancel()
            if self._starting.get(first.source) == first.id:
                del self._starting[first.source]
            for fill in fills:
                del self._running[fill.id]
            self._executions -= 1
            lane = self._lanes[first.source]
            lane.running -= 1
            running = (other for other in self._running.values() if other.source == first.source)
            lane.waiting = min(lane.waiting, sum(other.cost for other in running))
            self._done += len(fills)
            self._is_unsorted = True
            self._changed.set()

    def _leave(self, fills: Iterable[Fill]) -> None:
        """They had their lane and were claimed, and have asked for nothing when the run was stopped."""
        fills = list(fills)
        self.deferred += [Deferral(gap, self.run.why_stopped()) for fill in fills for gap in fill.gaps]
        self.run.release(fills)

    async def _count_down(self, fills: list[Fill]) -> None:
        """The requests of fills that were handed over leave unseen: as many as the rate allows, from their start on."""
        await self._clock.sleep(self.run.start_up)
        for _ in range(sum(fill.cost for fill in fills)):
            await self._clock.sleep(self._lanes[fills[0].source].supply.spacing)
            self._request_left(fills[0].source)

    def _settle(self, fill: Fill, end: End) -> None:
        """What became of a fill's files: those that never came to it, those for later in this run, the newly due."""
        outcomes = self.run.outcomes
        missed = [key for key in fill.keys if key not in outcomes]
        self._crashes[fill.id] += bool(missed)
        again_now = end.has_crashed and self._crashes[fill.id] < _MOST_CRASHES
        error = f"the scraper run ended early: {end.message}"
        outcomes.add(FileOutcome(key, Outcome.FAILED, error=error, in_this_run=again_now) for key in missed)
        again = [gap for gap in fill.gaps if outcomes[gap.cell.key].in_this_run]
        if again:
            outcomes.try_again(gap.cell.key for gap in again)
            self._add(self.run.plan(again))
        if self.run.config.datasets[fill.dataset].lists_games:
            gaps = self.run.newly_due(fill)
            self._add(self.run.plan([gap for gap in gaps if gap.cell.key not in self._known]))

    def _request_left(self, source: str) -> None:
        """A request of a source has left: its next fill may be free to start."""
        lane = self._lanes[source]
        lane.waiting = max(0, lane.waiting - 1)
        if lane.waiting <= lane.supply.head_start:
            self._changed.set()

    async def _wait(self) -> None:
        """Until something happens, a hold ends, a probe may have been answered or the time is up."""
        now = self._clock.now()
        until = [self._deadline - self._clock.seconds()] if self._queue or self._may_come else []
        until += [max((h.until - now).total_seconds(), _LOOK_EVERY) for h in self._paused().values() if h.until]
        await self._clock.wait(self._changed, min(until, default=None))

    def _defer_the_paused(self) -> None:
        """What is held for longer than the run has time; and, when there is nothing else to do, for long at all."""
        now = self._clock.now()
        paused = self._paused()
        self._plan_without(name for name, pause in paused.items() if pause.phase(now) is Phase.OPEN)
        is_idle = not self._running and all(paused.keys() & {fill.address, fill.scraper} for fill in self._queue)
        can_wait = min(self.run.session.ends, now + _STAY) if is_idle else self.run.session.ends
        probed = [
            name for name, pause in paused.items() if pause.phase(now) is Phase.HALF_OPEN and not self._asks(name)
        ]
        self._late = {name: self._late.get(name, self._clock.seconds()) for name in probed}
        for name, pause in paused.items():
            limit = Limit.BACKOFF if name in self._lanes else Limit.BREAKER
            fills = [fill for fill in self._queue if name in (fill.address, fill.scraper)]
            if pause.until and pause.until > can_wait:
                self._defer(fills, why_paused(pause, limit))
            elif is_idle and name in self._late and self._clock.seconds() > self._late[name] + _STAY.total_seconds():
                waiting = why_waiting(pause, now)
                self._defer(fills, waiting if waiting.until else replace(waiting, until=self.run.session.next_run()))

    def _asks(self, name: str) -> bool:
        """Does a fill of this run ask a source, or for a scraper?"""
        return any(name in (fill.address, fill.scraper) for fill in self._running.values())

    def _plan_without(self, paused: Iterable[str]) -> None:
        """What would be asked for at a variant that is left alone goes the usual way."""
        names = set(paused)
        for fill in [fill for fill in self._queue if fill.own_address in names]:
            self._queue.remove(fill)
            self._planned -= 1
            self._add(self.run.plan(list(fill.gaps)))

    def _defer(self, fills: Iterable[Fill], reason: Reason) -> None:
        """Leaves fills for later."""
        for fill in list(fills):
            self._queue.remove(fill)
            self.deferred += [Deferral(gap, reason) for gap in fill.gaps]
            self._done += 1

    def _report(self) -> None:
        PROGRESS.get()("Fetching", self._done, self._planned)
