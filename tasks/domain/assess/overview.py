"""What does a look at the lake find: how many files are in which state, and which files are exceptions?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple

from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.claims import Claim, in_flight
from tasks.domain.assess.doubts import FromInventory
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.periods import span
from tasks.domain.assess.states import Kind, LakeObject, State, Status
from tasks.domain.assess.unknown import Unknown
from tasks.domain.expected.cells import Cell, Partition
from tasks.domain.expected.keys import Misnamed
from tasks.domain.reasons import Limit


class Place(NamedTuple):
    """Where a file is counted.

    `span` is its date as "2024-01-05" or its month as "2024-01". It is empty for a file of a longer period.
    """

    dataset: str
    season: str
    span: str


class Standing(NamedTuple):
    """What is counted of a file: its state, and what is counted apart within that state."""

    state: State
    by_operator: bool = False  # unavailable, as an operator has marked it
    unread: bool = False  # deferred, because its body is not read yet


Counts = Mapping[Place, Mapping[Standing, int]]


class Stored(NamedTuple):
    """Files in the lake, and their bytes."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, repr=False)
class Overview:
    """The state of the selected files at one moment: counts of all of them, and the cells and statuses of exceptions.

    A file that is present for good is counted only, and so is one that is not due yet, unless its source was asked for
    it in vain. Every other file is an exception.
    """

    counts: Counts
    cells: Mapping[str, Cell]  # of the exceptions, by key
    statuses: Mapping[str, Status]  # of the exceptions, by key
    taken_at: datetime
    never_read: int = 0  # how many stored files no body check has read
    by_former_checks: int = 0  # how many stored files are judged by what a former body check found
    unknown: tuple[Unknown, ...] = ()  # the schedules that are not known, for each selected dataset of games
    unknown_keys: tuple[str, ...] = ()  # selected keys of games that no known schedule lists
    # Schedule datasets that are included without being selected, each with the names of the datasets that need it.
    needed_by: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[Partition, Stored] = field(default_factory=dict)  # the expected files that are in the lake
    # An estimate of the files that are due and that schedules will list once they are in the lake.
    unlisted: Mapping[Partition, int] = field(default_factory=dict)
    misnamed: tuple[Misnamed, ...] = ()
    from_inventory: FromInventory | None = None  # of this look, or of the first one of the run, if it used one
    # When that part of the lake was listed that was not listed for the longest time; None if all of it was listed now.
    verified_since: datetime | None = None

    def gaps(self, first_seen: Mapping[str, datetime], named: Collection[str] = ()) -> list[Gap]:
        """The gaps to fetch, each with the time at which it was first seen: that of this overview if it is new.

        A stored file that the lake cannot deliver is fetched only if its key is in `named`. A file is never fetched
        while something other than a file stands at its key.
        """
        return gaps_of(self.cells, self.statuses, first_seen, self.taken_at, named, self.needed_by)

    @property
    def inventory(self) -> datetime | None:
        """The time of the S3 Inventory that was used instead of a listing; None if the lake was listed."""
        return self.from_inventory.as_of if self.from_inventory and self.from_inventory.found_later is None else None

    @property
    def totals(self) -> dict[str, int]:
        """The number of files in each state and in total: {"total": …, "present": …, …}."""
        totals: Counter[State] = Counter()
        for standings in self.counts.values():
            for standing, count in standings.items():
                totals[standing.state] += count
        return {"total": totals.total()} | {state.value: totals[state] for state in State}

    @cached_property
    def lost(self) -> dict[str, Status]:
        """Files that vanished or shrunk without ADCE's doing, except those that an operator has marked unavailable."""
        return {key: s for key, s in self.statuses.items() if s.lost and s.limit is not Limit.OPERATOR}

    def after(self, first: Overview) -> Overview:
        """The same overview, of the last look of a run. The `first` look of the run may have used an inventory."""
        if self.from_inventory or not first.from_inventory:
            return self
        gaps, before = (
            {key for key, status in one.statuses.items() if status.state is State.GAP} for one in (self, first)
        )
        return replace(self, from_inventory=replace(first.from_inventory, found_later=len(gaps - before)))

    def naming(self, cells: Mapping[str, Cell], statuses: Mapping[str, Status]) -> Overview:
        """The same overview, in which these files are exceptions, too. They are counted already."""
        return replace(self, cells={**cells, **self.cells}, statuses={**statuses, **self.statuses})

    def with_statuses(self, changed: Mapping[str, Status]) -> Overview:
        """The same overview with other statuses of some exceptions, which are counted accordingly."""
        moved: dict[Place, Counter[Standing]] = {}
        for key, status in changed.items():
            place, before = place_of(self.cells[key]), standing_of(self.statuses[key])
            if (after := standing_of(status)) != before:
                counts = moved.setdefault(place, Counter(self.counts[place]))
                counts[before] -= 1
                counts[after] += 1
        return replace(self, counts={**self.counts, **moved}, statuses={**self.statuses, **changed})

    def with_claims(self, claims: Mapping[str, Claim]) -> Overview:
        """The same overview, in which the gaps that other runs have claimed are in flight."""
        return self.with_statuses(in_flight(self.cells, self.statuses, claims))


def gaps_of(
    cells: Mapping[str, Cell],
    statuses: Mapping[str, Status],
    first_seen: Mapping[str, datetime],
    now: datetime,
    named: Collection[str] = (),
    needed_by: Mapping[str, str] | None = None,
) -> list[Gap]:
    """The gaps to fetch of some files, by their statuses; see Overview.gaps. New ones are seen `now`."""
    needed_by = needed_by or {}

    def why(cell: Cell, status: Status) -> str:
        needs = needed_by.get(cell.dataset)
        return f"{status.reason}; needed by {needs}" if needs else status.reason

    return [
        Gap(cell := cells[key], status.kind, why(cell, status), first_seen.get(key, now))
        for key, status in statuses.items()
        if status.state is State.GAP
        and status.kind is not None
        and (status.kind is not Kind.UNREADABLE or (key in named and status.limit is not Limit.OBSTACLE))
    ]


def overview_of(assessment: Assessment) -> Overview:
    """The overview of the files of an assessment."""
    statuses = exceptions(assessment.statuses)
    return Overview(
        count_cells(assessment.cells, assessment.statuses),
        {key: assessment.cells[key] for key in statuses},
        statuses,
        assessment.taken_at,
        assessment.never_read,
        assessment.by_former_checks,
    )


def joined(overviews: Iterable[Overview], at: datetime) -> Overview:
    """The overview of the files of several overviews, which have no place and no file in common."""
    counts: dict[Place, Mapping[Standing, int]] = {}
    cells: dict[str, Cell] = {}
    statuses: dict[str, Status] = {}
    never_read = by_former_checks = 0
    for one in overviews:
        counts.update(one.counts)
        cells.update(one.cells)
        statuses.update(one.statuses)
        never_read += one.never_read
        by_former_checks += one.by_former_checks
    return Overview(counts, cells, statuses, at, never_read, by_former_checks)


def exceptions(statuses: Mapping[str, Status]) -> dict[str, Status]:
    """The statuses of the exceptions: of every file that is neither present for good nor simply not due yet."""
    return {key: status for key, status in statuses.items() if not _is_plain(status)}


def _is_plain(status: Status) -> bool:
    """Is there nothing to say of a file but that it is present for good, or not due yet?"""
    if status.limit:
        return False
    return status.state is State.NOT_DUE or (status.state is State.PRESENT and status.until is None)


_place = attrgetter("dataset", "season", "first_day", "last_day")
_state_and_limit = attrgetter("state", "limit")


def count_cells(cells: Mapping[str, Cell], statuses: Mapping[str, Status]) -> dict[Place, Counter[Standing]]:
    """The number of files by place and standing. Each status counts once, at the place of its cell."""
    places = map(_place, map(cells.__getitem__, statuses))
    found = Counter(zip(places, map(_state_and_limit, statuses.values()), strict=True))
    counts: dict[Place, Counter[Standing]] = {}
    for ((dataset, season, first_day, last_day), (state, limit)), count in found.items():
        place = Place(dataset, season, span(first_day, last_day))
        counts.setdefault(place, Counter())[_standing_of(state, limit)] += count
    return counts


def stored_files(cells: Mapping[str, Cell], objects: Mapping[str, LakeObject]) -> dict[Partition, Stored]:
    """The files in the lake and their bytes, by partition."""
    sums: dict[tuple[str, str], list[int]] = {}
    for key, cell in cells.items():
        if have := objects.get(key):
            both = sums.setdefault((cell.dataset, cell.season), [0, 0])
            both[0] += 1
            both[1] += have.size
    return {Partition(*of): Stored(*both) for of, both in sums.items()}


def place_of(cell: Cell) -> Place:
    """Where a file is counted."""
    return Place(cell.dataset, cell.season, span(cell.first_day, cell.last_day))


def standing_of(status: Status) -> Standing:
    """What is counted of a file with this status."""
    return _standing_of(status.state, status.limit)


def _standing_of(state: State, limit: Limit | None) -> Standing:
    by_operator = state is State.UNAVAILABLE and limit is Limit.OPERATOR
    return Standing(state, by_operator, state is State.DEFERRED and limit is Limit.EXAMINE_AT_MOST)
