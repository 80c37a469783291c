"""Does the source have this file, and whole? What it has said so far, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from config.models import Unavailability
from tasks.domain.assess.states import State, Status
from tasks.domain.reasons import Limit
from tasks.domain.times import SKEW
from tasks.domain.wording import plural


@dataclass(frozen=True, slots=True)
class Absence:
    """What says that the source does not have a file, or not whole: its own answers, or an operator."""

    key: str
    evidence: str
    first: datetime
    last: datetime
    looks: int = 1
    until: datetime | None = None  # unavailable until then
    note: str | None = None  # the operator's
    dataset: str = ""
    unfinished: bool = False  # at the last look the source had the right document, and that was not whole

    def counts(self, due_at: datetime, horizon: datetime, expires: timedelta) -> bool:
        """Is it about a file that was due when it was looked for first, and can all its times be believed?

        A game that was called final by mistake may be played later. Looks after the `horizon` were made under a wrong
        clock, and so was one after which the file is not looked for again for longer than `expires`.
        """
        if self.note is not None:
            return True
        is_believed = max(self.first, self.last) <= horizon and (self.until is None or self.until <= horizon + expires)
        return is_believed and due_at <= self.first


def looked(
    before: Absence | None,
    key: str,
    dataset: str,
    evidence: str,
    due_at: datetime,
    now: datetime,
    rules: Unavailability,
    *,
    unfinished: bool = False,
    awaited: bool = False,
) -> Absence:
    """The absence after one more look that found no file, or none that is whole.

    What an operator has said stays as it is until its time is over. Looks for a page that is `awaited` do not add up.
    """
    if before is not None and not before.counts(due_at, now + SKEW, rules.expires):
        before = None
    if before is not None and before.until is not None:
        if now < before.until and before.note is not None:
            return before
        before = before if now < before.until else None  # its time is over: the looks are counted anew
    if before is None or awaited:
        after = Absence(key, evidence, now, now, dataset=dataset, unfinished=unfinished)
    else:
        after = replace(before, evidence=evidence, last=now, looks=before.looks + 1, unfinished=unfinished)
    if after.looks >= rules.looks and after.last - after.first >= rules.over:
        return replace(after, until=now + rules.expires)
    return replace(after, until=None)


@dataclass(frozen=True, slots=True)
class Look:
    """One look that found no file, or none that is whole: what `looked` is told of it."""

    key: str
    dataset: str
    evidence: str
    due_at: datetime
    at: datetime
    rules: Unavailability
    unfinished: bool = False
    awaited: bool = False

    def after(self, before: Absence | None) -> Absence:
        return looked(
            before,
            self.key,
            self.dataset,
            self.evidence,
            self.due_at,
            self.at,
            self.rules,
            unfinished=self.unfinished,
            awaited=self.awaited,
        )


def doubted(absences: Iterable[Absence]) -> set[str]:
    """The keys of files that the source did not have, or not whole, at the last look."""
    return {absence.key for absence in absences if absence.note is None}


def status_of(absence: Absence, rules: Unavailability, now: datetime) -> Status | None:
    """What a gap is instead: unavailable, deferred until the next look, or None: it may be looked for now."""
    if absence.until is not None:
        if now >= absence.until:
            return None
        if absence.note is not None:
            told = f"set by an operator: {absence.note}"
            return Status(State.UNAVAILABLE, told, until=absence.until, limit=Limit.OPERATOR)
        since = f"{plural(absence.looks, 'look')} since {absence.first:%Y-%m-%d %H:%M} UTC"
        what = "never whole at the source" if absence.unfinished else "the source has none"
        return Status(State.UNAVAILABLE, f"{what}: {absence.evidence} ({since})", until=absence.until)
    if absence.looks < rules.looks:
        return None
    again = _next_look(absence, rules)
    if now >= again:
        return None
    waits = f"back-off after {plural(absence.looks, 'look')}: {absence.evidence}"
    return Status(State.DEFERRED, waits, until=again, limit=Limit.LOOKS)


def _next_look(absence: Absence, rules: Unavailability) -> datetime:
    """Ever later: as long after the last look as that was after the first, and once the time is over that decides."""
    doubled = absence.last + (absence.last - absence.first)
    decides = absence.first + rules.over
    return min(doubled, decides) if absence.last < decides else doubled
