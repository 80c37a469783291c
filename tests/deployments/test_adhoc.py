"""How does a command wait for a run on a Prefect server, and what does it send there?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import httpx
import pytest
from tenacity import AsyncRetrying

from deployments.prefect_api import adhoc
from deployments.prefect_api.adhoc import AdhocDeployment, end_of, start
from deployments.prefect_api.client import PrefectApi, api_of
from deployments.prefect_api.flow_runs import FlowRun
from tasks.domain.errors import AdceError
from tests.builders import NOW

T = TypeVar("T")

SERVER = "http://127.0.0.1:4200/api"
DEPLOYMENT = AdhocDeployment("1", "fill/adhoc", "adce")
RUN = FlowRun("7", "fill", "quick-cat", "RUNNING", "Running", "", NOW, NOW, NOW)
ENDED: dict[str, Any] = {
    "id": "7",
    "flow_id": "2",
    "name": "quick-cat",
    "created": NOW.isoformat(),
    "expected_start_time": NOW.isoformat(),
    "start_time": NOW.isoformat(),
    "end_time": NOW.isoformat(),
    "state": {
        "type": "COMPLETED",
        "name": "Completed",
        "message": "1 \x1b[31mfile",
        "timestamp": NOW.isoformat(),
    },
}
FLOWS = [{"id": "2", "name": "fill"}]
THE_RUN, START = "/flow_runs/7", "/deployments/1/create_flow_run"

Answer = Any  # a JSON document, a response or an error


def at_server(
    answers: Mapping[str, Sequence[Answer]], ask: Callable[[PrefectApi], Awaitable[T]], sent: list[Any] | None = None
) -> T:
    """What comes of it if the server answers so at each path, in this order; the last answer is given again and again.

    The bodies of the requests that start a run are added to `sent`.
    """
    given = {path: list(of_it) for path, of_it in {"/flows/filter": [FLOWS], **answers}.items()}

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        if path == START and sent is not None:
            sent.append(json.loads(request.content))
        one = given[path].pop(0) if len(given[path]) > 1 else given[path][0]
        if isinstance(one, Exception):
            raise one
        return one if isinstance(one, httpx.Response) else httpx.Response(200, json=one)

    async def ask_it() -> T:
        async with httpx.AsyncClient(base_url=SERVER, transport=httpx.MockTransport(answer)) as http:
            return await ask(PrefectApi(http))

    return asyncio.run(ask_it())


def waited_for(*answers: Answer) -> FlowRun:
    """How the run ends if the server answers so when it is asked for it."""
    return at_server({THE_RUN: answers}, lambda api: end_of(api, DEPLOYMENT, RUN, timedelta(0), lambda line: None))


def started(*answers: Answer, sent: list[Any] | None = None) -> FlowRun:
    """The run that is started if the server answers so to the request for it."""
    return at_server({START: answers}, lambda api: start(api, DEPLOYMENT, "1 file", {"keys": ["a"]}), sent)


@pytest.fixture(autouse=True)
def polls_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adhoc, "_POLL_EVERY", 0)


def test_a_server_that_is_away_or_busy_for_a_moment_ends_no_wait() -> None:
    odd = (httpx.ConnectError("away"), httpx.Response(200, text="<html>"), *map(httpx.Response, (502, 408, 429)))
    run = waited_for(*odd, ENDED)
    assert (run.is_final, run.full_name, run.message) == (True, "fill quick-cat", "1 [31mfile")


def test_a_server_that_asks_for_a_wait_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def no_sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(adhoc, "AsyncRetrying", partial(AsyncRetrying, sleep=no_sleep))
    busy = [httpx.Response(429, headers={"Retry-After": asked}) for asked in ("7", "86400", "soon")]
    assert waited_for(*busy, ENDED).is_final
    assert waits == [7, adhoc._AWAY_SECONDS, 0]


def test_a_server_that_stays_away_ends_it_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adhoc, "_AWAY_SECONDS", 0)
    for away in (httpx.ConnectError("away"), httpx.Response(429)):
        with pytest.raises(AdceError, match="for 0 s; the run goes on: `adce runs 7` says how it ends"):
            waited_for(away)
    with pytest.raises(AdceError, match="answers HTTP 401; the run goes on"):
        waited_for(httpx.Response(401))


@pytest.mark.parametrize(
    ("named", "command"), [(SERVER, "prefect"), ("http://other/api", f"PREFECT_API_URL={SERVER} prefect")]
)
def test_a_run_that_does_not_begin_in_time_is_told_of_once_with_the_reason(
    named: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", named)
    scheduled = {**ENDED, "start_time": None, "state": {**ENDED["state"], "type": "SCHEDULED", "name": "Late"}}
    answers = {
        THE_RUN: [scheduled, scheduled, ENDED],
        "/work_pools/filter": [[{"name": "adce", "is_paused": False}]],
        "/work_pools/adce/workers/filter": [[{"status": "OFFLINE"}]],
    }

    def told(start_within: timedelta) -> list[str]:
        lines: list[str] = []
        run = replace(RUN, began=None)
        assert at_server(answers, lambda api: end_of(api, DEPLOYMENT, run, start_within, lines.append)).is_final
        return lines

    assert told(timedelta(hours=1)) == []
    assert told(timedelta(0)) == [
        "the run, due 2026-01-15 12:00 UTC, has not begun: no worker polls the work pool adce; this command goes on "
        f"waiting; to cancel it: {command} flow-run cancel 7"
    ]


def test_a_start_without_an_answer_is_repeated_and_starts_no_second_run() -> None:
    sent: list[Any] = []
    run = started(httpx.ReadTimeout("slow"), httpx.Response(503), httpx.Response(201, json=ENDED), sent=sent)
    assert (run.id, sent[0]["name"], sent[0]["parameters"]) == ("7", "1 file", {"keys": ["a"]})
    assert (len(sent), len({body["idempotency_key"] for body in sent})) == (3, 1)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "the Prefect API at .* answers HTTP 401"),
        (404, "the Prefect API at .* answers HTTP 404"),
        (409, "fill/adhoc on .* refuses the parameters .*not expected.*deploy again"),
        (422, "fill/adhoc on .* refuses the parameters"),
    ],
)
def test_a_start_that_is_refused_is_not_repeated(status: int, says: str) -> None:
    sent: list[Any] = []
    refusal = httpx.Response(status, json={"detail": "again is\nnot expected"})
    with pytest.raises(AdceError, match=f"^{says}"):
        started(refusal, httpx.ConnectError("away"), sent=sent)
    assert len(sent) == 1


def test_a_start_that_is_asked_to_wait_is_repeated() -> None:
    assert started(httpx.Response(429), httpx.Response(201, json=ENDED)).id == "7"


@pytest.mark.parametrize(("server", "is_sent"), [(SERVER, True), (f"{SERVER}/", True), ("http://other/api", False)])
def test_the_key_is_sent_to_the_server_that_is_named_only(
    server: str, is_sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", SERVER)
    monkeypatch.setenv("PREFECT_API_KEY", "a-long-random-key")

    async def headers() -> httpx.Headers:
        async with api_of(server) as api:
            return api._http.headers

    assert ("authorization" in asyncio.run(headers())) == is_sent
