"""How much CPU time does Prefect cost per file, with an upstream without latency and without a limit?

Fills of 20 files, with one task run and one subflow run for each fill, are compared with a Prefect task for each file.
The CPU time is that of this process: Prefect's embedded API, flow runs, fetches, body checks and the lake.
"""

from __future__ import annotations

import asyncio
import time
from datetime import date

import httpx
from prefect import flow, task
from rich.table import Table

from config.load import load_config
from deployments.setup.prefect_server import set_up_buckets
from flows.reconcile import reconcile
from tasks.answers.report import Report
from tests.builders import NOW

_SINCE, _UNTIL = date(2025, 1, 1), date(2025, 10, 20)


def per_file() -> Table:
    """CPU time per file in three ways. The environment must point to the sandbox, and to an empty lake and ledger."""
    asyncio.run(set_up_buckets(load_config()))
    asyncio.run(one_task_a_file(2))  # makes Prefect's database and imports everything
    files, fills = measured(_reconcile)
    tasks, one_by_one = measured(one_task_a_file, files)
    plain, nothing = measured(_no_prefect, files)
    table = Table(title=f"CPU per file, {files} files in fills of 20, upstream without latency or limit")
    table.add_column("way")
    table.add_column("ms of CPU a file", justify="right")
    for way, seconds in (
        ("ADCE: a subflow for a fill", fills),
        ("one Prefect task a file, fetched and nothing else", one_by_one),
        ("no Prefect, fetched and nothing else", nothing),
    ):
        table.add_row(way, f"{seconds / files * 1000:.1f}")
    assert tasks == plain == files
    return table


def fills_of_a_reconcile() -> tuple[int, float]:
    """How many files a reconcile fetches, and its CPU seconds, when everything is imported and set up."""
    asyncio.run(set_up_buckets(load_config()))
    asyncio.run(one_task_a_file(2))
    return measured(_reconcile)


def measured(work, *arguments) -> tuple[int, float]:  # type: ignore[no-untyped-def]  # a coroutine function's
    """The result of some work, and its CPU seconds."""
    begun = time.process_time()
    return asyncio.run(work(*arguments)), time.process_time() - begun


async def _reconcile() -> int:
    state = await reconcile(datasets=["espn_scoreboard"], since=_SINCE, until=_UNTIL, as_of=NOW, return_state=True)
    report = await state.result(raise_on_failure=False, fetch=True)  # type: ignore[call-overload]
    assert isinstance(report, Report)
    return len(report.filled)


@task
async def _fetch(url: str) -> int:
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:  # no certificates to load
        return len((await http.get(url)).content)


def _url(n: int) -> str:
    return f"{load_config().sources['espn'].base_url}/scoreboard?dates=2025{n % 9 + 1:02}{n % 28 + 1:02}"


@flow
async def one_task_a_file(files: int) -> int:
    """Fetches files with a Prefect task each."""
    futures = [await _fetch.submit(_url(n)) for n in range(files)]
    return len([await future.result() for future in futures])


async def _no_prefect(files: int) -> int:
    return len([await _fetch.fn(_url(n)) for n in range(files)])
