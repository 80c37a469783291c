"""What does the service answer to a request? An ASGI application, which only looks up what was prepared."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs

from config.models import Config
from deployments.serve.access import COOKIE, Gate, Kind, Limiter, headers_of, kind_of, target_of
from deployments.serve.answers import LINKS, Answer, answer, html, in_json, page, with_checks, written
from deployments.serve.drill_down import DrillDown, Elsewhere, Missing, is_page
from deployments.serve.openapi import openapi
from deployments.serve.paths import (
    BADGE,
    HEALTH,
    HEALTHZ,
    INDEX,
    LIVEZ,
    LOGIN,
    METRICS,
    OF_ASSETS,
    OF_SECTIONS,
    OPENAPI,
    PATHS,
    PROBES,
    PROBLEM,
    READYZ,
)
from deployments.serve.refresh import Refresh
from tasks.answers.health import Health, Verdict, health_of, is_ready
from tasks.show.documents.service import HealthState, Liveness, Problem, Readiness
from tasks.show.exposition import OPEN_METRICS
from tasks.show.status import STYLE, nothing_read, notice
from tasks.show.templates import digest

Headers = list[tuple[bytes, bytes]]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

VERSION = version("adce")
log = logging.getLogger(__name__)
_SAFE = ("GET", "HEAD")
_NOT_THERE = "There is no such page"
_MOST_OF_A_PATH = 100  # characters that the log has of a path
MOST_OF_A_FORM = 4096  # bytes
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src '{digest(STYLE)}'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FORM = (
    '<form method="post"><p><label>Token <input name="token" type="password" autocomplete="current-password" required '
    "autofocus></label> <button>Show me</button></form>"
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent: a status, an answer, and further headers."""

    status: HTTPStatus
    answer: Answer
    headers: tuple[tuple[str, str], ...] = ()


class Service:
    """The ASGI application."""

    def __init__(self, config: Config, refresh: Refresh, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._refresh = refresh
        self._settings = config.serve
        self._gate = Gate(config.serve)
        self._limiter = Limiter(config.serve.rate)
        self._now = now
        described = openapi(VERSION, config.datasets, has_form=config.serve.token is not None)
        self._always = {OPENAPI: answer(written(described), "application/json"), **_ASSETS}
        self._drill_down = DrillDown(config, now)
        self._badges = {BADGE.format(dataset=dataset) for dataset in config.datasets}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a request."""
        headers = headers_of(scope["headers"])
        try:
            reply = await self._reply(scope, headers, receive)
        except Exception as error:  # whatever it is, the client gets a problem document too
            _tell_of(scope["path"][:_MOST_OF_A_PATH], f"{type(error).__name__}: {error}")
            reply = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this answer has failed; the log of adce serve says why")
        if reply.status is HTTPStatus.OK and _matches(headers.get("if-none-match", ""), reply.answer.etag):
            reply = replace(reply, status=HTTPStatus.NOT_MODIFIED)
        has_body = scope["method"] != "HEAD" and reply.status is not HTTPStatus.NOT_MODIFIED
        await send({"type": "http.response.start", "status": reply.status, "headers": headers_to_send(reply)})
        await send({"type": "http.response.body", "body": reply.answer.body if has_body else b""})

    def documents(self) -> dict[str, Answer]:
        """The present answers at all paths but those that are about this process, and those of the status page."""
        found = {path: one for path, one in self._refresh.answers.items() if path != INDEX and path not in OF_SECTIONS}
        return {
            OPENAPI: self._always[OPENAPI],
            HEALTHZ: self._health().answer,
            **{path: self._with_checks(path, one) for path, one in found.items()},
        }

    @property
    def health(self) -> Health:
        """Is ADCE healthy now?"""
        return health_of(self._refresh.known, self._now())

    def _with_checks(self, path: str, found: Answer) -> Answer:
        """The answer; among metrics there are also the checks as they are now."""
        return with_checks(found, self.health) if path in (METRICS, OPEN_METRICS) else found

    async def _reply(self, scope: Message, headers: Any, receive: Receive) -> Reply:
        path, host = target_of(scope["path"], headers.get("host", ""))
        method = scope["method"]
        if refused := self._too_many(scope, kind_of(path), "requests"):
            return refused
        if path not in PROBES and not self._gate.is_named(host):
            text = "the Host header names no host of this service; the setting serve.hosts lists them"
            return problem(HTTPStatus.MISDIRECTED_REQUEST, text)
        if path == LOGIN and self._settings.token:
            return await self._login(scope, headers, receive)
        shown = headers.get("authorization", ""), headers.get("cookie", "")
        if not self._gate.is_open(path) and not self._gate.is_shown(*shown):
            guess = self._gate.guess_of(*shown)
            return (guess and self._too_many(scope, guess, "wrong tokens")) or self._unauthorized(headers)
        if is_page(path) and method in _SAFE:
            return await self._page(path, headers)
        if not self._is_known(path) and not is_page(path):
            return _told(headers, HTTPStatus.NOT_FOUND, _NOT_THERE, f"nothing is here; {OPENAPI} lists what there is")
        if method not in _SAFE:
            text = "this service only answers GET and HEAD"
            return problem(HTTPStatus.METHOD_NOT_ALLOWED, text, ("Allow", ", ".join(_SAFE)))
        return self._answer(path, headers)

    def _too_many(self, scope: Message, kind: Kind, of: str) -> Reply | None:
        """Counts a request of this kind. A reply if there are too many of its address."""
        client = scope["client"][0] if scope["client"] else ""
        wait = self._limiter.wait(client, kind, time.monotonic())
        if not wait:
            return None
        seconds = str(int(wait) + 1)
        text = f"too many {of} from this address; try again in {seconds} s"
        return problem(HTTPStatus.TOO_MANY_REQUESTS, text, ("Retry-After", seconds))

    def _answer(self, path: str, headers: Any) -> Reply:
        if path == LIVEZ:
            return _ok(in_json(Liveness(status=Verdict.PASS)))
        if path == READYZ:
            return self._readiness()
        if path == HEALTHZ:
            return self._health()
        if path in self._always:
            return _ok(self._always[path])
        if path == METRICS and _wants_open_metrics(headers.get("accept", "")):
            path = OPEN_METRICS
        if found := self._refresh.answers.get(path):
            return Reply(HTTPStatus.OK, self._with_checks(path, found), self._marks(found))
        if path == INDEX or path in OF_SECTIONS:
            return Reply(HTTPStatus.SERVICE_UNAVAILABLE, html(nothing_read(LINKS)), (("Retry-After", "5"),))
        if self._refresh.snapshot:
            text = "no reconcile has recorded a look at the whole of this lake yet"
            return problem(HTTPStatus.NOT_FOUND, text)
        text = "the ledger has not been read yet; /health says what does not answer"
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, text, ("Retry-After", "5"))

    async def _page(self, path: str, headers: Any) -> Reply:
        """A page behind the overview. What is wrong is told as a page, too, to whoever wants one."""
        found = await self._drill_down.page(path, self._refresh.snapshot)
        if isinstance(found, str):
            return _ok(html(found))
        if isinstance(found, Elsewhere):
            away = html(notice("Elsewhere", f"This page is at {found.address}.", LINKS))
            return Reply(HTTPStatus.TEMPORARY_REDIRECT, away, (("Location", found.address),))
        if isinstance(found, Missing):
            return _told(headers, HTTPStatus.NOT_FOUND, _NOT_THERE, found.why)
        return _told(headers, HTTPStatus.SERVICE_UNAVAILABLE, "Not now", found.why, ("Retry-After", "2"))

    def _marks(self, found: Answer) -> tuple[tuple[str, str], ...]:
        """Headers that say as of when an answer is, and what does not answer now."""
        if found.as_of is None:
            return ()
        age = max(0, int((self._now() - found.as_of).total_seconds()))
        away = [("ADCE-Away", ", ".join(self._refresh.away))] if self._refresh.away else []
        return ("Last-Modified", format_datetime(found.as_of, usegmt=True)), ("Age", str(age)), *away

    def _readiness(self) -> Reply:
        known, now = self._refresh.known, self._now()
        ready = is_ready(known, now)
        status = Verdict.PASS if ready else Verdict.FAIL
        found = self._refresh.snapshot
        return _verdict(in_json(Readiness(status=status, as_of=found and found.at)), status)

    def _health(self) -> Reply:
        health = self.health
        return _verdict(in_json(HealthState.of(health, VERSION, self._refresh.notes), HEALTH), health.verdict)

    async def _login(self, scope: Message, headers: Any, receive: Receive) -> Reply:
        if scope["method"] in _SAFE:
            return _ok(page("ADCE", _FORM))
        if scope["method"] != "POST":
            text = "the form only answers GET, HEAD and POST"
            return problem(HTTPStatus.METHOD_NOT_ALLOWED, text, ("Allow", "GET, HEAD, POST"))
        body = await _body(receive)
        if body is None:
            return Reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, page("ADCE", f"<p>This is too long for a token.{_FORM}"))
        given = parse_qs(body.decode("latin-1")).get("token", [""])[-1].strip()
        if not given:
            return Reply(HTTPStatus.BAD_REQUEST, page("ADCE", f"<p>There is no token in this.{_FORM}"))
        if not self._gate.is_token(given):
            return self._too_many(scope, Kind.GUESS, "wrong tokens") or self._form("<p>This is not the token.")
        secure = "; Secure" if scope["scheme"] == "https" else ""
        cookie = f"{COOKIE}={self._gate.cookie}; HttpOnly; SameSite=Strict; Path=/{secure}"
        return Reply(
            HTTPStatus.SEE_OTHER, page("ADCE", "<p>The token is right."), (("Location", "/"), ("Set-Cookie", cookie))
        )

    def _unauthorized(self, headers: Any) -> Reply:
        if "text/html" in headers.get("accept", ""):
            return self._form("")
        text = "this needs the token, in the header Authorization after the word Bearer, or by the form at /login"
        return problem(HTTPStatus.UNAUTHORIZED, text, ("WWW-Authenticate", "Bearer"))

    def _form(self, said: str) -> Reply:
        form = _FORM.replace("<form", f'<form action="{LOGIN}"')
        return Reply(HTTPStatus.UNAUTHORIZED, page("ADCE", said + form), (("WWW-Authenticate", "Bearer"),))

    def _is_known(self, path: str) -> bool:
        return path in self._always or path in self._badges or path in _PREPARED


_ASSETS = {path: answer(asset.body, asset.type) for path, asset in OF_ASSETS.items()}
_PREPARED = frozenset(path.path for path in PATHS if path.path != BADGE) | OF_SECTIONS.keys()


def headers_to_send(reply: Reply) -> Headers:
    """The headers of a reply."""
    is_kept = reply.status in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED)
    headers = {
        "Content-Type": reply.answer.type,
        "Content-Length": str(len(reply.answer.body)),
        "Cache-Control": "private, no-cache" if is_kept else "no-store",
        "Vary": "Accept, Authorization, Cookie",
        **({"ETag": reply.answer.etag} if is_kept else {}),
        **_ALWAYS,
    }
    if reply.status is HTTPStatus.NOT_MODIFIED:
        del headers["Content-Length"]
    return [(name.encode(), value.encode()) for name, value in [*headers.items(), *reply.headers]]


@lru_cache(maxsize=64)
def _tell_of(path: str, error: str) -> None:
    """Logs, once, that an answer has failed."""
    log.error("the answer at %r has failed: %s", path, error)


def _ok(found: Answer) -> Reply:
    return Reply(HTTPStatus.OK, found)


def _verdict(found: Answer, verdict: Verdict) -> Reply:
    return Reply(HTTPStatus.SERVICE_UNAVAILABLE if verdict is Verdict.FAIL else HTTPStatus.OK, found)


def problem(status: HTTPStatus, detail: str, *headers: tuple[str, str]) -> Reply:
    """An error as a problem document."""
    document = Problem(type="about:blank", title=status.phrase, status=status.value, detail=detail)
    return Reply(status, in_json(document, PROBLEM), headers)


def _told(headers: Any, status: HTTPStatus, title: str, why: str, *more: tuple[str, str]) -> Reply:
    """What is wrong with an address: as a page with a way back to whoever wants one, else as a problem document."""
    if "text/html" not in headers.get("accept", ""):
        return problem(status, why, *more)
    return Reply(status, html(notice(title, f"{why[:1].upper()}{why[1:]}.", LINKS)), more)


def _matches(if_none_match: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def _wants_open_metrics(accept: str) -> bool:
    """Does an Accept header prefer the OpenMetrics format, or want it as much as the text format?"""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (text.strip() for text in part.split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        with suppress(ValueError):
            weights[kind.lower()] = max(float(quality), weights.get(kind.lower(), 0.0))
    wanted = weights.get("application/openmetrics-text", 0.0)
    return wanted > 0 and wanted >= weights.get("text/plain", 0.0)


async def _body(receive: Receive) -> bytes | None:
    """The body of a request; None if it is too long. A client that is slow is cut off by the server."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":  # the client has gone
            return b""
        body += bytes(message.get("body", b""))
        if len(body) > MOST_OF_A_FORM:
            return None
        if not message.get("more_body", False):
            return body
