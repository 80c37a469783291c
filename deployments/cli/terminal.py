"""What does a person at the terminal see while a command works? How far it is, and the log's warnings and errors."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from tasks.progress import PROGRESS

_OURS = ("config", "blocks", "tasks", "flows", "deployments")  # loggers
_stderr = Console(stderr=True)


class _Lines(logging.Handler):
    """A line of the log is a line on standard error, above the progress if that is shown.

    Prefect gives these loggers handlers for its API alone. What the report of the run tells as well is left out.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return super().filter(record) is not False and not getattr(record, "in_report", False)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = " ".join(self.format(record).split())
            _stderr.print(Text(f"adce: {record.levelname.lower()}: {text}"), soft_wrap=True)
        except Exception:  # as every handler of logging: what cannot be said ends nothing
            self.handleError(record)


def show_log() -> None:
    """From now on, warnings and errors of this process's own loggers are shown, each once. Repeatable."""
    lines = _Lines(logging.WARNING)
    for name in _OURS:
        logger = logging.getLogger(name)
        if not any(isinstance(handler, _Lines) for handler in logger.handlers):
            logger.addHandler(lines)
        logger.propagate = False  # to Prefect's console


@contextmanager
def progress() -> Iterator[None]:
    """Shows how far the work in this block is, if standard error is a terminal; what others say goes above that."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    is_shown = _stderr.is_terminal
    above = _prefect_above() if is_shown else nullcontext()
    with Progress(*columns, console=_stderr, disable=not is_shown) as shown, above:
        bars: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = shown.add_task(what, total=total, visible=False)
            shown.update(bars[what], completed=done, total=total, visible=total > 0)

        token = PROGRESS.set(report)
        try:
            yield
        finally:
            PROGRESS.reset(token)


@contextmanager
def _prefect_above() -> Iterator[None]:
    """Prefect's console writes to standard error as that was when its logging was set up: beside the progress."""
    consoles = [console for handler in logging.getLogger().handlers if (console := getattr(handler, "console", None))]
    before = [console.file for console in consoles]
    for console in consoles:
        console.file = sys.stderr
    try:
        yield
    finally:
        for console, file in zip(consoles, before, strict=True):
            console.file = file
