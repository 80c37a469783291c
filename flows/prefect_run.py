"""What does a run need in a Prefect flow? A client of the API, and a way for subflows to find their fills by an id."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.futures import PrefectFuture
from prefect.states import Crashed, State

from config.secrets import masked
from flows.run_log import fill_line
from tasks.answers.ending import Ending
from tasks.domain.errors import AdceError
from tasks.domain.plan.plan import Fill
from tasks.domain.wording import duration
from tasks.log_lines import about
from tasks.run.dispatcher import End
from tasks.run.run import Run
from tasks.upstream.prefect_api import ApiOutage, trouble

log = logging.getLogger(__name__)

T = TypeVar("T")

_API_AWAY_SECONDS = 300.0  # seconds without an answer from the Prefect API after which a run gives up


@dataclass
class PrefectRun:
    """A run and its connection to Prefect. Create it in the event loop of the run."""

    run: Run
    client: PrefectClient | None = None  # None if the run fetches nothing
    ending: Ending | None = None  # once it has fetched
    api_outage: ApiOutage = field(default_factory=ApiOutage)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _executed: dict[str, tuple[Sequence[Fill], Callable[[], None]]] = field(default_factory=dict)

    def register(self, fills: Sequence[Fill], begun: Callable[[], None]) -> str:
        """Registers fills that are about to be executed. Returns the id by which a task or subflow finds them."""
        self._executed[fills[0].id] = fills, begun
        return fills[0].id

    def fills_of(self, execution: str) -> Sequence[Fill]:
        """The fills that were registered under an id."""
        return self._executed[execution][0]

    def has_begun(self, execution: str) -> None:
        """Reports that the fills of an id are running. May be called from any thread."""
        self.loop.call_soon_threadsafe(self._executed[execution][1])

    async def in_its_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the event loop of the run, to which its connections and buckets belong.

        Prefect runs each task, with the subflows in it, in a thread that has its own event loop.
        """
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    async def wait_for_api(self) -> None:
        """Waits until the Prefect API answers, because a flow run that begins or ends while it does not is lost.

        Raises AdceError if that takes too long.
        """
        if self.client is None:
            return
        with self.api_outage.watched() as seconds_failing:
            while error := await self.client.api_healthcheck():
                if seconds_failing(error) > _API_AWAY_SECONDS:
                    raise AdceError(
                        f"the Prefect API {trouble(error)}, and has done so for "
                        f"{duration(timedelta(seconds=_API_AWAY_SECONDS))}; is the server up?"
                    )
                await asyncio.sleep(1)

    async def end_of(self, fills: Sequence[Fill], future: PrefectFuture[Any, Any]) -> End:
        """Waits for a task that executes fills, logs a line about each, and returns how they ended."""
        begun = time.monotonic()
        try:
            state: State[Any] = await future.wait()
        except httpx.TransportError as error:  # the Prefect API has just gone away
            state = Crashed(message=masked(f"the Prefect API did not answer: {error}"))
        end = End(state.message or state.name or "", has_crashed=state.is_crashed())
        for fill in fills:
            outcomes = [self.run.outcomes[key] for key in fill.keys if key in self.run.outcomes]
            line = fill_line(fill, outcomes, time.monotonic() - begun, end.message)
            log.info("%s", line, extra=about(source=fill.source, dataset=fill.dataset))
        return end


# The run that the subflows of this process belong to.
CURRENT: ContextVar[PrefectRun] = ContextVar("CURRENT")


def state_of(ending: Ending, data: Any = None) -> State[Any]:
    """The state of a flow run in Prefect that ends so."""
    return State(type=StateType(ending.type), name=ending.name, message=ending.message, data=data)
