"""Which judgements still hold, so that unchanged parts of a lake need not be judged again?

A partition is the files of one dataset and season. States follow from the objects in the lake, the games that schedules
list, what the ledger knows of the files, the settings, and the time. As long as the others are unchanged, a judgement
holds until the earliest time at which a state can change by itself. states.state_of alone decides what a state is.
The objects of a partition are unchanged if those in all ranges of keys are in which it has a key; see ranges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from tasks.domain.assess.absences import Absence
from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.finality import LAST_LOOK
from tasks.domain.assess.overview import Overview, Place, Standing, Stored, count_cells, exceptions
from tasks.domain.assess.ranges import KeyRanges
from tasks.domain.assess.states import Examination, LakeObject, Status
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell, Partition
from tasks.domain.expected.games import Game, last_day_listed
from tasks.domain.reasons import Limit

_DAY = timedelta(days=1)
_FEW = 100  # exceptions that a judgement may always have
_LARGEST_SHARE = 0.5  # of the files of a judgement may be exceptions; reading more back would save nothing


class ExceptionalFile(NamedTuple):
    """A file that is neither present for good nor simply not due yet. `game` is None for a file of the calendar."""

    key: str
    status: Status
    game: Game | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of a partition, and digests of what it rests on."""

    judged: datetime
    until: datetime | None  # the earliest time at which a state can change by itself
    ranges: Sequence[str]  # the starts of the ranges in which its keys lie; see ranges.KeyRanges
    stored: Stored
    games: str  # see games_digest; empty for the files of the calendar
    counts: Mapping[str, Mapping[Standing, int]]  # by span; see overview.Place
    exceptions: Sequence[ExceptionalFile]

    def is_current(self, now: datetime) -> bool:
        """Does it hold at `now`, if what it rests on is unchanged?"""
        return self.judged <= now and (self.until is None or now < self.until)

    def overview(self, partition: Partition, cells: Mapping[str, Cell], now: datetime) -> Overview:
        """The overview of its files. `cells` has those of its exceptions, by key. Raises KeyError if one is missing."""
        counts = {Place(*partition, span): standings for span, standings in self.counts.items()}
        statuses = {file.key: file.status for file in self.exceptions}
        return Overview(counts, {key: cells[key] for key in statuses}, statuses, now)


def by_partition(assessment: Assessment) -> dict[Partition, Assessment]:
    """The assessments of the files of each partition."""
    by_name: dict[tuple[str, str], dict[str, Cell]] = {}
    for key, cell in assessment.cells.items():
        of = cell.dataset, cell.season
        if of not in by_name:
            by_name[of] = {}
        by_name[of][key] = cell
    cells = {Partition(*of): some for of, some in by_name.items()}
    unseen: dict[Partition, list[Cell]] = {}
    for cell in assessment.unseen:
        unseen.setdefault(cell.partition, []).append(cell)
    return {
        partition: Assessment(
            some, {key: assessment.statuses[key] for key in some}, assessment.taken_at, unseen.get(partition, ())
        )
        for partition, some in cells.items()
    }


def games_digest(games: Iterable[Game]) -> str:
    """A digest of the games of a season, in their order."""
    parts = [
        (g.id, g.day.toordinal(), g.start and g.start.timestamp(), g.status.value, g.season_type, g.if_necessary)
        for g in games
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def judgement_of(
    partition: Partition,
    assessment: Assessment,
    objects: Mapping[str, LakeObject],
    examinations: Mapping[str, Examination],
    absences: Mapping[str, Absence],
    differing: Collection[str],
    ranges: KeyRanges,
    games: str,
    expires: timedelta,
) -> Judgement:
    """The judgement of the partition whose files were assessed. It holds for no time if it rests on more than digests.

    That is so if a body is not read yet, if something other than a file stands at a key, if the file is in `differing`
    (the keys of schedules that list fewer games than another source's), if a stored time is in the future, or if the
    exceptions are too many for the judgement to be worth keeping. A file is unavailable for `expires`.
    """
    now, statuses, keys = assessment.taken_at, assessment.statuses, assessment.cells.keys()
    found = exceptions(statuses)
    stored, seen = [*filter(None, map(objects.get, keys))], filter(None, map(examinations.get, keys))
    holds = not (
        assessment.unseen
        or len(found) > max(_FEW, _LARGEST_SHARE * len(keys))
        or any(status.limit is Limit.OBSTACLE for status in found.values())
        or not statuses.keys().isdisjoint(differing)
        or _has_time_after(now, stored, seen, map(absences.get, keys) if absences else (), expires)
    )
    within = ranges.over(keys)
    if not holds:
        return Judgement(now, now, within, Stored(), games, {}, ())
    files = tuple(ExceptionalFile(key, status, assessment.cells[key].game) for key, status in found.items())
    counts = {place.span: standings for place, standings in count_cells(assessment.cells, statuses).items()}
    until = _changes_at(partition, assessment, now)
    total = Stored(len(stored), sum(have.size for have in stored))
    return Judgement(now, until, within, total, games, counts, files)


def _changes_at(partition: Partition, assessment: Assessment, now: datetime) -> datetime | None:
    """The earliest time after `now` at which a state can change by itself, or a game can be dropped."""
    times = [status.until for status in assessment.statuses.values() if status.until]
    # Until then a list that its source does not have may still be published, and afterwards it is absent.
    times.append(seasons.over_at(partition.season) + LAST_LOOK)
    games = {cell.game for cell in assessment.cells.values() if cell.game}
    times += [seasons.eastern_midnight(last + _DAY) for game in games if (last := last_day_listed(game))]
    return min((at for at in times if at > now), default=None)


def _has_time_after(
    now: datetime,
    stored: Iterable[LakeObject],
    seen: Iterable[Examination],
    absences: Iterable[Absence | None],
    expires: timedelta,
) -> bool:
    """Was a file stored, fetched or looked for after `now`, or is it unavailable for longer than a look makes it?

    Then a clock was wrong or a setting has changed, and what follows depends on `now`; see Absence.counts.
    """
    times = [have.modified for have in stored]
    times += [one.fetched for one in seen if one.fetched is not None]
    if max(times, default=now) > now:
        return True
    for absence in filter(None, absences):
        if max(absence.first, absence.last) > now:
            return True
        if absence.note is None and absence.until and absence.until > now + expires:
            return True
    return False
