"""How long does it take to know what a large lake in S3 holds?

A server on loopback lists the keys, and takes 50 ms for a page. It is another process on the same machine, and answers
ADCE's connections with one thread.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import boto3
import httpx
import obstore
from obstore.store import S3Store
from rich.table import Table

from blocks.store import Store
from config.load import load_config
from config.models import Config
from tasks.answers.plan import report_of
from tasks.domain.assess.assessment import expected_cells
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.ledger import Ledger
from tasks.observe.look import Reader, look_at_lake
from tasks.observe.planner import Planner
from tasks.observe.session import Session
from tests.benchmarks.scale import NOW, environment, fill_ledger, games_by_schedule

_KEYS = 163_403
_GAMES = 800  # a season, of 30 seasons, which have somewhat more files than that
_PAGE = 1000
_LATENCY = 0.05
_CONNECTIONS = 32
_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1"}


class _Cost(NamedTuple):
    wall: float
    cpu: float
    requests: int


def listing(folder: Path) -> Table:
    """Seconds, CPU seconds and LIST requests of ADCE and its peers on the same keys."""
    table = Table(title=f"Listing {_KEYS:,} keys in S3, at {_LATENCY * 1000:.0f} ms a page: best of three, boto3 once")
    for name in ("keys", "what lists them", "seconds", "CPU seconds", "LIST requests"):
        table.add_column(name, justify="right" if name not in ("keys", "what lists them") else "left")
    keys = _keys()
    folders = sorted({key.split("/")[0] for key in keys})
    one = sorted(f"games/{key.replace('/', '-')}" for key in keys)
    ids = [f"games/{400_000_000 + number}.json" for number in range(_KEYS)]
    for name, names, prefixes in (
        (f"{len(folders)} folders of ADCE", keys, folders),
        ("one folder, numbers", ids, ["games"]),
        ("one folder, names of any kind", one, ["games"]),
    ):
        with _server(folder, names) as endpoint:
            for lister, list_keys in _listers(endpoint, names, prefixes):
                cost = _cost(list_keys, endpoint, times=1 if lister == "boto3" else 3)
                table.add_row(name, lister, f"{cost.wall:.2f}", f"{cost.cpu:.2f}", str(cost.requests))
                name = ""
        table.add_section()
    return table


def looking(folder: Path) -> Table:
    """Seconds and LIST requests of looks at a lake in S3 whose files are all known, from its listing to the plan."""
    table = Table(title=f"Looks at 30 seasons in S3, at {_LATENCY * 1000:.0f} ms a page, in process")
    for name in ("look", "files", "seconds", "CPU seconds", "LIST requests"):
        table.add_column(name, justify="left" if name == "look" else "right")
    games, url = games_by_schedule(1600), f"sqlite:///{folder / 'looks.db'}"
    with environment(url, folder, folder) as config:
        cells = expected_cells(config, calendar_cells(config, NOW), games, Selection(), NOW)
        with _server(folder, (key for number, key in enumerate(cells) if number % 100)) as endpoint:
            lake = Store("s3://lake", _CONNECTIONS)
            objects = asyncio.run(lake.list({key.split("/")[0] for key in cells}))
            fill_ledger(url, config, cells, objects, games)
            del cells, games
            rules = config.reconcile.model_copy(update={"verify_every": timedelta(days=1)})
            config = config.model_copy(update={"reconcile": rules})
            later = datetime.now(UTC) + rules.interval
            present: set[int] = set()
            for look, at, times in (
                ("the first, which judges everything", None, 1),
                ("of an unchanged lake", None, 3),
                ("of a run that a schedule has started 15 minutes later", later, 1),
            ):
                cost = _cost(
                    lambda at=at: present.add(_look(config, lake, at)) or len(objects), endpoint, times, len(objects)
                )
                table.add_row(look, f"{len(objects):,}", f"{cost.wall:.2f}", f"{cost.cpu:.2f}", str(cost.requests))
    assert len(present) == 1, "each look finds the same"
    return table


def _look(config: Config, lake: Store, scheduled: datetime | None) -> int:
    """How many files are whole, by a look and a plan: now, or by schedule at a time when events arrive."""

    async def look() -> int:
        ledger = Ledger(config.ledger)
        now = scheduled or datetime.now(UTC)
        ledger.announcements.progressed(now, now, now)
        session = Session(config, Selection(), lake, ledger, None)
        with patch.object(Session, "now", lambda session: now):
            found = await look_at_lake(session, Reader(session, 0), remember=True, by_schedule=scheduled is not None)
            report_of(session, found, Planner.of_a_look(session))
        ledger.close()
        return found.overview.totals["present"]

    return asyncio.run(look())


def _keys() -> list[str]:
    """The keys of ADCE's datasets, in the proportions of a lake of 30 seasons."""
    config = load_config(env={})
    cells = expected_cells(config, calendar_cells(config, NOW), games_by_schedule(_GAMES), Selection(), NOW)
    keys = sorted(cells)
    assert len(keys) >= _KEYS
    return [keys[number * len(keys) // _KEYS] for number in range(_KEYS)]


def _listers(endpoint: str, keys: list[str], folders: list[str]) -> Iterator[tuple[str, Callable[[], int]]]:
    hints = sorted(keys)[_PAGE - 1 :: _PAGE]
    yield "ADCE, with hints", lambda: _adce(folders, hints)
    yield "ADCE, without hints", lambda: _adce(folders, ())
    yield "obstore, over the folders", lambda: asyncio.run(_obstore(endpoint, folders))
    if s5cmd := shutil.which("s5cmd", path=Path(sys.executable).parent) or shutil.which("s5cmd"):
        yield "s5cmd", lambda: _s5cmd(s5cmd, endpoint)
    else:
        yield "s5cmd is not installed", lambda: _KEYS
    yield "boto3", lambda: _boto3(folders)


def _adce(folders: Iterable[str], hints: Iterable[str]) -> int:
    listed = asyncio.run(Store("s3://lake", _CONNECTIONS).list(folders, hints))
    return len(listed)


async def _obstore(endpoint: str, folders: Iterable[str]) -> int:
    store = S3Store("lake", config={"endpoint": endpoint}, client_options={"allow_http": True})
    streams = (obstore.list(store, folder, return_arrow=True).collect_async() for folder in folders)
    return sum(batch.num_rows for batch in await asyncio.gather(*streams))


def _s5cmd(program: str, endpoint: str) -> int:
    listed = subprocess.run(
        [program, "--endpoint-url", endpoint, "ls", "s3://lake/*"], stdout=subprocess.PIPE, check=True
    )
    return listed.stdout.count(b"\n")


def _boto3(folders: Iterable[str]) -> int:
    pages = boto3.client("s3").get_paginator("list_objects_v2")

    def count(folder: str) -> int:
        return sum(len(page.get("Contents", ())) for page in pages.paginate(Bucket="lake", Prefix=f"{folder}/"))

    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        return sum(threads.map(count, folders))


def _cost(list_keys: Callable[[], int], endpoint: str, times: int, files: int = _KEYS) -> _Cost:
    """The cost of the fastest of some times."""
    costs = []
    for _ in range(times):
        httpx.get(f"{endpoint}/requests")
        wall, cpu = time.perf_counter(), _cpu()
        count = list_keys()
        wall, cpu = time.perf_counter() - wall, _cpu() - cpu
        assert count == files, f"{count} keys are listed"
        costs.append(_Cost(wall, cpu, int(httpx.get(f"{endpoint}/requests").text)))
    return min(costs)


def _cpu() -> float:
    """Seconds of CPU of this process and of those that it has waited for."""
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(time.ru_utime + time.ru_stime for time in times)


@contextmanager
def _server(folder: Path, keys: Iterable[str]) -> Iterator[str]:
    """The address of an S3 that lists these keys. The environment says to use it."""
    file = folder / "keys"
    file.write_text("\n".join(keys))
    command = [sys.executable, "-m", "tests.list_server", str(_LATENCY), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
        try:
            with patch.dict(os.environ, _ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint}):
                yield endpoint
        finally:
            server.terminate()
