"""Which fill starts next, and when will each be done?

A source is given work as it can spend it: its next fill starts when those before it have almost no request left that
waits for the rate, so that a fill holds a worker no longer than it must, and the rate never waits for a fill.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from config.models import Priority
from tasks.domain.plan.plan import Fill

# Before anything was measured: seconds from sending a request to having its body, and from submitting a fill to its
# first request (a task run and a subflow run on Prefect's embedded API).
LATENCY, START_UP = 0.5, 0.4


@dataclass(frozen=True, slots=True)
class Supply:
    """What a source gives: seconds between two requests, until an answer, and until a new fill sends its first."""

    spacing: float
    latency: float = LATENCY
    start_up: float = START_UP
    most_lanes: int = 3

    @property
    def head_start(self) -> int:
        """How many requests leave while a new fill starts up, if that takes as long again as usual."""
        return math.ceil(2 * self.start_up / self.spacing)

    def lanes(self, requests: int) -> int:
        """The smallest number of fills of so many requests at once that spends the whole rate.

        A fill that has the rate for itself spends it for requests x spacing seconds, and holds its lane for its
        start-up and its last answer besides.
        """
        idle = self.start_up + self.latency
        return min(self.most_lanes, 1 + math.ceil(round(idle / (max(requests, 1) * self.spacing), 9)))

    def seconds(self, requests: int) -> float:
        """How long a fill of so many requests takes that has the rate for itself."""
        return self.start_up + max(requests - 1, 0) * self.spacing + self.latency

    def requests_within(self, seconds: float, waiting: int) -> int:
        """How many requests of a fill that starts now are answered by then, behind so many that wait for the rate."""
        first = max(self.start_up, waiting * self.spacing) + self.latency
        return max(0, math.floor((seconds - first) / self.spacing) + 1)


@dataclass(slots=True)
class Lane:
    """Where a source stands: how many of its fills run, and how many of their requests have not left yet."""

    supply: Supply
    running: int = 0
    waiting: int = 0

    def is_free(self, requests: int) -> bool:
        """May a fill of so many requests start?"""
        return self.running < self.supply.lanes(requests) and self.waiting <= self.supply.head_start


def next_fill(
    queue: Iterable[Fill], lanes: Mapping[str, Lane], closed: Collection[str], busy: Collection[str] = ()
) -> Fill | None:
    """The best fill of a queue in its order whose source has a free lane.

    `closed` names addresses and scrapers that may not be asked, `busy` the sources of which nothing may begin yet.
    Within a source the order of the queue is kept: a fill that has to wait holds back those behind it, but for one
    whose own address or dataset is closed.
    """
    held_back = set(busy)
    for fill in queue:
        if fill.source in held_back or fill.address in closed or fill.scraper in closed:
            continue
        if lanes[fill.source].is_free(fill.cost):
            return fill
        held_back.add(fill.source)
        if lanes.keys() <= held_back:
            break
    return None


def goes_along(first: Fill, behind: Iterable[Fill], supply: Supply, lasts: timedelta) -> list[Fill]:
    """What is fetched by the same process as a fill: the next of its source, for as long as that is expected to last.

    A process costs up to a minute until it asks for something. So few are better, but a critical fill waits for no
    other: along with it go only others that are critical, and no more than can start at once.
    """
    critical = first.priority is Priority.CRITICAL
    chosen: list[Fill] = []
    requests = first.cost
    for fill in behind:
        requests += fill.cost
        if requests * supply.spacing > lasts.total_seconds():
            break
        if critical and (fill.priority is not Priority.CRITICAL or len(chosen) + 1 >= supply.most_lanes):
            break
        chosen.append(fill)
    return chosen


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds from now at which a fill starts and ends."""

    start: float
    end: float


def foresee(
    fills: Iterable[Fill], supplies: Mapping[str, Supply], workers: int, opens: Mapping[str, float] | None = None
) -> dict[str, Span]:
    """When each fill would start and end, by its id, if all went well: the dispatcher in simulated time.

    `opens` is in how many seconds a paused source, or a dataset whose breaker is open, may be asked again.
    """
    opens = dict(opens or {})
    queues: dict[str, dict[str, deque[tuple[int, Fill, int]]]] = {source: {} for source in supplies}  # by scraper
    for rank, fill in enumerate(fills):
        queues[fill.source].setdefault(fill.scraper, deque()).append((rank, fill, fill.cost))
    spans: dict[str, Span] = {}
    running = dict.fromkeys(supplies, 0)
    free_at = {source: opens.get(source, 0.0) for source in supplies}  # when the rate has its next place
    opens_at = dict(free_at)  # when so few requests wait that the next fill may start
    ends: list[tuple[float, str]] = []
    now = 0.0
    while any(queues.values()):
        while ends and ends[0][0] <= now:
            running[heapq.heappop(ends)[1]] -= 1
        best: tuple[int, Fill, int] | None = None
        later = [ends[0][0]] if ends else []
        for source, by_scraper in queues.items():
            may = {scraper: max(opens_at[source], opens.get(scraper, 0.0)) for scraper in by_scraper}
            later += [at for at in may.values() if at > now]
            heads = [queue[0] for scraper, queue in by_scraper.items() if may[scraper] <= now]
            if not heads:
                continue
            rank, fill, requests = min(heads, key=lambda head: head[0])
            if running[source] < supplies[source].lanes(requests) and (best is None or rank < best[0]):
                best = (rank, fill, requests)
        if best is None or len(ends) >= workers:
            now = min(at for at in later if at > now)
            continue
        _, fill, requests = best
        source, supply = fill.source, supplies[fill.source]
        queue = queues[source][fill.scraper]
        queue.popleft()
        if not queue:
            del queues[source][fill.scraper]
        first = max(free_at[source], now + supply.start_up)
        last = first + (requests - 1) * supply.spacing
        free_at[source] = last + supply.spacing
        opens_at[source] = max(now, last - supply.head_start * supply.spacing)
        running[source] += 1
        heapq.heappush(ends, (last + supply.latency, source))
        spans[fill.id] = Span(now, last + supply.latency)
    return spans


def with_eta(fills: Iterable[Fill], spans: Mapping[str, Span], now: datetime) -> Iterator[Fill]:
    """The same fills, each with the times at which it would start and end."""
    for fill in fills:
        span = spans[fill.id]
        yield replace(fill, starts=now + timedelta(seconds=span.start), eta=now + timedelta(seconds=span.end))
