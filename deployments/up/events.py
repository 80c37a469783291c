"""Does `adce up` receive what S3 tells of the lake, and does that arrive?"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

from blocks.store import Store
from config.models import Config
from deployments.up.children import Child
from tasks.answers.sources import EventsNow, events_now
from tasks.domain.access import Access
from tasks.domain.errors import AdceError
from tasks.domain.event_path import PathState
from tasks.ledger import Ledger

_STOPS_WITHIN = 30.0  # seconds, of which it waits at most 10 for its queue
_LOOKS_EVERY = 60.0  # seconds


def watch_of(config: Config) -> Child | None:
    """The process that receives from the queue of the lake's events; None if there is no queue.

    A lake in a folder sends no events. Without the process, each reconcile finds what has changed.
    """
    queue = config.events.queue
    if queue is None or Store(config.lake).bucket is None:
        return None
    argv = [sys.executable, "-W", "ignore", "-m", "deployments", "watch", "--queue", queue]
    return Child("watch", argv, stops_within=_STOPS_WITHIN, is_vital=False)


async def tell_of_events(config: Config, say: Callable[[str, int], None]) -> None:
    """Says whether the events of the lake arrive, whenever that changes."""
    told: PathState | None = None
    while True:
        await asyncio.sleep(_LOOKS_EVERY)
        try:
            events = await asyncio.to_thread(_events_now, config)
        except AdceError as error:
            say(f"whether events arrive is not known: {error}", logging.WARNING)
            continue
        if events and events.path.state is not told:
            level = logging.ERROR if events.path.state is PathState.BROKEN else logging.INFO
            say(f"the path of events is {events.path.state}: {events.path.reason}", level)
            told = events.path.state


def _events_now(config: Config) -> EventsNow | None:
    with closing(Ledger(config.ledger, Access.LOOK)) as ledger:
        return events_now(ledger, datetime.now(UTC))
