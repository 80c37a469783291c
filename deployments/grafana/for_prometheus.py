"""Which panels does the dashboard for Prometheus have, and which question does each answer?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deployments.grafana.panels import (
    BAD,
    BARS,
    DAYS,
    FAIR,
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
from deployments.grafana.rules import BUSY, COMPLETE, DUE, QUANTILES, REFUSED, SUCCESS, THERE, quantiles_of
from tasks.domain.assess.states import LACKING, State
from tasks.domain.event_path import PathState
from tasks.domain.limits.pauses import Phase
from tasks.domain.metrics import (
    ALERTS_LIMIT,
    ALERTS_MISSED,
    ALERTS_OWNER,
    BREAKERS,
    CELLS,
    CHECKS,
    COMPLETE_UNTIL,
    CRITICAL_FILES,
    CRITICAL_OLDEST,
    CYCLE_LASTS,
    CYCLE_SECONDS,
    DEFERRALS,
    DEFERRED,
    DETECTED_TO_STORED,
    DUE_TO_DETECTED,
    DUE_TO_STORED,
    EVENT_PATH,
    EVENTS,
    FAILURES,
    FILE_SECONDS,
    FILES,
    FILL_SECONDS,
    FILLS,
    FIRST_RUN,
    GAPS,
    INCIDENTS,
    LAKE_BYTES,
    LAKE_FILES,
    LAST_RECONCILE,
    LAST_RUN,
    LIST_REQUESTS,
    LOOK_TIME,
    LOST_FILES,
    MISSED_EVENTS,
    OLDEST,
    PATH_STATE,
    PAUSED_SINCE,
    PAUSES,
    PHASE,
    QUEUE,
    RATE,
    REQUESTS,
    RUN_SECONDS,
    RUNS,
    RUNS_AT_WORK,
    SEEN_TO_VANISHED,
    SNAPSHOT_SECONDS,
    SNAPSHOT_TIME,
    SOURCE_PHASE,
    STORED_BYTES,
    UNKNOWN,
    UNREAD,
    UNREADABLE_FILES,
    UNREADABLE_MESSAGES,
    UTILIZATION,
    VERDICT,
    VERIFIED_SINCE,
    WAITED_SECONDS,
    WATCH_PROGRESS,
    Histogram,
    Label,
    Metric,
)


def prometheus_dashboard() -> Json:
    """The dashboard whose data source is a Prometheus that scrapes ADCE and has its recording rules."""
    return dashboard(
        "adce-prometheus",
        "ADCE",
        "What the lake lacks, what is being fetched and how fast, and what stands in the way. "
        "Needs ADCE's recording rules in Prometheus.",
        ROWS,
        [
            _variable("instance", f"label_values({SNAPSHOT_TIME.name}, instance)", many=False),
            _variable("source", f'label_values({REQUESTS.name}{{instance=~"$instance"}}, source)'),
            _variable("dataset", f'label_values({REQUESTS.name}{{instance=~"$instance", source=~"$source"}}, dataset)'),
        ],
        "prometheus",
    )


def expressions(document: Json) -> Iterator[str]:
    """All queries of a dashboard."""
    for panel in document["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def _variable(name: str, query: str, *, many: bool = True) -> Json:
    return {
        "type": "query",
        "name": name,
        "label": name.capitalize(),
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "regex": "",
        "includeAll": many,
        "multi": many,
        "options": [],
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if many else {},
    }


def _of(name: str, labels: set[str], *matchers: str) -> str:
    """The series with this name of the chosen instance, sources and datasets, as far as it has such labels."""
    chosen = [f'{label}=~"${label}"' for label in ("instance", "source", "dataset") if label in {*labels, "instance"}]
    return f"{name}{{{', '.join([*chosen, *matchers])}}}"


def _series(metric: Metric, *matchers: str, part: str = "") -> str:
    return _of(metric.name + part, {label.name for label in metric.labels}, *matchers)


def _now(expr: str, legend: str = "", **more: Any) -> Json:
    """A query for the values at the end of the dashboard's time range."""
    return {"expr": expr, "legendFormat": legend or "__auto", "instant": True, "range": False, **more}


def _over_time(expr: str, legend: str = "") -> Json:
    return {"expr": expr, "legendFormat": legend or "__auto", "instant": False, "range": True}


def _age(metric: Metric, *matchers: str) -> str:
    """How long ago the moment was that a gauge tells. Grafana has no better way to show that it passes."""
    return f"time() - {_series(metric, *matchers)}"


def _sum(by: str, of: str) -> str:
    return f"sum by ({by}) ({of})" if by else f"sum ({of})"


def _growth(metric: Metric, by: str, *matchers: str, within: str = "$__rate_interval") -> str:
    return _sum(by, f"increase({_series(metric, *matchers)}[{within}])")


def _state(metric: Metric, label: Label, values: Sequence[str], by: str) -> str:
    """Which of the values of a label a gauge of 0 and 1 has: its place in the list."""
    chosen = (_series(metric, f'{label.name}="{value}"') for value in values)
    parts = [f"{at} * max by ({by}) ({one} == 1)" for at, one in enumerate(chosen)]
    return " or ".join(parts)


def _durations(histogram: Histogram, title: str, question: str, **more: Any) -> Panel:
    """P50, P95 and P99 of a histogram, over all of its labels, as the recording rules compute them."""
    record = quantiles_of(histogram, by_labels=False)
    targets = [_over_time(_of(record, set(), f'quantile="{q}"'), f"P{q * 100:g}") for q in QUANTILES]
    return Panel("timeseries", title, question, targets, unit="s", **more)


def _slowest(histogram: Histogram, title: str, question: str, legend: str, **more: Any) -> Panel:
    """P95 of a histogram for each of its labels."""
    labels = {label.name for label in histogram.labels}
    target = _over_time(_of(quantiles_of(histogram, by_labels=True), labels, 'quantile="0.95"'), legend)
    return Panel("timeseries", title, question, [target], unit="s", **more)


_HALF_A_DAY = 12 * 3600  # seconds before the end of a day in America, when UTC has the same date
_PHASES = (Phase.CLOSED, Phase.HALF_OPEN, Phase.OPEN)
_VERDICTS = {0: ("pass", GOOD), 1: ("warn", FAIR), 2: ("fail", BAD)}
_PATHS = (PathState.PROVED, PathState.UNPROVED, PathState.BROKEN)

_LACKING = f'state=~"{"|".join(LACKING)}"'

ROWS = (
    Row(
        "Now",
        height=4,
        panels=(
            Panel(
                "stat",
                "Health",
                "What is the worst verdict of the checks that /health of `adce serve` makes?",
                [_now(f"max ({_state(CHECKS, VERDICT, VERDICT.values, 'check')})")],
                width=3,
                mappings=_VERDICTS,
            ),
            Panel(
                "stat",
                "Complete",
                "Which share of the due files is in the lake, or known to be unavailable?",
                [_now(f"{_sum('', _series(CELLS, THERE))} / ({_sum('', _series(CELLS, DUE))} > 0)")],
                width=3,
                unit="percentunit",
                decimals=2,
                bounds=(0, 1),
                steps=SHARE,
            ),
            Panel(
                "stat",
                "Holes",
                "How many due files does the lake lack, or have stale or damaged? Deferred ones count, too.",
                [_now(_sum("", _series(CELLS, _LACKING)))],
                width=3,
                steps=NONE_IS_GOOD,
            ),
            Panel(
                "stat",
                "Last reconcile",
                "How long ago did the last reconcile of everything end that worked through its plan?",
                [_now(_age(LAST_RECONCILE))],
                width=3,
                unit="s",
                steps=UNJUDGED,
            ),
            Panel(
                "stat",
                "Oldest waiting file",
                "How long has that file waited that was detected first?",
                [_now(f"time() - min ({_series(OLDEST)})")],
                width=3,
                unit="s",
                steps=DAYS,
            ),
            Panel(
                "stat",
                "Open circuit breakers",
                "Of how many scrapers is the circuit breaker not closed?",
                [_now(_sum("", _series(BREAKERS)))],
                width=3,
                steps=NONE_IS_GOOD,
            ),
            Panel(
                "stat",
                "Age of these values",
                "How long ago were they read from the ledger, and how long ago was the lake looked at?",
                [_now(_age(SNAPSHOT_TIME), "read"), _now(_age(LOOK_TIME), "looked")],
                width=6,
                unit="s",
                steps=UNJUDGED,
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
                [_over_time(_sum("priority", _series(QUEUE)), "{{priority}}")],
            ),
            Panel(
                "gauge",
                "Execution rate",
                "How many fills and files a minute were done in the last five minutes?",
                [
                    _now(f"60 * {_sum('', f'rate({_series(FILLS)}[5m])')}", "fills"),
                    _now(f"60 * {_sum('', f'rate({_series(FILES)}[5m])')}", "files"),
                ],
                unit="suffix:/min",
                decimals=1,
                bounds=(0, None),
                steps=((None, GOOD),),
            ),
            Panel(
                "bargauge",
                "Success by scraper",
                "Of the files that a scraper tried in the last day and its source had, which share does the lake have?",
                [_now(_of(SUCCESS, {"source", "dataset"}), "{{dataset}}")],
                unit="percentunit",
                decimals=1,
                bounds=(0, 1),
                steps=SHARE,
            ),
            Panel(
                "bargauge",
                "Reconcile cycle",
                "How many reconciles took how long from their start to their plan? Each bar counts those that took at "
                "most so many seconds, and longer than the bar before.",
                [
                    _now(
                        _sum("le", f"increase({_series(CYCLE_SECONDS, part='_bucket')}[$__range])"),
                        "{{le}}",
                        format="heatmap",
                    )
                ],
                decimals=0,
                bounds=(0, None),
                options={"orientation": "vertical"},
            ),
            Panel(
                "gauge",
                "Budget utilisation",
                "Which share of the requests that its rate limit allows has each source had in the last minute?",
                [_now(f"max by (source) ({_series(UTILIZATION)})", "{{source}}")],
                unit="percentunit",
                decimals=0,
                bounds=(0, 1),
                steps=UTILIZED,
            ),
            Panel(
                "piechart",
                "Error distribution",
                "Why did attempts at files fail?",
                [_now(_growth(FAILURES, "failure", within="$__range"), "{{failure}}")],
                decimals=0,
            ),
            Panel(
                "timeseries",
                "CRITICAL files",
                "How many files of games of the last days wait to be fetched, by dataset?",
                [_over_time(_sum("dataset", _series(CRITICAL_FILES)), "{{dataset}}")],
            ),
            Panel(
                "timeseries",
                "Oldest CRITICAL file",
                "For how long has that one of them waited that was detected first, by dataset?",
                [_over_time(f"time() - min by (dataset) ({_series(CRITICAL_OLDEST)})", "{{dataset}}")],
                unit="s",
            ),
            Panel(
                "timeseries",
                "Open incidents",
                "How many incidents are open, by what is wrong? `adce alerts list` and /incidents say more.",
                [_over_time(_sum("kind", f"{_series(INCIDENTS)} > 0"), "{{kind}}")],
            ),
            Panel(
                "stat",
                "Who tells of incidents",
                "Who tells of incidents, by the setting alerts.owner: ADCE, Prometheus or nobody?",
                [_now(f"{_series(ALERTS_OWNER)} == 1", "{{owner}}")],
                steps=UNJUDGED,
            ),
            Panel(
                "timeseries",
                "Limits of conditions",
                "Above which value does a condition hold for a source, by the settings?",
                [
                    _over_time(f"{_series(ALERTS_LIMIT)} > 0", "{{kind}} {{source}}"),
                    _over_time(_series(ALERTS_MISSED), "missed_events, of all of a day"),
                ],
            ),
        ),
    ),
    Row(
        "Coverage",
        panels=(
            Panel(
                "table",
                "Datasets",
                "How complete is each dataset, how many holes does it have, and up to which day does it lack nothing?",
                [
                    _now(_sum("dataset", _of(COMPLETE, {"source", "dataset"})), format="table"),
                    _now(_sum("dataset", _series(CELLS, _LACKING)), format="table"),
                    _now(_sum("dataset", _series(CELLS, f'state="{State.DEFERRED}"')), format="table"),
                    _now(_sum("dataset", _series(CELLS, f'state="{State.UNAVAILABLE}"')), format="table"),
                    _now(f"(max by (dataset) ({_series(COMPLETE_UNTIL)}) - {_HALF_A_DAY}) * 1000", format="table"),
                    _now(_sum("dataset", _series(LAKE_FILES)), format="table"),
                    _now(_sum("dataset", _series(LAKE_BYTES)), format="table"),
                ],
                width=16,
                columns={
                    "A": ("Complete", "percentunit"),
                    "B": ("Holes", "short"),
                    "C": ("Of them deferred", "short"),
                    "D": ("Unavailable", "short"),
                    "E": ("Last complete day", "time:YYYY-MM-DD"),
                    "F": ("Files", "short"),
                    "G": ("Size", "bytes"),
                },
            ),
            Panel(
                "timeseries",
                "Cells by state",
                "In which states are the files that the lake should hold?",
                [_over_time(_sum("state", _series(CELLS)), "{{state}}")],
                drawn=STACKED,
            ),
            Panel(
                "timeseries",
                "Gaps by kind",
                "What is wrong with the files that nothing defers: are they missing, stale, damaged or gone?",
                [_over_time(_sum("kind", _series(GAPS)), "{{kind}}")],
                drawn=STACKED,
            ),
            Panel(
                "timeseries",
                "Lost and unreadable files",
                "How many files have vanished or shrunk, or cannot be read, whether they are deferred or not?",
                [
                    _over_time(_sum("dataset", _series(LOST_FILES)), "{{dataset}} lost"),
                    _over_time(_sum("dataset", _series(UNREADABLE_FILES)), "{{dataset}} unreadable"),
                ],
            ),
            Panel(
                "timeseries",
                "Deferred files by rule",
                "Which rules keep files from being fetched now?",
                [_over_time(f"{_sum('limit', _series(DEFERRED))} > 0", "{{limit}}")],
                drawn=STACKED,
            ),
            Panel(
                "timeseries",
                "Not judged yet",
                "How many schedules that each dataset needs are unknown, and how many files has no body check read? "
                "Several datasets may need the same schedule.",
                [
                    _over_time(f"{_series(UNKNOWN)} > 0", "{{dataset}}: unknown schedules"),
                    _over_time(_series(UNREAD), "unread files"),
                ],
            ),
        ),
    ),
    Row(
        "How long things take",
        panels=(
            _durations(FILL_SECONDS, "Duration of fills", "How long do fills take?"),
            _durations(FILE_SECONDS, "Duration of files", "How long does a source take to answer for a file?"),
            _slowest(FILE_SECONDS, "Slowest datasets", "For which dataset does it take longest (P95)?", "{{dataset}}"),
            _durations(WAITED_SECONDS, "Waiting for a rate limit", "How long does a request wait for its turn?"),
            _durations(CYCLE_SECONDS, "Reconcile cycle over time", "How long does it take from start to plan?"),
            Panel(
                "timeseries",
                "Last reconcile cycle",
                "How long did the last reconcile of everything take to its plan, or has the one at work taken so far?",
                [_over_time(_series(CYCLE_LASTS), "to the plan")],
                unit="s",
            ),
            _slowest(RUN_SECONDS, "Parts of runs", "Which part of a run takes longest (P95)?", "{{flow}}: {{part}}"),
        ),
    ),
    Row(
        "How soon gaps are found and closed",
        panels=(
            _durations(
                DUE_TO_DETECTED, "Due to detected", "How long after a file is due is it known to be missing?", width=6
            ),
            _durations(
                SEEN_TO_VANISHED, "Vanished to detected", "How soon is it known that a file has vanished?", width=6
            ),
            _durations(
                DETECTED_TO_STORED, "Detected to stored", "How long does a gap stay open once it is known?", width=6
            ),
            _durations(DUE_TO_STORED, "Due to stored", "How long after a file is due is it in the lake?", width=6),
        ),
    ),
    Row(
        "Sources",
        panels=(
            Panel(
                "state-timeline",
                "Pauses",
                "When was a source asked, when paused, and when was it tried with one request?",
                [_over_time(_state(SOURCE_PHASE, PHASE, _PHASES, "source"), "{{source}}")],
                mappings={0: ("asked", GOOD), 1: ("tried", FAIR), 2: ("paused", BAD)},
            ),
            Panel(
                "timeseries",
                "Length of pauses",
                "For how long has a source been paused after refusals?",
                [_over_time(f"{_age(PAUSED_SINCE)} or 0 * {_series(RATE)}", "{{source}}")],
                unit="s",
            ),
            Panel(
                "timeseries",
                "Requests a second",
                "How fast is each source asked, and how fast may it be?",
                [
                    _over_time(_sum("source", f"rate({_series(REQUESTS)}[$__rate_interval])"), "{{source}}"),
                    _over_time(f"max by (source) ({_series(RATE)})", "{{source}}: allowed"),
                ],
                unit="reqps",
            ),
            Panel(
                "timeseries",
                "Refusals",
                "Which share of its requests has a source refused in the last hour?",
                [_over_time(_of(REFUSED, {"source"}), "{{source}}")],
                unit="percentunit",
                bounds=(0, 1),
            ),
            Panel(
                "timeseries",
                "Pauses begun",
                "How many pauses of each source have begun in the last hour?",
                [_over_time(_growth(PAUSES, "source", within="1h"), "{{source}}")],
                bounds=(0, None),
            ),
            Panel(
                "timeseries",
                "Utilisation over an hour",
                "Is a source's rate limit what holds the work up?",
                [_over_time(_of(BUSY, {"source"}), "{{source}}")],
                unit="percentunit",
                bounds=(0, 1),
            ),
            Panel(
                "timeseries",
                "Files by outcome",
                "How many files were stored, kept, deferred, or failed?",
                [_over_time(_growth(FILES, "outcome"), "{{outcome}}")],
                drawn=BARS,
            ),
            Panel(
                "timeseries",
                "Failures by scraper",
                "Of which datasets did attempts at files fail?",
                [_over_time(_growth(FAILURES, "dataset"), "{{dataset}}")],
                drawn=BARS,
            ),
            Panel(
                "timeseries",
                "Deferrals by rule",
                "Which rules kept files from being fetched while a fill was at work?",
                [_over_time(f"{_growth(DEFERRALS, 'limit')} > 0", "{{limit}}")],
                drawn=BARS,
            ),
            Panel(
                "timeseries",
                "Bytes stored",
                "How much is stored in the lake each second?",
                [_over_time(_sum("source", f"rate({_series(STORED_BYTES)}[$__rate_interval])"), "{{source}}")],
                unit="Bps",
                drawn=STACKED,
            ),
        ),
    ),
    Row(
        "Events and listings",
        panels=(
            Panel(
                "state-timeline",
                "Event path",
                "Are the lake's events known to arrive?",
                [_over_time(_state(EVENT_PATH, PATH_STATE, _PATHS, "instance"), "events")],
                mappings={0: ("proved", GOOD), 1: ("unproved", FAIR), 2: ("broken", BAD)},
                width=6,
            ),
            Panel(
                "timeseries",
                "Messages",
                "What became of the messages of the lake's events, and which changes did none tell of?",
                [
                    _over_time(_growth(EVENTS, "fate"), "{{fate}}"),
                    _over_time(_growth(MISSED_EVENTS, ""), "missed"),
                ],
                width=6,
                drawn=BARS,
            ),
            Panel(
                "timeseries",
                "Watch",
                "How long ago was the queue read, and when was the part of the lake listed that was not for longest?",
                [
                    _over_time(_age(WATCH_PROGRESS), "queue read"),
                    _over_time(_age(VERIFIED_SINCE), "oldest listing"),
                ],
                width=6,
                unit="s",
            ),
            Panel(
                "timeseries",
                "LIST requests",
                "How many LIST requests do looks at the lake cost, and how many messages cannot be read?",
                [
                    _over_time(_growth(LIST_REQUESTS, "", within="1h"), "LIST requests an hour"),
                    _over_time(_series(UNREADABLE_MESSAGES), "unreadable messages"),
                ],
                width=6,
            ),
        ),
    ),
    Row(
        "ADCE itself",
        panels=(
            Panel(
                "state-timeline",
                "Checks",
                "When did each check of /health pass, warn or fail? It says itself what makes it warn and fail.",
                [_over_time(_state(CHECKS, VERDICT, VERDICT.values, "check"), "{{check}}")],
                mappings=_VERDICTS,
            ),
            Panel(
                "timeseries",
                "Runs",
                "How did runs end?",
                [_over_time(_growth(RUNS, "flow, outcome"), "{{flow}}: {{outcome}}")],
                drawn=BARS,
            ),
            Panel(
                "timeseries",
                "Runs at work",
                "How many runs are at work?",
                [_over_time(_series(RUNS_AT_WORK), "{{flow}}")],
            ),
            Panel(
                "bargauge",
                "Last runs",
                "How long ago did the last run of each flow end with each outcome, at a part of the lake or all of it?",
                [_now(_age(LAST_RUN), "{{flow}} {{outcome}}"), _now(_age(FIRST_RUN), "the first one began")],
                unit="s",
            ),
            Panel(
                "timeseries",
                "Cost of these metrics",
                "How long does it take to read these values from the ledger?",
                [_over_time(_series(SNAPSHOT_SECONDS), "read")],
                unit="s",
            ),
        ),
    ),
)
