"""Which JSON do the commands print? Programs read it, so the names of fields must not change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from config.models import Priority
from tasks.domain.assess.periods import By
from tasks.domain.assess.states import Kind, LearntBy, State
from tasks.domain.assess.unknown import by_season
from tasks.domain.limits.pauses import Phase
from tasks.domain.reasons import Limit

if TYPE_CHECKING:
    from tasks.answers.datasets import CheckAnswer, DatasetAnswer
    from tasks.answers.difference import Difference
    from tasks.answers.report import Comparison, Report
    from tasks.answers.why import Answer
    from tasks.domain.assess.coverage import Coverage
    from tasks.domain.assess.unknown import Unknown
    from tasks.domain.plan.plan import Fill
    from tasks.ledger.runs import RunRecord

T = TypeVar("T")
# A time such as "2026-01-15T12:00:00+00:00". Pydantic writes all other times in UTC with a "Z" at the end.
WithOffset = Annotated[
    datetime, PlainSerializer(datetime.isoformat), WithJsonSchema({"type": "string", "format": "date-time"})
]


class Document(BaseModel):
    """A part of a JSON document."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)

    def as_json(self) -> dict[str, Any]:
        """The document as values that `json` can write. Fields that were not given are left out."""
        return self.model_dump(mode="json", exclude_unset=True)


class StoredObject(Document):
    """A file in the lake."""

    size: int
    modified: datetime


class Learnt(Document):
    """How and when ADCE learnt which version of a file the lake has."""

    by: LearntBy
    at: datetime | None


class Attempt(Document):
    """An attempt at fetching a file."""

    at: datetime
    outcome: str
    error: str | None
    requests: int
    bytes: int
    seconds: float | None
    due: datetime | None
    detected: datetime | None
    asked: datetime | None
    stored: datetime | None
    refusals: int
    waited: float
    run: str
    flow_run: str | None


class Correction(Document):
    """A change of a file's content at its source."""

    at: datetime
    run: str
    former_version: str | None


class WhyAnswer(Document):
    """Everything that is known about one file."""

    key: str
    source: str
    dataset: str
    season: str
    state: State
    kind: Kind | None
    reason: str
    limit: Limit | None
    until: datetime | None
    partial: bool
    decides: str
    next_action: str
    due_at: datetime
    object: StoredObject | None
    learnt: Learnt | None
    first_seen: datetime | None
    score: float | None
    score_parts: Mapping[str, Any] | None
    plan: Mapping[str, Any] | None
    attempts: list[Attempt]
    corrections: list[Correction]

    @classmethod
    def of(cls, answer: Answer) -> WhyAnswer:
        """The document for an answer."""
        cell, status = answer.cell, answer.status
        return cls(
            key=cell.key,
            source=answer.source,
            dataset=cell.dataset,
            season=cell.season,
            state=status.state,
            kind=status.kind,
            reason=status.reason,
            limit=status.limit,
            until=status.until,
            partial=status.partial,
            decides=answer.decides,
            next_action=answer.next_action,
            due_at=cell.due_at,
            object=answer.have and StoredObject.model_validate(answer.have),
            learnt=answer.learnt and Learnt.model_validate(answer.learnt),
            first_seen=answer.first_seen,
            score=answer.score,
            score_parts=answer.score_parts,
            plan=answer.plan,
            attempts=[
                Attempt(
                    at=one.at,
                    outcome=one.outcome,
                    error=one.error,
                    requests=one.requests,
                    bytes=one.bytes,
                    seconds=one.seconds,
                    due=one.due,
                    detected=one.detected,
                    asked=one.asked,
                    stored=one.stored,
                    refusals=one.refusals,
                    waited=one.waited,
                    run=one.run,
                    flow_run=answer.runs[one.run].flow_run if one.run in answer.runs else None,
                )
                for one in answer.attempts
            ],
            corrections=[Correction(at=one.at, run=one.run, former_version=one.kept_as) for one in answer.changes],
        )


class Why(Document):
    """The output of `adce why`."""

    answers: list[WhyAnswer]


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

    @classmethod
    def of(cls, coverage: Coverage, by: By, as_of: datetime, unknown: Iterable[Unknown]) -> CoverageAnswer:
        """The document for a coverage."""
        document = coverage.document(by)
        return cls.model_validate({"lake": coverage.lake, "as_of": as_of, **document, "unknown": by_season(unknown)})


class PlannedFill(Document):
    """A fill of a plan or a run."""

    id: str
    source: str
    dataset: str
    rollout: str | None
    kind: Kind
    priority: Priority
    score: float
    score_parts: Mapping[str, float]
    keys: list[str]
    requests: int
    detected_at: datetime
    starts: datetime | None
    eta: datetime | None
    reason: str

    @classmethod
    def of(cls, fill: Fill) -> PlannedFill:
        return cls(
            id=fill.id,
            source=fill.source,
            dataset=fill.dataset,
            rollout=fill.variant or None,
            kind=fill.kind,
            priority=fill.priority,
            score=round(fill.score.total, 6),
            score_parts=fill.score.parts(),
            keys=fill.keys,
            requests=fill.cost,
            detected_at=fill.detected_at,
            starts=fill.starts,
            eta=fill.eta,
            reason=fill.reason,
        )


class Results(Document):
    """The results of the files that were fetched with the settings of a rollout, or with the usual ones."""

    stored: int
    failed: int
    requests: int
    seconds: float | None


class Compared(Document):
    """A rollout compared with the rest of its datasets."""

    rollout: Results
    rest: Results


class Rollout(Document):
    """A rollout, and the results of its files."""

    name: str
    percent: float
    datasets: list[str]
    this_run: Compared
    since_it_began: Compared


class KeyAndReason(Document):
    """A file, and why it is named."""

    key: str
    reason: str


class UntilThen(KeyAndReason):
    """A file, why it is named, and until when that holds."""

    until: datetime | None


class DeferredFile(Document):
    """A file that is not fetched now."""

    key: str
    limit: Limit | None
    reason: str
    until: datetime | None


class FailedFile(Document):
    """A file that was not fetched, although it was tried."""

    key: str
    error: str | None


class LostFile(Document):
    """A file that had vanished or shrunk, and whether it is whole again."""

    key: str
    kind: Kind | None
    reason: str
    mended: bool


class Breaker(Document):
    """A circuit breaker that is not closed."""

    phase: Phase
    until: datetime | None
    reason: str


class SourceOfRun(Document):
    """What a source is asked for, until when, and what keeps it from being asked."""

    name: str
    requests: int
    eta: datetime | None
    phase: Phase
    paused_until: datetime | None
    reason: str | None
    breaker: Phase
    breakers: dict[str, Breaker]


class Amount(Document):
    """Files to fetch, the requests that they take, and about how many bytes they have."""

    files: int
    requests: int
    bytes: int


class SourceCost(Document):
    """What it takes to fetch the files that are known, and those that missing schedules will list, by estimate."""

    name: str
    known: Amount
    known_done: datetime | None
    estimate: Amount
    done: datetime | None


class Cost(Document):
    """What it takes to fetch what the lake lacks, for each source and in all."""

    sources: list[SourceCost]
    total: SourceCost


class Percentiles(Document):
    """Percentiles of seconds."""

    p50: float
    p95: float
    p99: float


class Scraper(Document):
    """How fast the last attempts of a dataset were, and how many requests each stored file took."""

    seconds: Percentiles
    requests_per_file: float


class OtherRun(Document):
    """The other reconcile to which a run has left everything."""

    run: str
    holder: str
    began: datetime
    flow_run: str | None


class RunReport(Document):
    """The output of `adce plan` and `adce reconcile`. A plan has no `filled`, `failed`, `left_to` and `seconds`."""

    as_of: datetime
    switches: list[str]
    rollouts: list[Rollout]
    cells: dict[str, int]
    to_examine: int
    by_former_checks: int
    unreadable: list[KeyAndReason]
    partial: list[UntilThen]
    differing: list[KeyAndReason]
    unknown: list[UnknownSeason]
    by_operator: int
    fills: list[PlannedFill]
    sources: list[SourceOfRun]
    cost: Cost
    scrapers: dict[str, Scraper]
    filled: list[str] = []
    failed: list[FailedFile] = []
    left_to: OtherRun | None = None
    seconds: float = 0.0
    lost: list[LostFile]
    deferred: list[DeferredFile]

    @classmethod
    def of(cls, report: Report) -> RunReport:
        document: dict[str, Any] = {
            "as_of": report.looked_at.taken_at,
            "switches": report.switches,
            "rollouts": [_rollout(name, comparison) for name, comparison in report.comparisons.items()],
            "cells": report.counts,
            "to_examine": report.to_examine,
            "by_former_checks": report.looked_at.by_former_checks,
            "unreadable": [KeyAndReason(key=key, reason=reason) for key, reason in report.unreadable],
            "partial": [UntilThen(key=key, reason=reason, until=until) for key, reason, until in report.partial],
            "differing": [KeyAndReason(key=key, reason=reason) for key, reason in report.differing],
            "unknown": by_season(report.unknown),
            "by_operator": sum(report.marked_unavailable.values()),
            "fills": [PlannedFill.of(fill) for fill in report.fills],
            "sources": report.sources,
            "cost": report.cost,
            "scrapers": {
                dataset: Scraper(seconds=Percentiles.model_validate(p), requests_per_file=p.requests)
                for dataset, p in report.performance.items()
            },
            "lost": report.lost,
            "deferred": [
                DeferredFile(key=key, limit=status.limit, reason=status.reason, until=status.until)
                for key, status in report.statuses.items()
                if status.state is State.DEFERRED
            ],
        }
        if report.outcomes is not None:
            document |= {
                "filled": report.filled,
                "failed": [FailedFile(key=outcome.key, error=outcome.error) for outcome in report.failed],
                "left_to": report.left_to and _other_run(report.left_to),
                "seconds": round(report.seconds, 3),
            }
        return cls.model_validate(document)


def _rollout(name: str, comparison: Comparison) -> Rollout:
    this_run, since_it_began = (
        Compared(rollout=Results.model_validate(new), rest=Results.model_validate(rest))
        for new, rest in (comparison.run, comparison.since)
    )
    return Rollout(
        name=name,
        percent=comparison.percent,
        datasets=comparison.datasets,
        this_run=this_run,
        since_it_began=since_it_began,
    )


def _other_run(run: RunRecord) -> OtherRun:
    return OtherRun(run=run.id, holder=run.holder, began=run.began, flow_run=run.flow_run)


class Both(Document, Generic[T]):
    """A value for the old configuration and for the new one."""

    old: T
    new: T


class Setting(Document):
    """A setting that differs."""

    name: str
    old: Any
    new: Any


class StateAndReason(Document):
    """The state of a file, and its reason."""

    state: State
    reason: str


class StateChange(Document):
    """A file whose state changes."""

    key: str
    old: StateAndReason
    new: StateAndReason


class Move(Document):
    """A file whose fill has a different place in the new plan."""

    key: str
    old: int
    new: int


class SourceChange(Document):
    """The requests that each plan sends to a source, and when each plan would be done."""

    name: str
    requests: Both[int]
    eta: Both[datetime | None]


class ConfigDifference(Document):
    """The output of `adce config diff`."""

    as_of: datetime
    settings: list[Setting]
    switches: Both[list[str]]
    cells: Both[dict[str, int]]
    unknown: Both[list[UnknownSeason]]
    added: list[str]
    dropped: list[str]
    orphaned: list[str]
    states: list[StateChange]
    moved: list[Move]
    sources: list[SourceChange]

    @classmethod
    def of(cls, difference: Difference) -> ConfigDifference:
        """The document for a difference."""
        old, new = difference.old, difference.new
        return cls.model_validate(
            {
                "switches": {"old": old.switches, "new": new.switches},
                "cells": {"old": old.counts, "new": new.counts},
                "unknown": {"old": by_season(old.unknown), "new": by_season(new.unknown)},
                "as_of": new.looked_at.taken_at,
                "settings": [{"name": name, "old": was, "new": now} for name, was, now in difference.settings],
                "added": difference.added,
                "dropped": difference.dropped,
                "orphaned": difference.orphaned,
                "states": [{"key": key, "old": was, "new": now} for key, was, now in difference.states],
                "moved": [{"key": key, "old": was, "new": now} for key, was, now in difference.moved],
                "sources": difference.sources(),
            }
        )


class EffectiveSetting(Document):
    """A setting with its value, without secrets, and where the value comes from."""

    name: str
    value: Any
    origin: str  # a file, an option, an environment variable, or "default"


class EffectiveSettings(Document):
    """The output of `adce config show`."""

    file: str | None
    settings: list[EffectiveSetting]


class DatasetEntry(Document):
    """A dataset of the configuration."""

    name: str
    source: str
    keys: list[str]
    per: str
    schedule: str | None
    lists_games: bool
    first_season: str
    check: str
    enabled: bool
    not_collected: str | None  # why it is not collected
    known: int  # the number of its files that are known, in any state
    present: int


class BodyCheck(Document):
    """A body check, which any dataset may name."""

    name: str
    about: str
    options: list[str]


class Datasets(Document):
    """The output of `adce datasets`."""

    as_of: datetime
    datasets: list[DatasetEntry]
    checks: list[BodyCheck]

    @classmethod
    def of(cls, datasets: Iterable[DatasetAnswer], checks: Iterable[CheckAnswer], as_of: datetime) -> Datasets:
        """The document for datasets and body checks."""
        entries = [
            DatasetEntry(
                name=one.name,
                source=one.dataset.source,
                keys=one.dataset.keys,
                per=one.dataset.per,
                schedule=one.dataset.schedule,
                lists_games=one.dataset.lists_games,
                first_season=one.dataset.first_season,
                check=one.dataset.check.name,
                enabled=one.dataset.enabled,
                not_collected=one.why_not,
                known=one.known.expected,
                present=one.known.present,
            )
            for one in datasets
        ]
        about = [BodyCheck(name=one.name, about=one.about, options=list(one.options)) for one in checks]
        return cls(as_of=as_of, datasets=entries, checks=about)
