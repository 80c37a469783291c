"""In which state is each of some files?"""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from tasks.domain.assess.absences import Absence
from tasks.domain.assess.assessment import Assessment, assess, expected_cells
from tasks.domain.assess.claims import Claim
from tasks.domain.assess.overview import overview_of
from tasks.domain.assess.states import Examination, Kind, LakeObject, State, Status, Unreadable, content_of, version_of
from tasks.domain.assess.verdicts import Verdict, bad, partial, unfinished, whole
from tasks.domain.expected.cells import Cell, Partition, Selection, calendar_cells
from tasks.domain.expected.games import Game
from tasks.domain.reasons import Limit
from tests.builders import NOW, a_board, a_cell, a_config, a_game, an_object

HOUR = timedelta(hours=1)
OLD = NOW - 400 * HOUR  # an old game's file, which no look for corrections is due for
BOX = a_cell(due_at=OLD - 24 * HOUR)
CHECKS = {"espn_summary": "present", "espn_scoreboard": "present"}


def _assess(
    verdict: Verdict | None = None, check: str = "present", have: LakeObject | None = None, **more: Any
) -> Assessment:
    """Of one cell, whose stored body `check` has read with this verdict."""
    cell: Cell = more.pop("cell", BOX)
    have = have or an_object(modified=NOW)
    fetched = more.pop("fetched", NOW)
    known = {} if verdict is None else {cell.key: Examination(*version_of(have, check), verdict, fetched)}
    config = a_config()
    checks = dict.fromkeys(config.datasets, "present")
    return assess(config, {cell.key: cell}, {cell.key: have}, known, checks, NOW, **more)


def _status(assessment: Assessment) -> Status:
    [status] = assessment.statuses.values()
    return status


def test_what_nobody_has_read_is_deferred_until_a_run_reads_it() -> None:
    assessment = _assess()
    status = _status(assessment)
    assert (status.state, status.kind, status.limit) == (State.DEFERRED, None, Limit.EXAMINE_AT_MOST)
    assert status.until == NOW + a_config().reconcile.interval
    assert (len(assessment.unseen), assessment.never_read, assessment.by_former_checks) == (1, 1, 0)
    assert overview_of(assessment).gaps({}) == []


@pytest.mark.parametrize(
    ("verdict", "state", "limit"),
    [
        pytest.param(whole(), State.PRESENT, None, id="whole"),
        pytest.param(bad("junk"), State.DEFERRED, Limit.EXAMINE_AT_MOST, id="bad"),
        pytest.param(unfinished("no plays"), State.DEFERRED, Limit.EXAMINE_AT_MOST, id="unfinished"),
    ],
)
def test_a_file_counts_by_what_a_former_check_found_and_is_not_fetched_before_it_is_read_anew(
    verdict: Verdict, state: State, limit: Limit | None
) -> None:
    assessment = _assess(verdict, check="former")
    assert (_status(assessment).state, _status(assessment).limit) == (state, limit)
    assert (len(assessment.unseen), assessment.never_read, assessment.by_former_checks) == (1, 0, 1)
    assert overview_of(assessment).gaps({}) == []
    if limit:
        assert _status(assessment).reason == f"to be read anew; a former check found: {verdict.reason}"
        assert _status(assessment).until == NOW + a_config().reconcile.interval
        assert _status(_assess(verdict)).state is State.GAP, "the present check has found it"


HAVE = an_object(modified=NOW)
REFUSED = Unreadable(content_of(HAVE), "it is archived", NOW - 48 * HOUR, NOW)


@pytest.mark.parametrize("former", [None, whole(), bad("junk")], ids=["never read", "whole before", "bad before"])
def test_what_the_lake_does_not_give_is_a_gap_that_nothing_is_fetched_for_unless_it_is_named(
    former: Verdict | None,
) -> None:
    assessment = _assess(former, "former", HAVE, unreadable={BOX.key: REFUSED})
    status = _status(assessment)
    assert (status.state, status.kind) == (State.GAP, Kind.UNREADABLE)
    assert status.reason == "cannot be read since 2026-01-13: it is archived"
    assert overview_of(assessment).gaps({}) == []
    assert [gap.kind for gap in overview_of(assessment).gaps({}, {BOX.key})] == [Kind.UNREADABLE]
    assert (len(assessment.unseen), assessment.never_read, assessment.by_former_checks) == (1, 0, 0)


@pytest.mark.parametrize(
    ("verdict", "have", "state"),
    [
        pytest.param(whole(), HAVE, State.PRESENT, id="read since"),
        pytest.param(None, HAVE._replace(etag="other"), State.DEFERRED, id="another object is there"),
        pytest.param(None, HAVE._replace(size=10), State.GAP, id="too small to be read at all"),
    ],
)
def test_a_refusal_is_about_one_version_that_was_not_read(
    verdict: Verdict | None, have: LakeObject, state: State
) -> None:
    status = _status(_assess(verdict, have=have, unreadable={BOX.key: REFUSED}))
    assert status.state is state
    assert status.kind is not Kind.UNREADABLE


UNTIL = NOW + 24 * HOUR
ABSENT = Absence(BOX.key, "no plays", NOW - 48 * HOUR, NOW, 3, UNTIL, unfinished=True)
LOOKED = Absence(BOX.key, "no plays", NOW - HOUR, NOW, 3, unfinished=True)
BY_HAND = Absence(BOX.key, "", NOW, NOW, until=UNTIL, note="archived for good")


def test_what_is_never_whole_is_unavailable_and_said_to_be_kept_as_partial() -> None:
    status = _status(_assess(unfinished("no plays"), absences={BOX.key: ABSENT}))
    assert (status.state, status.until, status.partial) == (State.UNAVAILABLE, UNTIL, True)
    expected = "never whole at the source: no plays (3 looks since 2026-01-13 12:00 UTC); a partial version is kept"
    assert status.reason == expected
    junk = _status(_assess(bad("junk"), absences={BOX.key: ABSENT}))
    assert (junk.state, junk.partial) == (State.UNAVAILABLE, False)
    back_off = _status(_assess(unfinished("no plays"), absences={BOX.key: LOOKED}))
    assert (back_off.state, back_off.partial) == (State.DEFERRED, False)


def test_that_a_game_had_no_file_before_it_was_played_at_last_says_nothing_of_it() -> None:
    config, cells = a_config(), {BOX.key: BOX._replace(due_at=ABSENT.first + HOUR)}
    checks = dict.fromkeys(config.datasets, "present")
    [status] = assess(config, cells, {}, {}, checks, NOW, {BOX.key: ABSENT}).statuses.values()
    assert (status.state, status.kind) == (State.GAP, Kind.MISSING)


@pytest.mark.parametrize("absence", [ABSENT, LOOKED], ids=["unavailable", "backing off"])
def test_a_whole_file_stays_present_when_a_look_for_corrections_finds_none_at_the_source(absence: Absence) -> None:
    recent = a_cell(due_at=NOW - 5 * HOUR)
    stale = {"cell": recent, "fetched": NOW - 4.5 * HOUR}
    assert _status(_assess(whole(), **stale)).kind is Kind.STALE
    since_due = replace(absence, first=NOW - 2 * HOUR)
    status = _status(_assess(whole(), absences={recent.key: since_due}, **stale))
    assert (status.state, status.kind) == (State.PRESENT, None)
    assert status.until is not None
    assert "no plays" in status.reason


DAY_OVER = a_board().due_at  # the board of that day is looked at again every hour
BOARD = an_object(modified=DAY_OVER)
LISTED = Examination(*version_of(BOARD, "present"), whole(), DAY_OVER)
GONE = Absence(a_board().key, "HTTP 404", DAY_OVER + HOUR, DAY_OVER + 25 * HOUR, 3, DAY_OVER + 745 * HOUR)
BACKING_OFF = replace(GONE, first=DAY_OVER + 23 * HOUR, until=None)


@pytest.mark.parametrize(
    ("seen", "absence", "state"),
    [
        pytest.param(LISTED, GONE, State.PRESENT, id="for a day"),
        pytest.param(LISTED, BACKING_OFF, State.DEFERRED, id="for two hours"),
        pytest.param(LISTED._replace(fetched=DAY_OVER - HOUR), GONE, State.DEFERRED, id="the day was not over"),
        pytest.param(LISTED._replace(verdict=partial("x")), GONE, State.DEFERRED, id="a game was open"),
        pytest.param(LISTED._replace(was_size=10**6), GONE, State.DEFERRED, id="somebody else has stored less"),
    ],
)
def test_a_board_that_was_whole_when_its_day_was_over_counts_when_the_source_has_none_any_more(
    seen: Examination, absence: Absence, state: State
) -> None:
    cell, now = a_board(), DAY_OVER + 25.5 * HOUR
    there = ({cell.key: cell}, {cell.key: BOARD}, {cell.key: seen}, dict.fromkeys(a_config().datasets, "present"))
    status = _status(assess(a_config(), *there, now, {cell.key: absence}))
    assert status.state is state
    assert "HTTP 404" in status.reason


def test_only_an_operator_can_say_of_what_the_lake_does_not_give_that_there_is_none() -> None:
    refused = {BOX.key: REFUSED}
    assert _status(_assess(None, have=HAVE, unreadable=refused, absences={BOX.key: ABSENT})).kind is Kind.UNREADABLE
    by_hand = _status(_assess(None, have=HAVE, unreadable=refused, absences={BOX.key: BY_HAND}))
    assert by_hand.state is State.UNAVAILABLE


def test_a_list_that_is_due_again_is_fetched_though_a_former_check_read_it() -> None:
    board = a_board()
    assessment = _assess(whole(), "former", an_object(modified=NOW - 48 * HOUR), cell=board, fetched=None)
    assert _status(assessment).kind is Kind.STALE


CONFIG = a_config()


def _expected(games: dict[str, list[Game]], selection: Selection) -> dict[str, Cell]:
    return expected_cells(CONFIG, calendar_cells(CONFIG, NOW, selection), games, selection, NOW)


def test_the_schedules_that_a_selection_needs_belong_to_it() -> None:
    cells = _expected({}, Selection(datasets=("nba_playbyplay",), seasons=("2023-24",)))
    assert list(cells) == ["nba_api_comprehensive/schedules/schedule_2023-24.json"]


@pytest.mark.parametrize("keys", [("espn_box_scores/401810001.json",), ("espn_schedules/20260113.json",)])
def test_of_a_selection_by_key_there_are_these_files_alone(keys: tuple[str, ...]) -> None:
    cells = _expected({"espn_scoreboard": [a_game()]}, Selection(("espn",), keys=keys))
    assert tuple(cells) == keys


@pytest.mark.parametrize("had", [True, False])
def test_a_file_in_whose_place_something_else_stands_is_a_gap_that_nobody_fetches(had: bool) -> None:
    config, key = a_config(), BOX.key
    known = {key: Examination("etag", 70000, "present", whole())} if had else {}
    checks = dict.fromkeys(config.datasets, "present")
    assessment = assess(config, {key: BOX}, {}, known, checks, NOW, obstacles={key: "a folder"})
    status = _status(assessment)
    assert (status.state, status.kind, status.limit) == (State.GAP, Kind.UNREADABLE, Limit.OBSTACLE)
    lost = "; not in the lake any more; it had 70000 bytes before" if had else ""
    assert (status.reason, status.lost) == (f"a folder stands at this key; remove it{lost}", had)
    assert overview_of(assessment).gaps({}, {key}) == []


def test_what_stands_in_place_of_a_file_that_is_not_due_yet_is_nobody_s_business() -> None:
    later = BOX._replace(due_at=NOW + HOUR)
    checks = dict.fromkeys(a_config().datasets, "present")
    assessment = assess(a_config(), {BOX.key: later}, {}, {}, checks, NOW, obstacles={BOX.key: "a folder"})
    assert _status(assessment).state is State.NOT_DUE


def _without_it(**more: Any) -> Assessment:
    """Of one file that the lake does not have."""
    checks = dict.fromkeys(CONFIG.datasets, "present")
    return assess(CONFIG, {BOX.key: BOX}, {}, more.pop("known", {}), checks, NOW, **more)


def test_a_gap_that_another_run_is_at_is_in_flight() -> None:
    claim = Claim("run-2", "adce reconcile on host b", UNTIL)
    status = _status(_without_it().with_claims({BOX.work: claim}))
    assert (status.state, status.kind) == (State.IN_FLIGHT, Kind.MISSING)
    assert (status.reason, status.until) == ("being fetched by adce reconcile on host b", UNTIL)
    assert _status(_without_it().with_claims({"espn_summary /summary?event=1": claim})).state is State.GAP, (
        "another request"
    )
    whole_one = _assess(whole()).with_claims({BOX.work: claim})
    assert _status(whole_one).state is State.PRESENT, "what is there is there"


def test_a_lost_file_is_told_of_though_its_source_does_not_have_it_any_more() -> None:
    known = {BOX.key: Examination("etag", 70000, "present", whole())}
    for absence, state in ((ABSENT, State.UNAVAILABLE), (LOOKED, State.DEFERRED)):
        assessment = _without_it(known=known, absences={BOX.key: absence})
        status = _status(assessment)
        assert (status.state, status.kind, status.lost) == (state, Kind.VANISHED, True)
        assert overview_of(assessment).lost == {BOX.key: status}
    given_up = _without_it(known=known, absences={BOX.key: BY_HAND})
    assert _status(given_up).state is State.UNAVAILABLE
    assert overview_of(given_up).lost == {}


def test_a_gap_is_as_old_as_it_was_first_seen_and_new_if_it_never_was() -> None:
    assessment = _without_it()
    overview = overview_of(assessment)
    [known], [new] = overview.gaps({BOX.key: OLD, "another": NOW - HOUR}), overview.gaps({"another": OLD})
    assert (known.cell, known.kind, known.reason, known.first_seen) == (BOX, Kind.MISSING, "not in the lake", OLD)
    assert new.first_seen == NOW


def test_the_games_of_a_schedule_are_expected_where_their_dataset_is_selected() -> None:
    games = {"espn_scoreboard": [a_game()], "nba_schedule": [a_game(id="0022500001")]}
    selection = Selection(datasets=("nba_playbyplay",), seasons=("2025-26",))
    cells = _expected(games, selection)
    assert {cell.dataset for cell in cells.values()} == {"nba_schedule", "nba_playbyplay"}
    assert all(cell.key == key for key, cell in cells.items())


def test_what_the_lake_does_not_give_may_be_lost_besides() -> None:
    """It is smaller than the good file that was there."""
    known = {BOX.key: Examination("etag-of-then", 200000, "former", whole(), NOW)}
    checks = dict.fromkeys(CONFIG.datasets, "present")
    assessment = assess(CONFIG, {BOX.key: BOX}, {BOX.key: HAVE}, known, checks, NOW, unreadable={BOX.key: REFUSED})
    status = _status(assessment)
    assert (status.kind, status.lost) == (Kind.UNREADABLE, True)


def test_a_file_that_a_former_check_found_whole_holds_until_then_and_not_until_it_is_read_anew() -> None:
    assert _status(_assess(whole(), "former")).until is None
    board = _assess(whole(), "former", an_object(modified=NOW), cell=a_board())
    assert _status(board).until == NOW + HOUR, "when it is refreshed"


def test_what_no_run_reads_is_deferred_until_somebody_changes_that() -> None:
    reconcile = CONFIG.reconcile.model_copy(update={"examine_at_most": 0})
    checks = dict.fromkeys(CONFIG.datasets, "present")
    assessment = assess(a_config(reconcile=reconcile), {BOX.key: BOX}, {BOX.key: HAVE}, {}, checks, NOW)
    assert (_status(assessment).limit, _status(assessment).until) == (Limit.EXAMINE_AT_MOST, None)


def test_the_files_that_are_to_be_read_are_counted_by_what_is_known_of_them() -> None:
    cells = {name: BOX._replace(key=name) for name in ("a", "b", "c", "d", "e")}
    have = {name: HAVE._replace(size=1000) for name in cells}  # as small as a whole one may be
    former = Examination(*version_of(have["c"], "former"), whole(), NOW)
    of_another = Examination("etag-of-then", 900, "former", whole(), NOW)
    known = {"b": of_another, "c": former, "d": former, "e": former._replace(check="present")}
    assessment = assess(CONFIG, cells, have, known, dict.fromkeys(CONFIG.datasets, "present"), NOW)
    assert list(assessment.unseen) == [cells[name] for name in ("a", "b", "c", "d")]
    assert (assessment.never_read, assessment.by_former_checks) == (2, 2)
    assert assessment.statuses["b"].limit is Limit.EXAMINE_AT_MOST, "what another version was says nothing of this one"
    assert assessment.taken_at == NOW


def test_a_past_moment_may_be_looked_at_with_all_that_has_happened_since() -> None:
    board, later = a_board(), an_object(modified=NOW + 24 * HOUR)
    since = _assess(whole((a_game(),)), cell=board, have=later, fetched=None, horizon=NOW + 48 * HOUR)
    assert _status(since).state is State.PRESENT
    by_a_wrong_clock = _assess(whole((a_game(),)), cell=board, have=later, fetched=None)
    assert _status(by_a_wrong_clock).kind is Kind.STALE


def test_the_cells_of_some_partitions_can_be_left_out() -> None:
    old = a_game(id="400", day=date(2024, 1, 5), start=None, season="2023-24")
    games = {"nba_schedule": [old._replace(id="0022300001"), a_game(id="0022500001")]}
    calendar = list(calendar_cells(CONFIG, NOW, Selection(("nba_api",))))
    left_out = {Partition("nba_playbyplay", "2025-26"), Partition("nba_schedule", "2023-24")}
    cells = expected_cells(CONFIG, calendar, games, Selection(("nba_api",)), NOW, left_out)
    everything = expected_cells(CONFIG, calendar, games, Selection(("nba_api",)), NOW)
    assert {cell.partition for cell in everything.values()} - {cell.partition for cell in cells.values()} == left_out
    assert cells == {key: cell for key, cell in everything.items() if cell.partition not in left_out}
