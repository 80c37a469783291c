"""Do both of Prometheus's text formats say what was measured? The parsers of prometheus-client read them back."""

from collections.abc import Iterable
from itertools import accumulate

import pytest
from prometheus_client import Metric as Family
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from tasks.domain.metrics import (
    CATALOGUE,
    FILE_SECONDS,
    FILES,
    QUEUE,
    STORED_BYTES,
    UNKNOWN,
    Distribution,
    Histogram,
    Measured,
)
from tasks.show.exposition import open_metrics, text
from tests.builders import NOW, a_config, every_series

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _samples(families: Iterable[Family]) -> Samples:
    found = [(sample.name, frozenset(sample.labels.items()), sample.value) for f in families for sample in f.samples]
    samples = {(name, labels): value for name, labels, value in found}
    assert len(samples) == len(found)
    return samples


def _expected(measured: Measured) -> Samples:
    samples = {}
    for metric, values in measured.values.items():
        for labels, value in values.items():
            names = [label.name for label in metric.labels]
            samples[metric.name, frozenset(zip(names, labels, strict=True))] = value
    for histogram, distributions in measured.distributions.items():
        for labels, (counts, total) in distributions.items():
            own = frozenset(zip([label.name for label in histogram.labels], labels, strict=True))
            for bound, value in zip([*histogram.bounds, float("inf")], accumulate(counts), strict=True):
                le = "+Inf" if bound == float("inf") else str(bound).replace("2592000.0", "2.592e+06")
                samples[f"{histogram.name}_bucket", own | {("le", le)}] = value
            samples[f"{histogram.name}_count", own] = sum(counts)
            samples[f"{histogram.name}_sum", own] = total
    return samples


def test_both_formats_say_every_value_that_was_measured() -> None:
    config = a_config()
    measured = every_series(config)
    plain = [*text_string_to_metric_families(text(measured).decode())]
    opened = [*openmetrics_parser.text_string_to_metric_families(open_metrics(measured).decode())]
    assert _samples(plain) == _samples(opened) == _expected(measured)
    assert len(_samples(plain)) == sum(metric.most_series(config) for metric in CATALOGUE)


def test_a_family_has_the_type_the_help_and_the_unit_of_the_catalogue() -> None:
    written = open_metrics(every_series(a_config())).decode()
    families = {family.name: family for family in openmetrics_parser.text_string_to_metric_families(written)}
    assert [*families] == [metric.name.removesuffix("_total") for metric in CATALOGUE]
    for metric in CATALOGUE:
        family = families[metric.name.removesuffix("_total")]
        assert family.documentation == metric.help
        assert family.type == type(metric).__name__.lower()
        assert family.unit == metric.unit.removeprefix("timestamp_")
    assert families[FILE_SECONDS.name].unit == "seconds"
    assert families["adce_stored_bytes"].unit == STORED_BYTES.unit == "bytes"


def test_what_is_not_known_is_left_out_and_what_is_0_is_not() -> None:
    measured = Measured(NOW, {QUEUE: {("HIGH",): 0.0}, FILES: {}})
    assert text(measured).decode().splitlines() == [
        f"# HELP {QUEUE.name} {QUEUE.help}",
        f"# TYPE {QUEUE.name} gauge",
        f'{QUEUE.name}{{priority="HIGH"}} 0.0',
    ]
    assert open_metrics(Measured(NOW)) == b"# EOF\n"


@pytest.mark.parametrize("name", ['say "it"', "back\\slash", "two\nlines", "naïve, {x}=1"])
def test_the_value_of_a_label_may_have_any_character(name: str) -> None:
    measured = Measured(NOW, {UNKNOWN: {(name,): 3.0}}, {FILE_SECONDS: {(name,): _one(FILE_SECONDS)}})
    plain = [*text_string_to_metric_families(text(measured).decode())]
    opened = [*openmetrics_parser.text_string_to_metric_families(open_metrics(measured).decode())]
    assert _samples(plain) == _samples(opened) == _expected(measured)


def _one(histogram: Histogram) -> Distribution:
    return Distribution((1.0,) + (0.0,) * len(histogram.bounds), 0.05)
