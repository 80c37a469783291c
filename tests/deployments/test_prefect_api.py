"""What does the client of Prefect's REST API take for an answer, and what does it make of flow runs and log records?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import httpx
import pytest

from deployments.cli.runs import found_by
from deployments.prefect_api.client import PAGE, PrefectApi, PrefectApiError, api_of
from deployments.prefect_api.flow_runs import FlowRuns
from deployments.prefect_api.workers import online_workers, silence
from tests.builders import NOW

T = TypeVar("T")
Server = Callable[[str, Any], Any]  # its answer to a body at a path

FLOW_RUN = {
    "id": "7",
    "flow_id": "2",
    "name": "quick-cat",
    "created": NOW.isoformat(),
    "expected_start_time": None,
    "start_time": None,
    "end_time": None,
    "state": None,
}
CRASHED = {"type": "CRASHED", "name": "Crashed", "timestamp": NOW.isoformat()}
FLOW = {"id": "2", "name": "fill"}


def asked(server: Server, ask: Callable[[PrefectApi], Awaitable[T]]) -> T:
    """What is found on a server."""

    def answer(request: httpx.Request) -> httpx.Response:
        found = server(request.url.path.removeprefix("/api"), json.loads(request.content or "null"))
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    async def ask_it() -> T:
        async with httpx.AsyncClient(base_url="http://server/api", transport=httpx.MockTransport(answer)) as http:
            return await ask(PrefectApi(http))

    return asyncio.run(ask_it())


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        pytest.param(httpx.Response(503), "answers HTTP 503", id="an error"),
        pytest.param(httpx.Response(200, text="<html>"), "gives no answer of Prefect's to .*Invalid JSON", id="a page"),
        pytest.param(httpx.Response(200, text="null"), "gives no answer of Prefect's to .*valid array", id="null"),
        pytest.param([{"id": "7"}], "gives no answer of Prefect's to .*0.flow_id: Field required", id="a part"),
        pytest.param(
            [FLOW_RUN | {"state": {"type": "RUNNING"}}], ".*0.state.name: Field required", id="a part of a state"
        ),
        pytest.param([FLOW_RUN | {"start_time": "soon"}], ".*0.start_time: .*valid datetime", id="no time"),
    ],
)
def test_every_odd_answer_is_one_error(answer: Any, trouble: str) -> None:
    with pytest.raises(PrefectApiError, match=f"the Prefect API at http://server/api {trouble}"):
        asked(lambda path, body: answer, lambda api: FlowRuns(api).find(["fill"], {}))


def test_an_address_that_is_none_is_the_same_error() -> None:
    async def ask() -> None:
        async with api_of("http://host:port/api"):
            raise AssertionError

    with pytest.raises(PrefectApiError, match="at http://host:port/api has no valid address"):
        asyncio.run(ask())


def test_all_pages_are_asked_for_up_to_the_number_that_is_wanted() -> None:
    everything = [FLOW_RUN | {"id": str(n)} for n in range(2 * PAGE + 7)]
    limits: list[int] = []

    def server(path: str, body: Mapping[str, Any]) -> Any:
        if path == "/flows/filter":
            return [FLOW]
        limits.append(body["limit"])
        return everything[body["offset"] : body["offset"] + body["limit"]]

    found = asked(server, lambda api: FlowRuns(api).find(["fill"], {}))
    assert [run.id for run in found] == [run["id"] for run in everything]
    some = asked(server, lambda api: FlowRuns(api).find(["fill"], {}, most=PAGE + 1))
    assert (len(some), limits) == (PAGE + 1, [PAGE, PAGE, PAGE, PAGE, 1])


def test_a_run_without_a_state_is_pending_and_its_flow_may_be_gone() -> None:
    server: Server = lambda path, body: [] if path == "/flows/filter" else [FLOW_RUN]  # noqa: E731
    [run] = asked(server, lambda api: FlowRuns(api).find(["fill"], {}))
    assert (run.full_name, run.type, run.state, run.since, run.is_final) == (
        "? quick-cat",
        "PENDING",
        "Pending",
        NOW,
        False,
    )


@pytest.mark.parametrize(
    ("flow", "change", "name"),
    [
        pytest.param("reconcile", {}, "everything", id="scheduled"),
        pytest.param("reconcile", {"parameters": {"since": "2026-01-05"}}, "from 2026-01-05", id="a part"),
        pytest.param("fill", {}, "nothing given", id="a fill of nothing"),
        pytest.param(
            "fill", {"name": "1 file", "parameters": {"keys": ["a", "b"]}}, "1 file", id="a name that was given"
        ),
        pytest.param("reconcile", {"start_time": NOW.isoformat()}, "quick-cat", id="begun"),
        pytest.param("reconcile", {"state": CRASHED}, "quick-cat", id="it will never begin"),
        pytest.param("scraper", {}, "quick-cat", id="a flow that names no runs"),
    ],
)
def test_a_run_that_has_not_begun_has_the_name_that_it_gets_then(flow: str, change: dict[str, Any], name: str) -> None:
    server: Server = lambda path, body: [FLOW | {"name": flow}] if path == "/flows/filter" else [FLOW_RUN | change]  # noqa: E731
    [run] = asked(server, lambda api: FlowRuns(api).find([flow], {}))
    assert run.name == name


def test_the_last_warnings_are_found_in_the_order_of_their_times() -> None:
    def server(path: str, body: Mapping[str, Any]) -> Any:
        assert (path, body["sort"], body["limit"]) == ("/logs/filter", "TIMESTAMP_DESC", 2)
        names = ("third\nline", "second")
        return [{"id": name, "flow_run_id": "7", "level": 30, "message": name, "name": "run"} for name in names]

    found = asked(server, lambda api: FlowRuns(api).warnings({}, most=2))
    assert [record.message for record in found] == ["second", "third line"]


def test_a_run_that_the_ledger_names_is_found_even_if_it_was_due_before_the_last_ones() -> None:
    due = {id: FLOW_RUN | {"id": id, "state": CRASHED, "expected_start_time": NOW.isoformat()} for id in "321"}

    def server(path: str, body: Mapping[str, Any]) -> Any:
        if path == "/flows/filter":
            return [FLOW]
        wanted = body["flow_runs"]
        chosen = due.keys() & wanted["id"]["any_"] if "id" in wanted else due if "expected_start_time" in wanted else ()
        return [due[id] for id in chosen][: body["limit"]]

    def ids_of(ids: set[str]) -> list[str]:
        found = asked(server, lambda api: found_by(FlowRuns(api), ["fill"], NOW, 2, None, ids))
        return [run.id for run in found]

    assert ids_of({"1", "2"}) == ["3", "2", "1"]
    assert ids_of(set()) == ["3", "2"]


def test_a_worker_that_is_gone_polls_nothing() -> None:
    workers = [{"status": "ONLINE"}, {"status": "OFFLINE"}]
    assert asked(lambda path, body: workers, lambda api: online_workers(api, "adce")) == 1


def test_the_workers_of_a_pool_are_silent_if_none_of_them_is_heard_any_more() -> None:
    hung = {"name": "vm", "status": "OFFLINE", "last_heartbeat_time": "2026-11-30T04:01:00Z"}
    former = {"name": "old", "status": "OFFLINE", "last_heartbeat_time": "2026-11-29T04:01:00Z"}
    alive = {"name": "new", "status": "ONLINE", "last_heartbeat_time": "2026-11-30T04:05:00Z"}
    for workers in ([], [alive], [hung, alive]):
        assert asked(lambda path, body, have=workers: have, lambda api: silence(api, "adce")) is None
    assert asked(lambda path, body: [former, hung, former], lambda api: silence(api, "adce")) == (
        "no worker is alive, vm was last heard 2026-11-30 04:01 UTC; end its process with `kill -9` if it hangs, and "
        "start one: `adce up` or `prefect worker start --pool adce`"
    )


def test_a_server_with_csrf_protection_gets_the_token_that_it_has_given() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/csrf-token":
            return httpx.Response(200, json={"token": f"for {request.url.params['client']}"})
        expected = f"for {request.headers.get('prefect-csrf-client')}"
        if request.headers.get("prefect-csrf-token") != expected:
            return httpx.Response(403, json={"detail": "Missing CSRF token."})
        return httpx.Response(200, json=[{"status": "ONLINE"}])

    async def ask() -> int:
        async with httpx.AsyncClient(base_url="http://server/api", transport=httpx.MockTransport(answer)) as http:
            return await online_workers(PrefectApi(http), "adce")

    assert asyncio.run(ask()) == 1
