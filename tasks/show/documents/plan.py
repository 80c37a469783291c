"""What do `adce plan`, `adce reconcile` and `adce fill` print as JSON?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from config.models import Priority
from tasks.domain.assess.doubts import Doubt
from tasks.domain.assess.states import Kind, State
from tasks.domain.assess.unknown import by_season
from tasks.domain.limits.pauses import Phase
from tasks.domain.reasons import Limit
from tasks.show.documents.coverage import UnknownSeason
from tasks.show.documents.document import Document

if TYPE_CHECKING:
    from tasks.answers.report import Comparison, Report
    from tasks.domain.plan.plan import Fill
    from tasks.ledger.runs import RunRecord


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


class MisnamedDataset(Document):
    """A dataset of which the lake has no file, although there are files in its folders that belong to no dataset."""

    dataset: str
    keys: list[str]
    files: int
    example: str


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


class InventoryOfLook(Document):
    """The S3 Inventory that a look, or the first look of a run, used, and how much of the lake it asked for besides.

    At its end, a run has listed the lake, and found `found_later` more files to fetch.
    """

    as_of: datetime
    looked_up: int
    listed: int
    doubts: dict[Doubt, int]
    found_later: int | None = None


class RunReport(Document):
    """The output of `adce plan` and `adce reconcile`. A plan has no `filled`, `failed`, `left_to` and `seconds`."""

    as_of: datetime
    verified_since: datetime | None = None  # since when all of the lake was listed, if parts were not now
    switches: list[str]
    rollouts: list[Rollout]
    cells: dict[str, int]
    to_examine: int
    by_former_checks: int
    unreadable: list[KeyAndReason]
    partial: list[UntilThen]
    differing: list[KeyAndReason]
    unknown: list[UnknownSeason]
    misnamed: list[MisnamedDataset]
    inventory: InventoryOfLook | None = None
    by_operator: int
    fills: list[PlannedFill]
    sources: list[SourceOfRun]
    cost: Cost
    scrapers: dict[str, Scraper]
    filled: list[str] = Field(default=[])
    failed: list[FailedFile] = Field(default=[])
    left_to: OtherRun | None = None
    seconds: float = 0.0
    list_requests: int
    list_usd: float
    lost: list[LostFile]
    deferred: list[DeferredFile]

    @classmethod
    def of(cls, report: Report) -> RunReport:
        document: dict[str, Any] = {
            "as_of": report.looked_at.taken_at,
            "verified_since": report.looked_at.verified_since,
            "switches": report.switches,
            "rollouts": [_rollout(name, comparison) for name, comparison in report.comparisons.items()],
            "cells": report.counts,
            "to_examine": report.to_examine,
            "by_former_checks": report.looked_at.by_former_checks,
            "unreadable": [KeyAndReason(key=key, reason=reason) for key, reason in report.unreadable],
            "partial": [UntilThen(key=key, reason=reason, until=until) for key, reason, until in report.partial],
            "differing": [KeyAndReason(key=key, reason=reason) for key, reason in report.differing],
            "unknown": by_season(report.unknown),
            "misnamed": report.looked_at.misnamed,
            "inventory": report.looked_at.from_inventory,
            "by_operator": sum(report.marked_unavailable.values()),
            "fills": [PlannedFill.of(fill) for fill in report.fills],
            "sources": report.sources,
            "cost": report.cost,
            "scrapers": {
                dataset: Scraper(seconds=Percentiles.model_validate(p), requests_per_file=p.requests)
                for dataset, p in report.performance.items()
            },
            "list_requests": report.list_requests,
            "list_usd": round(report.list_cost, 6),
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
