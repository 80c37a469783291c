"""How does a run do something at its end that must not hold it up? In a thread, within some seconds."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from config.secrets import masked
from tasks.domain.errors import AdceError
from tasks.domain.wording import one_line

log = logging.getLogger(__name__)


async def at_end(
    work: Callable[[], None], within: float, *, name: str, hangs: str, line: Callable[[Exception], str]
) -> None:
    """Does some work in a thread of that name. That it hangs, or its error, of which `line` tells, is one warning."""
    failed: list[Exception] = []

    def guarded() -> None:
        try:
            work()
        except Exception as error:  # whatever it is, the run has done its work
            failed.append(error)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, within)
    if thread.is_alive():
        log.warning("%s", hangs)
    for error in failed:
        log.warning("%s", line(error))


def text_of(error: Exception) -> str:
    """An error for the log, in one line and without secrets."""
    return str(error) if isinstance(error, AdceError) else masked(one_line(repr(error)))
