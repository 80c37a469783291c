"""Is the lake whole? How many files are lacking, and to which day is it complete, in all and by dataset?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from tasks.answers.season import season_to_show
from tasks.answers.service import Recorded, Snapshot
from tasks.domain.assess.completeness import day_that_ends
from tasks.domain.assess.coverage import Tally, add_up
from tasks.domain.assess.periods import By
from tasks.domain.expected.seasons import eastern_day
from tasks.domain.metrics import COMPLETE_UNTIL
from tasks.domain.wording import plural, verb

_DAY = timedelta(days=1)
_MOST_NAMED = 3  # datasets that a sentence names


@dataclass(frozen=True, slots=True)
class DatasetLine:
    """How whole a dataset is. `season` is where to look: the newest one with a hole, or else the newest one."""

    source: str
    name: str
    tally: Tally
    complete_to: date | None
    season: str


@dataclass(frozen=True, slots=True)
class Whole:
    """How whole the lake is, as the last recorded look has it."""

    total: Tally
    as_of: datetime | None
    complete_to: date | None
    last_night: date
    incomplete_last_night: Sequence[str]  # datasets of which something is lacking of that day, or of an earlier one
    lines: Sequence[DatasetLine]

    @property
    def held_back_by(self) -> str:
        """The datasets that are complete to no later day than all are, if others are; in words."""
        first = [line.name for line in self.lines if line.complete_to == self.complete_to]
        return _some(first) if len(first) < len(self.lines) else ""

    @property
    def answer(self) -> str:
        """The answer in a few words."""
        if self.total.is_empty:
            return "Nothing is expected so far"
        if self.total.lacking:
            return f"No: {plural(self.total.lacking, 'hole')}"
        return "Yes, it is whole" if self.total.is_known else "Not all is known"

    @property
    def last_night_in_words(self) -> str:
        """Is everything there of the last day that is over?"""
        names = self.incomplete_last_night
        if not self.lines:
            return "unknown, since no files are expected so far"
        if not names:
            return "complete, and so are all days before"
        return f"{_some(names)} {verb(len(names), 'lacks', 'lack')} files of that day or before"


def _some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


def whole_of(found: Snapshot, look: Recorded) -> Whole:
    """How whole the lake is that a snapshot tells of."""
    as_of = look.coverage.as_of or found.at
    night = eastern_day(as_of) - _DAY
    lines = list(_lines(found, look))
    days = [line.complete_to for line in lines if line.complete_to]
    behind = [line.name for line in lines if line.complete_to is None or line.complete_to < night]
    return Whole(look.coverage.total, look.coverage.as_of, min(days, default=None), night, behind, lines)


def _lines(found: Snapshot, look: Recorded) -> Iterator[DatasetLine]:
    ends = found.measured.values.get(COMPLETE_UNTIL, {})
    rows = look.coverage.rows(By.SEASON)
    for name in dict.fromkeys(row.dataset for row in rows):
        own = [row for row in rows if row.dataset == name]
        end = ends.get((name,))
        until = day_that_ends(datetime.fromtimestamp(end, UTC)) if end is not None else None
        season = season_to_show(look.coverage, name) or own[-1].season
        yield DatasetLine(own[0].source, name, add_up(row.tally for row in own), until, season)
