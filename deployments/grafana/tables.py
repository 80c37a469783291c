"""Which metrics, recording rules and panels are there? As tables for people, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from deployments.grafana import for_cloudwatch, for_prometheus
from deployments.grafana.alerts import alerting_rules
from deployments.grafana.rules import rules
from tasks.domain.metrics import CATALOGUE, CLOUDWATCH, CloudWatchMetric, Histogram, Label, Metric
from tasks.domain.wording import duration

_HEAD = """\
# Metrics, rules and panels

`python -m deployments.grafana` makes this page from [the catalogue](../../tasks/domain/metrics.py), as it makes the
dashboards and the rules. [This page](README.md) says how to load them.
"""


def page() -> str:
    """The page with all tables."""
    return "\n".join(
        [_HEAD, *_metrics(), "", *_labels(), "", *_cloudwatch(), "", *_rules(), "", *_alerts(), "", *_panels()]
    )


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    yield "Counters and histograms are never pruned, and begin at 0 with a new ledger.\n"
    rows = ((f"`{m.name}`", _kind(m), m.unit.removeprefix("timestamp_"), _names(m), m.help) for m in CATALOGUE)
    yield from _table(("metric", "type", "unit", "labels", "meaning"), rows)
    yield "\nThe buckets of the histograms end at these durations:\n"
    bounds: dict[str, list[str]] = {}
    for metric in CATALOGUE:
        if isinstance(metric, Histogram):
            text = ", ".join(_bound(seconds) for seconds in metric.bounds)
            bounds.setdefault(text, []).append(f"`{metric.name}`")
    yield from _table(("histograms", "bounds"), ((", ".join(names), text) for text, names in bounds.items()))


def _labels() -> Iterator[str]:
    yield "## Labels\n"
    labels: dict[Label, list[str]] = {}
    for metric in CATALOGUE:
        for label in metric.labels:
            labels.setdefault(label, []).append(f"`{metric.name}`")
    rows = (
        (f"`{label.name}`", ", ".join(label.values) or f"the {label.name}s of the configuration", _some(names))
        for label, names in labels.items()
    )
    yield from _table(("label", "values", "of"), rows)


def _rules() -> Iterator[str]:
    yield "## Recording rules\n"
    says = {rule.record: rule.says for rule in rules()}
    yield from _table(("series", "meaning"), ((f"`{record}`", text) for record, text in says.items()))


def _alerts() -> Iterator[str]:
    yield "## Alerting rules\n"
    rows = (
        (
            f"`{rule.alert}`",
            rule.title,
            rule.severity,
            ", ".join(rule.labels),
            _span(rule.holds_for),
            _span(rule.keep_for),
        )
        for rule in alerting_rules()
    )
    yield from _table(("alert", "what is wrong", "severity", "labels", "fires after", "and until not for"), rows)


def _span(span: timedelta) -> str:
    return duration(span) if span else ""


def _cloudwatch() -> Iterator[str]:
    yield "## In CloudWatch\n"
    rows = ((f"`{one.name}`", ", ".join(label.name for label in one.dimensions), _meaning(one)) for one in CLOUDWATCH)
    yield from _table(("metric", "dimensions", "meaning"), rows)


def _meaning(one: CloudWatchMetric) -> str:
    return f"How many seconds ago that was: {one.metric.help}" if one.is_age else one.metric.help


def _panels() -> Iterator[str]:
    for title, rows in (("Prometheus", for_prometheus.ROWS), ("CloudWatch", for_cloudwatch.ROWS)):
        yield f"## Panels of the dashboard for {title}\n"
        panels = ((row.title, panel.title, panel.kind, panel.question) for row in rows for panel in row.panels)
        yield from _table(("row", "panel", "kind", "what it answers"), panels)
        yield ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(cells)} |"


def _kind(metric: Metric) -> str:
    return type(metric).__name__.lower()


def _bound(seconds: float) -> str:
    return f"{seconds:g}s" if seconds < 60 else duration(timedelta(seconds=seconds))


def _names(metric: Metric) -> str:
    return ", ".join(label.name for label in metric.labels)


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
