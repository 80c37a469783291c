"""How are gaps filled that an event has shown? They are gathered for a moment, and each gathering is one fill."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future

import httpx
from prefect import tags

from tasks.domain.plan.plan import Gap
from tasks.domain.wording import plural

log = logging.getLogger(__name__)

_GATHERED = 2.0  # seconds for which the gaps of a source are gathered
_MOST_KEYS = 5000  # files that Prefect takes as parameters of one run
_RETRY = 60.0  # seconds after which a fill is begun again that could not begin, as when Prefect is away


class EventFills:
    """Begins fills of gaps in a thread of its own, one at a time for each source.

    Each is an ordinary run of the flow `fill`, with its own time budget and its own caps.
    """

    def __init__(self, source_of: Callable[[str], str], stop: Callable[[str], None]):
        """`source_of` tells the source of a dataset. `stop` stops the fills that run in this process, for a reason."""
        self._source_of, self._stop = source_of, stop
        self._loop = asyncio.new_event_loop()
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)  # the keys to fill, by source
        self._filling: dict[str, Future[None]] = {}  # by source
        self._thread = threading.Thread(target=self._loop.run_forever, name="fills", daemon=True)
        self._thread.start()

    def add(self, gaps: Iterable[Gap]) -> None:
        """Has gaps filled soon."""
        for gap in gaps:
            self._waiting[self._source_of(gap.cell.dataset)].add(gap.cell.key)
        for source in [source for source, keys in self._waiting.items() if keys]:
            if source not in self._filling or self._filling[source].done():
                self._filling[source] = asyncio.run_coroutine_threadsafe(self._fill_all(source), self._loop)

    @property
    def is_idle(self) -> bool:
        """Is there nothing to fill, and no fill at work?"""
        return not any(self._waiting.values()) and all(filling.done() for filling in self._filling.values())

    async def stop(self, why: str) -> None:
        """Stops the fills at work, and waits for them. What waits is left to the next reconcile."""
        self._waiting.clear()
        self._stop(why)
        await asyncio.gather(*map(asyncio.wrap_future, self._filling.values()), return_exceptions=True)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _fill_all(self, source: str) -> None:
        """Fills what waits of a source, until nothing does."""
        while self._waiting[source]:
            await asyncio.sleep(_GATHERED)
            keys = [self._waiting[source].pop() for _ in range(min(len(self._waiting[source]), _MOST_KEYS))]
            if keys and not await _filled(keys):
                self._waiting[source].update(keys)
                await asyncio.sleep(_RETRY)


async def _filled(keys: Collection[str]) -> bool:
    """Fills some files. Returns False if the fill could not begin because Prefect is away."""
    from flows.fill import fill

    try:
        with tags("adce"):
            state = await fill(keys=sorted(keys), return_state=True)
    except (httpx.HTTPError, RuntimeError) as error:
        log.warning(
            "%s cannot be filled now: %s; it is tried again every %.0f s", plural(len(keys), "file"), error, _RETRY
        )
        return False
    log.info("fill of %s: %s: %s", plural(len(keys), "file"), state.name, state.message)
    return True
