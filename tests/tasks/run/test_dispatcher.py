"""Which fill starts when? Without Prefect: fills are done by a fake, and the clock goes on when nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from blocks.store import Store
from tasks.domain.errors import AdceError
from tasks.domain.expected.cells import Selection
from tasks.domain.limits.pauses import Pause
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.lanes import START_UP
from tasks.domain.plan.plan import Fill, Plan
from tasks.domain.reasons import Limit, Reason
from tasks.ledger import Ledger
from tasks.observe.session import Session
from tasks.progress import PROGRESS
from tasks.run.dispatcher import Clock, Dispatcher, End
from tasks.run.run import Run
from tasks.upstream.client import SourceClient
from tests.builders import NOW, a_config, a_fill, a_gap

LONG = timedelta(days=1)


class FakeClock(Clock):
    """It stands still while anything can be done, and then goes on to the next moment that somebody waits for."""

    def __init__(self) -> None:
        self._gone = 0.0
        self._waiting: list[tuple[float, asyncio.Event]] = []

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self._gone)

    def seconds(self) -> float:
        return self._gone

    async def sleep(self, seconds: float) -> None:
        await self.wait(asyncio.Event(), seconds)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        if seconds is None:
            await event.wait()
            return
        up = asyncio.Event()
        entry = (self._gone + max(seconds, 0.0), up)
        self._waiting.append(entry)
        waits = [asyncio.create_task(one.wait()) for one in (event, up)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            self._waiting.remove(entry)

    async def run(self) -> None:
        """Goes on for ever."""
        while True:
            for _ in range(50):  # enough for all that needs no time
                await asyncio.sleep(0)
            if self._waiting:
                at, up = min(self._waiting, key=lambda entry: entry[0])
                self._gone = max(self._gone, at)
                up.set()


@dataclass
class FakeExecutor:
    """Each fill lasts so many seconds; what it says of its files is `says`."""

    run: Run
    clock: Clock
    lasts: float = 10.0
    takes_batches: bool = False
    start_up: float = START_UP
    says: Callable[[Fill], Iterable[FileOutcome]] = lambda fill: [FileOutcome(k, Outcome.STORED) for k in fill.keys]
    crashes: int = 0  # executions that crash before they come to anything
    started: list[tuple[float, list[str]]] = field(default_factory=list)  # when, and which fills
    refuses: str = ""  # a source that it cannot do

    async def prepare(self, sources: set[str]) -> None:
        if self.refuses in sources:
            raise AdceError(f"no deployment for {self.refuses}")

    async def wait_until_ready(self) -> None:
        pass

    async def execute(self, fills: Sequence[Fill], attempt: int, begun: Callable[[], None]) -> End:
        self.started.append((self.clock.seconds(), [fill.id for fill in fills]))
        begun()
        for fill in fills:
            for _ in range(fill.cost):
                self.run.sources[fill.source].on_request(fill.source)
        await self.clock.sleep(self.lasts)
        self.crashes -= 1
        if self.crashes >= 0:
            return End("its process died", has_crashed=True)
        for fill in fills:
            self.run.outcomes.add(self.says(fill))
        return End("done")


@dataclass
class Stage:
    """A run of a fake executor by a fake clock."""

    run: Run
    clock: FakeClock
    executor: FakeExecutor

    def dispatcher(self, done_by: datetime | None = None) -> Dispatcher:
        return Dispatcher(self.run, self.executor, done_by, self.clock)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def play(ledger: Ledger, story: Callable[[Stage], Coroutine[Any, Any, None]], budget: timedelta = LONG) -> None:
    """Tells a story of a run that begins now, and has so much time."""
    config = a_config()
    config = config.model_copy(update={"reconcile": config.reconcile.model_copy(update={"time_budget": budget})})

    async def playing() -> None:
        clock = FakeClock()
        session = Session(config, Selection(), Store("file:lake"), ledger, begun=NOW)
        run = Run(session)
        limiter = SimpleNamespace(pause=Pause)
        run.sources = {
            name: cast(
                SourceClient, SimpleNamespace(name=name, limiter=limiter, latency=0.5, on_request=lambda _: None)
            )
            for name in config.sources
        }
        going = asyncio.create_task(clock.run())
        try:
            await asyncio.wait_for(story(Stage(run, clock, FakeExecutor(run, clock))), 30)
        finally:
            going.cancel()

    asyncio.run(playing())


def plan_of(*fills: Fill) -> Plan:
    return Plan(fills, ())


def test_the_fills_of_a_source_begin_in_the_order_of_their_scores_and_no_more_than_its_lanes(ledger: Ledger) -> None:
    fills = [a_fill(n, requests=3, score=float(score)) for n, score in enumerate((5, 30, 10, 20))]

    async def story(stage: Stage) -> None:
        await stage.dispatcher().run_all(plan_of(*fills))
        order = [ids[0] for _, ids in stage.executor.started]
        assert order == [fills[n].id for n in (1, 3, 2, 0)]
        lanes = stage.run.capacity("espn").lanes(3)
        at_once = max(sum(a <= at < a + 10 for a, _ in stage.executor.started) for at, _ in stage.executor.started)
        assert at_once == lanes

    play(ledger, story)


def test_a_run_that_waits_for_the_end_of_a_pause_notices_that_it_was_ended_before(ledger: Ledger) -> None:
    async def story(stage: Stage) -> None:
        def pause(name: str) -> Pause:
            is_paused = name == "espn" and stage.clock.seconds() < 12
            return Pause(name, NOW + timedelta(seconds=25)) if is_paused else Pause(name)

        stage.run.sources["espn"].limiter.pause = pause  # type: ignore[method-assign]
        await stage.dispatcher().run_all(plan_of(a_fill()))
        [(at, _)] = stage.executor.started
        assert 12 <= at <= 18

    play(ledger, story)


def test_what_a_crashed_execution_did_not_come_to_is_begun_again_and_fails_after_three(ledger: Ledger) -> None:
    async def story(stage: Stage) -> None:
        stage.executor.crashes = 2
        await stage.dispatcher().run_all(stage.run.plan([a_gap(1)]))
        assert len(stage.executor.started) == 3
        assert {outcome.outcome for outcome in stage.run.outcomes.values()} == {Outcome.STORED}

        stage.executor.crashes = 3
        again = a_gap(2)
        await stage.dispatcher().run_all(stage.run.plan([again]))
        assert len(stage.executor.started) == 6
        assert stage.run.outcomes[again.cell.key].error == "the scraper run ended early: its process died"

    play(ledger, story)


def test_when_its_time_is_up_a_run_begins_no_more_and_waits_for_those_that_run(ledger: Ledger) -> None:
    fills = [a_fill(n, requests=3) for n in range(40)]

    async def story(stage: Stage) -> None:
        dispatcher = stage.dispatcher()
        await dispatcher.run_all(plan_of(*fills))
        begun = {fill.id for fill in dispatcher.begun}
        left = {deferral.gap.cell.key for deferral in dispatcher.deferred}
        assert 0 < len(begun) < len(fills)
        assert all(at < 60 for at, _ in stage.executor.started)
        assert stage.clock.seconds() >= 60
        assert left == {key for fill in fills if fill.id not in begun for key in fill.keys}
        assert {deferral.reason.limit for deferral in dispatcher.deferred} == {Limit.TIME_BUDGET}

    play(ledger, story, timedelta(minutes=1))


def test_nothing_begins_that_would_be_answered_after_the_time_by_which_all_is_to_be_done(ledger: Ledger) -> None:
    async def story(stage: Stage) -> None:
        dispatcher = stage.dispatcher(NOW + timedelta(seconds=1))
        await dispatcher.run_all(plan_of(a_fill(requests=500)))
        begun = sum(fill.cost for fill in dispatcher.begun)
        assert 0 < begun < 20, "as many as can be answered in a second"
        assert begun + len(dispatcher.deferred) == 500
        assert {deferral.reason.limit for deferral in dispatcher.deferred} == {Limit.TIME_BUDGET}

    play(ledger, story)


def test_more_plans_may_come_while_fills_run(ledger: Ledger) -> None:
    async def story(stage: Stage) -> None:
        async def more() -> AsyncIterator[Plan]:
            for n in range(1, 4):
                await stage.clock.sleep(100)
                yield plan_of(a_fill(n))

        dispatcher = stage.dispatcher()
        await dispatcher.run_all(plan_of(a_fill(0)), more())
        assert [round(at) for at, _ in stage.executor.started] == [0, 100, 200, 300]

    play(ledger, story)


def test_the_progress_counts_files_that_are_left_for_later_as_not_done(ledger: Ledger) -> None:
    told: list[tuple[int, int]] = []
    stop = Reason(Limit.STOPPED, "the run was stopped")

    async def story(stage: Stage) -> None:
        PROGRESS.set(lambda _, done, total, **__: told.append((done, total)))
        fill = a_fill(requests=3)
        stage.run.outcomes.begin(fill)
        first, *others = fill.keys
        stage.executor.says = lambda _: [
            FileOutcome(first, Outcome.STORED),
            *(FileOutcome.deferred(key, stop) for key in others),
        ]
        await stage.dispatcher().run_all(plan_of(fill))

    play(ledger, story)
    assert told[-1] == (1, 3)


def test_a_run_that_is_told_to_stop_waits_for_no_more_plans(ledger: Ledger) -> None:
    async def story(stage: Stage) -> None:
        async def more() -> AsyncIterator[Plan]:
            await stage.clock.sleep(5)
            stage.run.shutdown.request("SIGTERM", 15)
            yield plan_of(a_fill(1))
            await asyncio.Event().wait()

        dispatcher = stage.dispatcher()
        await dispatcher.run_all(plan_of(a_fill(0)), more())
        assert len(dispatcher.begun) == 1
        assert [deferral.reason.limit for deferral in dispatcher.deferred] == [Limit.STOPPED]

    play(ledger, story)


def test_an_executor_that_cannot_do_a_source_ends_the_run_before_anything_begins(ledger: Ledger) -> None:
    async def story(stage: Stage) -> None:
        stage.executor.refuses = "espn"
        with pytest.raises(AdceError, match="no deployment for espn"):
            await stage.dispatcher().run_all(plan_of(a_fill()))
        assert stage.executor.started == []

    play(ledger, story)


def test_an_executor_that_takes_batches_is_given_what_goes_along(ledger: Ledger) -> None:
    async def story(stage: Stage) -> None:
        stage.executor.takes_batches = True
        fills = [a_fill(n, requests=2) for n in range(6)]
        await stage.dispatcher().run_all(plan_of(*fills))
        assert sum(len(ids) for _, ids in stage.executor.started) == 6
        assert len(stage.executor.started) < 6

    play(ledger, story)


def test_schedules_and_files_of_games_form_no_batch_together(ledger: Ledger) -> None:
    """The games of a schedule become due when its batch has ended."""

    async def story(stage: Stage) -> None:
        stage.executor.takes_batches = True
        fills = [replace(a_fill(n), dataset="espn_scoreboard" if n % 2 else "espn_summary") for n in range(6)]
        await stage.dispatcher().run_all(plan_of(*fills))
        batches = [{int(id[-1]) % 2 for id in ids} for _, ids in stage.executor.started]
        assert batches == [{0}, {1}]

    play(ledger, story)
