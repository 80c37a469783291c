"""Which fill starts next? The one with the highest score whose source has a free lane.

The fills of a source start in the order of their scores, but paused ones are passed over.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tasks import clock
from tasks.domain.errors import LedgerError
from tasks.domain.limits.pauses import Pause, Phase
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.lanes import Lane, batch_with, next_fill
from tasks.domain.plan.plan import (
    Deferral,
    Fill,
    Plan,
    RunCap,
    in_start_order,
    rescored,
    split_by_cost,
    split_first_request,
    why_paused,
    why_waiting,
)
from tasks.domain.reasons import Limit, Reason
from tasks.domain.wording import duration
from tasks.progress import PROGRESS
from tasks.run.run import Run

log = logging.getLogger(__name__)

_NOTICED_WITHIN = 5.0  # seconds after which a run that waits for the end of a pause sees that an operator has ended it
_IDLE_WAIT = timedelta(seconds=30)  # how long a run with nothing else to do waits for a paused or probed source
_POLL_EVERY = 0.5  # seconds between two reads of the ledger to see whether a probe was answered
_MOST_CRASHES = 3  # after this many crashes of a fill's subflow in one run, the fill is not started again


@dataclass(frozen=True, slots=True)
class End:
    """How the execution of some fills ended. The outcome of each file is among the run's outcomes."""

    message: str
    has_crashed: bool = False  # files without an outcome may be tried again


class Executor(Protocol):
    """Executes the fills that the dispatcher starts."""

    takes_batches: bool  # whether it executes several fills at once in another process, whose requests are not seen
    start_up: float  # expected seconds from submitting a fill to its first request

    async def prepare(self, sources: set[str]) -> None:
        """Called before the first fill of a source. Raises AdceError if fills of these sources cannot be executed."""

    async def wait_until_ready(self) -> None:
        """Waits until a fill may start. Raises AdceError if that takes too long."""

    async def execute(self, fills: Sequence[Fill], attempt: int, begun: Callable[[], None]) -> End:
        """Executes fills of one source. Calls `begun`, in the event loop of the run, when the first one is running.

        `attempt` is how often an execution of one of these fills has crashed in this run so far.
        """


class Clock:
    """The time of this host. Tests replace it, so that hours pass in a moment."""

    def now(self) -> datetime:
        """The current time."""
        return datetime.now(UTC)

    def seconds(self) -> float:
        """Seconds since some fixed moment."""
        return clock.seconds()

    async def sleep(self, seconds: float) -> None:
        """Sleeps."""
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Waits for an event, for at most `seconds`; None waits without a limit."""
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({waiting}, timeout=None if seconds is None else max(seconds, 0.0))
        finally:
            waiting.cancel()


class Dispatcher:
    """Passes the fills of a plan to an executor, until none remain or the run's time is used up.

    Whenever a fill has ended, the queue is scored again with the success of each dataset so far. The ages of the gaps
    are not updated during a run, because that would only swap fills of nearly equal scores.
    """

    def __init__(self, run: Run, executor: Executor, done_by: datetime | None = None, clock: Clock | None = None):
        """A fill is not started if its last answer is expected after `done_by`."""
        self.run = run
        self.deferred: list[Deferral] = []
        self.begun: list[Fill] = []  # fills that were started, in order
        self._executor = executor
        self._done_by = done_by
        self._clock = clock or Clock()
        self._queue: list[Fill] = []
        self._is_unsorted = False
        self._more_plans_may_come = False
        self._prepared: set[str] = set()  # sources for which the executor is prepared
        self._lanes = {name: Lane(run.capacity(name)) for name in run.sources}
        self._cap = RunCap(run.config, run.planner.max_fills)
        self._counted: set[str] = set()  # keys of the fills that have been counted against the cap
        self._known: set[str] = set()  # keys that are planned or deferred already
        self._reported = -math.inf  # when the progress was reported last
        self._costs: dict[tuple[str, int], int] = {}  # of queued fills, by id and number of files: slow to count
        self._running: dict[str, Fill] = {}  # the running fills, by id
        self._executions = 0  # how many executions run now; each has one fill, unless the executor takes batches
        self._crashes: Counter[str] = Counter()  # how often a fill has crashed, by its id
        self._starting: dict[str, str] = {}  # by source, the id of the fill that was submitted and does not run yet
        self._error: Exception | None = None  # the first error that ends the run
        self._probed_since: dict[str, float] = {}  # when this run began to wait for another run's probe, by name
        self._jobs: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()  # set when another fill may have become free to start
        run.start_up = executor.start_up
        self._deadline = self._clock.seconds() + (run.session.ends - self._clock.now()).total_seconds()
        run.on_change = self._changed.set
        run.outcomes.on_change = self._report_now_and_then
        for source in run.sources.values():
            source.on_request = self._request_sent

    async def run_all(self, plan: Plan, more: AsyncIterator[Plan] | None = None) -> None:
        """Executes a plan and the plans that `more` yields. Returns when every fill that was started has ended.

        Fills that were not started are in `deferred`. When the run stops or its time is used up, it waits for no
        further plans. Raises the error that ended the run, if one did.
        """
        await self._take(plan)
        self._more_plans_may_come = more is not None
        coming = asyncio.create_task(self._take_all(more)) if more is not None else None
        try:
            while self._more_plans_may_come or self._queue or self._running:
                self._changed.clear()
                self._report_now_and_then()
                if self.run.shutdown.reason:
                    self._defer(self._queue, self.run.why_stopped())
                outage = self.run.outage
                self._error = self._error or outage.final
                if self._error or self._clock.seconds() >= self._deadline:
                    budget = f"time budget of {duration(self.run.config.reconcile.time_budget)} is used up"
                    used_up = self.run.session.until_next_run(Limit.TIME_BUDGET, budget)
                    self._defer(self._queue, self.run.why_not_written(outage.reason) if outage.reason else used_up)
                try:
                    await self._step()
                except LedgerError as error:
                    outage.stop_requests(error)
        finally:
            if coming:
                coming.cancel()
        self._report()
        if given_up := self.run.outage.given_up:
            log.error("%s files that were fetched could not be stored before the run had to end", given_up)
        if fatal := self._error or self.run.outage.final:
            raise fatal

    async def _take(self, plan: Plan) -> None:
        """Adds a plan to the queue, once the executor is prepared for its sources."""
        if sources := {fill.source for fill in plan.fills} - self._prepared:
            await self._executor.prepare(sources)
            self._prepared |= sources
        self._add(plan)

    async def _take_all(self, plans: AsyncIterator[Plan]) -> None:
        """Adds plans to the queue as they come."""
        try:
            async for plan in plans:
                await self._take(plan)
                self._changed.set()
        except Exception as error:  # the run ends once the running fills have ended
            self._error = self._error or error
        finally:
            self._more_plans_may_come = False
            self._changed.set()

    async def _step(self) -> None:
        """Starts the next fill, or waits until one may start or the situation has changed."""
        if self._error or self.run.shutdown.reason or self._clock.seconds() >= self._deadline:
            self._more_plans_may_come = False
            if self._running:
                await self._changed.wait()
            return
        self._defer_the_paused()
        if not self.run.outage.reason and (fill := self._next()) is not None:
            self._begin([fill, *self._take_batch(fill)])
        elif self._more_plans_may_come or self._queue or self._running:
            await self._wait()

    def _add(self, plan: Plan) -> None:
        """Adds the fills of a plan to the queue, and its deferrals to those of the run."""
        self.deferred += plan.deferred
        self._known.update(deferral.gap.cell.key for deferral in plan.deferred)
        self._queue += plan.fills
        self._is_unsorted = True
        self._known.update(key for fill in plan.fills for key in fill.keys)

    def _next(self) -> Fill | None:
        """Takes the fill that starts now from the queue; None if no fill may start."""
        if self._executions >= self.run.config.reconcile.max_concurrent:
            return None
        if self._is_unsorted:
            success = self.run.success()
            self._queue = in_start_order(rescored(fill, success) for fill in self._queue)
            self._is_unsorted = False
        for name, lane in self._lanes.items():
            lane.capacity = self.run.capacity(name)
        paused = self._paused()
        while fill := next_fill(self._queue, self._lanes, paused.keys(), self._starting.keys()):
            if mine := self._take_fill(fill):
                return mine
        return None

    def _take_fill(self, fill: Fill, ahead: int = 0) -> Fill | None:
        """Takes a fill from the queue and claims its files.

        `ahead` is how many requests of its source are sent before its own. Returns the part of the fill that this run
        executes now, or None. The rest is put back or deferred.
        """
        begins, later = self._in_time(fill, ahead)
        if begins is None:
            late = "time budget: nothing of it would be done before the next run begins"
            self._defer([fill], self.run.session.until_next_run(Limit.TIME_BUDGET, late))
            return None
        is_rest = self._counted.issuperset(fill.keys)  # part of a split fill, or tried again
        if not is_rest and (over := self._cap.exceeded(fill.priority)):
            self._defer([fill], replace(over, until=self.run.session.next_run()))
            return None
        if not is_rest:
            self._cap.count(fill.priority)
        self._counted.update(fill.keys)
        self._queue.remove(fill)
        self._put_back(later)
        if self._is_half_open(begins) and (parts := split_first_request(begins)):
            begins, later = parts
            self._put_back(later)
        try:
            mine, others = self.run.claim(begins)
        except LedgerError:
            self._put_back(begins)
            raise
        at_work = self.run.session.until_next_run(Limit.OTHER_RUN, "another run is at it")
        self.deferred += [Deferral(gap, at_work) for gap in others]
        return mine

    def _in_time(self, fill: Fill, ahead: int) -> tuple[Fill | None, Fill | None]:
        """Splits a fill into the part that is expected to be done in time, and the rest."""
        if self._done_by is None:
            return fill, None
        lane, interval = self._lanes[fill.source], self.run.config.reconcile.interval
        if fill.gaps[0].cell.cost > lane.capacity.requests_within(interval.total_seconds(), 0):
            # Its first request alone takes longer than a run has, so waiting for the next run does not help.
            return split_first_request(fill) or (fill, None)
        remaining = (self._done_by - self._clock.now()).total_seconds()
        return split_by_cost(fill, lane.capacity.requests_within(remaining, lane.waiting + ahead))

    def _put_back(self, rest: Fill | None) -> None:
        """Puts the rest of a fill back into the queue, if there is one."""
        if rest:
            self._queue.append(rest)
            self._is_unsorted = True

    def _take_batch(self, first: Fill) -> list[Fill]:
        """Takes the fills that form a batch with the first one from the queue; none unless the executor takes batches.

        Schedules and files of games form no batch together: the games of a schedule become due when its batch has
        ended. Fills of a half-open circuit breaker are left out, because such a fill sends one probe alone.
        """
        if not self._executor.takes_batches:
            return []
        paused = self._paused()
        like_it = (first.source, self._lists_games(first))
        of_source = (fill for fill in self._queue if (fill.source, self._lists_games(fill)) == like_it)
        may_start = (fill for fill in of_source if not paused.keys() & {fill.address, fill.scraper})
        behind = (fill for fill in may_start if not self._is_half_open(fill))
        others = batch_with(first, behind, self.run.capacity(first.source), self.run.config.reconcile.batch_time)
        taken = [first]
        for fill in others:
            if also := self._take_fill(fill, ahead=sum(other.cost for other in taken)):
                taken.append(also)
        return taken[1:]

    def _paused(self) -> dict[str, Pause]:
        """The pauses and circuit breakers that let no fill start now, by name. A half-open one lets one fill start."""
        now = self._clock.now()
        paused = {}
        for source in self.run.sources.values():
            mine = [fill for fill in self._queue if fill.source == source.name]
            for name in {source.name, *(name for fill in mine for name in (fill.address, fill.scraper))}:
                pause = source.limiter.pause(name)
                phase = pause.phase(now)
                is_probed = self._is_asked(name) or not pause.may_probe(now)
                if phase is Phase.OPEN or (phase is Phase.HALF_OPEN and is_probed):
                    paused[name] = pause
        return paused

    def _is_half_open(self, fill: Fill) -> bool:
        pause = self.run.sources[fill.source].limiter.pause(fill.scraper)
        return pause.phase(self._clock.now()) is Phase.HALF_OPEN

    def _begin(self, fills: list[Fill]) -> None:
        """Starts the execution of fills, which takes a lane. No other fill of the source starts until it is running."""
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
        job = asyncio.create_task(self._execute(fills))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _execute(self, fills: list[Fill]) -> None:
        """Passes fills to the executor. Lets the source's next fill start when they run, and settles their outcomes."""
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
            await self._executor.wait_until_ready()
            if self.run.shutdown.reason:
                self._defer_claimed(fills)
                return
            submitted = self._clock.seconds()
            end = await self._executor.execute(fills, max(self._crashes[fill.id] for fill in fills), begun)
            for fill in fills:
                if self._lists_games(fill):
                    await self.run.look_up_newly_due(fill)
                self._settle(fill, end)
        except Exception as error:  # the run ends once the running fills have ended
            self._error = self._error or error
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
            self._is_unsorted = True
            self._changed.set()

    def _defer_claimed(self, fills: Iterable[Fill]) -> None:
        """Defers claimed fills that had sent no request when the run was stopped, and ends their claims."""
        fills = list(fills)
        self.deferred += [Deferral(gap, self.run.why_stopped()) for fill in fills for gap in fill.gaps]
        self.run.release(fills)

    async def _count_down(self, fills: list[Fill]) -> None:
        """Counts the requests of fills that another process executes, as if they were sent at the source's rate."""
        await self._clock.sleep(self.run.start_up)
        for _ in range(sum(fill.cost for fill in fills)):
            await self._clock.sleep(self._lanes[fills[0].source].capacity.spacing)
            self._request_sent(fills[0].source)

    def _settle(self, fill: Fill, end: End) -> None:
        """Completes the outcomes of a fill, and plans what follows from it.

        Files without an outcome have failed. Files to be tried again in this run are planned again, and so are the
        games that have become due because the fill brought their schedule.
        """
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
        if self._lists_games(fill):
            gaps = self.run.newly_due(fill)
            self._add(self.run.plan([gap for gap in gaps if gap.cell.key not in self._known]))

    def _lists_games(self, fill: Fill) -> bool:
        return self.run.config.datasets[fill.dataset].lists_games

    def _request_sent(self, source: str) -> None:
        """Counts a request that was sent. The source's next fill may be free to start then."""
        lane = self._lanes[source]
        lane.waiting = max(0, lane.waiting - 1)
        if lane.waiting <= lane.capacity.head_start:
            self._changed.set()

    async def _wait(self) -> None:
        """Waits until the situation changes, a pause ends, a probe may have been answered, or the time is used up."""
        now = self._clock.now()
        waits = [self._deadline - self._clock.seconds()] if self._queue or self._more_plans_may_come else []
        paused = [(p.until - now).total_seconds() for p in self._paused().values() if p.until]
        waits += [max(min(seconds, _NOTICED_WITHIN), _POLL_EVERY) for seconds in paused]
        await self._clock.wait(self._changed, min(waits, default=None))

    def _defer_the_paused(self) -> None:
        """Defers fills whose source is stopped, and those whose source or scraper stays paused until the run ends.

        If nothing else is left to do, fills that would have to wait for longer than _IDLE_WAIT are deferred as well.
        """
        for source, why in self.run.planner.stopped.items():
            self._defer([fill for fill in self._queue if fill.source == source], why)
        now = self._clock.now()
        paused = self._paused()
        self._plan_without(name for name, pause in paused.items() if pause.phase(now) is Phase.OPEN)
        is_idle = not self._running and all(paused.keys() & {fill.address, fill.scraper} for fill in self._queue)
        can_wait = min(self.run.session.ends, now + _IDLE_WAIT) if is_idle else self.run.session.ends
        probed = [
            name for name, pause in paused.items() if pause.phase(now) is Phase.HALF_OPEN and not self._is_asked(name)
        ]
        seconds = self._clock.seconds()
        self._probed_since = {name: self._probed_since.get(name, seconds) for name in probed}
        for name, pause in sorted(paused.items(), key=lambda item: item[1].until or now, reverse=True):
            limit = Limit.BACKOFF if name in self._lanes else Limit.BREAKER
            fills = [fill for fill in self._queue if name in (fill.address, fill.scraper)]
            if pause.until and pause.until > can_wait:
                self._defer(fills, why_paused(pause, limit))
            elif is_idle and seconds > self._probed_since.get(name, seconds) + _IDLE_WAIT.total_seconds():
                waiting = why_waiting(pause, now)
                self._defer(fills, waiting if waiting.until else replace(waiting, until=self.run.session.next_run()))

    def _is_asked(self, name: str) -> bool:
        """Does a running fill of this run send requests to the address, or by the scraper, of this name?"""
        return any(name in (fill.address, fill.scraper) for fill in self._running.values())

    def _plan_without(self, paused: Iterable[str]) -> None:
        """Plans queued fills again without their rollouts, if the rollout's own address is paused."""
        names = set(paused)
        for fill in [fill for fill in self._queue if fill.own_address in names]:
            self._queue.remove(fill)
            self._add(self.run.plan(list(fill.gaps)))

    def _defer(self, fills: Iterable[Fill], reason: Reason) -> None:
        """Moves fills from the queue to `deferred`."""
        for fill in list(fills):
            self._queue.remove(fill)
            self.deferred += [Deferral(gap, reason) for gap in fill.gaps]

    def _report_now_and_then(self) -> None:
        """Reports the progress, but not more often than once a second."""
        if self._clock.seconds() >= self._reported + 1:
            self._report()

    def _report(self) -> None:
        """Reports how many files are done and have failed, and how long the others take at their sources' rates."""
        outcomes = self.run.outcomes
        files = sum(key not in outcomes for fill in self._running.values() for key in fill.keys)
        requests = Counter({name: lane.waiting for name, lane in self._lanes.items()})
        for fill in self._queue:
            part = fill.id, len(fill.gaps)
            if part not in self._costs:
                self._costs[part] = fill.cost
            files += len(fill.gaps)
            requests[fill.source] += self._costs[part]
        longest = max((n * self._lanes[name].capacity.spacing for name, n in requests.items()), default=0.0)
        self._reported = self._clock.seconds()
        left = timedelta(seconds=max(0.0, min(longest, self._deadline - self._reported)))
        total = len(outcomes) + files
        PROGRESS.get()("Fetching files", outcomes.done, total, failed=outcomes.failed, left=left)
