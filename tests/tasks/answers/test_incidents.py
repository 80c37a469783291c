"""What does the ledger know for the conditions, and what does it not know?"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.store import Store
from tasks.answers.incidents import facts_of
from tasks.domain.arrivals import Unannounced
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.assess.states import Examination
from tasks.domain.assess.states import Kind as GapKind
from tasks.domain.assess.verdicts import bad, whole
from tasks.domain.incidents import Fact, Incidents, Kind, Settings, step
from tasks.domain.limits.pauses import Pause
from tasks.domain.metrics import (
    CRITICAL_FILES,
    CRITICAL_OLDEST,
    DEFERRED,
    GAPS,
    LOST_FILES,
    UNKNOWN,
    UNREADABLE_FILES,
    series_of,
)
from tasks.domain.outcomes import Failure, FileOutcome, Outcome, RunEnd
from tasks.domain.wording import utc
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord
from tasks.ledger.fills import FillEnd
from tasks.ledger.leases import Leases
from tasks.ledger.plans import RUN
from tasks.ledger.unread_messages import UnreadMessage
from tasks.publish.evaluation import evaluate
from tests.builders import NOW, a_cell, a_config

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SUMMARY = "espn/espn_summary"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(f"sqlite:///{tmp_path / 'adce.db'}")) as ledger:
        yield ledger


def found(ledger: Ledger) -> dict[tuple[Kind, str], Fact]:
    return {(fact.kind, fact.scope): fact for fact in facts_of(a_config(), ledger, NOW)}


def fill(ledger: Ledger, ago: timedelta, priority: str = "CRITICAL", **outcomes: Outcome | FileOutcome) -> None:
    record = FillRecord("f", "run", "espn", "espn_summary", "missing", priority, 1.0, NOW - ago)
    files = [one if isinstance(one, FileOutcome) else FileOutcome(key, one, 1) for key, one in outcomes.items()]
    ledger.fills.record(FillEnd(record, NOW - ago, files))


def missing(ledger: Ledger, *keys: str) -> None:
    ledger.gaps.record(Gap(a_cell(key=key), GapKind.MISSING, "", NOW - 40 * HOUR) for key in keys)


def unfit(key: str) -> FileOutcome:
    return FileOutcome(key, Outcome.FAILED, 1, error="no game", failure=Failure.UNFIT)


def absent(key: str) -> FileOutcome:
    return FileOutcome(key, Outcome.FAILED, 1, failure=Failure.ABSENT, absent=True)


def look(ledger: Ledger, lake: str, **gauges: float) -> None:
    values = {of: value for of, value in zip(_SERIES.values(), map(gauges.get, _SERIES), strict=True) if value}
    ledger.looks.record(RecordedLook(NOW, NOW, None, "run", lake, 0, 0, 0, {}, {}, (), {}, values))


_LABELS = {"source": "espn", "dataset": "espn_summary"}
_SERIES = {
    "lost": series_of(LOST_FILES, **_LABELS),
    "unreadable": series_of(UNREADABLE_FILES, **_LABELS),
    "missing": series_of(GAPS, **_LABELS, kind="missing"),
    "oldest": series_of(CRITICAL_OLDEST, **_LABELS),
    "critical": series_of(CRITICAL_FILES, **_LABELS),
    "waiting": series_of(DEFERRED, source="espn", limit="backoff"),
    "unknown": series_of(UNKNOWN, dataset="espn_summary"),
}


def test_of_an_empty_ledger_only_is_known_that_nothing_is_paused_or_has_failed(ledger: Ledger) -> None:
    facts = found(ledger)
    of_attempts = {Kind.FAILURES, Kind.CRITICAL_FAILURES, Kind.CHECKS, Kind.BREAKER}
    assert {kind for kind, _ in facts} == {Kind.SOURCE_PAUSED, Kind.SERVERS, *of_attempts}
    assert all(fact.value == 0 for fact in facts.values())


def test_the_share_of_failures_is_the_smaller_one_of_two_windows_and_needs_20_attempts(ledger: Ledger) -> None:
    files = {f"k{n}": Outcome.STORED for n in range(14)}
    fill(ledger, 5 * HOUR, "LOW", **files, bad=Outcome.FAILED)
    fill(ledger, MINUTE, "LOW", a=Outcome.FAILED, b=Outcome.FAILED, c=Outcome.FAILED, d=Outcome.FAILED)
    assert found(ledger)[Kind.FAILURES, "espn"].value == 0, "19 attempts"
    fill(ledger, MINUTE, "LOW", e=Outcome.FAILED)
    fact = found(ledger)[Kind.FAILURES, "espn"]
    assert (fact.value, fact.files, fact.reason) == (0.3, 6, "6 of 20 attempts of 6 hours failed")
    fill(ledger, MINUTE, "LOW", e=Outcome.FAILED)
    again = found(ledger)[Kind.FAILURES, "espn"]
    assert (again.files, again.reason) == (6, "7 of 21 attempts of 6 hours failed"), "a file that fails twice is one"
    fact = again
    fill(ledger, MINUTE, "LOW", **{f"no{n}": absent(f"no{n}") for n in range(30)})
    assert found(ledger)[Kind.FAILURES, "espn"] == fact, "what the source does not have is no failure"


def test_while_nothing_is_asked_it_is_not_known_whether_attempts_fail(ledger: Ledger) -> None:
    fill(ledger, HOUR, "LOW", **{f"k{n}": Outcome.FAILED for n in range(20)})
    assert (Kind.FAILURES, "espn") not in found(ledger)
    assert found(ledger)[Kind.FAILURES, "nba_api"].value == 0, "it was not asked for six hours"


def test_failures_of_a_critical_file_count_from_its_last_success_while_it_is_a_gap(ledger: Ledger) -> None:
    missing(ledger, "k", "other", "low")
    for hours, outcome in ((4, Outcome.STORED), (3, Outcome.FAILED), (2, Outcome.DEFERRED)):
        fill(ledger, hours * HOUR, k=outcome)
    missing(ledger, "k")
    fill(ledger, HOUR, k=Outcome.FAILED, other=Outcome.FAILED)
    fill(ledger, HOUR, "LOW", low=Outcome.FAILED)
    assert found(ledger)[Kind.CRITICAL_FAILURES, SUMMARY][2:5] == (2, 2, "k")
    fill(ledger, HOUR, k=absent("k"))
    assert found(ledger)[Kind.CRITICAL_FAILURES, SUMMARY][2:5] == (1, 1, "other"), "the source does not have it"
    ledger.gaps.close(["other"])
    assert found(ledger)[Kind.CRITICAL_FAILURES, SUMMARY].value == 0, "somebody else has stored it"


def test_failures_of_yesterday_do_not_count(ledger: Ledger) -> None:
    missing(ledger, "k")
    fill(ledger, 30 * HOUR, k=Outcome.FAILED)
    assert found(ledger)[Kind.CRITICAL_FAILURES, SUMMARY].value == 0


def test_bodies_that_fail_their_check_count_from_the_last_good_one(ledger: Ledger) -> None:
    fill(ledger, 5 * HOUR, a=unfit("a"), b=unfit("b"))
    fill(ledger, 4 * HOUR, c=unfit("c"), d=Outcome.STORED, e=unfit("e"))
    fill(ledger, 3 * HOUR, f=FileOutcome("f", Outcome.FAILED, 1, failure=Failure.UNREACHABLE), g=absent("g"))
    fill(ledger, 2 * HOUR, h=unfit("h"), i=unfit("i"))
    fact = found(ledger)[Kind.CHECKS, SUMMARY]
    assert (fact.value, fact.reason) == (3, "h: no game")
    fill(ledger, HOUR, j=Outcome.STORED)
    assert found(ledger)[Kind.CHECKS, SUMMARY].value == 0


def test_files_of_one_body_are_one_body(ledger: Ledger) -> None:
    fill(ledger, HOUR, a=unfit("a"), b=replace(unfit("b"), requests=0), c=replace(unfit("c"), requests=0))
    assert found(ledger)[Kind.CHECKS, SUMMARY].value == 1


def test_a_breaker_counts_its_openings_of_a_day(ledger: Ledger) -> None:
    for name, hours in (("espn_summary", (25, 3, 2)), ("espn_summary@new_host", (9, 5, 1))):
        openings = tuple(NOW - hour * HOUR for hour in hours)
        ledger.pauses.change(name, lambda _, name=name, at=openings: Pause(name, openings=at))  # type: ignore[misc]
    assert found(ledger)[Kind.BREAKER, SUMMARY].value == 3


def test_a_source_is_paused_since_its_first_pause_and_one_that_does_not_tell_is_not_known(ledger: Ledger) -> None:
    for name, since in (("espn", NOW - HOUR), ("espn@new_host", NOW - 2 * HOUR), ("nba_api", None)):
        pause = Pause(name, NOW + MINUTE, "HTTP 403", since=since)
        ledger.pauses.change(name, lambda _, pause=pause: pause)  # type: ignore[misc]
    look(ledger, Store(a_config().lake).address, waiting=12.0)
    facts = found(ledger)
    assert facts[Kind.SOURCE_PAUSED, "espn"][2:4] == (2 * 3600, 12)
    assert facts[Kind.SOURCE_PAUSED, "espn"].reason == f"HTTP 403; it is asked again from {utc(NOW + MINUTE)}"
    assert (Kind.SOURCE_PAUSED, "nba_api") not in facts
    assert facts[Kind.SOURCE_PAUSED, "basketball_reference"].value == 0


def test_what_the_last_look_has_found_is_known_once_one_of_this_lake_is_recorded(ledger: Ledger) -> None:
    config = a_config()
    since = (NOW - 5 * HOUR).timestamp()
    look(ledger, "another lake", lost=3.0)
    assert (Kind.LOST, SUMMARY) not in found(ledger)
    look(ledger, Store(config.lake).address, lost=4.0, unreadable=2.0, missing=9.0, oldest=since, critical=7.0)
    facts = found(ledger)
    assert (facts[Kind.LOST, SUMMARY].value, facts[Kind.UNREADABLE, SUMMARY].value) == (4, 2)
    assert facts[Kind.CRITICAL_GAP, SUMMARY][2:4] == (5 * 3600, 7)
    assert facts[Kind.CRITICAL_GAP, "nba_api/nba_playbyplay"].value == 0
    assert (Kind.EVENT_PATH, "") not in facts, "no events are watched"


def test_lost_files_are_named_by_one_of_them(ledger: Ledger) -> None:
    address = Store(a_config().lake).address
    missing(ledger, "a")
    ledger.gaps.record(Gap(a_cell(key=key), GapKind.VANISHED, "", NOW) for key in ("c", "b"))
    look(ledger, address, lost=2.0)
    assert found(ledger)[Kind.LOST, SUMMARY].reason == "b (and 1 more)"
    ledger.gaps.close(["b"])
    look(ledger, address, lost=1.0)
    assert found(ledger)[Kind.LOST, SUMMARY].reason == "c"
    look(ledger, address)
    assert found(ledger)[Kind.LOST, SUMMARY].reason == ""


def test_a_file_that_is_too_small_now_or_cut_off_is_lost_if_it_was_whole(ledger: Ledger) -> None:
    kinds = {"a": GapKind.UNDERSIZED, "b": GapKind.INVALID, "c": GapKind.INVALID, "d": GapKind.UNDERSIZED}
    ledger.gaps.record(Gap(a_cell(key=key), kind, "", NOW) for key, kind in kinds.items())
    was_whole = Examination("etag", 1000, "check", whole())
    cut_off = Examination("etag", 1000, "check", bad("cut off"), was_size=2000)
    ledger.objects.record({"b": cut_off._replace(was_size=None), "c": cut_off, "d": was_whole})
    look(ledger, Store(a_config().lake).address, lost=2.0)
    assert found(ledger)[Kind.LOST, SUMMARY].reason == "c (and 1 more)"
    ledger.gaps.close("c")
    look(ledger, Store(a_config().lake).address, lost=1.0)
    assert found(ledger)[Kind.LOST, SUMMARY].reason == "d"


def test_files_are_not_found_again_by_a_schedule_that_becomes_unknown(ledger: Ledger) -> None:
    address, of_dataset = Store(a_config().lake).address, (Kind.LOST, Kind.UNREADABLE, Kind.CRITICAL_GAP)
    look(ledger, address, lost=1.0, unknown=1.0)
    assert found(ledger)[Kind.LOST, SUMMARY].value == 1
    look(ledger, address, unknown=1.0)
    facts = found(ledger)
    assert not any((kind, SUMMARY) in facts for kind in of_dataset), "its games are not known"
    assert facts[Kind.LOST, "nba_api/nba_playbyplay"].value == 0, "those of other datasets are"
    look(ledger, address)
    assert all(found(ledger)[kind, SUMMARY].value == 0 for kind in of_dataset)


def test_gaps_of_a_sandbox_are_as_old_as_they_were_by_its_own_clock(ledger: Ledger) -> None:
    config = a_config(sandbox=True)
    look(ledger, Store(config.lake).address, oldest=(NOW - 5 * HOUR).timestamp(), critical=7.0)
    facts = {(fact.kind, fact.scope): fact for fact in facts_of(config, ledger, NOW + 9000 * HOUR)}
    assert facts[Kind.CRITICAL_GAP, SUMMARY].value == 5 * 3600


def test_a_day_of_pause_swallows_its_old_gaps_and_only_those(ledger: Ledger) -> None:
    config, told = a_config(), []
    nba = {"source": "nba_api", "dataset": "nba_playbyplay"}
    pause = Pause("espn", NOW + 30 * HOUR, "HTTP 403", since=NOW)
    ledger.pauses.change("espn", lambda _: pause)
    detected = {_SERIES["oldest"]: NOW.timestamp(), series_of(CRITICAL_OLDEST, **nba): NOW.timestamp()}
    address = Store(config.lake).address
    ledger.looks.record(RecordedLook(NOW, NOW, None, "run", address, 0, 0, 0, {}, {}, (), {}, detected))
    for minutes in range(0, 24 * 60, 5):
        changes = evaluate(config, ledger, NOW + minutes * MINUTE)
        told += [(one.incident.kind, one.incident.scope, minutes) for one in changes]
    paused, old = Kind.SOURCE_PAUSED, Kind.CRITICAL_GAP
    assert told == [(paused, "espn", 190), (old, "nba_api/nba_playbyplay", 250)]
    swallowed = [one for one in ledger.incidents.open() if one.scope == SUMMARY]
    assert [one.kind for one in swallowed] == [old]


def test_a_reconcile_that_has_never_ended_is_waited_for_since_the_first_run_began(ledger: Ledger) -> None:
    leases = Leases(ledger.database, "r", MINUTE)
    leases.begin("reconcile", "everything", None, lambda why: None)
    now = datetime.now(UTC) + HOUR
    facts = {fact.kind: fact for fact in facts_of(a_config(), ledger, now)}
    assert facts[Kind.NO_RECONCILE].value == pytest.approx(3600, abs=60)
    assert facts[Kind.SLOW_CYCLE].value == pytest.approx(3600, abs=60), "it has no plan yet"
    ledger.plans.keep(RUN, {}, now, "r", cycle=90.0)
    leases.end(RunEnd.ENDED)
    assert {fact.kind: fact for fact in facts_of(a_config(), ledger, now)}[Kind.SLOW_CYCLE].value == 90


def test_a_time_for_which_adce_was_stopped_is_not_too_long_until_the_service_has_run_for_as_long(
    ledger: Ledger,
) -> None:
    def found_at(minutes: int, since: int) -> list[float]:
        facts = facts_of(a_config(), ledger, NOW + minutes * MINUTE, NOW + since * MINUTE)
        return [fact.value / 60 for fact in facts if fact.kind is Kind.NO_RECONCILE]

    ledger.looks.record(RecordedLook(NOW, NOW, None, "run", "lake", 0, 0, 0, {}, {}, (), {}, {}), is_done=True)
    assert found_at(30, since=29) == [30]
    assert found_at(120, since=119) == found_at(149, since=119) == [], "two intervals are half an hour"
    assert found_at(150, since=119) == [150]
    ledger.looks.record(
        RecordedLook(NOW + 125 * MINUTE, NOW, None, "run", "lake", 0, 0, 0, {}, {}, (), {}, {}), is_done=True
    )
    assert found_at(126, since=119) == [1]


def test_events_are_known_while_they_are_watched(ledger: Ledger) -> None:
    ledger.announcements.progressed(NOW)
    ledger.unread_messages.keep(
        UnreadMessage(name, at, "not JSON", "x", 5) for name, at in (("new", NOW - HOUR), ("old", NOW - 48 * HOUR))
    )
    facts = found(ledger)
    assert facts[Kind.DEAD_LETTERS, ""].value == 1
    assert facts[Kind.MISSED_EVENTS, ""].value == 0
    assert (Kind.EVENT_PATH, "") not in facts, "it is neither proved nor broken"


@pytest.mark.parametrize(
    ("taken", "missed", "is_told"), [(990, 10, False), (989, 11, True), (297, 3, False), (9, 1, True)]
)
def test_more_than_10_missed_events_a_day_or_one_percent_are_told(
    ledger: Ledger, taken: int, missed: int, *, is_told: bool
) -> None:
    ledger.announcements.progressed(NOW)
    ledger.database.write(lambda connection: ledger.announcements.count_taken(connection, NOW.date(), taken))
    ledger.announcements.found({f"k/{n}": Unannounced(None, NOW - HOUR, None) for n in range(missed)})
    ledger.announcements.count_missed(NOW)
    fact = found(ledger)[Kind.MISSED_EVENTS, ""]
    assert (fact.value, fact.reason) == (missed, f"of {taken + missed:,} events today, in UTC")
    _, changes = step(Incidents(), [fact], NOW, Settings(settle=timedelta(0)))
    assert bool(changes) is is_told


def test_what_the_settings_have_no_longer_is_over(ledger: Ledger) -> None:
    config = a_config()
    lost = [Fact(Kind.LOST, scope, 1) for scope in (SUMMARY, "espn/gone")]
    evaluate(config, ledger, NOW, [*lost, Fact(Kind.DEAD_LETTERS, "", 1)])
    off = config.datasets["espn_summary"].model_copy(update={"enabled": False})
    config = config.model_copy(update={"datasets": {**config.datasets, "espn_summary": off}})
    evaluate(config, ledger, NOW + MINUTE)
    evaluate(config, ledger, NOW + HOUR)
    assert ledger.incidents.open() == []
    assert {one.kind: one.unwatched for one in ledger.incidents.closed_since(NOW)} == {
        Kind.LOST: "the settings have it fetched no longer",
        Kind.DEAD_LETTERS: "the events of the lake are not watched any more",
    }
