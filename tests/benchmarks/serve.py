"""How fast does `adce serve` answer, and what does it cost, while reconciles run?

The client has one core and the service the other. Beside the client, at a lower priority, `adce reconcile` fetches what
has vanished from a small lake, again and again. For a large lake, a process records the look of a reconcile instead, so
that every refresh has all of it to read: a sandbox with so many files would take days.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles

import httpx
import psutil
from rich.table import Table

from blocks.store import Store
from config.load import load_config
from deployments.sandbox.demo import CLOCK_AND_SPAN, make_lake
from deployments.sandbox.settings import write_settings
from deployments.sandbox.sites import PREFIXES
from deployments.up.ports import LOOPBACK, free_port
from tasks.answers.health import Health
from tasks.answers.service import snapshot
from tasks.domain.assess.overview import Place, Standing
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.assess.states import State
from tasks.domain.metrics import CELLS, series_of
from tasks.domain.wording import plural
from tasks.ledger import Ledger
from tasks.ledger.plans import RUN
from tasks.show.documents.plan import PlannedFill
from tests.builders import a_fill

PATHS = ("/status", "/tasks", "/coverage.json", "/metrics")
PER_SECOND, SECONDS, ADDRESSES = 500, 60, 20
CELLS_OF_LEDGER = 4_000_000
SEASONS, DAYS = 30, 230
_VANISH = 20  # files before each reconcile
_QUICK = {"rates": [{"requests": 20, "seconds": 1}]}  # of all sources, so that several reconciles fit into the time
_FIRST_WITHIN = 300.0  # seconds for the first reconcile
_RECORDS_EVERY = 2.0  # seconds
_ASKED_ALONE = 500
_FILLS, _KEYS_PER_FILL = 1000, 20


def serving(folder: Path) -> Table:
    """Latencies at 500 requests a second from 20 addresses, and what a refresh takes."""
    table = Table(
        title=f"{PER_SECOND} requests a second for {SECONDS} s over {', '.join(PATHS)}, from {ADDRESSES} addresses",
        caption="latency: from the time at which a request is due to its whole answer; core: share of a core that the "
        "service takes; /metrics alone: P50 and P99 while nobody else asks; aims: P99 50 ms, 5 ms for /metrics, memory "
        "150 MB, and 100 ms of CPU for a refresh",
    )
    for name in (
        "beside",
        "cells",
        "requests",
        "errors",
        "P50",
        "P99",
        "slowest",
        "/metrics alone",
        "core",
        "memory",
        "refresh",
        "with a new look",
    ):
        table.add_column(name, justify="right")
    for row in (_beside_reconciles(folder / "small"), _beside_records(folder)):
        table.add_row(*row)
    return table


def _beside_reconciles(folder: Path) -> list[str]:
    """A row of the table: a service and real reconciles of the lake of the sandbox."""
    settings, lake = folder / "adce.yaml", folder / "lake"
    own = {"lake": str(lake), "ledger": str(folder / "ledger.db"), "sources": dict.fromkeys(PREFIXES.values(), _QUICK)}
    write_settings(settings, own, "make bench", CLOCK_AND_SPAN)
    config = load_config(settings, env={})
    asyncio.run(make_lake(config, Store(config.lake)))
    env = _of_its_own(folder)
    subprocess.run(_reconcile(settings), env=env, capture_output=True, timeout=_FIRST_WITHIN, check=False)
    with closing(Ledger(config.ledger)) as ledger:
        look = ledger.looks.recorded()
        assert look, "the first reconcile has recorded what the lake has"
        cells, begun = sum(sum(standings.values()) for standings in look.counts.values()), datetime.now(UTC)
    argv = _python("from tests.benchmarks.serve import keep_reconciling", f"keep_reconciling({str(folder)!r})")
    row = _row(config.ledger, lake, cells, lambda: beside(argv, env))
    with closing(Ledger(config.ledger)) as ledger:
        runs = [run for run in ledger.runs.begun_since(begun, ["reconcile"], 1000) if run.state]
    return [plural(len(runs), "reconcile"), *row]


def _beside_records(folder: Path) -> list[str]:
    """A row of the table: a service with a large ledger, and a process that records looks."""
    url = f"sqlite:///{folder / 'large.db'}"
    fill(url, CELLS_OF_LEDGER)
    return ["recorded looks", *_row(url, folder, CELLS_OF_LEDGER, lambda: recording(url, CELLS_OF_LEDGER))]


def _row(url: str, lake: Path, cells: int, work: Callable[[], AbstractContextManager[None]]) -> list[str]:
    """What is measured of a service while some work goes on beside it."""
    again, first = _cost_of_refresh(url, lake)
    with service(url, lake) as (address, process):
        with work():
            before = process.cpu_times()
            latencies, errors = asyncio.run(ask(address))
            after = process.cpu_times()
        memory = process.memory_info().rss
        alone = _metrics_alone(address)
    return [
        f"{cells:,}",
        f"{len(latencies):,}",
        str(errors),
        *(f"{1000 * seconds:.1f} ms" for seconds in (median(latencies), quantiles(latencies, n=100)[98])),
        f"{1000 * max(latencies):.0f} ms",
        f"{1000 * median(alone):.1f} and {1000 * quantiles(alone, n=100)[98]:.1f} ms",
        f"{(after.user + after.system - before.user - before.system) / SECONDS:.0%}",
        f"{memory / 1e6:.0f} MB",
        f"{1000 * again:.0f} ms",
        f"{1000 * first:.0f} ms",
    ]


def fill(url: str, cells: int) -> None:
    """Makes a ledger with a plan, and with the look at a lake that has so many cells."""
    with closing(Ledger(url)) as ledger:
        keys = [f"espn_box_scores/{n}.json" for n in range(_KEYS_PER_FILL)]
        fills = [PlannedFill.of(a_fill(n)).as_json() | {"keys": keys} for n in range(_FILLS)]
        later = [{"limit": "reconcile.max_fills", "of": "", "reason": "the cap", "until": None, "keys": keys * 1000}]
        now = datetime.now(UTC)
        ledger.plans.keep(RUN, {"fills": fills, "later": later}, now, "r")
        ledger.looks.record(look_of(url, cells, now))


def look_of(url: str, cells: int, at: datetime) -> RecordedLook:
    """A look at a lake beside the ledger, with so many cells: of each dataset on each day of each season."""
    config = load_config(env={})
    places = list(itertools.product(config.datasets, range(SEASONS), range(DAYS)))
    each, rest = divmod(cells, len(places))
    random_gap = random.Random(at.timestamp())
    counts = {}
    sums = {name: [0, 0] for name in config.datasets}
    for n, (dataset, season, day) in enumerate(places):
        year = 1996 + season
        held, lacking = each + (n < rest), int(random_gap.random() < 0.05)
        span = date(year, 10, 1) + timedelta(days=day)
        counts[Place(dataset, f"{year}-{(year + 1) % 100:02}", span.isoformat())] = {
            Standing(State.PRESENT): max(held - lacking, 0),
            Standing(State.GAP): lacking,
        }
        sums[dataset][0] += held - lacking
        sums[dataset][1] += lacking
    gauges = {
        series_of(CELLS, source=config.datasets[name].source, dataset=name, state=state): count
        for name, both in sums.items()
        for state, count in zip(("present", "gap"), both, strict=True)
    }
    lake = Path(url.removeprefix("sqlite:///")).parent.as_uri()
    return RecordedLook(at, at, None, "r", lake, 0, 0, 0, counts, {}, (), {}, gauges)


def _cost_of_refresh(url: str, folder: Path) -> tuple[float, float]:
    """Seconds of CPU for reading and writing all answers: if the look is the same as before, and if it is a new one."""
    from deployments.serve.answers import writers

    config = load_config(env={"ADCE_LEDGER": url, "ADCE_LAKE": str(folder)})
    costs: dict[bool, list[float]] = {False: [], True: []}  # by whether the last snapshot is known
    found, health = None, Health(datetime.now(UTC), ())
    for is_known in (False, True) * 4:
        began = time.process_time()
        found = snapshot(config, datetime.now(UTC), found if is_known else None)
        for write in writers(found, (), health, None).values():
            write()
        costs[is_known].append(time.process_time() - began)
    return min(costs[True]), min(costs[False])  # the first one also loads modules


@contextmanager
def service(url: str, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A service on a core of its own, which is ready."""
    port = free_port()
    env = {**os.environ, "ADCE_CONFIG": "", "ADCE_LEDGER": url, "ADCE_LAKE": str(folder), "PREFECT_API_URL": ""}
    argv = [sys.executable, "-W", "ignore", "-m", "deployments", "serve", "--port", str(port)]
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(process.pid, cores[:1])
        address = f"http://{LOOPBACK}:{port}"
        while not _is_ready(address):
            time.sleep(0.1)
        os.sched_setaffinity(0, cores[1:2] or cores)
        yield address, psutil.Process(process.pid)
    finally:
        os.sched_setaffinity(0, cores)
        process.terminate()
        process.wait()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/coverage.json").is_success
    except httpx.HTTPError:
        return False


@contextmanager
def beside(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[None]:
    """A block while which a process works, at a lower priority. It ends with all that it has started."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(argv, env=env, process_group=0, preexec_fn=lambda: os.nice(10), **silent)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def recording(url: str, cells: int) -> AbstractContextManager[None]:
    """A process that records looks, until the block ends."""
    return beside(_python("from tests.benchmarks.serve import record", f"record({url!r}, {cells})"))


def keep_reconciling(folder: str) -> None:
    """Reconciles the lake of the sandbox for ever. Before each time, some files vanish."""
    draw = random.Random(0)
    while True:
        files = sorted(Path(folder, "lake").rglob("*.json"))
        for file in draw.sample([file for file in files if "_adce" not in file.parts], _VANISH):
            file.unlink()
        subprocess.run(_reconcile(Path(folder, "adce.yaml")), check=False)


def _reconcile(settings: Path) -> list[str]:
    adce = Path(sys.executable).with_name("adce")
    return [str(adce), "reconcile", "--sandbox", "--config", str(settings), *CLOCK_AND_SPAN]


def _of_its_own(folder: Path) -> dict[str, str]:
    """The environment of reconciles with a Prefect of their own."""
    return {**os.environ, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": ""}


def _python(*statements: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-c", "; ".join(statements)]


def record(url: str, cells: int) -> None:
    """Records looks that differ, for ever."""
    ledger = Ledger(url)
    while True:
        now = datetime.now(UTC)
        ledger.looks.record(replace(look_of(url, cells, now), run=str(now)))
        time.sleep(_RECORDS_EVERY)


def _metrics_alone(address: str) -> list[float]:
    """The latencies of /metrics, asked for on one connection, more rarely than the rate limit of an address allows."""
    with httpx.Client(base_url=address, trust_env=False) as client:
        latencies = []
        for _ in range(_ASKED_ALONE):
            latencies.append(client.get("/metrics").raise_for_status().elapsed.total_seconds())
            time.sleep(0.02)
        return latencies


async def ask(address: str, paths: Sequence[str] = PATHS, seconds: int = SECONDS) -> tuple[list[float], int]:
    """The latencies of all answers at these paths, in turn, and how many were wrong or did not come."""
    port = int(address.rpartition(":")[2])
    begin = time.perf_counter() + 0.5
    found = await asyncio.gather(*(_one_address(port, n, begin, paths, seconds) for n in range(ADDRESSES)))
    return [latency for latencies, _ in found for latency in latencies], sum(errors for _, errors in found)


async def _one_address(
    port: int, number: int, begin: float, paths: Sequence[str], seconds: int
) -> tuple[list[float], int]:
    """Asks from one address, on one connection, each time when the next request is due."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.bind((f"127.0.0.{number + 2}", 0))
    await asyncio.get_running_loop().sock_connect(connection, (LOOPBACK, port))
    reader, writer = await asyncio.open_connection(sock=connection)
    latencies, errors, every = [], 0, ADDRESSES / PER_SECOND
    for n in range(int(seconds / every)):
        due = begin + n * every + number / PER_SECOND
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        path = paths[(n + number) % len(paths)]
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - due)
        errors += b" 200 " not in head.split(b"\r\n")[0]
    writer.close()
    return latencies, errors
