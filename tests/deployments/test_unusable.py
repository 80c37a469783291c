"""What is said of a Prefect API that cannot be used?"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgi_lifespan import LifespanManager

from deployments.prefect_api.unusable import why_unusable


async def _hang(scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
    await receive()
    await asyncio.Event().wait()


async def _start() -> None:
    async with LifespanManager(_hang, startup_timeout=0.01):
        pass


def test_an_embedded_api_that_does_not_start_in_time_is_told_from_other_timeouts() -> None:
    with pytest.raises(TimeoutError) as caught:
        asyncio.run(_start())
    assert "embedded API has not started in time" in (why_unusable(caught.value, None) or "")
    assert why_unusable(TimeoutError(), None) is None
