"""When do incidents open and close, and what is told of them?"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tasks.domain.incidents import (
    BY_KIND,
    CATALOGUE,
    Change,
    Fact,
    Incident,
    Incidents,
    Kind,
    QuietTime,
    Settings,
    What,
    ancestors,
    command_of,
    is_within,
    step,
    unwatched,
)
from tests.faults import DAY, MIDNIGHT, MINUTE, SETTINGS, expected, faults_of, simulated

HOUR = 60 * MINUTE
QUIET = Settings()


class Told:
    """Steps one after another, and what they tell: minute, what, kind and scope."""

    def __init__(self, settings: Settings = QUIET):
        self.settings, self.incidents = settings, Incidents()
        self.changes: list[Change] = []

    def at(self, minute: float, *facts: Fact) -> Sequence[Change]:
        now = MIDNIGHT + minute * MINUTE
        self.incidents, changes = step(self.incidents, facts, now, self.settings)
        self.changes += changes
        return changes

    def until(self, minutes: Iterable[int], *facts: Fact) -> None:
        for minute in minutes:
            self.at(minute, *facts)

    @property
    def words(self) -> list[tuple[float, What, Kind]]:
        return [((one.at - MIDNIGHT) / MINUTE, one.what, one.incident.kind) for one in self.changes]


def holds(kind: Kind, scope: str = "", *, not_: bool = False) -> Fact:
    limit = QUIET.limit_of(kind, scope)
    return Fact(kind, scope, limit if not_ else limit + 1, 3, "why")


def test_50_days_of_faults_are_told_as_the_oracle_says() -> None:
    faults, end = faults_of(50, seed=1), 55 * DAY  # the last ones are over then
    oracle, rule = expected(faults, end), simulated(faults, end)
    assert rule.opened == oracle.opened
    assert rule.messages == oracle.messages
    whats = [message.what for message in rule.messages]
    roots, reminders = whats.count(What.OPENED), whats.count(What.REMINDED)
    assert 0 < oracle.absorbed == rule.absorbed
    assert len(whats) == 2 * roots - rule.absorbed + reminders, "a cause's message ends those that were told before it"
    assert roots - rule.absorbed < sum(map(len, rule.opened.values())), "some are explained by others, and not told"


def test_a_condition_that_flaps_10_000_times_makes_two_messages() -> None:
    told = Told()
    for n in range(10_000):
        told.at(2 * n, holds(Kind.BREAKER, "espn/a"))
        told.at(2 * n + 1, holds(Kind.BREAKER, "espn/a", not_=True))
    told.at(30_000, holds(Kind.BREAKER, "espn/a", not_=True))
    assert told.words == [(2, What.OPENED, Kind.BREAKER), (30_000, What.CLOSED, Kind.BREAKER)]


def test_what_is_not_known_opens_tells_and_closes_nothing() -> None:
    told = Told()
    told.at(0, holds(Kind.PREFECT))
    told.until(range(1, 60))
    assert not told.words
    told.at(60, holds(Kind.PREFECT))
    told.at(61, holds(Kind.PREFECT, not_=True))
    told.until(range(62, 100))
    assert told.words == [(60, What.OPENED, Kind.PREFECT)]
    told.at(100, holds(Kind.PREFECT, not_=True))
    assert [change.id for change in told.changes] == ["1-opened", "1-closed"]
    assert told.changes[-1].incident.reason == "why"


def test_the_end_tells_the_last_reason_that_was_known() -> None:
    told = Told()
    told.at(0, holds(Kind.PREFECT))
    told.at(60, holds(Kind.PREFECT))
    told.at(61, holds(Kind.PREFECT)._replace(reason=""))
    told.at(62, holds(Kind.PREFECT, not_=True))
    told.at(100, holds(Kind.PREFECT, not_=True))
    assert told.changes[-1].incident.reason == "why"


def test_what_no_process_watches_any_more_is_over_and_says_why() -> None:
    told = Told()
    bucket, other = holds(Kind.BUCKET, "espn"), holds(Kind.BUCKET, "nba_api", not_=True)
    told.until(range(10), holds(Kind.PREFECT), bucket, holds(Kind.LOST, "espn/a"))
    standing = told.incidents.standing
    assert {one.kind for one in standing} == {Kind.PREFECT, Kind.BUCKET, Kind.LOST}
    all_known = [holds(Kind.PREFECT), bucket]
    assert not list(unwatched(standing, all_known, []))
    assert not list(unwatched(standing, [], [Kind.PREFECT, Kind.BUCKET])), "nothing is known for now"
    assert [fact[:3] for fact in unwatched(standing, [other], [Kind.PREFECT, Kind.BUCKET])] == [(*bucket[:2], 0)]
    over = list(unwatched(standing, [], [Kind.DISK]))
    assert {fact.kind for fact in over} == {Kind.PREFECT, Kind.BUCKET}
    told.until(range(10, 20), *over)
    ended = [change.incident for change in told.changes if change.what is What.CLOSED]
    assert [(one.kind, one.unwatched) for one in ended] == [
        (Kind.PREFECT, "no running process of ADCE watches this any more")
    ], "the bucket was never told, since Prefect explained it"


def test_of_what_came_and_went_while_it_was_held_back_the_end_of_the_last_is_told() -> None:
    told = Told(replace(QUIET, holds=(QuietTime(MIDNIGHT, MIDNIGHT + HOUR),)))
    lost, found = holds(Kind.LOST, "espn/a"), holds(Kind.LOST, "espn/a", not_=True)
    for minute, fact in ((0, lost), (5, found), (10, lost._replace(files=7)), (20, found), (60, found)):
        told.at(minute, fact)
    [change] = told.changes
    assert (change.what, change.incident.files) == (What.CLOSED, 7)
    assert (change.incident.began, change.incident.cleared) == (MIDNIGHT, MIDNIGHT + 20 * MINUTE)


def test_nothing_explains_lost_files_which_are_told_at_once() -> None:
    told = Told()
    told.until(range(10), holds(Kind.DISK), holds(Kind.LAKE))
    told.at(10, holds(Kind.DISK), holds(Kind.LAKE), holds(Kind.LOST, "espn/a"))
    assert told.words[-1] == (10, What.OPENED, Kind.LOST)


def test_a_clock_that_is_set_back_opens_closes_and_repeats_nothing() -> None:
    paused, over = holds(Kind.SOURCE_PAUSED, "espn"), holds(Kind.SOURCE_PAUSED, "espn", not_=True)
    down, up = holds(Kind.PREFECT), holds(Kind.PREFECT, not_=True)
    told = Told(Settings(remind_every=HOUR))
    told.until((0, 2, 62), paused)
    assert [what for _, what, _ in told.words] == [What.OPENED, What.REMINDED]
    told.at(63, over, down)
    told.until(range(-600, -595), over, down)
    assert len(told.changes) == 2, "what was pending, or about to close, waits anew"
    told.at(-595, over, down)
    assert told.words[2:] == [(-595, What.OPENED, Kind.PREFECT)]
    told.until(range(-594, -539), paused, down)
    assert told.words[3:] == [(-540, What.REMINDED, Kind.SOURCE_PAUSED)], "an hour after the clock was set"
    told.until((-539, -534, -524), over, up)
    assert told.words[4:] == [(-534, What.CLOSED, Kind.PREFECT), (-524, What.CLOSED, Kind.SOURCE_PAUSED)]
    assert len({change.id for change in told.changes}) == len(told.changes)


def test_what_a_parent_explains_is_not_told_and_what_was_told_before_ends_in_its_message() -> None:
    old, paused = holds(Kind.CRITICAL_GAP, "espn/a"), holds(Kind.SOURCE_PAUSED, "espn")
    told = Told()
    told.until(range(4), old, holds(Kind.CRITICAL_GAP, "nba_api/c"))
    assert told.words == [(2, What.OPENED, Kind.CRITICAL_GAP)] * 2
    told.until(range(4, 10), old, paused, holds(Kind.BREAKER, "espn/a"))
    [(at, _, kind)] = told.words[2:]
    assert (at, kind) == (6, Kind.SOURCE_PAUSED)
    assert [one.scope for one in told.changes[-1].closes] == ["espn/a"]
    causes = {one.kind: one.cause for one in told.incidents.standing if one.scope == "espn/a"}
    assert set(causes.values()) == {told.changes[-1].incident.id}
    told.until(range(10, 40), old, holds(Kind.SOURCE_PAUSED, "espn", not_=True))
    assert told.words[3:] == [(25, What.CLOSED, Kind.SOURCE_PAUSED)], "a breaker may still explain the gap"
    told.until(range(40, 110), old, holds(Kind.BREAKER, "espn/a", not_=True))
    assert told.words[4:] == [(102, What.OPENED, Kind.CRITICAL_GAP)]


def test_what_opened_and_closed_in_a_window_is_told_once_afterwards() -> None:
    window = QuietTime(MIDNIGHT, MIDNIGHT + HOUR, scope="espn")
    told = Told(replace(QUIET, holds=(window,)))
    for begin in (0, 10, 20):
        told.at(begin, holds(Kind.FAILURES, "espn"), holds(Kind.LOST, "espn/a"))
        told.at(begin + 3, holds(Kind.FAILURES, "espn"), holds(Kind.LOST, "espn/a"))
        told.at(begin + 4, holds(Kind.FAILURES, "espn"), holds(Kind.LOST, "espn/a", not_=True))
    assert not told.words
    told.until((60, 61), holds(Kind.FAILURES, "espn"))
    assert told.words == [(60, What.OPENED, Kind.FAILURES), (60, What.CLOSED, Kind.LOST)]
    lost = told.changes[-1].incident
    assert (lost.opened, lost.closed) == (MIDNIGHT, MIDNIGHT + 24 * MINUTE)


@pytest.mark.parametrize(("kind", "scope"), [(Kind.FAILURES, "espn"), (None, ""), (Kind.FAILURES, "")])
def test_a_silence_covers_a_kind_within_a_scope_and_ends(kind: Kind | None, scope: str) -> None:
    told = Told(replace(QUIET, holds=(QuietTime(MIDNIGHT, MIDNIGHT + 5 * MINUTE, kind, scope),)))
    told.until(range(10), holds(Kind.FAILURES, "espn"))
    assert told.words == [(5, What.OPENED, Kind.FAILURES)]


def test_limits_come_from_the_catalogue_the_configuration_and_the_interval() -> None:
    paused = Kind.SOURCE_PAUSED
    assert QUIET.limit_of(paused, "espn") == timedelta(hours=3).total_seconds()
    assert QUIET.limit_of(paused, "basketball_reference") == timedelta(hours=25).total_seconds()
    assert replace(QUIET, limits={paused: 60.0}).limit_of(paused, "basketball_reference") == 60
    assert replace(QUIET, interval=HOUR).limit_of(Kind.NO_RECONCILE, "") == 2 * 3600


def test_the_lower_limit_of_a_fact_counts_and_is_told_unless_the_settings_have_one() -> None:
    few = Fact(Kind.MISSED_EVENTS, "", 3, most=2.5)
    [opened] = step(Incidents(), [few], MIDNIGHT, QUIET)[0].standing
    assert (opened.opened, opened.passed) == (MIDNIGHT, 2.5)
    [opened] = step(Incidents(), [few._replace(value=11, most=20)], MIDNIGHT, QUIET)[0].standing
    assert opened.passed == 10
    assert step(Incidents(), [few], MIDNIGHT, replace(QUIET, limits={few.kind: 1000}))[0].standing == ()


def test_the_catalogue_has_each_kind_once_and_none_explains_itself() -> None:
    assert [condition.kind for condition in CATALOGUE] == list(Kind)
    assert all(kind not in ancestors(kind) for kind in Kind)
    assert ancestors(Kind.CRITICAL_GAP) > {Kind.BREAKER, Kind.SOURCE_PAUSED, Kind.LEDGER}
    assert all(SETTINGS.settle <= HOUR and BY_KIND[kind].title for kind in Kind)


@pytest.mark.parametrize(
    ("kind", "scope", "reason", "command"),
    [
        (Kind.CRITICAL_FAILURES, "espn/a", "espn_box_scores/1.json", "adce why espn_box_scores/1.json"),
        (Kind.CRITICAL_FAILURES, "espn/a", "a; rm -r /", "adce plan --dataset a"),
        (Kind.CHECKS, "espn/a", "espn_box_scores/1.json: no game", "adce why espn_box_scores/1.json"),
        (Kind.CHECKS, "espn/a", "the last one: no game", "adce plan --dataset a"),
        (Kind.LOST, "espn/a", "key", "adce plan --dataset a"),
        (Kind.LOST, "espn/a; rm -r x", "key", "adce plan"),
        (Kind.LAKE, "", "", "adce plan"),
    ],
)
def test_the_command_names_the_file_or_dataset_where_there_is_one_that_a_shell_takes(
    kind: Kind, scope: str, reason: str, command: str
) -> None:
    assert command_of(Incident("1", kind, scope, MIDNIGHT, reason=reason)) == command


@pytest.mark.parametrize(
    ("scope", "of", "is_in"),
    [
        ("", "", True),
        ("espn", "", True),
        ("espn/a", "espn", True),
        ("espn", "espn/a", False),
        ("espn2/a", "espn", False),
    ],
)
def test_a_scope_lies_within_another_one(scope: str, of: str, is_in: bool) -> None:
    assert is_within(scope, of) is is_in


def test_what_begins_while_its_parent_is_about_to_close_is_told_and_what_was_explained_before_is_not() -> None:
    paused, over = holds(Kind.SOURCE_PAUSED, "espn"), holds(Kind.SOURCE_PAUSED, "espn", not_=True)
    old, new = holds(Kind.BREAKER, "espn/a"), holds(Kind.BREAKER, "espn/b")
    told = Told()
    told.until(range(10), paused, old)
    told.at(10, over, old)
    told.until(range(11, 20), over, old, new)
    assert [(at, one.incident.scope) for (at, _, _), one in zip(told.words, told.changes, strict=True)] == [
        (2, "espn"),
        (13, "espn/b"),
    ]
    told.until(range(20, 30), over, old, new)
    assert told.words[2:] == [(25, What.CLOSED, Kind.SOURCE_PAUSED), (27, What.OPENED, Kind.BREAKER)]


def test_lost_files_are_told_at_once_also_if_they_are_there_again_soon() -> None:
    told = Told()
    told.at(0, holds(Kind.LOST, "espn/a"))
    told.at(0.5, holds(Kind.LOST, "espn/a", not_=True))
    assert [what for _, what, _ in told.words] == [What.OPENED, What.CLOSED]


def test_what_is_wrong_only_once_it_is_long_has_begun_before_its_limit_was_passed() -> None:
    told = Told()
    for minute in range(200):
        told.at(minute, Fact(Kind.SOURCE_PAUSED, "espn", minute * 60.0))
    told.until(range(200, 220), Fact(Kind.SOURCE_PAUSED, "espn", 0))
    [opened, closed] = told.changes
    assert (opened.incident.began, opened.at) == (MIDNIGHT, MIDNIGHT + 183 * MINUTE)
    assert (closed.incident.began, closed.incident.cleared) == (MIDNIGHT, MIDNIGHT + 200 * MINUTE)
    told.at(230, Fact(Kind.SLOW_CYCLE, "", 3600))
    assert told.incidents.standing[0].began == told.incidents.standing[0].opened, "its value is no age"
