"""How do metrics look for Prometheus? In its text format and in that of OpenMetrics, as prometheus-client writes them.

To write all series costs much more CPU than to send them, so a service writes them once for each refresh of what it
measures, not for each request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import exposition, metrics_core
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tasks.domain.metrics import BEYOND, CATALOGUE, Counter, Histogram, Measured, Metric, Unit

TEXT = exposition.CONTENT_TYPE_PLAIN_0_0_4
OPEN_METRICS = openmetrics_exposition.CONTENT_TYPE_LATEST


def text(measured: Measured) -> bytes:
    """The metrics in Prometheus's text format, version 0.0.4."""
    return exposition.generate_latest(_Families(measured))


def open_metrics(measured: Measured) -> bytes:
    """The metrics in the text format of OpenMetrics 1.0."""
    written: bytes = openmetrics_exposition.generate_latest(_Families(measured))  # type: ignore[no-untyped-call]
    return written


@dataclass(frozen=True, slots=True)
class _Families(Collector):
    """The metrics of one moment, as prometheus-client's writers want them."""

    measured: Measured

    def collect(self) -> Iterator[metrics_core.Metric]:
        """The families of all metrics of which something is known, in the order of the catalogue."""
        for metric in CATALOGUE:
            family = self._histogram(metric) if isinstance(metric, Histogram) else self._values(metric)
            if family.samples:
                yield family

    def _values(self, metric: Metric) -> metrics_core.Metric:
        form = metrics_core.CounterMetricFamily if isinstance(metric, Counter) else metrics_core.GaugeMetricFamily
        family = form(metric.name, metric.help, labels=_labels(metric), unit=_unit(metric))
        for labels, value in self.measured.values.get(metric, {}).items():
            family.add_metric(labels, value)
        return family

    def _histogram(self, metric: Histogram) -> metrics_core.Metric:
        labels = _labels(metric)
        family = metrics_core.HistogramMetricFamily(metric.name, metric.help, labels=labels, unit=_unit(metric))
        bounds = [*map(floatToGoString, metric.bounds), BEYOND]
        for values, found in self.measured.distributions.get(metric, {}).items():
            cumulative = accumulate(found.counts)
            family.add_metric(values, list(zip(bounds, cumulative, strict=True)), found.sum)
        return family


def _labels(metric: Metric) -> list[str]:
    return [label.name for label in metric.labels]


def _unit(metric: Metric) -> str:
    """The unit by the rules of OpenMetrics, which knows no timestamps apart from seconds."""
    return Unit.SECONDS if metric.unit is Unit.TIMESTAMP else metric.unit
