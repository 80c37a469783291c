"""When is ADCE healthy? Each rule is tried at the moment at which it changes its mind."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.answers.health import Check, Evaluated, Events, Held, Known, Reached, Verdict, health_of, is_ready
from tasks.domain.event_path import EventPath, PathState
from tasks.domain.incidents import Incident, Kind

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GOOD = Known(15 * MINUTE, timedelta(seconds=5), NOW, {"ledger": Reached(NOW, NOW)}, NOW, None, {"ledger": 10**12}, NOW)
NO_EVENT = EventPath(PathState.BROKEN, "no event has come")


def check(known: Known, name: str, now: datetime = NOW) -> Check:
    return next(check for check in health_of(known, now).checks if check.name == name)


def test_where_all_is_well_every_check_passes_and_nothing_is_said() -> None:
    health = health_of(GOOD, NOW)
    assert (health.verdict, health.output) == (Verdict.PASS, "")
    assert {check.name for check in health.checks} == {
        "reconcile",
        "answers",
        "sources",
        "ledger",
        "disk of the ledger",
    }


def an_incident(kind: Kind, scope: str = "", cause: str = "") -> Incident:
    return Incident("1", kind, scope, NOW, NOW, cause=cause)


@pytest.mark.parametrize(
    ("incidents", "verdict", "output"),
    [
        ([], "pass", "none is open"),
        ([an_incident(Kind.LOST, "espn/a")], "warn", "Files have vanished from the lake or have shrunk (espn/a)"),
        (
            [an_incident(Kind.SOURCE_PAUSED, "espn"), an_incident(Kind.BREAKER, "espn/a", cause="7")],
            "warn",
            "A source is paused after refusals (espn); 1 more that follow from that",
        ),
        ([an_incident(Kind.CONFIGURATION)], "fail", "The configuration does not load"),
        (
            [an_incident(Kind.SCHEDULE), an_incident(Kind.NO_RECONCILE, cause="7")],
            "fail",
            "The schedule or work pool of the reconcile is paused; 1 more that follow from that",
        ),
    ],
)
def test_an_open_incident_warns_and_one_that_stops_all_work_fails(
    incidents: list[Incident], verdict: str, output: str
) -> None:
    found = check(replace(GOOD, incidents=Evaluated(NOW, incidents)), "incidents")
    assert (found.verdict, found.output) == (verdict, output)


@pytest.mark.parametrize(("minutes", "verdict"), [(30, "pass"), (31, "warn")])
def test_conditions_that_nobody_has_evaluated_for_two_intervals_warn(minutes: int, verdict: str) -> None:
    found = check(replace(GOOD, incidents=Evaluated(NOW, [])), "incidents", NOW + minutes * MINUTE)
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("at", "output"),
    [
        pytest.param(None, "nobody has evaluated the conditions yet", id="never"),
        pytest.param(
            NOW + timedelta(days=3),
            "the conditions were evaluated last 2026-01-18 12:00 UTC, "
            "which is in the future, so a clock is wrong or was",
            id="in the future",
        ),
    ],
)
def test_conditions_that_were_not_evaluated_before_now_warn(at: datetime | None, output: str) -> None:
    found = check(replace(GOOD, incidents=Evaluated(at, [])), "incidents")
    assert (found.verdict, found.output) == ("warn", output)
    broken = check(replace(GOOD, incidents=Evaluated(at, [an_incident(Kind.LAKE)])), "incidents")
    assert broken.verdict == "fail"
    assert broken.output.endswith(output)
    over = an_incident(Kind.LAKE)._replace(cleared=NOW)
    assert check(replace(GOOD, incidents=Evaluated(at, [over])), "incidents").verdict == "warn", "it stops no work now"


@pytest.mark.parametrize(("minutes", "verdict"), [(30, "pass"), (31, "warn"), (60, "warn"), (61, "fail")])
def test_a_reconcile_has_to_end_within_two_intervals_and_must_within_four(minutes: int, verdict: str) -> None:
    assert check(GOOD, "reconcile", NOW + minutes * MINUTE).verdict == verdict
    never = replace(GOOD, finished=None)
    assert check(never, "reconcile", NOW + minutes * MINUTE).verdict == ("warn" if verdict == "pass" else verdict)
    assert check(never, "reconcile").output == "none has ended yet"
    elsewhere = check(replace(GOOD, other_lake="s3://other"), "reconcile", NOW + minutes * MINUTE)
    assert elsewhere.verdict == ("warn" if verdict == "pass" else verdict)
    assert "its look was at s3://other, which is not the lake" in elsewhere.output


@pytest.mark.parametrize(("minutes", "verdict"), [(0, "warn"), (60, "warn"), (61, "fail")])
def test_a_last_reconcile_that_was_incomplete_is_at_least_a_warning_that_says_what_is_undone(
    minutes: int, verdict: str
) -> None:
    found = check(replace(GOOD, incomplete="Incomplete: 2 failed"), "reconcile", NOW + minutes * MINUTE)
    assert (found.verdict, found.output.partition("; ")[2]) == (verdict, "it was not complete: Incomplete: 2 failed")


@pytest.mark.parametrize(("ahead", "verdict"), [(2 * MINUTE, "pass"), (3 * MINUTE, "warn"), (9999 * MINUTE, "warn")])
def test_a_time_in_the_future_counts_as_unknown(ahead: timedelta, verdict: str) -> None:
    then = NOW + ahead
    known = replace(GOOD, finished=then, served=then, events=Events(then, None))
    for name in ("reconcile", "watch", "answers"):
        found = check(known, name)
        assert (found.verdict, found.time) == (verdict, then)
    assert check(known, "reconcile").output.endswith("0s ago" if verdict == "pass" else "a clock is wrong or was")
    assert is_ready(known, NOW) is (verdict == "pass")


@pytest.mark.parametrize(("minutes", "verdict"), [(0, "warn"), (5, "warn"), (6, "fail")])
def test_what_does_not_answer_is_a_failure_after_five_minutes(minutes: int, verdict: str) -> None:
    away = replace(GOOD, reached={"lake": Reached(NOW - MINUTE, NOW, "answers HTTP 503")})
    found = check(away, "lake", NOW + minutes * MINUTE)
    assert (found.verdict, found.time) == (verdict, NOW)
    assert found.output == "answers HTTP 503; the last answer is of 2026-01-15 12:00 UTC"
    never = replace(GOOD, reached={"lake": Reached(NOW, None, "answers HTTP 503")})
    assert check(never, "lake", NOW + minutes * MINUTE).verdict == verdict
    assert check(replace(GOOD, reached={"lake": Reached(NOW)}), "lake").verdict is Verdict.WARN, "not asked yet"


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        (Events(NOW - 5 * MINUTE, None), "pass"),
        (Events(NOW - 6 * MINUTE, None), "warn"),
        (Events(NOW - 16 * MINUTE, NO_EVENT), "fail"),
        (Events(NOW, NO_EVENT), "warn"),
        (Events(None, None), "warn"),
    ],
)
def test_the_queue_has_to_be_read_and_events_have_to_come(events: Events, verdict: str) -> None:
    assert check(replace(GOOD, events=events), "watch").verdict == verdict


@pytest.mark.parametrize(
    ("free", "verdict"), [(10**9, "pass"), (10**9 - 1, "warn"), (10**8, "warn"), (10**8 - 1, "fail")]
)
def test_a_disk_needs_room(free: int, verdict: str) -> None:
    assert check(replace(GOOD, free={"lake": free}), "disk of the lake").verdict == verdict


def test_the_worst_check_counts_and_is_told_with_what_is_wrong() -> None:
    known = replace(GOOD, reached={"ledger": Reached(NOW, NOW), "lake": Reached(NOW, NOW, "is not there")}, free={})
    assert health_of(known, NOW).verdict is Verdict.WARN
    health = health_of(replace(known, free={"lake": 0}), NOW)
    assert health.verdict is Verdict.FAIL
    assert health.output.startswith("lake: is not there; the last answer is of 2026-01-15 12:00 UTC; disk of the lake:")


def test_a_snapshot_is_fresh_for_two_refreshes() -> None:
    assert is_ready(GOOD, NOW + timedelta(seconds=10))
    assert not is_ready(GOOD, NOW + timedelta(seconds=11))
    assert not is_ready(replace(GOOD, served=None), NOW), "nothing has been read yet"


@pytest.mark.parametrize(("seconds", "verdict"), [(10, "pass"), (11, "warn"), (310, "warn"), (311, "fail")])
def test_answers_have_to_be_of_the_ledger_as_it_is(seconds: int, verdict: str) -> None:
    now = NOW + timedelta(seconds=seconds)
    assert check(GOOD, "answers", now).verdict == verdict
    in_part = check(replace(GOOD, unwritten=["/tasks"]), "answers", now)
    assert in_part.verdict == ("warn" if verdict == "pass" else verdict)
    assert "of /tasks the last ones stay" in in_part.output
    assert check(replace(GOOD, served=None), "answers").verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("files", "is_meant", "verdict"), [(0, False, "warn"), (2, False, "warn"), (2, True, "warn"), (0, True, "pass")]
)
def test_what_keeps_a_source_from_being_asked_is_said_with_its_end(files: int, verdict: str, *, is_meant: bool) -> None:
    reason = "source paused until 2026-01-15 12:15 UTC: HTTP 403"
    known = replace(GOOD, held=[Held("espn", reason, files, is_meant)])
    assert check(known, "sources").verdict == verdict
    waiting = "; 2 files wait" if files else ""
    assert health_of(known, NOW).output == (f"sources: espn: {reason}{waiting}" if verdict == "warn" else "")
