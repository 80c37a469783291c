"""How are fills executed by deployment? A batch of fills becomes a run of its source's scraper deployment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect import task
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.deployments.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Crashed, State

from flows.prefect_run import CURRENT, PrefectRun
from tasks.domain.assess.absences import Absence
from tasks.domain.errors import AdceError
from tasks.domain.expected.cells import Cell
from tasks.domain.expected.seasons import window
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.plan import Fill
from tasks.domain.reasons import Limit
from tasks.domain.wording import duration
from tasks.run.dispatcher import End
from tasks.run.run import Run
from tasks.upstream.prefect_api import trouble

log = logging.getLogger(__name__)

_TRIES = 3  # at scheduling a run, if the Prefect API goes away meanwhile
_POLL_EVERY = 2.0  # seconds between two looks at the state of a scraper run
_ENDED_SILENTLY = "it ended without reporting that to Prefect"
_TO_END = 10.0  # seconds beyond the grace that a stopped scraper run may take to end
_TO_AGREE = 90.0  # seconds for which Prefect may call a run running that, by the ledger, has not begun or has ended


@task(name="batch", task_run_name="{name}")
async def run_batch(name: str, execution: str, attempt: int) -> State[Any]:
    """Executes some fills as a run of a scraper deployment. The state of that run is the state of this task."""
    here = CURRENT.get()
    fills = here.fills_of(execution)
    flow_run = await schedule_run(here, fills, attempt)
    state = await here.in_its_loop(wait_for_end(here, flow_run, fills, lambda: here.has_begun(execution)))
    return State(type=state.type, name=state.name, message=state.message)  # a copy: Prefect replaces a child's state


class ByDeployment:
    """Executes fills of one source as a run of the source's scraper deployment."""

    takes_batches = True
    start_up = 10.0  # of a process on this machine, with the time until a worker takes the run

    def __init__(self, here: PrefectRun):
        self._here = here

    async def prepare(self, sources: set[str]) -> None:
        """Raises AdceError for a source whose scraper deployment Prefect does not have."""
        await check_deployments(self._here, sources)

    async def wait_until_ready(self) -> None:
        """Waits until the Prefect API answers. Raises AdceError if that takes too long."""
        await self._here.wait_for_api()

    async def execute(self, fills: Sequence[Fill], attempt: int, begun: Callable[[], None]) -> End:
        name = f"{fills[0].dataset} {fills[0].days} {fills[0].kind.value}"
        future = await run_batch.submit(name, self._here.register(fills, begun), attempt)
        return await self._here.end_of(fills, future)


async def check_deployments(here: PrefectRun, sources: Iterable[str]) -> None:
    """Raises AdceError for a source whose scraper deployment Prefect does not have."""
    assert here.client is not None
    for name in (here.run.config.scraper.format(source=source) for source in sources):
        try:
            await here.client.read_deployment_by_name(name)
        except httpx.TransportError as error:
            raise AdceError(f"the Prefect API {trouble(error)}; is the server up?") from None
        except ObjectNotFound:
            raise AdceError(
                f"dispatch is `deployment`, and Prefect has no deployment {name}; see `scraper` in the "
                "configuration, or run `adce setup` and `prefect --no-prompt deploy --all`"
            ) from None


async def schedule_run(here: PrefectRun, fills: Sequence[Fill], attempt: int) -> FlowRun:
    """Has Prefect schedule a scraper run for fills of one source, as a subflow of the calling flow run.

    An idempotency key makes sure that Prefect schedules one run only, however often the call is repeated.
    """
    run, first = here.run, fills[0]
    gaps = [gap for fill in fills for gap in fill.gaps]
    more = f" and {len(fills) - 1} more" if len(fills) > 1 else ""
    tags = {"adce", f"source:{first.source}", f"priority:{first.priority.value}"}
    parameters = {
        "source": first.source,
        "keys": [gap.cell.key for gap in gaps],
        **_span([gap.cell for gap in gaps]),
        "part_of": run.session.id,
        "ends": run.session.ends.isoformat(),
        "as_of": run.session.as_of and run.session.as_of.isoformat(),
        "priority": run.planner.priority and run.planner.priority.value,
        "lake": run.pairing and run.pairing.mark.id,
        "ledger": run.session.ledger.id,
    }
    for tries_left in reversed(range(_TRIES)):
        try:
            flow_run: FlowRun = await run_deployment(
                run.config.scraper.format(source=first.source),
                parameters=parameters,
                flow_run_name=f"{first.dataset} {first.days} {first.kind.value}{more}",
                tags=sorted(tags | {f"dataset:{fill.dataset}" for fill in fills}),
                work_queue_name=first.priority.value.lower(),
                idempotency_key=f"{run.session.id} {first.id} {attempt}",
                timeout=0,
            )
            break
        except httpx.TransportError:  # nobody knows whether Prefect has scheduled it
            if not tries_left:
                raise
            await here.in_its_loop(here.wait_for_api())
    return flow_run


def _span(cells: Sequence[Cell]) -> dict[str, Any]:
    """The parameters that narrow a scraper run to the seasons and days of its files.

    There are none if a game lies outside its season: then any schedule may be the one that lists it.
    """
    for cell in cells:
        begin, end = window(cell.season)
        if cell.game is not None and not begin <= cell.first_day <= end:
            return {}
    return {
        "seasons": sorted({cell.season for cell in cells}),
        "since": min(cell.first_day for cell in cells).isoformat(),
        "until": max(cell.last_day for cell in cells).isoformat(),
    }


async def wait_for_end(
    here: PrefectRun, flow_run: FlowRun, fills: Sequence[Fill], begun: Callable[[], None]
) -> State[None]:
    """Waits for the end of a scraper run, adds the outcomes of its files to this run's, and returns its final state.

    A file that the scraper run has left for later has the reason that the scraper run has recorded in the ledger. If
    there is none, as when it died, or if this run is stopped, the reason is that the scraper run left it.

    `begun` is called when a worker has taken the run. A run that no worker takes in time is cancelled. A run whose
    process has died, or that a worker has taken and never begun, is set to crashed.
    """
    run = here.run
    keys = [key for fill in fills for key in fill.keys]
    try:
        state, limit = await _end_of(here, flow_run, begun)
        record = run.session.ledger.runs.of_flow_run(str(flow_run.id))
        if record is not None:
            run.known.examinations |= run.session.ledger.objects.examined(keys)
            run.known.absences |= run.session.ledger.absences.current(keys)
            outcomes = run.session.ledger.attempts.outcomes_of(record.id)
            run.outcomes.add(_as_proved(outcome, run.known.absences.get(key)) for key, outcome in outcomes.items())
            await _look_for(run, [gap.cell for fill in fills for gap in fill.gaps])
        if record is not None and record.failed:  # by an error such as an outage of Prefect: it is tried again
            return Crashed(message=state.message)
        if state.is_cancelled() or (record is not None and record.ended and not record.died):
            own = run.session.ledger.plans.take(record.id) if record else None
            reasons = own.reasons(keys) if own and not run.shutdown.reason else {}
            why = run.session.until_next_run(limit, f"its scraper run left it: {state.message or state.name}")
            left = [key for key in keys if key in reasons or key not in run.outcomes]
            run.outcomes.add([FileOutcome.deferred(key, reasons.get(key, why)) for key in left])
        return state
    finally:
        run.release(fills)


def _as_proved(outcome: FileOutcome, absence: Absence | None) -> FileOutcome:
    """The outcome, marked as absent if the ledger has an absence with the same text.

    The ledger's attempts keep the text of an answer only, not that it has proved an absence.
    """
    if absence is None or outcome.outcome is not Outcome.FAILED or absence.evidence != outcome.error:
        return outcome
    return replace(outcome, absent=True, unfinished=absence.unfinished)


async def _look_for(run: Run, cells: Sequence[Cell]) -> None:
    """Finds files in the lake that a scraper run stored before its process died, and adds outcomes for them.

    The ledger has no record of these files. Schedules are always looked for, so that their games become due in this
    run.
    """
    schedules = {cell.key for cell in cells if run.config.datasets[cell.dataset].lists_games}
    unrecorded = {cell.key for cell in cells} - run.outcomes.keys()
    found = await run.session.lake.find_all(unrecorded | schedules)
    for key in unrecorded & found.keys():
        had = run.known.objects.get(key)
        if had is None or had.etag != found[key].etag:
            run.outcomes.add([FileOutcome(key, Outcome.STORED, bytes=found[key].size)])
    run.known.objects.update(found)
    stored = unrecorded & found.keys()
    await run.read([cell for cell in cells if cell.key in stored and not run.known.is_examined(cell)])


async def _end_of(here: PrefectRun, flow_run: FlowRun, begun: Callable[[], None]) -> tuple[State[None], Limit]:
    """Waits for the end of a scraper run. Returns its final state, and the limit of files that it left undone.

    The loop is written by hand: it watches Prefect and the ledger together, and what it does depends on both.
    """
    run = here.run
    assert here.client is not None
    scheduled = time.monotonic()
    remaining = (run.session.ends - datetime.now(UTC)).total_seconds()
    patience = min(run.config.reconcile.start_within.total_seconds(), max(remaining, _POLL_EVERY))
    disagree_since: float | None = None
    has_started = told_to_stop = False
    while True:
        try:
            state = (await here.client.read_flow_run(flow_run.id)).state
            assert state is not None
            if not state.is_scheduled():
                begun()
            run.session.leases.end_dead_runs()
            record = run.session.ledger.runs.of_flow_run(str(flow_run.id))
            at_work = record is not None and not record.ended
            if state.is_final() and not at_work:  # a run at work still has its claims, whatever Prefect says
                return state, run.shutdown.limit if run.shutdown.reason else Limit.SCRAPER_RUN
            now = time.monotonic()
            if at_work and not has_started:
                run.has_started(now - scheduled)
                has_started = True
            is_begun = state.is_running() or state.is_cancelling()
            disagree_since = (disagree_since or now) if is_begun and not at_work else None
            if (record is not None and record.died) or (disagree_since and now - disagree_since > _TO_AGREE):
                message = "its process died" if not record or record.died else _ENDED_SILENTLY
                crashed: State[None] = Crashed(message=message)
                await _set(here, flow_run.id, crashed)
                return crashed, Limit.SCRAPER_RUN
            if run.shutdown.reason and not told_to_stop and not state.is_final():
                await _set(here, flow_run.id, Cancelling() if is_begun else Cancelled())
                told_to_stop = True
            elif not (run.shutdown.reason or is_begun or state.is_final()) and now - scheduled > patience:
                within = timedelta(seconds=round(patience))
                if state.is_pending():  # its process died before it began, or could not report to Prefect
                    lost: State[None] = Crashed(
                        message=f"a worker took it, and it had not begun after {duration(within)}"
                    )
                    await _set(here, flow_run.id, lost)
                    return lost, Limit.SCRAPER_RUN
                why = await _why_not_begun(here.client, flow_run, within)
                pool = flow_run.work_pool_name
                log.warning("%s: %s; is a worker of pool %r up, with room for another run?", flow_run.name, why, pool)
                never: State[None] = Cancelled(message=why)
                await _set(here, flow_run.id, never)
                return never, Limit.START_WITHIN
        except ObjectNotFound:
            return Crashed(message="it was deleted in Prefect"), Limit.SCRAPER_RUN
        except httpx.HTTPError:
            disagree_since = None  # the Prefect API is away, and the scraper run continues without it
        if run.shutdown.reason and time.monotonic() > run.shutdown.cut_short_at + _TO_END:
            return Cancelled(message="it was told to stop, and has not ended yet"), run.shutdown.limit
        await asyncio.sleep(_POLL_EVERY)


async def _why_not_begun(client: PrefectClient, flow_run: FlowRun, within: timedelta) -> str:
    """Why a scraper run is given up that no worker has taken: it may be because its work pool is full."""
    why = f"no worker has begun it within {duration(within)}"
    if name := flow_run.work_pool_name:
        with suppress(ObjectNotFound):  # somebody has deleted the pool
            if (limit := (await client.read_work_pool(name)).concurrency_limit) is not None:
                return f"{why}; work pool {name} runs at most {limit} at once, a reconcile included"
    return why


async def _set(here: PrefectRun, flow_run: UUID, state: State[None]) -> None:
    assert here.client is not None
    await here.client.set_flow_run_state(flow_run, state, force=state.is_crashed())
