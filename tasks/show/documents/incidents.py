"""What does `/incidents` answer: what is wrong now, what was lately, and what is not told?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tasks.answers.incidents import passed_limit
from tasks.domain.incidents import BY_KIND, Incident, Kind, command_of
from tasks.show.documents.document import Document

if TYPE_CHECKING:
    from config.models import Config
    from tasks.answers.service import Snapshot
    from tasks.ledger.incidents import Silence


class IncidentState(Document):
    """An incident. The value was above the limit when it held last; what both count, `measure` says."""

    id: str
    kind: Kind
    scope: str  # "" for everything, a source, or source/dataset
    title: str
    since: datetime  # when the condition began to hold
    opened: datetime | None
    cleared: datetime | None  # since when the condition has not held any more; None while it holds
    closes_at: datetime | None  # when an open incident that is cleared is closed, if it stays so
    # When its message was written, and None while another one explains it, or a silence or maintenance window holds it
    # back. Whether the targets have got it is in the answer of `adce alerts list --json`.
    told: datetime | None
    closed: datetime | None
    value: float
    limit: float
    measure: str
    files: int
    reason: str
    command: str  # shows more

    @classmethod
    def of(cls, incident: Incident, config: Config) -> IncidentState:
        """The document for an incident."""
        return cls(**_fields(incident, config))


class OpenIncident(IncidentState):
    """An incident that is open, and the open ones of which it is the cause: nothing is told of those."""

    explains: list[IncidentState]


class SilenceState(Document):
    """What an operator does not want to be told."""

    kind: Kind | None  # None for all kinds
    scope: str
    since: datetime
    until: datetime
    note: str
    by: str

    @classmethod
    def of(cls, silence: Silence) -> SilenceState:
        """The document for a silence."""
        hold = silence.hold
        return cls(
            kind=hold.kind, scope=hold.scope, since=hold.since, until=hold.until, note=silence.note, by=silence.by
        )


class IncidentsAnswer(Document):
    """The incidents: those that are open by their cause, and those that have been closed within a day."""

    as_of: datetime
    away: list[str]
    evaluated: datetime | None  # when the conditions were evaluated last; None if they never were
    open: list[OpenIncident]
    closed: list[IncidentState]
    silences: list[SilenceState]

    @classmethod
    def of(cls, found: Snapshot, away: Iterable[str]) -> IncidentsAnswer:
        """The document for a snapshot."""
        config = found.config
        return cls(
            as_of=found.at,
            away=list(away),
            evaluated=found.evaluated,
            open=by_cause([one for one in found.incidents if one.is_open], config),
            closed=[IncidentState.of(one, config) for one in found.incidents if one.closed],
            silences=list(map(SilenceState.of, found.silences)),
        )


def by_cause(incidents: Sequence[Incident], config: Config) -> list[OpenIncident]:
    """Open incidents, each with those that it explains."""
    ids = {one.id for one in incidents}
    return [
        OpenIncident(
            **_fields(root, config),
            explains=[IncidentState.of(one, config) for one in incidents if one.cause == root.id],
        )
        for root in incidents
        if root.cause not in ids
    ]


def _fields(incident: Incident, config: Config) -> dict[str, object]:
    condition = BY_KIND[incident.kind]
    return {
        "id": incident.id,
        "kind": incident.kind,
        "scope": incident.scope,
        "title": condition.title,
        "since": incident.began,
        "opened": incident.opened,
        "cleared": incident.cleared,
        "closes_at": incident.closes_at,
        "told": incident.told,
        "closed": incident.closed,
        "value": incident.value,
        "limit": passed_limit(config, incident),
        "measure": condition.measure.value,
        "files": incident.files,
        "reason": incident.reason,
        "command": command_of(incident),
    }
