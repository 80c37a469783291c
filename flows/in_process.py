"""How are fills executed in this process? Each as a subflow, in a task that is submitted to the flow's task runner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prefect import tags, task
from prefect.states import State

from flows.prefect_run import CURRENT, PrefectRun
from flows.scrape import scrape
from tasks.domain.plan.lanes import START_UP
from tasks.domain.plan.plan import Fill
from tasks.run.dispatcher import End


@task(name="fill", task_run_name="{name}")
async def run_fill(name: str, execution: str) -> State[Any]:
    """Executes one fill as a scraper subflow in this process. The state of the subflow is the state of this task."""
    (fill,) = CURRENT.get().fills_of(execution)
    with tags("adce", f"source:{fill.source}", f"dataset:{fill.dataset}", f"priority:{fill.priority.value}"):
        state = await scrape(
            fill=fill.id,
            source=fill.source,
            dataset=fill.dataset,
            season=fill.season,
            days=fill.days,
            kind=fill.kind.value,
            priority=fill.priority.value,
            score=round(fill.score.total, 3),
            files=len(fill.gaps),
            return_state=True,
        )
    return State(type=state.type, name=state.name, message=state.message)  # a copy: Prefect replaces a child's state


class InProcess:
    """Executes each fill as a subflow in this process. The task runner limits how many run at once."""

    takes_batches = False
    start_up = START_UP

    def __init__(self, here: PrefectRun):
        self._here = here

    async def prepare(self, sources: set[str]) -> None:
        """There is nothing to prepare."""

    async def wait_until_ready(self) -> None:
        """Waits until the Prefect API answers. Raises AdceError if that takes too long."""
        await self._here.wait_for_api()

    async def execute(self, fills: Sequence[Fill], attempt: int, begun: Callable[[], None]) -> End:
        (fill,) = fills
        name = f"{fill.dataset} {fill.days} {fill.kind.value}"
        return await self._here.end_of(fills, await run_fill.submit(name, self._here.register(fills, begun)))
