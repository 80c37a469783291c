"""How does the sandbox answer a request? As an ASGI application with rate limits, faults and a log."""

import asyncio
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from deployments.sandbox import sites
from deployments.sandbox.bodies import refusals
from deployments.sandbox.bodies.odd import ODD, made_odd
from deployments.sandbox.bodies.unfinished import with_fewer_plays
from deployments.sandbox.bodies.walls import WALLS
from deployments.sandbox.corrections import Correction
from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.league import League
from deployments.sandbox.limits import Rate, SlidingWindow
from deployments.sandbox.routes import Routes
from deployments.sandbox.sites import HTML, JSON, PREFIXES, Page
from tasks.domain.expected.games import GameStatus

_LOG_LENGTH = 100_000
_LARGE = 40 * 1024 * 1024  # bytes; more than the default max_bytes of any dataset
_CONNECTIONS: dict[tuple[str, int], asyncio.Transport] = {}


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, which also registers each client's transport, for faults below HTTP."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        _CONNECTIONS[transport.get_extra_info("peername")[:2]] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        _CONNECTIONS.pop(self.transport.get_extra_info("peername")[:2], None)
        super().connection_lost(exc)


@dataclass(slots=True)
class LoggedRequest:
    """A request as the sandbox's log has it."""

    time: str  # of arrival, as ISO time in UTC
    monotonic: float  # time of arrival by the monotonic clock, in seconds
    source: str
    url: str  # path and query below the source's base URL
    status: int | None = None  # HTTP status of the answer; None if there was no answer
    fault: str | None = None
    limited: bool = False  # whether it was refused because it exceeded the rate
    unknown: bool = False  # whether neither a route nor the site itself has a page at this path


@dataclass
class Sandbox:
    """The sites of a league, with their clock, rate limits, faults and log."""

    league: League
    rates: dict[str, Rate] = field(default_factory=dict)
    hang_over_limit: frozenset[str] = frozenset()  # sources that never answer a request over the limit, instead of 429
    faults: list[Fault] = field(default_factory=list)
    corrections: tuple[Correction, ...] = ()
    routes: Routes = field(default_factory=Routes)  # answers that come from a file of the user's
    latency: float = 0.0  # seconds
    clock: datetime | None = None  # moment at which the clock stands still; None for the real clock
    monotonic: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.log: deque[LoggedRequest] = deque(maxlen=_LOG_LENGTH)
        self.answers: Counter[tuple[str, str]] = Counter()  # number of answers to each source and URL in the log
        self.forget_accepted()
        # Pages are rendered in a thread, so that the event loop takes the time of the next request without delay.
        # More threads would compete with the event loop for the interpreter.
        self.renderer = ThreadPoolExecutor(max_workers=1)

    def forget_accepted(self) -> None:
        """Counts none of the requests so far towards the rates."""
        self.windows = {source: SlidingWindow(rate) for source, rate in self.rates.items()}

    def now(self) -> datetime:
        return self.clock or datetime.now(UTC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as the site that the first part of the path names."""
        arrived = self.monotonic()
        prefix, _, rest = scope["path"].lstrip("/").partition("/")
        source = PREFIXES.get(prefix) or (prefix if prefix in self.routes.sources else None)
        if source is None or scope["type"] != "http":
            await Response("no such site", 404)(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        url = f"/{rest}?{query}" if query else f"/{rest}"
        entry = LoggedRequest(datetime.now(UTC).isoformat(), arrived, source, url)
        self.log.append(entry)
        await self._answer(entry, scope, receive, send)

    async def _answer(self, entry: LoggedRequest, scope: Scope, receive: Receive, send: Send) -> None:
        window = self.windows.get(entry.source)
        if window and (wait := window.wait(entry.monotonic)):
            entry.limited = True
            if entry.source in self.hang_over_limit:
                await _until_the_client_leaves(receive)
                return
            await self._send(entry, _too_many(entry.source), scope, receive, send, wait)
            return
        fault = self._fault(entry)
        if self.latency:
            await asyncio.sleep(self.latency)
        if fault in (FaultKind.HANG, FaultKind.RESET, FaultKind.CUT_OFF):
            await self._break(fault, entry, scope, receive)
            return
        await self._send(entry, await self._page(entry, fault), scope, receive, send)

    def _fault(self, entry: LoggedRequest) -> FaultKind | None:
        seed = self.league.seed
        struck = (fault.kind for fault in self.faults if fault.strikes(seed, entry.source, entry.url))
        kind = next(struck, None)
        entry.fault = kind.value if kind else None
        return kind

    async def _page(self, entry: LoggedRequest, fault: FaultKind | None) -> Page:
        """The page to send. With a fault its content may be wrong, but the HTTP response is complete."""
        if fault and (instead := _instead(fault, entry.source)):
            return instead
        url = sites.mistaken(self.league, entry.url) if fault is FaultKind.WRONG_ID else entry.url
        url = sites.other_kind(url) if fault is FaultKind.OTHER_KIND else url
        self.answers[entry.source, url] += 1
        page = self.routes.answer(entry.source, url, self.answers[entry.source, url])
        entry.unknown = page is None and not sites.has_page(entry.source, url)
        if page is None and entry.source in sites.SOURCES:
            asked = (self.league, entry.source, url, self.now(), self.answers[entry.source, url], self.corrections)
            page = await asyncio.get_running_loop().run_in_executor(self.renderer, sites.answer, *asked)
        page = page or sites.missing(entry.source)
        if fault in ODD:
            return Page(page.status, page.media_type, made_odd(fault, page.body))
        if fault in (FaultKind.NO_PLAYS, FaultKind.FEW_PLAYS):
            return replace(page, body=with_fewer_plays(page.body, 0 if fault is FaultKind.NO_PLAYS else 0.5))
        if fault is FaultKind.TRUNCATED:
            return Page(page.status, page.media_type, page.body[: len(page.body) // 2])
        return page

    async def _send(
        self, entry: LoggedRequest, page: Page, scope: Scope, receive: Receive, send: Send, wait: float = 0.0
    ) -> None:
        entry.status = page.status
        headers = page.headers | ({"Retry-After": str(int(wait) + 1)} if wait or page.status == 429 else {})
        response = Response(page.body, page.status, headers, media_type=page.media_type)
        await response(scope, receive, send)

    async def _break(self, fault: FaultKind, entry: LoggedRequest, scope: Scope, receive: Receive) -> None:
        """Leaves the client without a complete response, past the HTTP layer, which does not allow that."""
        transport = _CONNECTIONS.get(tuple(scope["client"]))
        if transport and fault is FaultKind.RESET:
            transport.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
            transport.close()
        elif transport and fault is FaultKind.CUT_OFF:
            page = await self._page(entry, None)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {page.media_type}\r\nContent-Length: {len(page.body)}"
            transport.write(head.encode() + b"\r\n\r\n" + page.body[: len(page.body) // 2])
            transport.close()
        await _until_the_client_leaves(receive)


async def _until_the_client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_many(source: str) -> Page:
    if source == "basketball_reference":
        return Page(429, HTML, refusals.rate_limited())
    return Page(429, JSON, b'{"message":"Too Many Requests"}')


def _instead(fault: FaultKind, source: str) -> Page | None:
    """The page that replaces the right one, or None for a fault that is made from the right page."""
    match fault:
        case FaultKind.FORBIDDEN:
            return Page(403, HTML, refusals.access_denied())
        case FaultKind.BLOCK:
            return Page(200, HTML, refusals.access_denied())
        case FaultKind.NOT_FOUND:
            return sites.missing(source)
        case FaultKind.TOO_MANY:
            return _too_many(source)
        case FaultKind.SERVER_ERROR | FaultKind.UNAVAILABLE:
            return Page(int(fault), HTML, refusals.broken(int(fault)))
        case FaultKind.SOFT_404:
            return Page(200, HTML, refusals.index_page())
        case FaultKind.EMPTY if source == "basketball_reference":
            return Page(200, HTML, refusals.nothing_here())
        case FaultKind.EMPTY:
            return Page(200, JSON, b"{}")
        case FaultKind.LARGE:
            return Page(200, JSON, b"[" + b" " * _LARGE + b"]")
        case FaultKind.DENSE:
            return Page(200, JSON, b"[" + b"{}," * 1_200_000 + b"{}]")
        case FaultKind.BOMB:
            return Page(200, JSON, _bomb(), {"Content-Encoding": "gzip"})
        case _ if wall := WALLS.get(fault.value):
            return Page(wall.status, wall.media_type, wall.body, wall.headers)
        case _:
            return None


def _bomb() -> bytes:
    """1 GB of zero bytes, compressed to 1 MB."""
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    zeros = bytes(1024 * 1024)
    return b"".join(compressor.compress(zeros) for _ in range(1024)) + compressor.flush()


@dataclass
class _Controls:
    """HTTP endpoints by which tests and demonstrations inspect and change the running sandbox."""

    sandbox: Sandbox

    async def requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.sandbox.log.clear()
            self.sandbox.answers.clear()
        return JSONResponse([asdict(entry) for entry in self.sandbox.log])

    async def rates(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.sandbox.forget_accepted()
        return JSONResponse({source: str(rate) for source, rate in self.sandbox.rates.items()})

    async def faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.sandbox.faults.clear()
        if request.method == "POST":
            try:
                self.sandbox.faults.append(_fault(await request.json()))
            except (ValueError, TypeError, KeyError) as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse([asdict(fault) for fault in self.sandbox.faults])

    async def corrections(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.sandbox.corrections = ()
        if request.method == "POST":
            try:
                self.sandbox.corrections += (self._correction(await request.json()),)
            except (ValueError, TypeError, KeyError) as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse([asdict(correction) for correction in self.sandbox.corrections])

    def _correction(self, given: dict[str, Any]) -> Correction:
        game = self.sandbox.league.find(given["game_id"])
        if game is None or game.status(self.sandbox.now()) is not GameStatus.FINAL:
            raise ValueError(f"{given['game_id']!r} is not a game that is over")
        source = given.get("source")
        return Correction(given["game_id"], source if source is None else sites.known(source))

    async def clock(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self.sandbox.clock = parse_clock((await request.json())["now"])
            except (ValueError, TypeError, KeyError) as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"now": self.sandbox.now().isoformat()})


def _fault(given: dict[str, Any]) -> Fault:
    source, kind = sites.known(given["source"]), FaultKind(given["kind"])
    return Fault(source, kind, float(given.get("share", 1.0)), given.get("first"), given.get("match", ""))


def parse_clock(text: str | None) -> datetime | None:
    """The moment of a stopped clock, in UTC unless it has an offset; None for the real clock.

    Raises ValueError for a text that is not an ISO time.
    """
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def create_app(sandbox: Sandbox) -> Starlette:
    controls = _Controls(sandbox)
    return Starlette(
        routes=[
            Route("/_sandbox/requests", controls.requests, methods=["GET", "DELETE"]),
            Route("/_sandbox/rates", controls.rates, methods=["GET", "DELETE"]),
            Route("/_sandbox/faults", controls.faults, methods=["GET", "POST", "DELETE"]),
            Route("/_sandbox/corrections", controls.corrections, methods=["GET", "POST", "DELETE"]),
            Route("/_sandbox/clock", controls.clock, methods=["GET", "POST"]),
            Mount("/", app=sandbox),
        ]
    )
