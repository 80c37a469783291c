"""Which documents does `adce serve` answer with, besides those of the command line?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict, ValidationError

from config.models import Priority
from tasks.answers.health import Verdict
from tasks.domain.assess.states import State
from tasks.domain.reasons import Limit
from tasks.show.documents.document import Document
from tasks.show.documents.operations import EventPathState, HeldUp, PastRunDocument, RateOf, SourceState
from tasks.show.documents.plan import PlannedFill

if TYPE_CHECKING:
    from tasks.answers.health import Check, Health
    from tasks.answers.service import Snapshot
    from tasks.answers.sources import EventsNow
    from tasks.domain.assess.coverage import Tally

D = TypeVar("D", bound=Document)

MOST_FILLS, MOST_KEYS = 100, 2000  # that the document of the plan names


class Problem(Document):
    """An error, as RFC 9457 describes it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Liveness(Document):
    """The process answers."""

    status: Verdict


class Readiness(Document):
    """Whether the ledger has been read lately, and when it was last read."""

    status: Verdict
    as_of: datetime | None


class CheckState(Document):
    """One check: its verdict, the time of what it judges, and the conditions under which it warns and fails."""

    status: Verdict
    time: datetime | None
    output: str
    warns_if: str
    fails_if: str

    @classmethod
    def of(cls, check: Check) -> CheckState:
        """The document for a check."""
        return cls(
            status=check.verdict, time=check.time, output=check.output, warns_if=check.warns, fails_if=check.fails
        )


class HealthState(Document):
    """Whether ADCE is healthy: the worst verdict of all checks, and each of them, in the form of health+json."""

    status: Verdict
    version: str
    time: datetime
    output: str  # what is wrong; empty if nothing is
    notes: list[str]  # what is not checked
    checks: Mapping[str, list[CheckState]]

    @classmethod
    def of(cls, health: Health, version: str, notes: Iterable[str]) -> HealthState:
        """The document for a health."""
        checks = {check.name: [CheckState.of(check)] for check in health.checks}
        return cls(
            status=health.verdict,
            version=version,
            time=health.at,
            output=health.output,
            notes=list(notes),
            checks=checks,
        )


class Served(Document):
    """What all documents of the service say: as of when they are, and what does not answer now, if anything."""

    as_of: datetime
    away: list[str]


class WatchedEvents(Document):
    """How events of the lake are watched now."""

    since: datetime
    progress: datetime
    path: EventPathState
    unreadable: int  # messages of the last weeks
    missed: int  # changes of the last week of which no event has told

    @classmethod
    def of(cls, events: EventsNow) -> WatchedEvents:
        """The document for the events."""
        path = EventPathState(state=events.path.state.value, reason=events.path.reason)
        return cls(
            since=events.since,
            progress=events.progress,
            path=path,
            unreadable=events.unread_count,
            missed=sum(events.missed.values()),
        )


class Status(Served):
    """The whole system in short: the files by state, the sources, the events, the runs at work and the last ones."""

    lake: str
    looked_at: datetime | None  # when the lake was looked at
    cells: Mapping[str, int] | None  # None if no run has recorded a look at the whole lake
    last_reconcile: datetime | None  # when the last one ended that has worked through its plan
    sources: list[SourceState]
    events: WatchedEvents | None  # None if events are not watched
    at_work: list[PastRunDocument]
    runs: list[PastRunDocument]  # the last ones, the newest first

    @classmethod
    def of(cls, found: Snapshot, away: Iterable[str]) -> Status:
        """The document for a snapshot."""
        look = found.recorded.coverage if found.recorded else None
        return cls(
            as_of=found.at,
            away=list(away),
            lake=found.lake,
            looked_at=look and look.as_of,
            cells=look and _totals(look.total),
            last_reconcile=found.finished,
            sources=list(map(SourceState.of, found.sources)),
            events=found.events and WatchedEvents.of(found.events),
            at_work=[PastRunDocument.model_validate(run) for run in found.runs if run.is_running],
            runs=[PastRunDocument.model_validate(run) for run in found.runs if not run.is_running],
        )


def _totals(tally: Tally) -> dict[str, int]:
    """The number of files in all and in each state."""
    return {"total": tally.expected} | {state.value: getattr(tally, state.value) for state in State}


class Waiting(Document):
    """The planned fills of a priority."""

    priority: Priority
    fills: int
    files: int
    requests: int
    detected_at: datetime  # the oldest detection
    eta: datetime | None  # when the last of these fills is to end, as it was planned; None if that of one is not known


class Deferred(Document):
    """Files that the plan leaves for later, and why."""

    limit: Limit | None
    of: str
    reason: str
    until: datetime | None
    files: int


class Tasks(Served):
    """The plan of the last reconcile, as it was made: the first fills in the order of their scores, and all counts."""

    planned_at: datetime | None  # None if no reconcile has kept a plan
    run: str | None
    fills: int
    files: int
    queue: list[Waiting]
    first: list[PlannedFill]
    deferred: list[Deferred]
    unreadable: int  # entries of the plan that another version of ADCE has kept in another form; they are not counted

    @classmethod
    def of(cls, found: Snapshot, away: Iterable[str]) -> Tasks:
        """The document for a snapshot. At most 100 fills with 2,000 keys are named."""
        plan = found.plan
        fills, later, unreadable = _entries(plan.document if plan else {})
        keys = accumulate(len(fill.keys) for fill in fills[:MOST_FILLS])
        shown = max(1, sum(1 for _ in takewhile(lambda count: count <= MOST_KEYS, keys)))
        return cls(
            as_of=found.at,
            away=list(away),
            planned_at=plan and plan.at,
            run=plan and plan.run,
            fills=len(fills),
            files=sum(len(fill.keys) for fill in fills),
            queue=list(_queue(fills)),
            first=list(fills[:shown]),
            deferred=[
                Deferred(limit=one.limit, of=one.of, reason=one.reason, until=one.until, files=len(one.keys))
                for one in later
            ],
            unreadable=unreadable,
        )


class _KeptFill(PlannedFill):
    """A fill of a kept plan, of which a later version of ADCE may have kept more. NaN is no number of JSON."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


def _limit_if_known(limit: Any) -> Limit | None:
    return Limit(limit) if limit in list(Limit) else None


class _KeptLater(Document):
    """Files that a kept plan leaves for later. Former versions of ADCE have kept no limit, and later ones know more."""

    model_config = ConfigDict(extra="ignore")

    limit: Annotated[Limit | None, BeforeValidator(_limit_if_known)] = None
    of: str = ""
    reason: str
    until: datetime | None = None
    keys: list[str]


def _entries(kept: Mapping[str, Any]) -> tuple[Sequence[_KeptFill], Sequence[_KeptLater], int]:
    """The fills of a kept plan, what it leaves for later, and the number of entries that cannot be read."""
    fills, not_fills = _readable(_KeptFill, kept.get("fills"))
    later, not_later = _readable(_KeptLater, kept.get("later"))
    return fills, later, not_fills + not_later


def _readable(form: type[D], entries: Any) -> tuple[Sequence[D], int]:
    """The entries that can be read, and the number of the others."""
    found, unreadable = [], 0
    for entry in entries if isinstance(entries, list) else ():
        try:
            found.append(form.model_validate(entry))
        except ValidationError:
            unreadable += 1
    return found, unreadable


def _queue(fills: Sequence[PlannedFill]) -> Iterator[Waiting]:
    for priority in Priority:
        if of_it := [fill for fill in fills if fill.priority is priority]:
            etas = [fill.eta for fill in of_it]
            yield Waiting(
                priority=priority,
                fills=len(of_it),
                files=sum(len(fill.keys) for fill in of_it),
                requests=sum(fill.requests for fill in of_it),
                detected_at=min(fill.detected_at for fill in of_it),
                eta=None if None in etas else max(filter(None, etas)),
            )


class SourceBudget(Document):
    """The rate budget of a source, how much of it the last minute has used, and what keeps it from being asked."""

    name: str
    enabled: bool
    not_fetched: Mapping[str, str]  # its datasets that the configuration has not fetched, each with the setting
    rates: list[RateOf]
    per_minute: float  # requests that the rates let through in a minute
    last_minute: int  # requests that runs have sent
    utilization: float
    holds: list[HeldUp]  # pauses, circuit breakers, maintenance windows


class RateLimits(Served):
    """The rate budgets of all sources."""

    sources: list[SourceBudget]

    @classmethod
    def of(cls, found: Snapshot, away: Iterable[str]) -> RateLimits:
        """The document for a snapshot."""
        sources = [
            SourceBudget(
                name=source.name,
                enabled=source.is_enabled,
                not_fetched=source.not_fetched,
                rates=[RateOf(requests=rate.requests, seconds=rate.seconds) for rate in source.rates],
                per_minute=round(source.per_minute, 3),
                last_minute=source.last_minute,
                utilization=round(source.last_minute / source.per_minute, 4),
                holds=list(map(HeldUp.of, source.holds)),
            )
            for source in found.sources
        ]
        return cls(as_of=found.at, away=list(away), sources=sources)
