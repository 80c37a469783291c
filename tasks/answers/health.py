"""Is ADCE healthy? Healthy means that work has finished lately, and not that a process answers. Pure rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from tasks.domain.alert_messages import end_of
from tasks.domain.event_path import COMES_WITHIN, EventPath, PathState
from tasks.domain.incidents import BY_KIND, STOPS_WORK, Incident
from tasks.domain.times import SKEW
from tasks.domain.wording import duration, plural, size, utc

AWAY_FOR = timedelta(minutes=5)  # time after which something that does not answer is a failure
STALE_AFTER = 2  # refreshes
INCIDENTS = "incidents"  # the name of the check of open incidents
ANSWERS = "answers"  # the name of the check that the answers are those of the ledger as it is
_LATE, _TOO_LATE = 2, 4  # intervals
_SILENT = 3 * COMES_WITHIN
_IN_FUTURE = "which is in the future, so a clock is wrong or was"
SCARCE, _FULL = 1_000_000_000, 100_000_000  # bytes


class Verdict(StrEnum):
    """What a check has found. The words are those of the draft for health+json of the IETF."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Reached:
    """Whether something answers that ADCE needs: since when it is asked, its last good answer, and what is wrong."""

    since: datetime
    answered: datetime | None = None
    trouble: str = ""  # as a clause without a subject, such as "answers HTTP 503"; empty if it has answered
    cause: str = ""  # of the trouble, for those who are told of incidents; it may name a lake's address


@dataclass(frozen=True, slots=True)
class Events:
    """When the queue of the lake's events was last read, and whether they arrive; None if that is not known."""

    progress: datetime | None
    path: EventPath | None


@dataclass(frozen=True, slots=True)
class Held:
    """A source or dataset that is not asked now: why and until when, and how many files wait for it."""

    name: str
    reason: str
    files: int
    is_meant: bool  # by a person: an operator's pause, or a maintenance window


@dataclass(frozen=True, slots=True)
class Evaluated:
    """When the conditions of incidents were evaluated last, and the incidents that are open."""

    at: datetime | None
    open: Sequence[Incident]


@dataclass(frozen=True)
class Known:
    """What the checks judge. Whatever is not there to be checked is None, or has no entry."""

    interval: timedelta  # of scheduled reconciles
    refresh: timedelta
    since: datetime  # when the process began that checks
    reached: Mapping[str, Reached]  # by name; the ledger is one of them
    finished: datetime | None = None  # when the last reconcile ended that has worked through its plan
    events: Events | None = None
    free: Mapping[str, int] = field(default_factory=dict)  # bytes that are free for the ledger, the lake and so on
    served: datetime | None = None  # when the ledger was read for the answers that are given now
    unwritten: Sequence[str] = ()  # the paths whose answers could not be written then
    other_lake: str | None = None  # the address of another lake, if the look that is recorded is one at that
    held: Sequence[Held] = ()
    incidents: Evaluated | None = None
    incomplete: str = ""  # what the last reconcile has left undone that needs mending


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its verdict, the time of what it judges, and the conditions under which it warns and fails."""

    name: str
    verdict: Verdict
    time: datetime | None
    output: str
    warns: str
    fails: str


@dataclass(frozen=True, slots=True)
class Health:
    """All checks, the worst of which counts."""

    at: datetime
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of a check."""
        found = {check.verdict for check in self.checks}
        return next((worst for worst in (Verdict.FAIL, Verdict.WARN) if worst in found), Verdict.PASS)

    @property
    def output(self) -> str:
        """What is wrong, in one line; empty if nothing is."""
        return "; ".join(f"{check.name}: {check.output}" for check in self.checks if check.verdict is not Verdict.PASS)


def health_of(known: Known, now: datetime) -> Health:
    """The health of ADCE at `now`."""
    return Health(now, tuple(_checks(known, now)))


def is_ready(known: Known, now: datetime) -> bool:
    """Are the answers those of the ledger as it was within the last two refreshes?"""
    served = _trusted(known.served, now)
    return served is not None and now - served <= STALE_AFTER * known.refresh


def _checks(known: Known, now: datetime) -> Iterator[Check]:
    yield _reconcile(known, now)
    yield _answers(known, now)
    yield _sources(known.held, now)
    if known.incidents:
        yield _incidents(known.incidents, 2 * known.interval, now)
    for name, reached in known.reached.items():
        yield _reachable(name, reached, now)
    if known.events:
        yield _watch(known.events, known.since, now)
    for name, free in known.free.items():
        yield _disk(name, free, now)


def _reconcile(known: Known, now: datetime) -> Check:
    late, too_late = _LATE * known.interval, _TOO_LATE * known.interval
    finished = _trusted(known.finished, now)
    waited = now - (finished or known.since)
    verdict, output = _by_age(waited, late, too_late), "none has ended yet"
    if known.finished:
        ago = f"{duration(max(waited, timedelta()))} ago" if finished else _IN_FUTURE
        output = f"the last one ended {utc(known.finished)}, {ago}"
    if known.other_lake:
        output = f"{output}; its look was at {known.other_lake}, which is not the lake of the settings"
    if known.finished and known.incomplete:
        output = f"{output}; it was not complete: {known.incomplete}"
    if known.other_lake or not finished or known.incomplete:
        verdict = _at_least_warn(verdict)
    text = "no reconcile has ended for {}" + f", {{}} times reconcile.interval ({duration(known.interval)})"
    warns, fails = text.format(duration(late), _LATE), text.format(duration(too_late), _TOO_LATE)
    warns += ", it has left something undone that needs mending, or its look was at another lake"
    return Check("reconcile", verdict, known.finished, output, warns, fails)


def _answers(known: Known, now: datetime) -> Check:
    served, stale = _trusted(known.served, now), STALE_AFTER * known.refresh
    age = now - (served or known.since)
    verdict = _by_age(age, stale, stale + AWAY_FOR)
    output = f"they are as of {utc(known.served)}" if known.served else "none has been written yet"
    if known.unwritten:
        output = f"{output}; of {', '.join(known.unwritten)} the last ones stay; the log of adce serve says why"
    if known.unwritten or not served:
        verdict = _at_least_warn(verdict)
    warns = f"they are older than {duration(stale)}, {STALE_AFTER} times serve.refresh, or one cannot be written"
    return Check(ANSWERS, verdict, known.served, output, warns, f"they are older than {duration(stale + AWAY_FOR)}")


def _sources(held: Sequence[Held], now: datetime) -> Check:
    troubles = [one for one in held if one.files or not one.is_meant]
    waiting = {
        one: f"; {plural(one.files, 'file')} wait{'s' * (one.files == 1)}" if one.files else "" for one in troubles
    }
    output = ", and ".join(f"{one.name}: {one.reason}{waiting[one]}" for one in troubles)
    verdict = Verdict.WARN if troubles else Verdict.PASS
    warns = "one is not asked after refusals, failures or for want of its rate bucket, or files wait for what is paused"
    return Check("sources", verdict, now, output or "nothing holds up a source that files wait for", warns, "never")


def _incidents(known: Evaluated, late: timedelta, now: datetime) -> Check:
    """Are incidents open, and do they stop all work? Those that others explain are only counted."""
    roots = [one for one in known.open if not one.cause]
    names = [_named(one) for one in roots]
    explained = len(known.open) - len(roots)
    output = "; ".join([*names, f"{explained} more that follow from that"] if explained else names)
    verdict = Verdict.WARN if roots else Verdict.PASS
    if any(one.kind in STOPS_WORK and not one.cleared for one in known.open):
        verdict = Verdict.FAIL
    if untold := _not_evaluated(known.at, late, now):
        verdict, output = _at_least_warn(verdict), "; ".join(filter(None, (output, untold)))
    fails = "one that stops all work is not over: of the configuration, the ledger, the lake, Prefect or the reconcile"
    warns = f"one is open, or nobody has evaluated the conditions for {duration(late)}, or ever"
    return Check(INCIDENTS, verdict, known.at, output or "none is open", warns, fails)


def _named(incident: Incident) -> str:
    scope = f" ({incident.scope})" if incident.scope else ""
    end = end_of(incident)
    return f"{BY_KIND[incident.kind].title}{scope}{f', {end}' if end else ''}"


def _not_evaluated(at: datetime | None, late: timedelta, now: datetime) -> str:
    """Why the open incidents may not be those of now; empty if the conditions were evaluated lately."""
    if at is None:
        return "nobody has evaluated the conditions yet"
    if not _trusted(at, now):
        return f"the conditions were evaluated last {utc(at)}, {_IN_FUTURE}"
    return f"nobody has evaluated the conditions since {utc(at)}" if now - at > late else ""


def _reachable(name: str, reached: Reached, now: datetime) -> Check:
    if not reached.trouble and reached.answered:
        verdict, output = Verdict.PASS, "answers"
    elif not reached.trouble:
        verdict, output = Verdict.WARN, "has not been asked yet"
    else:
        away = now - (_trusted(reached.answered, now) or reached.since)
        verdict = Verdict.FAIL if away > AWAY_FOR else Verdict.WARN
        since = f"the last answer is of {utc(reached.answered)}" if reached.answered else "it has never answered"
        output = f"{reached.trouble}; {since}"
    fails = f"it has not answered for {duration(AWAY_FOR)}"
    return Check(name, verdict, reached.answered, output, "it does not answer", fails)


def _watch(events: Events, since: datetime, now: datetime) -> Check:
    progress = _trusted(events.progress, now)
    verdict, output = _by_age(now - (progress or since), COMES_WITHIN, _SILENT), "the queue has not been read"
    if events.progress:
        output = f"the queue was last read {utc(events.progress)}" + ("" if progress else f", {_IN_FUTURE}")
    if not progress:
        verdict = _at_least_warn(verdict)
    if events.path and events.path.state is PathState.BROKEN:
        verdict, output = _at_least_warn(verdict), f"{output}; {events.path.reason}"
    warns = f"the queue of the lake's events has not been read for {duration(COMES_WITHIN)}, or an event does not come"
    return Check("watch", verdict, events.progress, output, warns, f"it has not been read for {duration(_SILENT)}")


def _disk(name: str, free: int, now: datetime) -> Check:
    verdict = Verdict.FAIL if free < _FULL else Verdict.WARN if free < SCARCE else Verdict.PASS
    warns, fails = (f"less than {size(limit)} are free" for limit in (SCARCE, _FULL))
    return Check(f"disk of the {name}", verdict, now, f"{size(free)} are free", warns, fails)


_BADNESS = (Verdict.PASS, Verdict.WARN, Verdict.FAIL)


def _trusted(at: datetime | None, now: datetime) -> datetime | None:
    """The time, unless it lies in the future: then a machine whose clock was wrong has written it."""
    return at if at and at <= now + SKEW else None


def _at_least_warn(verdict: Verdict) -> Verdict:
    return max(verdict, Verdict.WARN, key=_BADNESS.index)


def _by_age(age: timedelta, warns: timedelta, fails: timedelta) -> Verdict:
    return Verdict.FAIL if age > fails else Verdict.WARN if age > warns else Verdict.PASS
