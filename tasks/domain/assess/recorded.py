"""What is recorded of a look at the whole lake, so that the lake need not be looked at again to tell of it?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple

from config.models import Config, Priority
from tasks.domain.assess.completeness import end_of, first_lacking_days, last_complete_day
from tasks.domain.assess.overview import Counts, Overview, Stored
from tasks.domain.assess.states import Kind, State
from tasks.domain.assess.unknown import UnknownSchedule
from tasks.domain.expected.cells import Partition, Selection
from tasks.domain.metrics import (
    CELLS,
    COMPLETE_UNTIL,
    CRITICAL_FILES,
    CRITICAL_OLDEST,
    DEFERRED,
    GAPS,
    LAKE_BYTES,
    LAKE_FILES,
    LOST_FILES,
    OLDEST,
    QUEUE,
    UNKNOWN,
    UNREAD,
    UNREADABLE_FILES,
    Series,
    series_of,
)
from tasks.domain.reasons import Limit

Gauges = Mapping[Series, float]
Days = tuple[date, date]  # the first and the last


class Waiting(NamedTuple):
    """Some files that wait to be fetched, such as those of one priority."""

    files: int
    oldest: datetime  # when the one was detected that waits for the longest time

    def and_(self, other: Waiting) -> Waiting:
        """These files and others."""
        return Waiting(self.files + other.files, min(self.oldest, other.oldest))


Queue = Mapping[tuple[str, Priority], Waiting]  # by dataset and priority


@dataclass(frozen=True, repr=False)
class RecordedLook:
    """What a look at the whole lake has found, in numbers."""

    taken_at: datetime
    verified_since: datetime  # when that part of the lake was listed that was not listed for the longest time
    inventory: datetime | None  # the time of the S3 Inventory that was used instead of a listing, if one was
    run: str  # the id of the run that has looked
    lake: str  # the address of the lake, without secrets
    list_requests: int  # LIST requests of the run so far
    never_read: int  # see Overview
    by_former_checks: int  # see Overview
    counts: Counts
    stored: Mapping[Partition, Stored]
    unknown: tuple[UnknownSchedule, ...]
    queue: Mapping[Priority, Waiting]
    gauges: Gauges  # of the metrics that a look gives values to; a series that is left out is 0, or not known


def is_whole_look(config: Config, selection: Selection, as_of: datetime | None, recorded: Days | None) -> bool:
    """Does a look at this selection tell of the whole lake as it is now, so that it may be recorded?

    `as_of` is the clock of the run if it was set. A sandbox lives by a set clock, and its lake is made for some days:
    `recorded` are those of which the last recorded look has counted files. A look at fewer days is not whole.
    """
    if config.sandbox:
        first, last = recorded or (date.max, date.min)
        since, until = selection.since or date.min, selection.until or date.max
        return since <= first and last <= until and replace(selection, since=None, until=None).is_everything
    return selection.is_everything and as_of is None


def record_of(
    overview: Overview,
    config: Config,
    queue: Queue,
    *,
    run: str,
    lake: str,
    list_requests: int,
) -> RecordedLook:
    """What is recorded of a look that has found this, if these files wait."""
    return RecordedLook(
        overview.taken_at,
        overview.verified_since or overview.taken_at,
        overview.inventory,
        run,
        lake,
        list_requests,
        overview.never_read,
        overview.by_former_checks,
        overview.counts,
        overview.stored,
        tuple(part.recorded for part in overview.unknown),
        _by_priority(queue),
        _gauges(overview, config, queue),
    )


def _by_priority(queue: Queue) -> dict[Priority, Waiting]:
    found: dict[Priority, Waiting] = {}
    for (_, priority), waiting in queue.items():
        found[priority] = found[priority].and_(waiting) if priority in found else waiting
    return found


def _gauges(overview: Overview, config: Config, queue: Queue) -> Gauges:
    gauges: dict[Series, float] = defaultdict(float)
    for series, value in (
        *_cells(overview, config),
        *_exceptions(overview, config),
        *_bad(overview, config),
        *_files(overview, config),
        *_complete(overview),
        *((series_of(UNKNOWN, dataset=part.dataset), 1) for part in overview.unknown),
        (series_of(UNREAD), overview.never_read),
    ):
        gauges[series] += value
    for (dataset, priority), waiting in queue.items():
        if priority is Priority.CRITICAL:
            labels = {"source": config.datasets[dataset].source, "dataset": dataset}
            gauges[series_of(CRITICAL_FILES, **labels)] = waiting.files
            gauges[series_of(CRITICAL_OLDEST, **labels)] = waiting.oldest.timestamp()
    for priority, waiting in _by_priority(queue).items():
        gauges[series_of(QUEUE, priority=priority.value)] = waiting.files
        gauges[series_of(OLDEST, priority=priority.value)] = waiting.oldest.timestamp()
    return dict(gauges)


def _cells(overview: Overview, config: Config) -> Iterator[tuple[Series, float]]:
    sums: dict[tuple[str, State], int] = defaultdict(int)
    for place, standings in overview.counts.items():
        for standing, count in standings.items():
            if count:
                sums[place.dataset, standing.state] += count
    for (dataset, state), count in sums.items():
        source = config.datasets[dataset].source
        yield series_of(CELLS, source=source, dataset=dataset, state=state.value), count


def _exceptions(overview: Overview, config: Config) -> Iterator[tuple[Series, float]]:
    """The gaps by what is wrong with them, and the deferred files by the rule that defers them."""
    found = Counter(
        (overview.cells[key].dataset, status.state, status.kind, status.limit)
        for key, status in overview.statuses.items()
    )
    for (dataset, state, kind, limit), count in found.items():
        source = config.datasets[dataset].source
        if state is State.GAP and kind:
            yield series_of(GAPS, source=source, dataset=dataset, kind=kind.value), count
        if state is State.DEFERRED and limit:
            yield series_of(DEFERRED, source=source, limit=limit.value), count


def _bad(overview: Overview, config: Config) -> Iterator[tuple[Series, float]]:
    """The files that are lost or cannot be read, whether they are to be fetched now or not.

    Those that an operator has marked unavailable, or that the settings do not ask for, are left out.
    """
    for key, status in overview.statuses.items():
        if status.limit in (Limit.OPERATOR, Limit.ENABLED):
            continue
        dataset = overview.cells[key].dataset
        labels = {"source": config.datasets[dataset].source, "dataset": dataset}
        if status.kind is Kind.UNREADABLE:  # it may be there as it was
            yield series_of(UNREADABLE_FILES, **labels), 1
        elif status.lost:
            yield series_of(LOST_FILES, **labels), 1


def _files(overview: Overview, config: Config) -> Iterator[tuple[Series, float]]:
    for partition, stored in overview.stored.items():
        labels = {"source": config.datasets[partition.dataset].source, "dataset": partition.dataset}
        yield series_of(LAKE_FILES, **labels), stored.files
        yield series_of(LAKE_BYTES, **labels), stored.bytes


def _complete(overview: Overview) -> Iterator[tuple[Series, float]]:
    lacking = first_lacking_days(overview.cells, overview.statuses, overview.unknown)
    for dataset in {place.dataset for place in overview.counts}.union(lacking):
        day = last_complete_day(lacking.get(dataset), overview.taken_at)
        yield series_of(COMPLETE_UNTIL, dataset=dataset), end_of(day).timestamp()
