"""When may the next request leave, so that no window of time ever holds more than its rate?

Requests leave evenly spaced, at the pace of the tightest rate: then every window of every rate holds at most what
it may, and the whole budget is spent. A burst would gain nothing over a window and annoys the site. One request too
many costs far more than a hundredth of the rate, so windows are stretched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from config.models import Config, Rate

# Share of a window by which it is stretched, with bounds in seconds: a short window meets the same delays as a long
# one. Requests that leave or arrive late may use up the margin, but for this part of it.
_MARGIN, _LEAST_MARGIN, _MOST_MARGIN = 0.03, 0.03, 0.25
_KEPT = 0.3
# A slow answer makes its request count as late to arrive, but by no more than this share of a window.
_MOST_LATE = 0.4
# The quickest of so many recent answers tells how long an answer takes at least, once there are so many.
_ANSWERS, _FIRST_ANSWERS = 100, 10
# A process holds the bucket for about this long without renewing its lease, and for at least two requests: so long do
# the others wait when it dies.
_LEASE_SECONDS = 5.0
# A bucket is counted in hundredths of a request, since Prefect floors what has decayed.
_SHARES = 100


def margin(rate: Rate) -> float:
    """Seconds by which a window of the rate is stretched."""
    return min(max(_MARGIN * rate.seconds, _LEAST_MARGIN), _MOST_MARGIN)


def spacing(rates: Sequence[Rate]) -> float:
    """Seconds between two requests at the pace that keeps all of the rates."""
    return max((rate.seconds + margin(rate)) / rate.requests for rate in rates)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a source may spend: its own rates, and those of all sources together, which so many of them share."""

    own: Sequence[Rate]
    shared: Sequence[Rate] = ()
    sharing: int = 1

    @property
    def spacing(self) -> float:
        """Seconds between two requests of the source while no other source sends any."""
        return spacing([*self.own, *self.shared])


def budget_of(config: Config, source: str) -> Budget:
    """Only sources that are switched on share a rate."""
    sharing = sum(settings.enabled for settings in config.sources.values()) if config.rates else 1
    return Budget(config.sources[source].rates, config.rates, sharing)


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """What a bucket grants. A lease is all `slots`, a hundred a request; `decay` of them come back per second."""

    slots: int
    decay: float

    @property
    def lease(self) -> float:
        """Seconds from a grant of the whole bucket to when it is free again."""
        return self.slots / self.decay

    @property
    def spacing(self) -> float:
        """Seconds between two requests."""
        return _SHARES / self.decay

    @property
    def fit(self) -> bool:
        """Is this a bucket of ours, and not a limit that somebody made for something else?"""
        return self.lease >= max(_LEASE_SECONDS, 2 * self.spacing) * 0.9

    def same_as(self, other: LeaseTerms) -> bool:
        return self.slots == other.slots and abs(self.decay - other.decay) <= 0.001 * other.decay


def lease_terms_of(rates: Sequence[Rate]) -> LeaseTerms:
    """The bucket that spends these rates."""
    decay = _SHARES / spacing(rates)
    return LeaseTerms(round(max(_LEASE_SECONDS, 2 * spacing(rates)) * decay), decay)


@dataclass(eq=False, slots=True)
class Permit:
    """One request: when it was allowed to leave, when it was sent, and when its answer began (None: not yet)."""

    allowed: float
    sent: float | None = None
    answered: float | None = None


class Pace:
    """The pace of one process within its leases. Times are seconds of one monotonic clock.

    The upstream counts a request when it gets to read it. That was after the request was sent and before its answer
    began, earlier by at least what the quickest answer takes: an answer that is so much slower tells how late the
    request may have been counted. A slow site is not late without end: see _MOST_LATE.
    """

    def __init__(self, rates: Sequence[Rate]):
        self._windows: list[tuple[Rate, deque[Permit]]] = [(rate, deque(maxlen=rate.requests)) for rate in rates]
        self._due = float("-inf")  # when the last request was due to leave
        self._latencies: deque[float] = deque(maxlen=_ANSWERS)  # seconds

    def ready_at(self, now: float, apart: float) -> float:
        """The earliest time for the next request, `apart` seconds after the last one; asked again when it has come."""
        ready = max(now, self._due + apart)
        for rate, recent in self._windows:
            if len(recent) == rate.requests:
                ready = max(ready, self._arrived(recent[0], rate, now) + rate.seconds + _KEPT * margin(rate))
        return ready

    def leave(self, permit: Permit, apart: float) -> None:
        """Records a request that was allowed to go. The next one makes up for a delay of up to half of `apart`."""
        due = self._due + apart
        self._due = due if permit.allowed <= due + min(apart / 2, _MOST_MARGIN) else permit.allowed
        for _, recent in self._windows:
            recent.append(permit)

    def answered(self, permit: Permit, now: float) -> None:
        """The answer has begun, or it is known that none will come."""
        if permit.answered is not None:
            return
        if permit.sent is None:
            permit.sent = now
        else:
            self._latencies.append(now - permit.sent)
        permit.answered = now

    def free_from(self, now: float, apart: float) -> float:
        """When another process, which knows nothing of this one's requests, may begin to send one every `apart`.

        That is at least one spacing after the last answer, and late enough that no window holds too many requests of
        both processes together.
        """
        free = self._due + apart
        for rate, recent in self._windows:
            for nth, permit in enumerate(reversed(recent)):
                arrived = self._arrived(permit, rate, now)
                free = max(free, arrived + rate.seconds + _KEPT * margin(rate) - (rate.requests - 1 - nth) * apart)
            if recent:
                last = recent[-1]
                free = max(free, (now if last.answered is None else last.answered) + apart)
        return free

    def _arrived(self, permit: Permit, rate: Rate, now: float) -> float:
        """When the upstream counted a request, at the latest; one that is not sent yet may arrive any moment."""
        if permit.sent is None:
            return now
        answered = now if permit.answered is None else permit.answered
        quickest = min(self._latencies) if len(self._latencies) >= _FIRST_ANSWERS else 0.0
        late = answered - permit.sent - quickest
        return permit.sent + min(max(late, 0.0), _MOST_LATE * rate.seconds)
