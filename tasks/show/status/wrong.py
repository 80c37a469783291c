"""What is wrong now: which incidents are open, and which checks of the health do not pass?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tasks.answers.health import ANSWERS, INCIDENTS, Check, Health, Verdict
from tasks.answers.service import Snapshot
from tasks.domain.alert_messages import end_of, name_of
from tasks.domain.incidents import BY_KIND, Incident, Kind, command_of
from tasks.domain.wording import duration, utc

_SHOWN_ELSEWHERE = (ANSWERS, INCIDENTS)
_OF_HOLDS = (Kind.SOURCE_PAUSED, Kind.BREAKER)

# What ends the incidents that end at once, as their facts have it.
ENDS_WITH = {
    Kind.CHECKS: "it ends with the first body that passes its check",
    Kind.CRITICAL_FAILURES: "each run tries again; it ends when one has stored the file",
    Kind.CRITICAL_GAP: "each run tries to fetch them first; it ends when none is that old any more",
    Kind.LOST: "each run tries to fetch them again; it ends when all are back",
    Kind.UNREADABLE: "each run tries to read them again; it ends when the lake delivers them",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """An incident: what is wrong, where, why, from when to when, how many files, what is next, and what shows more.

    Another incident may explain it: then `part_of` is the id of that, and `explained_by` what it is, if it is known.
    """

    id: str
    part_of: str
    title: str
    scope: str
    reason: str
    since: datetime | None
    until: datetime | None  # None while it is so
    is_open: bool  # it stays open for some time after it is over
    files: int
    next: str
    command: str
    explained_by: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong, and what was until lately."""

    open: Sequence[Trouble]
    closed: Sequence[Trouble]
    checks: Sequence[Check]  # those that do not pass, but for those of incidents and of the answers' age

    @property
    def is_bad(self) -> bool:
        """Does a check fail, or does the condition of an incident hold?"""
        fails = any(check.verdict is Verdict.FAIL for check in self.checks)
        return fails or any(one.until is None for one in self.open)

    @property
    def answer(self) -> str:
        """The answer in a few words."""
        if self.is_bad:
            return "Something is wrong"
        if self.checks:
            return "Something may be wrong"
        return "Something was wrong until lately" if self.open else "Nothing is wrong"


def wrong_of(found: Snapshot, health: Health) -> Wrong:
    """What is wrong, by the incidents in the ledger and the checks of the health."""
    names = {one.id: name_of(one) for one in found.incidents}
    told = [_trouble(found, one, names.get(one.cause, "")) for one in found.incidents]
    checks = [
        check for check in health.checks if check.verdict is not Verdict.PASS and check.name not in _SHOWN_ELSEWHERE
    ]
    still, over = ([one for one in told if one.is_open is is_open] for is_open in (True, False))
    return Wrong(parents_first(still), parents_first(over), checks)


def parents_first(told: Sequence[Trouble]) -> list[Trouble]:
    """Each incident right after the one that explains it, if that is among them; the others in their order."""
    places = {one.id: place for place, one in enumerate(told)}

    def path(one: Trouble) -> list[int]:
        found = [places[one.id]]
        while (parent := places.get(told[found[0]].part_of)) is not None and parent not in found:
            found.insert(0, parent)
        return found

    return sorted(told, key=path)


def _trouble(found: Snapshot, incident: Incident, explained_by: str) -> Trouble:
    return Trouble(
        incident.id,
        incident.cause,
        BY_KIND[incident.kind].title,
        incident.scope,
        incident.reason,
        incident.began,
        incident.cleared or incident.closed,
        incident.is_open,
        incident.files,
        "; ".join(_next(found, incident)),
        command_of(incident),
        explained_by,
    )


def _next(found: Snapshot, incident: Incident) -> Iterator[str]:
    """What happens next, and when."""
    if end := end_of(incident):
        yield f"it is {end}"
        return
    source = incident.scope.partition("/")[0]
    if incident.kind in _OF_HOLDS or incident.kind in ENDS_WITH:
        holds = [hold for one in found.sources if one.name == source for hold in one.holds]
        ends = [hold.reason.until for hold in holds if hold.reason.until]
        if ends:
            yield f"{source} is asked again from {utc(max(ends))}"
    if ending := ENDS_WITH.get(incident.kind):
        yield ending
    else:
        yield f"it ends {duration(BY_KIND[incident.kind].keep_for)} after that is over"
