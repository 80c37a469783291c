"""How much longer do the same fills take by deployment than in process?

A reconcile fills copies of one lake, which has the schedules of eight days and no file of their 80 games: once in
process, and once by deployment, with two workers on this machine. Both use one Prefect server, on SQLite. The sandbox
has the rates of the sites, except that Basketball Reference is as fast as the NBA, to save time.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.table import Table

from blocks.store import Store
from config.load import load_config
from config.models import Config, Rate
from deployments.sandbox.league import League
from deployments.sandbox.process import SandboxProcess
from deployments.sandbox.sites import answer
from deployments.up.system import WORKER_POLLS_EVERY
from tasks.domain.expected.cells import Selection, calendar_cells
from tests.benchmarks.mix import RATES as SITES
from tests.builders import NOW
from tests.servers import deploy_all, prefect_server, prefect_worker

RATES = SITES | {"basketball_reference": Rate(requests=2, seconds=1)}
_SPAN = Selection(since=date(2026, 1, 7), until=date(2026, 1, 14))
_LEAGUE = League(seed=0, games_per_day=10)


@dataclass(frozen=True)
class _Filled:
    """A reconcile that has filled the lake, and the requests of its fills."""

    seconds: float
    stored: int
    requests: list[dict[str, Any]]

    @property
    def fetching(self) -> float:
        """The seconds from the first request to the last, of any source."""
        times = [request["monotonic"] for request in self.requests]
        return max(times) - min(times)

    def share(self, source: str) -> float:
        """The share of the source's rate that was used, from the begin of the run to the source's last request."""
        times = [request["monotonic"] for request in self.requests if request["source"] == source]
        begun = min(request["monotonic"] for request in self.requests)
        return (len(times) - 1) * _spacing(source) / (max(times) - begun)


def sites() -> SandboxProcess:
    rates = {name: f"{rate.requests}/{rate.seconds:g}" for name, rate in RATES.items()}
    return SandboxProcess(clock=NOW.isoformat(), rates=rates, games_per_day=_LEAGUE.games_per_day)


def environment() -> dict[str, str]:
    """The settings of all processes, besides those of the lake and the sandbox."""
    rate = RATES["basketball_reference"]
    return {
        "ADCE_SOURCES__BASKETBALL_REFERENCE__RATES": f"[{{requests: {rate.requests}, seconds: {rate.seconds}}}]",
        "ADCE_SOURCES__BASKETBALL_REFERENCE__CONNECTIONS": "2",
    }


def by_deployment(sandbox: SandboxProcess, folder: Path) -> Table:
    """Fills the lake in both ways, and compares their times. Takes six minutes.

    The environment must have the settings of `environment`, and point to the sandbox.
    """
    asyncio.run(_write_schedules(load_config(), folder / "schedules"))
    ways: dict[str, _Filled] = {}
    with ExitStack() as stack:
        server = stack.enter_context(prefect_server(folder / "server"))
        deploy_all(server)
        ways["in process"] = _fill(sandbox, folder / "inline", server)
        for name in ("one", "two"):
            env = server | _place(folder / "deployed") | {"PREFECT_WORKER_QUERY_SECONDS": WORKER_POLLS_EVERY}
            stack.enter_context(prefect_worker(env, folder, name, is_forked=False))
        ways["by deployment"] = _fill(sandbox, folder / "deployed", server | {"ADCE_DISPATCH": "deployment"})
    counts = Counter(request["source"] for request in ways["in process"].requests)
    bound = max((counts[name] - rate.requests) * _spacing(name) for name, rate in RATES.items())
    table = Table(
        title="The same fills in process, and by deployment with two workers",
        caption=f"at these rates, the requests take {bound:.1f} s at least; the ratio should be at most 1.15",
    )
    columns = ["", "files", "seconds", "first to last request", *(f"share of {name}" for name in RATES), "429"]
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for way, filled in ways.items():
        shares = [f"{filled.share(name):.0%}" for name in RATES]
        refused = sum(request["status"] == 429 for request in filled.requests)
        figures = (f"{filled.stored:,}", f"{filled.seconds:.1f}", f"{filled.fetching:.1f}")
        table.add_row(way, *figures, *shares, str(refused))
    ratio = ways["by deployment"].seconds / ways["in process"].seconds
    table.add_row("ratio", "", f"{ratio:.3f}", f"{ways['by deployment'].fetching / ways['in process'].fetching:.3f}")
    return table


def _fill(sandbox: SandboxProcess, folder: Path, env: Mapping[str, str]) -> _Filled:
    """Has a reconcile fill a copy of the lake, in a process of its own."""
    folder.mkdir()
    shutil.copytree(folder.parent / "schedules", folder / "lake")
    span = ["--as-of", NOW.isoformat(), "--since", f"{_SPAN.since}", "--until", f"{_SPAN.until}"]
    command = [Path(sys.executable).with_name("adce"), "reconcile", "--json", *span]
    sandbox.clear_requests()
    ended = subprocess.run(command, env={**os.environ, **env, **_place(folder)}, stdout=subprocess.PIPE, check=True)
    report = json.loads(ended.stdout)
    time.sleep(max(rate.seconds for rate in RATES.values()))  # the sandbox forgets what counts against its rates
    return _Filled(report["seconds"], len(report["filled"]), sandbox.requests())


def _place(folder: Path) -> dict[str, str]:
    """The environment variables that name the lake and the ledger in a folder."""
    return {"ADCE_LAKE": (folder / "lake").as_uri(), "ADCE_LEDGER": f"sqlite:///{folder / 'ledger.db'}"}


async def _write_schedules(config: Config, folder: Path) -> None:
    """Makes a lake with the schedules of the span, as they are at the benchmark's time."""
    lake = Store(folder.as_uri())
    lake.check(create=True)
    for cell in calendar_cells(config, NOW, _SPAN):
        dataset = config.datasets[cell.dataset]
        if dataset.lists_games and cell.due_at <= NOW:
            await lake.put(cell.key, answer(_LEAGUE, dataset.source, cell.request, NOW).body)
            os.utime(folder / cell.key, (NOW.timestamp(), NOW.timestamp()))


def _spacing(source: str) -> float:
    return RATES[source].seconds / RATES[source].requests
