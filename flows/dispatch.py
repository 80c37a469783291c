"""Which fill starts next? The best-scored one whose source has a free lane; within a source never a later one first."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prefect import tags, task
from prefect.futures import PrefectFuture
from prefect.states import Crashed, State
from prefect.task_runners import ConcurrentTaskRunner

from config.load import load_config
from config.secrets import masked
from flows.handover import check_deployments, hand_over, see_through
from flows.run import RUN, Run
from flows.scrape import scrape
from tasks.domain.errors import LedgerError
from tasks.domain.holds import Hold, Phase
from tasks.domain.lanes import Lane, goes_along, next_fill
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan import (
    Deferral,
    Fill,
    Plan,
    RunCap,
    first_request,
    in_start_order,
    rescored,
    what_costs,
    why_held,
    why_waiting,
)
from tasks.domain.reasons import Limit, Reason
from tasks.domain.wording import duration
from tasks.progress import PROGRESS

log = logging.getLogger(__name__)

_STAY = timedelta(seconds=30)  # for which a run with nothing else to do waits for a source that is paused, or probed
_LOOK_EVERY = 0.5  # seconds, at whether a probe was answered: so long is believed what the ledger said
_MOST_CRASHES = 3  # of one fill's subflow in a run


class FillTaskRunner(ConcurrentTaskRunner):
    """Prefect's concurrent task runner with a limit: `reconcile.max_concurrent` tasks run at once.

    Prefect 2 starts submitted tasks in any order, since each submission first makes an API call in the
    background. A submitter that wants an order submits no more than run, and awaits each start.
    """

    def __init__(self, max_workers: int | None = None):
        super().__init__()  # type: ignore[no-untyped-call]  # Prefect does not annotate it
        self.max_workers = max_workers

    def duplicate(self) -> FillTaskRunner:
        return type(self)(self.max_workers)

    async def _start(self, exit_stack: AsyncExitStack) -> None:
        await super()._start(exit_stack)
        self._workers = asyncio.Semaphore(self.max_workers or load_config().reconcile.max_concurrent)

    async def _run_and_store_result(self, key, call):  # type: ignore[no-untyped-def]
        async with self._workers:
            await super()._run_and_store_result(key, call)


@task(name="fill", task_run_name="{name}")
async def run_fill(name: str, fill_id: str) -> State[Any]:
    """One scraper subflow, in this process; its state is this task's."""
    fill = RUN.get().fills[fill_id]
    with tags("adce", f"source:{fill.source}", f"dataset:{fill.dataset}", f"priority:{fill.priority.value}"):
        return await scrape(
            fill=fill.id,
            source=fill.source,
            dataset=fill.dataset,
            season=fill.season,
            days=fill.days,
            kind=fill.kind.value,
            priority=fill.priority.value,
            score=round(fill.score.total, 3),
            files=len(fill.gaps),
            return_state=True,
        )


@task(name="batch", task_run_name="{name}")
async def run_batch(name: str, fill_ids: list[str], attempt: int) -> State[Any]:
    """One scraper subflow for some fills, wherever its deployment runs; its state is this task's."""
    run = RUN.get()
    fills = [run.fills[fill_id] for fill_id in fill_ids]
    flow_run = await hand_over(run, fills, attempt)
    state = await run.in_its_loop(see_through(run, flow_run, fills))
    return State(type=state.type, name=state.name, message=state.message)  # Prefect would make another of the child's


async def _state_of(future: PrefectFuture[Any, Any]) -> State[Any]:
    try:
        return await future.wait()
    except httpx.TransportError as error:  # the Prefect API went away just then
        return Crashed(message=masked(f"the Prefect API did not answer: {error}"))


class Dispatcher:
    """Starts fills through the flow's task runner, until there are none or the time is up.

    Between two starts the queue is scored again, with what the fills that have ended tell of their datasets. The age
    of a gap is that at the beginning of the run: within minutes it would only swap what is as good as equal.
    """

    def __init__(self, run: Run, done_by: datetime | None = None):
        """Nothing begins that is expected to be answered later than `done_by`."""
        self.run = run
        self._done_by = done_by
        self.deferred: list[Deferral] = []
        self._queue: list[Fill] = []
        self._unsorted = False
        self._lanes = {name: Lane(run.supply(name)) for name in run.sources}
        self._cap = RunCap(run.config, run.max_fills)
        self._counted: set[str] = set()  # keys of the fills that count for it
        self._known: set[str] = set()  # keys that are planned or deferred already
        self._planned = self._done = 0
        # In test mode nothing leaves the process: another one might not know that it is only a test.
        is_whole = run.part is None and not run.config.test_mode
        self._hands_over = run.config.dispatch == "deployment" and is_whole
        self._running: dict[str, Fill] = {}
        self._batches = 0  # tasks that run: of one fill each, unless they are handed over
        self._crashes: Counter[str] = Counter()  # of a fill's subflow
        self._starting: dict[str, str] = {}  # by source, the fill that has been submitted and does not run yet
        self._trouble: Exception | None = None
        self._late: dict[str, float] = {}  # since when the probe of another run is waited for, by time.monotonic
        self._jobs: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()  # something happened after which another fill may be free to start
        self._deadline = time.monotonic() + (run.ends - datetime.now(UTC)).total_seconds()
        run.on_change = self._changed.set
        for source in run.sources.values():
            source.left = self._left

    async def run_all(self, plan: Plan) -> None:
        """Returns when every fill that was started has ended. What was not started is in `deferred`."""
        self._add(plan)
        if self._hands_over:
            await check_deployments(self.run, {fill.source for fill in self._queue})
        while self._queue or self._running:
            self._changed.clear()
            self._report()
            if self.run.stopped:
                self._defer(self._queue, self.run.why_stopped())
            outage = self.run.outage
            self._trouble = self._trouble or outage.final
            if self._trouble or time.monotonic() >= self._deadline:
                budget = f"time budget of {duration(self.run.config.reconcile.time_budget)} is used up"
                used_up = self.run.left_because(Limit.TIME_BUDGET, budget)
                self._defer(self._queue, self.run.why_not_written(outage.reason) if outage.reason else used_up)
            try:
                await self._go_on()
            except LedgerError as error:
                outage.end_by(error)
        self._report()
        if given_up := self.run.outage.given_up:
            log.error("%s files that were fetched could not be stored before the run had to end", given_up)
        if trouble := self._trouble or self.run.outage.final:
            raise trouble

    async def _go_on(self) -> None:
        """Begins the next fill, or waits until one may begin or something else is to be done."""
        if self._trouble:
            if self._running:
                await self._changed.wait()
            return
        self._defer_the_held()
        if not self.run.outage.reason and (fill := self._next()) is not None:
            self._begin([fill, *self._more_like(fill)])
        elif self._queue or self._running:
            await self._wait()

    def _add(self, plan: Plan) -> None:
        self.deferred += plan.deferred
        self._known.update(deferral.gap.cell.key for deferral in plan.deferred)
        self._queue += plan.fills
        self._unsorted = True
        self._known.update(key for fill in plan.fills for key in fill.keys)
        self._planned += len(plan.fills)

    def _next(self) -> Fill | None:
        """The fill that starts now, if any may."""
        if self._batches >= self.run.config.reconcile.max_concurrent:
            return None
        if self._unsorted:
            success = self.run.success()
            self._queue = in_start_order(rescored(fill, success) for fill in self._queue)
            self._unsorted = False
        for name, lane in self._lanes.items():
            lane.supply = self.run.supply(name)
        held = self._held()
        while fill := next_fill(self._queue, self._lanes, held.keys(), self._starting.keys()):
            if mine := self._take(fill):
                return mine
        return None

    def _take(self, fill: Fill, ahead: int = 0) -> Fill | None:
        """Takes a fill from the queue: what of it this run may do, marked as its own; `ahead` requests go first."""
        begins, later = self._in_time(fill, ahead)
        if begins is None:
            late = "time budget: nothing of it would be done before the next run begins"
            self._defer([fill], self.run.left_because(Limit.TIME_BUDGET, late))
            return None
        is_rest = self._counted.issuperset(fill.keys)  # of a fill that was cut, or has to be begun once more
        if not is_rest and (over := self._cap.exceeded(fill.priority)):
            self._defer([fill], replace(over, until=self.run.next_run()))
            return None
        if not is_rest:
            self._cap.count(fill.priority)
        self._counted.update(fill.keys)
        self._queue.remove(fill)
        self._put_back(later)
        if self._is_half_open(begins) and (parts := first_request(begins)):
            begins, later = parts
            self._put_back(later)
        mine, others = self.run.claim(begins)
        at_work = self.run.left_because(Limit.OTHER_RUN, "another run is at it")
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
        left = (self._done_by - datetime.now(UTC)).total_seconds()
        return what_costs(fill, lane.supply.requests_within(left, lane.waiting + ahead))

    def _put_back(self, rest: Fill | None) -> None:
        if rest:
            self._queue.append(rest)
            self._unsorted = True
            self._planned += 1

    def _more_like(self, first: Fill) -> list[Fill]:
        """What goes along with a fill that is handed over: nothing that is to be asked for once, to see."""
        if not self._hands_over:
            return []
        closed = self._held()
        mine = (fill for fill in self._queue if fill.source == first.source)
        may = (fill for fill in mine if not closed.keys() & {fill.address, fill.scraper})
        behind = (fill for fill in may if not self._is_half_open(fill))
        others = goes_along(first, behind, self.run.supply(first.source), self.run.config.reconcile.batch_time)
        taken = [first]
        for fill in others:
            if also := self._take(fill, ahead=sum(other.cost for other in taken)):
                taken.append(also)
        return taken[1:]

    def _held(self) -> dict[str, Hold]:
        """The sources and scrapers of which no fill may start now; those that are half open let one through."""
        now = datetime.now(UTC)
        held = {}
        for source in self.run.sources.values():
            mine = [fill for fill in self._queue if fill.source == source.name]
            for name in {source.name, *(name for fill in mine for name in (fill.address, fill.scraper))}:
                hold = source.gate.hold(name)
                phase = hold.phase(now)
                if phase is Phase.OPEN or (phase is Phase.HALF_OPEN and (self._asks(name) or not hold.may_probe(now))):
                    held[name] = hold
        return held

    def _is_half_open(self, fill: Fill) -> bool:
        hold = self.run.sources[fill.source].gate.hold(fill.scraper)
        return hold.phase(datetime.now(UTC)) is Phase.HALF_OPEN

    def _begin(self, fills: list[Fill]) -> None:
        """From now on the fills of a task have their lane, and no other of their source begins until it has started."""
        source = fills[0].source
        lane = self._lanes[source]
        for fill in fills:
            self._running[fill.id] = self.run.fills[fill.id] = replace(fill, starts=self.run.now())
            self.run.started[fill.id] = asyncio.Event()
            self.run.dataset_of |= dict.fromkeys(fill.keys, fill.dataset)
            lane.waiting += fill.cost
        self._starting[source] = fills[0].id
        self._batches += 1
        lane.running += 1
        job = asyncio.create_task(self._see_through(fills))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _see_through(self, fills: list[Fill]) -> None:
        """Submits the fills of a task, lets the next one begin when it runs, and settles what became of them."""
        first = fills[0]
        counting: asyncio.Task[None] | None = None
        try:
            await self.run.prefect_answers()
            if self.run.stopped:
                self._leave(fills)
                return
            begun = time.monotonic()
            ended = asyncio.create_task(_state_of(await self._submit(fills)))
            starting = asyncio.create_task(self.run.started[first.id].wait())
            await asyncio.wait({starting, ended}, return_when=asyncio.FIRST_COMPLETED)
            starting.cancel()
            if self._hands_over:
                counting = asyncio.create_task(self._count_down(fills))
            else:
                self.run.has_started(time.monotonic() - begun)
            del self._starting[first.source]
            self._changed.set()
            state = await ended
            for fill in fills:
                self._settle(fill, state)
        except Exception as error:  # it ends the run, when the fills that run have ended
            self._trouble = self._trouble or error
        finally:
            if counting:
                counting.cancel()
            if self._starting.get(first.source) == first.id:
                del self._starting[first.source]
            for fill in fills:
                del self._running[fill.id]
            self._batches -= 1
            lane = self._lanes[first.source]
            lane.running -= 1
            running = (other for other in self._running.values() if other.source == first.source)
            lane.waiting = min(lane.waiting, sum(other.cost for other in running))
            self._done += len(fills)
            self._unsorted = True
            self._changed.set()

    def _leave(self, fills: Iterable[Fill]) -> None:
        """They had their lane and their marks, and have asked for nothing when the run was stopped."""
        gaps = [gap for fill in fills for gap in fill.gaps]
        self.deferred += [Deferral(gap, self.run.why_stopped()) for gap in gaps]
        self.run.leases.release({gap.cell.work for gap in gaps})

    async def _submit(self, fills: list[Fill]) -> PrefectFuture[Any, Any]:
        first = fills[0]
        name = f"{first.dataset} {first.days} {first.kind.value}"
        if not self._hands_over:
            return await run_fill.submit(name, first.id)
        ids = [fill.id for fill in fills]
        return await run_batch.submit(name, ids, max(self._crashes[fill_id] for fill_id in ids))

    async def _count_down(self, fills: list[Fill]) -> None:
        """The requests of fills that were handed over leave unseen: as many as the rate allows, from their start on."""
        await asyncio.sleep(self.run.start_up)
        for _ in range(sum(fill.cost for fill in fills)):
            await asyncio.sleep(self._lanes[fills[0].source].supply.spacing)
            self._left(fills[0].source)

    def _settle(self, fill: Fill, state: State[Any]) -> None:
        """What became of a fill's files: those that never came to it, those for later in this run, the newly due."""
        missed = [key for key in fill.keys if key not in self.run.outcomes]
        self._crashes[fill.id] += bool(missed)
        again_now = state.is_crashed() and self._crashes[fill.id] < _MOST_CRASHES
        for key in missed:
            error = f"the scraper run ended early: {state.message or state.name}"
            self.run.outcomes[key] = FileOutcome(key, Outcome.FAILED, error=error, in_this_run=again_now)
        again = [gap for gap in fill.gaps if self.run.outcomes[gap.cell.key].in_this_run]
        for gap in again:
            del self.run.outcomes[gap.cell.key]
        if again:
            self._add(self.run.plan_for(again))
        if self.run.config.datasets[fill.dataset].lists_games:
            gaps = self.run.newly_due(fill)
            self._add(self.run.plan_for([gap for gap in gaps if gap.cell.key not in self._known]))

    def _left(self, source: str) -> None:
        """A request of a source has left: its next fill may be free to start."""
        lane = self._lanes[source]
        lane.waiting = max(0, lane.waiting - 1)
        if lane.waiting <= lane.supply.head_start:
            self._changed.set()

    async def _wait(self) -> None:
        """Until something happens, a hold ends, a probe may have been answered or the time is up."""
        now = datetime.now(UTC)
        until = [self._deadline - time.monotonic()] if self._queue else []
        until += [max((h.until - now).total_seconds(), _LOOK_EVERY) for h in self._held().values() if h.until]
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), min(until, default=None))

    def _defer_the_held(self) -> None:
        """What is held for longer than the run has time; and, when there is nothing else to do, for long at all."""
        now = datetime.now(UTC)
        held = self._held()
        self._plan_without(name for name, hold in held.items() if hold.phase(now) is Phase.OPEN)
        is_idle = not self._running and all(held.keys() & {fill.address, fill.scraper} for fill in self._queue)
        can_wait = min(self.run.ends, now + _STAY) if is_idle else self.run.ends
        probed = [name for name, hold in held.items() if hold.phase(now) is Phase.HALF_OPEN and not self._asks(name)]
        self._late = {name: self._late.get(name, time.monotonic()) for name in probed}
        for name, hold in held.items():
            limit = Limit.BACKOFF if name in self._lanes else Limit.BREAKER
            fills = [fill for fill in self._queue if name in (fill.address, fill.scraper)]
            if hold.until and hold.until > can_wait:
                self._defer(fills, why_held(hold, limit))
            elif is_idle and name in self._late and time.monotonic() > self._late[name] + _STAY.total_seconds():
                waiting = why_waiting(hold, now)
                self._defer(fills, waiting if waiting.until else replace(waiting, until=self.run.next_run()))

    def _asks(self, name: str) -> bool:
        """Does a fill of this run ask a source, or for a scraper?"""
        return any(name in (fill.address, fill.scraper) for fill in self._running.values())

    def _plan_without(self, held: Iterable[str]) -> None:
        """What would be asked for at a variant that is left alone goes the usual way."""
        names = set(held)
        for fill in [fill for fill in self._queue if fill.variant in names]:
            self._queue.remove(fill)
            self._planned -= 1
            self._add(self.run.plan_for(list(fill.gaps)))

    def _defer(self, fills: Iterable[Fill], reason: Reason) -> None:
        """Leaves fills for later."""
        for fill in list(fills):
            self._queue.remove(fill)
            self.deferred += [Deferral(gap, reason) for gap in fill.gaps]
            self._done += 1

    def _report(self) -> None:
        PROGRESS.get()("Fetching", self._done, self._planned)
