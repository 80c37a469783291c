"""What does the ledger know for the conditions of incidents? What it does not know is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from config.models import Config, Priority
from tasks.answers.recorded import is_of
from tasks.domain.event_path import PathState
from tasks.domain.incidents import LEAST_ATTEMPTS, MOST_MISSED, Fact, Incident, Kind, Settings
from tasks.domain.limits.pauses import Pause, Phase, all_trusted
from tasks.domain.limits.servers import two_servers
from tasks.domain.metrics import (
    CRITICAL_FILES,
    CRITICAL_OLDEST,
    DEFERRED,
    LOST_FILES,
    UNKNOWN,
    UNREADABLE_FILES,
    Series,
    series_of,
)
from tasks.domain.reasons import Limit
from tasks.domain.wording import and_more, plural, utc
from tasks.ledger import Ledger
from tasks.ledger.leases import unplanned_since, uses_since
from tasks.observe.scope import path_of

_SHORT, _LONG, _DAY, _WEEK = timedelta(minutes=15), timedelta(hours=6), timedelta(days=1), timedelta(days=7)
_INTERVALS = 2  # within which runs of two servers are compared
_MOST_UNREAD = 1000
_OF_EVENTS = (Kind.EVENT_PATH, Kind.MISSED_EVENTS, Kind.DEAD_LETTERS)
_NOT_FETCHED = "the settings have it fetched no longer"


def facts_of(config: Config, ledger: Ledger, now: datetime, since: datetime | None = None) -> list[Fact]:
    """The facts that the ledger has at `now`, all as of one moment.

    `since` is when services began to run, if one wants to know. Before that, ADCE may have been stopped on purpose.
    """

    def read() -> list[Fact]:
        then = _time_of_runs(config, ledger, now)
        pauses = all_trusted(ledger.pauses.current(), config, now)
        found = (
            *_reconcile(config, ledger, now, since),
            *_cycle(ledger, now),
            _servers(config, ledger, now),
            *_paused(config, ledger, pauses, now),
            *_breakers(config, pauses, now),
            *_failures(config, ledger, now),
            *_critical_failures(config, ledger, then),
            *_checks(config, ledger, then),
            *_last_look(config, ledger, then),
            *_events(ledger, now),
            *_of_nothing(config, ledger, now),
        )
        return [
            fact if _is_asked(config, fact.scope) else fact._replace(value=0, unwatched=_NOT_FETCHED) for fact in found
        ]

    return ledger.database.read_together(read)


def lost_facts(config: Config, ledger: Ledger, now: datetime) -> list[Fact]:
    """Which files the last look at the whole lake has found lost: a part of `facts_of`."""
    found = ledger.database.read_together(lambda: list(_last_look(config, ledger, _time_of_runs(config, ledger, now))))
    return [fact for fact in found if fact.kind is Kind.LOST and _is_asked(config, fact.scope)]


def limit_of(config: Config, kind: Kind, scope: str) -> float:
    """The limit of a condition for a scope, by these settings."""
    limits = {str(name): limit for name, limit in config.alerts.limits.items()}
    return Settings(interval=config.reconcile.interval, limits=limits).limit_of(kind, scope)


def passed_limit(config: Config, incident: Incident) -> float:
    """The limit that the value of an incident was above; by these settings, if that is not known."""
    return limit_of(config, incident.kind, incident.scope) if incident.passed is None else incident.passed


def _time_of_runs(config: Config, ledger: Ledger, now: datetime) -> datetime:
    """The time that it is for runs, by which gaps are detected and attempts recorded: a sandbox has its own clock."""
    look = ledger.looks.last() if config.sandbox else None
    return look.taken_at if look else now


def _reconcile(config: Config, ledger: Ledger, now: datetime, since: datetime | None) -> Iterator[Fact]:
    """How long ago the last reconcile ended; if none has, how long ago the first run began.

    It is not known to be too long until it would be too long since services began to run, if that is given.
    """
    if finished := ledger.looks.finished():
        begin, reason = finished, f"the last one ended {utc(finished)}"
    elif first := ledger.runs.first_began():
        begin, reason = first, "none has ended yet"
    else:
        return
    ago, limit = (now - begin).total_seconds(), limit_of(config, Kind.NO_RECONCILE, "")
    if since is None or ago <= limit or (now - since).total_seconds() > limit:
        yield Fact(Kind.NO_RECONCILE, "", ago, reason=reason)


def _cycle(ledger: Ledger, now: datetime) -> Iterator[Fact]:
    if found := cycle_of(ledger, now):
        yield Fact(Kind.SLOW_CYCLE, "", found[0], reason=found[1])


def cycle_of(ledger: Ledger, now: datetime) -> tuple[float, str] | None:
    """How many seconds the last reconcile took to plan, or the one at work has taken so far if that is more; and which.

    None if none is known.
    """
    last, begun = ledger.runs.last_cycle(), unplanned_since(ledger.database)
    so_far = (now - begun).total_seconds() if begun else 0.0
    if begun and so_far > (last[1] if last else 0.0):
        return so_far, f"the one at work since {utc(begun)} has no plan yet"
    return (last[1], f"the last one began {utc(last[0])}") if last else None


def _servers(config: Config, ledger: Ledger, now: datetime) -> Fact:
    """Do runs of two Prefect servers use this ledger?"""
    since = now - _INTERVALS * config.reconcile.interval
    both = two_servers(uses_since(ledger.database, since), config.reconcile.interval)
    reason = f"{both[0].address} and {both[1].address} both have a rate bucket for the same rate" if both else ""
    return Fact(Kind.SERVERS, "", both is not None, reason=reason)


def _paused(config: Config, ledger: Ledger, pauses: Mapping[str, Pause], now: datetime) -> Iterator[Fact]:
    """For how long each source has been paused after refusals, at any of its addresses, and how many files wait."""
    look = ledger.looks.last()
    gauges = ledger.looks.gauges() if look and is_of(look, config) else {}
    for name in config.sources:
        on = pauses_of(name, pauses, now)
        known = [(one.since, one.reason) for one in on if one.since]
        if known:
            since, reason = min(known)
            waiting = gauges.get(series_of(DEFERRED, source=name, limit=Limit.BACKOFF.value), 0)
            asked = max(one.until for one in on if one.until)
            reason = f"{reason}; it is asked again from {utc(asked)}"
            yield Fact(Kind.SOURCE_PAUSED, name, (now - since).total_seconds(), round(waiting), reason)
        elif not on:
            yield Fact(Kind.SOURCE_PAUSED, name, 0)


def pauses_of(source: str, pauses: Mapping[str, Pause], now: datetime) -> list[Pause]:
    """The pauses of a source, at any of its addresses, that last."""
    return [one for one in pauses.values() if _of(one) == source and one.phase(now) != Phase.CLOSED]


def _breakers(config: Config, pauses: Mapping[str, Pause], now: datetime) -> Iterator[Fact]:
    """How often the circuit breaker of each dataset's scraper has opened within a day, of its variants the worst."""
    opened: dict[str, tuple[int, str]] = {}
    for one in pauses.values():
        found = sum(at > now - _DAY for at in one.openings), one.reason
        opened[_of(one)] = max(opened.get(_of(one), (0, "")), found)
    for name, dataset in config.datasets.items():
        count, reason = opened.get(name, (0, ""))
        yield Fact(Kind.BREAKER, f"{dataset.source}/{name}", count, reason=reason)


def _of(pause: Pause) -> str:
    """The source or dataset of a pause, which may be one at the address of a rollout."""
    return pause.name.partition("@")[0]


def _failures(config: Config, ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """The share of attempts that failed: the smaller of those of both windows, so that a burst alone is not enough.

    In a sandbox, whose clock stands still, no window ends, so nothing is known.
    """
    if config.sandbox:
        return
    failing = ledger.failures.files_since(now - _LONG)
    lately, for_long = (ledger.attempts.ended_since(now - window) for window in (_SHORT, _LONG))
    for source in config.sources:
        stored, failed = for_long.get(source, (0, 0))
        if stored + failed < LEAST_ATTEMPTS:
            yield Fact(Kind.FAILURES, source, 0)
        elif source in lately:  # else nothing was asked
            share = min(lost / (kept + lost) for kept, lost in (lately[source], (stored, failed)))
            reason = f"{failed:,} of {plural(stored + failed, 'attempt')} of 6 hours failed"
            files = sum(failing.get(name, 0) for name, one in config.datasets.items() if one.source == source)
            yield Fact(Kind.FAILURES, source, share, files, reason)


def _critical_failures(config: Config, ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """How often a CRITICAL file has failed in a row within a day, of each dataset the one that failed most often."""
    worst = ledger.failures.in_a_row(Priority.CRITICAL.value, now - _DAY)
    for name, dataset in config.datasets.items():
        count, key, files = worst.get(name, (0, "", 0))
        yield Fact(Kind.CRITICAL_FAILURES, f"{dataset.source}/{name}", count, files, key)


def _checks(config: Config, ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """How many of the last bodies of each dataset have failed their check one after another, within a week."""
    bad = ledger.failures.failed_checks(now - _WEEK)
    for name, dataset in config.datasets.items():
        bodies, error, key = bad.get(name, (0, "", ""))
        reason = f"{key or 'the last one'}: {error}" if bodies else ""
        yield Fact(Kind.CHECKS, f"{dataset.source}/{name}", bodies, bodies, reason)


def _last_look(config: Config, ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """What the last look at the whole lake has found; nothing if none is recorded of this lake.

    While a schedule of a dataset is unknown, so are its games: that nothing is found does not say that all is well.
    """
    look = ledger.looks.last()
    if look is None or not is_of(look, config):
        return
    gauges = ledger.looks.gauges()
    lost = ledger.gaps.first_lost() if any(series.name == LOST_FILES.name for series in gauges) else {}
    for name, dataset in config.datasets.items():
        labels = {"source": dataset.source, "dataset": name}
        is_known = not gauges.get(series_of(UNKNOWN, dataset=name))
        for kind, gauge in ((Kind.LOST, LOST_FILES), (Kind.UNREADABLE, UNREADABLE_FILES)):
            count = gauges.get(series_of(gauge, **labels), 0)
            reason = _named(lost.get(name), round(count)) if kind is Kind.LOST else ""
            if count or is_known:
                yield Fact(kind, f"{dataset.source}/{name}", count, round(count), reason)
        critical = _critical_gap(gauges, labels, now)
        if critical.value or is_known:
            yield critical


def _named(key: str | None, count: int) -> str:
    """Names one of so many files; empty if none is known."""
    return f"{key}{and_more(count)}" if key and count else ""


def _critical_gap(gauges: Mapping[Series, float], labels: Mapping[str, str], now: datetime) -> Fact:
    """For how long the CRITICAL file of a dataset has been missing that was detected first."""
    oldest, files = (gauges.get(series_of(gauge, **labels)) for gauge in (CRITICAL_OLDEST, CRITICAL_FILES))
    scope = f"{labels['source']}/{labels['dataset']}"
    if oldest is None:
        return Fact(Kind.CRITICAL_GAP, scope, 0)
    reason = f"the first one was detected {utc(datetime.fromtimestamp(oldest, UTC))}"
    return Fact(Kind.CRITICAL_GAP, scope, now.timestamp() - oldest, round(files or 0), reason)


def _events(ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """How the events of the lake arrive; nothing if they are not watched."""
    watch = ledger.announcements.watch(now)
    if watch is None:
        return
    path = path_of(ledger, watch, now)
    if path.state is not PathState.UNPROVED:
        yield Fact(Kind.EVENT_PATH, "", path.state is PathState.BROKEN, reason=path.reason)
    today = now.astimezone(UTC).date()
    missed, taken = sum(ledger.announcements.missed(today).values()), ledger.announcements.taken(today)
    reason = f"of {plural(missed + taken, 'event')} today, in UTC"
    yield Fact(Kind.MISSED_EVENTS, "", missed, missed, reason, most=MOST_MISSED * (missed + taken))
    unread = [one for one in ledger.unread_messages.newest(_MOST_UNREAD) if one.at > now - _DAY]
    yield Fact(Kind.DEAD_LETTERS, "", len(unread), reason=unread[0].reason if unread else "")


def _of_nothing(config: Config, ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """That incidents are over of what is no longer there: a source, a dataset, or the watch of events."""
    is_watched = config.events.queue is not None or ledger.announcements.watch(now) is not None
    for one in ledger.incidents.open():
        if not _is_asked(config, one.scope):
            yield Fact(one.kind, one.scope, 0, unwatched=_NOT_FETCHED)
        elif one.kind in _OF_EVENTS and not is_watched:
            yield Fact(one.kind, one.scope, 0, unwatched="the events of the lake are not watched any more")


def _is_asked(config: Config, scope: str) -> bool:
    """Do the settings have the source or dataset of a scope, and is it enabled?"""
    source, _, dataset = scope.partition("/")
    of_source, of_dataset = config.sources.get(source), config.datasets.get(dataset)
    is_source_asked = not source or (of_source is not None and of_source.enabled)
    return is_source_asked and (not dataset or (of_dataset is not None and of_dataset.enabled))
