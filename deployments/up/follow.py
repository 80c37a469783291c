"""How does `adce up` go on telling what happens in Prefect, whatever Prefect answers?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from deployments.prefect_api.client import PrefectApiError
from deployments.up.announcer import Announcer
from deployments.up.lines import Line
from deployments.up.poller import PrefectPoller

ANSWERS_WITHIN = 10.0  # seconds
_POLL_SECONDS = 2.0

Complete = Callable[[Sequence[Line]], Awaitable[Sequence[Line]]]


async def _as_they_are(lines: Sequence[Line]) -> Sequence[Line]:
    return lines


async def follow(
    poller: PrefectPoller,
    announcer: Announcer,
    say: Callable[[Line], None],
    answers: asyncio.Event,
    begin: Callable[[], Awaitable[None]],
    causes: Callable[[], Awaitable[Sequence[str]]],
    complete: Complete = _as_they_are,
) -> None:
    """Polls Prefect every 2 s, and says what is new, for ever. `answers` is set while Prefect answers the polls.

    `complete` adds to lines what Prefect does not know.

    Whenever it says that Prefect does not, it also says `causes`, which is asked for them then.

    After a poll that is answered it calls `begin`, until that succeeds or is refused for good. The loop is written by
    hand because it polls and does not retry.
    """
    beginning = _Beginning(begin)
    while True:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                snapshot = await poller.poll(datetime.now(UTC))
        except (PrefectApiError, TimeoutError) as error:
            answers.clear()
            lines = announcer.lines_of_silence(datetime.now(UTC), _trouble(error))
            if lines:
                lines += [Line(cause, logging.ERROR, "database_away") for cause in await causes()]
        else:
            answers.set()
            lines = [*announcer.lines(snapshot), *await beginning.lines()]
        for line in await complete(lines):
            say(line)
        await asyncio.sleep(_POLL_SECONDS)


async def tell_the_last(
    poller: PrefectPoller, announcer: Announcer, say: Callable[[Line], None], complete: Complete = _as_they_are
) -> None:
    """Polls once more, and says what is new: how the runs ended when everything was stopped. None is due after that."""
    with suppress(PrefectApiError, TimeoutError):
        async with asyncio.timeout(ANSWERS_WITHIN):
            snapshot = await poller.poll(datetime.now(UTC))
        for line in await complete(announcer.lines(replace(snapshot, next_due=None, is_last=True))):
            say(line)


class _Beginning:
    """The start of the first reconcile, which is tried again for as long as it may succeed."""

    def __init__(self, begin: Callable[[], Awaitable[None]]):
        self._begin = begin
        self._is_over = False
        self._last_trouble: str | None = None

    async def lines(self) -> list[Line]:
        """Tries to begin, unless that is over. Returns what is to be said: each new trouble."""
        if self._is_over:
            return []
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await self._begin()
        except (PrefectApiError, TimeoutError) as error:
            before, self._last_trouble = self._last_trouble, _trouble(error)
            self._is_over = isinstance(error, PrefectApiError) and not error.can_heal
            if self._last_trouble == before and not self._is_over:
                return []
            then = "its schedule begins the next one" if self._is_over else "it is tried again"
            text = f"the first reconcile cannot be started: the Prefect API {self._last_trouble}; {then}"
            return [Line(text, logging.WARNING)]
        self._is_over = True
        return []


def _trouble(error: PrefectApiError | TimeoutError) -> str:
    """What the Prefect API does instead of an answer."""
    return error.trouble if isinstance(error, PrefectApiError) else "does not answer"
