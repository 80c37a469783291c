"""How does a run stop? It starts no more fills, lets running ones end within the grace, and then cuts them short."""

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
from tasks.domain.wording import duration, signal_name

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class EarlyStop:
    """Handler of a signal that comes while a run is being opened. The run stops for it as soon as it is open.

    It is called again if the signal comes again, and then `end` ends the process.
    """

    def __init__(self, say: Callable[[str], None], end: Callable[[int], None]):
        self._say, self._end = say, end
        self._number: int | None = None
        self._has_begun = False

    def __call__(self, number: int, _: FrameType | None) -> None:
        if self._number is not None:
            self._end(number)
        self._number = number
        what = "has ended, and is reported" if self._has_begun else "stops (Ctrl-C) before it fetches anything"
        self._say(f"the run {what}; a second Ctrl-C does not wait for that")

    def take(self) -> int | None:
        """The signal that came while the run was being opened, if one did. Further calls return None."""
        number = None if self._has_begun else self._number
        if not self._has_begun:
            self._number, self._has_begun = None, True
        return number


class Shutdown:
    """The stop of one run: whether it has to stop, and until when its running fills may continue.

    Use it in the event loop of the run.
    """

    def __init__(self, grace: timedelta, on_change: Callable[[], None]):
        """`on_change` is called when the run has to stop. The running fills get the `grace` to end."""
        self.reason: str | None = None  # why the run stops; None while it is not stopping
        self.signal: int | None = None  # the signal that stopped the run, if one did
        self.limit = Limit.STOPPED  # the limit for files that are deferred because the run stops
        self.cut_short_at = math.inf  # when running fills are cut short, by time.monotonic
        self._grace = grace
        self._was_signalled = False
        self._limits: dict[str, asyncio.Timeout] = {}  # the time limits of the running fills, by id
        self._loop = asyncio.get_running_loop()
        self._on_change = on_change

    def request(self, why: str, by_signal: int | None = None, limit: Limit = Limit.STOPPED) -> None:
        """Stops the run: within the grace, or at once if this is the second signal.

        Other requests do not count as a first signal, because a run that is cancelled in Prefect always gets two: it
        notices the cancellation, and its worker sends a signal.
        """
        at_once = self._was_signalled and by_signal is not None
        self._was_signalled = self._was_signalled or by_signal is not None
        if self.reason and not at_once:
            return
        grace = 0.0 if at_once else self._grace.total_seconds()
        log.warning("%s", _sentence(why, None if at_once else self._grace))
        if not self.reason:
            self.reason, self.signal, self.limit = why, by_signal, limit
        self.cut_short_at = time.monotonic() + grace
        self._on_change()
        self._loop.call_later(grace, self._cut_short)

    @asynccontextmanager
    async def within(self, name: str, limit: timedelta) -> AsyncIterator[None]:
        """A block in which a fill runs. TimeoutError is raised in it at the time limit, or when it is cut short."""
        seconds = min(limit.total_seconds(), self.cut_short_at - time.monotonic())
        try:
            async with asyncio.timeout(seconds) as self._limits[name]:
                yield
        finally:
            del self._limits[name]

    def extend(self, seconds: float) -> None:
        """Gives the running fills `seconds` more from now on, unless the run is stopping."""
        if not self.reason:
            self._reschedule(seconds)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """A block during which SIGTERM and SIGINT stop the run."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Python handles signals in the main thread only
            return
        context = contextvars.copy_context()  # so that Prefect assigns log lines to the flow run

        def stop(number: int, _: FrameType | None) -> None:
            self._loop.call_soon_threadsafe(self.request, signal_name(number), number, context=context)

        before = {number: signal.signal(number, stop) for number in _SIGNALS}
        for handler in before.values():
            if isinstance(handler, EarlyStop) and (early := handler.take()):
                self.request(signal.Signals(early).name, early)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _cut_short(self) -> None:
        self._reschedule(0.0)

    def _reschedule(self, seconds: float) -> None:
        for limit in self._limits.values():
            with suppress(RuntimeError):  # this limit has been reached already, and its fill is ending
                limit.reschedule(self._loop.time() + seconds)


def _sentence(why: str, grace: timedelta | None) -> str:
    """What happens now that the run has to stop. Without a `grace`, running fills are cut short at once."""
    again = why if why == signal_name(signal.SIGINT) else "signal"
    if grace is None:
        return f"the run stops at once ({why}): running fills are cut short, and their files are left for the next run"
    return (
        f"the run stops ({why}): it starts no more fills, and waits at most {duration(grace)} for those that run; "
        f"a second {again} cuts them short"
    )
