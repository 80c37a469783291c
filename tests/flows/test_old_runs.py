"""Which runs does a reconcile delete in Prefect, and what stays?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter

from flows import old_runs
from flows.old_runs import delete_old_runs

NOW = datetime.now(UTC)
OLD, NEW = NOW - timedelta(days=4000), NOW - timedelta(days=1)
BEFORE = NOW - timedelta(days=3900)


async def _post(client: PrefectClient, path: str, body: Any) -> str:
    return str((await client._client.post(path, json=body)).json()["id"])


async def _a_run(client: PrefectClient, name: str, due: datetime, **changes: Any) -> str:
    """A completed run of a reconcile by `adce`, unless changed. Returns its id."""
    how = {"flow": "reconcile", "state": "COMPLETED", "tags": ["adce"]} | changes
    scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
    flow = await _post(client, "/flows/", {"name": how["flow"]})
    body = {"flow_id": flow, "name": name, "tags": how["tags"], "state": scheduled}
    run = await _post(client, "/flow_runs/", body)
    if how["state"] != "SCHEDULED":
        state = {"state": {"type": how["state"]}, "force": True}
        await client._client.post(f"/flow_runs/{run}/set_state", json=state)
    return run


def test_old_runs_of_adce_that_have_ended_are_deleted_with_their_artifacts(
    prefect_api: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = uuid4().hex
    monkeypatch.setattr(old_runs, "AT_MOST", 3)

    async def story() -> tuple[list[int], set[str], list[str]]:
        async with get_client() as client:
            for n in range(3):
                run = await _a_run(client, f"{batch} {n}", OLD + timedelta(minutes=n))
                artifact = {"key": f"k{batch}", "type": "markdown", "data": str(n), "flow_run_id": run}
                await _post(client, "/artifacts/", artifact)
            await _a_run(client, f"{batch} a fill's part", OLD + timedelta(days=1), flow="scrape", state="FAILED")
            await _a_run(client, f"{batch} new", NEW)
            await _a_run(client, f"{batch} open", OLD, state="SCHEDULED")
            await _a_run(client, f"{batch} of others by name", OLD, tags=[])
            await _a_run(client, f"{batch} of others by flow", OLD, flow="other")
            deleted = [await delete_old_runs(client, BEFORE) for _ in range(3)]
            runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter.parse_obj({"name": {"like_": batch}}))
            wanted = ArtifactFilter.parse_obj({"key": {"any_": [f"k{batch}"]}})
            artifacts = [str(one.data) for one in await client.read_artifacts(artifact_filter=wanted)]
            return deleted, {run.name.removeprefix(f"{batch} ") for run in runs}, artifacts

    deleted, left, artifacts = asyncio.run(story())
    assert deleted == [3, 1, 0]
    assert left == {"new", "open", "of others by name", "of others by flow"}
    assert artifacts == ["2"], "the latest of a key stays"
