"""What is said if the lake keeps a person waiting?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from blocks.store import Store
from tasks.domain.wording import duration

log = logging.getLogger(__name__)

_SOON = timedelta(seconds=5)


@contextmanager
def told_if_slow(lake: Store) -> Iterator[None]:
    """Has the log say that the lake is waited for, if it does not soon give what this block asks of it."""
    text = "lake %s has not answered for %s; waiting for it"
    loop = asyncio.get_running_loop()
    telling = loop.call_later(_SOON.total_seconds(), log.warning, text, lake.address, duration(_SOON))
    try:
        yield
    finally:
        telling.cancel()
