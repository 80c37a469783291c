"""What is counted for ever, by which labels, and within which bounds?

The ledger adds to these totals in the transaction that records a fact, and never prunes them.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Counter:
    """A sum that only grows."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many durations there were up to each of the bounds, in seconds, and their sum."""

    name: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]


_ANSWER = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_WORK = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_LAG = (
    _MINUTE,
    5 * _MINUTE,
    15 * _MINUTE,
    _HOUR,
    3 * _HOUR,
    6 * _HOUR,
    12 * _HOUR,
    _DAY,
    3 * _DAY,
    7 * _DAY,
    30 * _DAY,
)

FILLS = Counter("fills", ("source", "dataset", "outcome"))
FILES = Counter("files", ("source", "dataset", "outcome", "limit"))  # the limit of those that were deferred
BYTES = Counter("bytes", ("source", "dataset"))
REQUESTS = Counter("requests", ("source", "dataset"))
REFUSALS = Counter("refusals", ("source",))  # of a source, or of its variant
PAUSES = Counter("pauses", ("source",))
RUNS = Counter("runs", ("kind", "outcome"))
FILL_SECONDS = Histogram("fill_seconds", ("source", "dataset"), _WORK)
FILE_SECONDS = Histogram("file_seconds", ("source", "dataset"), _ANSWER)  # from the request to the body
WAITED_SECONDS = Histogram("waited_seconds", ("source",), _WORK)  # for the rate limit
DUE_TO_DETECTED = Histogram("due_to_detected_seconds", ("dataset",), _LAG)  # of files that were missing
DETECTED_TO_STORED = Histogram("detected_to_stored_seconds", ("source", "dataset"), _LAG)
RUN_SECONDS = Histogram("run_seconds", ("kind", "part"), _WORK)

CATALOGUE = (
    FILLS,
    FILES,
    BYTES,
    REQUESTS,
    REFUSALS,
    PAUSES,
    RUNS,
    FILL_SECONDS,
    FILE_SECONDS,
    WAITED_SECONDS,
    DUE_TO_DETECTED,
    DETECTED_TO_STORED,
    RUN_SECONDS,
)
SUM = "sum"
BEYOND = "+Inf"  # all bounds


class Series(NamedTuple):
    """One total: of a counter, or of a histogram's durations within a bound (and beyond the one before), or their sum.

    `labels` is a JSON object, its names in order; `bucket` is the bound, SUM or BEYOND, and empty for a counter.
    """

    name: str
    labels: str
    bucket: str = ""


@dataclass
class Amounts:
    """What is to be added to the totals together."""

    by_series: dict[Series, float] = field(default_factory=dict)

    def count(self, counter: Counter, amount: float = 1, **labels: str) -> None:
        if amount:
            self._add(Series(counter.name, _text(counter.labels, labels)), amount)

    def observe(self, histogram: Histogram, seconds: float, **labels: str) -> None:
        """A duration; one that seems negative, since a clock was set, counts as none."""
        seconds, text = max(seconds, 0.0), _text(histogram.labels, labels)
        place = bisect_left(histogram.bounds, seconds)
        bucket = f"{histogram.bounds[place]:g}" if place < len(histogram.bounds) else BEYOND
        self._add(Series(histogram.name, text, bucket), 1)
        self._add(Series(histogram.name, text, SUM), seconds)

    def observe_between(
        self, histogram: Histogram, begin: datetime | None, end: datetime | None, **labels: str
    ) -> None:
        """The duration between two moments, if both are known."""
        if begin is not None and end is not None:
            self.observe(histogram, (end - begin).total_seconds(), **labels)

    def _add(self, series: Series, amount: float) -> None:
        self.by_series[series] = self.by_series.get(series, 0.0) + amount


def _text(names: tuple[str, ...], labels: dict[str, str]) -> str:
    if set(labels) != set(names):
        raise ValueError(f"the labels are {', '.join(names)}, not {', '.join(labels)}")
    return json.dumps(labels, sort_keys=True, separators=(",", ":"))
