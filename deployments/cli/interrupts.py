"""What does Ctrl-C do while a run or a watch starts, before that itself answers it (see tasks.run.shutdown)?

An exception would not do: the event loop, Prefect's embedded API and its threads would end with tracebacks.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

import typer

from deployments.cli.terminal import show_cursor
from tasks.domain.wording import signal_name
from tasks.run.shutdown import EarlyStop

_Handler = Callable[[int, FrameType | None], Any]


def before_the_run() -> AbstractContextManager[None]:
    """A block in which Ctrl-C ends the process at once, after a sentence, because no run has begun."""
    return _on_signals(_end_before_the_run, signal.SIGINT)


def before_the_watch() -> AbstractContextManager[None]:
    """A block in which Ctrl-C and SIGTERM end the process at once, after a sentence, until a watch answers them."""
    return _on_signals(_end_before_the_watch, signal.SIGINT, signal.SIGTERM)


def during_the_run() -> AbstractContextManager[None]:
    """A block in which Ctrl-C stops the run as soon as it is open. A second one ends the process at once."""
    return _on_signals(EarlyStop(_say, _end_at_once), signal.SIGINT)


def during_a_dry_run() -> AbstractContextManager[None]:
    """A block in which Ctrl-C cancels what runs, as Python does: there is nothing that has to be finished."""
    return _on_signals(signal.default_int_handler, signal.SIGINT)


@contextmanager
def _on_signals(handler: _Handler, *numbers: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in the main thread only
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _end_before_the_run(number: int, _: FrameType | None) -> None:
    _say("stopped (Ctrl-C) before the run began: nothing is fetched")
    os._exit(128 + number)


def _end_before_the_watch(number: int, _: FrameType | None) -> None:
    _say(f"stopped ({signal_name(number)}) before the watch began: nothing is received")
    os._exit(128 + number)


def _end_at_once(number: int) -> None:
    show_cursor()
    os._exit(128 + number)


def _say(line: str) -> None:
    typer.echo(f"adce: {line}", err=True)
