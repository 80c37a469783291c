"""When may the next request leave, so that no window of time ever holds more than its rate?

The upstream counts arrivals, so a request counts from the moment it was sent, not from the moment it was
allowed: between the two a busy process can lose tens of milliseconds, and the next window would overlap.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from config.models import Rate


@dataclass(eq=False, slots=True)
class Departure:
    """One request: allowed at a time, and sent at a later one (None until it is known)."""

    allowed: float
    sent: float | None = None


class Pace:
    """The pace of one rate. Times are seconds of one monotonic clock.

    Requests are spread evenly over the window (a burst gains nothing over a window and annoys the site), and
    the one that would be the first beyond the rate waits until the window has passed since the sending of the
    one it follows, and a little more: `slack` seconds for what the network adds to one and not to the other.
    """

    def __init__(self, rate: Rate, slack: float | None = None):
        self.rate = rate
        self.slack = min(0.015 * rate.seconds, 0.25) if slack is None else slack
        self._last: deque[Departure] = deque(maxlen=rate.requests)

    def ready_at(self, now: float) -> float:
        """The earliest time for the next request, as far as is known at `now`; asked again when it has come."""
        if not self._last:
            return now
        spread = self._last[-1].allowed + self.rate.seconds / self.rate.requests
        if len(self._last) < self.rate.requests:
            return max(now, spread)
        oldest = self._last[0]
        # not yet sent: it may arrive any moment from now on
        arrived = now if oldest.sent is None else oldest.sent
        return max(now, spread, arrived + self.rate.seconds + self.slack)

    def leave(self, departure: Departure) -> None:
        """Records a request that was allowed to go."""
        self._last.append(departure)
