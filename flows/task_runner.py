"""How many fills run at once? As many as Prefect's concurrent task runner is limited to."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from prefect.task_runners import ConcurrentTaskRunner

from config.load import ConfigError, load_config


class FillTaskRunner(ConcurrentTaskRunner):
    """Prefect's concurrent task runner with a limit: `reconcile.max_concurrent` tasks run at once.

    Prefect 2 starts submitted tasks in any order, because each submission first makes an API call in the background.
    So a caller that needs an order submits no more tasks than may run at once, and waits for the start of each.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Prefect does not annotate it

    async def _start(self, exit_stack: AsyncExitStack) -> None:
        await super()._start(exit_stack)
        self._workers = asyncio.Semaphore(_max_concurrent())

    async def _run_and_store_result(self, key, call):  # type: ignore[no-untyped-def]
        async with self._workers:
            await super()._run_and_store_result(key, call)


def _max_concurrent() -> int:
    """The configured limit, or 1 if the configuration is invalid.

    The flow loads the configuration too, and fails with its mistake. An error here, before the flow begins, would make
    Prefect's run `Crashed`, without name, start or end.
    """
    try:
        return load_config().reconcile.max_concurrent
    except ConfigError:
        return 1
