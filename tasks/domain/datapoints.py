"""What is sent to CloudWatch of the metrics? What counters and histograms have gained, and the values of gauges."""

from __future__ import annotations

import json
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tasks.domain.metrics import (
    BEYOND,
    CLOUDWATCH,
    SUM,
    CloudWatchMetric,
    Counter,
    Gauge,
    Histogram,
    Measured,
    Metric,
    Series,
    Unit,
)

_UNITS = {Unit.NONE: "Count", Unit.SECONDS: "Seconds", Unit.TIMESTAMP: "Seconds", Unit.BYTES: "Bytes"}

Dimensions = tuple[tuple[str, str], ...]  # names and values


@dataclass(frozen=True, slots=True)
class Datapoint:
    """Values of one metric of CloudWatch, and how often each of them has occurred."""

    name: str
    dimensions: Dimensions
    values: tuple[float, ...]
    counts: tuple[float, ...]
    unit: str


def datapoints(
    totals: Mapping[Series, float], before: Mapping[Series, float] | None, measured: Measured
) -> list[Datapoint]:
    """The datapoints of a sending.

    `totals` are the running totals, and `before` those as of the last sending; None if nothing was ever sent, so that
    only gauges are sent. Of the counters in `measured`, only their labels matter, and its histograms do not.
    """
    gained = {} if before is None else {series: value - before.get(series, 0.0) for series, value in totals.items()}
    by_name: dict[str, list[tuple[Series, float]]] = {}
    for series, amount in gained.items():
        by_name.setdefault(series.name, []).append((series, max(amount, 0.0)))
    found: list[Datapoint] = []
    for one in CLOUDWATCH:
        match one.metric:
            case Counter():
                known = () if before is None else measured.values.get(one.metric, ())
                found += _of_counter(one, by_name.get(one.metric.name, ()), known)
            case Histogram():
                found += _of_histogram(one, one.metric.bounds, by_name.get(one.metric.name, ()))
            case Gauge():
                found += _of_gauge(one, measured)
    return found


def _of_counter(
    one: CloudWatchMetric, gained: Iterable[tuple[Series, float]], known: Iterable[tuple[str, ...]]
) -> Iterator[Datapoint]:
    """One datapoint for each set of dimensions, which is 0 if nothing has happened: what is idle is known to be so.

    `known` are the labels of all series that there can be, also of those that have never counted anything.
    """
    sums: Tally[Dimensions] = Tally({_dimensions(one, _by_name(one.metric, labels)): 0 for labels in known})
    for series, amount in gained:
        sums[_dimensions(one, json.loads(series.labels))] += amount  # type: ignore[assignment]  # bytes are floats
    for dimensions, amount in sums.items():
        yield _datapoint(one, dimensions, {amount: 1})


def _of_histogram(
    one: CloudWatchMetric, bounds: tuple[float, ...], gained: Iterable[tuple[Series, float]]
) -> Iterator[Datapoint]:
    """Each duration counts as the bound of its bucket, and one that is beyond all bounds as the last bound."""
    counts: dict[Dimensions, Tally[float]] = {}
    for series, amount in gained:
        if series.bucket != SUM and amount:
            bound = bounds[-1] if series.bucket == BEYOND else float(series.bucket)
            found = counts.setdefault(_dimensions(one, json.loads(series.labels)), Tally())
            found[bound] += amount  # type: ignore[assignment]  # counts of the ledger are floats
    for dimensions, by_bound in counts.items():
        yield _datapoint(one, dimensions, by_bound)


def _of_gauge(one: CloudWatchMetric, measured: Measured) -> Iterator[Datapoint]:
    found: dict[Dimensions, list[float]] = {}
    for labels, value in measured.values.get(one.metric, {}).items():
        found.setdefault(_dimensions(one, _by_name(one.metric, labels)), []).append(value)
    for dimensions, values in found.items():
        value = max(measured.at.timestamp() - min(values), 0.0) if one.is_age else sum(values)
        yield _datapoint(one, dimensions, {value: 1})


def _by_name(metric: Metric, labels: tuple[str, ...]) -> dict[str, str]:
    return {label.name: value for label, value in zip(metric.labels, labels, strict=True)}


def _dimensions(one: CloudWatchMetric, labels: Mapping[str, str]) -> Dimensions:
    return tuple((label.name, labels[label.name]) for label in one.dimensions)


def _datapoint(one: CloudWatchMetric, dimensions: Dimensions, counts: Mapping[float, float]) -> Datapoint:
    values = sorted(counts)
    unit = _UNITS.get(one.metric.unit, "None")
    return Datapoint(one.name, dimensions, tuple(values), tuple(float(counts[value]) for value in values), unit)
