"""How are gaps filled that an event has shown? They are gathered for a moment, and each gathering is one fill."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

import httpx
from prefect import tags
from prefect.states import get_state_exception

from flows.loop_thread import LoopThread
from tasks.domain.assess.gaps import Gap
from tasks.domain.errors import UnexpectedKeysError
from tasks.domain.wording import plural
from tasks.observe.outages import Outage

log = logging.getLogger(__name__)

GATHERED = 2.0  # seconds for which the gaps of a source are gathered
_MOST_KEYS = 5000  # files that Prefect takes as parameters of one run
_RETRY = 60.0  # seconds after which a fill is begun again that could not begin, as when Prefect is away
_STOPPED_AGAIN = 0.5  # seconds after which fills are stopped once more: one that was still opening did not hear of it


class EventFills:
    """Fills gaps, in one fill at a time for each source. Use it in one event loop; the fills run in another thread.

    Each is an ordinary run of the flow `fill`, with its own time budget and its own caps.
    """

    def __init__(self, source_of: Callable[[str], str], stop: Callable[[str], None]):
        """`source_of` tells the source of a dataset. `stop` stops the fills that run in this process, for a reason."""
        self._source_of, self._stop = source_of, stop
        self._thread = LoopThread("fills")
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)  # the keys to fill, by source
        self._filling: dict[str, asyncio.Task[None]] = {}  # by source
        self._stopping = asyncio.Event()
        self._beginning = Outage("fills begin again; they could not")

    def add(self, gaps: Iterable[Gap]) -> None:
        """Has gaps filled soon, unless the fills are stopping."""
        if self._stopping.is_set():
            return
        for gap in gaps:
            source = self._source_of(gap.cell.dataset)
            self._waiting[source].add(gap.cell.key)
            if source not in self._filling:
                self._filling[source] = asyncio.create_task(self._fill_all(source))

    @property
    def is_idle(self) -> bool:
        """Is there nothing to fill, and no fill at work?"""
        return not self._filling

    async def stop(self, why: str) -> None:
        """Stops the fills at work, and waits for them. What waits is left to the next reconcile."""
        self._stopping.set()
        while self._filling:
            self._stop(why)
            await asyncio.wait(self._filling.values(), timeout=_STOPPED_AGAIN)
        self._thread.stop()

    async def _fill_all(self, source: str) -> None:
        """Fills what waits of a source, until nothing does."""
        waiting = self._waiting[source]
        try:
            while waiting and not await self._stops_within(GATHERED):
                keys = [waiting.pop() for _ in range(min(len(waiting), _MOST_KEYS))]
                if not await self._thread.run(_filled(keys, self._beginning)):
                    waiting.update(keys)
                    await self._stops_within(_RETRY)
        finally:
            del self._filling[source]

    async def _stops_within(self, seconds: float) -> bool:
        """Waits for some seconds, or until the fills are to stop. Are they?"""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()


async def _filled(keys: Collection[str], beginning: Outage) -> bool:
    """Fills some files. Returns False if the fill could not begin because Prefect is away.

    Files that are expected no more, such as those of a game that is postponed, are left out.
    """
    from flows.fill import fill

    expected = set(keys)
    while expected:
        try:
            named = fill.with_options(flow_run_name=f"{plural(len(expected), 'file')} of events")
            with tags("adce"):
                state = await named(keys=sorted(expected), return_state=True)
        except (httpx.HTTPError, RuntimeError) as error:
            cannot = f"{plural(len(expected), 'file')} cannot be filled now: {str(error).rstrip('.')}"
            beginning.failed(f"{cannot}; it is tried again every {_RETRY:.0f} s")
            return False
        beginning.ended()
        log.info("fill of %s: %s: %s", plural(len(expected), "file"), state.name, state.message)
        why = await get_state_exception(state) if state.is_failed() else None
        if not isinstance(why, UnexpectedKeysError):
            break
        expected -= set(why.keys)
    return True
