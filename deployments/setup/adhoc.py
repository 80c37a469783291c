"""Who can do an ad hoc fill for a command, and how did it end? A worker of a Prefect server.

It asks the server's API without Prefect's client, which takes seconds to import.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from config.secrets import masked
from deployments.setup.prefect_yaml import deployments_for
from tasks.domain.errors import AdceError
from tasks.domain.wording import one_line

_WITHIN = 5.0  # seconds in which the API has to answer
_POLL_EVERY = 0.5
_AWAY_SECONDS = 300.0  # seconds for which a server may give no answer while a run is waited for
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_FLOW = "fill"


@dataclass(frozen=True, slots=True)
class Taker:
    """A deployment for ad hoc fills whose work pool has a worker."""

    server: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class FlowRun:
    """A flow run in Prefect, with its present state."""

    id: str
    name: str
    url: str
    state: str
    message: str
    is_over: bool


def api_of(server: str) -> httpx.AsyncClient:
    """The API of a Prefect server, with a bounded time for each answer.

    The key PREFECT_API_KEY is sent to no other server than the one that PREFECT_API_URL names.
    """
    is_named = server.rstrip("/") == os.environ.get("PREFECT_API_URL", "").rstrip("/")
    key = os.environ.get("PREFECT_API_KEY") if is_named else None
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=server, headers=headers, timeout=_WITHIN)


async def find_taker(server: str, pools: Sequence[str]) -> Taker | str:
    """The deployment for ad hoc fills on a server, of the first pool that has a worker; or why there is none.

    Raises AdceError if the server does not answer properly.
    """
    of_fills = [one for one in deployments_for(list(pools)) if one.flow == _FLOW]
    why_not = f"the Prefect server {server} has no deployment for ad hoc fills"
    try:
        async with api_of(server) as api:
            for wanted in sorted(of_fills, key=lambda one: pools.index(one.pool)):
                found = await api.get(f"/deployments/name/{wanted.full_name}")
                if found.status_code == httpx.codes.NOT_FOUND:
                    continue
                pool = (await api.get(f"/work_pools/{wanted.pool}")).raise_for_status().json()
                workers = await api.post(f"/work_pools/{wanted.pool}/workers/filter", json={})
                if pool["is_paused"]:
                    why_not = f"the work pool {wanted.pool} on {server} is paused"
                elif not any(worker.get("status") == "ONLINE" for worker in workers.raise_for_status().json()):
                    why_not = f"no worker polls the work pool {wanted.pool} on {server}"
                else:
                    return Taker(server, found.raise_for_status().json()["id"], wanted.full_name)
    except (httpx.HTTPError, ValueError, LookupError) as error:
        raise AdceError(f"no proper answer ({type(error).__name__}) from the Prefect server {server}") from None
    return why_not


async def start(taker: Taker, name: str, parameters: Mapping[str, Any]) -> FlowRun:
    """Starts a run of the deployment with this name. Raises AdceError if the server refuses it."""
    body = {"name": name, "parameters": parameters, "tags": ["adce"], "state": {"type": "SCHEDULED"}}
    async with api_of(taker.server) as api:
        answer = await api.post(f"/deployments/{taker.id}/create_flow_run", json=body)
    if answer.is_client_error:
        raise AdceError(
            f"{taker.name} on {taker.server} refuses the parameters ({masked(answer.text[:200])}); if it was deployed "
            "by an older version, deploy again: prefect --no-prompt deploy --all"
        )
    return _run(taker, answer.raise_for_status().json())


async def end_of(taker: Taker, run: FlowRun) -> FlowRun:
    """Waits until the run has ended. The server may be away for five minutes; then it raises AdceError."""
    answered = time.monotonic()
    async with api_of(taker.server) as api:
        while not run.is_over:
            await asyncio.sleep(_POLL_EVERY)
            try:
                answer = await api.get(f"/flow_runs/{run.id}")
                if answer.status_code == httpx.codes.NOT_FOUND:
                    raise AdceError(f"run {run.name} is not on {taker.server} any more: somebody has deleted it")
                run = _run(taker, answer.raise_for_status().json())
                answered = time.monotonic()
            except (httpx.HTTPError, ValueError, LookupError) as error:
                if time.monotonic() - answered > _AWAY_SECONDS:
                    raise AdceError(
                        f"no proper answer ({type(error).__name__}) from the Prefect server {taker.server} for "
                        f"{_AWAY_SECONDS:.0f} s; the run goes on: `adce runs {run.name}` says how it ends"
                    ) from None
    return run


def _run(taker: Taker, found: Mapping[str, Any]) -> FlowRun:
    state = found["state"] or {"name": "Pending", "message": "", "type": "PENDING"}
    url = masked(f"{taker.server.removesuffix('/').removesuffix('/api')}/flow-runs/flow-run/{found['id']}")
    return FlowRun(
        found["id"], found["name"], url, state["name"], one_line(state["message"] or ""), state["type"] in _FINAL
    )
