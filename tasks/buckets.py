"""May a request leave now? The rate buckets: Prefect's global concurrency limits, with an exact pace in front.

A process takes a bucket whole, for a lease of some seconds in which no other process gets a slot, and spends the
slots at an even pace. Prefect's clock of a limit restarts with every grant and every denial, and a denial throws away
what has decayed so far: so nobody asks before the bucket is free, which a look at the limit tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from config.models import Config, Rate
from tasks.domain.errors import BucketError
from tasks.domain.pacing import Departure, Pace, Terms, spacing, terms_of

log = logging.getLogger(__name__)
T = TypeVar("T")

_MEND = "run `adce setup` to create the rate buckets from the configuration"
_ALL_SOURCES = "all-sources"
_LOOK_AGAIN = 1.0  # seconds between looks at a bucket that another process holds, and may give back
_STAGGER = 0.06  # seconds over which the processes that wait for a bucket spread, so as not to ask all at once
_ROUNDING = 0.002  # seconds: SQLite keeps its times in milliseconds
_JUMP = 0.1  # seconds by which a clock must be off to have been set
_REST = 2.0  # seconds that are worth giving a lease back for, and sleeping without one
_WORTH_GIVING = 0.05  # seconds of a lease that are worth two calls to be given back
_GIVING_ATTEMPTS = 3
_IDLE = 0.25  # seconds without a request after which the rest of a lease is given back
_IN_A_ROW = 3  # leases that a process takes before it lets those go first that may be waiting
_NOT_GRANTED = {httpx.codes.LOCKED, httpx.codes.INTERNAL_SERVER_ERROR, httpx.codes.SERVICE_UNAVAILABLE}
_CLOSE_PATIENCE = 10.0  # seconds for calls to end that are under way when a run ends
_SERVER_PATIENCE = 300.0  # seconds without an answer from the Prefect API before a run gives up


def client_for_buckets() -> PrefectClient:
    """A client that is told at once when the API is busy.

    Prefect's own waits two seconds after a 503, which is what a SQLite that is being written to answers; a lease
    lasts but five.
    """

    async def tell(response: httpx.Response) -> None:
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise httpx.HTTPStatusError("the Prefect API is busy", request=response.request, response=response)

    return get_client(httpx_settings={"event_hooks": {"response": [tell]}})


def bucket_for(source: str) -> str:
    """The name of a source's bucket."""
    return f"adce-{source}"


def buckets_of(config: Config) -> Iterator[tuple[str, Sequence[Rate]]]:
    """Every bucket and the rates it keeps: one a source, and one for all sources together if there is such a rate."""
    for source, settings in config.sources.items():
        yield bucket_for(source), settings.rates
    if config.rates:
        yield bucket_for(_ALL_SOURCES), config.rates


async def ensure_buckets(client: PrefectClient, config: Config) -> list[str]:
    """Creates the buckets of all sources, or brings them to the configured rates. Returns their names."""
    buckets = list(buckets_of(config))
    for name, rates in buckets:
        await ensure_bucket(client, name, rates)
    return [name for name, _ in buckets]


async def ensure_bucket(client: PrefectClient, name: str, rates: Sequence[Rate]) -> None:
    try:
        have = await client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        try:
            await client.create_global_concurrency_limit(
                GlobalConcurrencyLimitCreate.parse_obj({"name": name} | _limit(terms_of(rates)))
            )
        except ObjectAlreadyExists:  # by another process, a moment ago
            pass
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT:
                raise
    else:
        if _difference(have, rates):
            await _change(client, name, terms_of(rates))


async def bucket_trouble(client: PrefectClient, name: str, rates: Sequence[Rate]) -> str | None:
    """How a bucket differs from what these rates make, or None."""
    try:
        return _difference(await client.read_global_concurrency_limit_by_name(name), rates)
    except ObjectNotFound:
        return "missing"


def _difference(have: GlobalConcurrencyLimitResponse, rates: Sequence[Rate]) -> str | None:
    want, terms = terms_of(rates), _terms(have)
    if defect := _defect(have):
        return defect
    if want.same_as(terms):
        return None
    return f"limit {terms.slots} at {terms.decay:.4g}/s, should be {want.slots} at {want.decay:.4g}/s"


async def open_buckets(client: PrefectClient, config: Config) -> dict[str, Bucket]:
    """A bucket for every source that is switched on.

    A rate that was changed in the configuration takes effect. Raises BucketError for a bucket that is missing,
    switched off or would never refill.
    """
    askers = {}
    enabled = {bucket_for(name) for name, source in config.sources.items() if source.enabled}
    for name, rates in buckets_of(config):
        if name in enabled or name == bucket_for(_ALL_SOURCES):
            askers[name] = Asker(name, rates, client)
            if not (now := terms_of(rates)).same_as(was := await askers[name].look()):
                log.info("bucket %s: now %s slots at %.4g/s, it had %s", name, now.slots, now.decay, was)
                await _change(client, name, now)
    shared = [askers[bucket_for(_ALL_SOURCES)]] if config.rates else []
    return {
        source: Bucket([askers[bucket_for(source)], *shared])
        for source, settings in config.sources.items()
        if settings.enabled
    }


async def _change(client: PrefectClient, name: str, terms: Terms) -> None:
    """As if it were just used up: slots left from a higher limit would never decay below the new one."""
    change = GlobalConcurrencyLimitUpdate.parse_obj(_limit(terms) | {"active_slots": terms.slots})
    await client.update_global_concurrency_limit(name, change)


def _limit(terms: Terms) -> dict[str, object]:
    return {"limit": terms.slots, "active": True, "slot_decay_per_second": terms.decay}


def _terms(have: GlobalConcurrencyLimitResponse) -> Terms:
    return Terms(have.limit, have.slot_decay_per_second)


def _defect(have: GlobalConcurrencyLimitResponse) -> str | None:
    """Why this limit can be no bucket, or None."""
    if not have.active:
        return "is switched off"
    if have.slot_decay_per_second <= 0:
        return "has no slot decay and would never refill"
    return None


@dataclass(eq=False, slots=True)
class _Lease:
    """The whole bucket from `granted` on (monotonic time), for as long as it takes to refill."""

    terms: Terms
    granted: float
    tolerance: float  # seconds by which a request may leave late
    left: int = 0  # requests so far

    @property
    def free_at(self) -> float:
        """When another process may have the bucket."""
        return self.granted + self.terms.lease

    @property
    def until(self) -> float:
        """When the last request is to leave: one spacing before."""
        return self.free_at - self.terms.spacing + self.tolerance

    @property
    def last(self) -> float:
        """When a request may leave at the latest.

        With a slow Prefect API the grant of a lease of one request arrives after `until`: that may leave as long as
        there is time to push the bucket for it.
        """
        alone = self.terms.requests == 1 and not self.left
        return self.until + self.terms.lease / 2 if alone else self.until


@dataclass(slots=True)
class _Clock:
    """The Prefect server's clock less this process's monotonic one: between `least` and `most`, in seconds.

    Every change that this process makes to a limit narrows it down: it was made between the request and the answer,
    and the server has written down when.
    """

    least: float = float("-inf")
    most: float = float("inf")

    @property
    def known(self) -> bool:
        return self.most < float("inf")

    def compare(self, changed: datetime, asked: float, answered: float, *, certain: bool) -> None:
        """With `certain` false somebody else may have made the change: then it only tells that a clock was set."""
        least = changed.timestamp() - answered - _ROUNDING / 2
        most = changed.timestamp() - asked + _ROUNDING / 2
        was_set = least > self.most + _JUMP or most < self.least - _JUMP
        if was_set or not self.known or (certain and (least > self.most or most < self.least)):
            self.least, self.most = least, most
        elif certain:
            self.least, self.most = max(least, self.least), min(most, self.most)


class Asker:
    """The one asker of a bucket in this process: gets leases and keeps the pace. Use it in one event loop."""

    def __init__(self, name: str, rates: Sequence[Rate], client: PrefectClient):
        self.name = name
        self._client = client
        self._limit = partial(client.read_global_concurrency_limit_by_name, name)
        self._pace = Pace(rates)
        self._spacing = spacing(rates)
        self._lease: _Lease | None = None
        self._asking: asyncio.Task[None] | None = None
        self._comparing: asyncio.Task[None] | None = None
        self._giving_back: asyncio.TimerHandle | None = None
        self._under_way: dict[Departure, _Lease] = {}  # allowed, and perhaps not sent yet
        self._jobs: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        self._clock = _Clock()
        self._in_a_row = 0  # leases since others were let go first
        self._changed: datetime | None = None  # by this process's last grant
        self._seen: tuple[datetime | None, float] = (None, 0.0)  # the limit's last change, and when it was first seen

    def ready_at(self, slower: float = 1.0) -> float | None:
        """When a request may leave under the lease, `slower` times as far from the last; None: it takes a new lease."""
        if self._lease is None:
            return None
        ready = self._pace.ready_at(time.monotonic(), self._lease.terms.spacing * slower)
        return ready if ready <= self._lease.last else None

    async def rest(self, slower: Callable[[], float]) -> bool:
        """Sleeps while the pace alone forbids a request, for longer than a lease would last; was there such a time?"""

        def wait() -> float:
            return self._pace.ready_at(time.monotonic(), self._spacing * slower()) - time.monotonic()

        if wait() < _REST:
            return False
        await self._give_back()
        while (seconds := wait()) > 0:
            await asyncio.sleep(min(seconds, _LOOK_AGAIN))
        return True

    async def lease(self) -> None:
        """Waits for a new lease. A coroutine that is cancelled while it waits takes nothing from the others."""
        if self._comparing and not self._comparing.done():  # the present one may last longer than is known yet
            await asyncio.wait({self._comparing})
            return
        if self._asking is None or self._asking.done():
            self._asking = self._soon(self._ask())
        await asyncio.shield(self._asking)

    def leave(self, departure: Departure, slower: float = 1.0) -> None:
        assert self._lease is not None
        self._lease.left += 1
        self._pace.leave(departure, self._lease.terms.spacing * slower)
        self._under_way = {other: lease for other, lease in self._under_way.items() if other.sent is None}
        self._under_way[departure] = self._lease
        self._give_back_after(max(_IDLE, 2 * self._lease.terms.spacing * slower))

    def sent(self, departure: Departure) -> None:
        """Notes when a request was really sent. One of a slow rate that was sent late pushes the bucket for all."""
        departure.sent = departure.sent or time.monotonic()
        lease = self._under_way.pop(departure, None)
        if lease and lease is self._lease and lease.terms.requests == 1 and departure.sent > lease.until:
            self._lease = None
            self._soon(self._push(lease.terms))

    async def _push(self, terms: Terms) -> None:
        """The bucket is as full as if its lease began now."""
        await self._answer(lambda: _change(self._client, self.name, terms))

    def _give_back_after(self, idle: float) -> None:
        """Ends the lease after so many seconds in which no request leaves."""
        if self._giving_back:
            self._giving_back.cancel()

        def end() -> None:
            if self._is_under_way():
                self._give_back_after(_IDLE)
            else:
                self._soon(self._give_back())

        self._giving_back = asyncio.get_running_loop().call_later(idle, end)

    def _is_under_way(self) -> bool:
        """May a request of this process arrive any moment?"""
        return any(departure.sent is None for departure in self._under_way)

    async def look(self) -> Terms:
        """What the bucket grants. Raises BucketError when it is missing, switched off or would never refill."""
        return _terms(await self._read())

    async def close(self) -> None:
        """Gives back what is left of a lease, for the next process or run.

        Calls that are under way are not cancelled: Prefect's embedded API would be left with an open transaction.
        """
        self._closed.set()
        if self._giving_back:
            self._giving_back.cancel()
        if jobs := [job for job in (self._asking, *self._jobs) if job]:
            await asyncio.wait(jobs, timeout=_CLOSE_PATIENCE)
        await self._give_back()

    async def _ask(self) -> None:
        """Waits until the bucket is free and takes it; what is left of a lease is too short for a request."""
        await self._give_back()
        while True:
            have = await self._read()
            terms = _terms(have)
            if not terms.fit:
                raise BucketError(f"rate bucket {self.name!r} was changed to what no rate makes; {_MEND}")
            free_in = self._free_in(have)
            mine = have.updated == self._changed  # nobody else has touched it since
            first = mine and self._in_a_row < _IN_A_ROW
            if free_in > 0:
                delay = 0.0 if first else 1.2 * _STAGGER if mine else random.uniform(0, _STAGGER)
                await self._sleep(min(free_in + delay, _LOOK_AGAIN))
                if not first or free_in > _LOOK_AGAIN:
                    continue
            asked = time.monotonic()
            granted = await self._answer(partial(self._increment, terms.slots))
            answered = time.monotonic()
            if granted:
                self._in_a_row = self._in_a_row + 1 if first else 1
                # From when it was asked for, at the earliest; when exactly, the limit will tell.
                self._lease = _Lease(terms, asked, self._pace.tolerance)
                self._give_back_after(max(_REST, 2 * terms.spacing))  # who asked for it may have been cancelled
                self._comparing = self._soon(self._compare_clocks(asked, answered, self._lease))
                return
            await self._compare_clocks(asked, answered, None, have.updated)

    def _free_in(self, have: GlobalConcurrencyLimitResponse) -> float:
        """Seconds until the whole bucket is free, if nobody else changes it."""
        now = time.monotonic()
        if self._seen[0] != have.updated:
            self._seen = (have.updated, now)
        if not have.active_slots:
            return 0.0
        changed = self._seen[1]  # at the latest
        if self._clock.known and have.updated:
            changed = have.updated.timestamp() - self._clock.least + _ROUNDING
        elif have.updated:  # as if the hosts' clocks agreed: if not, the first denial tells
            changed = min(changed, have.updated.timestamp() - (time.time() - now) + 3 * _ROUNDING)
        return changed + have.active_slots / have.slot_decay_per_second - now

    async def _compare_clocks(
        self, asked: float, answered: float, lease: _Lease | None, before: datetime | None = None
    ) -> None:
        """The limit was changed between these two times: by this process's grant (`lease`), or by its denial.

        One that has not changed since `before` tells nothing: the API was busy, and nothing was written.

        Prefect grants slots of a limit that was deleted or switched off meanwhile: such a lease ends here.
        """
        try:
            changed = (await self._read()).updated
        except BucketError:
            self._lease = None
            raise
        assert changed is not None
        if changed == before:
            return
        self._clock.compare(changed, asked, answered, certain=lease is not None)
        if lease is not None:
            self._changed = changed
            # As if the answer had been as quick as the quickest so far: so long does it always take.
            lease.granted = changed.timestamp() - self._clock.least

    def _soon(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        job.add_done_callback(lambda job: job.cancelled() or job.exception())  # the next ask will meet it again
        return job

    async def _give_back(self) -> None:
        """Ends the lease when its next request would have been due; as it is while a request may arrive any moment."""
        lease, self._lease = self._lease, None
        if lease is None or self._is_under_way():
            return
        left = lease.free_at - self._pace.ready_at(time.monotonic(), lease.terms.spacing)
        slots = min(int(left * lease.terms.decay), lease.terms.slots)
        if left < _WORTH_GIVING or slots < 1:
            return
        for _ in range(_GIVING_ATTEMPTS):
            try:
                # Once: what is given back twice would be somebody else's.
                with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                    await self._client.release_concurrency_slots([self.name], slots, 1.0)
                self._changed = (await self._limit()).updated
                return
            except (httpx.HTTPError, ObjectNotFound) as error:
                busy = isinstance(error, httpx.HTTPStatusError) and error.response.status_code in _NOT_GRANTED
                if busy:  # SQLite was, and nothing was written
                    continue
                # Perhaps it was done; if not, they come back by themselves.
                log.debug("bucket %s: %s slots perhaps not given back: %s", self.name, slots, error)
                return

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)
            raise BucketError(f"rate bucket {self.name!r} was closed")

    async def _increment(self, slots: int) -> bool:
        try:
            await self._client.increment_concurrency_slots([self.name], slots, "rate_limit")
        except httpx.HTTPStatusError as error:
            # Somebody else was quicker; on SQLite, the error of a write that came in between says the same.
            if error.response.status_code in _NOT_GRANTED:
                return False
            raise
        return True

    async def _read(self) -> GlobalConcurrencyLimitResponse:
        try:
            have = await self._answer(self._limit)
        except ObjectNotFound:
            raise BucketError(f"rate bucket {self.name!r} is missing; {_MEND}") from None
        if defect := _defect(have):
            raise BucketError(f"rate bucket {self.name!r} {defect}; {_MEND}")
        return have

    async def _answer(self, call: Callable[[], Awaitable[T]]) -> T:
        """The Prefect API's answer, however long it takes to come back: meanwhile, no request leaves."""
        silent_since: float | None = None
        pause = 0.02
        while True:
            try:
                return await call()
            except (httpx.HTTPStatusError, httpx.TransportError) as error:
                status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
                if status is not None and status < 500:
                    raise BucketError(f"rate bucket {self.name!r} was refused: HTTP {status}; {_MEND}") from None
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > _SERVER_PATIENCE:
                    raise BucketError(
                        f"rate bucket {self.name!r}: the Prefect API has not answered for "
                        f"{_SERVER_PATIENCE:.0f} s ({type(error).__name__}); is the server up?"
                    ) from None
                log.info("the Prefect API does not answer (%s); bucket %s waits", type(error).__name__, self.name)
                await self._sleep(pause)
                pause = min(2 * pause, 2.0)


class Bucket:
    """What one source may spend: its own bucket and, if there is one, that of all sources together."""

    def __init__(self, askers: Sequence[Asker]):
        self._askers = askers
        self._turn = asyncio.Lock()

    async def leave(self, slower: Callable[[], float] = lambda: 1.0) -> Departure:
        """Waits until a request may leave, in the order of asking; `slower` > 1 keeps so many times the distance.

        That is asked again while it waits: after a pause the rate grows. The caller notes on the departure when the
        request was really sent. Raises BucketError.
        """
        async with self._turn:
            while True:
                times = slower()
                ready = [asker.ready_at(times) for asker in self._askers]
                if None in ready:
                    asker = self._askers[ready.index(None)]
                    if not await asker.rest(slower):
                        await asker.lease()
                elif (wait := max(at for at in ready if at is not None) - time.monotonic()) > 0:
                    await asyncio.sleep(min(wait, _LOOK_AGAIN))
                else:
                    departure = Departure(time.monotonic())
                    for asker in self._askers:
                        asker.leave(departure, times)
                    return departure

    def sent(self, departure: Departure) -> None:
        """The request of a departure has been sent, by now at the latest."""
        for asker in self._askers:
            asker.sent(departure)

    async def close(self) -> None:
        for asker in self._askers:
            await asker.close()
