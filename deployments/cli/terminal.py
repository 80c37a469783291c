"""What does a person at the terminal see while a command runs? Its progress, and warnings and errors of the log."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from tasks.domain.wording import one_line
from tasks.log_lines import LOG_FORMAT, JsonLines
from tasks.progress import PROGRESS, told

_OWN_LOGGERS = ("config", "blocks", "tasks", "flows", "deployments")
_PREFECT_LEVEL = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
_JSON = JsonLines()
_WORDS = 64  # columns for the words beside a progress bar
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
            if os.environ.get(LOG_FORMAT) == "json":
                line = _JSON.format(record)
            else:
                line = f"adce: {record.levelname.lower()}: {one_line(self.format(record))}"
            _stderr.print(Text(line), soft_wrap=True)
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
def info_shown(*names: str) -> Iterator[None]:
    """A block in which these loggers also tell what is neither a warning nor an error."""
    lines = _Lines(logging.INFO)
    lines.addFilter(lambda record: record.levelno < logging.WARNING)  # the rest is shown in any case
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(lines)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(lines)
            logger.setLevel(level)


def show_cursor() -> None:
    """Shows the cursor of the terminal, which progress bars hide, if the process ends before they do."""
    _stderr.show_cursor(True)


@contextmanager
def progress() -> Iterator[None]:
    """Shows progress bars for the work in this block, if standard error is a terminal. Log lines appear above them."""
    bar = [BarColumn(min(40, _stderr.width - _WORDS))] if _stderr.width > _WORDS + 5 else []
    columns = (TextColumn("{task.description}"), *bar, TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=_stderr, disable=not _stderr.is_terminal) as display:
        bars: dict[str, Any] = {}

        def report(activity: str, done: int, total: int, *, failed: int = 0, left: timedelta | None = None) -> None:
            if activity not in bars:
                bars[activity] = display.add_task(activity, total=total, visible=False, words="")
            words = told(done, total, failed, left)
            display.update(bars[activity], completed=done, total=total, visible=total > 0, words=words)

        token = PROGRESS.set(report)
        try:
            yield
        finally:
            PROGRESS.reset(token)


@contextmanager
def prefect_log(*, is_shown: bool) -> Iterator[None]:
    """Shows Prefect's log and ADCE's own, from INFO on, for the work in this block; otherwise no line of Prefect.

    The Prefect UI shows the log of a run in any case. The lines are written to the current standard error, so that rich
    prints them above the progress bars. Prefect would write to the standard error that it found when its logging was
    set up, and so across the bars.
    """
    level_before = os.environ.get(_PREFECT_LEVEL)
    os.environ[_PREFECT_LEVEL] = "INFO" if is_shown else "CRITICAL"  # Prefect reads it again when a flow begins
    from prefect.logging.handlers import PrefectConsoleHandler

    consoles = [
        handler.console for handler in logging.getLogger().handlers if isinstance(handler, PrefectConsoleHandler)
    ]
    files_before = [console.file for console in consoles]
    for console in consoles:
        console.file = sys.stderr
    lines = {
        handler for name in _OWN_LOGGERS for handler in logging.getLogger(name).handlers if type(handler) is _Lines
    }
    for handler in lines:
        handler.setLevel(logging.INFO if is_shown else logging.WARNING)
    try:
        yield
    finally:
        for console, file in zip(consoles, files_before, strict=True):
            console.file = file
        os.environ.pop(_PREFECT_LEVEL)
        if level_before is not None:
            os.environ[_PREFECT_LEVEL] = level_before
