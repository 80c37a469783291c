"""How does a worker of a Prefect server do an ad hoc fill, from its start to its end?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from pydantic import BaseModel
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay

from deployments.prefect_api.client import PrefectApi, PrefectApiError
from deployments.prefect_api.flow_runs import FlowRun, FlowRuns
from deployments.prefect_api.pauses import Pausable
from deployments.prefect_api.settings import prefect_command
from deployments.prefect_api.workers import online_workers
from deployments.prefect_yaml import deployments_for
from tasks.domain.errors import AdceError
from tasks.domain.flow_names import FILL
from tasks.domain.wording import one_line, utc

T = TypeVar("T")

_POLL_EVERY = 0.5  # seconds
_AWAY_SECONDS = 300.0  # seconds for which a server may give no answer while a run is waited for
_REFUSES_PARAMETERS = (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY)
_START_SECONDS = 30.0  # the same while it is started


class NoWorkerError(AdceError):
    """The server has no deployment for ad hoc fills whose work pool is polled by a worker."""


@dataclass(frozen=True, slots=True)
class AdhocDeployment:
    """A deployment for ad hoc fills."""

    id: str
    name: str
    pool: str


async def find_deployment(api: PrefectApi, pools: Sequence[str]) -> AdhocDeployment:
    """The deployment for ad hoc fills of the first pool that has a worker. Raises NoWorkerError and PrefectApiError."""
    of_fills = [one for one in deployments_for(list(pools)) if one.flow == FILL]
    why_not = f"the Prefect server {api.server} has no deployment for ad hoc fills"
    for wanted in sorted(of_fills, key=lambda one: pools.index(one.pool)):
        try:
            found = await api.get(f"/deployments/name/{wanted.full_name}", _Deployment)
        except PrefectApiError as error:
            if error.is_not_found:
                continue
            raise
        trouble = await _why_no_worker(api, wanted.pool)
        if trouble is None:
            return AdhocDeployment(found.id, wanted.full_name, wanted.pool)
        why_not = f"{trouble} on {api.server}"
    raise NoWorkerError(why_not)


async def start(api: PrefectApi, deployment: AdhocDeployment, name: str, parameters: Mapping[str, Any]) -> FlowRun:
    """Starts a run of the deployment with this name.

    A request without an answer is repeated, which starts no second run. Raises AdceError if the server refuses the
    parameters, and PrefectApiError.
    """
    key = str(uuid4())
    try:
        ask = partial(FlowRuns(api).create, deployment.id, name, parameters, key=key)
        return await _patiently(ask, within=_START_SECONDS)
    except PrefectApiError as error:
        if error.refused is None or error.refused.status_code not in _REFUSES_PARAMETERS:
            raise
        raise AdceError(
            f"{deployment.name} on {api.server} refuses the parameters ({one_line(error.refused.text[:200])}); if it "
            "was deployed by an older version, deploy again: prefect --no-prompt deploy --all"
        ) from None


async def end_of(
    api: PrefectApi, deployment: AdhocDeployment, run: FlowRun, start_within: timedelta, tell: Callable[[str], None]
) -> FlowRun:
    """Waits until the run has ended. The server may give no answer for five minutes; then it raises AdceError.

    If the run has not begun after `start_within`, it calls `tell` with a line that says why, and waits on.
    """
    ask = partial(FlowRuns(api).get, run.id)
    late = time.monotonic() + start_within.total_seconds()
    while not run.is_final:
        await asyncio.sleep(_POLL_EVERY)
        try:
            run = await _patiently(ask, within=_AWAY_SECONDS)
        except PrefectApiError as error:
            if error.is_not_found:
                raise AdceError(f"run {run.name} is not on {api.server} any more: somebody has deleted it") from None
            lasting = f" for {_AWAY_SECONDS:.0f} s" if error.can_heal else ""
            look = f"`adce runs {run.id[:8]}` says how it ends"
            raise AdceError(f"{error}{lasting}; the run goes on: {look}") from None
        if run.began is None and not run.is_final and time.monotonic() >= late:
            late = float("inf")
            tell(await _why_not_begun(api, deployment, run))
    return run


async def _why_not_begun(api: PrefectApi, deployment: AdhocDeployment, run: FlowRun) -> str:
    try:
        trouble = await _why_no_worker(api, deployment.pool)
    except PrefectApiError as error:
        trouble = str(error)
    why = (
        trouble or f"the workers of {deployment.pool} are busy or hang, or a queue or a concurrency limit holds it back"
    )
    stop = f"to cancel it: {prefect_command(api.server, f'flow-run cancel {run.id}')}"
    return f"the run, due {utc(run.due or run.since)}, has not begun: {why}; this command goes on waiting; {stop}"


async def _why_no_worker(api: PrefectApi, pool: str) -> str | None:
    """Why no worker takes runs of a work pool; None if one does."""
    pools = await api.all("/work_pools/filter", {"work_pools": {"name": {"any_": [pool]}}}, Pausable)
    if not pools:
        return f"there is no work pool {pool}"
    if state := pools[0].state:
        return f"the work pool {pool} is {state}"
    return None if await online_workers(api, pool) else f"no worker polls the work pool {pool}"


async def _patiently(ask: Callable[[], Awaitable[T]], within: float) -> T:
    """The answer to a request, which is repeated while it fails and can heal. Raises PrefectApiError.

    A server that asks for a wait gets it, up to `within` seconds.
    """

    def wait(state: RetryCallState) -> float:
        error = state.outcome and state.outcome.exception()
        asked = error.wait.total_seconds() if isinstance(error, PrefectApiError) else 0.0
        return max(_POLL_EVERY, min(asked, within))

    asking = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, PrefectApiError) and error.can_heal),
        stop=stop_after_delay(within),
        wait=wait,
        reraise=True,
    )
    return await asking(ask)


class _Deployment(BaseModel):
    id: str
