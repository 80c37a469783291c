"""How far is the work of this process? Whoever wants to show it sets PROGRESS: the command line's progress bar does."""

from collections.abc import Callable
from contextvars import ContextVar

Progress = Callable[[str, int, int], None]  # what is going on, how many are done, of how many


def no_progress(what: str, done: int, total: int) -> None:
    """Nobody looks."""


PROGRESS: ContextVar[Progress] = ContextVar("PROGRESS", default=no_progress)
