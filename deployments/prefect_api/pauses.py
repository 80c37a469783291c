"""What is paused on the Prefect server, so that runs do not start? Schedules, work pools and queues.

A work pool or queue with a concurrency limit of 0 starts nothing either. A person has made it so, so ADCE says so and
leaves it as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pydantic import BaseModel

from deployments.prefect_api.client import PrefectApi, api_of
from deployments.prefect_api.settings import api_url
from deployments.prefect_yaml import Deployment, deployments_for
from tasks.domain.errors import AdceError

_QUICK_SECONDS = 1.0


@dataclass(frozen=True)
class PrefectPause:
    """Something that is paused, and how it is resumed."""

    what: str
    resume: str
    state: str = "paused"

    @property
    def trouble(self) -> str:
        return f"{self.state}; to have it run again: {self.resume}"

    def __str__(self) -> str:
        return f"{self.what}: {self.trouble}"


class Schedule(BaseModel):
    """A schedule of a deployment, as the API describes it."""

    id: str
    active: bool


class KnownDeployment(BaseModel):
    """A deployment on a server, as the API describes it."""

    id: str
    name: str
    entrypoint: str | None
    paused: bool
    schedules: list[Schedule]

    @property
    def starts_nothing(self) -> bool:
        """Does nothing start by schedule? A server may have the deployment paused, or each of its schedules."""
        return self.paused or (bool(self.schedules) and not any(one.active for one in self.schedules))


class Pausable(BaseModel):
    """A work pool or a work queue, as the API describes it."""

    name: str
    is_paused: bool
    concurrency_limit: int | None = None

    @property
    def state(self) -> str | None:
        """Why it starts no run, as its adjective; None if it does."""
        limited = "held by a concurrency limit of 0" if self.concurrency_limit == 0 else None
        return "paused" if self.is_paused else limited


@dataclass(frozen=True)
class Known:
    """What a Prefect server has of some work pools."""

    deployments: Sequence[KnownDeployment]
    pools: Sequence[Pausable]
    queues: Mapping[str, Sequence[Pausable]]  # of each pool


async def known(api: PrefectApi, pools: Sequence[str]) -> Known:
    """What a server has of these work pools. Raises PrefectApiError."""
    named = {"work_pools": {"name": {"any_": list(pools)}}}
    deployments = await api.all("/deployments/filter", named, KnownDeployment)
    have = await api.all("/work_pools/filter", named, Pausable)
    queues = {pool.name: await api.all(f"/work_pools/{pool.name}/queues/filter", {}, Pausable) for pool in have}
    return Known(deployments, have, queues)


async def quick_look(pools: Sequence[str]) -> list[PrefectPause]:
    """What is paused on the server that PREFECT_API_URL names, or nothing if there is none or no quick answer."""
    with suppress(AdceError, TimeoutError):
        if server := api_url():
            async with asyncio.timeout(_QUICK_SECONDS), api_of(server) as api:
                return pauses(await known(api, pools), deployments_for(list(pools)))
    return []


def pauses(known: Known, wanted: Iterable[Deployment]) -> list[PrefectPause]:
    """Everything that is paused: the schedules of the wanted deployments, and work pools and queues."""
    return [*_paused_schedules(known, wanted), *_paused_pools(known)]


def as_paused(wanted: Deployment, deployments: Iterable[KnownDeployment]) -> Deployment:
    """The deployment to deploy, paused if the server's deployment of the same name is paused.

    `prefect deploy` alone would make every schedule active again.
    """
    have = _found(wanted, deployments)
    if have is None or not have.starts_nothing:
        return wanted
    schedules = [schedule | {"active": False} for schedule in wanted.entry["schedules"]]
    return replace(wanted, entry=wanted.entry | {"schedules": schedules, "paused": have.paused})


def _paused_schedules(known: Known, wanted: Iterable[Deployment]) -> Iterator[PrefectPause]:
    for one in wanted:
        have = _found(one, known.deployments)
        if not have or not one.is_scheduled or not have.schedules or not have.starts_nothing:
            continue
        command = f"prefect deployment schedule resume {one.full_name} {have.schedules[0].id}"
        resume = "the switch in the Prefect UI, under Deployments" if have.paused else command
        yield PrefectPause(f"deployment {one.full_name}", resume)


def _paused_pools(known: Known) -> Iterator[PrefectPause]:
    for pool in known.pools:
        if state := pool.state:
            command = "resume" if pool.is_paused else "clear-concurrency-limit"
            yield PrefectPause(f"work pool {pool.name}", f"prefect work-pool {command} {pool.name}", state)
        for queue in known.queues.get(pool.name, ()):
            if state := queue.state:
                command = "resume" if queue.is_paused else "clear-concurrency-limit"
                resume = f"prefect work-queue {command} {queue.name} --pool {pool.name}"
                yield PrefectPause(f"work queue {pool.name}/{queue.name}", resume, state)


def _found(wanted: Deployment, deployments: Iterable[KnownDeployment]) -> KnownDeployment | None:
    same = (one for one in deployments if (one.entrypoint, one.name) == (wanted.entrypoint, wanted.name))
    return next(same, None)
