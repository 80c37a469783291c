"""Does `adce up` go on whatever Prefect answers, the first answer included?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import cast

import httpx
import pytest

from deployments.prefect_api.client import PrefectApi, PrefectApiError
from deployments.prefect_api.flow_runs import FlowRun
from deployments.up import follow as module
from deployments.up.announcer import Announcer, Snapshot
from deployments.up.databases import away
from deployments.up.follow import follow, tell_the_last
from deployments.up.lines import Line
from deployments.up.poller import PrefectPoller
from tests.servers import free_port, new_database

NONE = httpx.Response(200, json=[])


class Story:
    """`adce up` follows a Prefect without runs, which has given some answers before, until `is_over`."""

    def __init__(self, *refusals: PrefectApiError):
        self.said: list[Line] = []
        self.polls = 0
        self.begun = 0
        self.answers = asyncio.Event()
        self._refusals = refusals  # of the start of the first reconcile

    async def begin(self) -> None:
        self.begun += 1
        if self.begun <= len(self._refusals):
            raise self._refusals[self.begun - 1]

    async def causes(self) -> list[str]:
        return ["Prefect's database is away"]

    async def run(self, first: Iterable[httpx.Response], is_over: Callable[[], bool]) -> None:
        runs: Iterator[httpx.Response] = chain(first, repeat(NONE))
        long_ago = datetime.now(UTC) - timedelta(minutes=1)

        def answer(request: httpx.Request) -> httpx.Response:
            self.polls += request.url.path == "/logs/filter"  # which is asked after the runs
            return next(runs) if request.url.path == "/flow_runs/filter" else NONE

        async with httpx.AsyncClient(base_url="http://prefect", transport=httpx.MockTransport(answer)) as api:
            poller = PrefectPoller(PrefectApi(api), "adce", [], long_ago)
            announcer = Announcer(timedelta(seconds=50), long_ago)
            following = asyncio.create_task(
                follow(poller, announcer, self.said.append, self.answers, self.begin, self.causes)
            )
            while not (following.done() or is_over()):
                await asyncio.sleep(0)
            following.cancel()
            for outcome in await asyncio.gather(following, return_exceptions=True):
                assert isinstance(outcome, asyncio.CancelledError), outcome


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)


def test_answers_of_no_prefect_are_silence_and_the_first_proper_one_begins_everything() -> None:
    """A page of a proxy, a run without its fields, and an error of the server: each ends one poll only."""

    async def story() -> Story:
        told = Story(PrefectApiError("http://prefect", "does not answer"))
        wrong = [httpx.Response(200, text="<html>"), httpx.Response(200, json=[{"id": "1"}]), httpx.Response(503)]
        await told.run(wrong, lambda: told.begun == 2 and told.polls > 2)
        assert told.answers.is_set()
        return told

    told = asyncio.run(asyncio.wait_for(story(), 30))
    assert [line.event for line in told.said[:3]] == ["api_silent", "database_away", "api_answers"]
    assert [line.text for line in told.said[3:]] == [
        "the first reconcile cannot be started: the Prefect API does not answer; it is tried again"
    ]
    assert told.begun == 2, "the reconcile is begun again, because nobody knows whether it was"


def test_a_reconcile_that_is_refused_for_good_is_told_once_and_the_worker_starts() -> None:
    async def story() -> Story:
        refusal = PrefectApiError("http://prefect", "answers HTTP 422", httpx.Response(422))
        told = Story(refusal, refusal)
        await told.run([], lambda: told.polls > 2)
        assert told.answers.is_set()
        return told

    told = asyncio.run(asyncio.wait_for(story(), 30))
    assert told.begun == 1
    assert [line.text for line in told.said] == [
        "the first reconcile cannot be started: the Prefect API answers HTTP 422; its schedule begins the next one"
    ]


def test_the_run_that_was_stopped_is_told_last_and_no_next_one() -> None:
    at = datetime.now(UTC)
    run = FlowRun("1", "reconcile", "everything", "RUNNING", "Running", "", at, at, at)
    ended = replace(run, type="CANCELLED", state="Cancelled", message="stopped: SIGTERM; 3 fetched", ended=at)

    class Poller:
        async def poll(self, at: datetime) -> Snapshot:
            return Snapshot(at, [ended], next_due=at + timedelta(minutes=15))

    class Away:
        async def poll(self, at: datetime) -> Snapshot:
            raise PrefectApiError("http://prefect", "does not answer")

    said: list[Line] = []
    announcer = Announcer(timedelta(minutes=15), at)
    announcer.lines(Snapshot(at, [run]))
    for poller in (Away(), Poller()):
        asyncio.run(tell_the_last(cast(PrefectPoller, poller), announcer, said.append))
    assert [line.text for line in said] == ["reconcile everything: Cancelled: stopped: SIGTERM; 3 fetched"]


def test_the_database_of_sqlite_whose_disk_is_full_is_named(small_disk: Path) -> None:
    ledger, prefect = f"sqlite:///{small_disk}/ledger.db", f"sqlite+aiosqlite:///{small_disk}/prefect.db"
    assert away(ledger, prefect) == []
    (small_disk / "large").write_bytes(bytes(1_500_000))
    full = "cannot be written: no space left on its disk; make room"
    assert away(ledger, prefect) == [f"{small_disk}/prefect.db {full}", f"{small_disk}/ledger.db {full}"]


def test_which_database_of_postgresql_is_away_is_named_without_its_password(postgres: str) -> None:
    closed = f"me:secret@127.0.0.1:{free_port()}"
    prefect, ledger = f"postgresql+asyncpg://{closed}/prefect", f"postgresql://{closed}/adce"
    there = f"postgresql://{new_database(postgres, 'not_away')}"
    assert away(there, there) == away("sqlite:///ledger.db", "sqlite+aiosqlite:///prefect.db") == []
    for lines in (away(ledger, prefect), [*away(there, prefect), *away(ledger, None)]):
        of_prefect, of_ledger = lines
        assert of_prefect.startswith("Prefect's database prefect at 127.0.0.1 cannot be used: connection failed: ")
        assert of_ledger.startswith("ledger postgresql+psycopg://***@127.0.0.1:")
        assert "/adce cannot be used: connection failed: " in of_ledger
        assert "secret" not in f"{lines}"
