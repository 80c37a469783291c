"""How is it recorded that a fill begins or ends? One transaction records it for all subjects of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from tasks.domain.assess.absences import Absence, Look
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Examination, LakeObject
from tasks.domain.metrics import (
    DEFERRALS,
    DETECTED_TO_STORED,
    DUE_TO_STORED,
    FAILURES,
    FILE_SECONDS,
    FILES,
    FILL_SECONDS,
    FILLS,
    REQUESTS,
    STORED_BYTES,
    WAITED_SECONDS,
    Amounts,
)
from tasks.domain.outcomes import Failure, FileOutcome, Outcome
from tasks.domain.times import SKEW
from tasks.ledger.absences import Absences
from tasks.ledger.announcements import Announcements
from tasks.ledger.attempts import Attempts, FillRecord
from tasks.ledger.corrections import Change, Corrections
from tasks.ledger.database import Database, delete
from tasks.ledger.failures import Failures
from tasks.ledger.gaps import gaps_table
from tasks.ledger.leases import Leases, release
from tasks.ledger.objects import Objects
from tasks.ledger.runs import first_began
from tasks.ledger.totals import Totals


@dataclass(frozen=True)
class FillEnd:
    """How a fill ended: everything that is recorded of it."""

    fill: FillRecord
    ended: datetime
    outcomes: Collection[FileOutcome]
    examinations: Mapping[str, Examination] = field(default_factory=dict)  # by key, of the files that were stored
    objects: Mapping[str, LakeObject] = field(default_factory=dict)  # the same files, as the lake has them
    looks: Iterable[Look] = ()  # looks at files that the source does not have, or has only incomplete
    changes: Iterable[Change] = ()
    gaps: Collection[Gap] = ()  # the gaps that it was to close; the run's claims on them end
    is_test: bool = False  # in test mode, only the claims end, and nothing else is recorded

    @property
    def own(self) -> set[str]:
        """The keys of the files that the fill itself has stored."""
        return {o.key for o in self.outcomes if o.outcome is Outcome.STORED or o.kept_partial}

    @property
    def new(self) -> dict[str, LakeObject]:
        """The objects that the fill has made. It makes none where the lake had the same content already."""
        begun = self.fill.started - SKEW
        return {key: have for key in self.own if (have := self.objects.get(key)) and have.modified >= begun}


@dataclass(frozen=True, slots=True)
class Fills:
    """Begins and ends fills, across the subjects of the ledger."""

    database: Database
    attempts: Attempts
    failures: Failures
    objects: Objects
    absences: Absences
    totals: Totals
    announcements: Announcements

    def claim(
        self, leases: Leases, works: Collection[str], keys: Collection[str], last_file: int
    ) -> tuple[set[str], set[str]]:
        """Claims units of work (Cell.work) for a run before it begins a fill.

        Returns those that the run has claimed, and which `keys` another run has stored since the attempt `last_file`.
        """

        def write(connection: sa.Connection) -> tuple[set[str], set[str]]:
            claimed = leases.claim(connection, works)
            return claimed, self.attempts.stored_since(connection, last_file, keys, except_by=leases.run)

        return self.database.write(write)

    def record(self, end: FillEnd) -> dict[str, Absence]:
        """Records the end of a fill, completely or not at all. Returns the absences that result from its looks, by key.

        The files that are now in the lake are no longer recorded as gaps or as absent.
        """

        def write(connection: sa.Connection) -> dict[str, Absence]:
            absent: dict[str, Absence] = {}
            if not end.is_test:
                gaps = {gap.cell.key: gap for gap in end.gaps}
                self.attempts.write(connection, end.fill, end.ended, end.outcomes, gaps)
                self.failures.write(connection, end.fill, end.ended, end.outcomes)
                told = self.objects.write(connection, end.examinations, end.objects, end.ended, end.own)
                self.announcements.write_stored(connection, end.new, told, end.ended)
                stored = [outcome.key for outcome in end.outcomes if outcome.is_in_lake]
                delete(connection, gaps_table, stored)
                self.absences.delete(connection, stored)
                absent = self.absences.add_looks(connection, end.looks)
                Corrections.write(connection, end.changes)
            release(connection, end.fill.run, {gap.cell.work for gap in end.gaps})
            amounts = requests_of(end) if end.is_test else amounts_of(end, first_began(connection))
            self.totals.add(connection, amounts)
            return absent

        return self.database.write(write)


def amounts_of(end: FillEnd, since: datetime | None) -> Amounts:
    """What a fill adds to the running totals of a ledger whose first run began at `since`."""
    source, dataset = end.fill.source, end.fill.dataset
    detected = {gap.cell.key: gap.first_seen for gap in end.gaps}
    due = {gap.cell.key: gap.cell.due_at for gap in end.gaps if gap.came_due_after(since)}
    amounts = requests_of(end)
    amounts.count(FILLS, source=source, dataset=dataset, outcome=_outcome_of(end.outcomes).value)
    amounts.observe_between(FILL_SECONDS, end.fill.started, end.ended, dataset=dataset)
    for o in end.outcomes:
        amounts.count(FILES, source=source, dataset=dataset, outcome=o.outcome.value)
        if o.outcome is Outcome.FAILED:
            failure = o.failure or Failure.OTHER
            amounts.count(FAILURES, source=source, dataset=dataset, failure=failure.value)
        if o.limit:
            amounts.count(DEFERRALS, source=source, limit=o.limit.value)
        if o.requests:
            amounts.observe(WAITED_SECONDS, o.waited, source=source)
        if o.seconds is not None:
            amounts.observe(FILE_SECONDS, o.seconds, dataset=dataset)
        if o.outcome is Outcome.STORED:
            amounts.count(STORED_BYTES, o.bytes, source=source, dataset=dataset)
            amounts.observe_between(DETECTED_TO_STORED, detected.get(o.key), o.stored, dataset=dataset)
            amounts.observe_between(DUE_TO_STORED, due.get(o.key), o.stored, dataset=dataset)
    return amounts


def requests_of(end: FillEnd) -> Amounts:
    """The requests that a fill adds to the running totals. In test mode, they are requests all the same."""
    amounts, requests = Amounts(), sum(outcome.requests for outcome in end.outcomes)
    amounts.count(REQUESTS, requests, source=end.fill.source, dataset=end.fill.dataset)
    return amounts


def _outcome_of(files: Collection[FileOutcome]) -> Outcome:
    """The outcome of a fill, which is the worst outcome of its files."""
    found = {file.outcome for file in files}
    return next((worst for worst in (Outcome.FAILED, Outcome.DEFERRED) if worst in found), Outcome.STORED)
