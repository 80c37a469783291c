"""How many of the files that the lake should hold does it hold?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from config.models import Config, Dataset
from tasks.domain.assess.overview import Counts, Overview, Place, Standing, place_of
from tasks.domain.assess.periods import By, period_of
from tasks.domain.assess.states import State, Status
from tasks.domain.assess.unknown import MayListMore


@dataclass(frozen=True, slots=True)
class Tally:
    """The number of files in each state, and the schedules that may add more."""

    present: int = 0
    not_due: int = 0
    gap: int = 0
    in_flight: int = 0
    deferred: int = 0
    unavailable: int = 0
    by_operator: int = 0  # those of the unavailable files that an operator has marked
    unread: int = 0  # those of the deferred files that are in the lake and not read yet
    switched_off: int = 0  # those of the other deferred files whose source or dataset is disabled
    unknown: frozenset[str] = frozenset()  # keys of the schedules that are not known and may list more files

    @property
    def expected(self) -> int:
        """All files, in any state."""
        return self.wanted + self.unavailable + self.not_due

    @property
    def due(self) -> int:
        """The files that are due, whether the source has them or not."""
        return self.wanted + self.unavailable

    @property
    def wanted(self) -> int:
        """The files that are due and that the source may have; `percent` is a share of these."""
        return self.present + self.lacking

    @property
    def lacking(self) -> int:
        """The wanted files that are missing or not as they should be."""
        return self.gap + self.in_flight + self.deferred

    @property
    def is_known(self) -> bool:
        """Are all schedules known, and all files in the lake read?"""
        return not (self.unknown or self.unread)

    @property
    def percent(self) -> float | None:
        """The present files as a percentage of the wanted ones; None if none is wanted.

        It is rounded down to a tenth, so that 100 means that every file is present. Files that are not due or
        unavailable do not count. If a schedule is unknown, it is a percentage of the known files, and at most 99.9.
        """
        if not self.wanted:
            return None
        tenths = self.present * 1000 // self.wanted
        return min(tenths, 999 if self.unknown else 1000) / 10

    @property
    def is_empty(self) -> bool:
        """Is no file expected, and none possible?"""
        return not (self.expected or self.unknown)

    @property
    def unavailable_in_words(self) -> str:
        """The unavailable files in words: "16 unavailable" or "16 unavailable (3 set by an operator)"."""
        return f"{self.unavailable:,} unavailable" + (
            f" ({self.by_operator:,} set by an operator)" if self.by_operator else ""
        )

    def document(self) -> dict[str, int | float | None]:
        """For JSON. `unknown` is the number of schedules that are not known."""
        counts = {state.value: getattr(self, state.value) for state in State}
        parts = {name: getattr(self, name) for name in _PARTS}
        return {"expected": self.expected, **counts, **parts, "unknown": len(self.unknown), "percent": self.percent}


_PARTS = ("by_operator", "unread", "switched_off")
_COUNTS = (*(state.value for state in State), *_PARTS)


def add_up(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies."""
    tallies = list(tallies)
    if len(tallies) == 1:
        return tallies[0]
    counts = {name: sum(map(attrgetter(name), tallies)) for name in _COUNTS}
    return Tally(**counts, unknown=frozenset().union(*(tally.unknown for tally in tallies)))


@dataclass(frozen=True, slots=True)
class Row:
    """The tally of a dataset in a season, or in a part of it.

    `span` is a month as "2024-01", a date as "2024-01-05", or "". It is empty for files of a longer period: a season's
    totals belong to no month, and a month's page to no date. So the rows of every `By` add up to the same total.
    """

    source: str
    dataset: str
    season: str
    span: str
    tally: Tally


@dataclass(frozen=True)
class Coverage:
    """The tallies of the lake, in rows as fine as the files allow: by date, by month, or by season."""

    finest: tuple[Row, ...]
    lake: str = ""  # its address, without secrets
    part: str = ""  # the selected part of the lake in words; empty for all of it
    as_of: datetime | None = None
    since: datetime | None = None  # since when all of the lake was listed, if parts were not listed at `as_of`
    inventory: datetime | None = None  # the time of the S3 Inventory that was used, if the lake was not listed
    run: str = ""  # the id of the run that has recorded it; empty if the lake was looked at for it

    @property
    def total(self) -> Tally:
        """The tally of all files."""
        return add_up(row.tally for row in self.finest)

    def rows(self, by: By) -> list[Row]:
        """The rows by season, month or date, in the order of the configuration, then by season and span."""
        grouped: dict[tuple[str, str, str, str], list[Tally]] = defaultdict(list)
        for row in self.finest:
            grouped[row.source, row.dataset, row.season, period_of(row.span, by)].append(row.tally)
        return [Row(*group, add_up(tallies)) for group, tallies in grouped.items()]

    def document(self, by: By) -> dict[str, Any]:
        """For JSON. The month or date is null for files of a longer period."""
        rows = []
        for row in self.rows(by):
            group = {"source": row.source, "dataset": row.dataset, "season": row.season}
            span = {} if by is By.SEASON else {by.value: row.span or None}
            rows.append({**group, **span, **row.tally.document()})
        return {"by": by.value, "total": self.total.document(), "rows": rows}


def measure(counts: Counts, config: Config, unknown: Iterable[MayListMore] = ()) -> Coverage:
    """The coverage of the lake, from the number of files by place and standing.

    Each unknown schedule counts under its own season and days, for each dataset that needs it.
    """
    schedules: dict[Place, set[str]] = defaultdict(set)
    for part in unknown:
        schedules[Place(part.dataset, part.season, part.span)].add(part.key)
    order = {name: at for at, name in enumerate(config.datasets)}
    sources = {name: at for at, name in enumerate(config.sources)}
    off = {name for name, dataset in config.datasets.items() if not _is_enabled(dataset, config)}
    rows = [
        Row(
            config.datasets[place.dataset].source,
            *place,
            _tally(counts.get(place, {}), schedules.get(place, ()), place.dataset in off),
        )
        for place in counts.keys() | schedules.keys()
    ]
    rows.sort(key=lambda row: (sources[row.source], order[row.dataset], row.season, row.span))
    return Coverage(tuple(rows))


def _is_enabled(dataset: Dataset, config: Config) -> bool:
    return dataset.enabled and config.sources[dataset.source].enabled


def _tally(counts: Mapping[Standing, int], unknown: Iterable[str], is_off: bool) -> Tally:
    by_state: Counter[str] = Counter()
    for standing, count in counts.items():
        by_state[standing.state.value] += count
    by_operator = counts.get(Standing(State.UNAVAILABLE, by_operator=True), 0)
    unread = counts.get(Standing(State.DEFERRED, unread=True), 0)
    switched_off = by_state[State.DEFERRED.value] - unread if is_off else 0
    return Tally(
        **by_state, by_operator=by_operator, unread=unread, switched_off=switched_off, unknown=frozenset(unknown)
    )


@dataclass(frozen=True, slots=True)
class Hole:
    """A due file that is not present: a gap, deferred, in flight or unavailable."""

    dataset: str
    season: str
    span: str  # as in Row, as fine as possible
    key: str
    status: Status


# The order in which the states are listed: first those that somebody may have to act on.
_HOLES = {state: at for at, state in enumerate((State.GAP, State.DEFERRED, State.IN_FLIGHT, State.UNAVAILABLE))}


def find_holes(overview: Overview) -> list[Hole]:
    """The due files that are not present: gaps first, then the deferred, in flight and unavailable ones.

    Within a state, those with the newest days come first.
    """
    holes = []
    for key, status in overview.statuses.items():
        if status.state in _HOLES:
            holes.append(Hole(*place_of(overview.cells[key]), key, status))
    holes.sort(key=lambda hole: hole.key)
    holes.sort(key=lambda hole: hole.span or hole.season, reverse=True)
    holes.sort(key=lambda hole: _HOLES[hole.status.state])
    return holes
