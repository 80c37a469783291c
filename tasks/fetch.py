"""How does one file come over the wire? Bucket, GET, retries by what can heal."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from config.models import Source
from tasks.buckets import Bucket
from tasks.domain.errors import FetchError, HealingError, RefusedError

log = logging.getLogger(__name__)

_LARGEST = 64 * 1024 * 1024  # bytes; the largest page of the three sites has 2 MB
_UNREACHABLE_AFTER = 3  # files in a row without a connection or an answer


@dataclass
class Fetched:
    body: bytes
    requests: int
    url: str


class SourceClient:
    """One upstream site, as this process talks to it: its connections, its bucket, and whether it refuses us."""

    def __init__(self, name: str, settings: Source, bucket: Bucket, transport: httpx.AsyncBaseTransport | None = None):
        self.name = name
        self.settings = settings
        self.bucket = bucket
        self.refused: str | None = None  # why nothing more is asked of this site in this run
        self.refused_for = timedelta()
        self._lanes = asyncio.Semaphore(settings.lanes)
        self._unreachable = 0
        timeouts = settings.timeouts
        self._http = httpx.AsyncClient(
            headers=settings.headers,
            timeout=httpx.Timeout(timeouts.read, connect=timeouts.connect),
            limits=httpx.Limits(max_connections=settings.lanes),
            transport=transport,
        )

    async def close(self) -> None:
        await self._http.aclose()
        await self.bucket.close()

    async def fetch(self, path: str, check: Callable[[bytes], None]) -> Fetched:
        """The body of `path`, after `check` has found nothing wrong with it.

        Asks again, up to `retries.attempts` times in all, for what can heal. `check` raises what is wrong.
        Raises FetchError (with `requests`, how often the site was asked), RefusedError when the whole site refuses.
        """
        url = self.settings.base_url.rstrip("/") + path
        requests = 0

        async def once() -> bytes:
            nonlocal requests
            async with self._lanes:
                if self.refused:
                    raise RefusedError(self.refused, self.refused_for)
                departure = await self.bucket.leave()
                requests += 1

                async def note_sent(event: str, _: dict[str, Any]) -> None:
                    if event.endswith("send_request_headers.complete"):
                        departure.sent = time.monotonic()

                try:
                    body = await self._get(url, note_sent)
                finally:
                    if departure.sent is None:
                        departure.sent = time.monotonic()
            check(body)
            return body

        retries = self.settings.retries
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(retries.attempts),
                retry=retry_if_exception_type(HealingError),
                wait=self._wait,
                reraise=True,
            ):
                with attempt:
                    body = await once()
        except RefusedError as error:
            self._stop(str(error), error.pause)
            error.requests = requests
            raise
        except FetchError as error:
            self._note_unreachable(error)
            error.requests = requests
            raise
        self._unreachable = 0
        return Fetched(body, requests, url)

    def _wait(self, state: RetryCallState) -> float:
        retries = self.settings.retries
        error = state.outcome.exception() if state.outcome else None
        backoff = wait_random_exponential(
            multiplier=retries.first_wait.total_seconds(), max=retries.longest_wait.total_seconds()
        )(state)
        asked = error.wait.total_seconds() if isinstance(error, HealingError) and error.wait else 0.0
        if asked:
            self.bucket.hold(asked)
        log.info("%s: %s; again in %.1f s", self.name, error, max(asked, backoff))
        return max(asked, backoff)

    async def _get(self, url: str, trace: Callable[[str, dict[str, Any]], Awaitable[None]]) -> bytes:
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(asyncio.timeout(self.settings.timeouts.total))
                response = await stack.enter_async_context(self._http.stream("GET", url, extensions={"trace": trace}))
                self._judge_status(response, url)
                pieces, size = [], 0
                async for piece in response.aiter_bytes():
                    size += len(piece)
                    if size > _LARGEST:
                        raise FetchError(f"{url}: more than {_LARGEST} bytes")
                    pieces.append(piece)
                return b"".join(pieces)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise HealingError(f"{url}: cannot connect ({error or type(error).__name__})", unreachable=True) from None
        except (httpx.TimeoutException, TimeoutError):
            raise HealingError(f"{url}: no answer in time", unreachable=True) from None
        except httpx.HTTPError as error:
            raise HealingError(f"{url}: the answer was cut off ({type(error).__name__})") from None
        except httpx.InvalidURL as error:
            raise FetchError(f"{url}: {error}") from None

    def _judge_status(self, response: httpx.Response, url: str) -> None:
        status = response.status_code
        if status in (401, 403):
            raise RefusedError(f"{url}: refused with HTTP {status}", self.settings.refusal_pause)
        if status == 429 and self.settings.jail:
            raise RefusedError(f"{url}: HTTP 429, asked too fast", self.settings.refusal_pause)
        if status == 429 or status >= 500:
            raise HealingError(f"{url}: HTTP {status}", retry_after(response, datetime.now(UTC)))
        if status != 200:
            where = f" to {response.headers['Location'][:200]}" if "Location" in response.headers else ""
            raise FetchError(f"{url}: HTTP {status}{where}")

    def _note_unreachable(self, error: FetchError) -> None:
        self._unreachable = self._unreachable + 1 if isinstance(error, HealingError) and error.unreachable else 0
        if self._unreachable >= _UNREACHABLE_AFTER:
            self._stop(f"source unreachable: {error}", timedelta())

    def _stop(self, reason: str, pause: timedelta) -> None:
        if self.refused is None:
            log.warning("%s is asked for nothing more in this run: %s", self.name, reason)
            self.refused, self.refused_for = reason, pause


def retry_after(response: httpx.Response, now: datetime) -> timedelta | None:
    """The wait that the site asks for, in seconds or as a date (RFC 9110, 10.2.3); None for 0 or nonsense."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        wait = timedelta(seconds=min(int(text), 86400))
    else:
        try:
            wait = parsedate_to_datetime(text) - now
        except (ValueError, TypeError):
            return None
    return min(wait, timedelta(days=1)) if wait > timedelta() else None
