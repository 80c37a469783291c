"""Whatever kills a run, nothing is lost, nothing is left half done, and the next run goes on. With real processes."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import State

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from flows.conclusion import conclude
from tasks.answers.report import Report
from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.overview import overview_of
from tasks.ledger import Ledger
from tasks.ledger.leases import claims_table, leases_table
from tasks.ledger.runs import runs_table
from tests import forks
from tests.builders import a_config
from tests.servers import prefect_server

pytestmark = pytest.mark.xdist_group("kills")  # they share servers

AS_OF = ["--as-of", "2026-01-15T12:00:00Z"]
SPAN = ["--source", "espn", "--since", "2025-12-01", "--until", "2026-01-14"]
KILLS = 30


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with prefect_server(tmp_path_factory.mktemp("prefect")) as env:
        forks.run([forks.ADCE, "setup"], env)
        yield env


@pytest.fixture
def reconcile(server: dict[str, str], adce_home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], forks.Fork]:
    """Starts a run on the lake in `adce_home`, under one Prefect server; what it says is in its file `log`."""
    monkeypatch.setenv("ADCE_RECONCILE__LEASE", "2s")
    monkeypatch.setenv("ADCE_RECONCILE__GRACE", "5s")
    log = adce_home / "log"
    return lambda: forks.start([forks.ADCE, "reconcile", *SPAN, *AS_OF], server, log, log)


def test_thirty_kills_at_random_moments_lose_nothing_and_fetch_nothing_twice(
    reconcile: Callable[[], forks.Fork], sites: SandboxProcess, adce_home: Path, server: dict[str, str]
) -> None:
    moments = random.Random(20260115)
    for _ in range(KILLS):
        run = reconcile()
        time.sleep(moments.uniform(0.2, 2.2))
        run.kill()
        assert run.wait() == -signal.SIGKILL, (adce_home / "log").read_text()
    assert reconcile().wait() == 0, (adce_home / "log").read_text()[-3000:]
    _assert_whole(sites, adce_home)
    _assert_nothing_is_held()
    assert not _running(server) & _known_to_the_ledger(), "Prefect was told of those that died at work"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_run_that_is_told_to_stop_records_what_it_did_and_says_so(
    reconcile: Callable[[], forks.Fork], sites: SandboxProcess, adce_home: Path, server: dict[str, str], number: int
) -> None:
    run = reconcile()
    _wait_for_requests(sites, 12)
    run.send_signal(number)
    told = time.monotonic()
    assert run.wait() == 128 + number
    assert time.monotonic() - told < 15
    requests = len(sites.requests())
    _assert_nothing_is_held()
    assert not _running(server) & _known_to_the_ledger()
    assert _cancelled(server) & _known_to_the_ledger()
    assert reconcile().wait() == 0
    assert 12 <= requests < len(sites.requests())
    _assert_whole(sites, adce_home)


def test_a_cancel_that_comes_after_the_work_ends_the_run_as_cancelled_too(server: dict[str, str]) -> None:
    async def work() -> Report:
        async with get_client() as client:
            await client.set_flow_run_state(UUID(flow_run.id), State(type=StateType.CANCELLING), force=True)
        return Report(overview_of(Assessment({}, {}, datetime.now(UTC))), (), (), a_config(), outcomes={})

    @flow
    async def late() -> State[Any]:
        return await conclude(work())

    with temporary_settings({PREFECT_API_URL: server["PREFECT_API_URL"]}):
        state: State[Any] = asyncio.run(late(return_state=True))  # type: ignore[call-overload]  # Prefect's overloads
    assert state.is_cancelled(), state


def test_a_cancel_in_prefect_stops_the_run_and_its_fills(
    reconcile: Callable[[], forks.Fork], sites: SandboxProcess, adce_home: Path, server: dict[str, str]
) -> None:
    running = reconcile()
    _wait_for_requests(sites, 12)
    (run,) = _running(server) & _known_to_the_ledger()
    _ask(server, lambda client: client.set_flow_run_state(UUID(run), State(type=StateType.CANCELLING)))
    assert running.wait() == 1
    requests = len(sites.requests())
    state = _ask(server, lambda client: client.read_flow_run(UUID(run))).state
    assert state is not None
    assert state.is_cancelled(), state
    assert not _running(server) & _known_to_the_ledger()
    _assert_nothing_is_held()
    time.sleep(1)
    assert len(sites.requests()) == requests < 150


def _wait_for_requests(sites: SandboxProcess, count: int) -> None:
    begun = time.monotonic()
    while len(sites.requests()) < count:
        assert time.monotonic() - begun < 60
        time.sleep(0.05)


def _assert_whole(sites: SandboxProcess, home: Path) -> None:
    """The lake holds every file as the site gives it, and none was asked for again once it was stored."""
    document = json.loads(forks.run([forks.ADCE, "plan", "--json", *SPAN, *AS_OF], {}).stdout)
    assert document["cells"]["present"] == document["cells"]["total"] > 100
    files = (path for path in (home / "lake").rglob("*") if path.is_file())
    stored = [path for path in files if path.parent.name != "_adce"]
    assert len(stored) == document["cells"]["total"], "nothing else lies about"
    off = time.time() - time.monotonic()
    asked: dict[str, list[float]] = defaultdict(list)
    for request in sites.requests():
        assert not request["limited"]
        asked[request["url"].rpartition("=")[2]].append(request["monotonic"] + off)
    stored_at: dict[str, float] = defaultdict(float)  # of the last of the files that one answer brings
    for path in stored:
        stored_at[path.stem] = max(stored_at[path.stem], path.stat().st_mtime)
    for stem, at in stored_at.items():
        assert max(asked[stem]) < at + 0.05


def _assert_nothing_is_held() -> None:
    ledger = Ledger(load_config().ledger)
    for table in (leases_table, claims_table):
        assert ledger.database.read(lambda connection, table=table: connection.execute(table.select()).all()) == []
    ledger.close()


def _known_to_the_ledger() -> set[str]:
    """The flow runs that took a lease: one that died before nobody can tell from one that has just begun."""
    ledger = Ledger(load_config().ledger)
    query = sa.select(runs_table.c.flow_run)
    known = set(ledger.database.read(lambda connection: connection.execute(query).scalars().all()))
    ledger.close()
    return known


def _running(server: dict[str, str]) -> set[str]:
    return _in_state(server, StateType.RUNNING)


def _cancelled(server: dict[str, str]) -> set[str]:
    return _in_state(server, StateType.CANCELLED)


def _in_state(server: dict[str, str], wanted: StateType) -> set[str]:
    states = FlowRunFilter.parse_obj({"state": {"type": {"any_": [wanted]}}})
    return {str(run.id) for run in _ask(server, lambda client: client.read_flow_runs(flow_run_filter=states))}


def _ask(server: dict[str, str], question: Callable[[PrefectClient], Awaitable[Any]]) -> Any:
    async def ask() -> Any:
        async with get_client() as client:
            return await question(client)

    with temporary_settings({PREFECT_API_URL: server["PREFECT_API_URL"]}):
        return asyncio.run(ask())
