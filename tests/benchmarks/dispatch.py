"""Does the dispatcher keep its bounds with 1,000 fills of three sources at once, and what does a fill cost?

The fills are small, so that the starts and ends of fills matter, and not their files. The rates are those of the sites,
except that Basketball Reference is five times as fast, and the NBA half: each source has work for six minutes. For
comparison, files are fetched with a Prefect task each, and nothing else is done with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psutil
from rich.table import Table

from config.load import load_config
from config.models import Priority, Rate
from deployments.sandbox.process import SandboxProcess
from tasks.domain.plan.lanes import Span
from tasks.domain.plan.plan import Fill
from tasks.run.dispatcher import Dispatcher
from tests.benchmarks import cost
from tests.benchmarks.mix import bounds, ratios, the_mix
from tests.benchmarks.mix_for_real import LATENCY, inversions, run_fills, with_real_files

MIX = {"espn": (500, 7), "nba_api": (350, 1), "basketball_reference": (150, 1)}  # fills, files of each
RATES = {
    "espn": Rate(requests=10, seconds=1),
    "nba_api": Rate(requests=1, seconds=1),
    "basketball_reference": Rate(requests=1, seconds=2.4),
}
_TASKS = 300  # files that are fetched with a Prefect task each


def thousand_fills(sandbox: SandboxProcess, share: float = 1.0) -> Table:
    """Dispatches the fills, or a share of them. The environment must point to the sandbox, and to an empty lake."""
    config = load_config()
    mix = {source: (round(fills * share), files) for source, (fills, files) in MIX.items()}
    fills = with_real_files(config, map(_prioritized, the_mix(0, mix)))
    begun = time.process_time()
    with _decisions() as decisions, _memory() as memory:
        _, runs, stored = asyncio.run(run_fills(config, fills))
    cpu = time.process_time() - begun
    first = min(run.start_time for run in runs.values())
    spans = {
        name: Span((run.start_time - first).total_seconds(), (run.end_time - first).total_seconds())
        for name, run in runs.items()
    }
    makespan, completion = ratios(fills, spans, bounds(fills, RATES, LATENCY))
    requests = sandbox.requests()
    decisions.sort()
    asyncio.run(cost.one_task_a_file(2))
    with _memory() as of_tasks:
        files, seconds = cost.measured(cost.one_task_a_file, _TASKS)
    table = Table(title=f"{len(fills):,} fills of three sources dispatched to a strict sandbox", show_header=False)
    for name, figure in (
        ("files stored", f"{stored:,} of {sum(len(fill.gaps) for fill in fills):,}"),
        ("refused by the sandbox", f"{sum(request['limited'] for request in requests)}"),
        ("seconds", f"{max(span.end for span in spans.values()):.1f}"),
        ("makespan, of its bound", f"{makespan:.3f}"),
        ("score-weighted completion, of its bound", f"{completion:.3f}"),
        ("inversions of score within a source", f"{inversions(fills, spans)}"),
        ("starts before one of the source with a higher priority", f"{_overtaken(fills, spans)}"),
        ("which fill is next: decisions", f"{len(decisions):,}"),
        (
            "time of a decision",
            f"half {_at(decisions, 0.5)}, 99 % {_at(decisions, 0.99)}, longest {_at(decisions, 1)}",
        ),
        ("CPU", f"{cpu / len(fills) * 1e3:.0f} ms a fill, {cpu / max(stored, 1) * 1e3:.0f} ms a file"),
        ("memory that was added", f"{memory[0] / 1e6:.0f} MB, {memory[0] / len(fills) / 1e3:.0f} kB a fill"),
        (f"a Prefect task a file, {files} files: CPU", f"{seconds / files * 1e3:.0f} ms a file, fetched only"),
        ("memory that was added", f"{of_tasks[0] / 1e6:.0f} MB, {of_tasks[0] / files / 1e3:.0f} kB a file"),
    ):
        table.add_row(name, figure)
    return table


def _at(seconds: list[float], share: float) -> str:
    """The time within which a share of the decisions were made."""
    return f"{seconds[round(share * (len(seconds) - 1))] * 1e3:.2f} ms"


def _prioritized(fill: Fill) -> Fill:
    """The fill with the priority that fits its score: a quarter of all has each."""
    return replace(fill, priority=tuple(Priority)[3 - min(int(fill.score.total / 250), 3)])


def _overtaken(fills: list[Fill], spans: dict[str, Span]) -> int:
    """How many fills began before another one of their source with a higher priority. All waited from the start."""
    ranks, count = tuple(Priority), 0
    for source in MIX:
        best = len(ranks)
        some = [fill for fill in fills if fill.source == source]
        for fill in sorted(some, key=lambda fill: spans[fill.id].start, reverse=True):
            rank = ranks.index(fill.priority)
            count += rank > best
            best = min(best, rank)
    return count


@contextmanager
def _decisions() -> Iterator[list[float]]:
    """A block in which the seconds of each choice of the next fill are noted."""
    seconds: list[float] = []
    choose = Dispatcher._next

    def timed(self: Dispatcher) -> Fill | None:
        begun = time.perf_counter()
        chosen = choose(self)
        seconds.append(time.perf_counter() - begun)
        return chosen

    Dispatcher._next = timed  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        Dispatcher._next = choose  # type: ignore[method-assign]


@contextmanager
def _memory() -> Iterator[list[int]]:
    """A block after which the list has the bytes by which this process has grown."""
    process, grown = psutil.Process(), [0]
    before = process.memory_info().rss
    yield grown
    grown[0] = process.memory_info().rss - before
