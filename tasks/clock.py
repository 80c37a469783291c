"""How many seconds have gone by? Also those for which this process was stopped or its host was asleep."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

# On Linux CLOCK_MONOTONIC stands still while the host sleeps and CLOCK_BOOTTIME does not; on macOS the former goes on.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def seconds() -> float:
    """Seconds since some moment; it never goes back, and never stands still."""
    return time.clock_gettime(_CLOCK)


class Stopwatch:
    """Seconds by part. While a part runs within another, only the inner one counts."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def running(self, part: str) -> Iterator[None]:
        self._count()
        self._running.append(part)
        try:
            yield
        finally:
            self._count()
            self._running.pop()

    def _count(self) -> None:
        now = seconds()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now
