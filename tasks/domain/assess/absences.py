"""Does the source have this file, judging by its answers so far?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from config.models import Unavailability
from tasks.domain.assess.states import State, Status
from tasks.domain.reasons import Limit
from tasks.domain.times import SKEW
from tasks.domain.wording import plural, utc


@dataclass(frozen=True, slots=True)
class Absence:
    """The evidence that the source does not have a file, or only an incomplete one.

    It consists of looks (requests that found no complete file) or of an operator's statement.
    """

    key: str
    evidence: str  # the answer at the last look
    first: datetime  # time of the first look
    last: datetime  # time of the last look
    looks: int = 1
    until: datetime | None = None  # the file is unavailable until then; None: the looks are too few yet
    note: str | None = None  # the operator's statement, if there is one
    dataset: str = ""
    unfinished: bool = False  # at the last look the source had the right document, but incomplete
    by: str | None = None  # the operator, if that is known

    def counts(self, due_at: datetime, horizon: datetime, expires: timedelta) -> bool:
        """Is this evidence valid: was the file due at the first look, and can all times be trusted?

        The first look can be earlier than `due_at` if a schedule wrongly called the game final, and the game was played
        later. Looks after the `horizon`, and an `until` more than `expires` after it, come from a wrong clock. An
        operator's statement is always valid.
        """
        if self.note is not None:
            return True
        is_trusted = max(self.first, self.last) <= horizon and (self.until is None or self.until <= horizon + expires)
        return is_trusted and due_at <= self.first


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
    """The absence after one more look that found no file, or an `unfinished` one.

    An operator's statement does not change until it expires. If the file is `awaited`, because the source may not have
    published it yet, its looks are not added up. After `rules.looks` looks over at least `rules.over`, the file is
    unavailable for `rules.expires`.
    """
    if before is not None and not before.counts(due_at, now + SKEW, rules.expires):
        before = None
    if before is not None and before.until is not None:
        if now < before.until and before.note is not None:
            return before
        before = before if now < before.until else None  # it has expired: the looks are counted from one again
    if before is None or awaited:
        after = Absence(key, evidence, now, now, dataset=dataset, unfinished=unfinished)
    else:
        after = replace(before, evidence=evidence, last=now, looks=before.looks + 1, unfinished=unfinished)
    if after.looks >= rules.looks and after.last - after.first >= rules.over:
        return replace(after, until=now + rules.expires)
    return replace(after, until=None)


@dataclass(frozen=True, slots=True)
class Look:
    """One look that found no file, or an `unfinished` one: the arguments of `looked`."""

    key: str
    dataset: str
    evidence: str
    due_at: datetime
    at: datetime
    rules: Unavailability
    unfinished: bool = False
    awaited: bool = False

    def after(self, before: Absence | None) -> Absence:
        """The absence after this look; `before` is the one before it."""
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


def keys_in_doubt(absences: Iterable[Absence]) -> set[str]:
    """The keys of the files that the source did not have, or had only incomplete, at the last look."""
    return {absence.key for absence in absences if absence.note is None}


def status_of(absence: Absence, rules: Unavailability, now: datetime) -> Status | None:
    """The status that an absence gives to a gap: unavailable, or deferred until the next look.

    None if the file is to be looked for now.
    """
    if absence.until is not None:
        if now >= absence.until:
            return None
        if absence.note is not None:
            reason = f"set by an operator: {absence.note}"
            return Status(State.UNAVAILABLE, reason, until=absence.until, limit=Limit.OPERATOR)
        since = f"{plural(absence.looks, 'look')} since {utc(absence.first)}"
        finding = "never whole at the source" if absence.unfinished else "the source has none"
        return Status(State.UNAVAILABLE, f"{finding}: {absence.evidence} ({since})", until=absence.until)
    if absence.looks < rules.looks:
        return None
    again = _next_look(absence, rules)
    if now >= again:
        return None
    reason = f"back-off after {plural(absence.looks, 'look')}: {absence.evidence}"
    return Status(State.DEFERRED, reason, until=again, limit=Limit.LOOKS)


def _next_look(absence: Absence, rules: Unavailability) -> datetime:
    """When to look again: as long after the last look as the last one is after the first, so that intervals double.

    It is no later than `first + rules.over`, when a look can make the file unavailable, unless that time has passed.
    """
    doubled = absence.last + (absence.last - absence.first)
    decisive = absence.first + rules.over
    return min(doubled, decisive) if absence.last < decisive else doubled
