"""What has `adce up` to say now, given what Prefect knows and what has been said? Pure: no clock, no network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deployments.prefect_api.flow_runs import FlowRun, LogRecord
from deployments.prefect_api.pauses import PrefectPause
from deployments.up.lines import Line
from tasks.answers.ending import INCOMPLETE, severity_of
from tasks.domain.flow_names import RECONCILE
from tasks.domain.flow_states import CRASHED
from tasks.domain.wording import duration, plural, utc

_BEGINS_WITHIN = timedelta(minutes=1)  # time after which a run that is due and has not begun is late
_ANSWERS_WITHIN = timedelta(seconds=10)
_COMPLETED = "Completed"  # the name of the state of a run that lacks nothing
_SPARE = timedelta(minutes=1)  # time beyond the interval before a missing run is told
_MOST_LATE = 3  # late runs that are told one by one
_MOST_RECORDS = 5  # log records of one run that are told
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True)
class Snapshot:
    """What Prefect knows at a time: runs, their warnings, pauses, the next due reconcile and the workers.

    The runs are all that are due and have not ended, and those that ended lately.
    """

    at: datetime
    runs: Sequence[FlowRun] = ()
    records: Sequence[tuple[FlowRun, LogRecord]] = ()  # warnings and errors in the logs of runs
    pauses: Sequence[PrefectPause] = ()
    next_due: datetime | None = None  # when Prefect begins the next scheduled reconcile
    workers: int = 1  # of the work pool, alive
    is_last: bool = False  # everything was stopped before


class Announcer:
    """Says everything once, so it remembers what has been said. What had ended before the first poll is not said.

    A warning of a run that the run before it had too, such as the name of a lost file, is said again once one has
    completed meanwhile.
    """

    def __init__(
        self,
        interval: timedelta,
        begun: datetime,
        fields_of: Callable[[str, str], Mapping[str, object]] = lambda flow_run, message: {},
    ):
        """`fields_of` says what a line in the log of a flow run is about."""
        self._fields_of = fields_of
        self._interval = interval
        self._spare = min(_SPARE, interval / 4)
        self._ended = _Counts()
        self._late = _Counts()
        self._told_records = _Counts()
        self._records_of = _Counts()  # how many of each run
        self._texts: dict[str, set[str]] = {}  # of the warnings and errors of each run that goes on
        self._known: dict[str, set[str]] = {}  # those of the last run, by the runs' name; none once one has completed
        self._is_first = True
        self._paused: dict[str, PrefectPause] = {}
        self._last_run = begun  # when a reconcile last began, was late or ended
        self._told_after = timedelta(0)  # how long there had been none when that was told
        self._answered = begun
        self._silence_told: datetime | None = None

    def lines(self, snapshot: Snapshot) -> list[Line]:
        """What is to be said now that Prefect has been polled."""
        if self._is_first:
            self._is_first = False
            for run in filter(lambda run: run.is_final, snapshot.runs):
                self._ended.add(run.id)
            for _, record in snapshot.records:
                self._told_records.add(record.id)
        told = [*self._answers(snapshot.at), *self._pauses(snapshot), *self._records(snapshot), *self._runs(snapshot)]
        return [*told, *self._no_run(snapshot)]

    def lines_of_silence(self, at: datetime, trouble: str) -> list[Line]:
        """What is to be said when Prefect does not answer: since when, once in each interval.

        `trouble` is what the Prefect API does instead of an answer, such as "answers HTTP 503".
        """
        last = self._silence_told or at - self._interval
        if at - self._answered < _ANSWERS_WITHIN or at - last < self._interval:
            return []
        self._silence_told = at
        text = f"the Prefect API {trouble}, since {utc(self._answered)} ({duration(at - self._answered)})"
        return [Line(text, logging.ERROR, "api_silent", {"since": self._answered})]

    def _answers(self, at: datetime) -> Iterator[Line]:
        if self._silence_told:
            after = duration(at - self._answered)
            yield Line(f"the Prefect API answers again, after {after}", event="api_answers")
            self._silence_told = None
        self._answered = at

    def _pauses(self, snapshot: Snapshot) -> Iterator[Line]:
        now = {pause.what: pause for pause in snapshot.pauses}
        for what, pause in now.items():
            if what not in self._paused:
                yield Line(str(pause), logging.WARNING, "paused", {"what": what, "resume": pause.resume})
        for what in self._paused.keys() - now.keys():
            yield Line(f"{what}: not {self._paused[what].state} any more", event="resumed", fields={"what": what})
        self._paused = now

    def _records(self, snapshot: Snapshot) -> Iterator[Line]:
        for run, record in snapshot.records:
            if self._told_records.add(record.id) > 1:
                continue
            self._texts.setdefault(run.id, set()).add(record.message)
            if record.message in self._known.get(run.full_name, ()):
                continue
            count = self._records_of.add(run.id)
            if count <= _MOST_RECORDS:
                fields = _fields(run) | {"logger": record.logger} | dict(self._fields_of(run.id, record.message))
                yield Line(f"{run.full_name}: {record.message}", record.level, "log", fields)
            elif count == _MOST_RECORDS + 1:
                text = f"{run.full_name}: more warnings and errors are in its log"
                yield Line(text, record.level, "log", _fields(run))

    def _runs(self, snapshot: Snapshot) -> Iterator[Line]:
        ended = [run for run in snapshot.runs if run.is_final and self._ended.add(run.id) == 1]
        late = [run for run in snapshot.runs if _is_late(run, snapshot.at) and self._late.add(run.id) == 1]
        for run in ended:
            texts = self._texts.pop(run.id, set())
            if run.state in (INCOMPLETE, _COMPLETED):
                self._known[run.full_name] = texts if run.state == INCOMPLETE else set()
        yield from (_ended(run, snapshot) for run in ended)
        yield from _late(late, snapshot)
        if any(run.flow == RECONCILE for run in [*ended, *late]):
            self._last_run = snapshot.at
        began = [run.began for run in snapshot.runs if _is_running(run) and run.began]
        self._last_run = max([self._last_run, *began])

    def _no_run(self, snapshot: Snapshot) -> Iterator[Line]:
        """A line once an interval has passed without a reconcile, and each time that it has become twice as long."""
        without = snapshot.at - self._last_run
        if without < self._interval + self._spare:
            self._told_after = timedelta(0)
        if without < max(self._interval + self._spare, 2 * self._told_after):
            return
        self._told_after = without
        running = [
            f"{run.full_name} is running since {utc(run.began or run.since)}"
            for run in snapshot.runs
            if _is_running(run)
        ]
        due = f"the next is due {utc(snapshot.next_due)}" if snapshot.next_due else "Prefect has scheduled none"
        reasons = running or _hindrances(snapshot) or [due]
        yield Line(
            f"no reconcile has begun for {duration(without)}{_because(reasons)}",
            logging.WARNING,
            "no_run",
            {"reasons": reasons, "next_due": snapshot.next_due},
        )


class _Counts:
    """How often each id was met. Ids not met for long are forgotten, since Prefect does not return them any more."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, id: str) -> int:
        """How often the id was met, this time included."""
        self._counts[id] = count = self._counts.pop(id, 0) + 1  # at the end, as the newest
        if len(self._counts) > _MOST_REMEMBERED:
            del self._counts[next(iter(self._counts))]
        return count


def _ended(run: FlowRun, snapshot: Snapshot) -> Line:
    if snapshot.is_last and run.type == CRASHED and not run.began:
        text = f"{run.full_name}: was about to begin when everything was stopped"
        return Line(text, logging.INFO, "run_ended", _fields(run) | {"state_message": run.message})
    never = "" if run.began else f", due {utc(run.due or run.since)}, never began"
    text = ": ".join([f"{run.full_name}{never}", run.state, *([run.message] if run.message else [])])
    fields = _fields(run) | {"state_message": run.message}
    if run.flow == RECONCILE and snapshot.next_due:
        text, fields = f"{text}; the next is due {utc(snapshot.next_due)}", fields | {"next_due": snapshot.next_due}
    return Line(text, severity_of(run.type, run.state), "run_ended", fields)


def _late(runs: Sequence[FlowRun], snapshot: Snapshot) -> Iterator[Line]:
    """A line for each run that is late, or one for many. After hours without a worker, each interval has left one."""
    why = _because(_hindrances(snapshot))
    if len(runs) > _MOST_LATE:
        first = min(run.due or run.since for run in runs)
        text = f"{plural(len(runs), 'run')} are late, the first was due {utc(first)}{why}"
        yield Line(text, logging.WARNING, "run_late", {"flow_runs": [run.id for run in runs], "due": first})
        return
    for run in runs:
        text = f"{run.full_name}: {run.state}, due {utc(run.due or run.since)} and not begun{why}"
        yield Line(text, logging.WARNING, "run_late", _fields(run))


def _is_late(run: FlowRun, at: datetime) -> bool:
    since = {"SCHEDULED": run.due, "PENDING": run.since}.get(run.type)
    return since is not None and at - since > _BEGINS_WITHIN


def _is_running(run: FlowRun) -> bool:
    return run.flow == RECONCILE and run.began is not None and not run.is_final


def _hindrances(snapshot: Snapshot) -> list[str]:
    """Why no run begins, as far as Prefect knows."""
    return [*map(str, snapshot.pauses), *([] if snapshot.workers else ["no worker of the work pool is alive"])]


def _because(reasons: Sequence[str]) -> str:
    return f": {'; '.join(reasons)}" if reasons else ""


def _fields(run: FlowRun) -> dict[str, object]:
    """What a line about a flow run in Prefect has as fields. The ledger, too, finds the run by its `flow_run`."""
    of_run = {"flow": run.flow, "run_name": run.name, "flow_run": run.id}
    return of_run | {"state": run.state, "type": run.type, "due": run.due}
