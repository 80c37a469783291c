"""What do fills do when a run is told to stop, and how long do they have to end?"""

import asyncio
import signal
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from prefect import flow

from blocks.store import Store
from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from deployments.setup.prefect_server import set_up_buckets
from flows.in_process import InProcess
from flows.opening import open_run
from flows.task_runner import FillTaskRunner
from tasks.domain.expected.cells import Selection
from tasks.domain.reasons import Limit, Reason
from tasks.ledger import Ledger
from tasks.observe.session import Session
from tasks.run.dispatcher import Dispatcher
from tasks.run.fill import fill_gaps
from tasks.run.run import Run
from tests.builders import a_config
from tests.flows.conftest import NOW

GRACE = a_config().reconcile.grace.total_seconds()
CANCEL = ("cancelled in Prefect", None)
TERM = ("SIGTERM", signal.SIGTERM)
DAY = date(2026, 1, 13)


def a_run(folder: Path) -> Run:
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    return Run(Session(a_config(), Selection(), Store("file:lake"), ledger))


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        pytest.param([TERM], GRACE, id="one signal"),
        pytest.param([TERM, TERM], 0.0, id="two signals"),
        pytest.param([CANCEL], GRACE, id="a cancel, without a worker"),
        pytest.param([CANCEL, TERM], GRACE, id="a cancel, and the worker's signal for it"),
        pytest.param([TERM, CANCEL], GRACE, id="the same, and the signal comes first"),
        pytest.param([CANCEL, TERM, TERM], 0.0, id="a cancel, and then a signal of somebody's own"),
    ],
)
def test_fills_have_the_grace_unless_a_second_signal_comes(
    told: list[tuple[str, int | None]], seconds: float, tmp_path: Path
) -> None:
    async def stopping() -> Run:
        run = a_run(tmp_path)
        for why in told:
            run.shutdown.request(*why)
        return run

    run = asyncio.run(stopping())
    assert run.shutdown.reason == told[0][0]
    assert run.shutdown.cut_short_at - time.monotonic() == pytest.approx(seconds, abs=1)


def test_a_fill_that_is_ending_already_does_not_keep_the_others_from_being_cut_short(tmp_path: Path) -> None:
    async def ends() -> bool:
        run = a_run(tmp_path)
        may_end = asyncio.Event()

        async def ending() -> None:
            async with run.shutdown.within("ending", timedelta()):
                try:
                    await asyncio.sleep(60)
                finally:
                    await may_end.wait()

        async def working() -> None:
            async with run.shutdown.within("working", timedelta(minutes=1)):
                await asyncio.sleep(60)

        fills = [asyncio.create_task(ending()), asyncio.create_task(working())]
        await asyncio.sleep(0.05)
        for _ in range(2):
            run.shutdown.request(*TERM)
        done, _ = await asyncio.wait(fills[1:], timeout=5)
        may_end.set()
        fills[1].cancel()
        await asyncio.wait(fills)
        return bool(done)

    assert asyncio.run(ends())


@pytest.mark.parametrize(
    ("when", "limit", "why"),
    [
        ("before it is submitted", Limit.STOPPED, CANCEL[0]),
        ("before its first request", Limit.STOPPED, TERM[0]),
        ("when its lease was lost", Limit.LEASE, "its lease lapsed"),
    ],
)
def test_a_fill_of_a_run_that_was_stopped_asks_for_nothing(
    when: str, limit: Limit, why: str, prefect_api: None, adce_home: Path, sites: SandboxProcess
) -> None:
    config, selection = load_config(), Selection(datasets=("espn_scoreboard",), since=DAY, until=DAY)

    async def left() -> dict[str, Reason]:
        async with open_run(config, selection, as_of=NOW) as here:
            run = here.run
            plan = run.plan((await run.look()).gaps())
            if when == "before it is submitted":
                here.loop.call_soon(run.shutdown.request, *CANCEL)
                dispatcher = Dispatcher(run, InProcess(here))
                await dispatcher.run_all(plan)
                assert run.session.leases.claims() == {}
                return {deferral.gap.cell.key: deferral.reason for deferral in dispatcher.deferred}
            if when == "when its lease was lost":
                run.sources["espn"].why_not = lambda: why
            else:
                for _ in range(2):
                    run.shutdown.request(*TERM)
                await asyncio.sleep(0.05)  # those that run are cut short
            outcomes = await fill_gaps(run, plan.fills[0])
            assert not any(outcome.in_this_run for outcome in outcomes)
            return {outcome.key: outcome.reason for outcome in outcomes}

    @flow(name="stopped", task_runner=FillTaskRunner())
    async def stopped() -> dict[str, Reason]:
        await set_up_buckets(config)
        return await left()

    reason = Reason(limit, f"the run was stopped: {why}", NOW + config.reconcile.interval)
    assert asyncio.run(stopped()) == {"espn_schedules/20260113.json": reason}
    assert sites.requests() == []
