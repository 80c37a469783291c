"""What does ADCE need on a Prefect server, and how does the server differ from that?"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.workers.process import ProcessWorker
from prefect_aws import AwsCredentials

from blocks.lake import Lake
from config.models import Config, Priority
from deployments.prefect_api.client import PrefectApi
from deployments.prefect_api.pauses import known, pauses
from deployments.prefect_api.workers import silence
from deployments.prefect_yaml import deployments_for
from deployments.setup.former_names import FORMER_NAMES, former_deployment, take_over
from tasks.domain.errors import AdceError
from tasks.domain.limits.buckets import buckets_of
from tasks.domain.wording import duration
from tasks.upstream.buckets import bucket_trouble, ensure_bucket, ensure_buckets, server_address

WORK_POOL = "adce"
ECS_POOL = "adce-ecs"
LAKE_BLOCK = "adce"
_TYPES = {WORK_POOL: "process", ECS_POOL: "ecs"}
_ECS_TEMPLATE = Path(__file__).parents[1] / "ecs" / "base-job-template.json"
_MISSING = "missing"


@dataclass(frozen=True)
class Difference:
    """An object on the Prefect server that is missing or not as configured.

    `correct` corrects it; None means that only a person can.
    """

    what: str
    trouble: str
    correct: Callable[[], Awaitable[Any]] | None = None

    def __str__(self) -> str:
        return f"{self.what}: {self.trouble}"

    @property
    def done(self) -> str:
        """The message after set-up: that the difference was corrected, or what a person has to do."""
        if self.correct is None:
            return str(self)
        return f"{self.what}: created" if self.trouble == _MISSING else f"{self}; corrected"


def where() -> tuple[str, bool]:
    """A line that names the Prefect server, and whether PREFECT_API_URL names that server."""
    is_named = bool(PREFECT_API_URL.value())
    return f"Prefect is {server_address()}{'' if is_named else '; PREFECT_API_URL names no server'}", is_named


async def set_up(config: Config) -> list[Difference]:
    """Creates what is missing on the server and corrects what differs. Returns all differences that were found."""
    found = []
    async with get_client() as client:
        async for difference in _differences(client, config):
            if difference.correct:
                await difference.correct()
            found.append(difference)
    return found


async def look(config: Config) -> list[Difference]:
    """The differences between the server and the configuration. Changes nothing."""
    async with get_client() as client:
        return [difference async for difference in _differences(client, config)]


async def held_up(config: Config) -> list[Difference]:
    """Why runs do not begin: schedules, pools and queues that a person has paused, and pools whose workers are silent.

    Only a person can correct that.
    """
    async with get_client() as client:
        api = PrefectApi.of_client(client)
        have = await known(api, config.work_pools)
        silent = [(f"work pool {pool.name}", await silence(api, pool.name)) for pool in have.pools]
    found = pauses(have, deployments_for(list(config.work_pools)))
    paused = [Difference(pause.what, pause.trouble) for pause in found]
    return paused + [Difference(what, trouble) for what, trouble in silent if trouble]


async def set_up_buckets(config: Config) -> None:
    """Creates and corrects the rate buckets only, which a run without `adce setup` needs."""
    async with get_client() as client:
        await ensure_buckets(client, config)


async def _differences(client: PrefectClient, config: Config) -> AsyncIterator[Difference]:
    """All differences, in the order in which they can be corrected.

    The caller should correct each before it asks for the next, because later ones may depend on it.
    """
    for name, rates in buckets_of(config):
        if trouble := await bucket_trouble(client, name, rates):
            yield Difference(f"rate bucket {name}", trouble, partial(ensure_bucket, client, name, rates))
    for pool in config.work_pools:
        async for difference in _of_pool(client, pool):
            yield difference
        async for difference in _of_queues(client, pool):
            yield difference
    async for difference in _of_blocks(client, config):
        yield difference
    async for difference in _of_deployments(client, config):
        yield difference


async def _of_pool(client: PrefectClient, name: str) -> AsyncIterator[Difference]:
    what, kind, template = f"work pool {name}", _TYPES[name], _job_template(name)
    try:
        have = await client.read_work_pool(name)
    except ObjectNotFound:
        pool = WorkPoolCreate.parse_obj({"name": name, "type": kind, "base_job_template": template})
        yield Difference(what, _MISSING, partial(client.create_work_pool, pool))
        return
    if have.type != kind:
        yield Difference(
            what,
            f"type {have.type}, should be {kind}; delete it (prefect work-pool delete {name}), and set up again",
        )
        return
    if name == ECS_POOL and have.base_job_template != template:  # the operator may change a process pool's template
        change = WorkPoolUpdate.parse_obj({"base_job_template": template})
        yield Difference(
            what, f"base job template differs from {_ECS_TEMPLATE.name}", partial(client.update_work_pool, name, change)
        )


def _job_template(pool: str) -> dict[str, Any]:
    if pool == WORK_POOL:
        template: dict[str, Any] = ProcessWorker.get_default_base_job_template()
        return template
    try:
        template = json.loads(_ECS_TEMPLATE.read_text())
    except (OSError, ValueError) as error:
        raise AdceError(f"work_pools: {pool} needs {_ECS_TEMPLATE}, which cannot be read: {error}") from None
    return template


async def _of_queues(client: PrefectClient, pool: str) -> AsyncIterator[Difference]:
    """Differences of the pool's queues: one for each priority, before the default queue.

    A queue that has the wanted place already is moved by Prefect.
    """
    for place, priority in enumerate(Priority, 1):
        name = priority.lower()
        what = f"work queue {pool}/{name}"
        try:
            have = await client.read_work_queue_by_name(name, pool)
        except ObjectNotFound:
            create = partial(client.create_work_queue, name, priority=place, work_pool_name=pool)
            yield Difference(what, _MISSING, create)
            continue
        if have.priority != place:
            change = partial(client.update_work_queue, have.id, priority=place)
            yield Difference(what, f"priority {have.priority}, should be {place}", change)


async def _of_blocks(client: PrefectClient, config: Config) -> AsyncIterator[Difference]:
    slug = Lake._block_type_slug
    try:
        kind = await client.read_block_type_by_slug(slug)
        schema = await client.get_most_recent_block_schema_for_block_type(kind.id)
    except ObjectNotFound:
        schema = None
    # Prefect compares schemas by their checksums, too.
    if schema is None or schema.checksum != Lake._calculate_schema_checksum():
        trouble = "of another version" if schema else _MISSING
        yield Difference(f"block type {slug}", trouble, partial(Lake.register_type_and_schema, client=client))
    credentials = None
    if block := config.aws_credentials:
        try:
            credentials = await AwsCredentials.load(block, client=client)
        except ValueError:
            yield Difference(f"block aws-credentials/{block}", "missing; make it in the Prefect UI, under Blocks")
            return
    lake = Lake(url=config.lake, aws_credentials=credentials, connections=config.reconcile.lake_connections)
    if differs := await _lake_trouble(client, lake, config):
        save = partial(lake.save, LAKE_BLOCK, overwrite=True, client=client)
        yield Difference(f"block {slug}/{LAKE_BLOCK}", differs, save)


async def _lake_trouble(client: PrefectClient, want: Lake, config: Config) -> str | None:
    try:
        have = await Lake.load(LAKE_BLOCK, client=client)
    except ValueError:
        return _MISSING
    block = have.aws_credentials._block_document_name if have.aws_credentials else None
    compared: dict[str, tuple[object, object]] = {
        "url": (have.url, want.url),
        "connections": (have.connections, want.connections),
        "aws_credentials": (block, config.aws_credentials),
    }
    differing = [f"{field} {a}, should be {b}" for field, (a, b) in compared.items() if a != b]
    return "; ".join(differing) or None


async def _of_deployments(client: PrefectClient, config: Config) -> AsyncIterator[Difference]:
    pools = WorkPoolFilter(name=WorkPoolFilterName(any_=list(config.work_pools)))
    found = await client.read_deployments(work_pool_filter=pools, limit=200)
    have = {(one.entrypoint, one.name): one for one in found}
    interval = config.reconcile.interval
    for want in deployments_for(list(config.work_pools)):
        what = f"deployment {want.full_name}"
        if former := await former_deployment(client, want.full_name):
            trouble = f"is now {want.full_name}, which takes over its schedule and whether that is paused"
            correct = partial(take_over, client, want.full_name, former)
            yield Difference(f"former deployment {FORMER_NAMES[want.full_name]}", trouble, correct)
        if (one := have.get((want.entrypoint, want.name))) is None:
            yield Difference(what, f"missing; run `{want.command}`")
            continue
        for every in (getattr(of_time.schedule, "interval", None) for of_time in one.schedules if want.interval):
            if every != interval:
                times = f"every {duration(every)}" if every else "at other times"
                yield Difference(
                    what,
                    f"runs {times}, and reconcile.interval is {duration(interval)}; "
                    f"write the same in {want.file} and run `{want.command}`",
                )
        accepted = _sources_accepted(one.parameter_openapi_schema or {})
        if accepted and {*accepted} != {*config.sources}:
            trouble = f"accepts the sources {', '.join(accepted)}; configured are {', '.join(config.sources)}"
            yield Difference(what, f"{trouble}; run `{want.command}`")


def _sources_accepted(schema: Mapping[str, Any]) -> list[str]:
    """The sources that the parameters of a deployment may name, as it was deployed; none if that is not restricted."""
    parameters = schema.get("properties", {})
    one, several = parameters.get("source", {}), parameters.get("sources", {}).get("items", {})
    return [name for name in one.get("enum") or several.get("enum") or () if name]
