"""How many seconds have gone by? Also those for which this process was stopped or its host was asleep."""

import time

# On Linux CLOCK_MONOTONIC stands still while the host sleeps and CLOCK_BOOTTIME does not; on macOS the former goes on.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def seconds() -> float:
    """Seconds since some moment; it never goes back, and never stands still."""
    return time.clock_gettime(_CLOCK)
