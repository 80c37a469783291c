"""Does `adce up` go on after an answer of Prefect that is none, the first one included?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat

import httpx
import pytest

from deployments.prefect_api.client import PrefectApi, PrefectApiError
from deployments.up import follow as module
from deployments.up.announcer import Announcer
from deployments.up.follow import follow
from deployments.up.lines import Line
from deployments.up.poller import PrefectPoller


def test_odd_answers_are_silence_and_the_first_proper_one_begins_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a proxy, a run without its fields, and an error of the server: each ends one poll only."""
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
    odd = [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[{"id": "1"}]),
        httpx.Response(503),
    ]
    runs: Iterator[httpx.Response] = chain(odd, repeat(httpx.Response(200, json=[])))
    said: list[Line] = []
    begun: list[datetime] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/flow_runs/filter":
            return next(runs)
        return httpx.Response(200, json=[])

    async def begin() -> None:
        begun.append(datetime.now(UTC))
        if len(begun) == 1:
            raise PrefectApiError("http://prefect", "does not answer")

    async def story() -> None:
        answers, long_ago = asyncio.Event(), datetime.now(UTC) - timedelta(minutes=1)
        async with httpx.AsyncClient(base_url="http://prefect", transport=httpx.MockTransport(answer)) as api:
            poller = PrefectPoller(PrefectApi(api), "adce", [], long_ago)
            announcer = Announcer(timedelta(seconds=50), long_ago)
            following = asyncio.create_task(follow(poller, announcer, said.append, answers, begin))
            await asyncio.wait({following, asyncio.create_task(answers.wait())}, return_when=asyncio.FIRST_COMPLETED)
            while not following.done() and len(said) < 2:
                await asyncio.sleep(0)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(asyncio.wait_for(story(), 30))
    assert [line.event for line in said] == ["api_silent", "api_answers"]
    assert len(begun) == 2, "the reconcile is begun again, because nobody knows whether it was"
    assert next(runs).json() == [], "each odd answer was given"
