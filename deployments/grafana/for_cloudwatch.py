"""Which panels does the dashboard for CloudWatch have, and which question does each answer?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployments.grafana.panels import (
    BARS,
    DAYS,
    GOOD,
    NONE_IS_GOOD,
    SHARE,
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
_FIVE_MINUTES, _HOUR = 300, 3600
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


def _computed(name: str, expression: str, of: Mapping[str, Json]) -> list[Json]:
    """A query for what CloudWatch computes out of other queries, by their ids. Only its result is shown."""
    hidden = [{**target, "id": id, "hide": True} for id, target in of.items()]
    shown = {
        **hidden[-1],
        "id": "result",
        "hide": False,
        "expression": expression,
        "label": name,
        "metricEditorMode": 1,
    }
    return [*hidden, shown]


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
                _computed(
                    "holes",
                    " + ".join(f"SUM({state})" for state in LACKING),
                    {state: _of(CELLS, "Maximum", {STATE: state}) for state in LACKING},
                ),
                width=5,
                steps=NONE_IS_GOOD,
            ),
            Panel(
                "stat",
                "Success",
                "Of the files that were tried in the last hour with any, which share does the lake have?",
                _computed(
                    "success",
                    "(SUM(stored) + SUM(kept)) / (SUM(stored) + SUM(kept) + SUM(failed))",
                    {
                        outcome: _of(FILES, "Sum", {FILE_OUTCOME: outcome}, period=_HOUR)
                        for outcome in (Outcome.STORED, Outcome.KEPT, Outcome.FAILED)
                    },
                ),
                width=4,
                unit="percentunit",
                decimals=1,
                bounds=(0, 1),
                steps=SHARE,
            ),
            Panel(
                "stat",
                "Age of the last look",
                "How long ago was the lake looked at?",
                [_named("looked", _of(LOOK_TIME, "Maximum"))],
                width=5,
                unit="s",
                steps=UNJUDGED,
            ),
            Panel(
                "stat",
                "Oldest waiting file",
                "How long has that file waited that was detected first?",
                [_named("oldest", _of(OLDEST, "Maximum"))],
                width=5,
                unit="s",
                steps=DAYS,
            ),
            Panel(
                "stat",
                "Open circuit breakers",
                "Of how many scrapers is the circuit breaker not closed?",
                [_named("breakers", _of(BREAKERS, "Maximum"))],
                width=5,
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
                "How many files a minute were done in the last five minutes?",
                _computed(
                    "files",
                    "SUM(files) / 5",
                    {"files": _of(FILES, "Sum", period=_FIVE_MINUTES)},
                ),
                unit="suffix:/min",
                decimals=1,
                bounds=(0, None),
                steps=((None, GOOD),),
            ),
            Panel(
                "bargauge",
                "Files by source",
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
                "Of which sources did files fail?",
                [_of(FILES, "Sum", {FILE_OUTCOME: Outcome.FAILED})],
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
