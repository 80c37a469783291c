"""The rate buckets on Prefect's embedded API, and a pace that a strict upstream never rejects."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

from config.models import Config, Rate
from deployments.sandbox.process import SandboxProcess
from tasks.buckets import Bucket, bucket_for, ensure_buckets
from tasks.domain.errors import BucketError
from tests.builders import a_config

T = TypeVar("T")
pytestmark = pytest.mark.usefixtures("prefect_api")


def _config(rate: Rate) -> Config:
    config = a_config()
    return a_config(sources={"espn": config.sources["espn"].model_copy(update={"rates": [rate]})})


def _with_client(work: Callable[[PrefectClient], Awaitable[T]]) -> T:
    async def run() -> T:
        async with get_client() as client:
            return await work(client)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(None, "is missing", id="missing"),
        pytest.param({"active": False}, "is switched off", id="inactive"),
        pytest.param({"slot_decay_per_second": 0}, "has no slot decay and would never refill", id="never refills"),
        pytest.param({"limit": 99}, "has limit 99 and decay .* but the configuration says 3 per 1.25 s", id="other"),
    ],
)
def test_a_bucket_that_is_not_right_is_refused_and_the_line_says_how_to_mend_it(
    change: dict[str, object] | None, message: str
) -> None:
    rate = Rate(requests=3, seconds=1.25)
    name = bucket_for("espn", rate)

    async def story(client: PrefectClient) -> None:
        if change is None:
            await client.delete_global_concurrency_limit_by_name(name) if await _there(client, name) else None
        else:
            await ensure_buckets(client, _config(rate))
            await client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate.parse_obj(change))
        await Bucket("espn", [rate], client).check()

    with pytest.raises(BucketError, match=rf"rate bucket '{name}' {message}.*run `adce setup`"):
        _with_client(story)


async def _there(client: PrefectClient, name: str) -> bool:
    return any(limit.name == name for limit in await client.read_global_concurrency_limits(limit=200, offset=0))


def test_setup_mends_a_wrong_bucket_and_a_changed_rate() -> None:
    async def story(client: PrefectClient) -> None:
        for requests in (4, 5):
            rate = Rate(requests=requests, seconds=1.1)
            await ensure_buckets(client, _config(rate))
            await Bucket("espn", [rate], client).check()

    _with_client(story)


def test_five_askers_spend_the_rate_and_a_strict_upstream_rejects_nothing() -> None:
    rate = Rate(requests=10, seconds=1)

    async def story(client: PrefectClient) -> None:
        await ensure_buckets(client, _config(rate))
        bucket = Bucket("espn", [rate], client)

        async def asker(http: httpx.AsyncClient) -> None:
            for _ in range(8):
                departure = await bucket.leave()
                await http.get(sites.base_urls["espn"] + "/scoreboard?dates=20260113")
                departure.sent = departure.sent or time.monotonic()

        async with httpx.AsyncClient() as http:
            await asyncio.gather(*(asker(http) for _ in range(5)))
        await bucket.close()

    with SandboxProcess(clock="2026-01-15T12:00:00Z", rates={"espn": "10/1"}) as sites:
        _with_client(story)
        requests = sites.requests()
    assert [request["status"] for request in requests] == [200] * 40


def test_a_second_process_keeps_the_distance_that_a_slow_rate_asks_for() -> None:
    rate = Rate(requests=1, seconds=2)

    async def story(client: PrefectClient) -> list[float]:
        await ensure_buckets(client, _config(rate))
        times = []
        for idle in (0.0, 3.0, 0.5):  # the third comes right after one that had waited long
            bucket = Bucket("espn", [rate], client)
            await asyncio.sleep(idle)
            departure = await bucket.leave()
            departure.sent = time.monotonic()
            times.append(departure.sent)
            await bucket.close()
        return times

    first, second, third = _with_client(story)
    assert second - first >= 2
    assert third - second >= 2


def test_who_is_cancelled_while_waiting_loses_its_place_and_stops_nobody() -> None:
    rate = Rate(requests=1, seconds=1)

    async def story(client: PrefectClient) -> None:
        await ensure_buckets(client, _config(rate))
        bucket = Bucket("espn", [rate], client)
        waiting = [asyncio.create_task(bucket.leave()) for _ in range(3)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        waiting[1].cancel()
        await asyncio.wait_for(waiting[2], 10)
        await bucket.close()

    _with_client(story)
