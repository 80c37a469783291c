"""When may the next request be sent, so that no time window ever contains more requests than its rate allows?

Requests are spaced evenly at the pace of the tightest rate, so that no window of any rate exceeds its limit and the
whole rate is used. Bursts would send no more over a whole window, and disturb the site. Windows are stretched by a
margin, because one request too many costs far more than a slightly lower rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from config.models import Config, Rate

# Share of a window by which it is stretched, and the bounds of the stretch in seconds. The bounds are there because
# network delays do not depend on the length of a window.
_MARGIN, _LEAST_MARGIN, _MOST_MARGIN = 0.03, 0.03, 0.25
# Share of the margin that is kept even if a request is sent or arrives late.
_KEPT = 0.3
# A slow answer means that its request may have arrived late, but by at most this share of a window.
_MOST_LATE = 0.4
# The shortest possible time of an answer is the shortest of the last _ANSWERS. It is 0 until there are _FIRST_ANSWERS.
_ANSWERS, _FIRST_ANSWERS = 100, 10
# How many seconds an allowance lasts if it is not renewed. It lasts at least as long as two requests take. If a process
# dies, the others wait that long.
_ALLOWANCE_SECONDS = 5.0
# A slot of a bucket is a hundredth of a request, because Prefect rounds the number of decayed slots down.
_SHARES = 100


def margin(rate: Rate) -> float:
    """The seconds by which the window of a rate is stretched."""
    return min(max(_MARGIN * rate.seconds, _LEAST_MARGIN), _MOST_MARGIN)


def spacing(rates: Sequence[Rate]) -> float:
    """The seconds between two requests that keep all the rates."""
    return max((rate.seconds + margin(rate)) / rate.requests for rate in rates)


@dataclass(frozen=True, slots=True)
class Budget:
    """The rate budget of a source: its own rates, and the rates that `sharing` sources, with itself, share."""

    own: Sequence[Rate]
    shared: Sequence[Rate] = ()
    sharing: int = 1

    @property
    def spacing(self) -> float:
        """Seconds between two requests of the source while no other source sends any."""
        return spacing([*self.own, *self.shared])


def budget_of(config: Config, source: str) -> Budget:
    """The budget of a source. Only enabled sources share a rate."""
    sharing = sum(settings.enabled for settings in config.sources.values()) if config.rates else 1
    return Budget(config.sources[source].rates, config.rates, sharing)


@dataclass(frozen=True, slots=True)
class AllowanceTerms:
    """The terms of a bucket's allowances. An allowance takes all `slots`, of which `decay` become free in a second.

    A request counts as 100 slots.
    """

    slots: int
    decay: float

    @property
    def seconds(self) -> float:
        """Seconds from a grant of the whole bucket to when it is free again."""
        return self.slots / self.decay

    @property
    def spacing(self) -> float:
        """Seconds between two requests."""
        return _SHARES / self.decay

    @property
    def is_bucket(self) -> bool:
        """Are these the terms of one of ADCE's buckets, and not of a limit that was made for something else?"""
        return self.seconds >= max(_ALLOWANCE_SECONDS, 2 * self.spacing) * 0.9

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.decay / _SHARES

    def differs(self, want: AllowanceTerms) -> str:
        """How these terms differ from those that are wanted, in words: with the numbers that Prefect shows.

        If the rate differs, the slots are told only where they fit neither the one rate nor the other.
        """
        if not want.same_as(replace(self, slots=want.slots)):
            is_of_a_rate = self.slots == want.slots or abs(self.slots - _slots(self.decay)) <= 1
            limit = "" if is_of_a_rate else f"; limit {self.slots}, should be {want.slots}"
            return (
                f"slot decay {self.decay:.4g}/s ({self.rate:.3g} requests/s), should be {want.decay:.4g}/s "
                f"({want.rate:.3g} requests/s){limit}"
            )
        return f"limit {self.slots} at {self.decay:.4g}/s, should be {want.slots} at {want.decay:.4g}/s"

    def same_as(self, other: AllowanceTerms) -> bool:
        """Are the terms equal, within the precision that Prefect stores?"""
        return self.slots == other.slots and abs(self.decay - other.decay) <= 0.001 * other.decay


def allowance_terms_of(rates: Sequence[Rate]) -> AllowanceTerms:
    """The terms of the bucket for these rates."""
    decay = _SHARES / spacing(rates)
    return AllowanceTerms(_slots(decay), decay)


def _slots(decay: float) -> int:
    """The slots of a bucket of this rate."""
    return round(max(_ALLOWANCE_SECONDS, 2 * _SHARES / decay) * decay)


@dataclass(eq=False, slots=True)
class Permit:
    """The permit of one request: when it was granted, when the request was sent, and when its answer began.

    Times are seconds of a monotonic clock; None means not yet.
    """

    allowed: float
    sent: float | None = None
    answered: float | None = None


class Pace:
    """The pace of the requests of one process while it has an allowance. Times are seconds of one monotonic clock.

    A site counts a request when it reads it, which we do not see. The latest possible moment is the beginning of the
    answer minus the shortest time that an answer takes. So if the answer is slow, the request may have been counted
    late. The delay assumed for a request is limited by _MOST_LATE.
    """

    def __init__(self, rates: Sequence[Rate]):
        self._windows: list[tuple[Rate, deque[Permit]]] = [(rate, deque(maxlen=rate.requests)) for rate in rates]
        self._due = float("-inf")  # when the last request was due to be sent
        self._latencies: deque[float] = deque(maxlen=_ANSWERS)  # seconds from sending a request to its answer

    def ready_at(self, now: float, apart: float) -> float:
        """The earliest time for the next request, at least `apart` seconds after the last one.

        The caller asks again when that time has come, since an answer can change it.
        """
        ready = max(now, self._due + apart)
        for rate, recent in self._windows:
            if len(recent) == rate.requests:
                ready = max(ready, self._arrived(recent[0], rate, now) + rate.seconds + _KEPT * margin(rate))
        return ready

    def allow(self, permit: Permit, apart: float) -> None:
        """Records a request that was permitted. If it was delayed by up to half of `apart`, the next one catches up."""
        due = self._due + apart
        self._due = due if permit.allowed <= due + min(apart / 2, _MOST_MARGIN) else permit.allowed
        for _, recent in self._windows:
            recent.append(permit)

    def answered(self, permit: Permit, now: float) -> None:
        """Records that the answer has begun, or that none will come."""
        if permit.answered is not None:
            return
        if permit.sent is None:
            permit.sent = now
        else:
            self._latencies.append(now - permit.sent)
        permit.answered = now

    def free_from(self, now: float, apart: float) -> float:
        """When another process may begin to send one request every `apart` seconds without knowing our requests.

        That is at least `apart` after the last answer, and so late that no window can contain too many requests of both
        processes together.
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
        """The latest time at which the site may have counted a request: now, if the request is not sent yet."""
        if permit.sent is None:
            return now
        answered = now if permit.answered is None else permit.answered
        quickest = min(self._latencies) if len(self._latencies) >= _FIRST_ANSWERS else 0.0
        late = answered - permit.sent - quickest
        return permit.sent + min(max(late, 0.0), _MOST_LATE * rate.seconds)
