"""What does `adce coverage` print as JSON?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from tasks.domain.assess.periods import By
from tasks.domain.assess.unknown import by_season
from tasks.show.documents.document import Document, WithOffset

if TYPE_CHECKING:
    from tasks.domain.assess.coverage import Coverage
    from tasks.domain.assess.unknown import MayListMore


class UnknownSeason(Document):
    """A season of a dataset whose files are not known yet, because the schedules that list them are missing."""

    dataset: str
    season: str
    needs: list[str]
    schedules: int


class Tally(Document):
    """The number of files in each state."""

    expected: int
    present: int
    not_due: int
    gap: int
    in_flight: int
    deferred: int
    unavailable: int
    by_operator: int
    unread: int
    switched_off: int
    unknown: int
    percent: float | None


class Place(Document):
    """The part of the lake that a row of the coverage counts."""

    source: str
    dataset: str
    season: str
    month: str | None = None  # only if `by` is month
    date: str | None = None  # only if `by` is date


class CoverageRow(Tally, Place):
    """A row of the coverage."""


class CoverageAnswer(Document):
    """The output of `adce coverage`."""

    lake: str
    as_of: WithOffset
    by: By
    total: Tally
    rows: list[CoverageRow]
    unknown: list[UnknownSeason]
    inventory: datetime | None = None  # the time of the S3 Inventory that was used instead of a listing
    verified_since: WithOffset | None = None  # only if parts of the lake were not listed at `as_of`
    run: str | None = None  # only of recorded coverage: the id of the run that has recorded it

    @classmethod
    def of(cls, coverage: Coverage, by: By, as_of: datetime, unknown: Iterable[MayListMore]) -> CoverageAnswer:
        """The document for a coverage."""
        document = {"lake": coverage.lake, "as_of": as_of, "inventory": coverage.inventory}
        document |= {**coverage.document(by), "unknown": by_season(unknown)}
        extra = {"verified_since": coverage.since, "run": coverage.run}
        return cls.model_validate(document | {name: value for name, value in extra.items() if value})
