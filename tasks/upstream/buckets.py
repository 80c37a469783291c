"""May a request be sent now? The rate buckets, which are Prefect's global concurrency limits, and an even pace.

A process takes all slots of a bucket at once. That gives it an allowance: for some seconds, no other process gets a
slot, and the process sends its requests evenly spaced. It renews the allowance a few times. Then it lets the next
process have the bucket, once its last request has been answered and one spacing has passed.

Prefect restarts the decay of a limit with every grant and every denial, and a denial discards what has decayed so far.
A process therefore reads the limit, and asks for slots only once the whole bucket is free.

This is written by hand because the buckets have to be Prefect's limits, and Prefect's own `rate_limit` loses a quarter
of the rate and lets bursts through.
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
from datetime import datetime, timedelta
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
from tasks.domain.errors import BucketError, PrefectAwayError
from tasks.domain.limits.buckets import (
    ALL_SOURCES,
    MISSING,
    bucket_for,
    buckets_of,
    defect_of,
    set_by_hand,
    setting_of,
    unusable,
)
from tasks.domain.limits.rates import AllowanceTerms, Pace, Permit, allowance_terms_of, spacing
from tasks.domain.wording import duration
from tasks.upstream.prefect_api import ApiOutage, trouble

log = logging.getLogger(__name__)
T = TypeVar("T")

_POLL_EVERY = 1.0  # seconds between two looks at a bucket that another process holds; that process may give it back
_STAGGER = 0.06  # seconds over which waiting processes spread their requests for a bucket that becomes free
_ROUNDING = 0.002  # seconds: SQLite stores times in milliseconds
_WORTH_GIVING_BACK = 2.0  # seconds: an allowance is given back when the pace forbids requests for longer than this
_ANSWER_MARGIN = 0.12  # seconds at the end of an allowance that are left for the last answer to arrive
_RENEW_AHEAD = 1.2  # seconds before its end at which an allowance is renewed; the Prefect API may take that long
_MOST_RENEWALS = 6  # of one allowance; after that, other processes that may be waiting go first
_LEAST_LEFT = 1.0  # seconds: an allowance that ends sooner than this is not given back
_GIVE_BACK_ATTEMPTS = 3
_IDLE_AFTER = 0.25  # seconds without a request after which the rest of an allowance is given back
_TICK = 0.01  # seconds between two looks at whether the last answer has arrived
# The API answers these while another process writes to its SQLite database. The call has changed nothing then.
_BUSY = {httpx.codes.INTERNAL_SERVER_ERROR, httpx.codes.SERVICE_UNAVAILABLE}
_CLOSE_WITHIN = 10.0  # seconds that unfinished calls get when a run ends
_API_AWAY_SECONDS = 300.0  # seconds without an answer from the Prefect API after which a run gives up


def client_for_buckets() -> PrefectClient:
    """A client of the Prefect API that raises HTTPStatusError at once for a 503, instead of retrying.

    Prefect's own client waits two seconds after a 503, which the API answers while SQLite is being written to. An
    allowance lasts five seconds only.
    """

    async def raise_if_busy(response: httpx.Response) -> None:
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise httpx.HTTPStatusError("the Prefect API is busy", request=response.request, response=response)

    return get_client(httpx_settings={"event_hooks": {"response": [raise_if_busy]}})


def server_address() -> str:
    """The Prefect server that has the buckets, in words for people; user names and passwords are left out."""
    if url := PREFECT_API_URL.value():
        return _without_userinfo(url)
    database = _without_userinfo(PREFECT_API_DATABASE_CONNECTION_URL.value())
    return f"the embedded API of {socket.gethostname()} on {database}"


def _without_userinfo(url: str) -> str:
    return re.sub(r"(?<=://)[^?]*@", "", url).partition("?")[0]


async def ensure_buckets(client: PrefectClient, config: Config) -> list[str]:
    """Creates the buckets of all sources, or changes them to the configured rates. Returns their names."""
    buckets = list(buckets_of(config))
    for name, rates in buckets:
        await ensure_bucket(client, name, rates)
    return [name for name, _ in buckets]


async def ensure_bucket(client: PrefectClient, name: str, rates: Sequence[Rate]) -> None:
    """Creates a bucket for these rates, or changes it to them."""
    try:
        have = await client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        try:
            await client.create_global_concurrency_limit(
                GlobalConcurrencyLimitCreate.parse_obj({"name": name} | _limit(allowance_terms_of(rates)))
            )
        except ObjectAlreadyExists:  # by another process, a moment ago
            pass
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT:
                raise
    else:
        if _difference(have, rates):
            await _change(client, name, allowance_terms_of(rates))


async def bucket_trouble(client: PrefectClient, name: str, rates: Sequence[Rate]) -> str | None:
    """How a bucket differs from the one that these rates need, in words; None if it does not differ."""
    try:
        return _difference(await client.read_global_concurrency_limit_by_name(name), rates)
    except ObjectNotFound:
        return "missing"


def _difference(have: GlobalConcurrencyLimitResponse, rates: Sequence[Rate]) -> str | None:
    want, terms = allowance_terms_of(rates), _terms_of(have)
    if defect := defect_of(terms, is_active=have.active):
        return defect
    if want.same_as(terms):
        return None
    return f"{terms.differs(want)}; every run sets it so: for another rate, change {setting_of(have.name)}"


async def open_buckets(
    client: PrefectClient, config: Config, outage: ApiOutage | None = None
) -> tuple[dict[str, Bucket], dict[str, BucketError]]:
    """The bucket of every enabled source, by source; and why a source has none.

    A limit whose rate differs from the configuration is changed, with a warning: somebody may have set it by hand. A
    source has no bucket if its limit, or the one that all sources share, is missing, inactive or would never
    refill. Raises PrefectAwayError.
    """
    allowances: dict[str, Allowances] = {}
    errors: dict[str, BucketError] = {}
    outage = outage or ApiOutage()
    enabled = [name for name, source in config.sources.items() if source.enabled]
    used = {bucket_for(name) for name in [*enabled, ALL_SOURCES]}
    for name, rates in buckets_of(config):
        if name in used:
            allowances[name] = Allowances(name, rates, client, outage)
            try:
                was = await allowances[name].read_terms()
                if not (now := allowance_terms_of(rates)).same_as(was):
                    log.warning("%s", set_by_hand(name, was, now, "it is set so now"))
                    await allowances[name].change_terms(now)
            except PrefectAwayError:
                raise
            except BucketError as error:
                errors[name] = error
    shared = [bucket_for(ALL_SOURCES)] if config.rates else []
    names = {source: [bucket_for(source), *shared] for source in enabled}
    broken = {source: errors[name] for source, of in names.items() for name in of if name in errors}
    return {s: Bucket([allowances[name] for name in of]) for s, of in names.items() if s not in broken}, broken


async def _change(client: PrefectClient, name: str, terms: AllowanceTerms) -> None:
    """Changes a limit, with all slots taken: slots in use beyond a lowered limit would never decay below it."""
    change = GlobalConcurrencyLimitUpdate.parse_obj(_limit(terms) | {"active_slots": terms.slots})
    await client.update_global_concurrency_limit(name, change)


def _limit(terms: AllowanceTerms) -> dict[str, object]:
    return {"limit": terms.slots, "active": True, "slot_decay_per_second": terms.decay}


def _terms_of(have: GlobalConcurrencyLimitResponse) -> AllowanceTerms:
    return AllowanceTerms(have.limit, have.slot_decay_per_second)


class _Reply(Enum):
    """Prefect's answer to a request for all slots of a bucket."""

    GRANTED = auto()
    DENIED = auto()  # the denial has restarted the decay, and so the wait for the bucket
    BUSY = auto()  # the API was busy, and nothing has changed


@dataclass(eq=False, slots=True)
class _Allowance:
    """The whole bucket, held from `granted` until it has refilled. Times are seconds of tasks.clock."""

    terms: AllowanceTerms
    granted: float  # when the bucket was asked for, which was not after the grant
    renewals: int = 0

    @property
    def free_at(self) -> float:
        """The time from which another process may have the bucket."""
        return self.granted + self.terms.seconds

    @property
    def ends(self) -> float:
        """The time by which the last answer should have arrived: one spacing before `free_at`."""
        return self.free_at - self.terms.spacing

    @property
    def last(self) -> float:
        """The latest time at which a request may be sent."""
        return self.ends - _ANSWER_MARGIN


@dataclass(slots=True)
class _Clock:
    """Bounds for the Prefect server's clock minus this process's (tasks.clock): `least` to `most`, in seconds.

    Every change to a limit narrows the bounds, most of all one that this process makes. Prefect stores when a limit was
    last changed. That time lies after this process asked for its change and before it read the limit again, even if
    another process has changed the limit in between. Bounds are needed because an error here starves every process: one
    that expects the bucket too early is denied, and each denial restarts the wait for all. One that expects it too late
    always finds that another process has it.
    """

    least: float = float("-inf")
    most: float = float("inf")

    @property
    def is_known(self) -> bool:
        """Has the clock been compared at least once?"""
        return self.most < float("inf")

    @property
    def error(self) -> float:
        """How far the bounds lie apart, in seconds; 0 if the clock was never compared."""
        return self.most - self.least if self.is_known else 0.0

    def compare(self, changed: datetime, asked: float, read: float) -> None:
        """Narrows the bounds: a change was `asked` for, then the limit was `read`, which says when it was `changed`."""
        least = changed.timestamp() - read - _ROUNDING / 2
        most = changed.timestamp() - asked + _ROUNDING / 2
        if least > self.most or most < self.least:  # somebody has set one of the clocks
            self.least, self.most = least, most
        else:
            self.least, self.most = max(least, self.least), min(most, self.most)

    def see(self, changed: datetime, read: float) -> None:
        """Narrows the bounds: a limit that another process may have `changed` was read.

        Whoever waits learns the clock more exactly with each change, and so need not come later than the others.
        """
        least = changed.timestamp() - read - _ROUNDING / 2
        if least <= self.most:  # else the server's clock was set forward; the next comparison finds that
            self.least = max(least, self.least)


class Allowances:
    """Obtains the allowances of one bucket for this process, and keeps the pace of requests within them.

    There is one of these per bucket and process; use it in one event loop.
    """

    def __init__(self, name: str, rates: Sequence[Rate], client: PrefectClient, outage: ApiOutage | None = None):
        self.name = name
        self.id: str | None = None  # id of the limit in the Prefect server's database; None until it is read
        self.wanted = 0  # the number of requests that wait to be sent
        self._client = client
        self._outage = outage or ApiOutage()
        self._read_limit = partial(client.read_global_concurrency_limit_by_name, name)
        self._pace = Pace(rates)
        self._spacing = spacing(rates)
        self._allowance: _Allowance | None = None
        self._obtaining: asyncio.Task[Any] | None = None
        self._unanswered: dict[Permit, _Allowance] = {}  # requests that were allowed and are not answered yet
        self._jobs: set[asyncio.Task[Any]] = set()
        self._closed = asyncio.Event()
        self._changing = asyncio.Lock()  # held while the allowance is renewed or given back
        self._clock = _Clock()
        self._was_last = False  # this process had the bucket last, as far as it knows
        self._seen: tuple[datetime | None, float] = (None, 0.0)  # the limit's last change, and when we first read it

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts one waiting request while the block lasts: an allowance that is waited for is not given back."""
        self.wanted += 1
        try:
            yield
        finally:
            self.wanted -= 1

    def ready_at(self, slower: float = 1.0) -> float | None:
        """When the next request may be sent under the allowance held now; None if a new allowance is needed.

        The request keeps `slower` times the usual spacing from the one before it.
        """
        if self._allowance is None:
            return None
        ready = self._pace.ready_at(clock.seconds(), self._allowance.terms.spacing * slower)
        return ready if ready <= self._allowance.last else None

    async def sleep_if_long(self, slower: Callable[[], float]) -> bool:
        """If the pace forbids requests for long, gives the allowance back, sleeps until then, and returns True."""

        def wait() -> float:
            return self._pace.ready_at(clock.seconds(), self._spacing * slower()) - clock.seconds()

        if wait() < max(_WORTH_GIVING_BACK, 2 * self._spacing):
            return False
        await self._all_answered()
        await self._give_back()
        while (seconds := wait()) > 0:
            await asyncio.sleep(min(seconds, _POLL_EVERY))
        return True

    async def obtain(self, slower: float = 1.0) -> None:
        """Waits for an allowance under which the next request may be sent: the present one renewed, or a new one.

        Cancelling one coroutine that waits here does not disturb the others.
        """
        if self._obtaining is None or self._obtaining.done():
            self._obtaining = self._start(self._renew_or_take(slower))
        await asyncio.shield(self._obtaining)

    def allow(self, permit: Permit, slower: float = 1.0) -> None:
        """Records that the request of a permit may be sent now, and renews an allowance that ends soon."""
        allowance = self._allowance
        assert allowance is not None
        self._pace.allow(permit, allowance.terms.spacing * slower)
        self._unanswered[permit] = allowance
        is_obtaining = self._obtaining is not None and not self._obtaining.done()
        if permit.allowed > allowance.ends - _RENEW_AHEAD and allowance.renewals < _MOST_RENEWALS and not is_obtaining:
            self._obtaining = self._start(self._renew(allowance))

    def may_send(self, permit: Permit) -> bool:
        """Is the allowance of a permit still held? It is not if this process was suspended past its end."""
        allowance = self._unanswered.get(permit)
        return allowance is not None and allowance is self._allowance and clock.seconds() < allowance.ends

    def answered(self, permit: Permit) -> None:
        """Records that the answer to a request has begun, or that none will come."""
        self._pace.answered(permit, clock.seconds())
        self._unanswered.pop(permit, None)

    async def read_terms(self) -> AllowanceTerms:
        """The terms of the bucket's limit. Raises BucketError if it is missing, inactive or would never refill."""
        have = await self._read()
        self.id = str(have.id)
        return _terms_of(have)

    async def change_terms(self, terms: AllowanceTerms) -> None:
        """Changes the bucket's limit. Raises BucketError if Prefect refuses that."""
        await self._answer(partial(_change, self._client, self.name, terms))

    async def close(self) -> None:
        """Gives back the rest of the allowance, so that the next process or run need not wait for it.

        Unfinished calls are not cancelled, since that would leave Prefect's embedded API with an open transaction.
        """
        self._closed.set()
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=_CLOSE_WITHIN)
        await self._give_back()

    async def _renew_or_take(self, slower: float) -> None:
        """Renews the allowance, or takes a new one if it was renewed too often or has ended."""
        allowance = self._allowance
        if allowance is not None and allowance.renewals < _MOST_RENEWALS:
            # A renewed allowance runs from the time of the call, so the call waits until the next request fits in.
            ready = self._pace.ready_at(clock.seconds(), allowance.terms.spacing * slower)
            reach = allowance.terms.seconds - allowance.terms.spacing - _ANSWER_MARGIN
            await self._sleep(max(0.0, ready - reach + _STAGGER - clock.seconds()))
            if await self._renew(allowance):
                return
        await self._take()

    async def _renew(self, allowance: _Allowance) -> bool:
        """Starts the time of an allowance anew. Returns False if this process had lost it before that was done."""
        async with self._changing:
            asked = clock.seconds()
            if allowance is not self._allowance or asked >= allowance.free_at:
                return False
            await self._answer(partial(self._set_slots, allowance.terms.slots))
            answered = clock.seconds()
            if answered >= allowance.free_at:  # another process may have it, which then holds it a little longer
                return False
            allowance.granted = asked
            allowance.renewals += 1
        self._start(self._compare_clocks(asked, allowance))
        return True

    async def _set_slots(self, slots: int) -> None:
        """Sets the number of slots in use. The bucket is free once that many slots have decayed, from now on."""
        change = GlobalConcurrencyLimitUpdate.parse_obj({"active_slots": slots})
        try:
            await self._client.update_global_concurrency_limit(self.name, change)
        except ObjectNotFound:
            raise BucketError(unusable(self.name, MISSING)) from None

    async def _watch(self, allowance: _Allowance) -> None:
        """Gives an allowance back when it is unused, and renews it if no other process may send yet at its end."""
        used = clock.seconds()
        while allowance is self._allowance:
            now = clock.seconds()
            if self.wanted or self._unanswered:
                used = now
            elif now - used > _IDLE_AFTER:
                await self._give_back()
                return
            if now >= allowance.free_at:
                self._allowance = None
                return
            if now > allowance.last and self._free_from(allowance) > allowance.free_at:
                await self._renew(allowance)
            await self._sleep(min(_IDLE_AFTER, max(_TICK, allowance.last + _TICK - now)))

    def _free_from(self, allowance: _Allowance) -> float:
        """The time from which another process may send its first request."""
        now, apart = clock.seconds(), allowance.terms.spacing
        return max(self._pace.free_from(now, apart), now + apart if self._unanswered else 0.0)

    async def _take(self) -> None:
        """Waits for the answers to this process's requests and until the bucket is free, then takes the bucket.

        A process that had the bucket last waits a little longer, so that other processes go first.
        """
        await self._all_answered()
        await self._give_back()
        while True:
            have = await self._read()
            terms = _terms_of(have)
            if not terms.is_bucket:
                raise BucketError(unusable(self.name, "was changed to a limit that fits no rate"))
            if (free_in := self._free_in(have)) > 0:
                if free_in > _POLL_EVERY:  # another process has it
                    self._was_last = False
                delay = 1.2 * _STAGGER if self._was_last else random.uniform(0, _STAGGER)
                wait = min(free_in + delay, _POLL_EVERY)
                if (rough := self._clock.error) > _STAGGER:  # looks often: whoever takes it first shows what time it is
                    wait = min(wait, max(_STAGGER, free_in - rough))
                await self._sleep(wait)
                if wait < free_in:
                    continue
            asked = clock.seconds()
            reply = await self._answer(partial(self._increment, terms.slots))
            if reply is _Reply.GRANTED:
                self._allowance = allowance = _Allowance(terms, asked)
                self._was_last = True
                self._start(self._watch(allowance))
                self._start(self._compare_clocks(asked, allowance))
                return
            if reply is _Reply.DENIED:
                await self._compare_clocks(asked)

    def _free_in(self, have: GlobalConcurrencyLimitResponse) -> float:
        """Seconds until the whole bucket is free, unless another process changes it before."""
        now = clock.seconds()
        if self._seen[0] != have.updated:
            self._seen = (have.updated, now)
            if have.updated:
                self._clock.see(have.updated, now)
        if not have.active_slots:
            return 0.0
        changed = self._seen[1]  # the latest time at which it can have been changed
        if self._clock.is_known and have.updated:  # the server's clock may have been set forward since
            changed = min(changed, have.updated.timestamp() - self._clock.least + _ROUNDING)
        elif have.updated:  # assumes that the hosts' clocks agree; if they do not, the first denial corrects that
            changed = min(changed, have.updated.timestamp() - (time.time() - now) + 3 * _ROUNDING)
        return changed + have.active_slots / have.slot_decay_per_second - now

    async def _compare_clocks(self, asked: float, allowance: _Allowance | None = None) -> None:
        """Learns how the server's clock differs, from a change of the limit that this process asked for at `asked`.

        The change was the grant or the renewal of an `allowance`, or a denial. Prefect also grants slots of a limit
        that was deleted or made inactive meanwhile: the allowance ends here then, as it does if the limit's terms have
        changed.
        """
        try:
            have = await self._read()
        except BucketError:
            self._allowance = None
            raise
        if allowance is not None and allowance is self._allowance and not allowance.terms.same_as(_terms_of(have)):
            self._allowance = None
        assert have.updated is not None
        self._clock.compare(have.updated, asked, clock.seconds())

    def _start(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        job.add_done_callback(lambda job: job.cancelled() or job.exception())  # the next call meets the error again
        return job

    async def _all_answered(self) -> None:
        """Waits until every request that was allowed under the allowance is answered."""
        while self._allowance is not None and self._unanswered:
            await self._sleep(_TICK)

    async def _give_back(self) -> None:
        """Ends the allowance, and frees the bucket for the time from which another process may send.

        While a request of this process is unanswered, the bucket is not freed early.
        """
        async with self._changing:
            await self._give_back_unless_used()

    async def _give_back_unless_used(self) -> None:
        allowance, self._allowance = self._allowance, None
        if allowance is None or self._unanswered:
            return
        seconds = max(0.0, self._free_from(allowance) - clock.seconds())
        for _ in range(_GIVE_BACK_ATTEMPTS):
            # Near the end of the allowance, a call that arrives late would take the bucket from another process.
            if allowance.free_at - clock.seconds() < max(_LEAST_LEFT, seconds):
                return
            try:
                with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                    await self._set_slots(math.ceil(seconds * allowance.terms.decay))
                return
            except (httpx.HTTPError, BucketError) as error:
                busy = isinstance(error, httpx.HTTPStatusError) and error.response.status_code in _BUSY
                if busy:
                    continue
                # The slots may have been given back; if not, they decay by themselves.
                log.debug("bucket %s: its allowance may not have been given back: %s", self.name, error)
                return

    async def _sleep(self, seconds: float) -> None:
        """Sleeps. Raises BucketError as soon as the bucket is closed."""
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
            have = await self._answer(self._read_limit)
        except ObjectNotFound:
            raise BucketError(unusable(self.name, MISSING)) from None
        if defect := defect_of(_terms_of(have), is_active=have.active):
            raise BucketError(unusable(self.name, defect))
        return have

    async def _answer(self, call: Callable[[], Awaitable[T]]) -> T:
        """The Prefect API's answer to a call, which is repeated during an outage. Meanwhile, no requests are sent.

        Raises BucketError when the API refuses the call, or does not answer for _API_AWAY_SECONDS. The loop is written
        by hand since all calls of the process share one report of an outage, and closing the bucket ends the wait.
        """
        pause = 0.02
        with self._outage.watched() as seconds_failing:
            while True:
                try:
                    return await call()
                except (httpx.HTTPStatusError, httpx.TransportError) as error:
                    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
                    if status is not None and status < 500:
                        raise BucketError(unusable(self.name, f"was refused: HTTP {status}")) from None
                    if seconds_failing(error) > _API_AWAY_SECONDS:
                        raise PrefectAwayError(
                            f"rate bucket {self.name!r}: the Prefect API {trouble(error)}, "
                            f"and has done so for {duration(timedelta(seconds=_API_AWAY_SECONDS))}; is the server up?"
                        ) from None
                    await self._sleep(pause)
                    pause = min(2 * pause, 2.0)


class Bucket:
    """The rate budget of one source: its own bucket and, if there is one, the bucket that all sources share."""

    def __init__(self, buckets: Sequence[Allowances]):
        self._buckets = buckets
        self._turn = asyncio.Lock()

    async def acquire(self, slower: Callable[[], float] = lambda: 1.0) -> Permit:
        """Waits until a request may be sent, first come first served, and returns its permit. Raises BucketError.

        `slower` gives the factor by which the spacing is stretched; it is called again during the wait, since the rate
        grows after a pause. The caller must call `sent` when the request is sent, and `answered` when its answer
        begins or when none can come any more.
        """
        async with AsyncExitStack() as stack:
            for bucket in self._buckets:
                stack.enter_context(bucket.waiting())
            await stack.enter_async_context(self._turn)
            while True:
                factor = slower()
                ready = [bucket.ready_at(factor) for bucket in self._buckets]
                if None in ready:
                    bucket = self._buckets[ready.index(None)]
                    if not await bucket.sleep_if_long(slower):
                        await bucket.obtain(factor)
                elif (wait := max(at for at in ready if at is not None) - clock.seconds()) > 0:
                    await asyncio.sleep(min(wait, _POLL_EVERY))
                else:
                    permit = Permit(clock.seconds())
                    for bucket in self._buckets:
                        bucket.allow(permit, factor)
                    return permit

    @property
    def ids(self) -> dict[str, str]:
        """The ids of the limits in the Prefect server's database, by the names of the limits."""
        return {bucket.name: bucket.id for bucket in self._buckets if bucket.id}

    def may_send(self, permit: Permit) -> bool:
        """May the request of a permit be sent now? It may not if this process was suspended meanwhile."""
        return all(bucket.may_send(permit) for bucket in self._buckets)

    def sent(self, permit: Permit) -> None:
        """Records that the request of a permit has been sent, by now at the latest."""
        permit.sent = permit.sent or clock.seconds()

    def answered(self, permit: Permit) -> None:
        """Records that the answer to a request has begun, or that the request was not sent or gets no answer."""
        for bucket in self._buckets:
            bucket.answered(permit)

    async def close(self) -> None:
        """Gives back what is left of the allowances."""
        for bucket in self._buckets:
            await bucket.close()
