"""Which fill starts next, and when is each done? The dispatcher in simulated time."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Priority
from tasks.domain.plan.lanes import LATENCY, START_UP, Capacity, Lane, Span, batch_with, forecast, next_fill, with_eta
from tasks.domain.plan.plan import Fill, split_by_cost, split_first_request, start_order
from tests.benchmarks.mix import RATES, WORKERS, bounds, ratios, strict_order, the_mix
from tests.builders import NOW, a_config, a_fill

CAPACITIES = {
    "espn": Capacity(spacing=0.1, latency=0.2),
    "nba_api": Capacity(spacing=0.5, latency=1.0),
    "basketball_reference": Capacity(spacing=12.0, latency=0.5),
}


@pytest.mark.parametrize(
    ("capacity", "requests", "lanes"),
    [
        pytest.param(Capacity(12.0, 0.5, 0.4, 5), 3, 2, id="slow source: one that ends, one that starts"),
        pytest.param(Capacity(0.1, 0.2, 0.4, 5), 20, 2, id="fast source, long fills"),
        pytest.param(Capacity(0.1, 0.2, 0.4, 9), 1, 7, id="fast source, fills of one file"),
        pytest.param(Capacity(0.5, 8.0, 0.4, 5), 10, 3, id="slow answers"),
        pytest.param(Capacity(0.1, 9.0, 0.4, 5), 1, 5, id="no more than allowed"),
        pytest.param(Capacity(1.0, 0.0, 0.0, 5), 1, 1, id="nothing to wait for"),
    ],
)
def test_lanes_are_the_fewest_fills_that_spend_the_rate(capacity: Capacity, requests: int, lanes: int) -> None:
    assert capacity.lanes(requests) == lanes


@given(st.floats(0, 1000), st.integers(0, 5), st.sampled_from(sorted(CAPACITIES)))
def test_the_requests_that_are_answered_in_time_are_as_many_as_can_be(seconds: float, waiting: int, name: str) -> None:
    capacity = CAPACITIES[name]
    requests = capacity.requests_within(seconds, waiting)

    def answered(requests: int) -> float:
        return max(capacity.start_up, waiting * capacity.spacing) + (requests - 1) * capacity.spacing + capacity.latency

    assert requests == 0 or answered(requests) <= seconds + 1e-6
    assert answered(requests + 1) > seconds - 1e-6


def test_the_best_fill_whose_source_has_a_free_lane_starts() -> None:
    queue = [a_fill(1, "nba_api", score=9), a_fill(2, "espn", score=8), a_fill(3, "nba_api", score=7)]
    lanes = {name: Lane(capacity) for name, capacity in CAPACITIES.items()}
    assert next_fill(queue, lanes, ()) is queue[0]
    lanes["nba_api"].waiting = 100
    assert next_fill(queue, lanes, ()) is queue[1]
    assert next_fill(queue, lanes, {"espn"}) is None
    assert next_fill([], lanes, ()) is None


def test_a_source_of_which_nothing_was_measured_is_taken_for_a_usual_one_and_a_lane_begins_empty() -> None:
    usual = Capacity(spacing=1.0)
    assert (usual.latency, usual.start_up, usual.most_lanes) == (LATENCY, START_UP, 3)
    assert 0.1 <= START_UP <= LATENCY <= 1, "seconds"
    assert (Lane(usual).running, Lane(usual).waiting) == (0, 0)


def test_the_next_fill_starts_while_no_more_requests_wait_than_leave_as_it_starts_up() -> None:
    capacity = Capacity(spacing=0.5, start_up=0.6)
    assert capacity.head_start == 3, "in twice its time to start up"
    assert Lane(capacity, running=1, waiting=3).is_free(10)
    assert not Lane(capacity, running=1, waiting=4).is_free(10)


def test_a_fill_that_waits_for_a_lane_holds_back_those_of_its_source_and_no_others() -> None:
    big, small = a_fill(1, "espn", requests=20, score=9), a_fill(2, "espn", requests=1, score=8)
    other = a_fill(3, "nba_api", score=7)
    lanes = {"espn": Lane(CAPACITIES["espn"], running=2), "nba_api": Lane(CAPACITIES["nba_api"])}
    assert lanes["espn"].is_free(1)
    assert not lanes["espn"].is_free(20)
    assert next_fill([big, small], lanes, ()) is None
    assert next_fill([big, small, other], lanes, ()) is other
    assert next_fill([big, other], lanes, (), busy={"espn"}) is other
    assert next_fill([big, other], lanes, (), busy={"espn", "nba_api"}) is None


@pytest.mark.parametrize(
    ("closed", "change"),
    [
        pytest.param("espn_summary", {}, id="its dataset"),
        pytest.param("espn_summary@x", {"variant": "x"}, id="a variant of its dataset"),
        pytest.param("espn@x", {"variant": "x", "own_address": "espn@x"}, id="the address that it is asked at"),
    ],
)
def test_a_fill_that_may_not_be_asked_for_holds_nobody_back(closed: str, change: dict[str, str]) -> None:
    first = replace(a_fill(1, "espn", score=9), **change)  # type: ignore[arg-type]
    second = replace(a_fill(2, "espn", score=8), dataset="espn_scoreboard")
    lanes = {"espn": Lane(CAPACITIES["espn"])}
    assert next_fill([first, second], lanes, ()) is first
    assert next_fill([first, second], lanes, {closed}) is second, "another dataset of the source"
    assert next_fill([first, first], lanes, {closed}) is None, "and not the same"


FILLS = st.lists(
    st.tuples(st.sampled_from(sorted(CAPACITIES)), st.integers(1, 30), st.floats(1, 1000)), max_size=40
).map(lambda rows: sorted((a_fill(n, *row) for n, row in enumerate(rows)), key=start_order))


@given(FILLS, st.integers(2, 8))
def test_every_fill_is_done_in_order_of_its_source_with_no_more_than_the_workers(
    fills: list[Fill], workers: int
) -> None:
    spans = forecast(fills, CAPACITIES, workers)
    assert spans.keys() == {fill.id for fill in fills}
    for source in CAPACITIES:
        mine = [spans[fill.id] for fill in fills if fill.source == source]
        for one, other in pairwise(mine):
            assert one.start <= other.start
            assert one.end <= other.end
    for span in spans.values():
        assert sum(other.start <= span.start < other.end for other in spans.values()) <= workers


@given(FILLS)
def test_with_workers_enough_a_slow_rate_is_never_idle_while_a_fill_could_run(fills: list[Fill]) -> None:
    """A fill of one file takes longer to start than a fast rate allows, and the last place of a slow one is known."""
    spans = forecast(fills, CAPACITIES, workers=100)
    capacity = CAPACITIES["basketball_reference"]
    mine = [fill for fill in fills if fill.source == "basketball_reference"]
    if mine:
        done = max(spans[fill.id].end for fill in mine)
        requests = sum(len(fill.gaps) for fill in mine)
        assert done == pytest.approx(capacity.seconds(requests))


def test_a_paused_source_waits_and_the_others_do_not() -> None:
    fills = [a_fill(1, "espn", 20, 9), a_fill(2, "nba_api", 10, 8)]
    spans = forecast(fills, CAPACITIES, 5, {"espn": 60.0})
    assert spans[fills[0].id].start == 60.0
    assert spans[fills[1].id].start == 0.0


def test_a_dataset_whose_breaker_is_open_is_overtaken_by_the_others_of_its_source() -> None:
    paused, *others = (a_fill(n, "espn", 20, 10 - n) for n in range(4))
    others = [replace(fill, dataset="espn_scoreboard") for fill in others]
    spans = forecast([paused, *others], CAPACITIES, 5, {paused.dataset: 300.0})
    assert spans[paused.id].start == 300.0
    assert [spans[fill.id] for fill in others] == list(forecast(others, CAPACITIES, 5).values())


@pytest.mark.parametrize("seed", range(5))
def test_the_mix_is_within_five_per_cent_of_what_cannot_be_beaten(seed: int) -> None:
    fills = the_mix(seed)
    config = a_config()
    capacities = {
        name: Capacity((source.rates[0].seconds * 1.016) / source.rates[0].requests, 0.2, 0.4, source.lanes)
        for name, source in config.sources.items()
    }
    makespan, completion = ratios(fills, forecast(fills, capacities, WORKERS), bounds(fills, RATES, 0.2))
    assert 1 <= makespan <= 1.05
    assert 1 <= completion <= 1.06
    assert ratios(fills, strict_order(fills, capacities, WORKERS), bounds(fills, RATES, 0.2))[1] > 1.5


def test_along_with_a_fill_go_the_next_ones_for_as_long_as_a_process_is_to_last() -> None:
    capacity, fills = Capacity(spacing=1.0, most_lanes=3), [a_fill(n, requests=20) for n in range(9)]
    assert batch_with(fills[0], fills[1:], capacity, timedelta(seconds=60)) == fills[1:3], "60 requests"
    assert batch_with(fills[0], fills[1:], capacity, timedelta(seconds=19)) == [], "one at the least"
    assert batch_with(fills[0], fills[1:], capacity, timedelta(hours=1)) == fills[1:]
    slow = Capacity(spacing=2.0, most_lanes=3)
    assert batch_with(fills[0], fills[1:], slow, timedelta(seconds=80)) == fills[1:2], "40 requests"


def test_along_with_a_critical_fill_go_only_critical_ones_that_another_process_could_not_begin_sooner() -> None:
    hour = timedelta(hours=1)
    critical = [replace(a_fill(n, requests=20), priority=Priority.CRITICAL) for n in range(9)]
    for start_up, along in ((4.7, 0), (5.0, 1), (9.7, 1), (10.0, 2)):  # in seconds; twice as much is allowed for
        capacity = Capacity(spacing=0.5, start_up=start_up)
        assert batch_with(critical[0], critical[1:], capacity, hour) == critical[1 : 1 + along], start_up
    others = [critical[1], a_fill(99), critical[2]]
    assert batch_with(critical[0], others, Capacity(spacing=0.1, start_up=10.0), hour) == critical[1:2]


def test_a_probe_is_the_first_request_of_a_fill_and_the_rest_another_fill() -> None:
    fill = a_fill(1, requests=3)
    parts = split_first_request(fill)
    assert parts is not None
    probe, rest = parts
    assert [len(part.requests()) for part in parts] == [1, 2]
    assert [*probe.keys, *rest.keys] == fill.keys
    assert len({fill.id, probe.id, rest.id}) == 3
    assert split_first_request(probe) is None


@pytest.mark.parametrize(
    ("cost", "at_most", "first"),
    [
        pytest.param(1, 0, 0, id="nothing"),
        pytest.param(1, 2, 2, id="some"),
        pytest.param(1, 9, 3, id="all"),
        pytest.param(4, 3, 0, id="not even the first command"),
        pytest.param(4, 9, 2, id="two commands"),
    ],
)
def test_a_fill_is_cut_to_the_first_requests_that_cost_no_more(cost: int, at_most: int, first: int) -> None:
    fill = a_fill(1, requests=3)
    fill = replace(fill, gaps=tuple(replace(gap, cell=gap.cell._replace(cost=cost)) for gap in fill.gaps))
    begins, rest = split_by_cost(fill, at_most)
    assert begins == (replace(fill, id=begins.id, gaps=fill.gaps[:first]) if begins else None)
    assert [key for part in (begins, rest) if part for key in part.keys] == fill.keys
    assert (begins is None, rest is None) == (first == 0, first == 3)


def test_each_fill_is_told_the_times_at_which_it_would_start_and_end() -> None:
    fills = [a_fill(1, "espn"), a_fill(2, "nba_api")]
    spans = {fills[0].id: Span(1.0, 2.5), fills[1].id: Span(0.0, 4.0)}
    second = timedelta(seconds=1)
    assert list(with_eta(fills, spans, NOW)) == [
        replace(fills[0], starts=NOW + second, eta=NOW + 2.5 * second),
        replace(fills[1], starts=NOW, eta=NOW + 4 * second),
    ]


def _timeline(fills: list[Fill], capacity: Capacity, workers: int = 9) -> list[tuple[float, float]]:
    spans = forecast(fills, {"espn": capacity}, workers)
    return [(spans[fill.id].start, spans[fill.id].end) for fill in fills]


def test_the_fills_of_a_slow_source_by_hand() -> None:
    """A request every 10 s: one fill that waits for its answer, and one that waits for its place."""
    capacity = Capacity(spacing=10.0, latency=1.0, start_up=1.0, most_lanes=5)
    fills = [a_fill(n, "espn") for n in range(4)]
    assert _timeline(fills, capacity) == [(0, 2), (0, 12), (2, 22), (12, 32)]


def test_the_fills_of_a_source_with_slow_answers_by_hand() -> None:
    """A request a second, each answered after 2.5 s: three fills at once."""
    capacity = Capacity(spacing=1.0, latency=2.5, start_up=0.0, most_lanes=3)
    fills = [a_fill(n, "espn") for n in range(7)]
    assert capacity.lanes(1) == 3
    starts = [0, 0, 1, 2.5, 3.5, 4.5, 5.5]
    assert [start for start, _ in _timeline(fills, capacity)] == starts
    assert [start for start, _ in _timeline(fills[:2], capacity, workers=1)] == [0, 2.5]


def test_the_datasets_of_a_source_take_turns_in_the_order_of_the_fills() -> None:
    capacity = Capacity(spacing=10.0, latency=1.0, start_up=1.0, most_lanes=2)
    fills = [a_fill(n, "espn") for n in range(5)]
    fills[1] = replace(fills[1], dataset="espn_scoreboard")
    fills[3] = replace(fills[3], dataset="espn_scoreboard")
    starts = [start for start, _ in _timeline(fills, capacity)]
    assert starts == sorted(starts)
