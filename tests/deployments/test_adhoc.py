"""How does a command wait for a run on a Prefect server, and what does it send there?"""

from __future__ import annotations

import asyncio

import httpx
import pytest

from deployments.setup import adhoc
from deployments.setup.adhoc import FlowRun, Taker, api_of, end_of
from tasks.domain.errors import AdceError

SERVER = "http://127.0.0.1:4200/api"
TAKER = Taker(SERVER, "1", "fill/adhoc")
RUN = FlowRun("7", "quick-cat", "", "Running", "", is_over=False)
ENDED = {
    "id": "7",
    "name": "quick-cat",
    "state": {"type": "COMPLETED", "name": "Completed", "message": "1 \x1b[31mfile"},
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Response | Exception]:
    """What the server answers, in this order; the last answer is given again and again."""
    given: list[httpx.Response | Exception] = []

    def answer(request: httpx.Request) -> httpx.Response:
        one = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(one, Exception):
            raise one
        return one

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(adhoc, "api_of", lambda server: httpx.AsyncClient(base_url=server, transport=transport))
    monkeypatch.setattr(adhoc, "_POLL_EVERY", 0)
    return given


def test_a_server_that_is_away_for_a_moment_ends_no_wait(answers: list[httpx.Response | Exception]) -> None:
    answers += [httpx.ConnectError("away"), httpx.Response(502), httpx.Response(200, text="<html>")]
    answers.append(httpx.Response(200, json=ENDED))
    run = asyncio.run(end_of(TAKER, RUN))
    assert (run.is_over, run.message) == (True, "1 [31mfile")


def test_a_server_that_stays_away_ends_it_in_one_line(
    answers: list[httpx.Response | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adhoc, "_AWAY_SECONDS", 0)
    answers.append(httpx.ConnectError("away"))
    with pytest.raises(AdceError, match="the run goes on: `adce runs quick-cat` says how it ends"):
        asyncio.run(end_of(TAKER, RUN))


@pytest.mark.parametrize(("server", "is_sent"), [(SERVER, True), (f"{SERVER}/", True), ("http://other/api", False)])
def test_the_key_is_sent_to_the_server_that_is_named_only(
    server: str, is_sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", SERVER)
    monkeypatch.setenv("PREFECT_API_KEY", "a-long-random-key")
    assert ("authorization" in api_of(server).headers) == is_sent
