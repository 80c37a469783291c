"""What happened: the last runs with their ends, how things went over the last day and month, and how well in all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from tasks.answers.ending import SKIPPED
from tasks.answers.history import History, Trends
from tasks.answers.runs import PastRun
from tasks.answers.service import Snapshot
from tasks.domain.trends import Trend
from tasks.domain.wording import duration
from tasks.show.success import Table, lines, tables

FIRST_RUNS = 6  # that are shown at once
WIDTH, HEIGHT = 240, 40  # of a sparkline, in its own units
_BEND = 2.0  # space above and below a line


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A small picture of a trend: `bars` with their places, or the points of `lines`, and what it shows in words."""

    about: str
    text: str
    bars: Sequence[tuple[float, float, float, float]] = ()  # x, y, width and height
    lines: Sequence[str] = ()  # one for each unbroken row of values


@dataclass(frozen=True, slots=True)
class Line:
    """A trend over the last day and over the last month."""

    title: str
    pictures: Sequence[Sparkline]


@dataclass(frozen=True, slots=True)
class Happened:
    """What happened."""

    runs: Sequence[tuple[PastRun, str | None]]  # each with the address of its page in Prefect's UI
    lines: Sequence[Line]
    notes: Sequence[str]  # on the success table
    success: Table | None
    as_of: datetime | None = None  # when trends and success were read

    @property
    def answer(self) -> str:
        """The answer in a few words: how that run ended that was the last to end and was not skipped."""
        ended = [run for run, _ in self.runs if run.ended]
        worked = [run for run in ended if run.state != SKIPPED] or ended or [run for run, _ in self.runs]
        if not worked:
            return "No run has ended in the last days"
        return f"The last run: {max(worked, key=lambda run: run.ended or run.began).state}"


def happened_of(found: Snapshot, past: History | None, link_to_run: Callable[[str], str | None]) -> Happened:
    """What happened, by a snapshot and, once that was read, the history."""
    runs = [(run, run.flow_run and link_to_run(run.flow_run)) for run in found.runs if not run.is_running]
    if past is None:
        return Happened(runs, (), (), None)
    trends = (
        _line("Files stored", past.stored, _bars, _in_all),
        _line("A reconcile takes", past.seconds, _path, _typical),
        _line("Complete", past.percent, _path, _lowest),
    )
    return Happened(runs, trends, lines(past.success), tables(past.success)[0], past.at)


def _line(
    title: str, trends: Trends, draw: Callable[[Trend, str, str], Sparkline], words: Callable[[Trend], str]
) -> Line:
    spans = (("last day, by hour", trends.day), ("last 30 days, by day", trends.month))
    return Line(title, [draw(trend, about, words(trend)) for about, trend in spans])


def _in_all(trend: Trend) -> str:
    return f"{sum(trend.known):,.0f}"


def _typical(trend: Trend) -> str:
    if not trend.points:
        return "none has ended"
    typical, longest = (duration(timedelta(seconds=of(trend.points))) for of in (median, max))
    return f"{typical} in the median, at most {longest}"


def _lowest(trend: Trend) -> str:
    if not trend.points:
        return "not known"
    return f"at least {int(min(trend.points) * 10) / 10:g} %"  # rounded down


def _bars(trend: Trend, about: str, text: str) -> Sparkline:
    step, most = WIDTH / len(trend.values), max([*trend.known, 1.0])
    heights = [HEIGHT * (value or 0) / most for value in trend.values]
    bars = [
        (round(n * step, 1), round(HEIGHT - high, 1), round(step - 1, 1), round(high, 1))
        for n, high in enumerate(heights)
        if high
    ]
    return Sparkline(about, text, bars=bars)


def _path(trend: Trend, about: str, text: str) -> Sparkline:
    known = trend.known
    low, high = min(known, default=0.0), max(known, default=0.0)
    step, scale = WIDTH / len(trend.values), (HEIGHT - 2 * _BEND) / ((high - low) or 1.0)
    found: list[list[str]] = [[]]
    for n, value in enumerate(trend.values):
        if value is None:
            found.append([])
        else:
            y = HEIGHT - _BEND - (value - low) * scale if high > low else HEIGHT / 2
            found[-1] += [f"{n * step:.1f},{y:.1f}", f"{(n + 1) * step:.1f},{y:.1f}"]
    return Sparkline(about, text, lines=[" ".join(points) for points in found if points])
