"""Which panels does the dashboard for CloudWatch have, and which question does each answer?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployments.grafana.panels import (
    BARS,
    DAYS,
    GOOD,
    NONE_IS_GOOD,
    STACKED,
    UNJUDGED,
    UTILIZED,
    Json,
    Panel,
    Row,
    dashboard,
)
from tasks.domain.assess.states import LACKING
from tasks.domain.metrics import (
    BREAKERS,
    CELLS,
    CLOUDWATCH,
    CYCLE_SECONDS,
    DETECTED_TO_STORED,
    DUE_TO_DETECTED,
    DUE_TO_STORED,
    FILE_OUTCOME,
    FILE_SECONDS,
    FILES,
    FILL_SECONDS,
    GAPS,
    LIST_REQUESTS,
    LOOK_TIME,
    MISSED_EVENTS,
    OLDEST,
    PAUSES,
    QUEUE,
    REFUSALS,
    REQUESTS,
    RUNS,
    SEEN_TO_VANISHED,
    STATE,
    STORED_BYTES,
    UTILIZATION,
    WAITED_SECONDS,
    Histogram,
    Label,
    Metric,
)
from tasks.domain.outcomes import Outcome

_SENT = {one.metric: one for one in CLOUDWATCH}
_PERCENTILES = ("p50", "p95", "p99")
_FIVE_MINUTES = 300
_SUM: Json = {"reduceOptions": {"calcs": ["sum"], "fields": "", "values": False}}  # over the dashboard's time range


def cloudwatch_dashboard() -> Json:
    """The dashboard whose data source is the CloudWatch to which ADCE sends its metrics."""
    return dashboard(
        "adce-cloudwatch",
        "ADCE (CloudWatch)",
        "What the lake lacks, what is being fetched and how fast, and what stands in the way. Each panel shows all of "
        "the namespace, so each lake needs a namespace of its own.",
        ROWS,
        [
            {
                "type": "textbox",
                "name": "namespace",
                "label": "Namespace",
                "query": "ADCE",
                "current": {"selected": True, "text": "ADCE", "value": "ADCE"},
                "hide": 0,
                "options": [],
            },
        ],
        "cloudwatch",
    )


def _of(metric: Metric, statistic: str, only: Mapping[Label, str] | None = None, period: int | None = None) -> Json:
    """A query for a metric that CloudWatch gets, of all values of its dimensions or of those in `only`.

    A line is named after its dimensions. Further dimensions, which the configuration can add, do not matter.
    """
    sent, only = _SENT[metric], dict(only or {})
    named = [f"${{PROP('Dim.{label.name}')}}" for label in sent.dimensions if label not in only]
    return {
        "id": "",
        "region": "default",
        "namespace": "$namespace",
        "metricName": sent.name,
        "dimensions": {label.name: only.pop(label, "*") for label in sent.dimensions},
        "matchExact": False,
        "statistic": statistic,
        "period": str(period or ""),
        "label": " ".join(named) or statistic,
        "queryMode": "Metrics",
        "metricQueryType": 0,
        "metricEditorMode": 0,
        "expression": "",
    }


def _named(name: str, target: Json) -> Json:
    """The same query, with this text before the dimensions of its lines."""
    return {**target, "label": f"{name} {target['label']}" if "PROP" in target["label"] else name}


def _durations(histogram: Histogram, title: str, question: str, **more: Any) -> Panel:
    targets = [_of(histogram, statistic) for statistic in _PERCENTILES]
    return Panel("timeseries", title, question, targets, unit="s", **more)


ROWS = (
    Row(
        "Now",
        height=4,
        panels=(
            Panel(
                "stat",
                "Holes",
                "How many due files does the lake lack, or have stale or damaged? Deferred ones count, too.",
                [_named(state.replace("_", " "), _of(CELLS, "Maximum", {STATE: state})) for state in LACKING],
                width=6,
                steps=NONE_IS_GOOD,
            ),
            Panel(
                "stat",
                "Age of the last look",
                "How long ago was the lake looked at?",
                [_named("looked", _of(LOOK_TIME, "Maximum"))],
                width=6,
                unit="s",
                steps=UNJUDGED,
            ),
            Panel(
                "stat",
                "Oldest waiting file",
                "How long has that file waited that was detected first?",
                [_named("oldest", _of(OLDEST, "Maximum"))],
                width=6,
                unit="s",
                steps=DAYS,
            ),
            Panel(
                "stat",
                "Open circuit breakers",
                "Of how many scrapers is the circuit breaker not closed?",
                [_named("breakers", _of(BREAKERS, "Maximum"))],
                width=6,
                steps=NONE_IS_GOOD,
            ),
        ),
    ),
    Row(
        "Work",
        panels=(
            Panel(
                "timeseries",
                "Queue depth",
                "How many files wait to be fetched, by priority? A queue that only grows is not kept up with.",
                [_of(QUEUE, "Maximum")],
            ),
            Panel(
                "gauge",
                "Execution rate",
                "How many fills and files were done in the last five minutes?",
                [
                    _named("fills", _of(FILL_SECONDS, "SampleCount", period=_FIVE_MINUTES)),
                    _named("files", _of(FILE_SECONDS, "SampleCount", period=_FIVE_MINUTES)),
                ],
                unit="suffix: in 5 min",
                decimals=0,
                bounds=(0, None),
                steps=((None, GOOD),),
            ),
            Panel(
                "bargauge",
                "Success by scraper",
                "How many files of each source were stored or kept in the dashboard's time range, and how many failed?",
                [
                    _named(outcome, _of(FILES, "Sum", {FILE_OUTCOME: outcome}))
                    for outcome in (Outcome.STORED, Outcome.KEPT, Outcome.FAILED)
                ],
                bounds=(0, None),
                options=_SUM,
            ),
            Panel(
                "histogram",
                "Reconcile cycle",
                "How many reconciles took how long from their start to their plan?",
                [_named("cycle", _of(CYCLE_SECONDS, "Maximum"))],
                unit="s",
            ),
            Panel(
                "gauge",
                "Budget utilisation",
                "Which share of the requests that its rate limit allows has each source had in the last minute?",
                [_of(UTILIZATION, "Maximum")],
                unit="percentunit",
                decimals=0,
                bounds=(0, 1),
                steps=UTILIZED,
            ),
            Panel(
                "piechart",
                "Error distribution",
                "What has kept files from being stored: failed attempts and refused requests, by source?",
                [
                    _named("failed:", _of(FILES, "Sum", {FILE_OUTCOME: Outcome.FAILED})),
                    _named("refused:", _of(REFUSALS, "Sum")),
                ],
                decimals=0,
                options=_SUM,
            ),
        ),
    ),
    Row(
        "Coverage",
        panels=(
            Panel(
                "timeseries",
                "Cells by state",
                "In which states are the files that the lake should hold?",
                [_of(CELLS, "Maximum")],
                drawn=STACKED,
            ),
            Panel(
                "timeseries",
                "Gaps by kind",
                "What is wrong with the files that nothing defers: are they missing, stale, damaged or gone?",
                [_of(GAPS, "Maximum")],
                drawn=STACKED,
            ),
            Panel(
                "timeseries",
                "Runs",
                "How did runs end?",
                [_of(RUNS, "Sum")],
                drawn=BARS,
            ),
        ),
    ),
    Row(
        "How long things take",
        panels=(
            _durations(FILL_SECONDS, "Duration of fills", "How long do fills take?"),
            _durations(FILE_SECONDS, "Duration of files", "How long does a source take to answer for a file?"),
            Panel(
                "timeseries",
                "Waiting for a rate limit",
                "How long does a request wait for its turn (P95)?",
                [_of(WAITED_SECONDS, "p95")],
                unit="s",
            ),
            _durations(DUE_TO_DETECTED, "Due to detected", "How long after a file is due is it known to be missing?"),
            _durations(SEEN_TO_VANISHED, "Vanished to detected", "How soon is it known that a file has vanished?"),
            _durations(DETECTED_TO_STORED, "Detected to stored", "How long does a gap stay open once it is known?"),
            _durations(DUE_TO_STORED, "Due to stored", "How long after a file is due is it in the lake?"),
            _durations(CYCLE_SECONDS, "Reconcile cycle over time", "How long does it take from start to plan?"),
        ),
    ),
    Row(
        "Sources and lake",
        panels=(
            Panel(
                "timeseries",
                "Requests",
                "How many requests were sent to each source, and how many has it refused?",
                [_of(REQUESTS, "Sum"), _named("refused:", _of(REFUSALS, "Sum"))],
                width=6,
            ),
            Panel(
                "timeseries",
                "Pauses",
                "How often has a source refused so much that it was paused?",
                [_named("pauses", _of(PAUSES, "Sum"))],
                width=6,
                drawn=BARS,
            ),
            Panel(
                "timeseries",
                "Bytes stored",
                "How much was stored in the lake?",
                [_named("stored", _of(STORED_BYTES, "Sum"))],
                width=6,
                unit="bytes",
                drawn=BARS,
            ),
            Panel(
                "timeseries",
                "LIST requests",
                "How many LIST requests do looks at the lake cost, and of how many changes has no event told?",
                [
                    _named("LIST requests", _of(LIST_REQUESTS, "Sum")),
                    _named("missed events", _of(MISSED_EVENTS, "Sum")),
                ],
                width=6,
                drawn=BARS,
            ),
        ),
    ),
)
