"""How far has the work of this process come? Code that shows it, such as a progress bar, sets PROGRESS."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import timedelta
from typing import Protocol

from tasks.domain.wording import duration


class Progress(Protocol):
    """Shows how many items of an activity are done and have failed, and how long the others take."""

    def __call__(
        self, activity: str, done: int, total: int, *, failed: int = 0, left: timedelta | None = None
    ) -> None: ...


def told(done: int, total: int, failed: int, left: timedelta | None) -> str:
    """Progress in words: "1,230 of 2,249, 3 failed, about 15m left"."""
    failures = f", {failed:,} failed" if failed else ""
    rest = f", about {duration(left)} left" if left else ""
    return f"{done:,} of {total:,}{failures}{rest}"


def no_progress(activity: str, done: int, total: int, *, failed: int = 0, left: timedelta | None = None) -> None:
    """Shows nothing."""


PROGRESS: ContextVar[Progress] = ContextVar("PROGRESS", default=no_progress)
