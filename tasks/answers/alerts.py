"""What is told of incidents: which are open, what closed lately, what is silenced, and what waits for each target?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from config.models import Config
from config.names import suggestion_or_list
from tasks.domain.errors import SelectionError
from tasks.domain.incidents import BY_KIND, Incident, Kind, opening_of
from tasks.ledger import Ledger
from tasks.ledger.incidents import Silence

EVERY_KIND = "all"  # stands for all kinds, where one is named
_LATELY = timedelta(days=1)


@dataclass(frozen=True)
class TargetNow:
    """A target, since when it is told (None: whoever tells does not know it so far), and how many messages wait.

    `trouble` says why it has not taken the last one; None if it has, or if none was sent.
    """

    name: str
    type: str
    since: datetime | None = None
    undelivered: int = 0
    oldest: datetime | None = None  # of the messages that wait
    trouble: str | None = None
    failing_since: datetime | None = None


@dataclass(frozen=True)
class AlertsNow:
    """What is told of incidents, as of a time."""

    at: datetime
    evaluated: datetime | None  # when the conditions were evaluated last
    open: Sequence[Incident]
    closed: Sequence[Incident]  # within the last day
    silences: Sequence[Silence]
    targets: Sequence[TargetNow]
    deliveries: Mapping[
        str, Mapping[str, datetime]
    ]  # when each target has got the message of an open incident, by its id

    def has_to_hear(self, incident: Incident) -> list[TargetNow]:
        """The targets for which the message that an incident has opened waits."""
        told, got = incident.told, self.deliveries.get(incident.id, {})
        return [one for one in self.targets if told and one.since and one.since <= told and one.name not in got]


def alerts_now(config: Config, ledger: Ledger, now: datetime) -> AlertsNow:
    """What is told of incidents now."""

    def read() -> AlertsNow:
        known = ledger.alert_targets.waiting(now)
        targets = [
            TargetNow(name, target.type, **(asdict(known[name]) if name in known else {}))
            for name, target in config.alerts.targets.items()
        ]
        incidents, opened = ledger.incidents, ledger.incidents.open()
        delivered = incidents.deliveries([opening_of(one) for one in opened])
        return AlertsNow(
            now,
            incidents.evaluated_at(),
            opened,
            incidents.closed_since(now - _LATELY),
            incidents.silences(now),
            targets,
            {one.id: delivered.get(opening_of(one), {}) for one in opened},
        )

    return ledger.database.read_together(read)


def kind_of(text: str) -> Kind | None:
    """The kind of this name; None for all kinds. Raises SelectionError for another name."""
    if text == EVERY_KIND:
        return None
    if text not in tuple(Kind):
        raise SelectionError(f"no kind {text!r}; {suggestion_or_list(text, [*Kind, EVERY_KIND], 'the kinds are')}")
    return Kind(text)


def scope_of(config: Config, text: str) -> str:
    """The scope of this name: "" for everything, a source, or a dataset. Raises SelectionError for another name."""
    scopes = {"": "", **{name: name for name in config.sources}}
    for name, dataset in config.datasets.items():
        scopes |= dict.fromkeys((name, f"{dataset.source}/{name}"), f"{dataset.source}/{name}")
    if text not in scopes:
        meant = suggestion_or_list(text, scopes.keys() - {""}, "they are", [*config.sources, *config.datasets])
        raise SelectionError(f"--scope: no source or dataset {text!r}; {meant}")
    return scopes[text]


def check_silence(kind: Kind | None, scope: str) -> None:
    """Raises SelectionError if no incident of a kind can lie within a scope."""
    if kind is None or BY_KIND[kind].has_incidents_within(scope):
        return
    if not BY_KIND[kind].scopes:
        raise SelectionError(f"--scope: incidents {kind} are of no source or dataset; leave it out")
    raise SelectionError(f"--scope: incidents {kind} are of a source; name that: --scope {scope.partition('/')[0]}")
