"""Are amounts counted in the right series, and do the names of metrics follow the conventions of Prometheus?"""

import re
from pathlib import Path

import pytest

from config.models import METRICS_OWN
from tasks.domain.metrics import (
    BEYOND,
    CATALOGUE,
    CLOUDWATCH,
    FILE_SECONDS,
    FILES,
    FILLS,
    LOOK_TIME,
    REQUESTS,
    SUM,
    Amounts,
    Counter,
    Histogram,
    Metric,
    Series,
)
from tests.builders import a_config

ROOT = Path(__file__).parents[2]
EXCEPT = ("tasks/ledger/migrations/",)  # a migration keeps the names of its time
MADE = {
    "deployments/grafana/metrics.md",
    *(f"deployments/grafana/prometheus/adce.{name}.yml" for name in ("rules", "alerts")),
    *(f"deployments/grafana/dashboards/adce-{name}.json" for name in ("prometheus", "cloudwatch")),
}
LABELS = {"source": "espn", "dataset": "d"}


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(-1.0, "0.1"), (0.0, "0.1"), (0.1, "0.1"), (0.11, "0.25"), (300.0, "300"), (300.1, BEYOND)],
)
def test_a_duration_is_counted_within_the_first_bound_that_it_does_not_exceed(seconds: float, bucket: str) -> None:
    amounts = Amounts()
    amounts.observe(FILE_SECONDS, seconds, dataset="d")
    assert amounts.by_series == {
        Series(FILE_SECONDS.name, '{"dataset":"d"}', bucket): 1,
        Series(FILE_SECONDS.name, '{"dataset":"d"}', SUM): max(seconds, 0.0),
    }


def test_amounts_of_one_series_add_up_and_none_is_no_amount() -> None:
    amounts = Amounts()
    for amount in (2, 0, 3):
        amounts.count(REQUESTS, amount, **LABELS)
    amounts.observe_between(FILE_SECONDS, None, None, dataset="d")
    assert amounts.by_series == {Series(REQUESTS.name, '{"dataset":"d","source":"espn"}'): 5}


def test_a_label_that_a_counter_does_not_have_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="the labels are source, dataset, outcome, not source"):
        Amounts().count(FILLS, source="espn")


def test_every_metric_has_its_own_name_and_bounds_that_grow() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE) > 30
    histograms = [metric for metric in CATALOGUE if isinstance(metric, Histogram)]
    assert all(metric.bounds == tuple(sorted(set(metric.bounds))) for metric in histograms)


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_a_name_follows_the_conventions(metric: Metric) -> None:
    is_total = metric.name.endswith("_total")
    assert re.fullmatch("adce(_[a-z]+)+", metric.name)
    assert is_total == isinstance(metric, Counter)
    assert metric.name.removesuffix("_total").endswith(metric.unit)
    assert metric.unit or not re.search("_(seconds|bytes|ratio)(_total)?$", metric.name)
    assert metric.help.endswith(".")


def test_the_catalogue_has_at_most_2000_series_with_the_default_configuration() -> None:
    config = a_config()
    most = {metric.name: metric.most_series(config) for metric in CATALOGUE}
    assert most[FILLS.name] == len(config.datasets) * 4
    assert most[FILE_SECONDS.name] == len(config.datasets) * (len(FILE_SECONDS.bounds) + 3)
    assert sum(most.values()) <= 2000, most


def test_no_name_of_a_metric_is_written_outside_of_the_catalogue() -> None:
    name = re.compile(r"\b(" + "|".join(metric.name for metric in CATALOGUE) + r")(_bucket|_count|_sum)?\b")
    files = [
        file
        for folder in ("config", "tasks", "blocks", "flows", "deployments")
        for file in (ROOT / folder).rglob("*")
        if file.suffix not in (".pyc", "") and not file.relative_to(ROOT).as_posix().startswith(EXCEPT)
    ]
    found = {file.relative_to(ROOT).as_posix() for file in files if name.search(file.read_text())}
    assert found == {"tasks/domain/metrics.py", *MADE}


def test_cloudwatch_gets_at_most_60_metrics_with_the_default_configuration() -> None:
    config = a_config()
    most = {one.name: one.most_series(config) for one in CLOUDWATCH}
    assert len(most) == len(CLOUDWATCH)
    assert sum(most.values()) <= 60, most
    assert all(set(one.dimensions) <= set(one.metric.labels) for one in CLOUDWATCH)
    assert most[FILES.name] == len(config.sources) * 4
    assert {label.name for one in CLOUDWATCH for label in one.dimensions} | {"sandbox"} == set(METRICS_OWN)


def test_cloudwatch_gets_the_age_of_a_moment_under_a_name_that_says_so() -> None:
    ages = {one.metric.name: one.name for one in CLOUDWATCH if one.is_age}
    assert ages[LOOK_TIME.name] == "adce_look_age_seconds"
    assert all(one.name == one.metric.name for one in CLOUDWATCH if not one.is_age)
