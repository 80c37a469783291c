"""How does work go on that would hold up everything else in its event loop? In a loop and a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_ENDS_WITHIN = 1.0  # seconds for which the end of a thread is waited for


class LoopThread:
    """A thread with an event loop. What blocks there, such as a request to the ledger, blocks nothing elsewhere."""

    def __init__(self, name: str):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """The result of some work, which is done in the thread."""
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def stop(self) -> None:
        """Ends the thread as soon as nothing blocks it, and waits a moment for that. Work at hand is not done then."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ENDS_WITHIN)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()
