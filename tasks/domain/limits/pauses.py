"""Is a source paused, or the circuit breaker of a scraper open, and until when?

Both are one state machine: closed; open until a time; then half-open, with one probe whose answer decides. A single
refusal pauses a source, and each further incident doubles the pause. The circuit breaker of a scraper (of one dataset)
opens after several failures within a window; each success cancels one failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from config.models import YEARS, Backoff, BreakerRules, Config
from tasks.domain.times import SKEW
from tasks.domain.wording import duration, plural, utc

# How long a probe may wait for its answer before it counts as lost. No other request is sent in that time.
PROBE_TIMEOUT = timedelta(minutes=2)
OPENINGS_KEPT = timedelta(days=1)
LONGEST_ASKED = timedelta(days=1)  # a longer pause that a site asks for is cut to this
FOR_EVER = datetime.max.replace(tzinfo=UTC)  # the end of a window or an operator's pause that has none
_FIRST_SHARE = 1 / 8  # share of the rate that is used when the ramp after a pause begins


class Phase(StrEnum):
    """The state of a pause or circuit breaker."""

    CLOSED = "closed"  # requests may be sent
    OPEN = "open"  # no request may be sent
    HALF_OPEN = "half-open"  # one probe may be sent, and nothing else until it is answered


@dataclass(frozen=True, slots=True)
class Pause:
    """The pause of the source, or the circuit breaker of the scraper, called `name`. All times are real times."""

    name: str
    until: datetime | None = None  # None: closed
    reason: str = ""
    step: int = 0  # how often the pause was doubled
    failures: tuple[datetime, ...] = ()  # recent failures of a scraper whose circuit breaker is closed
    probe_until: datetime | None = None  # a probe waits for its answer, and counts as lost after this time
    resumed_at: datetime | None = None  # when a probe succeeded and ended the last pause
    since: datetime | None = None  # since when it has not been closed; None if it is closed, or that is not known
    openings: tuple[datetime, ...] = ()  # of a breaker: when it has opened within a day, also after a failed probe

    def phase(self, now: datetime) -> Phase:
        """The state at `now`."""
        if self.until is None:
            return Phase.CLOSED
        return Phase.OPEN if now < self.until else Phase.HALF_OPEN

    def may_probe(self, now: datetime, mine: datetime | None = None) -> bool:
        """May a probe be sent now: is the pause over and no other probe waiting for its answer?

        `mine` is the `probe_until` of our own earlier claim on the probe, which we may renew.
        """
        free = self.probe_until is None or self.probe_until <= now or self.probe_until == mine
        return self.phase(now) is Phase.HALF_OPEN and free

    def free_at(self, now: datetime) -> datetime | None:
        """When the next request may be sent: after the pause, or when the current probe counts as lost. None: now."""
        if self.until is None:
            return None
        if now < self.until:
            return self.until
        return self.probe_until if self.probe_until and now < self.probe_until else None

    def slower(self, now: datetime, ramp: timedelta) -> float:
        """The factor by which requests are spaced further apart now; it falls to 1 over the `ramp` after a pause."""
        if self.resumed_at is None or now >= self.resumed_at + ramp:
            return 1.0
        return 1 / max((now - self.resumed_at) / ramp, _FIRST_SHARE)


class Window(Pause):
    """A maintenance window. It comes from the configuration, not the ledger, and is not followed by a probe."""

    @property
    def ends(self) -> datetime | None:
        """When it is over; None if that is not known."""
        return None if self.until == FOR_EVER else self.until

    @property
    def ends_in_words(self) -> str:
        """When it is over: "until 2026-11-29 08:48 UTC" or "with no end"."""
        return f"until {utc(self.ends)}" if self.ends else "with no end"

    def is_on(self, now: datetime) -> bool:
        """May nothing be fetched at `now`?"""
        return self.phase(now) is Phase.OPEN


@dataclass(frozen=True, slots=True)
class OperatorPause(Window):
    """A pause of a source or a dataset, in all its variants, that an operator has set. `reason` is the note.

    It is over at `until`, and no probe follows.
    """

    by: str = ""


def end_of(until: datetime | None) -> datetime:
    """The end that an operator's pause has for this given one: FOR_EVER for none and for one beyond all YEARS."""
    return until if until and until.year <= YEARS[-1] else FOR_EVER


def longest_pause(rules: Backoff) -> timedelta:
    """The longest pause of a source that these rules allow."""
    return (1 + rules.jitter) * max(rules.first, rules.shut_out, rules.longest, LONGEST_ASKED)


def longest_open(rules: BreakerRules) -> timedelta:
    """The longest time for which these rules keep a circuit breaker open."""
    return max(rules.open_for, rules.longest)


def trusted(pause: Pause, longest: timedelta, now: datetime, probe: timedelta = LONGEST_ASKED) -> Pause:
    """The pause without times that only a wrong clock can have written.

    These are an end more than `longest` after now, the end of a probe more than `probe` after now, and events that have
    happened but lie in the future. If the end of a pause is wrong, it ends now, so that a probe follows.
    """
    if pause.until is not None and pause.until > now + longest:
        return replace(pause, until=now, probe_until=None)
    past = now + SKEW
    if pause.resumed_at is not None and pause.resumed_at > past:
        pause = replace(pause, resumed_at=None)
    if pause.since is not None and pause.since > past:
        pause = replace(pause, since=None)
    if pause.probe_until is not None and pause.probe_until > now + probe:
        pause = replace(pause, probe_until=None)
    if any(at > past for at in pause.failures):
        pause = replace(pause, failures=tuple(at for at in pause.failures if at <= past))
    if any(at > past for at in pause.openings):
        pause = replace(pause, openings=tuple(at for at in pause.openings if at <= past))
    return pause


def all_trusted(pauses: Mapping[str, Pause], config: Config, now: datetime) -> dict[str, Pause]:
    """The pauses and circuit breakers, by name, without times that only a wrong clock can have written."""
    breaker = longest_open(config.reconcile.breaker)
    longest = {name: longest_pause(source.backoff) for name, source in config.sources.items()}
    return {name: trusted(pause, longest.get(name.partition("@")[0], breaker), now) for name, pause in pauses.items()}


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
    """The pause of a source after it has refused a request that was sent at `asked`.

    `wait` is the time that the source asked for, and `jitter`, from 0 to 1, the share of the rules' jitter to add. If
    the request was sent before the end of the present pause, it belongs to the same incident: its refusal does not
    double the pause, but `wait` can prolong it. After `rules.quiet` without an incident, counted from a successful
    answer, the next incident counts as the first again.
    """
    if pause.until is not None and asked < pause.until:
        longer = now + wait if wait else pause.until
        return replace(pause, until=max(pause.until, longer))
    if pause.resumed_at is not None and asked < pause.resumed_at:
        return pause  # the request was sent before the source recovered
    quiet = pause.until is None and (pause.resumed_at is None or now >= pause.resumed_at + rules.quiet)
    step = 0 if quiet else pause.step + 1
    first = rules.shut_out if shut_out else rules.first
    lasts = _doubled(first, step, max(rules.longest, first)) * (1 + rules.jitter * jitter)
    return Pause(pause.name, now + max(lasts, wait or timedelta()), reason, step, since=_since(pause, now))


def probed_now(pause: Pause, now: datetime) -> Pause:
    """The pause or circuit breaker after an operator has ended it: half-open, so that the next request is a probe."""
    return replace(pause, until=now, probe_until=None) if pause.phase(now) is Phase.OPEN else pause


def is_new_pause(before: Pause, after: Pause) -> bool:
    """Did a refusal begin a new pause? It may also have prolonged the present one, or have come too late to count."""
    return after.until is not None and (before.until is None or after.step > before.step)


def failed(pause: Pause, rules: BreakerRules, asked: datetime, now: datetime, reason: str) -> Pause:
    """The circuit breaker of a scraper after it failed to get a file that it requested at `asked`."""
    if pause.until is not None:
        if asked < pause.until:
            return pause  # the request was sent before the circuit breaker opened
        step = pause.step + 1
        lasts = _doubled(rules.open_for, step, rules.longest)
        return Pause(pause.name, now + lasts, reason, step, since=_since(pause, now), openings=_openings(pause, now))
    failures = (*(at for at in pause.failures if at > now - rules.window), now)
    if len(failures) < rules.failures:
        return replace(pause, failures=failures, reason=reason)
    return Pause(
        pause.name,
        now + rules.open_for,
        f"{plural(len(failures), 'failure')} within {duration(rules.window)}; the last: {reason}",
        since=now,
        openings=_openings(pause, now),
    )


def succeeded(pause: Pause, asked: datetime, now: datetime) -> Pause:
    """The pause or circuit breaker after a successful answer to a request that was sent at `asked`."""
    if pause.until is None:
        return replace(pause, failures=pause.failures[1:])  # cancels the oldest failure, which would expire first
    if asked < pause.until:
        return pause  # the request was sent before the pause, so that its answer proves nothing about now
    return Pause(pause.name, step=pause.step, resumed_at=now, openings=pause.openings)


def _since(pause: Pause, now: datetime) -> datetime | None:
    """Since when a pause lasts that begins now. If a failed probe has prolonged an earlier one, that one counts."""
    return now if pause.until is None else pause.since


def _openings(pause: Pause, now: datetime) -> tuple[datetime, ...]:
    """The openings of the last day, with one now."""
    return (*(at for at in pause.openings if at > now - OPENINGS_KEPT), now)


def _doubled(first: timedelta, times: int, longest: timedelta) -> timedelta:
    """`first` doubled `times` times, and at most `longest`."""
    factor = 2**times
    return first * factor if first <= longest / factor else longest
