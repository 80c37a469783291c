"""How many seconds have passed, including those for which this process was suspended or its host asleep?"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

# On Linux, CLOCK_MONOTONIC stands still while the host sleeps, and CLOCK_BOOTTIME does not (clock_gettime(2)). macOS
# lacks the latter, and its CLOCK_MONOTONIC does not stand still.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def seconds() -> float:
    """Seconds since some fixed moment. They never decrease, and count on while the host sleeps."""
    return time.clock_gettime(_CLOCK)


class Stopwatch:
    """Measures the seconds of the parts of some work. While one part runs within another, only the inner one counts."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def running(self, part: str) -> Iterator[None]:
        """A block whose seconds count for a part."""
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
