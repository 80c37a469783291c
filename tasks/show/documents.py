"""Which JSON do `why`, `coverage` and `config diff` print? Programs read it, so the names of fields must not change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from tasks.domain.assess.coverage import By
from tasks.domain.assess.states import Kind, LearntBy, State
from tasks.domain.assess.unknown import by_season
from tasks.domain.reasons import Limit

if TYPE_CHECKING:
    from tasks.answers.difference import Difference
    from tasks.answers.why import Answer
    from tasks.domain.assess.coverage import Coverage
    from tasks.domain.assess.unknown import Unknown

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
    """How it became known which version the lake has."""

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
    """Everything that is known of one file."""

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
    """A season of a dataset whose files are not known, and the schedules that would list them."""

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
    unknown: int
    percent: float | None


class Place(Document):
    """What a row of the coverage stands for."""

    source: str
    dataset: str
    season: str
    month: str | None = None  # only if `by` is month
    date: str | None = None  # only if `by` is date


class CoverageRow(Tally, Place):
    """A row of the coverage."""


class CoverageAnswer(Document):
    """The output of `adce coverage`."""

    as_of: WithOffset
    by: By
    total: Tally
    rows: list[CoverageRow]
    unknown: list[UnknownSeason]

    @classmethod
    def of(cls, coverage: Coverage, by: By, as_of: datetime, unknown: Iterable[Unknown]) -> CoverageAnswer:
        return cls.model_validate({"as_of": as_of, **coverage.document(by), "unknown": by_season(unknown)})


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
    """A file whose fill has another place in the new plan."""

    key: str
    old: int
    new: int


class SourceChange(Document):
    """The requests of each plan to a source, and when each plan would be done."""

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
        old, new = difference.old.document(), difference.new.document()
        both = {name: {"old": old[name], "new": new[name]} for name in ("switches", "cells", "unknown")}
        return cls.model_validate(
            {
                **both,
                "as_of": new["as_of"],
                "settings": [{"name": name, "old": was, "new": now} for name, was, now in difference.settings],
                "added": difference.added,
                "dropped": difference.dropped,
                "orphaned": difference.orphaned,
                "states": [{"key": key, "old": was, "new": now} for key, was, now in difference.states],
                "moved": [{"key": key, "old": was, "new": now} for key, was, now in difference.moved],
                "sources": difference.sources(),
            }
        )
