"""How does a run stop? It starts no more, lets what runs end within the grace, and then cuts it short."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from types import FrameType

from tasks.domain.reasons import Limit

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Whether a run was told to stop, and until when its fills may go on. Use it in the loop of the run."""

    def __init__(self, grace: timedelta, on_change: Callable[[], None]):
        """`on_change` is called when the run is told to stop."""
        self.reason: str | None = None  # why no more is started
        self.signal: int | None = None  # if that is why
        self.limit = Limit.STOPPED  # of the files that the run leaves by this
        self.cut_short_at = math.inf  # by time.monotonic
        self._grace = grace.total_seconds()
        self._was_signalled = False
        self._limits: dict[str, asyncio.Timeout] = {}  # of the fills that run, by id
        self._loop = asyncio.get_running_loop()
        self._on_change = on_change

    def request(self, why: str, by_signal: int | None = None, limit: Limit = Limit.STOPPED) -> None:
        """Stops the run: at a second signal at once.

        A run that is cancelled in Prefect sees that itself, and has one signal from its worker, in either order.
        """
        at_once = self._was_signalled and by_signal is not None
        self._was_signalled = self._was_signalled or by_signal is not None
        if self.reason and not at_once:
            return
        grace = 0.0 if at_once else self._grace
        log.warning("the run stops: %s; %s fills run, and have %.0f s to end", why, len(self._limits), grace)
        if not self.reason:
            self.reason, self.signal, self.limit = why, by_signal, limit
        self.cut_short_at = time.monotonic() + grace
        self._on_change()
        self._loop.call_later(grace, self._cut_short)

    @asynccontextmanager
    async def within(self, name: str, limit: timedelta) -> AsyncIterator[None]:
        """Raises TimeoutError in the block of a fill when its time limit is reached, or the run is cut short."""
        seconds = min(limit.total_seconds(), self.cut_short_at - time.monotonic())
        try:
            async with asyncio.timeout(seconds) as self._limits[name]:
                yield
        finally:
            del self._limits[name]

    def extend(self, seconds: float) -> None:
        """Gives the fills that run so much time from now on, unless the run stops."""
        if not self.reason:
            self._reschedule(seconds)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop the run, as long as the block lasts."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Python hears signals in the main thread only
            return
        context = contextvars.copy_context()  # in which Prefect knows whose the log lines are

        def stop(number: int, _: FrameType | None) -> None:
            self._loop.call_soon_threadsafe(self.request, signal.Signals(number).name, number, context=context)

        before = {number: signal.signal(number, stop) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _cut_short(self) -> None:
        self._reschedule(0.0)

    def _reschedule(self, seconds: float) -> None:
        for limit in self._limits.values():
            with suppress(RuntimeError):  # it has run out already, and its fill is about to end
                limit.reschedule(self._loop.time() + seconds)
