"""Are amounts counted in the right series?"""

import pytest

from tasks.domain.metrics import BEYOND, CATALOGUE, FILE_SECONDS, FILLS, REQUESTS, SUM, Amounts, Histogram, Series

LABELS = {"source": "espn", "dataset": "d"}
TEXT = '{"dataset":"d","source":"espn"}'


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(-1.0, "0.1"), (0.0, "0.1"), (0.1, "0.1"), (0.11, "0.25"), (300.0, "300"), (300.1, BEYOND)],
)
def test_a_duration_is_counted_within_the_first_bound_that_it_does_not_exceed(seconds: float, bucket: str) -> None:
    amounts = Amounts()
    amounts.observe(FILE_SECONDS, seconds, **LABELS)
    assert amounts.by_series == {
        Series("file_seconds", TEXT, bucket): 1,
        Series("file_seconds", TEXT, SUM): max(seconds, 0.0),
    }


def test_amounts_of_one_series_add_up_and_none_is_no_amount() -> None:
    amounts = Amounts()
    for amount in (2, 0, 3):
        amounts.count(REQUESTS, amount, **LABELS)
    amounts.observe_between(FILE_SECONDS, None, None, **LABELS)
    assert amounts.by_series == {Series("requests", TEXT): 5}


def test_a_label_that_a_counter_does_not_have_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="the labels are source, dataset, outcome, not source"):
        Amounts().count(FILLS, source="espn")


def test_every_metric_has_its_own_name_and_bounds_that_grow() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)
    histograms = [metric for metric in CATALOGUE if isinstance(metric, Histogram)]
    assert all(metric.bounds == tuple(sorted(set(metric.bounds))) for metric in histograms)
