"""How close is the dispatcher to the lower bounds, with three sources of very different rates at once?

The mix: 40 ESPN fills of 20 files, 35 NBA fills of 10, and 25 Basketball Reference fills of 3, with scores drawn
uniformly, and at most 5 fills at once.

If a source allows N requests in any T seconds, its k-th request is sent no earlier than (k - N) T / N seconds after the
first, and answered one latency later. So no schedule ends before the slowest source has answered its last file, before
the workers have been occupied for all fills, or before the longest fill is done; this bounds the makespan.

The score-weighted mean completion has two bounds. One is that of one machine for each source, which does the fills one
after another at the source's rate, in the best order: by score per file (Smith's rule). The other is that of a single
machine that does the work of all workers at once, also in Smith's order.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from config.models import Rate
from tasks.domain.limits.rates import spacing
from tasks.domain.plan.lanes import Capacity, Span, forecast
from tasks.domain.plan.plan import Fill, start_order
from tests.builders import a_config, a_fill

WORKERS = 5
MIX = {"espn": (40, 20), "nba_api": (35, 10), "basketball_reference": (25, 3)}  # fills, files of each
RATES = {name: source.rates[0] for name, source in a_config().sources.items()}
_LATENCY, _START_UP = 0.2, 0.4  # seconds, in simulated time


@dataclass(frozen=True)
class Bounds:
    """Lower bounds of a schedule, in seconds."""

    makespan: float
    completion: float  # score-weighted mean


def the_mix(seed: int, mix: Mapping[str, tuple[int, int]] = MIX) -> list[Fill]:
    """The fills of a mix in score order, with scores drawn from the seed."""
    draw = random.Random(seed)
    fills = [
        a_fill(n, source, files, draw.uniform(1, 1000)) for source, (fills, files) in mix.items() for n in range(fills)
    ]
    return sorted(fills, key=start_order)


def bounds(fills: Sequence[Fill], rates: Mapping[str, Rate], latency: float) -> Bounds:
    """The lower bounds for any dispatcher at these rates, with a latency in seconds."""
    each = {name: rate.seconds / rate.requests for name, rate in rates.items()}
    occupied = {
        fill.id: max(len(fill.gaps) - rates[fill.source].requests, 0) * each[fill.source] + latency for fill in fills
    }
    makespan = max(sum(occupied.values()) / WORKERS, max(occupied.values()))
    weighted = 0.0
    for source, rate in rates.items():
        some = [fill for fill in fills if fill.source == source]
        ahead = rate.seconds - latency  # the first N requests are sent at once, and the last answer takes the latency
        makespan = max(makespan, sum(len(fill.gaps) for fill in some) * each[source] - ahead)
        weighted += _smith(some, {fill.id: len(fill.gaps) * each[source] for fill in some}, ahead)
    workers = _smith(fills, {name: seconds / WORKERS for name, seconds in occupied.items()})
    return Bounds(makespan, max(weighted, workers) / sum(fill.score.total for fill in fills))


def _smith(fills: Iterable[Fill], seconds: Mapping[str, float], ahead: float = 0.0) -> float:
    """The smallest sum of score x completion on one machine, all of whose completions are `ahead` seconds earlier."""
    now = total = 0.0
    for fill in sorted(fills, key=lambda fill: seconds[fill.id] / fill.score.total):
        now += seconds[fill.id]
        total += fill.score.total * max(now - ahead, 0.0)
    return total


def ratios(fills: Sequence[Fill], spans: Mapping[str, Span], bound: Bounds) -> tuple[float, float]:
    """Makespan and score-weighted mean completion, each as a multiple of its bound."""
    weight = sum(fill.score.total for fill in fills)
    completion = sum(fill.score.total * spans[fill.id].end for fill in fills) / weight
    return max(span.end for span in spans.values()) / bound.makespan, completion / bound.completion


def strict_order(fills: Sequence[Fill], capacities: Mapping[str, Capacity], workers: int) -> dict[str, Span]:
    """The spans of a pool of workers that takes the fills in score order, without regard to their sources."""
    free = [0.0] * workers
    rate_free = dict.fromkeys(capacities, 0.0)
    spans = {}
    for fill in fills:
        capacity = capacities[fill.source]
        start = heapq.heappop(free)
        last = max(start + capacity.start_up, rate_free[fill.source]) + (len(fill.gaps) - 1) * capacity.spacing
        rate_free[fill.source] = last + capacity.spacing
        spans[fill.id] = Span(start, last + capacity.latency)
        heapq.heappush(free, last + capacity.latency)
    return spans


def simulated(seeds: int = 20) -> Table:
    """The dispatcher's decisions in simulated time, at the default rates, compared with strict score order."""
    config = a_config()
    capacities = {n: Capacity(spacing(s.rates), _LATENCY, _START_UP, s.lanes) for n, s in config.sources.items()}
    found: dict[str, list[tuple[float, float]]] = {"lanes by rate and latency": [], "strict score order": []}
    for seed in range(seeds):
        fills = the_mix(seed)
        bound = bounds(fills, RATES, _LATENCY)
        for name, way in zip(found, (forecast, strict_order), strict=True):
            found[name].append(ratios(fills, way(fills, capacities, WORKERS), bound))
    title = f"The mix at 10/s, 2/s and 1 per 12 s, in simulated time, {seeds} draws of scores"
    table = Table(title=title, caption="multiples of the lower bound: median (worst)")
    for column in ("dispatch", "makespan", "score-weighted completion"):
        table.add_column(column, justify="left" if column == "dispatch" else "right")
    for name, rows in found.items():
        columns = [sorted(column) for column in zip(*rows, strict=True)]
        table.add_row(name, *(f"{column[len(column) // 2]:.3f} ({column[-1]:.3f})" for column in columns))
    return table
