"""When may the next request leave, so that no window of time ever holds more than its rate?

Requests leave evenly spaced, at the pace of the tightest rate: then every window of every rate holds at most what
it may, and the whole budget is spent. A burst would gain nothing over a window and annoys the site. Between two
requests lies a little more than the rate asks for, since the upstream counts arrivals and the way there varies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from config.models import Rate

# Share of a window that is left free for what the way to the upstream adds to one request and not to another;
# with bounds in seconds: a short window meets the same network as a long one.
_MARGIN, _LEAST_MARGIN, _MOST_MARGIN = 0.016, 0.015, 0.25
# A process takes the whole bucket for about this long, and every hand-over costs this share of it: an answer of the
# Prefect server may take so much longer than its quickest. The longer the lease, the less is lost and the longer
# others wait.
_LEASE_SECONDS = 5.0
_HANDOVER = 0.006
# A bucket is counted in hundredths of a request: Prefect floors what has decayed, and a part of a request that is not
# needed can be given back.
_SHARES = 100


def margin(rate: Rate) -> float:
    """Seconds by which a window of the rate is stretched."""
    return min(max(_MARGIN * rate.seconds, _LEAST_MARGIN), _MOST_MARGIN)


def spacing(rates: Sequence[Rate]) -> float:
    """Seconds between two requests at the pace that keeps all of the rates."""
    return max((rate.seconds + margin(rate)) / rate.requests for rate in rates)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a bucket grants: a lease is all of its `slots`, a hundred a request; `decay` come back per second."""

    slots: int
    decay: float

    @property
    def lease(self) -> float:
        """Seconds from one grant of the whole bucket to the next."""
        return self.slots / self.decay

    @property
    def spacing(self) -> float:
        """Seconds between two requests of a lease, so that its last is as far from the next lease's first."""
        return self.lease * (1 - _HANDOVER) / self.slots * _SHARES

    @property
    def requests(self) -> int:
        """How many a lease is for."""
        return self.slots // _SHARES

    @property
    def fit(self) -> bool:
        """Is this a bucket of ours, and not a limit that somebody made for something else?"""
        return self.slots >= _SHARES and self.slots % _SHARES == 0 and self.lease >= _LEASE_SECONDS / 4

    def same_as(self, other: Terms) -> bool:
        return self.slots == other.slots and abs(self.decay - other.decay) <= 0.001 * other.decay


def terms_of(rates: Sequence[Rate]) -> Terms:
    """The bucket that spends these rates."""
    apart = spacing(rates)
    return Terms(max(1, round(_LEASE_SECONDS / apart)) * _SHARES, (1 - _HANDOVER) / apart * _SHARES)


@dataclass(eq=False, slots=True)
class Departure:
    """One request: allowed at a time, and sent at a later one (None until it is known)."""

    allowed: float
    sent: float | None = None


class Pace:
    """The pace of one process within its leases. Times are seconds of one monotonic clock.

    A request counts from the moment it was sent, not from the moment it was allowed: between the two a busy
    process can lose tens of milliseconds, and the next window would overlap.
    """

    def __init__(self, rates: Sequence[Rate]):
        self._windows: list[tuple[Rate, deque[Departure]]] = [(rate, deque(maxlen=rate.requests)) for rate in rates]
        self.tolerance = min(margin(rate) for rate in rates) / 4  # seconds by which a request may leave late
        self._due = float("-inf")  # when the last request was due to leave

    def ready_at(self, now: float, apart: float) -> float:
        """The earliest time for the next request, `apart` seconds after the last one; asked again when it has come."""
        ready = max(now, self._due + apart)
        for rate, recent in self._windows:
            if len(recent) == rate.requests:
                oldest = recent[0]
                # not yet sent: it may arrive any moment from now on
                arrived = now if oldest.sent is None else oldest.sent
                ready = max(ready, arrived + rate.seconds + margin(rate) / 2)
        return ready

    def leave(self, departure: Departure, apart: float) -> None:
        """Records a request that was allowed to go; one that left a moment late does not delay the next."""
        due = self._due + apart
        self._due = due if due <= departure.allowed <= due + self.tolerance else departure.allowed
        for _, recent in self._windows:
            recent.append(departure)
