"""How fast is ADCE, compared with bounds and peers? `make bench` prints the figures; no benchmark passes or fails."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table

from config.load import load_config
from config.models import Config
from deployments.sandbox.process import SandboxProcess
from deployments.setup.prefect_server import set_up_buckets
from flows.reconcile import reconcile
from tasks.answers.report import Report
from tasks.domain.assess.assessment import assess, expected_cells
from tasks.domain.assess.overview import overview_of
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.plan.plan import make_plan
from tasks.observe.listing import check_ids
from tests.benchmarks import (
    arrivals,
    beside,
    cost,
    deployment,
    dispatch,
    fills,
    history,
    incidents,
    inventory,
    inventory_files,
    measuring,
    mix,
    mix_for_real,
    rates,
    scale,
    serve,
    sizes,
    status_page,
)

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
_LIMITLESS = "[{requests: 1000, seconds: 1}]"  # the highest rate that the configuration accepts


BENCHMARKS: dict[str, Callable[[Path], RenderableType]] = {
    "plan": lambda folder: _growth_of_the_plan(),
    "looking": scale.looking,
    "inventory": lambda folder: Group(
        inventory.listing(folder), inventory.looking(folder), inventory_files.reading(folder), sizes.looking(folder)
    ),
    "arrivals": arrivals.taken_in,
    "queue": arrivals.received,
    "life": arrivals.long_life,
    "beside": beside.beside_looks,
    "serve": lambda folder: Group(serve.serving(folder), status_page.shown(folder)),
    "history": history.reading,
    "incidents": lambda folder: incidents.told(),
    "fills": lambda folder: _fills_of_events(folder),
    "simulated": lambda folder: mix.simulated(),
    "cost": lambda folder: _cost(folder),
    "fetching": lambda folder: _fetching(folder),
    "mix": lambda folder: _the_mix(folder),
    "dispatch": lambda folder: Group(_thousand_fills(folder), _measuring(folder)),
    "deployment": lambda folder: _by_deployment(folder),
    "slowest": rates.the_slowest,
    "rates": rates.shares,
    "busy": rates.beside_busy_loops,
}


def main(names: Sequence[str]) -> None:
    """Runs the named benchmarks, or all of them, and prints their tables."""
    console = Console(width=120)
    if unknown := set(names) - BENCHMARKS.keys():
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)  # PostgreSQL does not run as root
            console.print(BENCHMARKS[name](Path(folder)))


def _growth_of_the_plan() -> Table:
    """Time from an empty lake to a plan, in memory. The time per cell should not depend on the number of cells."""
    table = Table(title="Expected cells, states, scores and plan, for an empty lake", caption="pure core, one process")
    for name in ("cells", "seconds", "µs a cell"):
        table.add_column(name, justify="right")
    config = load_config(env={})
    for games in (1_000, 10_000, 100_000):
        schedules = {"espn_scoreboard": _games(games), "nba_schedule": _games(games)}
        begun = time.perf_counter()
        cells = expected_cells(config, calendar_cells(config, NOW), schedules, Selection(), NOW)
        assessment = assess(config, cells, {}, {}, check_ids(config), NOW)
        make_plan(config, overview_of(assessment).gaps({}), NOW)
        seconds = time.perf_counter() - begun
        table.add_row(f"{len(cells):,}", f"{seconds:.2f}", f"{seconds / len(cells) * 1e6:.1f}")
    return table


def _games(count: int) -> Iterator[Game]:
    template = Game("", date(2024, 1, 5), NOW.replace(year=2024), GameStatus.FINAL, "2023-24", "regular")
    return (template._replace(id=f"{n:010}") for n in range(count))


def _fetching(folder: Path) -> Table:
    """Time of a reconcile of 200 days of scoreboards, compared with what the source's rate allows."""
    table = Table(title="Fetching through Prefect's embedded API from a sandbox with strict limits")
    for name in ("files", "seconds", "bound", "share of the rate", "429"):
        table.add_column(name, justify="right")
    clock = NOW.isoformat()
    with SandboxProcess(clock=clock, rates={"espn": "10/1"}) as sites, _environment(sites, folder):
        config = load_config()
        report = asyncio.run(_reconcile(config))
        requests = sites.requests()
    times = [request["monotonic"] for request in requests]
    seconds = max(times) - min(times)
    bound = (len(times) - 1) / 10
    refused = sum(request["status"] == 429 for request in requests)
    table.add_row(str(len(report.filled)), f"{seconds:.1f}", f"{bound:.1f}", f"{bound / seconds:.0%}", str(refused))
    return table


def _cost(folder: Path) -> Table:
    with (
        SandboxProcess(clock=NOW.isoformat()) as sites,
        _environment(sites, folder, ADCE_SOURCES__ESPN__RATES=_LIMITLESS),
    ):
        return cost.per_file()


def _fills_of_events(folder: Path) -> Table:
    with (
        SandboxProcess(clock=NOW.isoformat()) as sites,
        fills.bucket() as bucket,
        _environment(sites, folder, **bucket),
    ):
        return fills.first_requests(sites)


def _the_mix(folder: Path) -> Table:
    rate = mix_for_real.RATES["basketball_reference"]
    faster = f"[{{requests: {rate.requests}, seconds: {rate.seconds}}}]"
    with (
        mix_for_real.sites() as sites,
        _environment(sites, folder, ADCE_SOURCES__BASKETBALL_REFERENCE__RATES=faster),
    ):
        return mix_for_real.for_real(sites)


def _thousand_fills(folder: Path) -> Table:
    faster = {
        f"ADCE_SOURCES__{name.upper()}__RATES": f"[{{requests: {rate.requests}, seconds: {rate.seconds}}}]"
        for name, rate in dispatch.RATES.items()
    }
    with mix_for_real.sites(dispatch.RATES) as sites, _environment(sites, folder, **faster):
        return dispatch.thousand_fills(sites, float(os.environ.get("SHARE", "1")))


def _measuring(folder: Path) -> Table:
    own = folder / "measuring"
    own.mkdir()
    with (
        SandboxProcess(clock=NOW.isoformat()) as sites,
        _environment(sites, own, ADCE_SOURCES__ESPN__RATES=_LIMITLESS),
    ):
        return measuring.cost_of_totals(own)


def _by_deployment(folder: Path) -> Table:
    with deployment.sites() as sites, _environment(sites, folder, **deployment.environment()):
        return deployment.by_deployment(sites, folder)


async def _reconcile(config: Config) -> Report:
    await set_up_buckets(config)
    state = await reconcile(
        datasets=["espn_scoreboard"], since=date(2025, 1, 1), until=date(2025, 10, 20), as_of=NOW, return_state=True
    )
    report = await state.result(raise_on_failure=False, fetch=True)  # type: ignore[call-overload]
    assert isinstance(report, Report)
    return report


@contextmanager
def _environment(sites: SandboxProcess, folder: Path, **more: str) -> Iterator[None]:
    """Environment with an empty lake and ledger in the folder, and the sandbox in place of the sites."""
    before = dict(os.environ)
    os.environ |= {
        "ADCE_LAKE": (folder / "lake").as_uri(),
        "ADCE_LEDGER": f"sqlite:///{folder / 'ledger.db'}",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    os.environ |= {f"ADCE_SOURCES__{name.upper()}__BASE_URL": url for name, url in sites.base_urls.items()}
    os.environ |= more
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    main(sys.argv[1:])
