"""Which runs does a reconcile delete in Prefect, and what stays?"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from config.load import load_config
from flows import old_runs
from flows.fill import fill
from flows.old_runs import delete_old_runs
from flows.reconcile import reconcile
from flows.scrape import scrape
from flows.scraper import scraper
from tasks.domain.flow_names import FLOWS
from tasks.domain.outcomes import RunEnd
from tasks.ledger import Ledger
from tasks.ledger.leases import RECONCILE, Leases
from tests.flows.conftest import Reconcile

NOW = datetime.now(UTC)
OLD, NEW = NOW - timedelta(days=4000), NOW - timedelta(days=1)
BEFORE = NOW - timedelta(days=3900)


def never() -> bool:
    return False


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


def test_the_names_of_the_flows_are_those_that_other_parts_look_for() -> None:
    assert [flow.name for flow in (reconcile, fill, scraper, scrape)] == list(FLOWS)


def test_old_runs_of_adce_that_have_ended_are_deleted_with_their_artifacts(
    prefect_api: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = uuid4().hex
    monkeypatch.setattr(old_runs, "_TOGETHER", 3)

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
            deleted = [await delete_old_runs(client, BEFORE, never, seconds) for seconds in (0.0, 60.0, 60.0)]
            runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter.parse_obj({"name": {"like_": batch}}))
            wanted = ArtifactFilter.parse_obj({"key": {"any_": [f"k{batch}"]}})
            artifacts = [str(one.data) for one in await client.read_artifacts(artifact_filter=wanted)]
            return deleted, {run.name.removeprefix(f"{batch} ") for run in runs}, artifacts

    deleted, left, artifacts = asyncio.run(story())
    assert deleted == [0, 4, 0]
    assert left == {"new", "open", "of others by name", "of others by flow"}
    assert artifacts == ["2"], "the latest of a key stays"


def test_an_api_that_hangs_holds_a_reconcile_up_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hanging:
        async def read_flow_runs(self, **_: Any) -> list[Any]:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(old_runs, "_TO_ANSWER", 0.01)
    assert asyncio.run(delete_old_runs(cast(PrefectClient, Hanging()), BEFORE, never, 0.01)) == 0
    assert "old runs cannot be deleted in Prefect (TimeoutError); the next reconcile goes on" in caplog.text


class Deleting:
    """A Prefect that has old runs without end, and meets each deletion with the next of some errors."""

    def __init__(self, *errors: Exception | None):
        self.errors = list(errors)

    async def read_flow_runs(self, **_: Any) -> list[Any]:
        return [SimpleNamespace(id=uuid4()) for _ in range(5)]

    async def read_latest_artifacts(self, **_: Any) -> list[Any]:
        return []

    read_artifacts = read_latest_artifacts

    async def delete_flow_run(self, _: Any) -> None:
        if error := self.errors.pop(0):
            raise error


def test_a_run_that_stops_deletes_no_more_and_counts_what_it_has_deleted_itself() -> None:
    prefect = Deleting(None, ObjectNotFound(Exception()), None)
    deleted = delete_old_runs(cast(PrefectClient, prefect), BEFORE, lambda: not prefect.errors, 60.0)
    assert asyncio.run(deleted) == 2


def test_an_answer_that_nobody_can_read_does_not_cost_a_run_its_end(caplog: pytest.LogCaptureFixture) -> None:
    prefect = Deleting(None, ValueError("no JSON"))
    assert asyncio.run(delete_old_runs(cast(PrefectClient, prefect), BEFORE, never, 60.0)) == 1
    assert "old runs cannot be deleted in Prefect (ValueError); the next reconcile goes on" in caplog.text


def test_a_reconcile_deletes_old_runs_last_when_others_may_begin_and_its_artifacts_are_there(
    run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []

    async def delete(client: PrefectClient, before: datetime, is_stopping: Callable[[], bool]) -> int:
        with closing(Ledger(load_config().ledger)) as ledger:
            another = Leases(ledger.database, "another", timedelta(minutes=1))
            another.begin("reconcile", "everything", None, lambda _: None)
            found.append(another.take(RECONCILE))
            another.end(RunEnd.ENDED)
        mine = ArtifactFilter.parse_obj({"flow_run_id": {"any_": [flow_run.id]}})
        found.append({artifact.key for artifact in await client.read_artifacts(artifact_filter=mine)})
        os.kill(os.getpid(), signal.SIGTERM)  # it must not crash a run whose work is done
        while not is_stopping():
            await asyncio.sleep(0)
        return 0

    monkeypatch.setattr("flows.reconcile.delete_old_runs", delete)
    run_reconcile(datasets=["espn_scoreboard"])
    assert found == [None, {"reconcile", "plan", "coverage"}]
