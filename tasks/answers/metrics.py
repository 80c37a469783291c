"""What is the value of every metric now? Everything is read from the ledger, as it is at one moment."""

from __future__ import annotations

import itertools
import json
import logging
import math
import time
from collections import Counter as Counts
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from config.models import Config
from tasks.answers.incidents import cycle_of, limit_of, pauses_of
from tasks.answers.recorded import is_of
from tasks.domain.event_path import PathState
from tasks.domain.flags.maintenance import window_at
from tasks.domain.flow_names import FLOWS
from tasks.domain.incidents import MOST_MISSED, Kind
from tasks.domain.limits.pauses import Pause, Phase, all_trusted
from tasks.domain.limits.rates import budget_of
from tasks.domain.metrics import (
    ALERTS_LIMIT,
    ALERTS_MISSED,
    ALERTS_OWNER,
    BEYOND,
    BREAKERS,
    CATALOGUE,
    CELLS,
    COMPLETE_UNTIL,
    CRITICAL_FILES,
    CRITICAL_OLDEST,
    CYCLE_LASTS,
    DEFERRED,
    EVENT_PATH,
    FIRST_RUN,
    GAPS,
    INCIDENT,
    INCIDENTS,
    LAKE_BYTES,
    LAKE_FILES,
    LAST_RECONCILE,
    LAST_RUN,
    LOOK_TIME,
    LOST_FILES,
    OLDEST,
    OWNER,
    PAUSED_SINCE,
    QUEUE,
    RATE,
    RUNS_AT_WORK,
    SNAPSHOT_SECONDS,
    SNAPSHOT_TIME,
    SOURCE_PHASE,
    SUM,
    UNKNOWN,
    UNREAD,
    UNREADABLE_FILES,
    UNREADABLE_MESSAGES,
    UTILIZATION,
    VERIFIED_SINCE,
    WATCH_PROGRESS,
    Counter,
    Distribution,
    Histogram,
    Measured,
    Metric,
    Series,
)
from tasks.ledger import Ledger
from tasks.ledger.leases import runs_at_work
from tasks.observe.scope import path_of

log = logging.getLogger(__name__)

_LATELY = timedelta(minutes=1)
_COUNTED_BY_A_LOOK = (
    *(CELLS, GAPS, LOST_FILES, UNREADABLE_FILES, DEFERRED, UNREAD, UNKNOWN),
    *(LAKE_FILES, LAKE_BYTES, QUEUE, CRITICAL_FILES),
)

M = TypeVar("M", bound=Metric)
Values = dict[Metric, dict[tuple[str, ...], float]]


def measured(config: Config, ledger: Ledger, now: datetime) -> Measured:
    """The values of all metrics at `now`, for the labels that the configuration has."""
    began = time.perf_counter()

    def read() -> tuple[Mapping[Series, float], Values]:
        return ledger.totals.current(), {**_last_look(config, ledger), **_now(config, ledger, now)}

    totals, values = ledger.database.read_together(read)
    values |= counters_of(config, totals)
    histograms = histograms_of(config, totals)
    values[SNAPSHOT_TIME] = {(): now.timestamp()}
    values[SNAPSHOT_SECONDS] = {(): time.perf_counter() - began}
    return _credible(Measured(now, values, histograms))


def _credible(found: Measured) -> Measured:
    """The metrics without the series whose values cannot be true, which somebody or a damage must have written."""
    values = {
        metric: {labels: value for labels, value in series.items() if _may_be(value, isinstance(metric, Counter))}
        for metric, series in found.values.items()
    }
    distributions = {
        metric: {
            labels: one
            for labels, one in series.items()
            if all(_may_be(value, True) for value in (*one.counts, one.sum))
        }
        for metric, series in found.distributions.items()
    }
    names = [metric.name for metric, kept in values.items() if len(kept) != len(found.values[metric])]
    names += [metric.name for metric, kept in distributions.items() if len(kept) != len(found.distributions[metric])]
    _warn_of(frozenset(names))
    return Measured(found.at, values, distributions)


def _may_be(value: object, is_total: bool) -> bool:
    """May a metric have this value? A total is never negative."""
    return isinstance(value, int | float) and math.isfinite(value) and not (is_total and value < 0)


@lru_cache(maxsize=4)
def _warn_of(names: frozenset[str]) -> None:
    """Warns of metrics that have incredible values, once until others have them."""
    if names:
        text = "series of these metrics are left out, since their values in the ledger cannot be true: %s"
        log.warning(text, ", ".join(sorted(names)))


def _last_look(config: Config, ledger: Ledger) -> Values:
    """The gauges of what the last recorded look has found; empty if none is recorded of this lake.

    What it did not find is 0.
    """
    look = ledger.looks.last()
    if look is None or not is_of(look, config):
        return {}
    gauges = ledger.looks.gauges()
    return {
        LOOK_TIME: {(): look.taken_at.timestamp()},
        VERIFIED_SINCE: {(): look.listed_since.timestamp()},
        **_values(config, _COUNTED_BY_A_LOOK, gauges),
        **_values(config, (OLDEST, CRITICAL_OLDEST, COMPLETE_UNTIL), gauges, are_counts=False),
    }


def _now(config: Config, ledger: Ledger, now: datetime) -> Values:
    """The gauges of what is known besides the last look at the lake."""
    finished = ledger.looks.finished()
    ends, at_work = ledger.runs.last_ends(FLOWS), runs_at_work(ledger.database)
    rates = {name: 1 / budget_of(config, name).spacing for name in config.sources}
    lately = ledger.requests.lately(_LATELY)
    pauses = all_trusted(ledger.pauses.current(), config, now)
    phases, breakers = _phases(config, ledger, pauses, now), _open_breakers(config, pauses, now)
    first, cycle = ledger.runs.first_began(), cycle_of(ledger, now)
    return {
        FIRST_RUN: {(): first.timestamp()} if first else {},
        CYCLE_LASTS: {(): cycle[0]} if cycle else {},
        PAUSED_SINCE: _paused_since(config, pauses, now),
        ALERTS_OWNER: {(owner,): float(owner == config.alerts.owner) for owner in OWNER.values},
        ALERTS_LIMIT: {
            (kind, name): limit_of(config, Kind(kind), name) for kind in INCIDENT.values for name in config.sources
        },
        ALERTS_MISSED: {} if Kind.MISSED_EVENTS.value in config.alerts.limits else {(): MOST_MISSED},
        LAST_RUN: {(flow, end.value): at.timestamp() for (flow, end), at in ends.items()},
        LAST_RECONCILE: {} if finished is None else {(): finished.timestamp()},
        RUNS_AT_WORK: {(flow,): float(at_work.get(flow, 0)) for flow in FLOWS},
        RATE: {(name,): rate for name, rate in rates.items()},
        UTILIZATION: {(name,): lately.get(name, 0) / _LATELY.total_seconds() / rate for name, rate in rates.items()},
        SOURCE_PHASE: {(name, phase.value): float(phase is phases[name]) for name in config.sources for phase in Phase},
        BREAKERS: {(name,): float(breakers[name]) for name in config.sources},
        INCIDENTS: {(kind,): float(count) for kind, count in _open_incidents(ledger).items()},
        UNREADABLE_MESSAGES: {(): float(ledger.unread_messages.count())},
        **_events(ledger, now),
    }


def _phases(config: Config, ledger: Ledger, pauses: Mapping[str, Pause], now: datetime) -> dict[str, Phase]:
    """The phase of each source's pause: after a refusal, by an operator, or in a maintenance window."""
    by_operator = ledger.operator_pauses.current(now)

    def phase(name: str) -> Phase:
        if name in by_operator or window_at(config.maintenance, [name], now):
            return Phase.OPEN
        return pauses.get(name, Pause(name)).phase(now)

    return {name: phase(name) for name in config.sources}


def _paused_since(config: Config, pauses: Mapping[str, Pause], now: datetime) -> dict[tuple[str, ...], float]:
    """When the pauses of sources began that last."""
    begins = {name: [one.since for one in pauses_of(name, pauses, now) if one.since] for name in config.sources}
    return {(name,): min(found).timestamp() for name, found in begins.items() if found}


def _open_breakers(config: Config, pauses: Mapping[str, Pause], now: datetime) -> dict[str, int]:
    """How many circuit breakers of each source's scrapers are not closed."""
    found = dict.fromkeys(config.sources, 0)
    for name, pause in pauses.items():
        scraper = config.datasets.get(name.partition("@")[0])
        if scraper and pause.phase(now) is not Phase.CLOSED:
            found[scraper.source] += 1
    return found


def _open_incidents(ledger: Ledger) -> dict[str, int]:
    """How many incidents of each kind are open."""
    counts = Counts(one.kind.value for one in ledger.incidents.open())
    return {kind: counts[kind] for kind in INCIDENT.values}


def _events(ledger: Ledger, now: datetime) -> Values:
    """How events of the lake are watched; empty if they are not watched."""
    watch = ledger.announcements.watch(now)
    if watch is None:
        return {}
    state = path_of(ledger, watch, now).state
    return {
        WATCH_PROGRESS: {(): watch.progress.timestamp()},
        EVENT_PATH: {(one.value,): float(one is state) for one in PathState},
    }


def counters_of(config: Config, totals: Mapping[Series, float]) -> Values:
    """The counters that the running totals have. What was never counted is 0."""
    return _values(config, _of_type(Counter), totals)


def histograms_of(
    config: Config, totals: Mapping[Series, float]
) -> dict[Histogram, dict[tuple[str, ...], Distribution]]:
    """The histograms that the running totals have. What was never observed is 0."""
    by_name = {metric.name: metric for metric in _of_type(Histogram)}
    found: dict[tuple[str, tuple[str, ...]], dict[str, float]] = {}
    for series, value in totals.items():
        if metric := by_name.get(series.name):
            found.setdefault((series.name, _labels(metric, series)), {})[series.bucket] = value
    return {
        metric: {
            labels: _distribution(metric, found.get((metric.name, labels), {})) for labels in _series(config, metric)
        }
        for metric in by_name.values()
    }


def _values(
    config: Config, metrics: Iterable[Metric], by_series: Mapping[Series, float], *, are_counts: bool = True
) -> Values:
    """The values of metrics, by the labels that the configuration has. A count that is not there is 0."""
    known = {metric: dict.fromkeys(_series(config, metric), 0.0) for metric in metrics}
    values: Values = {metric: dict(zeros) if are_counts else {} for metric, zeros in known.items()}
    by_name = {metric.name: metric for metric in known}
    for series, value in by_series.items():
        metric = by_name.get(series.name)
        if metric and (labels := _labels(metric, series)) in known[metric]:
            values[metric][labels] = value
    return values


def _of_type(kind: type[M]) -> Iterator[M]:
    return (metric for metric in CATALOGUE if isinstance(metric, kind))


def _series(config: Config, metric: Metric) -> Iterator[tuple[str, ...]]:
    """The labels of all series that the metric can have with this configuration; each dataset has its own source."""
    names = [label.name for label in metric.labels]
    for values in itertools.product(*(label.values_in(config) for label in metric.labels)):
        by_name = dict(zip(names, values, strict=True))
        dataset, source = by_name.get("dataset"), by_name.get("source")
        if not (dataset and source) or config.datasets[dataset].source == source:
            yield values


def _labels(metric: Metric, series: Series) -> tuple[str, ...]:
    """The values of a series' labels, in the order of the metric's labels."""
    by_name = json.loads(series.labels)
    return tuple(by_name.get(label.name, "") for label in metric.labels)


def _distribution(metric: Histogram, buckets: Mapping[str, float]) -> Distribution:
    bounds: Iterable[str] = (*(f"{bound:g}" for bound in metric.bounds), BEYOND)
    return Distribution(tuple(buckets.get(bound, 0.0) for bound in bounds), buckets.get(SUM, 0.0))
