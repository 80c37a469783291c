"""What does the ledger know for the conditions, and what does it not know?"""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.answers.incidents import facts_of
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.incidents import Fact, Kind
from tasks.domain.limits.pauses import Pause
from tasks.domain.metrics import GAPS, OLDEST, QUEUE, series_of
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord
from tasks.ledger.unread_messages import UnreadMessage
from tests.builders import NOW, a_config

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SUMMARY = "espn/espn_summary"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(f"sqlite:///{tmp_path / 'adce.db'}")) as ledger:
        yield ledger


def found(ledger: Ledger) -> dict[tuple[Kind, str], Fact]:
    return {(fact.kind, fact.scope): fact for fact in facts_of(a_config(), ledger, NOW)}


def fill(ledger: Ledger, ago: timedelta, priority: str = "CRITICAL", **outcomes: Outcome) -> None:
    record = FillRecord("f", "run", "espn", "espn_summary", "missing", priority, 1.0, NOW - ago)
    files = [FileOutcome(key, outcome) for key, outcome in outcomes.items()]
    ledger.database.write(lambda connection: ledger.attempts.write(connection, record, NOW - ago, files, {}))


def test_of_an_empty_ledger_only_is_known_that_nothing_is_paused_or_has_failed(ledger: Ledger) -> None:
    facts = found(ledger)
    assert {kind for kind, _ in facts} == {Kind.SOURCE_PAUSED, Kind.CRITICAL_FAILURES}
    assert all(fact.value == 0 for fact in facts.values())


def test_the_share_of_failures_is_the_smaller_one_of_two_windows_and_needs_20_attempts(ledger: Ledger) -> None:
    files = {f"k{n}": Outcome.STORED for n in range(14)}
    fill(ledger, 5 * HOUR, "LOW", **files, bad=Outcome.FAILED)
    fill(ledger, MINUTE, "LOW", a=Outcome.FAILED, b=Outcome.FAILED, c=Outcome.FAILED, d=Outcome.FAILED)
    assert found(ledger)[Kind.FAILURES, "espn"].value == 0, "19 attempts"
    fill(ledger, MINUTE, "LOW", e=Outcome.FAILED)
    fact = found(ledger)[Kind.FAILURES, "espn"]
    assert (fact.value, fact.files, fact.reason) == (0.3, 6, "6 of 20 attempts of 6 hours failed")
    assert (Kind.FAILURES, "nba_api") not in found(ledger), "nothing was asked"


def test_failures_of_a_critical_file_count_from_its_last_success(ledger: Ledger) -> None:
    for hours, outcome in ((30, Outcome.FAILED), (4, Outcome.STORED), (3, Outcome.FAILED), (2, Outcome.DEFERRED)):
        fill(ledger, hours * HOUR, k=outcome)
    fill(ledger, HOUR, k=Outcome.FAILED, other=Outcome.FAILED)
    fill(ledger, HOUR, "LOW", low=Outcome.FAILED)
    assert found(ledger)[Kind.CRITICAL_FAILURES, SUMMARY][2:] == (2, 2, "k")


def test_a_source_is_paused_since_its_first_pause_and_one_that_does_not_tell_is_not_known(ledger: Ledger) -> None:
    for name, since in (("espn", NOW - HOUR), ("espn@new_host", NOW - 2 * HOUR), ("nba_api", None)):
        pause = Pause(name, NOW + MINUTE, "HTTP 403", since=since)
        ledger.pauses.change(name, lambda _, pause=pause: pause)  # type: ignore[misc]
    facts = found(ledger)
    assert facts[Kind.SOURCE_PAUSED, "espn"].value == 2 * 3600
    assert (Kind.SOURCE_PAUSED, "nba_api") not in facts
    assert facts[Kind.SOURCE_PAUSED, "basketball_reference"].value == 0


def test_what_the_last_look_has_found_is_known_once_one_is_recorded(ledger: Ledger) -> None:
    config = a_config()
    labels = {"source": "espn", "dataset": "espn_summary"}
    gauges = {
        series_of(GAPS, **labels, kind="vanished"): 3.0,
        series_of(GAPS, **labels, kind="shrunk"): 1.0,
        series_of(GAPS, **labels, kind="missing"): 9.0,
        series_of(OLDEST, priority="CRITICAL"): (NOW - 5 * HOUR).timestamp(),
        series_of(QUEUE, priority="CRITICAL"): 7.0,
    }
    look = RecordedLook(NOW, NOW, None, "run", "lake", 0, 0, 0, {}, {}, (), {}, gauges)
    ledger.looks.record(look)
    facts = {(fact.kind, fact.scope): fact for fact in facts_of(config, ledger, NOW)}
    assert (facts[Kind.LOST, SUMMARY].value, facts[Kind.UNREADABLE, SUMMARY].value) == (4, 0)
    assert facts[Kind.CRITICAL_GAP, ""][2:4] == (5 * 3600, 7)
    assert (Kind.EVENT_PATH, "") not in facts, "no events are watched"


def test_events_are_known_while_they_are_watched(ledger: Ledger) -> None:
    ledger.announcements.progressed(NOW)
    ledger.unread_messages.keep(
        UnreadMessage(name, at, "not JSON", "x", 5) for name, at in (("new", NOW - HOUR), ("old", NOW - 48 * HOUR))
    )
    facts = found(ledger)
    assert facts[Kind.DEAD_LETTERS, ""].value == 1
    assert facts[Kind.MISSED_EVENTS, ""].value == 0
    assert (Kind.EVENT_PATH, "") not in facts, "it is neither proved nor broken"
