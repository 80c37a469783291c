"""How well was the lake kept in a span of time, by the figures of `adce report`? Pure arithmetic over what is recorded.

What cannot be known from what is recorded has no value, and a text says why.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import floor
from typing import NamedTuple

from config.models import Dataset
from tasks.domain.wording import plural

CONSECUTIVE = 100  # fills
_DAY = timedelta(days=1)


class Per(StrEnum):
    """What the value of a figure counts."""

    SECONDS = "seconds"
    PER_MINUTE = "per_minute"
    PER_DAY = "per_day"


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure that the owner of the lake has set a target for. Baseline and target are ranges."""

    name: str
    title: str
    unit: Per
    target: tuple[float, float]
    baseline: tuple[float, float] | None = None  # what it was without ADCE, if that is known
    more_is_better: bool = False

    def is_met(self, value: float) -> bool:
        """Is a value within the target, or better?"""
        return value >= self.target[0] if self.more_is_better else value <= self.target[1]


_MINUTE = 60.0
DETECTION = Aim(
    "gap_detection", "From due to detected, 95 % within", Per.SECONDS, (15 * _MINUTE,) * 2, (60 * _MINUTE,) * 2
)
FILL_RATE = Aim(
    "fills_per_minute", "Fills a minute while fills wait", Per.PER_MINUTE, (15, 20), (5, 5), more_is_better=True
)
FILE_RATE = Aim(
    "files_per_minute", "Files a minute while fills wait", Per.PER_MINUTE, (15, 20), (5, 5), more_is_better=True
)
HUNDRED = Aim(
    "consecutive_fills",
    f"Any {CONSECUTIVE} consecutive fills, at most",
    Per.SECONDS,
    (10 * _MINUTE, 20 * _MINUTE),
    (30 * _MINUTE, 60 * _MINUTE),
)
TOO_MANY_REQUESTS = Aim("too_many_requests", "Answers HTTP 429 a day", Per.PER_DAY, (0, 0))
CYCLE = Aim("reconcile_cycle", "Reconcile, start to plan, 95 % within", Per.SECONDS, (5 * _MINUTE, 10 * _MINUTE))


@dataclass(frozen=True, slots=True)
class Figure:
    """The value of a figure, and what it rests on, in words; without a value, why it is not known."""

    aim: Aim
    value: float | None
    basis: str
    median: float | None = None
    worst: float | None = None
    count: int = 0  # of what was measured

    @property
    def is_met(self) -> bool | None:
        """Is the target met? None if that is not known."""
        return None if self.value is None else self.aim.is_met(self.value)


class DueFile(NamedTuple):
    """A file that has become due and was then missing. Times are seconds since 1970, because there are many files."""

    dataset: str
    due: float
    detected: float | None
    stored: float | None  # when it was first stored
    is_gap: bool  # it is still a gap

    def or_earlier(self, other: DueFile) -> DueFile:
        """The same file by two attempts: the earlier of each time that is known."""
        return self._replace(
            due=min(self.due, other.due),
            detected=_earlier(self.detected, other.detected),
            stored=_earlier(self.stored, other.stored),
        )


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((at for at in (one, other) if at is not None), default=None)


class Span(NamedTuple):
    """A span of time in which a run was at work."""

    begin: datetime
    end: datetime


class Done(NamedTuple):
    """A fill that has stored files."""

    started: datetime
    ended: datetime
    files: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which fills were waiting all along, with the fills that started in it."""

    begin: datetime
    end: datetime
    fills: Sequence[Done]


def nearest_rank(ordered: Sequence[float], percent: int) -> float:
    """The percentile by nearest rank: the smallest value such that `percent` % of all values are not greater."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def distribution(aim: Aim, seconds: Iterable[float], what: str, unknown: str) -> Figure:
    """A figure that is the 95th percentile of durations. A negative one, which a changed clock can cause, counts as 0.

    `what` is the noun for what they are durations of, and `unknown` says why there is no value if there are none.
    """
    ordered = sorted(max(0.0, one) for one in seconds)
    if not ordered:
        return Figure(aim, None, unknown)
    basis, median = plural(len(ordered), what), nearest_rank(ordered, 50)
    return Figure(aim, nearest_rank(ordered, 95), basis, median, worst=ordered[-1], count=len(ordered))


def detection(files: Iterable[DueFile], since: datetime) -> Figure:
    """How long it took from the time a file was due until it was detected as missing, of those due since a time."""
    begin = since.timestamp()
    seconds = (file.detected - file.due for file in files if file.detected is not None and file.due >= begin)
    return distribution(DETECTION, seconds, "file", "no file that became due was seen to be missing")


def stretches(runs: Iterable[Span], fills: Iterable[Done]) -> list[Stretch]:
    """The times in which fills were waiting: in each run, from the start of its first fill to that of its last one.

    Times of runs that overlap become one. `fills` are in the order of their starts.
    """
    fills = list(fills)
    starts = [fill.started for fill in fills]
    waiting = [fills[bisect_left(starts, begin) : bisect_right(starts, end)] for begin, end in _merged(runs)]
    return [Stretch(some[0].started, some[-1].started, some) for some in waiting if some]


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """The spans in their order. Those that overlap are one."""
    last: Span | None = None
    for span in sorted(spans):
        if last and span.begin <= last.end:
            last = Span(last.begin, max(last.end, span.end))
            continue
        if last:
            yield last
        last = span
    if last:
        yield last


def throughput(found: Collection[Stretch]) -> tuple[Figure, Figure]:
    """How many fills, and how many files, were done a minute while fills were waiting."""
    seconds = sum((one.end - one.begin).total_seconds() for one in found)
    done = [fill for one in found for fill in one.fills if fill.ended <= one.end]
    if not seconds:
        why = "no run had a fill waiting while another was at work"
        return Figure(FILL_RATE, None, why), Figure(FILE_RATE, None, why)
    files = sum(fill.files for fill in done)
    minutes = seconds / _MINUTE
    basis = f"{plural(len(done), 'fill')} in {minutes:,.1f} minutes of runs; the time between runs does not count"
    return (
        Figure(FILL_RATE, len(done) / minutes, basis, count=len(done)),
        Figure(FILE_RATE, files / minutes, f"{plural(files, 'file')} of these fills", count=files),
    )


def slowest_hundred(found: Iterable[Stretch]) -> Figure:
    """The longest time that it took until `CONSECUTIVE` more fills of a stretch had ended."""
    took = []
    for one in found:
        ends = [one.begin, *sorted(fill.ended for fill in one.fills)]
        took += [(b - a).total_seconds() for a, b in zip(ends, ends[CONSECUTIVE:], strict=False)]
    if not took:
        return Figure(HUNDRED, None, f"no run had {CONSECUTIVE} fills to do")
    ordered = sorted(took)
    basis = f"{CONSECUTIVE} fills in {plural(len(ordered), 'place')} of runs"
    return Figure(HUNDRED, ordered[-1], basis, nearest_rank(ordered, 50), ordered[-1], len(ordered))


def refused(by_source: Mapping[str, int], lasted: timedelta) -> Figure:
    """How many requests a day were answered by HTTP 429: known only if no request was refused at all."""
    count = sum(by_source.values())
    if not lasted:
        return Figure(TOO_MANY_REQUESTS, None, "nothing is recorded")
    if not count:
        return Figure(TOO_MANY_REQUESTS, 0.0, "no request was refused")
    each = ", ".join(f"{source} {refusals:,}" for source, refusals in sorted(by_source.items()) if refusals)
    told = f"{count:,} refused ({each}), at most {count * _DAY / lasted:,.1f} a day"
    return Figure(TOO_MANY_REQUESTS, None, f"{told}: how many of them by HTTP 429, and not 403 or 503, is not recorded")


def cycles(seconds: Iterable[float]) -> Figure:
    """How long reconciles of the whole lake took from their start to their plan."""
    return distribution(CYCLE, seconds, "reconcile", "no reconcile of the whole lake has recorded how long it took")


@dataclass(frozen=True, slots=True)
class Kept:
    """How a dataset has kept its promise: of the files of which it ended in a span of time, how many were there."""

    dataset: str
    promise: timedelta
    objective: float  # percent
    due: int
    in_time: int
    late: int
    lacking: int
    not_counted: int  # files that were missing, and are neither stored nor a gap: the source has none, mostly

    @property
    def percent(self) -> float | None:
        """The share of the due files that were there in time; None if none was due."""
        return 100 * self.in_time / self.due if self.due else None

    @property
    def budget(self) -> int:
        """How many due files may be late or lacking so that the objective is still met."""
        return floor(round(self.due * (100 - self.objective) / 100, 6))

    @property
    def budget_left(self) -> int:
        """How many more files may be late or lacking. Negative if too many were."""
        return self.budget - self.late - self.lacking

    @property
    def is_met(self) -> bool | None:
        """Is the objective met? None if no file was due."""
        return self.budget_left >= 0 if self.due else None


def kept(datasets: Mapping[str, Dataset], files: Collection[DueFile], since: datetime, now: datetime) -> list[Kept]:
    """How each dataset has kept its promise, of the files whose promise ended between `since` and `now`.

    Datasets without such files are left out.
    """
    found, of_dataset = [], defaultdict[str, list[DueFile]](list)
    for one in files:
        of_dataset[one.dataset].append(one)
    for name, dataset in datasets.items():
        promise = dataset.promise.total_seconds()
        first, last = since.timestamp() - promise, now.timestamp() - promise
        ended = [one for one in of_dataset[name] if first <= one.due <= last]
        in_time = sum(one.stored is not None and one.stored <= one.due + promise for one in ended)
        stored = sum(one.stored is not None for one in ended)
        lacking = sum(one.stored is None and one.is_gap for one in ended)
        if ended:
            counts = stored + lacking, in_time, stored - in_time, lacking, len(ended) - stored - lacking
            found.append(Kept(name, dataset.promise, dataset.objective, *counts))
    return found


@dataclass(frozen=True, slots=True)
class Longest:
    """That file of a dataset that was not there for the longest time after it was detected, and why."""

    dataset: str
    key: str
    detected: datetime
    stored: datetime | None  # None if it still is not there
    files: int = 0  # of the dataset that are not there now
    why: str = ""

    def lasted(self, now: datetime) -> timedelta:
        """How long it was not there, or has not been up to `now`."""
        return max((self.stored or now) - self.detected, timedelta())


@dataclass(frozen=True, slots=True)
class Success:
    """How well the lake was kept in a span of time."""

    asked: datetime  # since when it was asked
    since: datetime  # since when the figures are: the ledger has nothing from before
    until: datetime
    figures: Sequence[Figure]
    kept: Sequence[Kept]
    longest: Sequence[Longest]
    gaps_without_due: int  # recorded by older versions, so that it is not known when their files were due
    is_sandbox: bool = False  # the times are those of its clock, which stands still
