"""In which state does a run end, and what does its message say?"""

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tasks.answers.ending import Ending, ending, ending_of_fill
from tasks.answers.report import Report
from tasks.answers.waiting import waiting, whose_clock
from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.overview import overview_of
from tasks.domain.assess.states import Kind, State, Status, deferred_by
from tasks.domain.assess.unknown import Unknown
from tasks.domain.limits.pauses import FOR_EVER, OperatorPause, Pause, Window
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.plan import why_paused
from tasks.domain.reasons import Limit, Reason, Remedy
from tasks.ledger.runs import RunRecord
from tests.builders import NOW, a_board, a_cell, a_config, a_fill

PRESENT = Status(State.PRESENT, "complete")
MISSING = Status(State.GAP, "not in the lake", Kind.MISSING)
VANISHED = Status(State.GAP, "not in the lake any more", Kind.VANISHED, lost=True)
UNREADABLE = Status(State.GAP, "archived", Kind.UNREADABLE)
NONE = Status(State.UNAVAILABLE, "the source has none: HTTP 404", Kind.MISSING)
GIVEN_UP = Status(State.UNAVAILABLE, "set by an operator: lost", Kind.MISSING, limit=Limit.OPERATOR)
NOT_DUE = Status(State.NOT_DUE, "due later")
LATER = NOW + timedelta(hours=1)
UNKNOWN = (Unknown("nba_playbyplay", a_board(key="schedule.json", dataset="nba_schedule", season="2023-24")),)
PAUSED = {"espn": Pause("espn", LATER, "HTTP 403")}


@pytest.mark.parametrize(
    ("type", "name", "severity"),
    [
        ("COMPLETED", "Completed", logging.INFO),
        ("COMPLETED", "Skipped", logging.INFO),
        ("COMPLETED", "Incomplete", logging.WARNING),
        ("CANCELLED", "Cancelled", logging.WARNING),
        ("FAILED", "Incomplete", logging.ERROR),
        ("CRASHED", "Crashed", logging.ERROR),
    ],
)
def test_each_ending_has_one_severity(type: str, name: str, severity: int) -> None:
    assert Ending(name, type, "").severity == severity


def _waits(limit: Limit, text: str = "why", gap: Status = MISSING, of: str = "") -> Status:
    return deferred_by(Reason(limit, text, LATER, of), gap)


def _report(*statuses: Status, unknown: tuple[Unknown, ...] = (), **change: Any) -> Report:
    """The report of a run that has fetched nothing, unless told otherwise. The files are "0.json", "1.json" …"""
    cells = {f"{n}.json": a_cell(key=f"{n}.json") for n in range(len(statuses))}
    assessment = Assessment(cells, dict(zip(cells, statuses, strict=True)), NOW)
    overview = replace(overview_of(assessment), unknown=unknown)
    return Report(overview, **{"fills": (), "deferred": (), "config": a_config(), "outcomes": {}} | change)


def _fetched(*keys: str) -> dict[str, FileOutcome]:
    return {key: FileOutcome(key, Outcome.STORED) for key in keys}


def _failed(key: str, *, absent: bool = False) -> dict[str, FileOutcome]:
    return {key: FileOutcome(key, Outcome.FAILED, error="/a: HTTP 500", absent=absent)}


def test_a_run_fails_for_what_is_broken_or_refuses_and_for_a_source_that_no_worker_has_begun() -> None:
    refuses = {Limit.BACKOFF, Limit.PROBE, Limit.BREAKER}
    broken = {Limit.BUCKET, Limit.LAKE, Limit.LEDGER, Limit.OBSTACLE}
    not_begun = {Limit.START_WITHIN, Limit.SCRAPER_RUN}
    failed = {limit for limit in Limit if ending(_report(_waits(limit), PRESENT)).type == "FAILED"}
    assert failed == refuses | broken | not_begun


OTHER = RunRecord("0123456789ab", "reconcile", "everything", "host (process 7)", None, "f", NOW, None, None)
DRY = a_config(dry_run=True)


@pytest.mark.parametrize(
    ("report", "name", "message"),
    [
        pytest.param(_report(PRESENT), "Completed", "Complete: 1 file · nothing to do", id="nothing to do"),
        pytest.param(
            _report(PRESENT, PRESENT, fills=(a_fill(),), outcomes=_fetched("0.json")),
            "Completed",
            "Complete: 2 files · 1 fetched",
            id="made complete",
        ),
        pytest.param(
            _report(PRESENT, NONE, GIVEN_UP, NOT_DUE, fills=(a_fill(),)),
            "Completed",
            "Complete: 1 of 3 files, 2 unavailable (1 set by an operator)",
            id="complete but for what the source has none of",
        ),
        pytest.param(_report(NOT_DUE), "Completed", "Nothing is due yet: 1 file later", id="nothing is due"),
        pytest.param(
            _report(PRESENT, config=a_config(enabled=False)),
            "Completed",
            "Complete: 1 file · nothing to do · switches: everything off",
            id="the switches are named",
        ),
        pytest.param(
            _report(PRESENT, unknown=UNKNOWN),
            "Incomplete",
            "unknown: nba_playbyplay of 2023-24",
            id="an unknown schedule",
        ),
        pytest.param(
            _report(PRESENT, MISSING, MISSING, outcomes=None, fills=(a_fill(),)),
            "Incomplete",
            "2 of 3 files are gaps",
            id="a plan",
        ),
        pytest.param(
            _report(VANISHED, config=DRY, outcomes=None),
            "Incomplete",
            "1 of 1 file is a gap; 1 vanished · switches: dry run",
            id="a dry run tries nothing, so that it fails at nothing",
        ),
        pytest.param(
            _report(_waits(Limit.MAX_FILLS, "max_fills 2"), _waits(Limit.TIME_BUDGET, "no time"), PRESENT),
            "Incomplete",
            "2 of 3 files wait: max_fills 2 (1), no time (1)",
            id="caps and time",
        ),
        pytest.param(
            _report(Status(State.IN_FLIGHT, "run 1 of host is at it")),
            "Incomplete",
            "1 of 1 file waits: run 1 of host is at it",
            id="another run is at it",
        ),
        pytest.param(
            _report(MISSING, _waits(Limit.OTHER_RECONCILE), left_to=OTHER),
            "Skipped",
            "another reconcile is at work: run 01234567 of host (process 7), since 2026-01-15 12:00 UTC; this one has "
            "left everything to it; 2 of 2 files lacking",
            id="another reconcile is at work",
        ),
    ],
)
def test_a_run_that_nobody_has_to_look_at_is_of_the_type_completed(report: Report, name: str, message: str) -> None:
    end = ending(report)
    assert (end.name, end.type) == (name, "COMPLETED")
    assert end.message == message


def test_a_time_is_called_the_next_look_where_a_look_is_to_come() -> None:
    report = _report(_waits(Limit.LOOKS, "back-off after 2 looks: HTTP 404"), _waits(Limit.TEST_FILLS, "test mode"))
    assert {str(one) for one in waiting(report)} == {
        "back-off after 2 looks: HTTP 404; next look 2026-01-15 13:00 UTC",
        "test mode; until 2026-01-15 13:00 UTC",
    }


@pytest.mark.parametrize(
    ("pause", "limit", "says"),
    [
        (Pause("espn", LATER, "HTTP 403"), Limit.BACKOFF, "source paused until 2026-01-15 13:00 UTC: HTTP 403"),
        (Pause("espn_summary", LATER, "HTTP 500"), Limit.BREAKER, "breaker open until 2026-01-15 13:00 UTC: HTTP 500"),
        (Window("espn", LATER, "racks"), Limit.MAINTENANCE, "maintenance until 2026-01-15 13:00 UTC: racks"),
        (Window("espn", FOR_EVER, "racks"), Limit.MAINTENANCE, "maintenance with no end: racks"),
        (
            OperatorPause("espn", FOR_EVER, "wrong", by="ana"),
            Limit.OPERATOR_PAUSE,
            "espn paused with no end by ana: wrong",
        ),
    ],
)
def test_the_text_of_a_pause_says_its_end_and_nothing_says_it_again(pause: Pause, limit: Limit, says: str) -> None:
    [one] = waiting(_report(deferred_by(why_paused(pause, limit), MISSING)))
    assert str(one) == says


REFUSED = _waits(Limit.BACKOFF, "source paused until …: HTTP 403", gap=VANISHED, of="espn")


@pytest.mark.parametrize(
    ("report", "message"),
    [
        pytest.param(
            _report(REFUSED, REFUSED, PRESENT, pauses=PAUSED, outcomes=_fetched("2.json")),
            "2 of 3 files wait: espn paused until 2026-01-15 13:00 UTC (HTTP 403); 2 vanished · 1 fetched",
            id="a source refuses",
        ),
        pytest.param(
            _report(_waits(Limit.TIME_BUDGET, "no time"), _waits(Limit.LAKE, "the disk is full"), _waits(Limit.LAKE)),
            "3 of 3 files wait: the disk is full (2), no time (1)",
            id="what fails comes first",
        ),
        pytest.param(
            _report(MISSING, PRESENT, outcomes=_failed("0.json") | _fetched("1.json")),
            "1 of 2 files failed: 0.json: /a: HTTP 500 · 1 fetched",
            id="a file failed",
        ),
        pytest.param(
            _report(MISSING, MISSING, MISSING, outcomes=_failed("0.json") | _failed("1.json")),
            "2 of 3 files failed: 0.json: /a: HTTP 500 (and 1 more); 1 is a gap",
            id="files failed, and another became due",
        ),
        pytest.param(
            _report(MISSING, outcomes=_failed("0.json", absent=True)),
            "1 of 1 file absent: 0.json: /a: HTTP 500",
            id="the source has none",
        ),
        pytest.param(_report(UNREADABLE), "1 of 1 file cannot be read: 0.json: archived", id="unreadable"),
        pytest.param(
            _report(UNREADABLE, config=DRY),
            "1 of 1 file cannot be read: 0.json: archived · switches: dry run",
            id="unreadable, in a dry run",
        ),
        pytest.param(
            _report(replace(VANISHED, state=State.DEFERRED, limit=Limit.ENABLED)),
            "1 of 1 file waits: not in the lake any more; 1 vanished",
            id="vanished, and not fetched again",
        ),
        pytest.param(
            _report(
                _waits(Limit.START_WITHIN, "no worker"),
                outcomes=_fetched("espn/0-0.json"),
                fills=(a_fill(0, "nba_api"),),
            ),
            "1 of 1 file waits: no worker · 1 fetched",
            id="no worker took any run of a source",
        ),
    ],
)
def test_a_run_that_somebody_has_to_look_at_has_failed(report: Report, message: str) -> None:
    is_absent = " absent: " in message  # the source may have it later: nobody can mend that
    assert ending(report) == Ending("Incomplete", "FAILED", message, needs_mending=not is_absent)


def test_absent_files_hide_no_failure() -> None:
    both = _report(MISSING, MISSING, outcomes=_failed("0.json", absent=True) | _failed("1.json"))
    assert ending(both).needs_mending


@pytest.mark.parametrize("limit", [one for one in Limit if one.remedy not in (Remedy.MENDING, Remedy.WORKER)])
def test_a_run_that_leaves_files_for_later_needs_no_mending(limit: Limit) -> None:
    """It says that it is incomplete, and the next run goes on."""
    end = ending(_report(_waits(limit), PRESENT))
    assert (end.name, end.type, end.needs_mending) == ("Incomplete", "COMPLETED", False)


def test_a_run_of_a_source_that_no_worker_took_is_no_failure_if_others_were_taken() -> None:
    fill = a_fill(requests=2)
    report = _report(_waits(Limit.START_WITHIN), fills=(fill,), outcomes=_fetched(fill.keys[0]))
    assert ending(report).type == "COMPLETED"


def test_what_vanished_and_was_fetched_again_is_told_by_a_run_that_is_complete() -> None:
    report = _report(PRESENT, was_lost={"0.json": VANISHED}, fills=(a_fill(),), outcomes=_fetched("0.json"))
    assert ending(report) == Ending(
        "Completed", "COMPLETED", "Complete: 1 file; 1 vanished, 1 of them fetched again · 1 fetched"
    )


def test_a_plan_as_of_another_time_says_that_pauses_end_by_the_real_clock() -> None:
    paused = _report(deferred_by(why_paused(PAUSED["espn"], Limit.BACKOFF), MISSING), outcomes=None)
    later = NOW + timedelta(days=3)
    assert whose_clock(paused, later) == (
        "The ends of pauses are by the real clock, which says 2026-01-18 12:00 UTC; all other times are by --as-of."
    )
    assert whose_clock(paused, NOW + timedelta(minutes=5)) == "", "the plan has taken that long"
    no_end = OperatorPause("espn", FOR_EVER, "wrong", by="ana")
    for status in (MISSING, _waits(Limit.TEST_FILLS), deferred_by(why_paused(no_end, Limit.BACKOFF), MISSING)):
        assert whose_clock(_report(status, outcomes=None), later) == "", "no pause has an end"


def test_a_run_that_was_stopped_is_cancelled_whatever_it_has_left() -> None:
    end = ending(_report(REFUSED, pauses=PAUSED, stopped="SIGTERM"))
    assert (end.name, end.type) == ("Cancelled", "CANCELLED")
    assert end.message.startswith("stopped: SIGTERM; 1 of 1 file waits: ")


def test_what_a_stopped_run_has_left_waits_for_the_next_run_and_not_for_a_time() -> None:
    """Without a schedule, no run begins at the time at which a scheduled one would."""
    stopped, capped = _waits(Limit.STOPPED, "the run was stopped: Ctrl-C"), _waits(Limit.TIME_BUDGET, "no time")
    report = _report(*(replace(status, until=NOW) for status in (stopped, capped)))
    assert [str(one) for one in waiting(report)] == [
        "the run was stopped: Ctrl-C; until the next run",
        "no time; until 2026-01-15 12:00 UTC",
    ]


@pytest.mark.parametrize(
    ("outcomes", "end"),
    [
        pytest.param(_fetched("0.json"), Ending("Completed", "COMPLETED", "1 file stored"), id="all stored"),
        pytest.param(
            _fetched("0.json") | _failed("1.json", absent=True) | _failed("2.json"),
            Ending("Incomplete", "FAILED", "of 3 files, 1 failed, 1 absent: 2.json: /a: HTTP 500 · 1 stored"),
            id="failed",
        ),
        pytest.param(
            {"0.json": FileOutcome.deferred("0.json", Reason(Limit.TIME_BUDGET, "no time"))},
            Ending("Incomplete", "COMPLETED", "of 1 file, 1 deferred: 0.json: no time"),
            id="no time",
        ),
        pytest.param(
            {"0.json": FileOutcome.deferred("0.json", Reason(Limit.BACKOFF, "source paused"))},
            Ending("Incomplete", "FAILED", "of 1 file, 1 deferred: 0.json: source paused"),
            id="refused",
        ),
    ],
)
def test_a_fill_ends_in_states_of_the_same_names(outcomes: dict[str, FileOutcome], end: Ending) -> None:
    assert ending_of_fill(outcomes.values()) == end


def test_many_reasons_are_told_as_a_few() -> None:
    limits = [Limit.ROLLOUT, Limit.MAX_FILLS, Limit.MAX_FILLS, Limit.MAINTENANCE, Limit.ENABLED, Limit.PROBE]
    report = _report(*[_waits(limit, limit.value) for limit in limits])
    assert ending(report).message == (
        "6 of 6 files wait: probe (1), reconcile.max_fills (2), rollout (1), other reasons (2)"
    )
