"""What does a line of the log tell programs? What it is about, and whether the report of the run repeats it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from config.secrets import without_secrets
from tasks.domain.wording import without_traceback

IN_REPORT = {"in_report": True}  # as `extra` of a logging call; the line is not shown where the report is shown
LOG_FORMAT = "ADCE_LOG_FORMAT"  # the environment variable that has commands write their log as JSON


def about(
    source: str | None = None,
    dataset: str | None = None,
    key: str | None = None,
    limit: str | None = None,
    reason: object = None,
) -> dict[str, Any]:
    """What a line is about, as `extra` of a logging call: fields of the line where it is written as JSON."""
    fields = {"source": source, "dataset": dataset, "key": key, "limit": limit}
    told = {name: str(value) for name, value in fields.items() if value}
    return {"about": told | ({"reason": str(reason)} if reason else {})}


def as_json(at: datetime, level: int, event: str, message: str, fields: Mapping[str, Any]) -> str:
    """A line as one JSON document, without secrets."""
    document = {
        "at": at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": logging.getLevelName(level).lower(),
        "event": event,
        "message": message,
    }
    return json.dumps(without_secrets({**document, **fields}), default=_in_json)


class JsonLines(logging.Formatter):
    """Writes each record as one JSON document, with what it is about as fields."""

    def __init__(self, *_: object) -> None:  # the format of a text is not needed
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        message = without_traceback(super().format(record))
        return as_json(at, record.levelno, "log", message, self.fields_of(record))

    def fields_of(self, record: logging.LogRecord) -> dict[str, Any]:
        """The fields of a record beside its time, level and message."""
        return {"logger": record.name, **getattr(record, "about", {})}


def _in_json(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
