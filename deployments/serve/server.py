"""How does the service listen, which clients does it cut off, and how does it end? uvicorn, with a time limit."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from config.models import Config, Serve
from deployments.process_facts import process_facts
from deployments.serve.access import host_of
from deployments.serve.app import Service
from deployments.serve.protocol import LONGEST_HEAD, Requests, refusal
from deployments.serve.refresh import Refresh
from tasks.domain.errors import AdceError
from tasks.domain.wording import signal_name
from tasks.publish.sending import sending
from tasks.publish.telling import telling

log = logging.getLogger(__name__)

_ANSWERED_WITHIN = 20.0  # seconds from the last answer, or the connection, to the next one in the client's hands
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # of the addresses that stand for all
_IDLE = 5  # seconds for which a connection without a request is kept
_REFUSED_WITHIN = 1.0  # seconds that a client has to take the answer to what is refused
_MOST_CONNECTIONS = 2000
_SPARE_FILES = 200  # that this process may have open besides connections
_ACCEPTED_AT_ONCE = 20  # connections; several times as many have a file open before they are counted
_BACKLOG = 1024  # connections that wait until they are accepted
_TURN = 0.0001  # seconds for which a thread may keep others waiting
_ENDS_WITHIN = 3  # seconds for answers that are being sent at the end


def serve(config: Config) -> None:
    """Answers requests, tells incidents, and sends metrics if that is configured, until a signal stops it.

    Raises AdceError if the port is in use, or a token is lacking.
    """
    check_access(config.serve)
    # A refresh must not delay requests: so threads take turns fifty times as often as usual, and what is there from the
    # beginning is not looked through for garbage, which would take 60 ms each time.
    sys.setswitchinterval(_TURN)
    gc.freeze()
    refresh = Refresh(config)
    facts = process_facts(config, reached=lambda: refresh.reached)
    told = telling(config, facts, facts.watches, refresh.note_written)
    with listener(config.serve) as listening, sending(config), told:
        asyncio.run(_serve(config, refresh, listening, _most_connections()))


def check_access(settings: Serve) -> None:
    """Raises AdceError if others than this machine could see everything."""
    if not settings.is_local and settings.token is None:
        raise AdceError(
            f"serve.host: {settings.host} can be reached from other machines, so a token is needed; "
            "set ADCE_SERVE__TOKEN to one, such as what `openssl rand -hex 32` prints"
        )


@contextmanager
def listener(settings: Serve, option: str = "--port") -> Iterator[socket.socket]:
    """A socket on which the service can listen. Raises AdceError if there can be none.

    `option` is the one by which somebody can choose another port.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AdceError(f"port {settings.port} of {settings.host} is in use; take another with {option}") from None
        where = f"port {settings.port} of {settings.host}"
        raise AdceError(f"serve: {where} cannot be listened on: {error.strerror}") from None
    with listening:
        # Its connections have it, too. asyncio sets it only where a socket names its protocol; without it, the body of
        # an answer waits for the client's acknowledgement of the head, which takes up to 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listening


def address_of(settings: Serve) -> str:
    """An address of the page at which this machine reaches it."""
    host = _LOOPBACK.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def lacks_names(settings: Serve) -> bool:
    """Does it listen on all addresses of this machine, although no Host header may have one but loopback's?"""
    return settings.host in _LOOPBACK and not settings.hosts


async def _serve(config: Config, refresh: Refresh, listening: socket.socket, most: int) -> None:
    server = _Server(_settings(config.serve, Service(config, refresh), most))
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        log.info("%s: stopping", signal_name(number))
        server.force_exit = server.should_exit  # a second signal does not wait for anybody
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    everywhere = ", and at all other addresses of this machine" if config.serve.host in _LOOPBACK else ""
    log.info("the service answers at %s%s", address_of(config.serve), everywhere)
    if lacks_names(config.serve):
        log.warning("it answers 421 to whoever does not call this machine localhost; serve.hosts lists further names")
    refreshing = asyncio.create_task(refresh.run())
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await asyncio.wait({refreshing, serving}, return_when=asyncio.FIRST_COMPLETED)
    if refreshing.done():
        await refreshing  # it raises
    refreshing.cancel()
    await asyncio.gather(refreshing, return_exceptions=True)
    await serving  # it raises what it has failed of


def _settings(settings: Serve, service: Service, most: int = _MOST_CONNECTIONS) -> uvicorn.Config:
    return uvicorn.Config(
        service,
        http=_TimedProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL,  # a client's mistakes are not worth a line each
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=settings.proxies,
        limit_concurrency=most,
        backlog=_ACCEPTED_AT_ONCE,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_ENDS_WITHIN,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to its caller."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(_BACKLOG)  # as many as are accepted at once would be too few

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _TimedProtocol(H11Protocol):
    """A connection that is cut off if its next answer is not in the client's hands in time.

    uvicorn itself waits for ever for the rest of a request's head, and for a client that reads nothing. It takes any
    number of connections on which nothing is asked, and its own refusals are plain text.
    """

    _deadline: asyncio.TimerHandle | None = None
    _is_refused = False
    began = 0.0  # when it was made, or last answered, by the clock of the loop

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.max_size = LONGEST_HEAD  # bytes that are read at once, and so kept at most for each connection
        self.conn = Requests()
        self._begin()
        self.began = self.loop.time()
        most, self.limit_concurrency = self.limit_concurrency, None
        if most is not None and len(self.connections) > most:
            self._make_room()

    def _make_room(self) -> None:
        """Closes the connection that has had no answer for longest, of the address with the most connections.

        So nobody can keep others out, such as probes.
        """
        by_address: dict[str, list[_TimedProtocol]] = {}
        for one in self.connections:
            if isinstance(one, _TimedProtocol) and not one.transport.is_closing():
                by_address.setdefault(host_of(one.client[0] if one.client else ""), []).append(one)
        most = max(by_address, key=lambda address: len(by_address[address]))
        lost = min(by_address[most], key=lambda one: one.began)
        if lost._is_refused or lost.transport.get_write_buffer_size():  # it has been answered, or reads nothing
            lost.transport.abort()
        else:
            lost._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            lost.transport.close()

    def data_received(self, data: bytes) -> None:
        if not self._is_refused:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answers what is no request, or one that is refused."""
        assert isinstance(self.conn, Requests)
        self._refuse(self.conn.refused)
        self.conn = Requests()  # what was received is of no use any longer
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()  # to close it while there is something to read would take the answer away
        self._begin(_REFUSED_WITHIN)

    def _refuse(self, status: HTTPStatus) -> None:
        self._is_refused = True
        self.transport.write(refusal(status))

    def on_response_complete(self) -> None:
        self._begin()
        self.began = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._deadline:
            self._deadline.cancel()

    def _begin(self, within: float | None = None) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(within or _ANSWERED_WITHIN, self.transport.abort)


def _most_connections() -> int:
    """How many connections there may be, after letting this process have files open for all if the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_CONNECTIONS + _SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST_CONNECTIONS
    files = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    if files < wanted:
        most = max(1, files - _SPARE_FILES)
        text = "this process may open %s files, so the service takes %s connections at once, not %s; see ulimit -Hn"
        log.warning(text, files, most, _MOST_CONNECTIONS)
        return most
    return _MOST_CONNECTIONS
