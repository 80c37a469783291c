"""A run as a Prefect flow does it: with a client of the API, and with fills that its subflows find by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.futures import PrefectFuture
from prefect.states import Crashed, State

from config.secrets import masked
from tasks.domain.errors import AdceError
from tasks.domain.plan.plan import Fill
from tasks.run.dispatcher import End
from tasks.run.run import Run
from tasks.upstream.prefect_api import ApiOutage, trouble

T = TypeVar("T")

_PATIENCE = 300.0  # seconds for the Prefect API to come back


@dataclass
class PrefectRun:
    """Make it in the loop of the run."""

    run: Run
    client: PrefectClient | None = None  # None: nothing is fetched
    api_outage: ApiOutage = field(default_factory=ApiOutage)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _executed: dict[str, tuple[Sequence[Fill], Callable[[], None]]] = field(default_factory=dict)

    def execute(self, fills: Sequence[Fill], begun: Callable[[], None]) -> str:
        """Has these fills found by the id that is given."""
        self._executed[fills[0].id] = fills, begun
        return fills[0].id

    def fills_of(self, execution: str) -> Sequence[Fill]:
        return self._executed[execution][0]

    def has_begun(self, execution: str) -> None:
        """The fills are at work; may be called from any thread."""
        self.loop.call_soon_threadsafe(self._executed[execution][1])

    async def in_its_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Does some work in the loop that the run's connections and buckets belong to.

        Prefect runs every task, and so every subflow in a task, in a thread and a loop of its own.
        """
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    async def answers(self) -> None:
        """Waits until the Prefect API does: a flow run that begins or ends while it does not is lost."""
        if self.client is None:
            return
        with self.api_outage.watched() as seconds_failing:
            while error := await self.client.api_healthcheck():
                if seconds_failing(error) > _PATIENCE:
                    raise AdceError(
                        f"the Prefect API {trouble(error)}, and has done so for {_PATIENCE:.0f} s; is the server up?"
                    )
                await asyncio.sleep(1)


# The run that the subflows of this process belong to.
CURRENT: ContextVar[PrefectRun] = ContextVar("CURRENT")


async def end_of(future: PrefectFuture[Any, Any]) -> End:
    """How a task ended that does fills."""
    try:
        state: State[Any] = await future.wait()
    except httpx.TransportError as error:  # the Prefect API went away just then
        state = Crashed(message=masked(f"the Prefect API did not answer: {error}"))
    return End(state.message or state.name or "", has_crashed=state.is_crashed())
