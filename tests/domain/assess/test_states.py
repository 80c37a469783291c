"""In which one state is a cell, and why?"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.assess.states import (
    Examination,
    Kind,
    LakeObject,
    State,
    Status,
    came_due,
    deferred_by,
    state_of,
    taken_at,
    version_of,
    without_false_time,
)
from tasks.domain.assess.verdicts import Verdict, bad, partial, unfinished, whole
from tasks.domain.expected.cells import Cell
from tasks.domain.expected.games import GameStatus
from tasks.domain.reasons import Limit, Reason
from tasks.domain.times import SKEW
from tests.builders import NOW, a_board, a_cell, a_config, a_game, an_object

DATASETS = a_config().datasets
HOUR = timedelta(hours=1)
LOOKS = (HOUR, 6 * HOUR, 24 * HOUR, 168 * HOUR)


def _state(cell: Cell, have: LakeObject | None, verdict: Verdict | None = None, **more: Any) -> Status:
    """`verdict` is about what the lake has, `known` about what somebody saw there before."""
    known, current = more.get("known"), None
    if have and verdict:
        rest = {name: more[name] for name in ("fetched", "agreed", "was_size", "changed") if name in more}
        known = current = Examination(*version_of(have, "check"), verdict, **rest)
    return state_of(cell, DATASETS[cell.dataset], have, known, current, LOOKS, more.get("now", NOW))


SEASON_PAGE = a_cell(dataset="br_totals", game=None, due_at=NOW - 60 * 24 * HOUR)
LIVE = a_game(status=GameStatus.LIVE)
LATER = a_game(start=NOW + 6 * HOUR, status=GameStatus.SCHEDULED)
RECENT = an_object(modified=NOW - HOUR / 2)


@pytest.mark.parametrize(
    ("cell", "have", "verdict", "state", "kind"),
    [
        pytest.param(a_cell(), None, None, "gap", "missing", id="nothing there"),
        pytest.param(a_cell(), an_object(size=10), None, "gap", "undersized", id="too small"),
        pytest.param(a_cell(), an_object(), bad("block page"), "gap", "invalid", id="error page"),
        pytest.param(a_cell(), an_object(), partial("in progress"), "gap", "invalid", id="taken in mid-game"),
        pytest.param(a_cell(), an_object(), whole(), "present", None, id="whole"),
        pytest.param(a_cell(), an_object(size=1000), whole(), "present", None, id="as small as a whole one may be"),
        pytest.param(a_cell(due_at=NOW), None, None, "gap", "missing", id="due just now"),
        pytest.param(SEASON_PAGE, an_object(), unfinished("9 rows"), "present", None, id="a list, not whole yet"),
        pytest.param(a_cell(), an_object(), None, "deferred", None, id="nobody has looked"),
        pytest.param(a_cell(game=LIVE), an_object(), None, "not_due", None, id="still played, nobody has looked"),
        pytest.param(a_cell(game=LIVE), None, None, "not_due", None, id="still played"),
        pytest.param(a_cell(game=LIVE), an_object(), bad("x"), "not_due", None, id="still played, junk there"),
        pytest.param(a_cell(due_at=NOW + HOUR), None, None, "not_due", None, id="not due yet"),
        pytest.param(a_cell(due_at=NOW + HOUR), an_object(), whole(), "present", None, id="early and whole"),
        pytest.param(a_board(), an_object(), partial("x", (LIVE,)), "gap", "stale", id="board of unfinished games"),
        pytest.param(a_board(), RECENT, partial("x", (LATER,)), "present", None, id="board of later games"),
        pytest.param(a_board(), an_object(), partial("x", (LATER,)), "gap", "stale", id="more may be listed beside"),
        pytest.param(a_board(), RECENT, whole((a_game(),)), "present", None, id="board of final games"),
        pytest.param(a_board(), an_object(), whole((a_game(),)), "gap", "stale", id="more may be listed late"),
        pytest.param(a_board(), an_object(modified=NOW - 48 * HOUR), whole(), "gap", "stale", id="empty, early"),
        pytest.param(a_board(), RECENT, whole(), "present", None, id="a day off"),
        pytest.param(a_board(), RECENT, whole((LATER,)), "present", None, id="board that is whole with a later game"),
    ],
)
def test_each_case_has_its_state_and_kind(
    cell: Cell, have: LakeObject | None, verdict: Verdict | None, state: str, kind: str | None
) -> None:
    status = _state(cell, have, verdict)
    assert (status.state, status.kind) == (State(state), Kind(kind) if kind else None)


def test_each_reason_is_said_in_words() -> None:
    due_later = _state(a_cell(due_at=NOW + HOUR), None)
    assert (due_later.reason, due_later.until) == ("due from 2026-01-15 13:00 UTC", NOW + HOUR)
    assert _state(a_cell(game=LIVE), None).reason == "its schedule calls the game live, not final"
    grows = _state(a_board(), RECENT, whole((a_game(),)))
    assert (grows.reason, grows.until) == (
        "up to date; looked at again, since more may be listed",
        RECENT.modified + HOUR,
    )
    stale = _state(a_board(), an_object(), whole((a_game(),)))
    until = "2026-01-16, some days after its end"
    assert stale.reason == f"taken on 2026-01-15 11:00 UTC; more may be listed until {until}"
    shrunk = _state(a_cell(), an_object(size=80_000), known=SEEN)
    assert shrunk.reason == "80000 bytes; it had 90000 bytes before"


def test_a_board_that_adce_has_just_looked_at_is_left_alone_until_the_refresh() -> None:
    verdict = partial("1 of 1 games not final", (LIVE,))
    fetched = NOW - timedelta(minutes=1)
    status = _state(a_board(), an_object(), verdict, fetched=fetched)
    assert status.state is State.PRESENT
    assert status.until is not None
    assert _state(a_board(), an_object(), verdict, fetched=fetched, now=status.until).kind is Kind.STALE


def test_patience_grows_with_a_game_that_never_becomes_final() -> None:
    verdict = partial("1 of 1 games not final", (LIVE,))

    def wait(after: timedelta) -> timedelta:
        fetched = NOW + after
        status = _state(a_board(), an_object(), verdict, fetched=fetched, now=fetched)
        assert status.until is not None
        return status.until - fetched

    assert wait(timedelta()) < wait(timedelta(days=10)) < wait(timedelta(days=100))


END = a_cell().due_at


@pytest.mark.parametrize(
    ("fetched", "now", "more", "state"),
    [
        pytest.param(END, END + HOUR / 2, {}, State.PRESENT, id="the first look is an hour later"),
        pytest.param(END, END + HOUR, {}, State.GAP, id="now it is time"),
        pytest.param(END + HOUR, END + 5 * HOUR, {}, State.PRESENT, id="looked once, and the next is later"),
        pytest.param(END + HOUR, END + 6 * HOUR, {}, State.GAP, id="time for the next"),
        pytest.param(END, END + 900 * HOUR, {"agreed": True}, State.PRESENT, id="two said the same"),
        pytest.param(END + 168 * HOUR, END + 900 * HOUR, {}, State.PRESENT, id="all looks are taken"),
    ],
)
def test_the_files_of_a_final_game_are_looked_at_again_until_two_agree(
    fetched: datetime, now: datetime, more: dict[str, Any], state: State
) -> None:
    status = _state(a_cell(), an_object(modified=END - HOUR), whole(), fetched=fetched, now=now, **more)
    assert status.state is state
    assert status.kind is (Kind.STALE if state is State.GAP else None)


@pytest.mark.parametrize("status", [s for s in GameStatus if s is not GameStatus.FINAL])
def test_a_file_that_was_there_before_its_game_was_final_is_not_looked_at_for_corrections(status: GameStatus) -> None:
    cell = a_cell(game=a_game(status=status))
    found = _state(cell, an_object(modified=END - HOUR), whole(), fetched=END - HOUR, now=END + 2 * HOUR)
    assert (found.state, found.reason, found.until) == (State.PRESENT, "complete", None)


def test_a_correction_that_the_last_look_has_found_is_confirmed_by_another() -> None:
    def status(fetched: datetime, now: datetime, **more: Any) -> Status:
        return _state(a_cell(), an_object(modified=END - HOUR), whole(), fetched=fetched, now=now, **more)

    last = END + LOOKS[-1]
    waiting = status(last, last + HOUR, changed=True)
    assert (waiting.state, waiting.until) == (State.PRESENT, last + 168 * HOUR)
    assert status(last, last + 168 * HOUR, changed=True).kind is Kind.STALE
    later = last + 168 * HOUR
    assert status(later, later + 168 * HOUR, changed=True).kind is Kind.STALE, (
        "changed once more, so looked at once more"
    )
    assert status(later, later + 900 * HOUR, agreed=True).reason == "complete"
    assert status(last, last + 900 * HOUR).reason == "complete", "nothing has changed since it was first there"
    assert status(END + HOUR, END + 2 * HOUR, changed=True).until == END + 6 * HOUR, "the next look is planned anyway"


def test_a_file_that_is_looked_at_for_corrections_says_so_before_and_then() -> None:
    have = an_object(modified=END)
    before = _state(a_cell(), have, whole(), now=END + HOUR / 2)
    assert (before.reason, before.until) == ("complete; looked at again for corrections", END + HOUR)
    then = _state(a_cell(), have, whole(), now=END + HOUR)
    assert then.reason == "last looked at on 2026-01-14 04:30 UTC; corrections may have come since"
    untimed = _state(a_cell(), an_object(modified=NOW + 24 * HOUR), whole())
    assert untimed.reason == (
        "it is unknown when it was taken: its modification time, 2026-01-16 12:00 UTC, is in the future; "
        "corrections may have come since"
    )


def test_an_old_lake_is_not_fetched_again() -> None:
    assert _state(a_cell(), an_object(modified=END + 200 * HOUR), whole(), now=END + 900 * HOUR).reason == "complete"


SEEN = Examination("etag-of-then", 90000, "check", whole())


@pytest.mark.parametrize(
    ("have", "verdict", "more", "kind"),
    [
        pytest.param(None, None, {"known": SEEN}, Kind.VANISHED, id="gone"),
        pytest.param(None, None, {"known": SEEN._replace(verdict=bad("x"))}, Kind.MISSING, id="bad before it went"),
        pytest.param(an_object(size=80_000), None, {"known": SEEN}, Kind.SHRUNK, id="smaller, not looked into"),
        pytest.param(an_object(size=10), None, {"known": SEEN}, Kind.UNDERSIZED, id="almost nothing"),
        pytest.param(an_object(size=80_000), whole(), {"was_size": 90_000}, Kind.SHRUNK, id="smaller, looked into"),
        pytest.param(an_object(size=80_000), bad("junk"), {"was_size": 90_000}, Kind.INVALID, id="smaller, and junk"),
        pytest.param(an_object(size=95_000), None, {"known": SEEN}, None, id="larger"),
        pytest.param(an_object(size=90_000), None, {"known": SEEN}, None, id="as large, and another one"),
    ],
)
def test_what_vanished_or_shrank_is_told(
    have: LakeObject | None, verdict: Verdict | None, more: dict[str, Any], kind: Kind | None
) -> None:
    status = _state(a_cell(), have, verdict, **more)
    assert (status.kind, status.lost) == (kind, kind not in (None, Kind.MISSING))


@pytest.mark.parametrize(
    ("taken", "state"),
    [
        pytest.param(datetime(2024, 11, 1, tzinfo=UTC), State.PRESENT, id="long after its season"),
        pytest.param(datetime(2024, 6, 20, tzinfo=UTC), State.GAP, id="before its season was over"),
        pytest.param(datetime(2024, 7, 3, tzinfo=UTC), State.GAP, id="right after it, and never looked at since"),
    ],
)
@pytest.mark.parametrize("by_adce", [True, False], ids=["fetched", "stored by somebody else"])
def test_a_schedule_of_an_old_lake_needs_no_look_if_it_was_taken_late_enough(
    taken: datetime, state: State, by_adce: bool
) -> None:
    cell = a_cell(
        dataset="nba_schedule",
        game=None,
        season="2023-24",
        first_day=date(2023, 9, 25),
        last_day=date(2024, 6, 30),
        due_at=datetime(2023, 9, 25, 4, tzinfo=UTC),
    )
    status = _state(cell, an_object(modified=taken), whole((a_game(),)), fetched=taken if by_adce else None)
    assert (status.state, status.kind) == (state, Kind.STALE if state is State.GAP else None)


@pytest.mark.parametrize(("age", "state"), [(1 * HOUR, State.PRESENT), (25 * HOUR, State.GAP)])
def test_a_page_of_a_running_season_ages(age: timedelta, state: State) -> None:
    have = an_object(modified=NOW - age)
    assert _state(SEASON_PAGE, have, partial("season still running")).state is state


MOMENTS = st.integers(-400, 400).map(lambda hours: NOW + hours * HOUR)
GAMES = st.builds(
    lambda status, start: a_game(status=status, start=start), st.sampled_from(GameStatus), st.none() | MOMENTS
)
VERDICTS = st.one_of(
    st.none(),
    st.lists(GAMES, max_size=3).map(lambda games: whole(tuple(games))),
    st.lists(GAMES, max_size=3).map(lambda games: partial("not yet", tuple(games))),
    st.just(bad("junk")),
)
CELLS = st.one_of(
    st.builds(lambda game, due: a_cell(game=game, due_at=due), GAMES, MOMENTS),
    st.builds(lambda due: a_board(due_at=due), MOMENTS),
    st.builds(lambda due: a_cell(dataset="br_totals", game=None, due_at=due), MOMENTS),
)
OBJECTS = st.none() | st.builds(
    lambda size, modified: an_object(size=size, modified=modified), st.sampled_from([0, 70, 10**6]), MOMENTS
)


@given(st.lists(st.tuples(CELLS, OBJECTS, VERDICTS, st.none() | MOMENTS, MOMENTS), max_size=20))
def test_states_partition_the_cells(
    cases: list[tuple[Cell, LakeObject | None, Verdict | None, datetime | None, datetime]],
) -> None:
    statuses = [_state(cell, have, verdict, fetched=fetched, now=now) for cell, have, verdict, fetched, now in cases]
    for (cell, _, _, _, now), status in zip(cases, statuses, strict=True):
        assert status.reason
        assert (status.kind is not None) == (status.state is State.GAP)
        if status.state is State.GAP:
            assert cell.due_at <= now
            assert cell.game is None or cell.game.status is GameStatus.FINAL


@given(CELLS, OBJECTS, VERDICTS, st.none() | MOMENTS, MOMENTS, MOMENTS)
def test_time_makes_a_file_a_gap_only_when_it_comes_due_or_may_have_been_corrected(
    cell: Cell,
    have: LakeObject | None,
    verdict: Verdict | None,
    fetched: datetime | None,
    one: datetime,
    other: datetime,
) -> None:
    since, now = sorted((one, other))
    before, after = (_state(cell, have, verdict, fetched=fetched, now=at) for at in (since, now))
    if after.state is State.GAP:
        assert came_due(cell, None, now)
        assert came_due(cell, since, now) or after.kind in (before.kind, Kind.STALE)
    assert not (came_due(cell, since, now) and before.state is State.GAP)


def test_a_run_whose_clock_was_set_ahead_does_no_look_in_advance() -> None:
    ahead = NOW + timedelta(days=400)
    season = a_board(key="schedule", dataset="nba_schedule", first_day=date(2025, 9, 25), last_day=date(2026, 6, 30))
    have = an_object(key="schedule", modified=NOW - timedelta(days=1))
    seen = Examination(*version_of(have, "check"), whole(), ahead)
    status = state_of(season, DATASETS["nba_schedule"], have, seen, seen, (), NOW)
    assert (status.state, status.kind) == (State.GAP, Kind.STALE)
    assert taken_at(have, seen, ahead, ahead) == ahead


AHEAD = NOW + timedelta(days=180)


@pytest.mark.parametrize(
    ("cell", "verdict", "more"),
    [
        pytest.param(SEASON_PAGE, partial("season still running"), {}, id="a list that grows"),
        pytest.param(a_board(), whole((a_game(),)), {}, id="a board of final games"),
        pytest.param(a_cell(), whole(), {}, id="a game"),
        pytest.param(a_cell(), whole(), {"agreed": True}, id="a game of which two said the same"),
    ],
)
@pytest.mark.parametrize("fetched", [None, AHEAD], ids=["stored by somebody else", "fetched"])
def test_a_file_from_the_future_is_stale_until_it_is_fetched_under_a_right_clock(
    cell: Cell, verdict: Verdict, more: dict[str, Any], fetched: datetime | None
) -> None:
    have = an_object(modified=AHEAD)
    if fetched or not more:
        assert _state(cell, have, verdict, fetched=fetched, **more).kind is Kind.STALE
        assert taken_at(have, Examination("", 0, "", verdict, fetched), NOW, NOW + SKEW) is None
    assert _state(cell, have, verdict, fetched=NOW, **more).state is State.PRESENT, "though the lake's clock is ahead"
    assert _state(cell, an_object(modified=NOW), verdict, fetched=NOW, **more).state is State.PRESENT


def test_a_file_is_not_stale_for_clocks_that_differ_a_little() -> None:
    have = an_object(modified=NOW + SKEW / 2)
    assert _state(SEASON_PAGE, have, partial("season still running")).state is State.PRESENT


def test_what_was_taken_since_a_past_time_that_is_looked_at_counts_as_taken_then() -> None:
    have, seen = an_object(modified=AHEAD), Examination("", 0, "", whole(), AHEAD)
    assert taken_at(have, seen, NOW, AHEAD) == NOW


def test_what_is_left_for_later_says_by_which_limit_until_when_and_what_is_wrong_with_it() -> None:
    gap = Status(State.GAP, "not in the lake any more", Kind.VANISHED, lost=True)
    reason = Reason(Limit.BACKOFF, "source paused", NOW, "espn")
    later = Status(State.DEFERRED, "source paused", Kind.VANISHED, NOW, True, Limit.BACKOFF, "espn")
    assert deferred_by(reason, gap) == later


def test_a_time_that_a_wrong_clock_has_written_is_replaced_by_the_lake_s_or_by_the_oldest() -> None:
    seen = Examination("etag", 100, "check", whole(), AHEAD, agreed=True)
    rightly_timed, ahead = an_object(modified=NOW), an_object(modified=NOW + SKEW / 2)
    for have in (None, rightly_timed, an_object(modified=NOW + SKEW)):
        assert without_false_time(seen, have, a_cell(), NOW + SKEW) == seen._replace(fetched=None, agreed=False)
    first_day = datetime(2026, 1, 13, 5, tzinfo=UTC)
    oldest = seen._replace(fetched=first_day, agreed=False)
    assert without_false_time(seen, ahead, a_cell(), NOW) == oldest


def test_two_that_agree_are_believed_up_to_the_horizon_and_no_later() -> None:
    have = an_object(modified=END - HOUR)
    for fetched, state in ((NOW + SKEW, State.PRESENT), (NOW + SKEW + HOUR, State.GAP)):
        assert _state(a_cell(), have, whole(), fetched=fetched, agreed=True).state is state


def test_a_list_that_somebody_else_has_stored_is_stale_when_one_of_its_games_should_be_final() -> None:
    verdict = partial("1 of 1 games not final", (a_game(status=GameStatus.LIVE, start=NOW - 4 * HOUR),))
    page = a_board(dataset="nba_schedule", last_day=date(2026, 6, 30))
    have = an_object(modified=NOW)
    assert _state(page, have, verdict, now=NOW - timedelta(seconds=1)).state is State.PRESENT
    assert _state(page, have, verdict).kind is Kind.STALE, "they may have taken it long before"
    assert _state(page, have, verdict, fetched=NOW).state is State.PRESENT


def test_the_names_of_states_and_kinds_are_part_of_every_json_document_and_the_worst_kind_comes_first() -> None:
    states = ["present", "not_due", "gap", "in_flight", "deferred", "unavailable"]
    assert [state.value for state in State] == states
    kinds = ["vanished", "shrunk", "missing", "unreadable", "invalid", "undersized", "stale"]
    assert [kind.value for kind in Kind] == kinds


def test_an_examination_is_of_one_version_by_whichever_check() -> None:
    have = an_object(size=70_000, etag="a:b")
    seen = Examination(*version_of(have, "espn.summary"), partial("2 of 9"))
    assert (seen.size, seen.good, seen._replace(verdict=bad("junk")).good) == (70_000, True, False)
    assert seen.is_of(have)
    assert seen.is_of(have._replace(modified=NOW + HOUR)), "stored again, the same"
    assert not seen.is_of(have._replace(etag="a:c"))
    assert not seen.is_of(have._replace(size=70_001))


def test_a_list_that_has_more_to_tell_says_what_and_as_of_when() -> None:
    verdict = partial("1 of 2 games not final", (LIVE, a_game(id="2")))
    taken = NOW - timedelta(minutes=5)
    fresh = _state(a_board(), an_object(modified=taken), verdict, fetched=taken)
    assert fresh.reason == "as of 2026-01-15 11:55 UTC; 1 of 2 games not final"
    assert _state(a_board(), an_object(), verdict, fetched=NOW - 9 * HOUR).reason == "1 of 2 games not final"
    assert _state(a_board(), an_object(), verdict).reason == "1 of 2 games not final", "by somebody else"
    untimed = _state(SEASON_PAGE, an_object(modified=AHEAD), partial("season still running"))
    assert untimed.reason.startswith("it is unknown when it was taken: its modification time, 2026-07-14 12:00 UTC, ")
    assert untimed.reason.endswith(" is in the future; season still running")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status(State.PRESENT, "complete", until=NOW), "next look 2026-01-15 12:00 UTC"),
        (Status(State.NOT_DUE, "", until=NOW, limit=Limit.NOT_PUBLISHED), "next look 2026-01-15 12:00 UTC"),
        (Status(State.NOT_DUE, "", until=NOW), "until 2026-01-15 12:00 UTC"),
        (Status(State.DEFERRED, "", until=NOW, limit=Limit.BACKOFF), "until 2026-01-15 12:00 UTC"),
        (Status(State.DEFERRED, "", limit=Limit.LOOKS), ""),
    ],
)
def test_a_time_at_which_the_file_is_looked_at_is_the_next_look_and_any_other_binds_until_then(
    status: Status, words: str
) -> None:
    assert status.until_in_words == words
