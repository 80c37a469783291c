"""What do a run and Prefect report to each other?

The run learns from Prefect that it was cancelled, and reports to Prefect which other runs have died.
"""

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
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId, TaskRunFilter
from prefect.client.schemas.filters import FlowRunFilterId as FlowRunIds
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed, State

from config.secrets import masked
from flows.prefect_run import PrefectRun
from tasks.domain.errors import AdceError
from tasks.domain.limits.servers import Server
from tasks.domain.outcomes import RunEnd
from tasks.domain.reasons import Limit
from tasks.domain.wording import duration
from tasks.ledger.leases import Leases
from tasks.run.shutdown import Shutdown
from tasks.upstream.buckets import server_address

log = logging.getLogger(__name__)

_POLL_EVERY = 3.0  # seconds between two looks at whether the run was cancelled


@asynccontextmanager
async def holding_lease(here: PrefectRun, client: PrefectClient) -> AsyncIterator[None]:
    """A block in which the run holds its lease. It stops on a cancellation, or when the lease is lost.

    When the block begins, runs that have died are reported to Prefect.
    """
    run, leases = here.run, here.run.session.leases
    context = contextvars.copy_context()  # so that Prefect assigns log lines to the flow run

    def lost(why: str) -> None:
        with suppress(RuntimeError):  # the loop is closed, so the run has ended
            here.loop.call_soon_threadsafe(run.shutdown.request, why, None, Limit.LEASE, context=context)

    buckets = {name: id for source in run.sources.values() for name, id in source.bucket.ids.items()}
    server = Server(server_address(), buckets)
    leases.begin(flow_run.flow_name or "run", flow_run.name or "", flow_run.id, lost, server)
    ended = asyncio.Event()
    watching: list[asyncio.Task[None]] = []
    outcome = RunEnd.FAILED
    state: str | None = None
    why: str | None = None
    needs_mending: bool | None = None
    try:
        await _report_dead_runs(client, leases)
        await _crash_runs_never_begun(client, run.config.reconcile.start_within)
        if PREFECT_API_URL.value() and flow_run.id:
            watching.append(asyncio.create_task(_watch_for_a_cancel(run.shutdown, client, UUID(flow_run.id), ended)))
        yield
        outcome = RunEnd.STOPPED if run.shutdown.reason else RunEnd.ENDED
        if here.ending and not run.shutdown.reason:
            state, why, needs_mending = here.ending.name, here.ending.message, here.ending.needs_mending
    except AdceError as error:
        why = masked(str(error))
        raise
    finally:
        ended.set()  # cancelling the task would leave Prefect's embedded API with an open transaction
        if watching:
            await asyncio.wait(watching)
        leases.end(outcome, run.shutdown.reason or why, run.session.watch.seconds, state, needs_mending)


async def _watch_for_a_cancel(
    shutdown: Shutdown, client: PrefectClient, flow_run_id: UUID, ended: asyncio.Event
) -> None:
    """Stops the run when somebody cancels it in Prefect."""
    while not ended.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _POLL_EVERY)
            return
        with suppress(httpx.HTTPError, ObjectNotFound):
            state = (await client.read_flow_run(flow_run_id)).state
            if state and (state.is_cancelling() or state.is_cancelled()):
                shutdown.request("cancelled in Prefect")
                return


async def cancel_came_late() -> bool:
    """Was the flow run cancelled in Prefect when its work was done already?

    Prefect refuses any final state but Cancelled then, and the flow run would seem to be ending for ever.
    """
    if not (PREFECT_API_URL.value() and flow_run.id):
        return False
    with suppress(httpx.HTTPError, ObjectNotFound):
        async with get_client() as client:
            state = (await client.read_flow_run(UUID(flow_run.id))).state
            return bool(state and state.is_cancelling())
    return False


async def _report_dead_runs(client: PrefectClient, leases: Leases) -> None:
    """Sets the flow runs of dead runs to crashed in Prefect, because their processes could not do that themselves."""
    for record in leases.end_dead_runs():
        log.warning("run %s of %s died; its claims are released", record.id[:8], record.holder)
        try:
            if record.flow_run:
                await _crash(client, UUID(record.flow_run), leases.live_flow_runs())
        except ObjectNotFound:  # another Prefect server has it, or it was deleted
            pass
        except httpx.HTTPError as error:
            log.warning("Prefect could not be told that run %s died: %s; the next run will", record.id[:8], error)
            continue
        leases.record_death_reported(record.id)


async def _crash_runs_never_begun(client: PrefectClient, start_within: timedelta) -> None:
    """Sets flow runs to crashed if a worker took them longer than `start_within` ago and they have not begun.

    The worker may have died before it started their process, and no other worker takes them.
    """
    pending = {"tags": {"all_": ["adce"]}, "state": {"type": {"any_": ["PENDING"]}}}
    with suppress(httpx.HTTPError):
        for found in await client.read_flow_runs(flow_run_filter=FlowRunFilter.parse_obj(pending)):
            state = found.state
            if found.work_pool_name and state and datetime.now(UTC) - state.timestamp > start_within:
                never: State[Any] = Crashed(
                    message=f"a worker took it, and it had not begun after {duration(start_within)}"
                )
                await client.set_flow_run_state(found.id, never, force=True)
                log.warning("flow run %s: %s", found.name, never.message)


async def _crash(client: PrefectClient, flow_run_id: UUID, alive: Collection[str]) -> None:
    """Sets a flow run, its tasks and its subflows to crashed in Prefect, if they have no final state there.

    The flow runs in `alive` are not changed.
    """
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
