"""Which running totals does the ledger keep, with which labels and histogram bounds?

The ledger adds to a total in the transaction that records the fact, and never prunes the totals.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Counter:
    """A total that only grows."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many durations fell between each two bounds, and the sum of all durations, in seconds."""

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
FILES = Counter("files", ("source", "dataset", "outcome", "limit"))  # `limit` is set for deferred files
BYTES = Counter("bytes", ("source", "dataset"))
REQUESTS = Counter("requests", ("source", "dataset"))
REFUSALS = Counter("refusals", ("source",))  # by a source, or by the source at a rollout's own address
PAUSES = Counter("pauses", ("source",))
RUNS = Counter("runs", ("kind", "outcome"))
FILL_SECONDS = Histogram("fill_seconds", ("source", "dataset"), _WORK)
FILE_SECONDS = Histogram("file_seconds", ("source", "dataset"), _ANSWER)  # from sending the request to having the body
WAITED_SECONDS = Histogram("waited_seconds", ("source",), _WORK)  # waits of requests for the rate limiter
DUE_TO_DETECTED = Histogram("due_to_detected_seconds", ("dataset",), _LAG)  # for files that were missing
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
BEYOND = "+Inf"  # the bucket of durations beyond all bounds


class Series(NamedTuple):
    """One total: a counter, one bucket of a histogram, or the sum of a histogram, for one combination of labels.

    `labels` is a JSON object with sorted names. `bucket` is "" for a counter and SUM for the sum of a histogram. For a
    bucket of a histogram it is the upper bound, or BEYOND; a bucket does not include the durations of lower buckets.
    """

    name: str
    labels: str
    bucket: str = ""


@dataclass
class Amounts:
    """Amounts to add to the totals in one transaction."""

    by_series: dict[Series, float] = field(default_factory=dict)

    def count(self, counter: Counter, amount: float = 1, **labels: str) -> None:
        """Adds an amount to a counter. Raises ValueError for labels that the counter does not have."""
        if amount:
            self._add(Series(counter.name, _text(counter.labels, labels)), amount)

    def observe(self, histogram: Histogram, seconds: float, **labels: str) -> None:
        """Adds a duration to a histogram. A negative one, which a changed clock can cause, counts as 0."""
        seconds, text = max(seconds, 0.0), _text(histogram.labels, labels)
        place = bisect_left(histogram.bounds, seconds)
        bucket = f"{histogram.bounds[place]:g}" if place < len(histogram.bounds) else BEYOND
        self._add(Series(histogram.name, text, bucket), 1)
        self._add(Series(histogram.name, text, SUM), seconds)

    def observe_between(
        self, histogram: Histogram, begin: datetime | None, end: datetime | None, **labels: str
    ) -> None:
        """Adds the duration between two moments to a histogram, if both are known."""
        if begin is not None and end is not None:
            self.observe(histogram, (end - begin).total_seconds(), **labels)

    def _add(self, series: Series, amount: float) -> None:
        self.by_series[series] = self.by_series.get(series, 0.0) + amount


def _text(names: tuple[str, ...], labels: dict[str, str]) -> str:
    if set(labels) != set(names):
        raise ValueError(f"the labels are {', '.join(names)}, not {', '.join(labels)}")
    return _json(tuple(sorted(labels.items())))


@lru_cache(maxsize=4096)
def _json(labels: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(labels), separators=(",", ":"))
