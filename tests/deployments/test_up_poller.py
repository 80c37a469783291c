"""Does `adce up` see every run, whatever database Prefect has, and the warnings of the runs?"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from deployments.prefect_api.client import PrefectApi
from deployments.prefect_yaml import deployments_for
from deployments.up.announcer import Announcer
from deployments.up.poller import PrefectPoller

pytestmark = pytest.mark.xdist_group("setup")  # they share a server


class Server:
    """A Prefect server, to which flow runs and log records are reported as runs do it."""

    def __init__(self, api: httpx.AsyncClient):
        self.api = api

    async def post(self, path: str, body: Any) -> Any:
        answer = (await self.api.post(path, json=body)).raise_for_status()
        return answer.json() if answer.content else None

    async def run(self, flow: str, name: str, *states: str) -> str:
        """A flow run that has been in these states, one after another. Returns its id."""
        flow_id = (await self.post("/flows/", {"name": flow}))["id"]
        run = await self.post("/flow_runs/", {"flow_id": flow_id, "name": name, "state": {"type": states[0]}})
        for state in states[1:]:
            await self.set(run["id"], state)
        return str(run["id"])

    async def set(self, run: str, state: str) -> None:
        body = {"state": {"type": state, "message": f"it {state.lower()}"}, "force": True}
        await self.post(f"/flow_runs/{run}/set_state", body)

    async def log(self, run: str, level: int, message: str, logger: str = "tasks.run") -> None:
        at = datetime.now(UTC).isoformat()
        await self.post(
            "/logs/", [{"name": logger, "level": level, "message": message, "timestamp": at, "flow_run_id": run}]
        )


def test_every_run_is_told_once_and_so_is_every_warning(server: dict[str, str]) -> None:
    async def story() -> list[str]:
        async with httpx.AsyncClient(base_url=server["PREFECT_API_URL"], trust_env=False) as api:
            prefect = Server(api)
            await prefect.run("reconcile", "old", "PENDING", "COMPLETED")
            late = await prefect.run("fill", "long ago", "SCHEDULED")
            poller = PrefectPoller(PrefectApi(api), "adce", deployments_for(["adce"]), datetime.now(UTC))
            announcer = Announcer(timedelta(minutes=15), datetime.now(UTC))

            async def told() -> list[str]:
                return [line.text for line in announcer.lines(await poller.poll(datetime.now(UTC)))]

            assert [await told() for _ in range(2)] == [[], []]
            for n in range(3):
                await prefect.run("reconcile", f"good-{n}", "PENDING", "RUNNING", "COMPLETED")
            await prefect.run("reconcile", "crashed-cat", "SCHEDULED", "CRASHED")
            await prefect.run("somebody else's", "foreign", "PENDING", "FAILED")
            noisy = await prefect.run("scraper", "espn", "PENDING", "RUNNING")
            await prefect.log(noisy, logging.ERROR, "espn is paused\nuntil tomorrow")
            await prefect.log(noisy, logging.INFO, "nothing to worry about")
            for repeated in ("Finished in state Failed('x')", "Incomplete: 1 of 2 files failed"):
                await prefect.log(noisy, logging.ERROR, repeated, "prefect.flow_runs")
            await prefect.log(late, logging.ERROR, "Failed: it cancelled", "prefect.flow_runs")
            await prefect.set(late, "CANCELLED")
            lines = await told()
            assert await told() == []
            return lines

    lines = asyncio.run(story())
    names = [line.split(":")[0].partition(", due")[0] for line in lines]
    assert names == [
        "scraper espn",
        *(f"reconcile good-{n}" for n in range(3)),
        "reconcile crashed-cat",
        "fill long ago",
    ]
    assert lines[0] == "scraper espn: espn is paused until tomorrow"
    assert lines[4].endswith(", never began: Crashed: it crashed")
