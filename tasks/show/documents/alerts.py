"""What does `adce alerts list` print as JSON?"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tasks.show.documents.document import Document
from tasks.show.documents.incidents import IncidentState, OpenIncident, SilenceState, by_cause

if TYPE_CHECKING:
    from config.models import Config
    from tasks.answers.alerts import AlertsNow


class TargetState(Document):
    """A target, since when it is told (None: not known so far to whoever tells), and how many messages wait for it."""

    name: str
    type: str
    since: datetime | None
    undelivered: int


class AlertsAnswer(Document):
    """The incidents: those that are open by their cause, those closed within a day, and who is told of them."""

    as_of: datetime
    evaluated: datetime | None  # when the conditions were evaluated last; None if they never were
    owner: str  # who tells: adce, prometheus or none
    open: list[OpenIncident]
    closed: list[IncidentState]
    silences: list[SilenceState]
    targets: list[TargetState]

    @classmethod
    def of(cls, found: AlertsNow, config: Config) -> AlertsAnswer:
        """The document for what is told now."""
        return cls(
            as_of=found.at,
            evaluated=found.evaluated,
            owner=config.alerts.owner,
            open=by_cause(found.open, config),
            closed=[IncidentState.of(one, config) for one in found.closed],
            silences=list(map(SilenceState.of, found.silences)),
            targets=[
                TargetState(name=one.name, type=one.type, since=one.since, undelivered=one.undelivered)
                for one in found.targets
            ],
        )
