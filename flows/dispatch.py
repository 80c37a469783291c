"""Which fill starts next? The best-scored one, as soon as a worker is free; a later one never starts before it."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from prefect import tags, task
from prefect.futures import PrefectFuture
from prefect.states import State
from prefect.task_runners import ConcurrentTaskRunner

from config.load import load_config
from flows.run import PROGRESS, RUN, Run
from flows.scrape import scrape
from tasks.domain.plan import Deferral, Fill, Plan, RunCap, start_order
from tasks.ledger import FileOutcome

log = logging.getLogger(__name__)


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
    """One scraper subflow; its state is this task's."""
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


class Dispatcher:
    """Starts fills in score order through the flow's task runner, until there are none or the time is up."""

    def __init__(self, run: Run):
        self.run = run
        self.deferred: list[Deferral] = []
        self._queue: list[tuple[tuple[float, datetime, str], Fill]] = []
        self._cap = RunCap(run.config, run.max_fills)
        self._known: set[str] = set()  # keys that are planned or deferred already
        self._planned = self._done = 0
        self._running: set[asyncio.Task[None]] = set()
        self._deadline = time.monotonic() + run.config.reconcile.time_budget.total_seconds()

    async def run_all(self, plan: Plan) -> None:
        """Returns when every fill that was started has ended. What was not started is in `deferred`."""
        self._add(plan)
        while self._queue or self._running:
            self._report()
            if time.monotonic() >= self._deadline:
                self._defer_the_rest()
            if self._queue and len(self._running) < self.run.config.reconcile.max_concurrent:
                if (fill := self._next()) is not None:
                    await self._start(fill)
            elif self._running:
                left = self._deadline - time.monotonic() if self._queue else None
                await asyncio.wait(self._running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        self._report()

    def _add(self, plan: Plan) -> None:
        self.deferred += plan.deferred
        self._known.update(deferral.gap.cell.key for deferral in plan.deferred)
        for fill in plan.fills:
            heapq.heappush(self._queue, (start_order(fill), fill))
            self._known.update(fill.keys)
            self._planned += 1

    def _next(self) -> Fill | None:
        """The best fill that may start; those that may not are deferred."""
        while self._queue:
            fill = heapq.heappop(self._queue)[1]
            source = self.run.sources[fill.source]
            if source.refused:
                until = self.run.now() + (source.refused_for or self.run.config.reconcile.interval)
                self._defer(fill, source.refused, until)
            elif over := self._cap.why_not(fill.priority):
                self._defer(fill, over, self._next_run())
            else:
                return fill
        return None

    async def _start(self, fill: Fill) -> None:
        """Submits a fill and waits until its subflow runs, so that the next one starts after it."""
        started = asyncio.Event()
        self.run.fills[fill.id] = fill
        self.run.started[fill.id] = started
        future = await run_fill.submit(f"{fill.dataset} {fill.days}", fill.id)
        ended = asyncio.create_task(self._finish(fill, future))
        self._running.add(ended)
        ended.add_done_callback(self._running.discard)
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def _finish(self, fill: Fill, future: PrefectFuture[Any, Any]) -> None:
        state = await future.wait()
        for gap in fill.gaps:
            if gap.cell.key not in self.run.outcomes:  # the subflow died before it came to this file
                error = f"the scraper run ended early: {state.message or state.name}"
                self.run.outcomes[gap.cell.key] = FileOutcome(gap.cell.key, "failed", error=error)
        if self.run.config.datasets[fill.dataset].lists_games:
            gaps = self.run.newly_due(fill)
            self._add(self.run.plan_for([gap for gap in gaps if gap.cell.key not in self._known]))
        self._done += 1
        self._report()

    def _defer_the_rest(self) -> None:
        for _, fill in self._queue:
            self._defer(fill, f"time budget of {self.run.config.reconcile.time_budget} is used up", self._next_run())
        self._queue.clear()

    def _defer(self, fill: Fill, reason: str, until: datetime) -> None:
        self.deferred += [Deferral(gap, reason, until) for gap in fill.gaps]
        self._done += 1

    def _next_run(self) -> datetime:
        return self.run.now() + self.run.config.reconcile.interval

    def _report(self) -> None:
        PROGRESS.get()("Fetching", self._done, self._planned)
