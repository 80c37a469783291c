"""What do several processes spend together of one rate? Each is this module, with five askers in it.

The upstream is the sandbox, which refuses the request that would be one too many in any window.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import rate_limit
from prefect.exceptions import ObjectAlreadyExists

from config.models import Rate
from deployments.sandbox.process import SandboxProcess
from tasks.buckets import client_for_buckets, ensure_buckets, open_buckets
from tests.builders import a_config

_ROOT = Path(__file__).parents[1]
_PATH = "/scoreboard?dates=20260113"
_ASKERS = 5

Sent = Callable[[], object]  # is to be called when the request was sent
Leave = Callable[[], Awaitable[Sent | None]]  # waits until a request may leave


@dataclass(frozen=True)
class Spent:
    """What the upstream saw: the share of the rate that was used, and how many requests it refused."""

    requests: int
    refused: int
    share: float


def spend(rate: Rate, processes: int, seconds: float, env: Mapping[str, str], how: str = "adce") -> Spent:
    """Lets so many processes ask for so long; `env` says which Prefect API they share."""
    limit = f"{rate.requests}/{rate.seconds:g}"
    with SandboxProcess(clock="2026-01-15T12:00:00Z", rates={"espn": limit}) as sites:
        httpx.get(url := sites.base_urls["espn"] + _PATH, trust_env=False).raise_for_status()
        sites.clear_requests()
        time.sleep(rate.seconds)
        work = json.dumps([how, url, rate.requests, rate.seconds, seconds])
        command = [sys.executable, "-W", "ignore", "-m", "tests.spenders", work]
        with contextlib.ExitStack() as stack:
            workers = [stack.enter_context(_worker(command, env)) for _ in range(processes)]
            for worker in workers:
                if not worker.stdout or worker.stdout.readline() != "ready\n":
                    raise RuntimeError("a spender did not start")
            for worker in workers:
                assert worker.stdin
                worker.stdin.write("go\n")
                worker.stdin.close()
            for worker in workers:
                worker.wait(timeout=seconds + 60)
        if any(worker.returncode for worker in workers):
            raise RuntimeError(f"spenders ended with {[worker.returncode for worker in workers]}")
        requests = sites.requests()
    times = [r["monotonic"] for r in requests if not r["limited"]]
    counted = [at for at in times if at <= times[0] + seconds]  # later, some askers have stopped
    allowed = (counted[-1] - counted[0]) * rate.requests / rate.seconds
    return Spent(len(requests), len(requests) - len(times), (len(counted) - 1) / allowed)


@contextlib.contextmanager
def _worker(command: list[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=_ROOT, env={**os.environ, **env}, stdin=pipe, stdout=pipe, text=True) as worker:
        try:
            yield worker
        finally:
            worker.kill()


async def _ask(how: str, url: str, rate: Rate, seconds: float) -> None:
    async with contextlib.AsyncExitStack() as stack:
        leave = await _WAYS[how](rate, stack)
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30))
        print("ready", flush=True)
        sys.stdin.readline()
        until = time.monotonic() + seconds + 1

        async def asker() -> None:
            while time.monotonic() < until:
                sent = await leave()

                async def note(event: str, _: object, sent: Sent | None = sent) -> None:
                    if sent and event.endswith("send_request_headers.complete"):
                        sent()

                await http.get(url, extensions={"trace": note})

        tasks = [asyncio.create_task(asker()) for _ in range(_ASKERS)]
        _, late = await asyncio.wait(tasks, timeout=until - time.monotonic())
        for task in late:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _adce(rate: Rate, stack: contextlib.AsyncExitStack) -> Leave:
    espn = a_config().sources["espn"].model_copy(update={"rates": [rate]})
    config = a_config(sources={"espn": espn})
    client = await stack.enter_async_context(client_for_buckets())
    await ensure_buckets(client, config)  # by all processes at once
    bucket = (await open_buckets(client, config))["espn"]
    stack.push_async_callback(bucket.close)

    async def leave() -> Sent:
        return partial(bucket.sent, await bucket.leave())

    return leave


async def _prefect(rate: Rate, stack: contextlib.AsyncExitStack) -> Leave:
    """Prefect's own rate_limit, on a limit made as its documentation says: as many slots a second as decay."""
    name = f"own-{rate.requests}-per-{rate.seconds:g}s"
    async with get_client() as client:
        limit = {"name": name, "limit": rate.requests, "slot_decay_per_second": rate.requests / rate.seconds}
        with contextlib.suppress(ObjectAlreadyExists, httpx.HTTPStatusError):
            await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate.parse_obj(limit))

    async def leave() -> None:
        await rate_limit(name)

    return leave


async def _aiolimiter(rate: Rate, stack: contextlib.AsyncExitStack) -> Leave:
    from aiolimiter import AsyncLimiter

    return AsyncLimiter(rate.requests, rate.seconds).acquire


async def _pyrate(rate: Rate, stack: contextlib.AsyncExitStack) -> Leave:
    """In a file that the processes share, where BUCKET names one, and else in memory."""
    import pyrate_limiter as pyrate

    rates = [pyrate.Rate(rate.requests, round(rate.seconds * 1000))]
    bucket = pyrate.InMemoryBucket(rates)
    if file := os.environ.get("BUCKET"):
        bucket = pyrate.SQLiteBucket.init_from_file(rates, db_path=file, use_file_lock=True)
    limiter = pyrate.Limiter(bucket)

    async def leave() -> None:
        await limiter.try_acquire_async("espn")

    return leave


_WAYS: dict[str, Callable[[Rate, contextlib.AsyncExitStack], Awaitable[Leave]]] = {
    "adce": _adce,
    "prefect": _prefect,
    "aiolimiter": _aiolimiter,
    "pyrate": _pyrate,
}


if __name__ == "__main__":
    how, url, requests, window, seconds = json.loads(sys.argv[1])
    asyncio.run(_ask(how, url, Rate(requests=requests, seconds=window), seconds))
