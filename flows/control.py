"""What do a run and Prefect tell each other? That it was cancelled, and which runs died before it; and its lease."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId, TaskRunFilter
from prefect.client.schemas.filters import FlowRunFilterId as FlowRunIds
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed, State

from flows.prefect_run import PrefectRun
from tasks.domain.outcomes import RunEnd
from tasks.domain.reasons import Limit
from tasks.domain.wording import duration
from tasks.ledger.leases import Leases
from tasks.ledger.runs import Server
from tasks.run.shutdown import Shutdown
from tasks.upstream.buckets import server_address

log = logging.getLogger(__name__)

_LOOK_FOR_A_CANCEL = 3.0  # seconds


@asynccontextmanager
async def at_work(here: PrefectRun, client: PrefectClient) -> AsyncIterator[None]:
    """The run is known to others as long as this lasts, and stops when it is told to."""
    run, leases = here.run, here.run.session.leases
    context = contextvars.copy_context()  # in which Prefect knows whose the log lines are

    def lost(why: str) -> None:
        with suppress(RuntimeError):  # the loop has ended, and with it the run
            here.loop.call_soon_threadsafe(run.shutdown.request, why, None, Limit.LEASE, context=context)

    buckets = {name: id for source in run.sources.values() for name, id in source.bucket.ids.items()}
    server = Server(server_address(), buckets)
    leases.begin(flow_run.flow_name or "run", flow_run.name or "", flow_run.id, lost, server)
    ended = asyncio.Event()
    watching: list[asyncio.Task[None]] = []
    outcome = RunEnd.FAILED
    try:
        await _bury(client, leases)
        await _give_up_the_never_begun(client, run.config.reconcile.start_within)
        with run.shutdown.on_signals():
            if PREFECT_API_URL.value() and flow_run.id:
                watching.append(
                    asyncio.create_task(_watch_for_a_cancel(run.shutdown, client, UUID(flow_run.id), ended))
                )
            yield
        outcome = RunEnd.STOPPED if run.shutdown.reason else RunEnd.ENDED
    finally:
        ended.set()  # rather than a cancel: Prefect's embedded API would be left with an open transaction
        if watching:
            await asyncio.wait(watching)
        leases.end(outcome, run.shutdown.reason, run.session.watch.seconds)


async def _watch_for_a_cancel(
    shutdown: Shutdown, client: PrefectClient, flow_run_id: UUID, ended: asyncio.Event
) -> None:
    """Stops the run when somebody cancels it in Prefect."""
    while not ended.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _LOOK_FOR_A_CANCEL)
            return
        with suppress(httpx.HTTPError, ObjectNotFound):
            state = (await client.read_flow_run(flow_run_id)).state
            if state and (state.is_cancelling() or state.is_cancelled()):
                shutdown.request("cancelled in Prefect")
                return


async def _bury(client: PrefectClient, leases: Leases) -> None:
    """Has Prefect know of the runs that died: nobody was left to tell it."""
    for record in leases.bury_the_dead():
        log.warning("run %s of %s died; what it was at is free", record.id[:8], record.holder)
        try:
            if record.flow_run:
                await _crash(client, UUID(record.flow_run), leases.at_work())
        except ObjectNotFound:  # it was another Prefect's, or was deleted
            pass
        except httpx.HTTPError as error:
            log.warning("Prefect could not be told that run %s died: %s; the next run will", record.id[:8], error)
            continue
        leases.buried(record.id)


async def _give_up_the_never_begun(client: PrefectClient, patience: timedelta) -> None:
    """Runs that a worker has taken and that never began: if it died before their process started, nobody else will."""
    pending = {"tags": {"all_": ["adce"]}, "state": {"type": {"any_": ["PENDING"]}}}
    with suppress(httpx.HTTPError):
        for found in await client.read_flow_runs(flow_run_filter=FlowRunFilter.parse_obj(pending)):
            state = found.state
            if found.work_pool_name and state and datetime.now(UTC) - state.timestamp > patience:
                never: State[Any] = Crashed(
                    message=f"a worker took it, and it had not begun after {duration(patience)}"
                )
                await client.set_flow_run_state(found.id, never, force=True)
                log.warning("flow run %s: %s", found.name, never.message)


async def _crash(client: PrefectClient, flow_run_id: UUID, alive: Collection[str]) -> None:
    """The flow run, its tasks and their subflows, as far as they seem to run; but for those alive elsewhere."""
    crashed: State[Any] = Crashed(message="its process died")
    of_this = FlowRunFilter(id=FlowRunIds(any_=[flow_run_id]))
    children = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
    flow_runs = [await client.read_flow_run(flow_run_id), *await client.read_flow_runs(flow_run_filter=children)]
    flow_runs = [found for found in flow_runs if str(found.id) not in alive]
    for found in flow_runs:
        if found.state and not found.state.is_final():
            await client.set_flow_run_state(found.id, crashed, force=True)
    running = TaskRunFilter.parse_obj({"state": {"type": {"any_": ["RUNNING", "PENDING"]}}})
    for task_run in await client.read_task_runs(flow_run_filter=of_this, task_run_filter=running):
        await client.set_task_run_state(task_run.id, crashed, force=True)
