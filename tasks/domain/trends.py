"""How has something gone over the last day and the last month? Pure arithmetic over moments and values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURS, DAYS = 24, 30  # that a trend has

Point = tuple[datetime, float]


@dataclass(frozen=True, slots=True)
class Trend:
    """A value for each of some equal spans of time, the last of which ends now; None where there is none."""

    values: Sequence[float | None]

    @property
    def last(self) -> float | None:
        """The last value that there is."""
        return next((value for value in reversed(self.values) if value is not None), None)

    @property
    def known(self) -> list[float]:
        """The values that there are."""
        return [value for value in self.values if value is not None]


def sums(points: Iterable[Point], now: datetime, step: timedelta, count: int) -> Trend:
    """The sums of values by span; 0 where there are none."""
    return Trend([sum(values) for values in _by_span(points, now, step, count)])


def medians(points: Iterable[Point], now: datetime, step: timedelta, count: int) -> Trend:
    """The medians of values by span."""
    return Trend([median(values) if values else None for values in _by_span(points, now, step, count)])


def lasts(points: Iterable[Point], now: datetime, step: timedelta, count: int) -> Trend:
    """The last value of each span. The points are in the order of their times."""
    return Trend([values[-1] if values else None for values in _by_span(points, now, step, count)])


def _by_span(points: Iterable[Point], now: datetime, step: timedelta, count: int) -> list[list[float]]:
    begin = now - count * step
    found: list[list[float]] = [[] for _ in range(count)]
    for at, value in points:
        if begin < at <= now:
            found[min(count - 1, (at - begin) // step)].append(value)
    return found
