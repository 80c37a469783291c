"""What does `adce alerts list` print as JSON?"""

from __future__ import annotations

from dataclasses import asdict
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
    oldest: datetime | None  # of the messages that wait
    trouble: str | None  # why it has not taken the last one
    failing_since: datetime | None


class AlertedIncident(OpenIncident):
    """An open incident, and which targets have got the message that it has opened."""

    deliveries: dict[str, datetime | None]  # by target; None if the message still waits for it


class AlertsAnswer(Document):
    """The incidents: those that are open by their cause, those closed within a day, and who is told of them."""

    as_of: datetime
    evaluated: datetime | None  # when the conditions were evaluated last; None if they never were
    owner: str  # who tells: adce, prometheus or none
    open: list[AlertedIncident]
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
            open=[_alerted(one, found) for one in by_cause(found.open, config)],
            closed=[IncidentState.of(one, config) for one in found.closed],
            silences=list(map(SilenceState.of, found.silences)),
            targets=[TargetState(**asdict(one)) for one in found.targets],
        )


def _alerted(incident: OpenIncident, found: AlertsNow) -> AlertedIncident:
    [of_ledger] = (one for one in found.open if one.id == incident.id)
    waiting = {target.name: None for target in found.has_to_hear(of_ledger)}
    return AlertedIncident(**dict(incident), deliveries={**found.deliveries[incident.id], **waiting})
