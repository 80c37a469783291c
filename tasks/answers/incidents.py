"""What does the ledger know for the conditions of incidents? What it does not know is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from config.models import Config, Priority
from tasks.domain.assess.states import Kind as GapKind
from tasks.domain.event_path import PathState
from tasks.domain.incidents import LEAST_ATTEMPTS, Fact, Kind
from tasks.domain.limits.pauses import Phase, all_trusted
from tasks.domain.metrics import GAPS, OLDEST, QUEUE, Series, series_of
from tasks.domain.wording import plural, utc
from tasks.ledger import Ledger
from tasks.observe.scope import path_of

_SHORT, _LONG, _DAY = timedelta(minutes=15), timedelta(hours=6), timedelta(days=1)
_MOST_UNREAD = 1000
_LOST, _UNREADABLE = (GapKind.VANISHED, GapKind.SHRUNK), (GapKind.UNREADABLE,)


def facts_of(config: Config, ledger: Ledger, now: datetime) -> list[Fact]:
    """The facts that the ledger has at `now`, all as of one moment."""

    def read() -> list[Fact]:
        return [
            *_reconcile(ledger, now),
            *_paused(config, ledger, now),
            *_failures(config, ledger, now),
            *_critical_failures(config, ledger, now),
            *_last_look(config, ledger, now),
            *_events(ledger, now),
        ]

    return ledger.database.read_together(read)


def _reconcile(ledger: Ledger, now: datetime) -> Iterator[Fact]:
    if finished := ledger.looks.finished():
        waited = (now - finished).total_seconds()
        yield Fact(Kind.NO_RECONCILE, "", waited, reason=f"the last one ended {utc(finished)}")


def _paused(config: Config, ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """For how long each source has been paused after refusals, at any of its addresses."""
    pauses = all_trusted(ledger.pauses.current(), config, now)
    for name in config.sources:
        on = [one for one in pauses.values() if one.name.partition("@")[0] == name and one.phase(now) != Phase.CLOSED]
        known = [(one.since, one.reason) for one in on if one.since]
        if known:
            since, reason = min(known)
            yield Fact(Kind.SOURCE_PAUSED, name, (now - since).total_seconds(), reason=reason)
        elif not on:
            yield Fact(Kind.SOURCE_PAUSED, name, 0)


def _failures(config: Config, ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """The share of attempts that failed: the smaller of those of both windows, so that a burst alone is not enough."""
    lately, for_long = (ledger.attempts.ended_since(now - window) for window in (_SHORT, _LONG))
    for source in config.sources:
        if source not in lately:
            continue  # nothing was asked
        shares = [failed / (stored + failed) for stored, failed in (lately[source], for_long[source])]
        stored, failed = for_long[source]
        is_enough = stored + failed >= LEAST_ATTEMPTS
        reason = f"{failed:,} of {plural(stored + failed, 'attempt')} of 6 hours failed"
        yield Fact(Kind.FAILURES, source, min(shares) if is_enough else 0, failed, reason)


def _critical_failures(config: Config, ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """How often a CRITICAL file has failed in a row within a day, of each dataset the one that failed most often."""
    worst = ledger.attempts.failed_in_a_row(Priority.CRITICAL.value, now - _DAY)
    for name, dataset in config.datasets.items():
        count, key, files = worst.get(name, (0, "", 0))
        yield Fact(Kind.CRITICAL_FAILURES, f"{dataset.source}/{name}", count, files, key)


def _last_look(config: Config, ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """What the last look at the whole lake has found; nothing if none is recorded."""
    if ledger.looks.last() is None:
        return
    gauges = ledger.looks.gauges()
    for name, dataset in config.datasets.items():
        labels = {"source": dataset.source, "dataset": name}
        for kind, wrong in ((Kind.LOST, _LOST), (Kind.UNREADABLE, _UNREADABLE)):
            count = sum(gauges.get(series_of(GAPS, **labels, kind=one.value), 0) for one in wrong)
            yield Fact(kind, f"{dataset.source}/{name}", count, round(count))
    yield _critical_gap(gauges, now)


def _critical_gap(gauges: Mapping[Series, float], now: datetime) -> Fact:
    priority = Priority.CRITICAL.value
    oldest, files = (gauges.get(series_of(gauge, priority=priority)) for gauge in (OLDEST, QUEUE))
    waits = 0.0 if oldest is None else now.timestamp() - oldest
    return Fact(Kind.CRITICAL_GAP, "", waits, round(files or 0))


def _events(ledger: Ledger, now: datetime) -> Iterator[Fact]:
    """How the events of the lake arrive; nothing if they are not watched."""
    watch = ledger.announcements.watch(now)
    if watch is None:
        return
    path = path_of(ledger, watch, now)
    if path.state is not PathState.UNPROVED:
        yield Fact(Kind.EVENT_PATH, "", path.state is PathState.BROKEN, reason=path.reason)
    missed = sum(ledger.announcements.missed(now.date()).values())
    yield Fact(Kind.MISSED_EVENTS, "", missed, missed, "of today, in UTC")
    unread = [one for one in ledger.unread_messages.newest(_MOST_UNREAD) if one.at > now - _DAY]
    yield Fact(Kind.DEAD_LETTERS, "", len(unread), reason=unread[0].reason if unread else "")
