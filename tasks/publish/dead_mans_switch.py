"""A dead man's switch outside hears of each reconcile, and tells somebody if it hears nothing for too long."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from urllib.parse import urlsplit, urlunsplit

from blocks.bounded_http import UnansweredError, exchange
from config.secrets import masked
from tasks.domain.wording import one_line

log = logging.getLogger(__name__)

WITHIN = 10.0  # seconds for a ping, and for all that are left when the run has ended
_LONGEST_TEXT = 1000  # characters of an error


class DeadMansSwitch:
    """Pings in a thread of its own, in their order, as healthchecks.io has them. Without a URL nothing is sent.

    The thread holds up no run. It ends with the last ping, and the process of the run does not end before.
    """

    def __init__(self, url: str | None):
        self._url = url
        self._run = str(uuid.uuid4())  # by which the service tells runs apart that overlap
        self._pings: SimpleQueue[tuple[str, str] | None] = SimpleQueue()
        self._ends_at: float | None = None  # by time.monotonic; None before the run has ended
        if url:
            threading.Thread(target=self._send_all, name="dead man's switch").start()

    def started(self) -> None:
        """The run begins."""
        self._pings.put(("/start", ""))

    def succeeded(self) -> None:
        """The run has looked at the lake and planned."""
        self._pings.put(("", ""))

    def failed(self, error: Exception) -> None:
        """The run has raised an error."""
        text = masked(one_line(str(error) or type(error).__name__))
        self._pings.put(("/fail", text[:_LONGEST_TEXT]))

    def end(self) -> None:
        """No further ping follows."""
        self._ends_at = time.monotonic() + WITHIN
        self._pings.put(None)

    def _send_all(self) -> None:
        while ping := self._pings.get():
            within = WITHIN if self._ends_at is None else min(WITHIN, self._ends_at - time.monotonic())
            try:
                if within <= 0:
                    raise UnansweredError("it has not answered before")
                self._send(*ping, within)
            except Exception as error:  # whatever it is, the run goes on
                log.warning("alerts.ping: the run's %s is not heard: %s", ping[0] or "success", masked(str(error)))

    def _send(self, event: str, text: str, within: float) -> None:
        url = urlsplit(str(self._url))
        query = f"{url.query}&rid={self._run}" if url.query else f"rid={self._run}"
        address = urlunsplit(url._replace(path=url.path.rstrip("/") + event, query=query))
        method = "POST" if text else "GET"
        answer = asyncio.run(exchange(method, address, within, content=text.encode()))
        if not answer.is_success:
            raise UnansweredError(answer.line)


@contextmanager
def pinging(url: str | None) -> Iterator[DeadMansSwitch]:
    """A run, whose errors are told. It has to say itself when it has started and succeeded.

    A run that leaves its work to another one says neither, so that the switch rings if the other one hangs.
    """
    switch = DeadMansSwitch(url)
    try:
        yield switch
    except Exception as error:
        switch.failed(error)
        raise
    finally:
        switch.end()
