"""What does an answer other than 200 mean: the file is absent, the source refuses, or the request is wrong?"""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import urljoin, urlsplit

import httpx

from tasks.domain.errors import AbsentError, FetchError, HealingError, RefusedError
from tasks.domain.wording import one_line
from tasks.sources.documents import UnfitBodyError, is_page, is_refusal, read_page, wall_in
from tasks.sources.walls import challenge_in, heading, is_wall_path, wall_notice

# The bytes that are read of an error's body. The largest 404 page of the three sites has 92 kB.
BEGINNING = 1024 * 1024
# The statuses by which a server says that the request itself is wrong (RFC 9110, 15.5; 418 is only reserved there).
_WRONG_REQUEST = frozenset({*range(400, 418), 421, 422, 426}) - {401, 402, 403, 404, 407, 408, 410}


def failure_of(
    response: httpx.Response, body: bytes, url: str, site: str, wait: timedelta | None, longest_wait: timedelta
) -> FetchError:
    """The error that an answer other than 200 stands for, by its status, its headers and the beginning of its body.

    `site` is the domain by which the site's pages name it, and `wait` the answer's Retry-After. A server error that
    asks for a longer wait than `longest_wait` is a refusal, which pauses the whole source.
    """
    status, said = response.status_code, f"{url}: HTTP {response.status_code}"
    text = body.decode("utf-8-sig", "replace")
    if challenge := challenge_in(response.headers, failed=True):
        return RefusedError(f"{said}, {challenge}", wait, shut_out=True)
    if 300 <= status < 400:
        return _redirected(url, response.headers.get("Location", ""), said)
    if status == 429:
        return RefusedError(said, wait, too_fast=True)
    if status in (404, 410) or (status >= 400 and _error_code(body) == 404):
        return _absent(said, text, site)
    if wall := _bot_wall(text, body, is_own_error=status >= 500):
        return RefusedError(f"{said}: {wall}", wait, shut_out=True)
    if status == 503:
        return RefusedError(said, wait)
    if status in (401, 402, 403, 407, 511):
        return RefusedError(f"{said}, refused", wait, shut_out=True)
    if status >= 500 or status == 408:
        return RefusedError(said, wait) if wait and wait > longest_wait else HealingError(said, wait)
    if status in _WRONG_REQUEST:
        return FetchError(f"{said}: {heading(text)}" if text.strip() else said)
    return RefusedError(f"{said}, which is no answer to such a request", wait, shut_out=True)


def challenge_with_200(response: httpx.Response, url: str) -> RefusedError | None:
    """The refusal of a bot wall that answers with status 200 and says only in a header that it is one; else None."""
    challenge = challenge_in(response.headers, failed=False)
    return RefusedError(f"{url}: {challenge}", shut_out=True) if challenge else None


def _redirected(asked: str, location: str, said: str) -> FetchError:
    """The error that a redirect stands for.

    A redirect to another host, to a login or to the same address is a refusal. One to another address of the site means
    that the request's address is wrong.
    """
    said = f"{said} to {location[:200]}" if location else said
    try:
        goes_to, came_from = urlsplit(urljoin(asked, location)), urlsplit(asked)
        is_elsewhere = goes_to.hostname != came_from.hostname or (
            goes_to.scheme == came_from.scheme and goes_to.port != came_from.port
        )
    except ValueError:
        return FetchError(said)
    is_loop = bool(location) and goes_to == came_from
    if is_elsewhere or is_loop or is_wall_path(goes_to.path):
        return RefusedError(said, shut_out=True)
    return FetchError(said)


def _absent(said: str, text: str, site: str) -> FetchError:
    """The error of a status 404 or 410: the file is absent, unless the page is not the site's own."""
    if not is_page(text):
        return AbsentError(said)
    try:
        page = read_page(text.encode())
    except UnfitBodyError as error:
        return RefusedError(f"{said}: {error}", shut_out=True)
    if wall := wall_notice(text) if page.path_at(site) is not None else wall_in(text):
        return RefusedError(f"{said}: {wall}", shut_out=True)
    if not page.names(site):
        return RefusedError(f"{said}: a page that does not name {site}: {heading(text)}", shut_out=True)
    return AbsentError(said)


def _bot_wall(text: str, body: bytes, *, is_own_error: bool) -> str | None:
    """The text that shows that a body comes from a bot wall; None if it does not.

    The page of a server error can name the maker of a bot wall too, if that maker runs the site's gateway.
    """
    if is_page(text):
        return wall_notice(text, bots_only=True) if is_own_error else wall_in(text, bots_only=True)
    is_wall = not is_own_error and is_refusal(_json_in(body))
    return one_line(text[:100]) if is_wall else None


def _error_code(body: bytes) -> int | None:
    """The code in one of ESPN's error bodies, which is not always the status; None in any other body."""
    document = _json_in(body)
    code = document.get("code") if isinstance(document, dict) else None
    return code if isinstance(code, int) else None


def _json_in(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
