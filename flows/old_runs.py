"""Which runs does Prefect delete? It deletes none by itself, so each reconcile deletes some of the old ones.

Measured with Prefect 2.20: the deletion of a flow run also deletes its states and task runs. It leaves its artifacts,
its log records and its subflow runs. Artifacts and subflow runs are therefore deleted here too. The API cannot delete
log records.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactFilter,
    FlowFilter,
    FlowRunFilter,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from tasks.domain.flow_names import FLOWS
from tasks.domain.flow_states import FINAL

log = logging.getLogger(__name__)

_TOGETHER = 20  # runs that are looked up at once
_SECONDS = 10.0  # after which a reconcile begins no further deletion; it has deleted 100 to 500 runs by then
_TO_ANSWER = 5.0  # seconds beyond that for the answer to the last request, if the API hangs


async def delete_old_runs(
    client: PrefectClient, before: datetime, is_stopping: Callable[[], bool], seconds: float = _SECONDS
) -> int:
    """Deletes runs of ADCE that have ended and were due before a time, the oldest first. Returns how many.

    The latest artifact of each key stays. If the run is stopping, the time is up or the API fails, the next reconcile
    goes on. No error is raised, because the work of the run is done.
    """
    deleted, ends = 0, time.monotonic() + seconds
    try:
        async with asyncio.timeout(seconds + _TO_ANSWER):
            while not is_stopping() and time.monotonic() < ends and (old := await _old_runs(client, before)):
                await _delete_artifacts(client, old)
                for run in old:
                    if is_stopping():
                        break
                    with suppress(ObjectNotFound):  # somebody else has deleted it
                        await client.delete_flow_run(run.id)
                        deleted += 1
    except Exception as error:  # also an answer that Prefect's client cannot read
        log.warning("old runs cannot be deleted in Prefect (%s); the next reconcile goes on", type(error).__name__)
    if deleted:
        log.info("runs from before %s that were deleted in Prefect: %s", f"{before:%Y-%m-%d}", deleted)
    return deleted


async def _old_runs(client: PrefectClient, before: datetime) -> list[FlowRun]:
    ended = {"tags": {"all_": ["adce"]}, "state": {"type": {"any_": list(FINAL)}}}
    return await client.read_flow_runs(
        flow_filter=FlowFilter.parse_obj({"name": {"any_": list(FLOWS)}}),
        flow_run_filter=FlowRunFilter.parse_obj({**ended, "expected_start_time": {"before_": before}}),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=_TOGETHER,
    )


async def _delete_artifacts(client: PrefectClient, runs: Sequence[FlowRun]) -> None:
    of_these: dict[str, Any] = {"flow_run_id": {"any_": [run.id for run in runs]}}
    latest = await client.read_latest_artifacts(artifact_filter=ArtifactCollectionFilter.parse_obj(of_these))
    stay = {one.latest_id for one in latest}
    for artifact in await client.read_artifacts(artifact_filter=ArtifactFilter.parse_obj(of_these)):
        if artifact.id not in stay:
            with suppress(ObjectNotFound):
                await client.delete_artifact(artifact.id)
