"""May a request leave now? The rate buckets: Prefect's global concurrency limits, with an exact pace in front.

A process takes a bucket whole, for a lease of some seconds in which no other process gets a slot, and lets its requests
leave at an even pace. It renews the lease a few times, and then hands over: when its last request is answered, and one
spacing has passed. Prefect's clock of a limit restarts with every grant and every denial, and a denial throws away what
has decayed so far: so nobody asks before the bucket is free, which a look at the limit tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import re
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from functools import partial
from typing import Any, TypeVar

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from config.models import Config, Rate
from tasks import clock
from tasks.domain.errors import BucketError
from tasks.domain.limits.rates import LeaseTerms, Pace, Permit, lease_terms_of, spacing
from tasks.upstream.prefect_api import ApiOutage, trouble

log = logging.getLogger(__name__)
T = TypeVar("T")

_MEND = "run `adce setup` to create the rate buckets from the configuration"
_ALL_SOURCES = "all-sources"
_LOOK_AGAIN = 1.0  # seconds between looks at a bucket that another process holds, and may give back
_STAGGER = 0.06  # seconds over which the processes that wait for a bucket spread, so as not to ask all at once
_ROUNDING = 0.002  # seconds: SQLite keeps its times in milliseconds
_REST = 2.0  # seconds that are worth giving a lease back for, and sleeping without one
_ROOM = 0.12  # seconds that are kept at the end of a lease for the last answer to come
_AHEAD = 1.2  # seconds before its end at which a lease is renewed: so slow may the Prefect API be
_RENEWALS = 6  # of a lease before others that may be waiting go first
_SURE = 1.0  # seconds of a lease that must be left for giving it back
_GIVING_ATTEMPTS = 3
_IDLE = 0.25  # seconds without a request after which the rest of a lease is given back
_TICK = 0.01  # seconds between looks at whether the last answer has come
# SQLite is written to; an error 500 is that of a write that came in between. Nothing was written.
_BUSY = {httpx.codes.INTERNAL_SERVER_ERROR, httpx.codes.SERVICE_UNAVAILABLE}
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


def server_address() -> str:
    """Where the buckets are, for people: without what may be a secret."""
    if url := PREFECT_API_URL.value():
        return _without_userinfo(url)
    database = _without_userinfo(PREFECT_API_DATABASE_CONNECTION_URL.value())
    return f"the embedded API of {socket.gethostname()} on {database}"


def _without_userinfo(url: str) -> str:
    return re.sub(r"(?<=://)[^?]*@", "", url).partition("?")[0]


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
                GlobalConcurrencyLimitCreate.parse_obj({"name": name} | _limit(lease_terms_of(rates)))
            )
        except ObjectAlreadyExists:  # by another process, a moment ago
            pass
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT:
                raise
    else:
        if _difference(have, rates):
            await _change(client, name, lease_terms_of(rates))


async def bucket_trouble(client: PrefectClient, name: str, rates: Sequence[Rate]) -> str | None:
    """How a bucket differs from what these rates make, or None."""
    try:
        return _difference(await client.read_global_concurrency_limit_by_name(name), rates)
    except ObjectNotFound:
        return "missing"


def _difference(have: GlobalConcurrencyLimitResponse, rates: Sequence[Rate]) -> str | None:
    want, lease_terms = lease_terms_of(rates), _lease_terms(have)
    if defect := _defect(have):
        return defect
    if want.same_as(lease_terms):
        return None
    return f"limit {lease_terms.slots} at {lease_terms.decay:.4g}/s, should be {want.slots} at {want.decay:.4g}/s"


async def open_buckets(client: PrefectClient, config: Config, outage: ApiOutage | None = None) -> dict[str, Bucket]:
    """A bucket for every source that is switched on.

    A rate that was changed in the configuration takes effect. Raises BucketError for a bucket that is missing,
    switched off or would never refill.
    """
    allowances = {}
    outage = outage or ApiOutage()
    enabled = {bucket_for(name) for name, source in config.sources.items() if source.enabled}
    for name, rates in buckets_of(config):
        if name in enabled or name == bucket_for(_ALL_SOURCES):
            allowances[name] = Allowances(name, rates, client, outage)
            if not (now := lease_terms_of(rates)).same_as(was := await allowances[name].look()):
                log.info("bucket %s: now %s slots at %.4g/s, it had %s", name, now.slots, now.decay, was)
                await _change(client, name, now)
    shared = [allowances[bucket_for(_ALL_SOURCES)]] if config.rates else []
    return {
        source: Bucket([allowances[bucket_for(source)], *shared])
        for source, settings in config.sources.items()
        if settings.enabled
    }


async def _change(client: PrefectClient, name: str, lease_terms: LeaseTerms) -> None:
    """As if it were just used up: slots left from a higher limit would never decay below the new one."""
    change = GlobalConcurrencyLimitUpdate.parse_obj(_limit(lease_terms) | {"active_slots": lease_terms.slots})
    await client.update_global_concurrency_limit(name, change)


def _limit(lease_terms: LeaseTerms) -> dict[str, object]:
    return {"limit": lease_terms.slots, "active": True, "slot_decay_per_second": lease_terms.decay}


def _lease_terms(have: GlobalConcurrencyLimitResponse) -> LeaseTerms:
    return LeaseTerms(have.limit, have.slot_decay_per_second)


def _defect(have: GlobalConcurrencyLimitResponse) -> str | None:
    """Why this limit can be no bucket, or None."""
    if not have.active:
        return "is switched off"
    if have.slot_decay_per_second <= 0:
        return "has no slot decay and would never refill"
    return None


class _Reply(Enum):
    """What Prefect answers who asks for the whole bucket."""

    GRANTED = auto()
    DENIED = auto()  # which it writes down: the wait for the bucket begins anew
    BUSY = auto()  # nothing was written


@dataclass(eq=False, slots=True)
class _Lease:
    """The whole bucket from `granted` on, for as long as it takes to refill."""

    lease_terms: LeaseTerms
    granted: float  # when it was asked for: it was granted no earlier
    renewals: int = 0

    @property
    def free_at(self) -> float:
        """When another process may have the bucket."""
        return self.granted + self.lease_terms.lease

    @property
    def ends(self) -> float:
        """When the last answer is to be there: one spacing before."""
        return self.free_at - self.lease_terms.spacing

    @property
    def last(self) -> float:
        """When a request may leave at the latest."""
        return self.ends - _ROOM


@dataclass(slots=True)
class _Clock:
    """The Prefect server's clock less this process's (tasks.clock): between `least` and `most`, in seconds.

    Every change that this process makes to a limit narrows it down. The limit says when it was last changed: that was
    after this process asked for its change, and before it read the limit, though another process made the last one.
    A process that took another's change for its own would ask too early each time, be denied, and let nobody have the
    bucket: every denial begins its wait anew.
    """

    least: float = float("-inf")
    most: float = float("inf")

    @property
    def known(self) -> bool:
        return self.most < float("inf")

    def compare(self, changed: datetime, asked: float, read: float) -> None:
        """This process asked for a change at `asked`; the limit that it had `read` by then was last `changed` so."""
        least = changed.timestamp() - read - _ROUNDING / 2
        most = changed.timestamp() - asked + _ROUNDING / 2
        if least > self.most or most < self.least:  # a clock was set
            self.least, self.most = least, most
        else:
            self.least, self.most = max(least, self.least), min(most, self.most)


class Allowances:
    """The one asker of a bucket in this process: gets leases and keeps the pace. Use it in one event loop."""

    def __init__(self, name: str, rates: Sequence[Rate], client: PrefectClient, outage: ApiOutage | None = None):
        self.name = name
        self.id: str | None = None  # of the limit, in the Prefect server's database
        self.wanted = 0  # requests that wait
        self._client = client
        self._outage = outage or ApiOutage()
        self._limit = partial(client.read_global_concurrency_limit_by_name, name)
        self._pace = Pace(rates)
        self._spacing = spacing(rates)
        self._lease: _Lease | None = None
        self._getting: asyncio.Task[Any] | None = None
        self._under_way: dict[Permit, _Lease] = {}  # allowed, and not answered yet
        self._jobs: set[asyncio.Task[Any]] = set()
        self._closed = asyncio.Event()
        self._changing = asyncio.Lock()  # held while the lease is renewed or given back
        self._clock = _Clock()
        self._had_its_turn = False
        self._seen: tuple[datetime | None, float] = (None, 0.0)  # the limit's last change, and when it was first seen

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """As long as this lasts, somebody waits for a request to leave."""
        self.wanted += 1
        try:
            yield
        finally:
            self.wanted -= 1

    def ready_at(self, slower: float = 1.0) -> float | None:
        """When a request may leave under the lease, `slower` times as far from the last; None: it needs a new lease."""
        if self._lease is None:
            return None
        ready = self._pace.ready_at(clock.seconds(), self._lease.lease_terms.spacing * slower)
        return ready if ready <= self._lease.last else None

    async def rest(self, slower: Callable[[], float]) -> bool:
        """Sleeps, without a lease, while the pace alone forbids a request for long; was there such a time?"""

        def wait() -> float:
            return self._pace.ready_at(clock.seconds(), self._spacing * slower()) - clock.seconds()

        if wait() < max(_REST, 2 * self._spacing):
            return False
        await self._drained()
        await self._give_back()
        while (seconds := wait()) > 0:
            await asyncio.sleep(min(seconds, _LOOK_AGAIN))
        return True

    async def lease(self, slower: float = 1.0) -> None:
        """Waits for a lease that the next request may leave under: the present one, renewed, or a new one.

        A coroutine that is cancelled while it waits takes nothing from the others.
        """
        if self._getting is None or self._getting.done():
            self._getting = self._soon(self._get(slower))
        await asyncio.shield(self._getting)

    def leave(self, permit: Permit, slower: float = 1.0) -> None:
        lease = self._lease
        assert lease is not None
        self._pace.leave(permit, lease.lease_terms.spacing * slower)
        self._under_way[permit] = lease
        getting = self._getting is not None and not self._getting.done()
        if permit.allowed > lease.ends - _AHEAD and lease.renewals < _RENEWALS and not getting:
            self._getting = self._soon(self._renew(lease))

    def may_send(self, permit: Permit) -> bool:
        """Is the lease that a request was allowed under still this process's? Not when it was stopped meanwhile."""
        lease = self._under_way.get(permit)
        return lease is not None and lease is self._lease and clock.seconds() < lease.ends

    def answered(self, permit: Permit) -> None:
        self._pace.answered(permit, clock.seconds())
        self._under_way.pop(permit, None)

    async def look(self) -> LeaseTerms:
        """What the bucket grants. Raises BucketError when it is missing, switched off or would never refill."""
        have = await self._read()
        self.id = str(have.id)
        return _lease_terms(have)

    async def close(self) -> None:
        """Gives back what is left of a lease, for the next process or run.

        Calls that are under way are not cancelled: Prefect's embedded API would be left with an open transaction.
        """
        self._closed.set()
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=_CLOSE_PATIENCE)
        await self._give_back()

    async def _get(self, slower: float) -> None:
        lease = self._lease
        if lease is not None and lease.renewals < _RENEWALS:
            # A renewal counts from when it is asked for: not before the next request comes within the lease.
            ready = self._pace.ready_at(clock.seconds(), lease.lease_terms.spacing * slower)
            reach = lease.lease_terms.lease - lease.lease_terms.spacing - _ROOM
            await self._sleep(max(0.0, ready - reach + _STAGGER - clock.seconds()))
            if await self._renew(lease):
                return
        await self._ask()

    async def _renew(self, lease: _Lease) -> bool:
        """Begins a lease anew, while it is this process's; was that in time?"""
        async with self._changing:
            asked = clock.seconds()
            if lease is not self._lease or asked >= lease.free_at:
                return False
            await self._answer(partial(self._hold, lease.lease_terms.slots))
            answered = clock.seconds()
            if answered >= lease.free_at:  # it may be somebody else's, who keeps it a little longer now
                return False
            lease.granted = asked
            lease.renewals += 1
        self._soon(self._compare_clocks(asked, lease))
        return True

    async def _hold(self, slots: int) -> None:
        """The bucket is free when so many slots have come back, from now on."""
        change = GlobalConcurrencyLimitUpdate.parse_obj({"active_slots": slots})
        try:
            await self._client.update_global_concurrency_limit(self.name, change)
        except ObjectNotFound:
            raise BucketError(f"rate bucket {self.name!r} is missing; {_MEND}") from None

    async def _watch(self, lease: _Lease) -> None:
        """Gives back a lease that nobody needs, and keeps one until the last answer has come."""
        used = clock.seconds()
        while lease is self._lease:
            now = clock.seconds()
            if self.wanted or self._under_way:
                used = now
            elif now - used > _IDLE:
                await self._give_back()
                return
            if now >= lease.free_at:
                self._lease = None
                return
            if now > lease.last and self._free_from(lease) > lease.free_at:
                await self._renew(lease)
            await self._sleep(min(_IDLE, max(_TICK, lease.last + _TICK - now)))

    def _free_from(self, lease: _Lease) -> float:
        """When another process may send its first request."""
        now, apart = clock.seconds(), lease.lease_terms.spacing
        return max(self._pace.free_from(now, apart), now + apart if self._under_way else 0.0)

    async def _ask(self) -> None:
        """Waits until the bucket is free, and takes it; before that, until the requests of the last lease are answered.

        Who has just had its turn lets those go first that may be waiting.
        """
        await self._drained()
        await self._give_back()
        while True:
            have = await self._read()
            lease_terms = _lease_terms(have)
            if not lease_terms.fit:
                raise BucketError(f"rate bucket {self.name!r} was changed to what no rate makes; {_MEND}")
            if (free_in := self._free_in(have)) > 0:
                if free_in > _LOOK_AGAIN:  # somebody else is having a turn
                    self._had_its_turn = False
                delay = 1.2 * _STAGGER if self._had_its_turn else random.uniform(0, _STAGGER)
                await self._sleep(min(free_in + delay, _LOOK_AGAIN))
                if free_in > _LOOK_AGAIN:
                    continue
            asked = clock.seconds()
            reply = await self._answer(partial(self._increment, lease_terms.slots))
            if reply is _Reply.GRANTED:
                self._lease = lease = _Lease(lease_terms, asked)
                self._had_its_turn = True
                self._soon(self._watch(lease))
                self._soon(self._compare_clocks(asked, lease))
                return
            if reply is _Reply.DENIED:
                await self._compare_clocks(asked)

    def _free_in(self, have: GlobalConcurrencyLimitResponse) -> float:
        """Seconds until the whole bucket is free, if nobody else changes it."""
        now = clock.seconds()
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

    async def _compare_clocks(self, asked: float, lease: _Lease | None = None) -> None:
        """The limit was changed since `asked`: by the grant or renewal of a `lease`, or by a denial.

        Prefect grants slots of a limit that was deleted or switched off meanwhile: such a lease ends here. So does that
        of a limit which grants something else by now.
        """
        try:
            have = await self._read()
        except BucketError:
            self._lease = None
            raise
        if lease is not None and lease is self._lease and not lease.lease_terms.same_as(_lease_terms(have)):
            self._lease = None
        assert have.updated is not None
        self._clock.compare(have.updated, asked, clock.seconds())

    def _soon(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        job.add_done_callback(lambda job: job.cancelled() or job.exception())  # the next ask will meet it again
        return job

    async def _drained(self) -> None:
        """Waits until every request that left under the lease is answered."""
        while self._lease is not None and self._under_way:
            await self._sleep(_TICK)

    async def _give_back(self) -> None:
        """Ends the lease when another process may begin; as it is while a request of this one may arrive any moment."""
        async with self._changing:
            await self._give_back_unless_used()

    async def _give_back_unless_used(self) -> None:
        lease, self._lease = self._lease, None
        if lease is None or self._under_way:
            return
        seconds = max(0.0, self._free_from(lease) - clock.seconds())
        for _ in range(_GIVING_ATTEMPTS):
            # Not near its end: what comes late would take it from somebody else.
            if lease.free_at - clock.seconds() < max(_SURE, seconds):
                return
            try:
                with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                    await self._hold(math.ceil(seconds * lease.lease_terms.decay))
                return
            except (httpx.HTTPError, BucketError) as error:
                busy = isinstance(error, httpx.HTTPStatusError) and error.response.status_code in _BUSY
                if busy:
                    continue
                # Perhaps it was done; if not, it comes back by itself.
                log.debug("bucket %s: %.1f s perhaps not given back: %s", self.name, lease.free_at - seconds, error)
                return

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)
            raise BucketError(f"rate bucket {self.name!r} was closed")

    async def _increment(self, slots: int) -> _Reply:
        try:
            await self._client.increment_concurrency_slots([self.name], slots, "rate_limit")
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.LOCKED:
                return _Reply.DENIED
            if error.response.status_code in _BUSY:
                return _Reply.BUSY
            raise
        return _Reply.GRANTED

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
        pause = 0.02
        with self._outage.watched() as in_vain:
            while True:
                try:
                    return await call()
                except (httpx.HTTPStatusError, httpx.TransportError) as error:
                    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
                    if status is not None and status < 500:
                        raise BucketError(f"rate bucket {self.name!r} was refused: HTTP {status}; {_MEND}") from None
                    if in_vain(error) > _SERVER_PATIENCE:
                        raise BucketError(
                            f"rate bucket {self.name!r}: the Prefect API {trouble(error)}, "
                            f"and has done so for {_SERVER_PATIENCE:.0f} s; is the server up?"
                        ) from None
                    await self._sleep(pause)
                    pause = min(2 * pause, 2.0)


class Bucket:
    """What one source may spend: its own bucket and, if there is one, that of all sources together."""

    def __init__(self, allowances: Sequence[Allowances]):
        self._askers = allowances
        self._turn = asyncio.Lock()

    async def leave(self, slower: Callable[[], float] = lambda: 1.0) -> Permit:
        """Waits until a request may leave, in the order of asking; `slower` > 1 keeps so many times the distance.

        That is asked again while it waits: after a pause the rate grows. The caller tells when the request is sent,
        and when its answer begins or nothing more can come. Raises BucketError.
        """
        async with AsyncExitStack() as stack:
            for allowance in self._askers:
                stack.enter_context(allowance.waiting())
            await stack.enter_async_context(self._turn)
            while True:
                times = slower()
                ready = [allowance.ready_at(times) for allowance in self._askers]
                if None in ready:
                    allowance = self._askers[ready.index(None)]
                    if not await allowance.rest(slower):
                        await allowance.lease(times)
                elif (wait := max(at for at in ready if at is not None) - clock.seconds()) > 0:
                    await asyncio.sleep(min(wait, _LOOK_AGAIN))
                else:
                    permit = Permit(clock.seconds())
                    for allowance in self._askers:
                        allowance.leave(permit, times)
                    return permit

    @property
    def ids(self) -> dict[str, str]:
        """The ids of its limits in the Prefect server's database, by name."""
        return {allowance.name: allowance.id for allowance in self._askers if allowance.id}

    def may_send(self, permit: Permit) -> bool:
        """May the request of a permit be sent this moment? Not when this process was stopped since it was let go."""
        return all(allowance.may_send(permit) for allowance in self._askers)

    def sent(self, permit: Permit) -> None:
        """The request of a permit has been sent, by now at the latest."""
        permit.sent = permit.sent or clock.seconds()

    def answered(self, permit: Permit) -> None:
        """Its answer has begun, or it is known that it was not sent or that none will come."""
        for allowance in self._askers:
            allowance.answered(permit)

    async def close(self) -> None:
        for allowance in self._askers:
            await allowance.close()
