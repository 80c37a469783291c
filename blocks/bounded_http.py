"""A request of which the time and the answer are bounded, whatever the server does. A redirect is an answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from tasks.domain.wording import one_line

_LONGEST_TEXT = 300  # bytes that are read of an answer


class UnansweredError(Exception):
    """There was no answer. The text says why, and may have secrets."""


@dataclass(frozen=True)
class Answer:
    """The status and headers of an answer, and the beginning of its body in one line, unless it is a success."""

    status: int
    headers: httpx.Headers
    text: str

    @property
    def is_success(self) -> bool:
        """Has the server taken the request?"""
        return 200 <= self.status < 300

    @property
    def line(self) -> str:
        """What an error says of the answer."""
        redirect = "; a redirect is not followed, name the address itself" if 300 <= self.status < 400 else ""
        return f"HTTP {self.status}{f': {self.text}' if self.text else ''}{redirect}"


async def exchange(
    method: str, url: str, within: float, *, content: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """Sends a request. Raises UnansweredError, after so many seconds at the latest."""
    # Each part of the exchange may take longer than all of it, so that the one limit decides.
    client = httpx.AsyncClient(timeout=2 * within, follow_redirects=False, verify=_authorities())
    try:
        async with asyncio.timeout(within), client:
            headers = {"User-Agent": "adce", **(headers or {})}
            async with client.stream(method, url, content=content, headers=headers) as answer:
                text = "" if answer.is_success else await _beginning(answer)
                return Answer(answer.status_code, answer.headers, text)
    except TimeoutError:
        raise UnansweredError(f"it has not answered within {within:.0f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise UnansweredError(f"it cannot be reached: {str(error) or type(error).__name__}") from None


async def _beginning(answer: httpx.Response) -> str:
    said = b""
    async for piece in answer.aiter_raw():
        said += piece
        if len(said) >= _LONGEST_TEXT:
            break
    return one_line(said[:_LONGEST_TEXT].decode(errors="replace"))


@cache
def _authorities() -> ssl.SSLContext:
    """The certificates that are trusted. To read them takes a tenth of a second."""
    return httpx.create_ssl_context()
