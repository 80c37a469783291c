"""How close is the dispatcher to the lower bounds when the mix runs through Prefect?

The sandbox has the rates of the sites, except that Basketball Reference is five times as fast.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from rich.table import Table

from config.load import load_config
from config.models import Config, Rate
from deployments.sandbox.league import League
from deployments.sandbox.process import SandboxProcess
from deployments.sandbox.sites import answer
from deployments.setup.prefect_server import set_up_buckets
from flows.in_process import InProcess
from flows.opening import open_run
from flows.task_runner import FillTaskRunner
from tasks.domain.assess.assessment import listed_games
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind
from tasks.domain.expected.cells import Cell, Selection, calendar_cells, game_cells
from tasks.domain.plan.lanes import Span
from tasks.domain.plan.plan import Fill, Plan
from tasks.observe.listing import judge
from tasks.run.dispatcher import Dispatcher
from tests.benchmarks.mix import MIX, bounds, ratios, the_mix
from tests.builders import NOW

RATES = {
    "espn": Rate(requests=10, seconds=1),
    "nba_api": Rate(requests=2, seconds=1),
    "basketball_reference": Rate(requests=1, seconds=2.4),
}
_PAGE = 200  # flow runs that Prefect returns at once
LATENCY = 0.02  # seconds; the sandbox's smallest
_DATASETS = {"espn": "espn_scoreboard", "nba_api": "nba_playbyplay", "basketball_reference": "br_boxscore"}
_SCHEDULES = {"nba_api": "nba_schedule", "basketball_reference": "br_schedule"}
_CHOSEN = Selection(datasets=tuple(_DATASETS.values()))


def sites(rates: Mapping[str, Rate] = RATES) -> SandboxProcess:
    """The sandbox with these rates."""
    limits = {name: f"{rate.requests}/{rate.seconds:g}" for name, rate in rates.items()}
    return SandboxProcess(clock=NOW.isoformat(), rates=limits)


def for_real(sandbox: SandboxProcess) -> Table:
    """Runs the mix, and compares it with the bounds and with the forecast. Takes three minutes.

    The environment must point to the sandbox, and to an empty lake and ledger.
    """
    config = load_config()
    fills = with_real_files(config, the_mix(seed=0))
    foreseen, runs, outcomes = asyncio.run(run_fills(config, fills))
    begun = min(run.start_time for run in runs.values())
    spans = {
        name: Span((run.start_time - begun).total_seconds(), (run.end_time - begun).total_seconds())
        for name, run in runs.items()
    }
    makespan, completion = ratios(fills, spans, bounds(fills, RATES, LATENCY))
    predicted = max(span.end for span in foreseen.values())
    happened = max(span.end for span in spans.values())
    off = sorted(abs(foreseen[name].end / span.end - 1) for name, span in spans.items())
    table = Table(title="The mix through Prefect, strict sandbox at 10/s, 2/s and 1 per 2.4 s", show_header=False)
    for name, figure in (
        ("files stored", f"{outcomes} of {sum(len(fill.gaps) for fill in fills)}"),
        ("refused by the sandbox", f"{sum(r['limited'] for r in sandbox.requests())}"),
        ("seconds", f"{happened:.1f}"),
        ("makespan, of its bound", f"{makespan:.3f}"),
        ("score-weighted completion, of its bound", f"{completion:.3f}"),
        ("inversions of score within a source", f"{inversions(fills, spans)}"),
        ("foreseen seconds", f"{predicted:.1f} ({predicted / happened - 1:+.1%})"),
        (
            "ends of fills foreseen, off by",
            f"median {off[len(off) // 2]:.1%}, nine in ten {off[len(off) * 9 // 10]:.1%}",
        ),
    ):
        table.add_row(name, figure)
    return table


def inversions(fills: Iterable[Fill], spans: Mapping[str, Span]) -> int:
    """How many fills have begun right after one of the same source with a lower score."""
    started = sorted(fills, key=lambda fill: spans[fill.id].start)
    by_source = [[fill for fill in started if fill.source == source] for source in MIX]
    return sum(one.score.total < next.score.total for some in by_source for one, next in pairwise(some))


def with_real_files(config: Config, fills: Iterable[Fill]) -> list[Fill]:
    """The same fills, with files that the sandbox has."""
    cells = {source: _cells(config, source) for source in MIX}
    return [
        replace(
            fill,
            dataset=_DATASETS[fill.source],
            gaps=tuple(Gap(next(cells[fill.source]), Kind.MISSING, "not in the lake", NOW) for _ in fill.gaps),
        )
        for fill in fills
    ]


def _cells(config: Config, source: str) -> Iterator[Cell]:
    league = League(seed=0, games_per_day=3)
    calendar = [cell for cell in calendar_cells(config, NOW, _CHOSEN) if cell.due_at < NOW]
    if source not in _SCHEDULES:
        yield from reversed([cell for cell in calendar if cell.dataset == _DATASETS[source]])
        return
    dataset = config.datasets[_SCHEDULES[source]]
    schedules = [cell for cell in calendar if cell.dataset == _SCHEDULES[source] and cell.season == "2024-25"]
    bodies = {cell.key: answer(league, source, cell.request, NOW).body for cell in schedules}
    verdicts = {cell.key: judge(bodies[cell.key], cell.fields, dataset) for cell in schedules}
    games = listed_games(config, schedules, verdicts)[_SCHEDULES[source]]
    yield from game_cells(config, _SCHEDULES[source], games, NOW, _CHOSEN)


async def run_fills(config: Config, fills: list[Fill]) -> tuple[dict[str, Span], dict[str, FlowRun], int]:
    """Runs fills through Prefect. Returns the foreseen spans, the flow runs, and how many files were stored."""
    await set_up_buckets(config)
    found: dict[str, Any] = {}

    @flow(name="mix", task_runner=FillTaskRunner())
    async def mix() -> None:
        async with open_run(config, _CHOSEN, as_of=NOW) as here:
            run = here.run
            seen = run.planner.forecast(fills)
            found["foreseen"] = {
                fill.id: Span((fill.starts - NOW).total_seconds(), (fill.eta - NOW).total_seconds())
                for fill in seen
                if fill.starts and fill.eta
            }
            await Dispatcher(run, InProcess(here)).run_all(Plan(tuple(fills), ()))
            found["stored"] = sum(outcome.outcome == "stored" for outcome in run.outcomes.values())

    begun = datetime.now(UTC)
    await mix()
    chosen = FlowRunFilter(tags={"all_": ["adce"]}, expected_start_time={"after_": begun})
    runs: list[FlowRun] = []
    async with get_client() as client:
        while page := await client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE, offset=len(runs)):
            runs += page
    ours = {run.parameters["fill"]: run for run in runs if run.parameters["fill"] in found["foreseen"]}
    return found["foreseen"], ours, found["stored"]
