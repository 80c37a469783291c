"""How much of what the lake should hold does it hold?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from operator import attrgetter
from typing import Any

from config.models import Config
from tasks.domain.assess.states import State, Status
from tasks.domain.assess.unknown import Unknown
from tasks.domain.expected.cells import Cell
from tasks.domain.reasons import Limit
from tasks.domain.wording import plural


class By(StrEnum):
    """How finely a season is looked at."""

    SEASON = "season"
    MONTH = "month"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many files are in each state, and what else may be expected."""

    present: int = 0
    not_due: int = 0
    gap: int = 0
    in_flight: int = 0
    deferred: int = 0
    unavailable: int = 0
    by_operator: int = 0  # of the unavailable
    unknown: frozenset[str] = frozenset()  # keys of the schedules that would tell what else is expected

    @property
    def expected(self) -> int:
        return self.wanted + self.unavailable + self.not_due

    @property
    def due(self) -> int:
        return self.wanted + self.unavailable

    @property
    def wanted(self) -> int:
        """Those that are due and that the source may have: what `percent` is a share of."""
        return self.present + self.lacking

    @property
    def lacking(self) -> int:
        """Those that are wanted and not there, or not as they should be."""
        return self.gap + self.in_flight + self.deferred

    @property
    def percent(self) -> float | None:
        """The files present of those wanted, rounded down to a tenth; None where none is wanted.

        So 100 means that every single file is there. What is not due yet and what the source says it has not got
        make no difference. Where something is unknown it is of what is known, and at most 99.9.
        """
        if not self.wanted:
            return None
        tenths = self.present * 1000 // self.wanted
        return min(tenths, 999 if self.unknown else 1000) / 10

    @property
    def is_empty(self) -> bool:
        """Nothing is expected, and nothing else may be."""
        return not (self.expected or self.unknown)

    def line(self) -> str:
        known = " known" if self.unknown else ""
        percent = f"{self.percent} % of {self.wanted}{known} files"
        if self.percent is None:
            percent = "nothing is known to be due" if self.unknown else "nothing is due"
        told = f"{percent}; {self.lacking} are lacking, {self.told_unavailable}, {self.not_due} not due"
        return f"{told}; unknown: what {plural(len(self.unknown), 'schedule')} would list" if self.unknown else told

    @property
    def told_unavailable(self) -> str:
        """ "16 unavailable", or "16 unavailable (3 set by an operator)"."""
        return f"{self.unavailable:,} unavailable" + (
            f" ({self.by_operator:,} set by an operator)" if self.by_operator else ""
        )

    def document(self) -> dict[str, int | float | None]:
        """For JSON; `unknown` is how many schedules would tell what else is expected."""
        counts = {state.value: getattr(self, state.value) for state in State}
        more = {"by_operator": self.by_operator, "unknown": len(self.unknown)}
        return {"expected": self.expected, **counts, **more, "percent": self.percent}


_COUNTS = (*(state.value for state in State), "by_operator")


def add_up(tallies: Iterable[Tally]) -> Tally:
    tallies = list(tallies)
    if len(tallies) == 1:
        return tallies[0]
    counts = {name: sum(map(attrgetter(name), tallies)) for name in _COUNTS}
    return Tally(**counts, unknown=frozenset().union(*(tally.unknown for tally in tallies)))


@dataclass(frozen=True, slots=True)
class Row:
    """The tally of a dataset in a season, or in a span of it.

    `span` is a month as "2024-01" or a date as "2024-01-05". It is empty for the files that are about more than that:
    a season's totals belong to no month, and a month's page to no date. So the rows of every `By` add up to the total.
    """

    source: str
    dataset: str
    season: str
    span: str
    tally: Tally


@dataclass(frozen=True)
class Coverage:
    """One tally for each dataset, season and span that a file is about: a date, a month, or "" for the season."""

    finest: tuple[Row, ...]

    @property
    def total(self) -> Tally:
        return add_up(row.tally for row in self.finest)

    def rows(self, by: By) -> list[Row]:
        """In the order of the configuration, then by season and span."""
        together: dict[tuple[str, str, str, str], list[Tally]] = defaultdict(list)
        for row in self.finest:
            together[row.source, row.dataset, row.season, _coarsened(row.span, by)].append(row.tally)
        return [Row(*of, add_up(tallies)) for of, tallies in together.items()]

    def document(self, by: By) -> dict[str, Any]:
        """For JSON; the month or date of files that are about more than one is null."""
        rows = []
        for row in self.rows(by):
            place = {"source": row.source, "dataset": row.dataset, "season": row.season}
            span = {} if by is By.SEASON else {by.value: row.span or None}
            rows.append({**place, **span, **row.tally.document()})
        return {"by": by.value, "total": self.total.document(), "rows": rows}


def _coarsened(span: str, by: By) -> str:
    if by is By.MONTH:
        return span[:7]
    return span if by is By.DATE and len(span) == 10 else ""


_place = attrgetter("dataset", "season", "first_day", "last_day")
_state = attrgetter("state", "limit")


def measure(
    cells: Mapping[str, Cell], statuses: Mapping[str, Status], config: Config, unknown: Iterable[Unknown] = ()
) -> Coverage:
    """Counts every status once, under the dataset, season and days of its cell; and what is unknown under those of
    the schedule."""
    counts = Counter(zip(map(_place, map(cells.__getitem__, statuses)), map(_state, statuses.values()), strict=True))
    tallies: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for ((dataset, season, first_day, last_day), (state, limit)), count in counts.items():
        of = tallies[dataset, season, _span(first_day, last_day)]
        of[state.value] += count
        if state is State.UNAVAILABLE and limit is Limit.OPERATOR:
            of["by_operator"] += count
    schedules: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for part in unknown:
        days = _span(part.schedule.first_day, part.schedule.last_day)
        schedules[part.dataset, part.season, days].add(part.schedule.key)
    order = {name: at for at, name in enumerate(config.datasets)}
    sources = {name: at for at, name in enumerate(config.sources)}
    rows = [
        Row(
            config.datasets[dataset].source,
            dataset,
            season,
            span,
            Tally(**tallies.get(place, {}), unknown=frozenset(schedules.get(place, ()))),
        )
        for place in tallies | schedules
        for dataset, season, span in [place]
    ]
    rows.sort(key=lambda row: (sources[row.source], order[row.dataset], row.season, row.span))
    return Coverage(tuple(rows))


def _span(first_day: date, last_day: date) -> str:
    if first_day == last_day:
        return first_day.isoformat()
    return first_day.isoformat()[:7] if last_day.replace(day=1) == first_day.replace(day=1) else ""


@dataclass(frozen=True, slots=True)
class Hole:
    """A file that is due and not there, or not as it should be."""

    dataset: str
    season: str
    span: str  # as in Row, at its finest
    key: str
    status: Status


# Those that somebody may have to do something about come first.
_HOLES = {state: at for at, state in enumerate((State.GAP, State.DEFERRED, State.IN_FLIGHT, State.UNAVAILABLE))}


def find_holes(cells: Mapping[str, Cell], statuses: Mapping[str, Status]) -> list[Hole]:
    """Gaps first, then what is deferred, in flight and unavailable; of each state the newest days first."""
    holes = []
    for key, status in statuses.items():
        if status.state in _HOLES:
            cell = cells[key]
            holes.append(Hole(cell.dataset, cell.season, _span(cell.first_day, cell.last_day), key, status))
    holes.sort(key=lambda hole: hole.key)
    holes.sort(key=lambda hole: hole.span or hole.season, reverse=True)
    holes.sort(key=lambda hole: _HOLES[hole.status.state])
    return holes
