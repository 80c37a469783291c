"""How is one file fetched from its source? When a request may be sent, how it is sent, and when it is repeated."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol

import httpx

from config.models import Retries, Source
from tasks import clock
from tasks.domain.errors import AbsentError, FetchError, HealingError, LedgerError, PausedError, RefusedError
from tasks.domain.limits.rates import Permit
from tasks.domain.outcomes import Asking
from tasks.domain.plan.lanes import LATENCY
from tasks.domain.reasons import Limit, Reason
from tasks.log_lines import about
from tasks.upstream.commands import Prepared
from tasks.upstream.downloads import ACCEPTED, TooLargeError, UnpackError, read_beginning, read_body
from tasks.upstream.outage import Outage
from tasks.upstream.rate_limiter import WORTH_WAITING, Admission, RateLimiter
from tasks.upstream.refusals import BEGINNING, challenge_with_200, failure_of
from tasks.upstream.retry_after import retry_after

log = logging.getLogger(__name__)

_LARGEST = 16 * 1024 * 1024  # bytes of a body, unless the dataset sets `max_bytes`
_UNREACHABLE_AFTER = 3  # files in a row without a connection, after which the source is paused
_MOST_TOO_FAST = 20  # the most answers 429 to requests for one file; they do not count as attempts
_LATENCY_WEIGHT = 0.1  # weight of the newest answer in the running mean


@dataclass
class Fetched:
    """The result of a fetch."""

    bodies: list[bytes]  # one body, or for a command one for each file that it wrote
    seconds: float  # from sending the last request to having the whole body
    asked: datetime  # when the request that brought the bodies was sent
    asking: Asking  # all requests for this file

    @property
    def requests(self) -> int:
        """The number of requests that were sent for this file."""
        return self.asking.requests


@dataclass
class _Attempts:
    """The requests for one file so far. They are remembered when a pause of the source interrupts them."""

    requests: int = 0
    spent: int = 0  # how many of `retries.attempts` are used
    too_fast: int = 0  # answers 429, which do not count as attempts
    refusals: int = 0
    waited: float = 0.0  # seconds for which its requests waited for the bucket
    refusal: RefusedError | None = None  # the last refusal
    limiter: RateLimiter = field(kw_only=True)  # the rate limiter of the address that is asked
    entered: Admission = field(default_factory=Admission)  # the probes that this file has claimed
    asked: datetime = field(default_factory=lambda: datetime.now(UTC))  # when the last request was sent

    @property
    def asking(self) -> Asking:
        """What was asked of the source so far."""
        return Asking(self.requests, self.refusals, self.waited, self.asked if self.requests else None)

    def told(self) -> Asking:
        """What was asked of the source since this was last told, so that no request counts in two outcomes."""
        asking = self.asking
        self.requests, self.refusals, self.waited = 0, 0, 0.0
        return asking


class _NotSentError(Exception):
    """The process was suspended after its permit and before it sent the request, so the permit is no longer valid."""


@cache
def _tls() -> ssl.SSLContext:
    """The certificates that this machine trusts. They are read only once, because that takes 20 ms."""
    return httpx.create_ssl_context()


class Permits(Protocol):
    """The rate budget of a source. `buckets.Bucket` implements it, shared with other processes through Prefect."""

    @property
    def ids(self) -> dict[str, str]:
        """The ids of the limits behind this budget, by name. Another Prefect server has other ids."""

    async def acquire(self, slower: Callable[[], float]) -> Permit:
        """Waits until a request may be sent, and returns its permit. `slower` gives a factor for the spacing."""

    def may_send(self, permit: Permit) -> bool:
        """May the request of a permit still be sent now?"""

    def sent(self, permit: Permit) -> None:
        """Records that the request has been sent."""

    def answered(self, permit: Permit) -> None:
        """Records that the answer has begun, or that none will come."""

    async def close(self) -> None:
        """Gives back what is left of the allowance."""


class SourceClient:
    """This process's access to one site: connections, rate bucket and rate limiter."""

    def __init__(
        self,
        name: str,
        settings: Source,
        bucket: Permits,
        limiter: RateLimiter,
        latency: float = LATENCY,
        transport: httpx.AsyncBaseTransport | None = None,
        outage: Outage | None = None,
    ):
        self.name = name
        self.settings = settings
        self.bucket = bucket
        self.limiter = limiter
        self.sent = 0  # requests, of this process
        self.latency = latency  # seconds from sending a request to having the whole body, as a running mean
        self._outage = outage
        self.on_request: Callable[[str], None] = lambda source: None  # called for every request that is sent
        self.why_not: Callable[[], str | None] = lambda: None  # why the run may send no more requests, or None
        self._attempts: dict[str, _Attempts] = {}  # the attempts at unfinished files, by URL
        self._connections = asyncio.Semaphore(settings.connections)
        self._processes = asyncio.Semaphore(settings.processes)
        self._limiters = {name: limiter}  # by the name of the source or of a variant's own address
        self._unreachable: Counter[str] = Counter()  # files in a row without a connection, by the same name
        self._http = httpx.AsyncClient(
            verify=_tls(),
            limits=httpx.Limits(max_connections=settings.connections),
            transport=transport,
        )

    async def close(self) -> None:
        """Closes the connections, and gives back what is left of the rate budget."""
        await self._http.aclose()
        await self.bucket.close()

    async def fetch(
        self,
        scraper: str,
        path: str,
        check: Callable[[bytes], None],
        settings: Source | None = None,
        *,
        command: Prepared | None = None,
        max_bytes: int = _LARGEST,
        own_address: str = "",
        proves_absence: bool = True,
    ) -> Fetched:
        """Fetches `path`, or runs a `command`, and returns bodies in which `check` finds no fault.

        `check` raises a FetchError for a body that must not be stored. `settings` replaces the source's base URL,
        headers, timeouts and retries; the rate stays the source's. `own_address` names a base URL that belongs to a
        variant: a refusal there pauses that address alone. Not more than `max_bytes` of a body are read.

        After an error that can heal, the request is repeated, up to `retries.attempts` requests in all. Neither waiting
        for a pause nor an answer 429 counts as an attempt. If the request is a probe, its repetitions are too, so that
        no other file probes meanwhile.

        Raises PausedError if a pause lasts longer than WORTH_WAITING, and otherwise FetchError. Its `asking` says what
        was asked of the site, since the last PausedError for this file if there was one. An AbsentError does not count
        as a failure of the scraper, unless `proves_absence` is False.

        The loop is written by hand, because the answer decides whether an attempt counts and how long to wait, and a
        file that is fetched again later continues with the attempts that remain.
        """
        settings = settings or self.settings
        url = settings.base_url.rstrip("/") + path if command is None else path
        attempts = self._attempts.setdefault(url, _Attempts(limiter=self._limiter_of(own_address)))
        try:
            while True:
                try:
                    fetched = await self._ask(scraper, url, check, attempts, settings, command, max_bytes)
                    del self._attempts[url]
                    return fetched
                except _NotSentError:
                    continue
                except PausedError as error:
                    error.refusal, error.refusals = attempts.refusal, attempts.spent
                    error.asking = attempts.told()
                    raise
                except RefusedError as error:
                    attempts.refusal = error
                    attempts.refusals += not error.unreachable
                    error.asking = attempts.asking
                    attempts.too_fast += error.too_fast
                    attempts.spent += not error.too_fast
                    if attempts.spent >= settings.retries.attempts or attempts.too_fast >= _MOST_TOO_FAST:
                        raise
                except FetchError as error:
                    attempts.spent += 1
                    if not isinstance(error, HealingError) or attempts.spent >= settings.retries.attempts:
                        error.asking = attempts.asking
                        if isinstance(error, AbsentError) and proves_absence:
                            attempts.limiter.answered(scraper, attempts.asked)
                        else:
                            attempts.limiter.failed(
                                scraper,
                                str(error),
                                attempts.asked,
                                answered=command is None and not getattr(error, "unreachable", False),
                            )
                        self._note_unreachable(error, attempts)
                        raise
                    wait = _backoff(settings.retries, attempts.spent, error.wait)
                    fields = about(source=self.name, dataset=scraper, reason=error)
                    log.info("%s: %s; again in %.1f s", self.name, error, wait, extra=fields)
                    await asyncio.sleep(wait)
        finally:
            self._give_up(attempts)

    def _give_up(self, attempts: _Attempts) -> None:
        """Gives up the probes of a file, so that another file may probe."""
        attempts.limiter.give_up(attempts.entered)
        attempts.entered = Admission()

    async def _ask(
        self,
        scraper: str,
        url: str,
        check: Callable[[bytes], None],
        attempts: _Attempts,
        settings: Source,
        command: Prepared | None,
        max_bytes: int,
    ) -> Fetched:
        """Sends one request, once the rate limiter, a connection and the bucket allow it, and reports its outcome.

        A command starts once the bucket has granted all its requests. Its duration is not part of the latency.
        """
        requests = command.command.requests if command else 1
        lasts = command.command.timeout if command else timedelta(seconds=settings.timeouts.total)
        async with self._processes if command else self._connections:
            permit = await self._acquire(scraper, requests, lasts, attempts)
            attempts.asked = asked = datetime.now(UTC)
            try:
                self.on_request(self.name)
                self.sent += requests
                attempts.requests += requests
                if command:
                    self.bucket.answered(permit)  # nobody sees when the command sends its requests
                    bodies = await command.run()
                else:
                    bodies = [await self._get(url, permit, settings, max_bytes)]
                for body in bodies:
                    check(body)
            except _NotSentError:
                self.sent -= requests
                attempts.requests -= requests
                raise
            except RefusedError as error:
                attempts.limiter.refused(error, asked)
                self._give_up(attempts)
                raise
            finally:
                self.bucket.answered(permit)
            assert permit.sent is not None
            seconds = clock.seconds() - permit.sent
            if command is None:
                self.latency += _LATENCY_WEIGHT * (seconds - self.latency)
            self._unreachable[attempts.limiter.source] = 0
            self._succeeded(scraper, attempts)
            return Fetched(bodies, seconds, asked, attempts.asking)

    def _succeeded(self, scraper: str, attempts: _Attempts) -> None:
        """Reports a success to the rate limiter. If the ledger cannot be written, the run ends but keeps this body."""
        entered, attempts.entered = attempts.entered, Admission()
        try:
            attempts.limiter.succeeded(scraper, attempts.asked)
            attempts.limiter.give_up(entered)
        except LedgerError as error:
            if self._outage is None:
                raise
            self._outage.stop_requests(error)

    async def _acquire(self, scraper: str, requests: int, lasts: timedelta, attempts: _Attempts) -> Permit:
        """Waits until `requests` requests may be sent, and returns the permit of the last one."""
        limiter = attempts.limiter
        while True:
            if self._outage:
                await self._outage.wait_until_over()
            if not attempts.entered.probes:
                attempts.entered = await limiter.enter(scraper, requests)
            since = clock.seconds()
            permit = await self.bucket.acquire(limiter.slower)
            for _ in range(requests - 1):
                self.bucket.answered(permit)
                self.on_request(self.name)
                permit = await self.bucket.acquire(limiter.slower)
            attempts.waited += clock.seconds() - since
            confirmed: Admission | None = None
            try:
                if why := self.why_not():
                    now = datetime.now(UTC)
                    raise PausedError(Reason(Limit.LEASE, why, now), now)
                if self._outage and self._outage.reason:  # it began during the wait for the bucket
                    self._give_up(attempts)
                else:
                    confirmed = limiter.confirm(scraper, attempts.entered, lasts)
            finally:
                if not confirmed:
                    self.bucket.answered(permit)  # the request is not sent
            attempts.entered = confirmed or Admission()
            if confirmed:
                return permit

    async def _get(self, url: str, permit: Permit, settings: Source, max_bytes: int) -> bytes:
        """The body of one GET. Raises FetchError, and _NotSentError if the permit is no longer valid."""

        async def note(event: str, _: dict[str, Any]) -> None:
            if event.endswith("send_request_headers.started") and (self.why_not() or not self.bucket.may_send(permit)):
                raise _NotSentError
            if event.endswith("send_request_headers.complete"):
                self.bucket.sent(permit)
            if event.endswith("receive_response_headers.complete"):
                self.bucket.answered(permit)

        timeouts = settings.timeouts
        phases = httpx.Timeout(timeouts.read, connect=timeouts.connect)
        extensions = {"trace": note}
        headers = httpx.Headers(settings.headers)
        headers["Accept-Encoding"] = ACCEPTED
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(asyncio.timeout(timeouts.total))
                response = await stack.enter_async_context(
                    self._http.stream("GET", url, headers=headers, timeout=phases, extensions=extensions)
                )
                if response.status_code != 200:
                    body = await read_beginning(response, min(max_bytes, BEGINNING))
                    wait = retry_after(response, datetime.now(UTC))
                    raise failure_of(response, body, url, settings.domain, wait, WORTH_WAITING)
                if wall := challenge_with_200(response, url):
                    raise wall
                return await read_body(response, max_bytes)
        except httpx.ConnectError as error:
            raise HealingError(f"{url}: cannot connect ({error or type(error).__name__})", unreachable=True) from None
        except (httpx.TimeoutException, TimeoutError):
            raise RefusedError(f"{url}: no answer in time", unreachable=True) from None
        except httpx.HTTPError as error:
            raise HealingError(f"{url}: the answer was cut off ({type(error).__name__})") from None
        except UnpackError as error:
            raise HealingError(f"{url}: the answer cannot be unpacked: {error}") from None
        except TooLargeError:
            raise FetchError(f"{url}: larger than max_bytes, {max_bytes}; the rest was not read") from None
        except httpx.InvalidURL as error:
            raise FetchError(f"{url}: {error}") from None

    def _note_unreachable(self, error: FetchError, attempts: _Attempts) -> None:
        """Pauses the source if several files in a row, or a probe, got no connection: the files are not the cause."""
        name = attempts.limiter.source
        is_unreachable = isinstance(error, HealingError) and error.unreachable
        self._unreachable[name] = self._unreachable[name] + 1 if is_unreachable else 0
        if self._unreachable[name] >= (1 if name in attempts.entered.probes else _UNREACHABLE_AFTER):
            attempts.limiter.refused(RefusedError(str(error), unreachable=True), datetime.now(UTC))

    def _limiter_of(self, own_address: str) -> RateLimiter:
        name = own_address or self.name
        if name not in self._limiters:
            self._limiters[name] = self.limiter.for_own_address(name)
        return self._limiters[name]


def _backoff(retries: Retries, attempt: int, asked: timedelta | None) -> float:
    """Seconds to wait before the attempt after `attempt`: a random part of an exponential wait ("full jitter").

    The wait is not shorter than the one that the site has `asked` for.
    """
    longest = min(retries.first_wait * 2 ** (attempt - 1), retries.longest_wait).total_seconds()
    return max(asked.total_seconds() if asked else 0.0, random.uniform(0, longest))
