"""What does `adce up` say of runs, logs, pauses and silence, and what does it not say twice?"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployments.prefect_api.flow_runs import FlowRun, LogRecord
from deployments.prefect_api.pauses import PrefectPause
from deployments.up.announcer import Announcer, Snapshot
from deployments.up.lines import Line, LogFormat, without_boxes, written
from deployments.up.run_fields import RunFields
from tasks.domain.wording import duration

START = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
INTERVAL = timedelta(minutes=15)
NONE = "no reconcile has begun for 16m"
POOL = PrefectPause("work pool adce", "prefect work-pool resume adce")


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def a_run(**changes: Any) -> FlowRun:
    """A reconcile that was due at 08:15, has begun then and has ended two minutes later."""
    run = FlowRun("1", "reconcile", "everything", "COMPLETED", "Completed", "Complete", after(17), after(15), after(15))
    return replace(run, **changes)


def snapshot(minutes: float, *runs: FlowRun, **changes: Any) -> Snapshot:
    return Snapshot(after(minutes), runs, **changes)


def said(announcer: Announcer, *snapshots: Snapshot) -> list[tuple[int, str]]:
    return [(line.level, line.text) for one in snapshots for line in announcer.lines(one)]


def an_announcer(*runs: FlowRun) -> Announcer:
    """One that has polled Prefect when there were these runs."""
    announcer = Announcer(INTERVAL, START)
    assert announcer.lines(snapshot(0, *runs)) == []
    return announcer


@pytest.mark.parametrize(
    ("run", "level", "line"),
    [
        pytest.param(a_run(), logging.INFO, "reconcile everything: Completed: Complete", id="completed"),
        pytest.param(
            a_run(state="Incomplete", message="3 files wait"),
            logging.WARNING,
            "reconcile everything: Incomplete: 3 files wait",
            id="incomplete",
        ),
        pytest.param(
            a_run(type="FAILED", state="Incomplete", message="3 files failed"),
            logging.ERROR,
            "reconcile everything: Incomplete: 3 files failed",
            id="failed",
        ),
        pytest.param(
            a_run(flow="fill", name="sly-fox", type="FAILED", state="Failed", message="bad date", began=None),
            logging.ERROR,
            "fill sly-fox, due 2026-11-30 08:15 UTC, never began: Failed: bad date",
            id="refused parameters",
        ),
        pytest.param(
            a_run(name="sly-fox", type="CRASHED", state="Crashed", message="", began=None, due=None),
            logging.ERROR,
            "reconcile sly-fox, due 2026-11-30 08:17 UTC, never began: Crashed",
            id="neither begin nor due time nor message",
        ),
        pytest.param(
            a_run(type="CANCELLED", state="Cancelled", message="by me"),
            logging.WARNING,
            "reconcile everything: Cancelled: by me",
            id="cancelled",
        ),
    ],
)
def test_each_run_that_ends_is_told_once(run: FlowRun, level: int, line: str) -> None:
    assert said(an_announcer(), snapshot(14, run), snapshot(14.5, run)) == [(level, line)]


def test_a_run_that_had_ended_before_is_no_news_and_one_that_was_open_is() -> None:
    announcer = an_announcer(a_run(), a_run(id="2", type="RUNNING", state="Running"))
    assert said(announcer, snapshot(1, a_run(), a_run(id="2"))) == [
        (logging.INFO, "reconcile everything: Completed: Complete")
    ]


def test_what_prefect_has_paused_before_the_first_poll_is_told_even_if_that_poll_comes_late() -> None:
    announcer = Announcer(INTERVAL, START)
    assert [line.event for line in announcer.lines_of_silence(after(2), "does not answer")] == ["api_silent"]
    told = announcer.lines(snapshot(3, a_run(), pauses=[POOL]))
    assert [line.event for line in told] == ["api_answers", "paused"]


def test_what_prefect_goes_on_returning_is_not_said_again_however_much_has_been_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deployments.up.announcer._MOST_REMEMBERED", 2)
    looks = [snapshot(n, a_run(), a_run(id=str(n), name=f"run {n}")) for n in range(2, 6)]
    texts = [text.partition(":")[0] for _, text in said(an_announcer(), *looks)]
    assert texts == ["reconcile everything", *(f"reconcile run {n}" for n in range(2, 6))]


def test_the_end_of_a_reconcile_tells_when_the_next_is_due() -> None:
    looks = snapshot(17, a_run(), a_run(id="2", flow="fill", name="espn"), next_due=after(30))
    lines = an_announcer().lines(looks)
    assert [line.text.partition("; ")[2] for line in lines] == ["the next is due 2026-11-30 08:30 UTC", ""]
    assert lines[0].fields["next_due"] == after(30)


@pytest.mark.parametrize(
    ("state", "others", "why"),
    [
        pytest.param({"type": "SCHEDULED", "state": "Late"}, {}, "", id="late"),
        pytest.param({"type": "PENDING", "state": "Pending", "since": after(15)}, {}, "", id="pending"),
        pytest.param(
            {"type": "SCHEDULED", "state": "Late"},
            {"workers": 0},
            ": no worker of the work pool is alive",
            id="no worker",
        ),
    ],
)
def test_a_run_that_does_not_begin_is_told_once_and_then_its_end(
    state: dict[str, Any], others: dict[str, Any], why: str
) -> None:
    waiting = a_run(began=None, **state)
    looks = [snapshot(minutes, waiting, **others) for minutes in (15.5, 16.5, 17)]
    late = f"reconcile everything: {waiting.state}, due 2026-11-30 08:15 UTC and not begun{why}"
    end = (logging.INFO, "reconcile everything: Completed: Complete")
    assert said(an_announcer(), *looks, snapshot(18, a_run())) == [(logging.WARNING, late), end]


def test_very_many_late_runs_are_one_line() -> None:
    late = [a_run(id=str(n), began=None, type="SCHEDULED", state="Late", due=after(n)) for n in range(9)]
    line = "9 runs are late, the first was due 2026-11-30 08:00 UTC"
    assert said(an_announcer(), snapshot(14, *late), snapshot(14.5, *late)) == [(logging.WARNING, line)]


def test_a_pause_is_told_when_it_begins_and_ends_and_each_time_that_it_has_become_twice_as_long() -> None:
    looks = [snapshot(minute, pauses=[POOL] if minute < 70 else []) for minute in range(1, 71)]
    paused = "work pool adce: paused; to have it run again: prefect work-pool resume adce"
    assert [text for _, text in said(an_announcer(), *looks)] == [
        paused,
        f"{NONE}: {paused}",
        f"no reconcile has begun for 32m: {paused}",
        f"no reconcile has begun for 1h 4m: {paused}",
        "work pool adce: not paused any more",
    ]


@pytest.mark.parametrize(
    ("look", "why"),
    [
        pytest.param(snapshot(16), "Prefect has scheduled none", id="nothing is scheduled"),
        pytest.param(snapshot(16, next_due=after(30)), "the next is due 2026-11-30 08:30 UTC", id="later"),
        pytest.param(snapshot(16, workers=0), "no worker of the work pool is alive", id="no worker"),
        pytest.param(
            snapshot(16, a_run(type="RUNNING", state="Running", began=after(-1))),
            "reconcile everything is running since 2026-11-30 07:59 UTC",
            id="one runs for long",
        ),
    ],
)
def test_an_interval_without_a_run_is_told_with_the_reason(look: Snapshot, why: str) -> None:
    assert said(an_announcer(), look) == [(logging.WARNING, f"{NONE}: {why}")]


def test_an_interval_in_which_a_run_has_begun_is_none_without_a_run() -> None:
    running = a_run(type="RUNNING", state="Running", began=after(14))
    assert said(an_announcer(), snapshot(16, running), snapshot(29, running)) == []


def test_a_warning_of_a_run_is_told_once_with_its_level_and_its_run() -> None:
    record = (a_run(), LogRecord("7", "1", logging.ERROR, "espn is paused", "tasks.upstream"))
    [line] = an_announcer().lines(snapshot(1, records=[record, record]))
    assert (line.level, line.text) == (logging.ERROR, "reconcile everything: espn is paused")
    assert (line.event, line.fields["logger"]) == ("log", "tasks.upstream")
    assert "source" not in line.fields


def test_a_file_that_stays_lost_is_told_once_until_a_run_has_completed() -> None:
    announcer, lines = an_announcer(), []
    ends = ["Incomplete", "Incomplete", "Completed", "Incomplete"]
    for n, state in enumerate(ends):
        run = a_run(id=f"run {n}", type="RUNNING", state="Running")
        records = [(run, LogRecord(f"{n}a", run.id, logging.ERROR, "a.json vanished: it had 9 bytes", "tasks.run"))]
        if n == 1:
            records.append((run, LogRecord("b", run.id, logging.ERROR, "b.json vanished: it had 9 bytes", "tasks.run")))
        lines.append([text for _, text in said(announcer, snapshot(n + 0.1, run, records=records))])
        said(announcer, snapshot(n + 0.2, a_run(id=run.id, state=state, message="")))
    a, b = (f"reconcile everything: {name}.json vanished: it had 9 bytes" for name in "ab")
    assert lines == [[a], [b], [], [a]]


def test_a_warning_of_a_run_of_this_machine_has_what_it_is_about_as_fields() -> None:
    fields = RunFields()
    told = {"message": "espn is paused", "flow_run": "1", "run": "5e55", "logger": "tasks.upstream", "source": "espn"}
    for document in (told, told | {"flow_run": "2", "source": "nba_api"}):
        fields.note(document)
    announcer = Announcer(INTERVAL, START, fields.of)
    announcer.lines(snapshot(0))
    record = (a_run(), LogRecord("7", "1", logging.ERROR, "espn is paused", "tasks.upstream"))
    [line] = announcer.lines(snapshot(1, records=[record]))
    named = {name: line.fields[name] for name in ("source", "run", "flow_run", "run_name")}
    assert named == {"source": "espn", "run": "5e55", "flow_run": "1", "run_name": "everything"}


def test_a_run_with_very_many_warnings_is_cut_short() -> None:
    records = [(a_run(), LogRecord(str(n), "1", logging.WARNING, f"warning {n}", "tasks")) for n in range(50)]
    announcer = Announcer(INTERVAL, START, lambda *_: {"key": "k", "reason": "of one file"})
    announcer.lines(snapshot(0))
    lines = announcer.lines(snapshot(1, records=records))
    assert (len(lines), lines[-1].text) == (6, "reconcile everything: more warnings and errors are in its log")
    assert ["key" in line.fields for line in lines] == [True] * 5 + [False], "the last stands for many"


def test_silence_is_told_after_ten_seconds_once_an_interval_and_its_end() -> None:
    announcer = an_announcer()
    tried = [
        line.text for seconds in (5, 12, 600, 1000) for line in announcer.lines_of_silence(after(seconds / 60), "hangs")
    ]
    assert tried == [
        f"the Prefect API hangs, since 2026-11-30 08:00 UTC ({duration(timedelta(seconds=seconds))})"
        for seconds in (12, 1000)
    ]
    assert said(announcer, snapshot(17, a_run(type="RUNNING", began=after(16)))) == [
        (logging.INFO, f"the Prefect API answers again, after {duration(timedelta(minutes=17))}")
    ]
    assert announcer.lines_of_silence(after(17.1), "hangs") == []


def test_a_line_is_written_for_people_or_for_programs() -> None:
    line = Line(
        "two\nlines", logging.WARNING, "run_ended", {"due": START, "reasons": ["https://me:hunter2-Zq8x@h: 500"]}
    )
    assert written(line, START, LogFormat.TEXT) == "2026-11-30 08:00:00 UTC  warning  two lines"
    assert json.loads(written(line, START, LogFormat.JSON)) == {
        "at": "2026-11-30T08:00:00.000+00:00",
        "level": "warning",
        "event": "run_ended",
        "message": "two\nlines",
        "due": "2026-11-30T08:00:00+00:00",
        "reasons": ["https://***@h: 500"],
    }


def test_of_a_box_what_is_in_it_is_shown() -> None:
    assert [without_boxes(line) for line in ("╭────╮", "│ made │", "plain")] == ["", "made", "plain"]


def test_a_run_whose_process_was_ended_by_the_stop_before_it_began_is_no_error() -> None:
    killed = a_run(name="sly-fox", type="CRASHED", state="Crashed", message="exited with status code -15", began=None)
    assert said(an_announcer(), snapshot(17, killed, is_last=True)) == [
        (logging.INFO, "reconcile sly-fox: was about to begin when everything was stopped")
    ]
    [(level, line)] = said(an_announcer(), snapshot(17, killed))
    assert (level, line.endswith("never began: Crashed: exited with status code -15")) == (logging.ERROR, True)
    begun = a_run(type="CRASHED", state="Crashed", message="exited with status code -9")
    assert said(an_announcer(), snapshot(17, begun, is_last=True))[0][0] == logging.ERROR
