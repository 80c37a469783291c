"""How much of one rate do several processes use together? Each process runs this module, with five coroutines.

The upstream is the sandbox, which refuses each request that exceeds the rate in any window, or `upstream`, which only
records when requests arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from config.models import Rate
from deployments.sandbox.process import SandboxProcess
from tasks.domain.limits.rates import Permit
from tasks.many_objects import many_objects
from tests import forks
from tests.builders import a_config
from tests.upstream import one_too_many, upstream

with many_objects():
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.concurrency.asyncio import rate_limit
    from prefect.exceptions import ObjectAlreadyExists

    from tasks.upstream.buckets import Bucket, client_for_buckets, ensure_buckets, open_buckets

_PATH = "/scoreboard?dates=20260113"
_COROUTINES = 5


class Sent(Protocol):
    """A request that a limiter has permitted. Its events are reported to the limiter."""

    def sent(self) -> None: ...

    def answered(self) -> None: ...


Leave = Callable[[], Awaitable[Sent | None]]  # waits until a request may be sent


@dataclass(frozen=True)
class Spent:
    """Result with the sandbox: requests that arrived, requests refused, and used share of the rate (0 to 1)."""

    requests: int
    refused: int
    share: float


@dataclass(frozen=True)
class Measured:
    """Result with `upstream`."""

    requests: int  # requests that arrived
    over: int  # requests that exceeded the rate, by the kernel's time
    over_when_read: int  # requests that exceeded the rate, by the time at which the server read them
    share: float  # share of the rate that was used (0 to 1)
    closest: float  # smallest time in seconds from the end of a full window to the next request; negative: too early


def spend(rate: Rate, processes: int, seconds: float, env: Mapping[str, str], how: str = "adce") -> Spent:
    """Lets `processes` processes send requests to the sandbox for `seconds`, limited to `rate` by the way `how`.

    The variables `env` select the Prefect API that the processes share.
    """
    limit = f"{rate.requests}/{rate.seconds:g}"
    with SandboxProcess(clock="2026-01-15T12:00:00Z", rates={"espn": limit}) as sites:
        httpx.get(url := sites.base_urls["espn"] + _PATH, trust_env=False).raise_for_status()
        sites.clear_requests()
        time.sleep(rate.seconds)
        _ask_together(url, rate, processes, seconds, env, how)
        requests = sites.requests()
    times = [r["monotonic"] for r in requests if not r["limited"]]
    return Spent(len(requests), len(requests) - len(times), _share(times, rate, seconds))


def measure(rate: Rate, processes: int, seconds: float, env: Mapping[str, str], how: str = "adce") -> Measured:
    """Does the same as `spend` with `upstream`, which refuses nothing."""
    with upstream() as site:
        _ask_together(site.url + _PATH, rate, processes, seconds, env, how)
        arrivals = site.arrivals()
    times = sorted(arrival.kernel for arrival in arrivals)
    spans = [later - earlier for earlier, later in zip(times, times[rate.requests :], strict=False)]
    return Measured(
        len(times),
        one_too_many(times, rate),
        one_too_many([arrival.read for arrival in arrivals], rate),
        _share(times, rate, seconds),
        min(spans) - rate.seconds,
    )


def _ask_together(url: str, rate: Rate, processes: int, seconds: float, env: Mapping[str, str], how: str) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        go, said = Path(folder, "go"), [Path(folder, f"{n}") for n in range(processes)]
        work = json.dumps([how, url, rate.requests, rate.seconds, seconds, str(go)])
        workers = [forks.start(["-m", "tests.spenders", work], env, out) for out in said]
        for worker in workers:
            stack.callback(worker.kill)
        while not all(out.exists() and out.read_text() == "ready\n" for out in said):
            if any(worker.poll() is not None for worker in workers):
                raise RuntimeError("a spender did not start")
            time.sleep(0.02)
        go.touch()
        if any(ends := [worker.wait(seconds + 60) for worker in workers]):
            raise RuntimeError(f"spenders ended with {ends}")


def _share(times: Sequence[float], rate: Rate, seconds: float) -> float:
    """The share of the rate that was used in the first `seconds` after the first request (0 to 1).

    The measured time ends with the last request in it, or, if there was none near the end, after `seconds`.
    """
    apart = rate.seconds / rate.requests
    counted = [at for at in times if at <= times[0] + seconds]
    return (len(counted) - 1) * apart / max(counted[-1] - counted[0], seconds - apart)


async def _ask(how: str, url: str, rate: Rate, seconds: float, go: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        leave = await _WAYS[how](rate, stack)
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30))
        print("ready", flush=True)
        while not go.exists():
            await asyncio.sleep(0.01)
        until = time.monotonic() + seconds + 1

        async def send_requests() -> None:
            while time.monotonic() < until:
                sent = await leave()

                async def note(event: str, _: object, sent: Sent | None = sent) -> None:
                    if sent and event.endswith("send_request_headers.complete"):
                        sent.sent()
                    elif sent and event.endswith("receive_response_headers.complete"):
                        sent.answered()

                await http.get(url, extensions={"trace": note})

        tasks = [asyncio.create_task(send_requests()) for _ in range(_COROUTINES)]
        _, late = await asyncio.wait(tasks, timeout=until - time.monotonic())
        for task in late:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@dataclass(frozen=True)
class _Permitted:
    """A request that an ADCE bucket has permitted."""

    bucket: Bucket
    permit: Permit

    def sent(self) -> None:
        self.bucket.sent(self.permit)

    def answered(self) -> None:
        self.bucket.answered(self.permit)


async def _adce(rate: Rate, stack: contextlib.AsyncExitStack) -> Leave:
    source = os.environ.get("SOURCE", "espn")  # owner of the bucket
    config = a_config(sources={source: a_config().sources["espn"].model_copy(update={"rates": [rate]})})
    client = await stack.enter_async_context(client_for_buckets())
    await ensure_buckets(client, config)  # all processes do so at once
    bucket = (await open_buckets(client, config))[0][source]
    stack.push_async_callback(bucket.close)

    async def leave() -> Sent:
        return _Permitted(bucket, await bucket.acquire())

    return leave


async def _prefect(rate: Rate, stack: contextlib.AsyncExitStack) -> Leave:
    """Prefect's own rate_limit, with a limit as its documentation describes: its slots decay at the rate."""
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
    """pyrate-limiter with a bucket in the file that BUCKET names, which processes share, or else in memory."""
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
    how, url, requests, window, seconds, go = json.loads(sys.argv[1])
    asyncio.run(_ask(how, url, Rate(requests=requests, seconds=window), seconds, Path(go)))
