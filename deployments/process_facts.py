"""What does a process ask for the conditions of incidents: disks, the configuration, the lake, and Prefect?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from config.load import ConfigError, load_config
from config.models import Config
from deployments.prefect_api.buckets import buckets_on
from deployments.prefect_api.client import api_of
from deployments.prefect_api.pauses import Known, PrefectPause, known, pauses
from deployments.prefect_api.settings import api_url
from deployments.prefect_yaml import deployments_for
from deployments.serve.needs import LAKE, PREFECT, cause_of, disk_of, folders_of, free_bytes, needs_of
from tasks.answers.health import SCARCE, Reached
from tasks.answers.process import ProcessFacts, Question
from tasks.domain.errors import AdceError
from tasks.domain.flow_names import RECONCILE
from tasks.domain.incidents import Fact, Kind
from tasks.domain.limits.buckets import ALL_SOURCES, BucketOnServer, bucket_for
from tasks.domain.wording import size

Needs = Callable[[], Mapping[str, Reached]]


def process_facts(
    config: Config, load: Callable[[], object] = load_config, reached: Needs | None = None
) -> ProcessFacts:
    """The facts that this process can find out, now and later. `load` reads the configuration as a new run would.

    `reached` says whether the lake and Prefect answer, where the process asks them anyway; without it, they are asked.
    What cannot be asked, such as Prefect without PREFECT_API_URL, is left out.
    """
    return ProcessFacts(_questions(config, load, reached))


def _questions(config: Config, load: Callable[[], object], reached: Needs | None) -> Iterator[Question]:
    yield Question("the configuration", partial(_configuration, load), of=Kind.CONFIGURATION)
    yield Question("the disks", partial(_disks, folders_of(config)), of=Kind.DISK)
    needs, _ = needs_of(config)
    if LAKE in needs:
        yield Question("the lake", _asking(LAKE, needs[LAKE], Kind.LAKE, reached), Kind.LAKE)
    if PREFECT in needs and (server := api_url()):
        yield Question("the Prefect API", _asking(PREFECT, needs[PREFECT], Kind.PREFECT, reached), Kind.PREFECT)
        yield Question("what is paused in Prefect", partial(_paused, server, config), of=Kind.SCHEDULE)
        yield Question("the rate buckets", partial(_buckets, server, config), of=Kind.BUCKET)


def _configuration(load: Callable[[], object]) -> Iterator[Fact]:
    try:
        load()
    except ConfigError as error:
        yield Fact(Kind.CONFIGURATION, "", 1, reason=error.lines[0])
    else:
        yield Fact(Kind.CONFIGURATION, "", 0)


def _disks(folders: dict[str, Path]) -> Iterator[Fact]:
    """The fullest disk. Folders that share a disk are told together."""
    disks: dict[int, list[str]] = {}
    free = {}
    for name, folder in folders.items():
        with suppress(OSError):  # whatever needs the folder tells of it
            disk = disk_of(folder)
            free[disk] = free_bytes(folder)
            disks.setdefault(disk, []).append(name)
    if free:
        least = min(free, key=lambda disk: free[disk])
        of = " and ".join(f"the {name} in {folders[name]}" for name in disks[least])
        reason = f"{size(free[least])} are free on the disk of {of}; at least {size(SCARCE)} should be"
        yield Fact(Kind.DISK, "", free[least] < SCARCE, reason=reason)


def _asking(need: str, ask: Callable[[], None], kind: Kind, reached: Needs | None) -> Callable[[], Iterable[Fact]]:
    return partial(_answers, ask, kind) if reached is None else partial(_has_answered, reached, need, kind)


def _answers(ask: Callable[[], None], kind: Kind) -> Iterator[Fact]:
    """That something answers. Raises AdceError if it does not, without the address of a Prefect server."""
    try:
        ask()
    except AdceError as error:
        raise AdceError(cause_of(error)) from None
    yield Fact(kind, "", 0)


def _has_answered(reached: Needs, need: str, kind: Kind) -> Iterator[Fact]:
    """That something has answered when it was asked last; nothing before it was. Raises AdceError if it has not."""
    found = reached()[need]
    if found.trouble:
        raise AdceError(found.cause)
    if found.answered:
        yield Fact(kind, "", 0)


def _paused(server: str, config: Config) -> Iterator[Fact]:
    """Is the schedule of the reconcile paused, or a work pool? Raises AdceError."""
    found = asyncio.run(_known(server, config.work_pools))
    reconcile = [one for one in deployments_for(list(config.work_pools)) if one.flow == RECONCILE]
    yield paused_fact(pauses(Known(found.deployments, found.pools, {}), reconcile))


async def _known(server: str, pools: Sequence[str]) -> Known:
    async with api_of(server) as api:
        return await known(api, pools)


def paused_fact(found: Sequence[PrefectPause]) -> Fact:
    """Whether anything is paused that starts reconciles."""
    return Fact(Kind.SCHEDULE, "", bool(found), reason="; ".join(f"{one.what} is {one.trouble}" for one in found))


def _buckets(server: str, config: Config) -> Iterable[Fact]:
    """Are the rate buckets as configured? Raises AdceError."""
    return [bucket_fact(bucket) for bucket in asyncio.run(buckets_on(server, config))]


def bucket_fact(bucket: BucketOnServer) -> Fact:
    """Whether a bucket differs from the configuration. Its scope is its source, or "" if all sources share it."""
    source = bucket.name.removeprefix(bucket_for(""))
    scope = "" if source == ALL_SOURCES else source
    return Fact(Kind.BUCKET, scope, bucket.trouble is not None, reason=bucket.trouble or "")
