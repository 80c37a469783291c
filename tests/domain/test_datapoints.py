"""What is sent to CloudWatch of the totals and of the gauges?"""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.datapoints import Datapoint, datapoints
from tasks.domain.metrics import (
    CELLS,
    CLOUDWATCH,
    FILE_SECONDS,
    FILES,
    FILL_SECONDS,
    LOOK_TIME,
    OLDEST,
    STORED_BYTES,
    UTILIZATION,
    Amounts,
    Histogram,
    Measured,
    Series,
)
from tests.builders import NOW

EMPTY = Measured(NOW)
DATASETS = ("espn_summary", "espn_scoreboard")


def _stored(count: float, dataset: str = "espn_summary") -> dict[Series, float]:
    amounts = Amounts()
    amounts.count(FILES, count, source="espn", dataset=dataset, outcome="stored")
    return amounts.by_series


def test_a_counter_is_sent_as_what_it_has_gained_summed_up_over_datasets() -> None:
    before = _stored(5) | _stored(1, "espn_scoreboard")
    now = _stored(8) | _stored(3, "espn_scoreboard")
    dimensions = (("source", "espn"), ("outcome", "stored"))
    assert datapoints(now, before, EMPTY) == [Datapoint(FILES.name, dimensions, (5,), (1,), "Count")]
    assert datapoints(now, {}, EMPTY)[0].values == (11,)


def test_a_counter_that_has_gained_nothing_is_sent_as_0_and_one_that_has_lost_something_too() -> None:
    assert [one.values for one in datapoints(_stored(5), _stored(5), EMPTY)] == [(0,)]
    assert [one.values for one in datapoints(_stored(5), _stored(6), EMPTY)] == [(0,)]


def test_a_counter_that_has_never_counted_is_sent_as_0() -> None:
    zeros = {("espn", name, outcome): 0.0 for name in DATASETS for outcome in ("failed", "stored")}
    found = datapoints(_stored(5), {}, Measured(NOW, {FILES: zeros}))
    assert {dict(one.dimensions)["outcome"]: one.values for one in found} == {"stored": (5,), "failed": (0,)}
    assert datapoints(_stored(5), None, Measured(NOW, {FILES: zeros})) == []


def test_without_a_former_sending_only_gauges_are_sent() -> None:
    gauges = Measured(NOW, {CELLS: {("espn", "espn_summary", "gap"): 3.0}})
    assert [one.name for one in datapoints(_stored(5), None, gauges)] == [CELLS.name]


def test_durations_are_sent_as_the_bounds_of_their_buckets() -> None:
    amounts = Amounts()
    for seconds in (0.2, 0.3, 0.4, 7000.0):
        amounts.observe(FILL_SECONDS, seconds, dataset="espn_summary")
    amounts.observe(FILL_SECONDS, 0.01, dataset="espn_scoreboard")
    found = datapoints(amounts.by_series, {}, EMPTY)
    assert found == [Datapoint(FILL_SECONDS.name, (), (0.1, 0.5, 3600), (1, 3, 1), "Seconds")]
    assert datapoints(amounts.by_series, amounts.by_series, EMPTY) == []


def test_gauges_are_summed_up_and_of_moments_the_age_of_the_earliest_is_sent() -> None:
    moment = NOW.timestamp()
    gauges = {
        CELLS: {("espn", "a", "gap"): 3.0, ("espn", "b", "gap"): 4.0, ("espn", "a", "present"): 1.0},
        OLDEST: {("HIGH",): moment - 60, ("LOW",): moment - 3600},
        LOOK_TIME: {(): (NOW + timedelta(seconds=1)).timestamp()},  # a clock that was set back
        UTILIZATION: {("espn",): 0.5},
    }
    found = {(one.name, one.dimensions): one for one in datapoints({}, {}, Measured(NOW, gauges))}
    assert {key: one.values for key, one in found.items()} == {
        (CELLS.name, (("state", "gap"),)): (7.0,),
        (CELLS.name, (("state", "present"),)): (1.0,),
        ("adce_queue_oldest_detection_age_seconds", ()): (3600.0,),
        ("adce_look_age_seconds", ()): (0.0,),
        (UTILIZATION.name, (("source", "espn"),)): (0.5,),
    }
    assert found[UTILIZATION.name, (("source", "espn"),)].unit == "None"


GAINS = st.lists(st.tuples(st.sampled_from(DATASETS), st.floats(0, 4000), st.integers(0, 10**6)), max_size=8)


@given(st.lists(GAINS, min_size=1, max_size=4))
def test_all_sendings_together_have_counted_everything_once(minutes: list[list[tuple[str, float, int]]]) -> None:
    totals, before, sent = Amounts(), dict[Series, float](), dict[str, float]()
    for minute in minutes:
        for dataset, seconds, size in minute:
            totals.observe(FILE_SECONDS, seconds, dataset=dataset)
            totals.count(STORED_BYTES, size, source="espn", dataset=dataset)
        for one in datapoints(totals.by_series, before, EMPTY):
            counted = one.counts if one.name == FILE_SECONDS.name else one.values
            sent[one.name] = sent.get(one.name, 0) + sum(counted)
        before = dict(totals.by_series)
    everything = [entry for minute in minutes for entry in minute]
    assert sent.get(FILE_SECONDS.name, 0) == len(everything)
    assert sent.get(STORED_BYTES.name, 0) == sum(size for _, _, size in everything)


def test_no_histogram_has_more_values_than_cloudwatch_takes() -> None:
    histograms = [one.metric for one in CLOUDWATCH if isinstance(one.metric, Histogram)]
    assert max(len(metric.bounds) for metric in histograms) <= 150
