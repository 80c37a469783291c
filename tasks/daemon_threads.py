"""Work in a thread that holds up neither an event loop nor the end of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


def in_daemon_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Begins work in a thread of its own. Unlike one of an executor, it may hang for ever.

    The future is that of the running event loop. If the loop ends before the work does, nobody gets the result.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()
    result.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting any longer

    def give(to: Callable[[Any], None], value: Any) -> None:
        if not result.done():
            to(value)

    def settle(to: Callable[[Any], None], value: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(give, to, value)

    def run() -> None:
        try:
            found = work()
        except BaseException as error:
            settle(result.set_exception, error)
        else:
            settle(result.set_result, found)

    Thread(target=run, name=name, daemon=True).start()
    return result
