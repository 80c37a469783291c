"""How far has the work of this process come? Code that shows it, such as a progress bar, sets PROGRESS."""

from collections.abc import Callable
from contextvars import ContextVar

Progress = Callable[[str, int, int], None]  # the activity, how many items are done, and how many there are


def no_progress(activity: str, done: int, total: int) -> None:
    """Shows nothing."""


PROGRESS: ContextVar[Progress] = ContextVar("PROGRESS", default=no_progress)
