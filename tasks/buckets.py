"""May a request leave now? The rate buckets: Prefect's global concurrency limits, with an exact pace in front."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.exceptions import ObjectNotFound

from config.models import Config, Rate
from tasks.domain.errors import BucketError
from tasks.domain.pacing import Departure, Pace

log = logging.getLogger(__name__)

_MEND = "run `adce setup` to create the rate buckets from the configuration"
_CHECK_EVERY = 30.0  # seconds between looks at whether somebody removed or switched off a bucket
# A bucket refills a little more slowly than its rate allows: between a grant and the arrival of the request lies
# the way back from the Prefect API, and the next grant may go to another process that is quicker.
_MARGIN = 0.015
# Slots are taken ahead of need only for short windows. One that is taken early is spent late, and then the next
# one, which another process may get, comes too soon after it.
_LONGEST_AHEAD = 1.5  # seconds
_SERVER_PATIENCE = 60.0  # seconds without an answer from the Prefect API before a run gives up


def bucket_for(source: str, rate: Rate) -> str:
    """The name of a source's bucket; one for each window of time it has a rate for."""
    return f"adce-{source}-per-{rate.seconds:g}s"


async def ensure_buckets(client: PrefectClient, config: Config) -> list[str]:
    """Creates the buckets of all sources, or brings them to the configured rates. Returns their names."""
    names = []
    for source, settings in config.sources.items():
        for rate in settings.rates:
            name = bucket_for(source, rate)
            limit = {"limit": rate.requests, "active": True, "slot_decay_per_second": _decay(rate)}
            try:
                have = await client.read_global_concurrency_limit_by_name(name)
            except ObjectNotFound:
                create = GlobalConcurrencyLimitCreate.parse_obj({"name": name} | limit)
                await client.create_global_concurrency_limit(create)
            else:
                if _mistake(have, rate):
                    # As if it were just used up: slots left from a higher limit would never decay below the new one.
                    change = GlobalConcurrencyLimitUpdate.parse_obj(limit | {"active_slots": rate.requests})
                    await client.update_global_concurrency_limit(name, change)
            names.append(name)
    return names


def _mistake(have: GlobalConcurrencyLimitResponse, rate: Rate) -> str | None:
    """Why this limit does not do as the bucket of a rate, or None."""
    if not have.active:
        return "is switched off"
    if have.slot_decay_per_second <= 0:
        return "has no slot decay and would never refill"
    decay = _decay(rate)
    if have.limit != rate.requests or abs(have.slot_decay_per_second - decay) > 0.001 * decay:
        return (
            f"has limit {have.limit} and decay {have.slot_decay_per_second:g}/s, "
            f"but the configuration says {rate.requests} per {rate.seconds:g} s (decay {decay:g}/s)"
        )
    return None


def _decay(rate: Rate) -> float:
    """Slots that a bucket gets back per second."""
    return rate.requests / (rate.seconds * (1 + _MARGIN))


@dataclass
class _Window:
    """One rate of a source: its pace, and the slots taken from its bucket and not used yet."""

    name: str
    pace: Pace
    slots: int = 0
    granted_at: float = float("-inf")
    refill: asyncio.Task[None] | None = None

    @property
    def takes_ahead(self) -> bool:
        return self.pace.rate.seconds <= _LONGEST_AHEAD

    @property
    def batch(self) -> int:
        """How many slots are taken at a time."""
        return max(1, self.pace.rate.requests // 2) if self.takes_ahead else 1

    @property
    def refill_time(self) -> float:
        """Seconds until the bucket has got a batch back."""
        return self.batch / _decay(self.pace.rate)


class Bucket:
    """The one asker of a source's buckets in this process.

    Slots are taken from Prefect in batches of half a window, ahead of need, and spent at an even pace. A coroutine
    that is cancelled while it waits gives up its place and nothing else. Use it in one event loop.
    """

    def __init__(self, source: str, rates: list[Rate], client: PrefectClient):
        self.source = source
        self._client = client
        self._windows = [_Window(bucket_for(source, rate), Pace(rate)) for rate in rates]
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        self._checked_at = 0.0

    async def check(self) -> None:
        """Raises BucketError when a bucket is missing, inactive or not what the configuration says."""
        for window in self._windows:
            try:
                have = await self._client.read_global_concurrency_limit_by_name(window.name)
            except ObjectNotFound:
                raise BucketError(f"rate bucket {window.name!r} is missing; {_MEND}") from None
            if mistake := _mistake(have, window.pace.rate):
                raise BucketError(f"rate bucket {window.name!r} {mistake}; {_MEND}")
        self._checked_at = time.monotonic()

    def hold(self, seconds: float) -> None:
        """No request of this process leaves for so long."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    async def leave(self) -> Departure:
        """Waits until a request may leave. The caller notes on the departure when it was really sent."""
        async with self._turn:
            await self._wait_for_the_pace()
            for window in self._windows:
                while window.slots < 1:
                    await asyncio.shield(self._refill(window))
            await self._wait_for_the_pace()  # by now a request before this one may have been sent late
            departure = Departure(time.monotonic())
            for window in self._windows:
                window.slots -= 1
                window.pace.leave(departure)
                if window.takes_ahead and window.slots <= window.batch // 2:
                    self._refill(window)
            return departure

    async def close(self) -> None:
        tasks = [window.refill for window in self._windows if window.refill]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait_for_the_pace(self) -> None:
        while (wait := self._ready_at() - time.monotonic()) > 0:
            await asyncio.sleep(wait)

    def _ready_at(self) -> float:
        now = time.monotonic()
        return max(self._not_before, *(window.pace.ready_at(now) for window in self._windows))

    def _refill(self, window: _Window) -> asyncio.Task[None]:
        """The one task that takes the next batch of a window; it ends when the slots are there."""
        if window.refill is None or window.refill.done():
            window.refill = asyncio.create_task(self._take(window))
        return window.refill

    async def _take(self, window: _Window) -> None:
        """Takes a batch of slots from Prefect's limit, waiting until it has decayed enough.

        Asking too early does harm: a denial restarts Prefect's clock, and what had decayed so far is lost.
        """
        if not window.takes_ahead:
            await asyncio.sleep(max(0.0, window.granted_at + window.refill_time - time.monotonic()))
        unanswered_since: float | None = None
        pause = 0.1
        while True:
            try:
                if time.monotonic() - self._checked_at > _CHECK_EVERY:
                    await self.check()
                await self._client.increment_concurrency_slots([window.name], window.batch, "rate_limit")
                break
            except (httpx.HTTPStatusError, httpx.TransportError) as error:
                status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
                if status == httpx.codes.LOCKED:  # taken by others, or not decayed yet
                    unanswered_since = None
                    await asyncio.sleep(window.refill_time * random.uniform(1.0, 1.1))
                    continue
                if status is not None and status < 500:
                    raise BucketError(f"rate bucket {window.name!r} was refused: HTTP {status}; {_MEND}") from None
                unanswered_since = unanswered_since or time.monotonic()
                if time.monotonic() - unanswered_since > _SERVER_PATIENCE:
                    raise BucketError(
                        f"rate bucket {window.name!r}: the Prefect API has not answered for "
                        f"{_SERVER_PATIENCE:.0f} s ({type(error).__name__}); is the server up?"
                    ) from None
                log.info("Prefect API does not answer (%s); %s waits", type(error).__name__, self.source)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2.0)
        window.granted_at = time.monotonic()
        window.slots += window.batch
