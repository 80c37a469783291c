"""How does one file come from its source? Gate, bucket, GET or command, retries by what can heal."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Protocol

import httpx

from config.models import Retries, Source
from tasks import clock
from tasks.domain.errors import AbsentError, FetchError, HealingError, LedgerError, PausedError, RefusedError
from tasks.domain.limits.pauses import LONGEST_ASKED
from tasks.domain.limits.rates import Permit
from tasks.domain.outcomes import Asking
from tasks.domain.plan.lanes import LATENCY
from tasks.domain.reasons import Limit, Reason
from tasks.upstream.commands import Prepared
from tasks.upstream.downloads import ACCEPTED, TooLargeError, UnpackError, read_beginning, read_body
from tasks.upstream.outage import Outage
from tasks.upstream.rate_limiter import WORTH_WAITING, Admission, RateLimiter
from tasks.upstream.refusals import BEGINNING, challenge_with_200, failure_of

log = logging.getLogger(__name__)

_LARGEST = 16 * 1024 * 1024  # bytes of a body, where a dataset says nothing else
_UNREACHABLE_AFTER = 3  # files in a row without a connection
_MOST_TOO_FAST = 20  # times that a file is told it came too fast, which is not its fault
_LATENCY_WEIGHT = 0.1  # of the newest answer in the running mean


@dataclass
class Fetched:
    bodies: list[bytes]  # one, or what a command left in each of its files
    seconds: float
    asked: datetime  # when the request was sent that brought them
    asking: Asking

    @property
    def requests(self) -> int:
        return self.asking.requests


@dataclass
class _Attempts:
    """How often a file was asked for, and how often that was its own fault."""

    requests: int = 0
    spent: int = 0
    too_fast: int = 0
    refusals: int = 0
    waited: float = 0.0  # seconds, for the bucket
    refusal: RefusedError | None = None
    limiter: RateLimiter = field(kw_only=True)  # of the address that is asked
    entered: Admission = field(default_factory=Admission)  # the probe that it is, until it is refused or settled
    asked: datetime = field(default_factory=lambda: datetime.now(UTC))  # the last time

    @property
    def asking(self) -> Asking:
        return Asking(self.requests, self.refusals, self.waited, self.asked if self.requests else None)


class _NotSentError(Exception):
    """The process was stopped between the permission to send a request and the sending: it needs another one."""


@cache
def _tls() -> ssl.SSLContext:
    """The certificates that this machine trusts; reading them takes 20 ms."""
    return httpx.create_ssl_context()


class Permits(Protocol):
    """How often a source may be asked: see buckets.Bucket, which is shared with other processes through Prefect."""

    @property
    def ids(self) -> dict[str, str]:
        """What tells this budget from that of another Prefect server, by name."""

    async def leave(self, slower: Callable[[], float]) -> Permit:
        """Waits for the permission to send one request, at a pace that is so many times slower than the rate."""

    def may_send(self, permit: Permit) -> bool:
        """Whether the request may still be sent at this moment."""

    def sent(self, permit: Permit) -> None:
        """Notes that the request has been sent."""

    def answered(self, permit: Permit) -> None:
        """Notes that the answer has begun, or that none will come."""

    async def close(self) -> None:
        """Gives back what was not spent."""


class SourceClient:
    """One upstream site, as this process talks to it: its connections, its bucket and its gate."""

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
        self.latency = latency  # seconds from sending a request to having the body, a running mean
        self._outage = outage
        self.left: Callable[[str], None] = lambda source: None  # is told of every request that leaves
        self.why_not: Callable[[], str | None] = lambda: None  # the run may ask for nothing more
        self._attempts: dict[str, _Attempts] = {}  # by URL, of files that are not settled: a pause can part them
        self._connections = asyncio.Semaphore(settings.connections)
        self._processes = asyncio.Semaphore(settings.processes)
        self._limiters = {name: limiter}  # by the name of the address
        self._unreachable: Counter[str] = Counter()  # by that name
        self._http = httpx.AsyncClient(
            verify=_tls(),
            limits=httpx.Limits(max_connections=settings.connections),
            transport=transport,
        )

    async def close(self) -> None:
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
        """The body of `path`, or of a `command`, after `check` has found nothing wrong with it (or raised what is).

        With `settings`, its headers, timeouts and retries are those, and its base URL; the rate is the site's. A
        `variant` is the name of a base URL that is not the source's own: a refusal pauses it alone.

        Asks again, up to `retries.attempts` times in all, for what can heal; waiting for a pause to end is no attempt,
        and neither is a 429. Raises PausedError when the source or the scraper is to be left alone for longer than it
        is worth waiting, and FetchError, with `asking`, what was asked of the site. What an answer says of its file
        alone (AbsentError) is no failure of the scraper, unless it is asked in a way that proves no absence. A probe
        that can heal stays one while it asks again: no other file probes meanwhile. Of a body no more is read than
        `max_bytes`.

        The loop is our own and no library's: an attempt that counts, one that does not, and the wait between two depend
        on the answer, and a file that is asked for again later goes on with the attempts that it has left.
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
                    raise
                except RefusedError as error:
                    attempts.refusal = error
                    attempts.refusals += 1
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
                    log.info("%s: %s; again in %.1f s", self.name, error, wait)
                    await asyncio.sleep(wait)
        finally:
            self._give_up(attempts)

    def _give_up(self, attempts: _Attempts) -> None:
        """The file is no probe any more: another one may be."""
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
        """Sends one request when the rate limiter, a connection and the bucket allow it, and reports its outcome.

        A command goes when its requests may all have left, and is not slower for what the source's latency is.
        """
        requests = command.command.requests if command else 1
        lasts = command.command.timeout if command else timedelta(seconds=settings.timeouts.total)
        async with self._processes if command else self._connections:
            permit = await self._leave(scraper, requests, lasts, attempts)
            attempts.asked = asked = datetime.now(UTC)
            try:
                self.left(self.name)
                attempts.requests += requests
                if command:
                    self.bucket.answered(permit)  # its pace while it runs is its own
                    bodies = await command.run()
                else:
                    bodies = [await self._get(url, permit, settings, max_bytes)]
                for body in bodies:
                    check(body)
            except _NotSentError:
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
        """Tells the rate limiter. If the ledger cannot be written, no more is asked for, and this body is kept."""
        entered, attempts.entered = attempts.entered, Admission()
        try:
            attempts.limiter.succeeded(scraper, attempts.asked)
            attempts.limiter.give_up(entered)
        except LedgerError as error:
            if self._outage is None:
                raise
            self._outage.end_by(error)

    async def _leave(self, scraper: str, requests: int, lasts: timedelta, attempts: _Attempts) -> Permit:
        """Waits until so many requests may leave, and gives the last one."""
        limiter = attempts.limiter
        while True:
            if self._outage:
                await self._outage.over()
            if not attempts.entered.probes:
                attempts.entered = await limiter.enter(scraper, requests)
            since = clock.seconds()
            permit = await self.bucket.leave(limiter.slower)
            for _ in range(requests - 1):
                self.bucket.answered(permit)
                self.left(self.name)
                permit = await self.bucket.leave(limiter.slower)
            attempts.waited += clock.seconds() - since
            confirmed: Admission | None = None
            try:
                if why := self.why_not():
                    now = datetime.now(UTC)
                    raise PausedError(Reason(Limit.LEASE, why, now), now)
                if self._outage and self._outage.reason:  # since it waited for the bucket
                    self._give_up(attempts)
                else:
                    confirmed = limiter.confirm(scraper, attempts.entered, lasts)
            finally:
                if not confirmed:
                    self.bucket.answered(permit)  # it does not leave
            attempts.entered = confirmed or Admission()
            if confirmed:
                return permit

    async def _get(self, url: str, permit: Permit, settings: Source, max_bytes: int) -> bytes:
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
            raise RefusedError(f"{url}: no answer in time") from None
        except httpx.HTTPError as error:
            raise HealingError(f"{url}: the answer was cut off ({type(error).__name__})") from None
        except UnpackError as error:
            raise HealingError(f"{url}: the answer cannot be unpacked: {error}") from None
        except TooLargeError:
            raise FetchError(f"{url}: larger than max_bytes, {max_bytes}; the rest was not read") from None
        except httpx.InvalidURL as error:
            raise FetchError(f"{url}: {error}") from None

    def _note_unreachable(self, error: FetchError, attempts: _Attempts) -> None:
        """Several files in a row without a connection, or a probe: it is the source, and its other files can wait."""
        name = attempts.limiter.source
        is_unreachable = isinstance(error, HealingError) and error.unreachable
        self._unreachable[name] = self._unreachable[name] + 1 if is_unreachable else 0
        if self._unreachable[name] >= (1 if name in attempts.entered.probes else _UNREACHABLE_AFTER):
            attempts.limiter.refused(RefusedError(str(error)), datetime.now(UTC))

    def _limiter_of(self, own_address: str) -> RateLimiter:
        name = own_address or self.name
        if name not in self._limiters:
            self._limiters[name] = self.limiter.beside(name)
        return self._limiters[name]


def _backoff(retries: Retries, attempt: int, asked: timedelta | None) -> float:
    """Seconds to wait after so many attempts: exponential, all of it jitter, no less than the site asks for."""
    longest = min(retries.first_wait * 2 ** (attempt - 1), retries.longest_wait).total_seconds()
    return max(asked.total_seconds() if asked else 0.0, random.uniform(0, longest))


def retry_after(response: httpx.Response, now: datetime) -> timedelta | None:
    """The wait that the site asks for, in seconds or as a date (RFC 9110, 10.2.3); None for 0 or nonsense."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        wait = timedelta(seconds=min(int(text), 86400))
    else:
        try:
            wait = parsedate_to_datetime(text) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(wait, LONGEST_ASKED) if wait > timedelta() else None
