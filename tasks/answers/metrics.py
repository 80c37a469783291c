"""What is the value of every metric now? Everything is read from the ledger, as it is at one moment."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from config.models import Config
from tasks.domain.metrics import (
    BEYOND,
    CATALOGUE,
    SNAPSHOT_SECONDS,
    SNAPSHOT_TIME,
    SUM,
    Counter,
    Distribution,
    Histogram,
    Measured,
    Metric,
    Series,
)
from tasks.ledger import Ledger

M = TypeVar("M", bound=Metric)
Values = dict[Metric, dict[tuple[str, ...], float]]


def measured(config: Config, ledger: Ledger, now: datetime) -> Measured:
    """The values of all metrics at `now`, for the labels that the configuration has."""
    began = time.perf_counter()
    totals = ledger.database.read_together(lambda: ledger.totals.current())
    values = counters_of(config, totals)
    values[SNAPSHOT_TIME] = {(): now.timestamp()}
    values[SNAPSHOT_SECONDS] = {(): time.perf_counter() - began}
    return Measured(now, values, histograms_of(config, totals))


def counters_of(config: Config, totals: Mapping[Series, float]) -> Values:
    """The counters that the running totals have. What was never counted is 0."""
    values: Values = {metric: dict.fromkeys(_series(config, metric), 0.0) for metric in _of_type(Counter)}
    by_name = {metric.name: metric for metric in values}
    for series, value in totals.items():
        if metric := by_name.get(series.name):
            labels = _labels(metric, series)
            if labels in values[metric]:
                values[metric][labels] = value
    return values


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
