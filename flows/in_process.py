"""How does this process do a fill? As a subflow in a task that is submitted to the flow's task runner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prefect import tags, task
from prefect.states import State

from flows.prefect_run import CURRENT, PrefectRun, end_of
from flows.scrape import scrape
from tasks.domain.plan.plan import Fill
from tasks.run.dispatcher import End


@task(name="fill", task_run_name="{name}")
async def run_fill(name: str, execution: str) -> State[Any]:
    """One scraper subflow, in this process; its state is this task's."""
    (fill,) = CURRENT.get().fills_of(execution)
    with tags("adce", f"source:{fill.source}", f"dataset:{fill.dataset}", f"priority:{fill.priority.value}"):
        return await scrape(
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


class InProcess:
    """Does one fill at a time in a subflow; as many run at once as the task runner lets."""

    takes_batches = False

    def __init__(self, here: PrefectRun):
        self._here = here

    async def prepare(self, sources: set[str]) -> None:
        """There is nothing to prepare."""

    async def ready(self) -> None:
        """Returns when the Prefect API answers. Raises AdceError if that takes too long."""
        await self._here.answers()

    async def execute(self, fills: Sequence[Fill], attempt: int, begun: Callable[[], None]) -> End:
        (fill,) = fills
        name = f"{fill.dataset} {fill.days} {fill.kind.value}"
        return await end_of(await run_fill.submit(name, self._here.execute(fills, begun)))
