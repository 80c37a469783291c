"""Up to which day is a dataset complete?

A dataset is complete up to a day if nothing is lacking of that day or an earlier one: no due file that covers such a
day, and no schedule that may list more of its files. A file that is unavailable is not lacking, and neither is one that
is not due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from tasks.domain.assess.states import LACKING, Status
from tasks.domain.assess.unknown import Unknown
from tasks.domain.expected.cells import Cell
from tasks.domain.expected.seasons import eastern_day, eastern_midnight

_DAY = timedelta(days=1)


def first_lacking_days(
    cells: Mapping[str, Cell], statuses: Mapping[str, Status], unknown: Iterable[Unknown]
) -> dict[str, date]:
    """The first day of which something is lacking, by dataset. Datasets of which nothing is lacking are left out."""
    lacking = (cells[key] for key, status in statuses.items() if status.state in LACKING)
    days = [(cell.dataset, cell.first_day) for cell in lacking]
    days += [(part.dataset, part.schedule.first_day) for part in unknown]
    first: dict[str, date] = {}
    for dataset, day in days:
        if dataset not in first or day < first[dataset]:
            first[dataset] = day
    return first


def last_complete_day(first_lacking: date | None, now: datetime) -> date:
    """The last day that is over at `now` and up to which a dataset is complete, given the first day that lacks."""
    yesterday = eastern_day(now) - _DAY
    return yesterday if first_lacking is None else min(yesterday, first_lacking - _DAY)


def end_of(day: date) -> datetime:
    """The end of a day, which is that of the Eastern time zone."""
    return eastern_midnight(day + _DAY)


def day_that_ends(end: datetime) -> date:
    """The day whose `end_of` this is."""
    return eastern_day(end) - _DAY
