"""A batch that is handed over, without a server: what goes along, what is asked for, and what can go wrong then."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Pending, Running, State

from blocks.store import Store
from config.models import Config, Priority
from flows import by_deployment
from flows.by_deployment import ByDeployment, schedule_run, wait_for_end
from flows.prefect_run import PrefectRun
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.domain.limits.pauses import Pause
from tasks.domain.outcomes import RunEnd
from tasks.domain.plan.plan import Fill, Plan
from tasks.domain.reasons import Limit, Reason
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases
from tasks.observe.session import Session
from tasks.run.dispatcher import Dispatcher
from tasks.run.run import Run
from tasks.upstream.client import SourceClient
from tests.builders import NOW, a_board, a_cell, a_config, a_fill, a_game

FILL = a_fill(requests=2)
FLOW_RUN = uuid4()
_PATIENCE = 30.0  # seconds


class Prefect:
    """What the Prefect API answers about the one flow run: a state, or an error."""

    def __init__(self, *answers: State[Any] | Exception):
        self.answers = list(answers)
        self.told: list[str] = []
        self.refuses = 0  # so many times that it is told something

    async def read_flow_run(self, _: object) -> SimpleNamespace:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(state=answer)

    async def set_flow_run_state(self, _: object, state: State[Any], *, force: bool) -> None:
        self.refuses -= 1
        if self.refuses >= 0:
            raise httpx.ConnectError("away")
        self.told.append(state.name or "")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def a_run(ledger: Ledger, config: Config | None = None, priority: Priority | None = None) -> Run:
    """Of a running loop, with a lake that nobody looks at."""
    return Run(Session(config or a_config(), Selection(), Store("file:lake"), ledger), priority=priority)


def wait(
    ledger: Ledger,
    prefect: Prefect,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[Run], None] = lambda _: None,
    to_end: float = 0.2,
    to_agree: float = 0.2,
    at_most: float = _PATIENCE,
) -> State[Any]:
    monkeypatch.setattr(by_deployment, "_POLL_EVERY", 0.01)
    monkeypatch.setattr(by_deployment, "_TO_END", to_end)
    monkeypatch.setattr(by_deployment, "_TO_AGREE", to_agree)
    config = a_config()
    at_once = {"grace": timedelta(), "start_within": timedelta()}
    config = config.model_copy(update={"reconcile": config.reconcile.model_copy(update=at_once)})

    async def waiting() -> State[Any]:
        here = PrefectRun(a_run(ledger, config), cast(PrefectClient, prefect))
        works = {gap.cell.work for gap in FILL.gaps}
        ledger.database.write(lambda connection: here.run.session.leases.claim(connection, works))
        here.run.outcomes.begin(FILL)
        before(here.run)
        flow_run = cast(FlowRun, SimpleNamespace(id=FLOW_RUN, name="batch", work_pool_name="adce"))
        return await asyncio.wait_for(wait_for_end(here, flow_run, [FILL], lambda: None), at_most)

    return asyncio.run(waiting())


@pytest.mark.parametrize("away", [True, False], ids=["away", "there"])
@pytest.mark.parametrize("limit", [Limit.STOPPED, Limit.LEASE])
def test_a_run_that_has_to_stop_does_so_also_while_the_prefect_api_is_away_and_says_why_its_files_are_left(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, limit: Limit, away: bool
) -> None:
    runs: list[Run] = []

    def has_to_stop(run: Run) -> None:
        runs.append(run)
        run.shutdown.request("why", None, limit)

    state = wait(ledger, Prefect(httpx.ConnectError("away") if away else Cancelled()), monkeypatch, has_to_stop)
    assert state.is_cancelled()
    assert {outcome.limit for outcome in runs[0].outcomes.values()} == {limit}
    assert ledger.check()["claims"] == 0


@pytest.mark.parametrize("is_stopped", [False, True], ids=["goes on", "is stopped"])
def test_a_file_that_a_scraper_run_left_has_that_runs_reason_unless_this_run_is_stopped(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, is_stopped: bool
) -> None:
    child = Leases(ledger.database, "child", timedelta(seconds=30))
    child.begin("scraper", "batch", str(FLOW_RUN), lambda _: None)
    first, second = FILL.keys
    later = {"limit": "probe", "of": "espn", "reason": "not answered yet", "until": None, "keys": [first]}
    ledger.plans.keep("child", {"fills": [], "later": [later]}, NOW, "child")
    child.end(RunEnd.ENDED)
    runs: list[Run] = []

    def has_to_stop(run: Run) -> None:
        runs.append(run)
        if is_stopped:
            run.shutdown.request("SIGTERM", 15)

    wait(ledger, Prefect(Completed(message="done")), monkeypatch, has_to_stop)
    outcomes = runs[0].outcomes
    assert outcomes[second].limit is (Limit.STOPPED if is_stopped else Limit.SCRAPER_RUN)
    if is_stopped:
        assert outcomes[first].reason == outcomes[second].reason
    else:
        assert outcomes[first].reason == Reason(Limit.PROBE, "not answered yet", None, "espn")
    assert ledger.plans.kept("child") is None


def test_a_scraper_run_is_told_to_stop_until_the_prefect_api_has_heard_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect = Prefect(Running())
    prefect.refuses = 2
    wait(ledger, prefect, monkeypatch, lambda run: run.shutdown.request("SIGTERM", 15), 1.0, _PATIENCE)
    assert prefect.told == ["Cancelling"]


def test_a_flow_run_that_somebody_deletes_is_a_crashed_one_and_nothing_stays_marked(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ObjectNotFound(httpx.HTTPStatusError("", request=cast(Any, None), response=cast(Any, None)))
    state = wait(ledger, Prefect(Running(), gone), monkeypatch)
    assert (state.is_crashed(), state.message) == (True, "it was deleted in Prefect")
    assert ledger.check()["claims"] == 0


def test_a_run_that_ended_and_could_not_tell_prefect_is_not_waited_for_for_ever(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Leases(ledger.database, "child", timedelta(seconds=30))
    child.begin("scraper", "batch", str(FLOW_RUN), lambda _: None)
    child.end(RunEnd.ENDED)
    prefect = Prefect(Running())
    state = wait(ledger, prefect, monkeypatch)
    assert (state.message, prefect.told) == ("it ended without reporting that to Prefect", ["Crashed"])


def test_a_run_that_is_being_cancelled_has_begun(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    prefect = Prefect(Cancelling(), Cancelling(), Cancelled(message="by hand"))
    state = wait(ledger, prefect, monkeypatch)
    assert (state.message, prefect.told) == ("by hand", [])


def test_a_run_that_a_worker_took_and_never_began_is_for_another_try(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect = Prefect(Pending())
    state = wait(ledger, prefect, monkeypatch)
    assert (state.is_crashed(), prefect.told) == (True, ["Crashed"])


def test_a_run_that_prefect_calls_ended_is_waited_for_while_the_ledger_has_it_at_work(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Leases(ledger.database, "child", timedelta(seconds=30))
    child.begin("scraper", "batch", str(FLOW_RUN), lambda _: None)
    with pytest.raises(TimeoutError):
        wait(ledger, Prefect(Crashed()), monkeypatch, at_most=1.0)
    child.end(RunEnd.ENDED)
    assert wait(ledger, Prefect(Crashed()), monkeypatch).is_crashed()


def test_a_batch_is_handed_over_though_the_prefect_api_goes_away_just_then(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    async def run_deployment(_: str, **options: Any) -> str:
        asked.append(options)
        if len(asked) == 1:
            raise httpx.ConnectError("away")
        return "scheduled"

    async def handing_over() -> object:
        return await schedule_run(PrefectRun(a_run(ledger, priority=Priority.LOW)), [FILL], 0)

    monkeypatch.setattr(by_deployment, "run_deployment", run_deployment)
    assert asyncio.run(handing_over()) == "scheduled"
    assert asked[0] == asked[1], "by the same idempotency key, so that Prefect schedules it once"
    assert asked[0]["parameters"]["priority"] == "LOW", "what the run was given holds for its parts"


@pytest.mark.parametrize("season", ["2025-26", "2024-25"], ids=["a usual game", "a day that its season does not have"])
def test_a_scraper_run_looks_where_the_schedule_of_its_files_is(
    season: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    async def run_deployment(_: str, **options: Any) -> None:
        asked.update(options["parameters"])

    async def handing_over(fill: Fill) -> None:
        await schedule_run(PrefectRun(a_run(ledger)), [fill], 0)

    monkeypatch.setattr(by_deployment, "run_deployment", run_deployment)
    (gap,) = a_fill().gaps
    gap = replace(gap, cell=a_cell(season=season, game=a_game(season=season)))
    asyncio.run(handing_over(replace(a_fill(), gaps=(gap,))))

    days = (asked.get(name) and date.fromisoformat(asked[name]) for name in ("since", "until"))
    selection = Selection(("espn",), (), tuple(asked.get("seasons") or ()), *days, tuple(asked["keys"]))
    selection.check(a_config(), NOW)
    assert a_board().key in {cell.key for cell in calendar_cells(a_config(), NOW, selection)}


def test_one_request_of_a_scraper_that_is_half_open_is_handed_over_and_the_others_wait(
    ledger: Ledger,
) -> None:
    half_open = Pause("espn_summary", until=datetime.now(UTC) - timedelta(seconds=1), reason="HTTP 500", step=1)

    async def batch() -> tuple[Fill | None, list[Fill]]:
        run = a_run(ledger)
        limiter = SimpleNamespace(pause=lambda name: half_open if name == "espn_summary" else Pause(name))
        run.sources = {"espn": cast(SourceClient, SimpleNamespace(name="espn", limiter=limiter, latency=0.5))}
        dispatcher = Dispatcher(run, ByDeployment(PrefectRun(run)))
        dispatcher._add(Plan(tuple(a_fill(n, requests=3) for n in range(3)), ()))
        first = dispatcher._next()
        return first, dispatcher._take_batch(cast(Fill, first))

    first, more = asyncio.run(batch())
    assert first is not None
    assert (first.cost, more) == (1, [])
