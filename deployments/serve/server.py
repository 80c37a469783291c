"""How does the service listen, which clients does it cut off, and how does it end? uvicorn, with a time limit."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from config.models import Config, Serve
from deployments.serve.app import Service
from deployments.serve.refresh import Refresh
from tasks.domain.errors import AdceError
from tasks.domain.wording import signal_name
from tasks.publish.sending import sending

log = logging.getLogger(__name__)

_ANSWERED_WITHIN = 20.0  # seconds from the last answer, or the connection, to the next one in the client's hands
_IDLE = 5  # seconds for which a connection without a request is kept
_LONGEST_HEAD = 16 * 1024  # bytes of a request's line and headers
_MOST_CONNECTIONS = 2000
_SPARE_FILES = 200  # that this process may have open besides connections
_ENDS_WITHIN = 3  # seconds for answers that are being sent at the end


def serve(config: Config) -> None:
    """Answers requests, and sends metrics if that is configured, until a signal stops it.

    Raises AdceError if the port is in use, or a token is lacking.
    """
    check_access(config.serve)
    with listener(config.serve) as listening, sending(config):
        _allow_connections()
        asyncio.run(_serve(config, listening))


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
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AdceError(f"port {settings.port} of {settings.host} is in use; take another with {option}") from None
        where = f"port {settings.port} of {settings.host}"
        raise AdceError(f"serve: {where} cannot be listened on: {error.strerror}") from None
    with listening:
        yield listening


def address_of(settings: Serve) -> str:
    """The address of the page, for people."""
    return f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{settings.port}"


async def _serve(config: Config, listening: socket.socket) -> None:
    refresh = Refresh(config)
    server = _Server(_settings(config.serve, Service(config, refresh)))
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        log.info("%s: stopping", signal_name(number))
        server.force_exit = server.should_exit  # a second signal does not wait for anybody
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    log.info("the service answers at %s", address_of(config.serve))
    refreshing = asyncio.create_task(refresh.run())
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await asyncio.wait({refreshing, serving}, return_when=asyncio.FIRST_COMPLETED)
    if refreshing.done():
        await refreshing  # it raises
    refreshing.cancel()
    await asyncio.gather(refreshing, return_exceptions=True)


def _settings(settings: Serve, service: Service) -> uvicorn.Config:
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
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_ENDS_WITHIN,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to its caller."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _TimedProtocol(H11Protocol):
    """A connection that is cut off if its next answer is not in the client's hands in time.

    uvicorn itself waits for ever for the rest of a request's head, and for a client that reads nothing.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._begin()

    def on_response_complete(self) -> None:
        self._begin()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._deadline:
            self._deadline.cancel()

    def _begin(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(_ANSWERED_WITHIN, self.transport.abort)


def _allow_connections() -> None:
    """Lets this process have as many files open as it has connections at most, if the system allows that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_CONNECTIONS + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
