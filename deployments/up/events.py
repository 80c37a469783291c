"""Does `adce up` receive what S3 tells of the lake, and does that arrive?"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta

from blocks.store import Store
from config.models import Config
from deployments.up.children import Child
from tasks.answers.sources import EventsNow, events_now
from tasks.domain.access import Access
from tasks.domain.errors import AdceError
from tasks.domain.event_path import PathState
from tasks.domain.wording import utc
from tasks.ledger import Ledger

_STOPS_WITHIN = 30.0  # seconds, of which it waits at most 10 for its queue and 5 for its ledger
_LOOKS_EVERY = 60.0  # seconds
_SILENT_AFTER = timedelta(minutes=5)


def watch_of(config: Config, env: Mapping[str, str], fills_end_within: timedelta) -> Child | None:
    """The process that receives from the queue of the lake's events; None if there is no queue.

    A lake in a folder sends no events. Without the process, each reconcile finds what has changed. `env` names the
    server of Prefect on which it fills what events show to be lacking, if the configuration wants that.
    """
    queue = config.events.queue
    if queue is None or Store(config.lake).bucket is None:
        return None
    argv = [sys.executable, "-W", "ignore", "-m", "deployments", "watch", "--queue", queue]
    stops_within = max(_STOPS_WITHIN, fills_end_within.total_seconds() if config.events.fill else 0.0)
    return Child("watch", argv, env, stops_within, is_adce=True, is_vital=False)


async def tell_of_events(config: Config, say: Callable[[str, int], None]) -> None:
    """Says whether the events of the lake arrive, whenever that changes."""
    told = ""
    while True:
        await asyncio.sleep(_LOOKS_EVERY)
        try:
            events, now = await asyncio.to_thread(_events_now, config), datetime.now(UTC)
        except AdceError as error:
            level, what, line = logging.WARNING, "unknown", f"whether events arrive is not known: {error}"
        else:
            level, what, line = _line(events, now)
        if what != told:
            say(line, level)
            told = what


def _line(events: EventsNow | None, now: datetime) -> tuple[int, str, str]:
    """How bad it is, what it is in a word, and the line about it."""
    if events is None or now - events.progress > _SILENT_AFTER:
        since = f"since {utc(events.progress)}" if events else "so far"
        line = f"adce watch has received nothing from its queue {since}, not even that it is empty; see its output"
        return logging.ERROR, "silent", f"{line} with --verbose"
    level = logging.ERROR if events.path.state is PathState.BROKEN else logging.INFO
    return level, events.path.state, f"the path of events is {events.path.state}: {events.path.reason}"


def _events_now(config: Config) -> EventsNow | None:
    with closing(Ledger(config.ledger, Access.LOOK)) as ledger:
        return events_now(ledger, datetime.now(UTC))
