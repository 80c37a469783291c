"""How does a command wait for a run on a Prefect server, and what does it send there?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import httpx
import pytest

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


Answer = httpx.Response | Exception


def at_server(
    answers: Sequence[Answer], ask: Callable[[PrefectApi], Awaitable[T]], *, asked: list[Any] | None = None
) -> T:
    """What comes of it if the server answers so, in this order; the last answer is given again and again."""
    given = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(json.loads(request.content or "null"))
        one = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(one, Exception):
            raise one
        return one

    async def ask_it() -> T:
        async with httpx.AsyncClient(base_url=SERVER, transport=httpx.MockTransport(answer)) as http:
            return await ask(PrefectApi(http))

    return asyncio.run(ask_it())


def waited_for(run: FlowRun, *answers: Answer, told: list[str] | None = None) -> FlowRun:
    """How the run ends."""
    tell = (told if told is not None else []).append
    return at_server(answers, lambda api: end_of(api, DEPLOYMENT, run, timedelta(0), tell))


@pytest.fixture(autouse=True)
def polls_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adhoc, "_POLL_EVERY", 0)


def test_a_server_that_is_away_for_a_moment_ends_no_wait() -> None:
    odd = (httpx.ConnectError("away"), httpx.Response(502), httpx.Response(200, text="<html>"))
    run = waited_for(RUN, *odd, httpx.Response(200, json=ENDED), httpx.Response(200, json=FLOWS))
    assert (run.is_final, run.full_name, run.message) == (True, "fill quick-cat", "1 [31mfile")


def test_a_server_that_stays_away_ends_it_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adhoc, "_AWAY_SECONDS", 0)
    with pytest.raises(AdceError, match="for 0 s; the run goes on: `adce runs 7` says how it ends"):
        waited_for(RUN, httpx.ConnectError("away"))
    with pytest.raises(AdceError, match="answers HTTP 401; the run goes on"):
        waited_for(RUN, httpx.Response(401))


def test_a_run_that_does_not_begin_is_told_of_once_with_the_reason() -> None:
    scheduled = {**ENDED, "start_time": None, "state": {**ENDED["state"], "type": "SCHEDULED", "name": "Late"}}
    pool, workers = [{"name": "adce", "is_paused": False}], [{"status": "OFFLINE"}]
    rest = (scheduled, pool, workers, scheduled, ENDED)
    told: list[str] = []
    first = (httpx.Response(200, json=scheduled), httpx.Response(200, json=FLOWS))
    waited_for(replace(RUN, began=None), *first, *(httpx.Response(200, json=one) for one in rest[1:]), told=told)
    assert told == [
        "the run, due 2026-01-15 12:00 UTC, has not begun: no worker polls the work pool adce; it is waited for; "
        "to cancel it: prefect flow-run cancel 7"
    ]


def test_a_start_without_an_answer_is_repeated_and_starts_no_second_run() -> None:
    asked: list[Any] = []
    answers = (httpx.ReadTimeout("slow"), httpx.Response(503), httpx.Response(201, json=ENDED))
    rest = httpx.Response(200, json=FLOWS)
    run = at_server((*answers, rest), lambda api: start(api, DEPLOYMENT, "1 file", {"keys": ["a"]}), asked=asked)
    assert (run.id, asked[0]["name"], asked[0]["parameters"]) == ("7", "1 file", {"keys": ["a"]})
    assert len({body["idempotency_key"] for body in asked[:3]}) == 1


def test_a_start_that_is_refused_is_not_repeated() -> None:
    refusal = httpx.Response(409, json={"detail": "again is\nnot expected"})
    with pytest.raises(AdceError, match=r"fill/adhoc on .* refuses the parameters"):
        at_server([refusal, httpx.ConnectError("away")], lambda api: start(api, DEPLOYMENT, "1 file", {}))


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
