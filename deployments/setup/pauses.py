"""What is paused on the Prefect server, so that runs do not start? Schedules, work pools and queues.

A person has paused it, so ADCE says so and leaves it as it is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import httpx

from deployments.setup.prefect_yaml import Deployment, deployments_for
from tasks.domain.errors import AdceError

Json = Mapping[str, Any]

_MOST_DEPLOYMENTS = 200
_QUICK_SECONDS = 1.0


@dataclass(frozen=True)
class Pause:
    """Something that is paused, and how it is resumed."""

    what: str
    resume: str

    @property
    def trouble(self) -> str:
        return f"paused; to have it run again: {self.resume}"

    def __str__(self) -> str:
        return f"{self.what}: {self.trouble}"


@dataclass(frozen=True)
class Known:
    """Deployments, work pools and work queues of a Prefect server, as its API describes them in JSON."""

    deployments: Sequence[Json]
    pools: Sequence[Json]
    queues: Mapping[str, Sequence[Json]]  # of each pool


async def known(api: httpx.AsyncClient, pools: Sequence[str]) -> Known:
    """What a server has of these work pools. Raises httpx.HTTPError."""

    async def filtered(path: str, body: Json) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await api.post(path, json=body)).raise_for_status().json()
        return found

    named = {"work_pools": {"name": {"any_": list(pools)}}}
    deployments = await filtered("/deployments/filter", named | {"limit": _MOST_DEPLOYMENTS})
    have = await filtered("/work_pools/filter", named)
    queues = {pool["name"]: await filtered(f"/work_pools/{pool['name']}/queues/filter", {}) for pool in have}
    return Known(deployments, have, queues)


async def quick_look(url: str | None, pools: Sequence[str]) -> list[Pause]:
    """What is paused on the server at this address, or nothing if there is no address or no quick answer.

    It needs no import of Prefect, which takes seconds.
    """
    if not url:
        return []
    key = os.environ.get("PREFECT_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with suppress(httpx.HTTPError, TimeoutError, ValueError, AdceError):
        async with asyncio.timeout(_QUICK_SECONDS), httpx.AsyncClient(base_url=url, headers=headers) as api:
            return pauses(await known(api, pools), deployments_for(list(pools)))
    return []


def pauses(known: Known, wanted: Iterable[Deployment]) -> list[Pause]:
    """Everything that is paused: the schedules of the wanted deployments, and work pools and queues."""
    return [*_paused_schedules(known, wanted), *_paused_pools(known)]


def as_paused(wanted: Deployment, deployments: Iterable[Json]) -> Deployment:
    """The deployment to deploy, paused if the server's deployment of the same name is paused.

    `prefect deploy` alone would make every schedule active again.
    """
    have = _found(wanted, deployments)
    if have is None or not _is_paused(have):
        return wanted
    schedules = [schedule | {"active": False} for schedule in wanted.entry["schedules"]]
    return replace(wanted, entry=wanted.entry | {"schedules": schedules, "paused": bool(have["paused"])})


def _paused_schedules(known: Known, wanted: Iterable[Deployment]) -> Iterator[Pause]:
    for one in wanted:
        have = _found(one, known.deployments)
        if not have or not one.is_scheduled or not have["schedules"] or not _is_paused(have):
            continue
        command = f"prefect deployment schedule resume {one.full_name} {have['schedules'][0]['id']}"
        resume = "the switch in the Prefect UI, under Deployments" if have["paused"] else command
        yield Pause(f"deployment {one.full_name}", resume)


def _paused_pools(known: Known) -> Iterator[Pause]:
    for pool in known.pools:
        name = pool["name"]
        if pool["is_paused"]:
            yield Pause(f"work pool {name}", f"prefect work-pool resume {name}")
        for queue in known.queues.get(name, ()):
            if queue["is_paused"]:
                resume = f"prefect work-queue resume {queue['name']} --pool {name}"
                yield Pause(f"work queue {name}/{queue['name']}", resume)


def _found(wanted: Deployment, deployments: Iterable[Json]) -> Json | None:
    same = (one for one in deployments if (one["entrypoint"], one["name"]) == (wanted.entrypoint, wanted.name))
    return next(same, None)


def _is_paused(deployment: Json) -> bool:
    """Does nothing start by schedule? A server may have the deployment paused, or each of its schedules."""
    schedules = deployment["schedules"]
    return bool(deployment["paused"]) or (bool(schedules) and not any(one["active"] for one in schedules))
