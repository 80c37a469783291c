"""How much of a rate do limiters use, and do they ever exceed it? Compares ADCE, Prefect and two libraries.

The upstream is the sandbox, which refuses each request that exceeds the rate in any sliding window. Each process has
five coroutines that send requests. A limiter with a share above 1 exceeds the rate, and some requests get a 429.

On a busy machine the sandbox reads requests late, and would count them wrongly. So `beside_busy_loops` uses the times
at which requests arrive.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.table import Table

from config.models import Rate
from tests.servers import new_database, postgresql, postgresql_programs, prefect_server
from tests.spenders import Measured, Spent, measure, spend

RATES = [Rate(requests=10, seconds=1), Rate(requests=2, seconds=1), Rate(requests=1, seconds=1.2)]
PROCESSES = (1, 3, 4)
_REQUESTS = 40  # smallest number of requests in a measurement
_LEAST = 20.0  # shortest measurement, in seconds
_BUSY_REQUESTS = {(10, 1): 6000, (2, 1): 3000, (1, 1.2): 1000}  # by requests and seconds of the rate


def shares(folder: Path, rates: Iterable[Rate] = RATES, processes: Iterable[int] = PROCESSES) -> Table:
    """Measures every way of limiting, rate and number of processes. Takes half an hour."""
    table = Table(title="Share of the rate that is spent, and requests that a strict upstream refused")
    table.add_column("rate")
    table.add_column("processes", justify="right")
    ways = {
        "ADCE, embedded": "adce",
        "ADCE, server on PostgreSQL": "adce",
        "Prefect's rate_limit, embedded": "prefect",
        "aiolimiter": "aiolimiter",
        "pyrate-limiter": "pyrate",
    }
    for way in ways:
        table.add_column(way, justify="right")
    with ExitStack() as stack:
        server = _server_on_postgresql(folder / "server", stack)
        for rate in rates:
            for count in processes:
                row = []
                for way, how in ways.items():
                    env = {"PREFECT_HOME": str(folder / "embedded"), "BUCKET": ""}
                    if "PostgreSQL" in way:
                        env = server
                    if how == "pyrate" and count > 1:
                        env |= {"BUCKET": str(folder / f"pyrate-{rate.requests}-{rate.seconds}-{count}.db")}
                    possible = env and (how != "aiolimiter" or count == 1)
                    row.append(_shown(_spend(rate, count, env, how)) if possible else "-")
                table.add_row(f"{rate.requests} per {rate.seconds:g} s", str(count), *row)
    return table


def beside_busy_loops(folder: Path) -> Table:
    """Sends 20,000 requests at three rates, from one and from three processes, beside one busy loop for each core.

    All six measurements run at once.
    """
    table = Table(title="Requests beside busy loops: one too many by the kernel's clock, and by when they were read")
    for column in ("rate", "processes", "requests", "too many", "read too early", "closest", "share"):
        table.add_column(column, justify="right")
    works = [(rate, count, _BUSY_REQUESTS[rate.requests, rate.seconds]) for rate in RATES for count in (1, 3)]

    def one(work: tuple[Rate, int, int]) -> Measured:
        rate, count, requests = work
        seconds = requests / 0.95 * rate.seconds / rate.requests
        return measure(rate, count, seconds, server | {"SOURCE": f"busy-{rate.requests}-{rate.seconds:g}-{count}"})

    with prefect_server(folder / "server") as server, _busy_loops(), ThreadPoolExecutor(len(works)) as pool:
        for (rate, count, _), seen in zip(works, pool.map(one, works), strict=True):
            row = (str(count), f"{seen.requests:,}", str(seen.over), str(seen.over_when_read))
            name = f"{rate.requests} per {rate.seconds:g} s"
            table.add_row(name, *row, f"{1000 * seen.closest:+.0f} ms", f"{seen.share:.1%}")
    return table


@contextmanager
def _busy_loops() -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()


def the_slowest(folder: Path) -> Table:
    """Measures 1 request per 12 s, the slowest rate, for three minutes with two processes."""
    rate = Rate(requests=1, seconds=12)
    spent = spend(rate, 2, 180, {"PREFECT_HOME": str(folder / "embedded")})
    table = Table(title="1 per 12 s, two processes, three minutes", show_header=False)
    table.add_row("share spent, refused", _shown(spent))
    return table


def _spend(rate: Rate, processes: int, env: dict[str, str], how: str) -> Spent:
    return spend(rate, processes, max(_LEAST, _REQUESTS * rate.seconds / rate.requests), env, how)


def _shown(spent: Spent) -> str:
    return f"{spent.share:.1%}, {spent.refused} refused"


def _server_on_postgresql(folder: Path, stack: ExitStack) -> dict[str, str]:
    """Environment of a Prefect server on PostgreSQL; empty if PostgreSQL is not installed."""
    if postgresql_programs() is None:
        return {}
    database = new_database(stack.enter_context(postgresql(folder)), "prefect")
    return stack.enter_context(prefect_server(folder / "home", f"postgresql+asyncpg://{database}"))
