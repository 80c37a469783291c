"""What does `adce why` print as JSON?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tasks.domain.assess.states import Kind, LearntBy, State
from tasks.domain.reasons import Limit
from tasks.show.documents.document import Document

if TYPE_CHECKING:
    from tasks.answers.why import Answer


class StoredObject(Document):
    """A file in the lake."""

    size: int
    modified: datetime


class Learnt(Document):
    """How and when ADCE learnt which version of a file the lake has, or that the file is gone."""

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
