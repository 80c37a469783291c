"""Which fill starts next, and when will each fill be done?

A source has a few lanes, and each running fill takes one. The next fill of a source starts when a lane is free and its
running fills have almost no requests left to send. So a fill occupies a worker no longer than necessary, and the
source's rate is always used in full.
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

# Estimates until there are measurements, in seconds: from sending a request to having its body; and from submitting a
# fill to its first request, which includes a task run and a subflow run on Prefect's embedded API.
LATENCY, START_UP = 0.5, 0.4


@dataclass(frozen=True, slots=True)
class Capacity:
    """How fast a source can be used. Times are in seconds."""

    spacing: float  # time between two requests
    latency: float = LATENCY  # time from sending a request to having its body
    start_up: float = START_UP  # time from submitting a fill to its first request
    most_lanes: int = 3

    @property
    def head_start(self) -> int:
        """The number of requests that the rate allows during twice the usual start-up of a fill."""
        return math.ceil(2 * self.start_up / self.spacing)

    def lanes(self, requests: int) -> int:
        """The smallest number of concurrent fills of `requests` requests each that uses the whole rate.

        A fill that runs alone sends requests for `requests` x `spacing` seconds, but occupies its lane for the start-up
        and the last answer as well.
        """
        idle = self.start_up + self.latency
        return min(self.most_lanes, 1 + math.ceil(round(idle / (max(requests, 1) * self.spacing), 9)))

    def seconds(self, requests: int) -> float:
        """The seconds that a fill of `requests` requests takes if it runs alone."""
        return self.start_up + max(requests - 1, 0) * self.spacing + self.latency

    def requests_within(self, seconds: float, waiting: int) -> int:
        """The number of requests of a fill that are answered within `seconds` if the fill starts now.

        `waiting` is the number of requests of other fills that are sent before its own.
        """
        first = max(self.start_up, waiting * self.spacing) + self.latency
        return max(0, math.floor((seconds - first) / self.spacing) + 1)


@dataclass(slots=True)
class Lane:
    """How much of a source's lanes and rate its running fills use now."""

    capacity: Capacity
    running: int = 0  # number of running fills
    waiting: int = 0  # number of their requests that are not sent yet

    def is_free(self, requests: int) -> bool:
        """May a fill of `requests` requests start now?"""
        return self.running < self.capacity.lanes(requests) and self.waiting <= self.capacity.head_start


def next_fill(
    queue: Iterable[Fill], lanes: Mapping[str, Lane], closed: Collection[str], busy: Collection[str] = ()
) -> Fill | None:
    """The first fill of an ordered queue whose source has a free lane; None if there is none.

    `closed` has the names of addresses and scrapers that must not send requests now, and `busy` the names of sources
    that must not start a fill yet. If a fill waits for a lane, the later fills of its source wait as well. If its
    address or scraper is closed, it is passed over, and later fills may start.
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


def batch_with(first: Fill, behind: Iterable[Fill], capacity: Capacity, lasts: timedelta) -> list[Fill]:
    """The other fills to run in the same process as `first`.

    They are the next fills of its source, as many as take at most `lasts` together with it. A process needs up to a
    minute before its first request, so that few processes are better. But the batch of a critical fill has only
    critical fills, and only those whose turn comes before another process would have started.
    """
    critical = first.priority is Priority.CRITICAL
    chosen: list[Fill] = []
    requests = first.cost
    for fill in behind:
        if critical and (fill.priority is not Priority.CRITICAL or requests > capacity.head_start):
            break
        requests += fill.cost
        if requests * capacity.spacing > lasts.total_seconds():
            break
        chosen.append(fill)
    return chosen


@dataclass(frozen=True, slots=True)
class Span:
    """When a fill starts and ends, in seconds from now."""

    start: float
    end: float


def forecast(
    fills: Iterable[Fill], capacities: Mapping[str, Capacity], workers: int, opens: Mapping[str, float] | None = None
) -> dict[str, Span]:
    """When each fill would start and end if nothing failed, by the id of the fill. This simulates the dispatcher.

    `workers` is the number of fills that can run at once. `opens` has the seconds until a paused source, or a scraper
    whose circuit breaker is open, may be asked again, by name.
    """
    opens = dict(opens or {})
    queues: dict[str, dict[str, deque[tuple[int, Fill, int]]]] = {source: {} for source in capacities}  # by scraper
    for rank, fill in enumerate(fills):
        queues[fill.source].setdefault(fill.scraper, deque()).append((rank, fill, fill.cost))
    spans: dict[str, Span] = {}
    running = dict.fromkeys(capacities, 0)
    free_at = {source: opens.get(source, 0.0) for source in capacities}  # when the source's next request may be sent
    opens_at = dict(free_at)  # when so few of the source's requests wait that its next fill may start
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
            if running[source] < capacities[source].lanes(requests) and (best is None or rank < best[0]):
                best = (rank, fill, requests)
        if best is None or len(ends) >= workers:
            now = min(at for at in later if at > now)
            continue
        _, fill, requests = best
        source, capacity = fill.source, capacities[fill.source]
        queue = queues[source][fill.scraper]
        queue.popleft()
        if not queue:
            del queues[source][fill.scraper]
        first = max(free_at[source], now + capacity.start_up)
        last = first + (requests - 1) * capacity.spacing
        free_at[source] = last + capacity.spacing
        opens_at[source] = max(now, last - capacity.head_start * capacity.spacing)
        running[source] += 1
        heapq.heappush(ends, (last + capacity.latency, source))
        spans[fill.id] = Span(now, last + capacity.latency)
    return spans


def with_eta(fills: Iterable[Fill], spans: Mapping[str, Span], now: datetime) -> Iterator[Fill]:
    """The same fills, each with the times at which it would start and end, from the spans that `forecast` returns."""
    for fill in fills:
        span = spans[fill.id]
        yield replace(fill, starts=now + timedelta(seconds=span.start), eta=now + timedelta(seconds=span.end))
