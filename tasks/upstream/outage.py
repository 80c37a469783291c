"""What happens while the lake or the ledger cannot be written? No requests leave, and fetched files wait in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tasks.domain.errors import LakeError, LedgerError, Reach

log = logging.getLogger(__name__)
T = TypeVar("T")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between two attempts; each wait is twice the one before


class Outage:
    """The outages of the lake and the ledger that one run meets.

    A run waits until the lake can be written again. If the ledger cannot be written, the run ends.
    """

    def __init__(self, can_write: Callable[[], Awaitable[None]]):
        """`can_write` raises LakeError if the lake as a whole cannot be written."""
        self.on_change: Callable[[], None] = lambda: None  # called when an outage begins, ends or becomes final
        self.given_up = 0  # files that were fetched and could not be stored before the run had to end
        self._can_write = can_write
        self._lake: LakeError | None = None
        self._ledger: LedgerError | None = None
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._over = asyncio.Event()
        self._over.set()

    @property
    def reason(self) -> LakeError | LedgerError | None:
        """Why no requests are sent now, or None."""
        return self._ledger or self._lake

    @property
    def final(self) -> LedgerError | None:
        """Why this run will send no more requests, or None."""
        return self._ledger

    def stop_requests(self, error: LedgerError) -> None:
        """Makes this run send no more requests, because of this error."""
        self._ledger = self._ledger or error
        self._over.set()
        self.on_change()

    async def wait_until_over(self) -> None:
        """Waits until requests may be sent. Raises LedgerError if this run will send no more."""
        await self._over.wait()
        if self._ledger:
            raise self._ledger

    async def retry(self, work: Callable[[], Awaitable[T]]) -> T:
        """Returns the result of `work`, which is repeated until the lake can be written.

        Raises LakeError for an error of one key or folder, because waiting does not mend it. If several callers wait,
        only one at a time tries again.
        """
        if self._lake is None:
            try:
                return await work()
            except LakeError as error:
                self._begin(await self._of_the_lake(error))
        self._waiting += 1
        try:
            async with self._turn:
                return await self._again(work)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self._waiting -= 1

    async def _again(self, work: Callable[[], Awaitable[T]]) -> T:
        wait = _FIRST_WAIT
        while True:
            if self._lake is not None:
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            try:
                done = await work()
            except LakeError as error:
                try:
                    self._begin(await self._of_the_lake(error))
                except LakeError:  # the error concerns one key or folder, so the lake can be written
                    self._end()
                    raise
                if self._ledger:
                    self.given_up += 1
                    raise
            else:
                self._end()
                return done

    async def _of_the_lake(self, error: LakeError) -> LakeError:
        """The error of the whole lake that has caused this one. Raises this one if it concerns one key or folder."""
        if error.reach is Reach.KEY:
            raise error
        if error.reach is Reach.FOLDER:
            try:
                await self._can_write()
            except LakeError as wider:
                return wider
            raise error
        return error

    def _begin(self, error: LakeError) -> None:
        if self._lake is None:
            log.warning("%s; no requests are sent until it can be, and fetched files wait in memory", error)
            self._lake = error
            if self._ledger is None:
                self._over.clear()
            self.on_change()

    def _end(self) -> None:
        if self._lake is not None:
            log.warning("the lake can be written again; files that waited for it: %s", self._waiting)
            self._lake = None
            self._over.set()
            self.on_change()
