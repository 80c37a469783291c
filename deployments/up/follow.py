"""How does `adce up` go on telling what happens in Prefect, whatever Prefect answers?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from deployments.prefect_api.client import PrefectApiError
from deployments.up.announcer import Announcer
from deployments.up.lines import Line
from deployments.up.poller import PrefectPoller

ANSWERS_WITHIN = 10.0  # seconds
_POLL_SECONDS = 2.0


async def follow(
    poller: PrefectPoller,
    announcer: Announcer,
    say: Callable[[Line], None],
    answers: asyncio.Event,
    begin: Callable[[], Awaitable[None]],
) -> None:
    """Polls Prefect every 2 s, and says what is new, for ever. `answers` is set while Prefect gives proper answers.

    It calls `begin` after the first poll, and again after later polls until that succeeds. `answers` is set only then.
    The loop is written by hand because it polls and does not retry.
    """
    has_begun = False
    while True:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                snapshot = await poller.poll(datetime.now(UTC))
                if not has_begun:
                    await begin()
        except (PrefectApiError, TimeoutError) as error:
            answers.clear()
            trouble = error.trouble if isinstance(error, PrefectApiError) else "does not answer"
            lines = announcer.lines_of_silence(datetime.now(UTC), trouble)
        else:
            has_begun = True
            answers.set()
            lines = announcer.lines(snapshot)
        for line in lines:
            say(line)
        await asyncio.sleep(_POLL_SECONDS)
