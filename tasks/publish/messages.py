"""Which message tells of a change, and what does a program get of it as JSON?"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from config.models import Config
from config.secrets import masked_url
from tasks.answers.incidents import passed_limit
from tasks.domain.alert_messages import (
    Message,
    Place,
    message_of,
    name_of,
    reason_of,
    trial_message,
    was_held_back,
)
from tasks.domain.incidents import Change, Incident, Kind, command_of


class Ended(BaseModel):
    """An incident that was told, and that the message of the one that explains it ends."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    scope: str
    incident: str
    name: str
    opened: datetime | None


class MessageDocument(BaseModel):
    """The JSON that a webhook gets. `id` is the same whenever a message is repeated, and so is `Idempotency-Key`."""

    model_config = ConfigDict(frozen=True)

    id: str
    what: Literal["opened", "reminded", "closed", "test"]
    at: datetime  # when the change was noticed
    title: str
    text: str
    lake: str
    sandbox: bool
    link: str | None
    incident: str | None = None  # the same in all messages about an incident; null in a test, as all that follows
    kind: Kind | None = None
    scope: str | None = None  # "" for everything, a source, or "source/dataset"
    name: str | None = None  # what is wrong, and where
    began: datetime | None = None  # since when the condition has held
    opened: datetime | None = None
    cleared: datetime | None = None  # since when it has not held any more
    closed: datetime | None = None
    value: float | None = None  # in seconds, as a share of 1, or a count
    limit: float | None = None
    files: int | None = None
    reason: str | None = None
    command: str | None = None
    reminders: int | None = None
    held_back: bool | None = None  # this is the end of an incident of whose beginning nothing was told
    closes: list[Ended] = []


def place_of(config: Config, ledger: str = "") -> Place:
    """Where messages are from. `ledger` is the ledger's id, if that is known."""
    return Place(masked_url(config.lake), ledger, config.alerts.link, config.sandbox)


def message_about(change: Change, config: Config, place: Place) -> Message:
    """The message that tells of a change."""
    incident = change.incident
    limit = passed_limit(config, incident)
    message = message_of(change, limit, place)
    document = MessageDocument(
        **_common(message, place, change.at),
        incident=incident.id,
        kind=incident.kind,
        scope=incident.scope,
        name=name_of(incident),
        began=incident.began,
        opened=incident.opened,
        cleared=incident.cleared,
        closed=incident.closed,
        value=incident.value,
        limit=limit,
        files=incident.files,
        reason=reason_of(incident),
        command=command_of(incident),
        reminders=incident.reminders,
        held_back=was_held_back(change),
        closes=[_ended(one) for one in change.closes],
    )
    return message.with_document(document.model_dump(mode="json"))


def trial(config: Config, now: datetime) -> Message:
    """A message that only shows that messages arrive."""
    place = place_of(config)
    message = trial_message(f"test-{uuid.uuid4().hex[:12]}", place)
    return message.with_document(MessageDocument(**_common(message, place, now)).model_dump(mode="json"))


def _common(message: Message, place: Place, at: datetime) -> Mapping[str, Any]:
    return {
        "id": message.id,
        "what": message.what,
        "at": at.astimezone(UTC),
        "title": message.title,
        "text": "\n".join(message.lines),
        "lake": place.lake,
        "sandbox": place.is_sandbox,
        "link": place.link,
    }


def _ended(incident: Incident) -> Ended:
    return Ended(
        kind=incident.kind,
        scope=incident.scope,
        incident=incident.id,
        name=name_of(incident),
        opened=incident.opened,
    )
