"""What keeps a source, or one of its scrapers, from being asked, and until when?

Both are the same machine: closed until something goes wrong, left alone until a time, then one probe. A source is
paused by a single refusal, a step an incident; the breaker of a scraper (a source's dataset) opens after several
failures within a window, of which each success forgives one. Pure: every change is a new Hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from config.models import Backoff, BreakerRules, Config
from tasks.domain.times import SKEW
from tasks.domain.wording import duration, plural

# While a probe is out, nobody else asks; one that is so late has died.
PROBE_PATIENCE = timedelta(minutes=2)
LONGEST_ASKED = timedelta(days=1)  # a site that asks for more is not obeyed further
_FIRST_SHARE = 1 / 8  # of the rate, when a ramp begins


class Phase(StrEnum):
    CLOSED = "closed"
    OPEN = "open"  # left alone
    HALF_OPEN = "half-open"  # one probe, and nothing else until it is answered


@dataclass(frozen=True, slots=True)
class Pause:
    """The pause of a source, or the circuit breaker of a scraper, which `name` says. Times are of the real clock."""

    name: str
    until: datetime | None = None
    reason: str = ""
    step: int = 0  # how often it was extended
    failures: tuple[datetime, ...] = ()  # not forgiven, of a scraper that is not held yet
    probe_until: datetime | None = None  # a probe is out, and given up then
    resumed_at: datetime | None = None

    def phase(self, now: datetime) -> Phase:
        if self.until is None:
            return Phase.CLOSED
        return Phase.OPEN if now < self.until else Phase.HALF_OPEN

    def may_probe(self, now: datetime, mine: datetime | None = None) -> bool:
        """`mine` is the `probe_until` of an earlier claim: nobody else has made one since."""
        free = self.probe_until is None or self.probe_until <= now or self.probe_until == mine
        return self.phase(now) is Phase.HALF_OPEN and free

    def free_at(self, now: datetime) -> datetime | None:
        """When it may be asked again: after the pause, or when the probe that is out is given up. None: now."""
        if self.until is None:
            return None
        if now < self.until:
            return self.until
        return self.probe_until if self.probe_until and now < self.probe_until else None

    def slower(self, now: datetime, ramp: timedelta) -> float:
        """How many times as far apart requests are, while the rate grows again after a pause."""
        if self.resumed_at is None or now >= self.resumed_at + ramp:
            return 1.0
        return 1 / max((now - self.resumed_at) / ramp, _FIRST_SHARE)


class Window(Pause):
    """A hold that the configuration tells of and no ledger: over when it is over, and no probe after it."""


def longest_pause(rules: Backoff) -> timedelta:
    """How long a source may be left alone."""
    return (1 + rules.jitter) * max(rules.first, rules.shut_out, rules.longest, LONGEST_ASKED)


def longest_break(rules: BreakerRules) -> timedelta:
    """How long a scraper may be left alone."""
    return max(rules.open_for, rules.longest)


def believed(pause: Pause, longest: timedelta, now: datetime, probe: timedelta = LONGEST_ASKED) -> Pause:
    """The same without what a wrong clock has written: then a probe will tell.

    A hold ends no later than after the `longest`, and a probe is given up after `probe`; what has happened is past.
    """
    if pause.until is not None and pause.until > now + longest:
        return replace(pause, until=now, probe_until=None)
    past = now + SKEW
    if pause.resumed_at is not None and pause.resumed_at > past:
        pause = replace(pause, resumed_at=None)
    if pause.probe_until is not None and pause.probe_until > now + probe:
        pause = replace(pause, probe_until=None)
    if any(at > past for at in pause.failures):
        pause = replace(pause, failures=tuple(at for at in pause.failures if at <= past))
    return pause


def all_believed(pauses: Mapping[str, Pause], config: Config, now: datetime) -> dict[str, Pause]:
    """The holds of sources, of their variants and of scrapers, by name, as far as they can be believed."""
    breaker = longest_break(config.reconcile.breaker)
    longest = {name: longest_pause(source.backoff) for name, source in config.sources.items()}
    return {name: believed(pause, longest.get(name.partition("@")[0], breaker), now) for name, pause in pauses.items()}


def refused(
    pause: Pause,
    rules: Backoff,
    asked: datetime,
    now: datetime,
    reason: str,
    *,
    shut_out: bool = False,
    wait: timedelta | None = None,
    jitter: float = 0.0,
) -> Pause:
    """A source has refused a request that was sent at `asked`; `wait` is what it said itself, `jitter` 0 to 1.

    Requests that were on their way when the pause began, or were sent in it, belong to the same incident: they can
    prolong it to what the source says, and are no further step. Quiet time begins with an answer: a pause that has
    run out says nothing of the source until somebody asks.
    """
    if pause.until is not None and asked < pause.until:
        longer = now + wait if wait else pause.until
        return replace(pause, until=max(pause.until, longer))
    if pause.resumed_at is not None and asked < pause.resumed_at:
        return pause  # sent before the source had recovered, answered after
    quiet = pause.until is None and (pause.resumed_at is None or now >= pause.resumed_at + rules.quiet)
    step = 0 if quiet else pause.step + 1
    first = rules.shut_out if shut_out else rules.first
    lasts = _doubled(first, step, max(rules.longest, first)) * (1 + rules.jitter * jitter)
    return Pause(pause.name, now + max(lasts, wait or timedelta()), reason, step)


def is_new_pause(before: Pause, after: Pause) -> bool:
    """Has a refusal begun a pause, and not only prolonged one or come too late to count?"""
    return after.until is not None and (before.until is None or after.step > before.step)


def failed(pause: Pause, rules: BreakerRules, asked: datetime, now: datetime, reason: str) -> Pause:
    """A scraper could not get a file that it asked for at `asked`."""
    if pause.until is not None:
        if asked < pause.until:
            return pause  # was on its way when the breaker opened
        step = pause.step + 1
        return Pause(pause.name, now + _doubled(rules.open_for, step, rules.longest), reason, step)
    failures = (*(at for at in pause.failures if at > now - rules.window), now)
    if len(failures) < rules.failures:
        return replace(pause, failures=failures, reason=reason)
    return Pause(
        pause.name,
        now + rules.open_for,
        f"{plural(len(failures), 'failure')} within {duration(rules.window)}; the last: {reason}",
    )


def succeeded(pause: Pause, asked: datetime, now: datetime) -> Pause:
    """It has answered a request that was sent at `asked`."""
    if pause.until is None:
        return replace(pause, failures=pause.failures[1:])  # the oldest: the others count for longer
    if asked < pause.until:
        return pause  # was on its way when it was refused: tells nothing about now
    return Pause(pause.name, step=pause.step, resumed_at=now)


def _doubled(first: timedelta, times: int, longest: timedelta) -> timedelta:
    """A pause that is doubled so many times, and no longer than the longest."""
    factor = 2**times
    return first * factor if first <= longest / factor else longest
