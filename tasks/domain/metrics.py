"""Which metrics does ADCE have? Every name, label, unit and bound of a histogram is written here and nowhere else.

Counters and histograms are running totals of the ledger: a transaction that records a fact adds to them, and they are
never pruned. Gauges tell what the ledger knows at one moment. The names follow the conventions of Prometheus:
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from math import prod
from typing import NamedTuple, get_args

from config.models import AlertsOwner, Config, IncidentKind, Priority
from tasks.domain.arrivals import Fate
from tasks.domain.assess.states import Kind, State
from tasks.domain.event_path import PathState
from tasks.domain.flow_names import FLOWS
from tasks.domain.limits.pauses import Phase
from tasks.domain.outcomes import Failure, Outcome, RunEnd, RunPart
from tasks.domain.reasons import Limit


class Unit(StrEnum):
    """What the value of a metric counts. The name of a metric with a unit ends with it, before a counter's `_total`."""

    NONE = ""
    SECONDS = "seconds"
    TIMESTAMP = "timestamp_seconds"  # seconds since 1970, in UTC
    BYTES = "bytes"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Label:
    """A label and all values that it can have. Those without values here have names of the configuration."""

    name: str
    values: tuple[str, ...] = ()

    def values_in(self, config: Config) -> tuple[str, ...]:
        """All values that the label can have with this configuration."""
        return self.values or tuple(config.sources if self.name == "source" else config.datasets)


SOURCE, DATASET = Label("source"), Label("dataset")
PRIORITY = Label("priority", tuple(Priority))
STATE = Label("state", tuple(State))
KIND = Label("kind", tuple(Kind))
INCIDENT = Label("kind", get_args(IncidentKind))
OWNER = Label("owner", get_args(AlertsOwner))
LIMIT = Label("limit", tuple(Limit))
FILE_OUTCOME = Label("outcome", tuple(Outcome))
FAILURE = Label("failure", tuple(Failure))
FLOW = Label("flow", FLOWS)
RUN_OUTCOME = Label("outcome", tuple(end for end in RunEnd if end is not RunEnd.DEATH_REPORTED))  # it has died
PART = Label("part", tuple(RunPart))
FATE = Label("fate", tuple(Fate))
PATH_STATE = Label("state", tuple(PathState))
PHASE = Label("phase", tuple(Phase))
CHECK = Label(
    "check",
    (
        "reconcile",
        "answers",
        "ledger",
        "lake",
        "Prefect API",
        "watch",
        "sources",
        "incidents",
        *(f"disk of the {name}" for name in ("ledger", "lake", "temporary files")),
    ),
)
VERDICT = Label("verdict", ("pass", "warn", "fail"))


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its name, what it means, and its labels. A dataset has one source, so both together are as many."""

    name: str
    help: str
    labels: tuple[Label, ...] = ()
    unit: Unit = Unit.NONE

    def most_series(self, config: Config) -> int:
        """How many time series the metric can have at most with this configuration."""
        most = 1
        for label in self.labels:
            if label is not SOURCE or DATASET not in self.labels:
                most *= len(label.values_in(config))
        return most


@dataclass(frozen=True, slots=True)
class Counter(Metric):
    """A total that only grows."""


@dataclass(frozen=True, slots=True)
class Gauge(Metric):
    """A value of one moment."""


@dataclass(frozen=True, slots=True)
class Histogram(Metric):
    """How many durations fell between each two bounds, and the sum of all durations, in seconds."""

    unit: Unit = Unit.SECONDS
    bounds: tuple[float, ...] = ()

    def most_series(self, config: Config) -> int:
        """How many time series there can be: each bound has one, and so have what is beyond, the count and the sum."""
        return Metric.most_series(self, config) * (len(self.bounds) + 3)


_ANSWER = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_WORK = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_LAG = (
    _MINUTE,
    5 * _MINUTE,
    15 * _MINUTE,
    _HOUR,
    3 * _HOUR,
    6 * _HOUR,
    12 * _HOUR,
    _DAY,
    3 * _DAY,
    7 * _DAY,
    30 * _DAY,
)
_BOTH = (SOURCE, DATASET)

# Running totals
FILLS = Counter(
    "adce_fills_total", "Fills that have ended, by the worst outcome of their files.", (*_BOTH, FILE_OUTCOME)
)
FILES = Counter("adce_files_total", "Files that fills have dealt with.", (*_BOTH, FILE_OUTCOME))
FAILURES = Counter("adce_failures_total", "Failed attempts at files, by why they failed.", (*_BOTH, FAILURE))
DEFERRALS = Counter("adce_deferrals_total", "Files that a rule has deferred while a fill was at work.", (SOURCE, LIMIT))
STORED_BYTES = Counter("adce_stored_bytes_total", "Bytes of the files that fills have stored.", _BOTH, Unit.BYTES)
REQUESTS = Counter(
    "adce_requests_total",
    "Requests that fills have sent to a source, also in test mode, once the fill has ended. Not counted are those of a "
    "fill that was killed, and those for files that were under way when it was stopped.",
    _BOTH,
)
REFUSALS = Counter("adce_refusals_total", "Requests that a source has refused, as with HTTP 429 or 403.", (SOURCE,))
PAUSES = Counter(
    "adce_pauses_total", "Pauses of a source that refusals, or the want of answers, have begun.", (SOURCE,)
)
RUNS = Counter(
    "adce_runs_total",
    "Runs of a flow that have ended. One that was taken for dead stays counted as that, also if it ends later.",
    (FLOW, RUN_OUTCOME),
)
LIST_REQUESTS = Counter(
    "adce_list_requests_total",
    "LIST requests for files that S3 has answered, of runs and watches; commands that only report are not counted.",
)
EVENTS = Counter("adce_events_total", "Messages of the lake's events that a watch has taken.", (FATE,))
MISSED_EVENTS = Counter("adce_missed_events_total", "Changes of the lake of which no event has told.")
FILL_SECONDS = Histogram("adce_fill_duration_seconds", "How long a fill took.", (DATASET,), bounds=_WORK)
FILE_SECONDS = Histogram(
    "adce_file_duration_seconds", "From sending a file's request to having its body.", (DATASET,), bounds=_ANSWER
)
WAITED_SECONDS = Histogram(
    "adce_bucket_wait_seconds", "How long a request waited for its source's rate buckets.", (SOURCE,), bounds=_WORK
)
DUE_TO_DETECTED = Histogram(
    "adce_gap_detection_seconds",
    "From the time a file is due to its detection as missing, if it came due after the ledger's first run.",
    (DATASET,),
    bounds=_LAG,
)
SEEN_TO_VANISHED = Histogram(
    "adce_loss_detection_seconds",
    "From the last look that saw a file to the detection that it has vanished.",
    (DATASET,),
    bounds=_LAG,
)
DETECTED_TO_STORED = Histogram(
    "adce_gap_closing_seconds", "From the detection of a gap to the storing of its file.", (DATASET,), bounds=_LAG
)
DUE_TO_STORED = Histogram(
    "adce_due_to_stored_seconds",
    "From the time a file is due to its first storing, if it came due after the ledger's first run.",
    (DATASET,),
    bounds=_LAG,
)
RUN_SECONDS = Histogram("adce_run_part_seconds", "How long a part of a run took.", (FLOW, PART), bounds=_WORK)
CYCLE_SECONDS = Histogram(
    "adce_reconcile_cycle_seconds", "From the start of a reconcile to its published plan.", bounds=_WORK
)

# What the last recorded look at the lake has found
LOOK_TIME = Gauge(
    "adce_look_timestamp_seconds", "When the lake was looked at; a sandbox has its own clock.", unit=Unit.TIMESTAMP
)
VERIFIED_SINCE = Gauge(
    "adce_oldest_listing_timestamp_seconds",
    "When that part of the lake was listed that was not listed for the longest time.",
    unit=Unit.TIMESTAMP,
)
CELLS = Gauge("adce_cells", "Files that the lake should hold, by state.", (*_BOTH, STATE))
GAPS = Gauge("adce_gaps", "Gaps by what is wrong with them.", (*_BOTH, KIND))
LOST_FILES = Gauge(
    "adce_lost_files",
    "Files that vanished or shrank without ADCE's doing and are not mended, in whichever state.",
    _BOTH,
)
UNREADABLE_FILES = Gauge(
    "adce_unreadable_files", "Files in the lake that it cannot deliver, in whichever state.", _BOTH
)
DEFERRED = Gauge("adce_deferred_files", "Deferred files, by the rule that defers them.", (SOURCE, LIMIT))
UNREAD = Gauge("adce_unread_files", "Expected files in the lake that no body check has read.")
UNKNOWN = Gauge("adce_unknown_schedules", "Schedules that are not known and may list more files.", (DATASET,))
COMPLETE_UNTIL = Gauge(
    "adce_complete_until_timestamp_seconds",
    "The end of the last day up to which every due file of a dataset is there or unavailable.",
    (DATASET,),
    Unit.TIMESTAMP,
)
LAKE_FILES = Gauge("adce_lake_files", "Expected files that are in the lake.", _BOTH)
LAKE_BYTES = Gauge("adce_lake_bytes", "Bytes of the expected files that are in the lake.", _BOTH, Unit.BYTES)
QUEUE = Gauge("adce_queue_files", "Files that wait to be fetched.", (PRIORITY,))
OLDEST = Gauge(
    "adce_queue_oldest_detection_timestamp_seconds",
    "When that waiting file was detected that waits for the longest time.",
    (PRIORITY,),
    Unit.TIMESTAMP,
)
CRITICAL_FILES = Gauge("adce_critical_files", "Files of priority CRITICAL that wait to be fetched.", _BOTH)
CRITICAL_OLDEST = Gauge(
    "adce_critical_oldest_detection_timestamp_seconds",
    "When that CRITICAL file was detected that waits for the longest time.",
    _BOTH,
    Unit.TIMESTAMP,
)

# What the ledger says now
LAST_RUN = Gauge(
    "adce_last_run_end_timestamp_seconds", "When the last run of a flow ended.", (FLOW, RUN_OUTCOME), Unit.TIMESTAMP
)
LAST_RECONCILE = Gauge(
    "adce_last_reconcile_end_timestamp_seconds",
    "When the last reconcile of everything ended that has worked through its plan.",
    unit=Unit.TIMESTAMP,
)
FIRST_RUN = Gauge(
    "adce_first_run_begin_timestamp_seconds",
    "When the first run began that the ledger still knows.",
    unit=Unit.TIMESTAMP,
)
CYCLE_LASTS = Gauge(
    "adce_cycle_duration_seconds",
    "How long the last reconcile of everything took to its plan, or the one at work has taken so far if that is more.",
    unit=Unit.SECONDS,
)
RUNS_AT_WORK = Gauge("adce_runs_at_work", "Runs that are at work.", (FLOW,))
RATE = Gauge("adce_bucket_rate_per_second", "Requests that a source's rate buckets let through per second.", (SOURCE,))
UTILIZATION = Gauge(
    "adce_bucket_utilization_ratio",
    "Requests of the last minute as a share of what the source's rate buckets let through.",
    (SOURCE,),
    Unit.RATIO,
)
SOURCE_PHASE = Gauge(
    "adce_source_phase", "1 for the phase of a source's pause: closed means that it is asked.", (SOURCE, PHASE)
)
PAUSED_SINCE = Gauge(
    "adce_source_pause_begin_timestamp_seconds",
    "When a pause of a source began that refusals, or the want of answers, have begun and that lasts.",
    (SOURCE,),
    Unit.TIMESTAMP,
)
BREAKERS = Gauge("adce_breakers", "Circuit breakers of a source's scrapers that are not closed.", (SOURCE,))
WATCH_PROGRESS = Gauge("adce_watch_progress_timestamp_seconds", "When the queue was last read.", unit=Unit.TIMESTAMP)
EVENT_PATH = Gauge("adce_event_path", "1 for the state of the way that the lake's events take.", (PATH_STATE,))
UNREADABLE_MESSAGES = Gauge("adce_unreadable_messages", "Messages of the queue that could not be read and are kept.")
INCIDENTS = Gauge("adce_incidents", "Incidents that are open, by what is wrong.", (INCIDENT,))
ALERTS_OWNER = Gauge("adce_alerts_owner", "1 for who tells of incidents, which is a setting.", (OWNER,))
ALERTS_LIMIT = Gauge(
    "adce_alerts_limit",
    "The limit above which a condition holds, as the settings have it for a source: in seconds, shares of 1 or counts.",
    (INCIDENT, SOURCE),
)
ALERTS_MISSED = Gauge(
    "adce_alerts_missed_events_limit_ratio",
    "The share of the events of a day of which no more may be missing, unless alerts.limits has a number of its own.",
    unit=Unit.RATIO,
)
CHECKS = Gauge(
    "adce_check", "1 for the verdict of a check of the health, which only `adce serve` makes.", (CHECK, VERDICT)
)
SNAPSHOT_TIME = Gauge(
    "adce_snapshot_timestamp_seconds",
    "When these values were read from the ledger.",
    unit=Unit.TIMESTAMP,
)
SNAPSHOT_SECONDS = Gauge("adce_snapshot_duration_seconds", "How long it took to read these values.", unit=Unit.SECONDS)

CATALOGUE: tuple[Metric, ...] = tuple(value for value in tuple(globals().values()) if isinstance(value, Metric))


@dataclass(frozen=True, slots=True)
class CloudWatchMetric:
    """A metric as CloudWatch gets it: with these of its labels as dimensions, and summed up over the others.

    CloudWatch can neither sum up over dimensions in an alarm nor subtract a time from the present one, and each series
    costs money. So there are few series, and the age of a moment is sent instead of the moment; of several moments, it
    is the age of the earliest.
    """

    metric: Metric
    dimensions: tuple[Label, ...] = ()

    @property
    def name(self) -> str:
        """The name of the metric in CloudWatch."""
        name = self.metric.name
        return name.removesuffix(Unit.TIMESTAMP) + "age_seconds" if self.is_age else name

    @property
    def is_age(self) -> bool:
        """Is the metric a moment, so that its age in seconds is sent?"""
        return self.metric.unit is Unit.TIMESTAMP

    def most_series(self, config: Config) -> int:
        """How many metrics CloudWatch can have of it at most, as it counts them: one for each set of dimensions."""
        return prod(len(label.values_in(config)) for label in self.dimensions)


CLOUDWATCH = (
    CloudWatchMetric(FILES, (SOURCE, FILE_OUTCOME)),
    CloudWatchMetric(REQUESTS, (SOURCE,)),
    CloudWatchMetric(REFUSALS, (SOURCE,)),
    CloudWatchMetric(PAUSES),
    CloudWatchMetric(STORED_BYTES),
    CloudWatchMetric(RUNS, (RUN_OUTCOME,)),
    CloudWatchMetric(LIST_REQUESTS),
    CloudWatchMetric(MISSED_EVENTS),
    CloudWatchMetric(FILL_SECONDS),
    CloudWatchMetric(FILE_SECONDS),
    CloudWatchMetric(WAITED_SECONDS, (SOURCE,)),
    CloudWatchMetric(DUE_TO_DETECTED),
    CloudWatchMetric(SEEN_TO_VANISHED),
    CloudWatchMetric(DETECTED_TO_STORED),
    CloudWatchMetric(DUE_TO_STORED),
    CloudWatchMetric(CYCLE_SECONDS),
    CloudWatchMetric(CELLS, (STATE,)),
    CloudWatchMetric(GAPS, (KIND,)),
    CloudWatchMetric(QUEUE, (PRIORITY,)),
    CloudWatchMetric(OLDEST),
    CloudWatchMetric(LOOK_TIME),
    CloudWatchMetric(UTILIZATION, (SOURCE,)),
    CloudWatchMetric(BREAKERS),
)
SUM = "sum"
BEYOND = "+Inf"  # the bucket of durations beyond all bounds


class Distribution(NamedTuple):
    """The durations of a histogram: how many each bucket has, of which the last is beyond all bounds, and their sum."""

    counts: tuple[float, ...]
    sum: float


@dataclass(frozen=True)
class Measured:
    """The values of all metrics at one moment. A metric or series of which nothing is known is left out.

    Each value is that of one series, by the values of its labels in their order.
    """

    at: datetime
    values: Mapping[Metric, Mapping[tuple[str, ...], float]] = field(default_factory=dict)  # of counters and gauges
    distributions: Mapping[Histogram, Mapping[tuple[str, ...], Distribution]] = field(default_factory=dict)


class Series(NamedTuple):
    """One total: a counter, one bucket of a histogram, or the sum of a histogram, for one combination of labels.

    `labels` is a JSON object with sorted names. `bucket` is "" for a counter and SUM for the sum of a histogram. For a
    bucket of a histogram it is the upper bound, or BEYOND; a bucket does not include the durations of lower buckets.
    """

    name: str
    labels: str
    bucket: str = ""


def series_of(metric: Metric, **labels: str) -> Series:
    """The series of a metric for these labels. Raises ValueError for labels that the metric does not have."""
    return Series(metric.name, _text(metric.labels, labels))


@dataclass
class Amounts:
    """Amounts to add to the totals in one transaction."""

    by_series: dict[Series, float] = field(default_factory=dict)

    def count(self, counter: Counter, amount: float = 1, **labels: str) -> None:
        """Adds an amount to a counter. Raises ValueError for labels that the counter does not have."""
        if amount:
            self._add(series_of(counter, **labels), amount)

    def observe(self, histogram: Histogram, seconds: float, **labels: str) -> None:
        """Adds a duration to a histogram. A negative one, which a changed clock can cause, counts as 0."""
        seconds, text = max(seconds, 0.0), _text(histogram.labels, labels)
        place = bisect_left(histogram.bounds, seconds)
        bucket = f"{histogram.bounds[place]:g}" if place < len(histogram.bounds) else BEYOND
        self._add(Series(histogram.name, text, bucket), 1)
        self._add(Series(histogram.name, text, SUM), seconds)

    def observe_between(
        self, histogram: Histogram, begin: datetime | None, end: datetime | None, **labels: str
    ) -> None:
        """Adds the duration between two moments to a histogram, if both are known."""
        if begin is not None and end is not None:
            self.observe(histogram, (end - begin).total_seconds(), **labels)

    def _add(self, series: Series, amount: float) -> None:
        self.by_series[series] = self.by_series.get(series, 0.0) + amount


def _text(known: tuple[Label, ...], labels: dict[str, str]) -> str:
    names = [label.name for label in known]
    if set(labels) != set(names):
        raise ValueError(f"the labels are {', '.join(names)}, not {', '.join(labels)}")
    return _json(tuple(sorted(labels.items())))


@lru_cache(maxsize=4096)
def _json(labels: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(labels), separators=(",", ":"))
