"""How has something gone over the last day and the last month? Pure arithmetic over moments and values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURS, DAYS = 24, 30  # that a trend has

Point = tuple[datetime, float]


@dataclass(frozen=True, slots=True)
class Trend:
    """A value for each of some equal spans of time, the last of which ends now; None where there is none.

    `points` are the values that were given of all these spans, so that their extremes and their median are known.
    """

    values: Sequence[float | None]
    points: Sequence[float] = ()

    @property
    def known(self) -> list[float]:
        """The values that there are."""
        return [value for value in self.values if value is not None]


def sums(points: Iterable[Point], now: datetime, step: timedelta, count: int) -> Trend:
    """The sums of values by span; 0 where there are none."""
    return _trend(sum, points, now, step, count)


def medians(points: Iterable[Point], now: datetime, step: timedelta, count: int) -> Trend:
    """The medians of values by span."""
    return _trend(lambda values: median(values) if values else None, points, now, step, count)


def lows(points: Iterable[Point], now: datetime, step: timedelta, count: int) -> Trend:
    """The lowest value of each span."""
    return _trend(lambda values: min(values, default=None), points, now, step, count)


def _trend(
    value_of: Callable[[list[float]], float | None], points: Iterable[Point], now: datetime, step: timedelta, count: int
) -> Trend:
    begin = now - count * step
    found: list[list[float]] = [[] for _ in range(count)]
    for at, value in points:
        if begin < at <= now:
            found[min(count - 1, (at - begin) // step)].append(value)
    return Trend([value_of(values) for values in found], [value for values in found for value in values])
