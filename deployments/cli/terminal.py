"""What does a person at the terminal see while a command runs? Its progress, and warnings and errors of the log."""

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

_OWN_LOGGERS = ("config", "blocks", "tasks", "flows", "deployments")
_stderr = Console(stderr=True)


class _Lines(logging.Handler):
    """Log handler that prints each message as one line on standard error, above the progress bars.

    Prefect's own handlers for these loggers write to its API only. Messages that the run's report repeats (with the
    attribute `in_report`) are left out.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return super().filter(record) is not False and not getattr(record, "in_report", False)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = " ".join(self.format(record).split())
            _stderr.print(Text(f"adce: {record.levelname.lower()}: {text}"), soft_wrap=True)
        except Exception:  # as in every handler of logging, an error must not end the program
            self.handleError(record)


def show_log() -> None:
    """Shows warnings and errors of ADCE's own loggers on standard error from now on. Further calls do nothing."""
    lines = _Lines(logging.WARNING)
    for name in _OWN_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(handler, _Lines) for handler in logger.handlers):
            logger.addHandler(lines)
        logger.propagate = False  # or Prefect's console would show them again


@contextmanager
def progress() -> Iterator[None]:
    """Shows progress bars for the work in this block, if standard error is a terminal. Log lines appear above them."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    is_shown = _stderr.is_terminal
    above = _prefect_above() if is_shown else nullcontext()
    with Progress(*columns, console=_stderr, disable=not is_shown) as display, above:
        bars: dict[str, Any] = {}

        def report(name: str, done: int, total: int) -> None:
            if name not in bars:
                bars[name] = display.add_task(name, total=total, visible=False)
            display.update(bars[name], completed=done, total=total, visible=total > 0)

        token = PROGRESS.set(report)
        try:
            yield
        finally:
            PROGRESS.reset(token)


@contextmanager
def _prefect_above() -> Iterator[None]:
    """Redirects Prefect's console to the current standard error, which rich prints above the progress bars.

    Otherwise Prefect would write to the standard error of the time when its logging was set up, across the bars.
    """
    consoles = [console for handler in logging.getLogger().handlers if (console := getattr(handler, "console", None))]
    before = [console.file for console in consoles]
    for console in consoles:
        console.file = sys.stderr
    try:
        yield
    finally:
        for console, file in zip(consoles, before, strict=True):
            console.file = file
