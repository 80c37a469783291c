"""Does the source have this file at all?"""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Unavailability
from tasks.domain.assess.absences import Absence, keys_in_doubt, looked, status_of
from tasks.domain.assess.states import State, Status
from tasks.domain.reasons import Limit
from tasks.domain.times import SKEW
from tests.builders import NOW

HOUR = timedelta(hours=1)
RULES = Unavailability()
DUE = NOW - HOUR


def _after(*hours: float) -> Absence:
    """After looks at these hours."""
    absence = None
    for hour in hours:
        absence = looked(absence, "key", "espn_summary", "HTTP 404", DUE, NOW + hour * HOUR, RULES)
    assert absence is not None
    return absence


def test_a_file_is_unavailable_after_some_looks_over_some_time_and_looked_for_again_when_that_expires() -> None:
    absence = _after(0, 12, 24)
    assert absence.until is not None
    status = status_of(absence, RULES, NOW + 24 * HOUR)
    assert status is not None
    assert (status.state, status.until) == (State.UNAVAILABLE, NOW + 24 * HOUR + RULES.expires)
    assert status.reason == "the source has none: HTTP 404 (3 looks since 2026-01-15 12:00 UTC)"
    assert status_of(absence, RULES, absence.until) is None
    again = looked(absence, "key", "espn_summary", "HTTP 404", DUE, absence.until, RULES)
    assert (again.until, again.looks, again.first) == (None, 1, absence.until), "and looked into anew"


def test_neither_many_looks_in_a_short_time_nor_few_in_a_long_one_are_enough() -> None:
    assert _after(*(n / 10 for n in range(10))).until is None
    assert _after(0, 100).until is None


def test_the_first_looks_are_not_held_back_and_later_ones_come_ever_later_but_in_time_to_decide() -> None:
    assert status_of(_after(0, 1), RULES, NOW + 1 * HOUR) is None
    waits = []
    hours = [0.0, 0.25, 0.5]
    while (absence := _after(*hours)).until is None:
        status = status_of(absence, RULES, absence.last)
        assert status is not None
        assert status.state is State.DEFERRED
        assert status.until is not None
        waits.append((status.until - absence.last) / HOUR)
        hours.append((status.until - NOW) / HOUR)
    assert waits == [0.5, 1, 2, 4, 8, 8]
    assert hours[-1] == 24


@pytest.mark.parametrize(
    ("hours", "due"),
    [
        pytest.param((9000, 9012, 9024), DUE, id="by a run whose clock was set ahead"),
        pytest.param((-1, 0, 48), DUE - 9 * HOUR, id="at last by one whose clock was set ahead"),
        pytest.param((-240, -228, -216), DUE, id="before the game was played"),
    ],
)
def test_what_was_not_found_at_another_time_is_no_evidence(hours: tuple[int, ...], due: datetime) -> None:
    first, _, last = (NOW + hour * HOUR for hour in hours)
    absence = Absence("key", "HTTP 404", first, last, looks=3, until=NOW + 999 * HOUR)
    assert not absence.counts(due, NOW, RULES.expires)
    for hour in (0, 12, 24):
        absence = looked(absence, "key", "espn_summary", "HTTP 404", due, NOW + hour * HOUR, RULES)
    assert (absence.first, absence.looks, absence.until) == (NOW, 3, NOW + 24 * HOUR + RULES.expires)


def test_a_file_is_unavailable_no_longer_than_the_rules_say_whatever_the_clock_was() -> None:
    absence = Absence("key", "HTTP 404", NOW, NOW, looks=3, until=NOW + timedelta(days=365))
    assert not absence.counts(DUE, NOW, RULES.expires)
    assert absence.counts(DUE, NOW, timedelta(days=365))
    by_operator = Absence("key", "", NOW, NOW, until=NOW + timedelta(days=365), note="never played")
    assert by_operator.counts(DUE, NOW, RULES.expires)


def test_what_an_operator_sets_holds_at_once_and_tells_the_note() -> None:
    absence = Absence("key", "", NOW, NOW, until=NOW + HOUR, note="never played")
    operator = Status(State.UNAVAILABLE, "set by an operator: never played", until=NOW + HOUR, limit=Limit.OPERATOR)
    assert status_of(absence, RULES, NOW) == operator
    assert status_of(absence, RULES, NOW + HOUR) is None
    assert looked(absence, "key", "d", "HTTP 404", DUE, NOW, RULES) == absence, "a run does not know better"
    assert looked(absence, "key", "d", "HTTP 404", DUE, NOW, RULES, awaited=True) == absence, "of no page"
    assert looked(absence, "key", "d", "HTTP 404", DUE, NOW + HOUR, RULES).note is None


def test_looks_for_a_page_that_is_awaited_do_not_add_up() -> None:
    absence = looked(_after(0, 12), "key", "espn_summary", "HTTP 404", DUE, NOW + 24 * HOUR, RULES, awaited=True)
    assert (absence.first, absence.looks, absence.until) == (NOW + 24 * HOUR, 1, None)


def test_the_evidence_of_an_unfinished_document_counts_as_that_of_none_and_is_named_for_what_it_is() -> None:
    absence = None
    for hour, unfinished in ((0, True), (12, False), (24, True)):
        when = NOW + hour * HOUR
        absence = looked(absence, "key", "espn_summary", "without plays", DUE, when, RULES, unfinished=unfinished)
    assert absence is not None
    status = status_of(absence, RULES, NOW + 24 * HOUR)
    assert status is not None
    assert status.state is State.UNAVAILABLE
    assert status.reason == "never whole at the source: without plays (3 looks since 2026-01-15 12:00 UTC)"


@given(st.lists(st.floats(0, 100), min_size=1, max_size=10))
def test_a_file_that_is_held_back_has_a_time_when_it_is_looked_for(gaps: list[float]) -> None:
    hours = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    absence = _after(*hours)
    status = status_of(absence, RULES, absence.last)
    assert status is None or (status.until is not None and status.until > absence.last)


def test_a_file_is_doubted_that_a_source_had_none_of_and_not_one_that_an_operator_has_marked() -> None:
    looked_at, by_operator = _after(0), Absence("b", "", NOW, NOW, until=NOW + HOUR, note="never played")
    assert keys_in_doubt([looked_at, by_operator]) == {"key"}


def test_each_look_keeps_what_it_found() -> None:
    first = looked(None, "key", "espn_summary", "without plays", DUE, NOW, RULES, unfinished=True)
    assert first == Absence("key", "without plays", NOW, NOW, 1, None, None, "espn_summary", unfinished=True)
    second = looked(first, "key", "espn_summary", "HTTP 404", DUE, NOW + HOUR, RULES)
    assert second == Absence("key", "HTTP 404", NOW, NOW + HOUR, 2, None, None, "espn_summary", unfinished=False)
    third = looked(second, "key", "espn_summary", "without plays", DUE, NOW + 2 * HOUR, RULES, unfinished=True)
    assert (third.evidence, third.looks, third.unfinished) == ("without plays", 3, True)


def test_a_look_at_what_is_unavailable_prolongs_that_and_rules_that_ask_for_more_end_it() -> None:
    before = _after(0, 12, 24)
    again = looked(before, "key", "espn_summary", "HTTP 404", DUE, NOW + 48 * HOUR, RULES)
    assert (again.looks, again.first, again.until) == (4, NOW, NOW + 48 * HOUR + RULES.expires)
    stricter = RULES.model_copy(update={"looks": 9})
    assert looked(before, "key", "espn_summary", "HTTP 404", DUE, NOW + 48 * HOUR, stricter).until is None


def test_a_look_counts_that_was_made_as_the_file_became_due_or_by_a_clock_that_is_a_little_ahead() -> None:
    absence = Absence("key", "HTTP 404", NOW, NOW + SKEW / 2)
    assert absence.counts(NOW, NOW + SKEW, RULES.expires)
    assert not absence.counts(NOW + timedelta(seconds=1), NOW + SKEW, RULES.expires)
    assert looked(absence, "key", "espn_summary", "HTTP 404", NOW, NOW, RULES).looks == 2


def test_a_file_that_is_held_back_says_by_which_rule_and_until_when() -> None:
    says = "back-off after 3 looks: HTTP 404"
    waits = Status(State.DEFERRED, says, until=NOW + HOUR, limit=Limit.LOOKS)
    assert status_of(_after(0, 0.25, 0.5), RULES, NOW + HOUR / 2) == waits
    assert status_of(_after(0, 0.25, 0.5), RULES, NOW + HOUR) is None, "then it is looked for"


@pytest.mark.parametrize("hours", [24, 30])
def test_looks_that_have_gone_on_for_long_enough_without_a_verdict_still_come_ever_later(hours: int) -> None:
    """The rules asked for more when the last look was recorded."""
    absence = Absence("key", "HTTP 404", NOW, NOW + hours * HOUR, looks=3)
    status = status_of(absence, RULES, NOW + hours * HOUR)
    assert status is not None
    assert status.until == NOW + 2 * hours * HOUR
