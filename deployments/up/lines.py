"""How does `adce up` write its lines? For people, or as one JSON document each."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from config.secrets import masked
from tasks.domain.wording import without_traceback
from tasks.log_lines import as_json

_OF_A_LINE = ("at", "level", "event", "message")  # what each document has
_BOX = re.compile(r"[\u2500-\u257f]")  # the characters with which Prefect draws boxes


class LogFormat(StrEnum):
    """How lines are written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True)
class Line:
    """Something to say. `event` and `fields` are for programs that read the JSON."""

    text: str
    level: int = logging.INFO
    event: str = "system"
    fields: Mapping[str, Any] = field(default_factory=dict)


class Printer:
    """Prints lines on standard output, with the time and without secrets."""

    def __init__(self, log_format: LogFormat, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._format = log_format
        self._now = now

    def say(self, line: Line | str, level: int = logging.INFO) -> None:
        """Prints a line. Its level is `level` if it is given as text."""
        line = Line(line, level) if isinstance(line, str) else line
        with suppress(OSError):  # the terminal may be closed
            print(written(line, self._now(), self._format), flush=True)

    def warn(self, text: str) -> None:
        """Prints a warning."""
        self.say(text, logging.WARNING)

    @property
    def format(self) -> LogFormat:
        """How the lines are written."""
        return self._format

    def show(self, process: str, output: str) -> None:
        """Prints a line of the output of a process, without the boxes that Prefect draws around its messages."""
        if document := document_in(output):
            fields = {name: value for name, value in document.items() if name not in _OF_A_LINE}
            text = document["message"]
            self.say(Line(text, logging.DEBUG, "output", {"process": process, **fields}))
            return
        if text := without_boxes(output):
            text = f"{process:8} | {text}" if self._format is LogFormat.TEXT else text
            self.say(Line(text, logging.DEBUG, "output", {"process": process}))


def written(line: Line, at: datetime, log_format: LogFormat) -> str:
    """A line as it is printed at a time."""
    if log_format is LogFormat.JSON:
        return as_json(at, line.level, line.event, line.text, line.fields)
    level, at = logging.getLevelName(line.level).lower(), at.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC  {level:7}  {masked(without_traceback(line.text))}"


def document_in(text: str) -> dict[str, Any] | None:
    """The document in a line that ADCE has written as JSON; None for any other line."""
    if not text.startswith('{"at": '):
        return None
    with suppress(ValueError):
        document = json.loads(text)
        if {"level", "event", "message"} <= document.keys():
            return dict(document)
    return None


def line_of(process: str, document: Mapping[str, Any]) -> Line:
    """The line for what a process has written as JSON."""
    fields = {name: value for name, value in document.items() if name not in _OF_A_LINE}
    level = logging.getLevelNamesMapping().get(str(document["level"]).upper(), logging.INFO)
    return Line(f"{process}: {document['message']}", level, fields=fields)


def without_boxes(text: str) -> str:
    """The text without the lines of a box around it; empty if there is nothing else."""
    return _BOX.sub("", text).strip()
