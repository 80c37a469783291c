"""When is a list that grows final, and when is it looked at again until then?"""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from tasks.domain.assess.finality import (
    GAME_LENGTH,
    LAST_LOOK,
    LAST_LOOK_AT_A_DAY,
    LONGEST_WAIT,
    awaited_again,
    expected_ends,
    games_final_after,
    next_look,
    settled_wholeness,
    why_not_final,
)
from tasks.domain.assess.verdicts import Verdict, Wholeness, bad, partial, whole
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell, Selection, calendar_cells
from tasks.domain.expected.games import GameStatus
from tests.builders import a_config, a_game

CONFIG = a_config()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AFTER = datetime(2025, 9, 1, tzinfo=UTC)
# An Eastern midnight is 04:00 UTC in summer and 05:00 in winter.
SEASON_OVER, APRIL_OVER, NOVEMBER_OVER = (
    datetime(2025, 7, 1, 4, tzinfo=UTC),
    datetime(2025, 5, 1, 4, tzinfo=UTC),
    datetime(2024, 12, 1, 5, tzinfo=UTC),
)
FINALS = (a_game(),)


def _cell(dataset: str, **fields: str) -> Cell:
    cells = calendar_cells(CONFIG, AFTER, Selection(datasets=(dataset,), seasons=("2024-25",)))
    return next(cell for cell in cells if all(cell.fields[name] == value for name, value in fields.items()))


def _next(cell: Cell, verdict: Verdict, taken: datetime) -> datetime | None:
    dataset, final_after = CONFIG.datasets[cell.dataset], games_final_after(CONFIG, cell.dataset)
    return next_look(dataset, cell.season, cell.last_day, verdict, taken, final_after)


NBA, APRIL, JUNE = _cell("nba_schedule"), _cell("br_schedule", month="april"), _cell("br_schedule", month="june")
NOVEMBER, TOTALS, BOARD = (
    _cell("br_schedule", month="november"),
    _cell("br_totals"),
    _cell("espn_scoreboard", date="2025-06-05"),
)


@pytest.mark.parametrize(
    ("cell", "taken", "wait"),
    [
        pytest.param(NBA, datetime(2025, 4, 15, 10, tzinfo=UTC), 3 * HOUR, id="season, between it and its play-offs"),
        pytest.param(NBA, datetime(2025, 1, 15, 10, tzinfo=UTC), 3 * HOUR, id="season"),
        pytest.param(APRIL, datetime(2025, 4, 9, 10, tzinfo=UTC), 12 * HOUR, id="month"),
        pytest.param(APRIL, datetime(2025, 4, 15, 10, tzinfo=UTC), 6 * HOUR, id="month, in the play-offs"),
        pytest.param(APRIL, datetime(2025, 4, 10, 4, tzinfo=UTC), 6 * HOUR, id="as they begin"),
        pytest.param(JUNE, datetime(2025, 6, 24, 10, tzinfo=UTC), 6 * HOUR, id="the Finals' month"),
        pytest.param(TOTALS, datetime(2025, 4, 9, 10, tzinfo=UTC), DAY, id="totals: whoever has played 82 games"),
    ],
)
def test_a_list_in_which_all_is_final_grows_until_its_time_is_over(
    cell: Cell, taken: datetime, wait: timedelta
) -> None:
    dataset = CONFIG.datasets[cell.dataset]
    assert _next(cell, whole(FINALS), taken) == taken + wait
    assert settled_wholeness(dataset, cell.first_day, cell.last_day, whole(FINALS), taken) is Wholeness.PARTIAL


@pytest.mark.parametrize(("cell", "over"), [(NBA, SEASON_OVER), (APRIL, APRIL_OVER), (TOTALS, SEASON_OVER)])
def test_it_is_final_when_it_was_taken_some_days_after_that(cell: Cell, over: datetime) -> None:
    dataset = CONFIG.datasets[cell.dataset]
    assert dataset.refresh is not None
    again = _next(cell, whole(FINALS), over + HOUR)
    if dataset.lists_games:  # a game may be listed when its month is over
        assert over + HOUR < again <= over + HOUR + dataset.refresh
        assert _next(cell, whole(FINALS), over + LAST_LOOK - HOUR) == over + LAST_LOOK
    else:
        assert again == over + LAST_LOOK
    assert _next(cell, whole(FINALS), over + LAST_LOOK) is None
    assert _next(cell, whole(FINALS), over + 400 * DAY) is None, "one that was taken later needs none"
    assert settled_wholeness(dataset, cell.first_day, cell.last_day, whole(FINALS), over) is Wholeness.WHOLE


def test_a_month_of_a_running_season_is_over_when_it_is() -> None:
    assert _next(NOVEMBER, whole(FINALS), NOVEMBER_OVER + LAST_LOOK) is None


@pytest.mark.parametrize("games", [(), FINALS], ids=["empty", "all final"])
def test_a_day_is_final_when_it_was_taken_two_days_after_it(games: tuple[()]) -> None:
    assert _next(BOARD, whole(games), BOARD.due_at - 5 * HOUR) == BOARD.due_at
    assert _next(BOARD, whole(games), BOARD.due_at) == BOARD.due_at + HOUR, "a game may be listed late"
    last = BOARD.due_at + LAST_LOOK_AT_A_DAY
    assert _next(BOARD, whole(games), last - HOUR / 2) == last
    assert _next(BOARD, whole(games), last) is None


@pytest.mark.parametrize(
    ("cell", "taken", "why"),
    [
        pytest.param(BOARD, BOARD.due_at - HOUR, "taken on 2025-06-06 07:00 UTC, before the day was over", id="day"),
        pytest.param(APRIL, APRIL_OVER - DAY, "taken on 2025-04-30 04:00 UTC, before the month was over", id="month"),
        pytest.param(NBA, SEASON_OVER - DAY, "taken on 2025-06-30 04:00 UTC, before the season was over", id="season"),
        pytest.param(
            APRIL,
            APRIL_OVER,
            "taken on 2025-05-01 04:00 UTC; more may be listed until 2025-05-08, some days after its end",
            id="after its end",
        ),
        pytest.param(
            BOARD,
            BOARD.due_at + DAY,
            "taken on 2025-06-07 08:00 UTC; more may be listed until 2025-06-08, some days after its end",
            id="after the end of a day",
        ),
    ],
)
def test_a_list_in_which_nothing_is_open_says_why_it_is_looked_at_again(cell: Cell, taken: datetime, why: str) -> None:
    assert why_not_final(CONFIG.datasets[cell.dataset], cell.last_day, taken) == why


def test_what_is_bad_or_partial_is_that_at_any_time() -> None:
    for verdict in (bad("junk"), partial("1 of 2 games not final")):
        for taken in (SEASON_OVER - DAY, SEASON_OVER + DAY):
            at = settled_wholeness(CONFIG.datasets["nba_schedule"], NBA.first_day, NBA.last_day, verdict, taken)
            assert at is verdict.wholeness


def test_a_list_is_looked_at_as_soon_as_one_of_its_games_should_be_final() -> None:
    taken = datetime(2025, 1, 15, 23, tzinfo=UTC)
    soon = a_game(status=GameStatus.LIVE, start=taken - 2 * HOUR)
    later = a_game(id="401810002", status=GameStatus.SCHEDULED, start=taken + 2 * HOUR)
    assert _next(NBA, partial("x", (soon, later)), taken) == taken + 2 * HOUR
    assert _next(NBA, partial("x", (later,)), taken) == taken + 3 * HOUR, "and no later than it is refreshed"


@pytest.mark.parametrize(
    ("cell", "over", "grows"),
    [
        pytest.param(NBA, SEASON_OVER, LAST_LOOK, id="season"),
        pytest.param(APRIL, APRIL_OVER, LAST_LOOK, id="month"),
        pytest.param(BOARD, BOARD.due_at, LAST_LOOK_AT_A_DAY, id="day"),
    ],
)
def test_while_more_may_be_listed_an_odd_entry_has_no_list_looked_at_less_often(
    cell: Cell, over: datetime, grows: timedelta
) -> None:
    odd, last = partial("1 entry that cannot be read", FINALS), over + grows
    for taken in (over, last - 20 * HOUR, last - HOUR / 2):
        assert _next(cell, odd, taken) == _next(cell, whole(FINALS), taken)
    later = _next(cell, odd, last)
    assert later is not None
    assert later > last + 2 * HOUR
    soon = a_game(status=GameStatus.LIVE, start=over + HOUR / 4 - games_final_after(CONFIG, cell.dataset))
    assert _next(cell, partial("x", (soon,)), over) == over + HOUR / 4


def test_a_list_that_was_taken_just_when_a_game_should_be_final_is_not_looked_at_at_once() -> None:
    taken = datetime(2025, 1, 15, 23, tzinfo=UTC)
    ends_now = a_game(status=GameStatus.LIVE, start=taken - 4 * HOUR)
    assert _next(NBA, partial("x", (ends_now,)), taken) == taken + 3 * HOUR


def test_a_game_without_a_time_may_begin_as_late_as_its_day_ends() -> None:
    games = [a_game(status=GameStatus.SCHEDULED, start=None), a_game(id="2")]
    assert expected_ends(games, 4 * HOUR) == [datetime(2026, 1, 14, 9, tzinfo=UTC)]


def test_a_page_of_totals_that_was_taken_as_the_season_ended_is_taken_once_more() -> None:
    assert _next(TOTALS, whole(), SEASON_OVER - HOUR) == SEASON_OVER - HOUR + DAY
    assert _next(TOTALS, whole(), SEASON_OVER) == SEASON_OVER + LAST_LOOK


def test_a_game_that_is_stuck_has_no_list_of_a_running_season_looked_at_less_often() -> None:
    stuck = a_game(status=GameStatus.LIVE, start=datetime(2024, 11, 3, tzinfo=UTC))
    taken = datetime(2025, 4, 16, 10, tzinfo=UTC)
    assert _next(NBA, partial("x", (stuck,)), taken) == taken + 3 * HOUR


def test_odd_entries_of_a_season_that_is_over_are_looked_at_ever_less_often_and_at_most_monthly() -> None:
    odd, looks = partial("1 entry that cannot be read", FINALS), [SEASON_OVER + LAST_LOOK]
    while looks[-1] < SEASON_OVER + 365 * DAY:
        again = _next(NBA, odd, looks[-1])
        assert again is not None
        looks.append(again)
    waits = [after - before for before, after in pairwise(looks)]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT == 30 * DAY
    assert len(looks) < 25


@pytest.mark.parametrize(
    ("cell", "taken", "wait"),
    [
        pytest.param(APRIL, APRIL_OVER + 20 * DAY, 5 * DAY, id="a quarter of the time since, while its season runs"),
        pytest.param(NBA, SEASON_OVER + 20 * DAY, 20 * DAY, id="all of the time since, when its season is over"),
        pytest.param(APRIL, SEASON_OVER, LONGEST_WAIT, id="as its season ends"),
        pytest.param(APRIL, APRIL_OVER + HOUR, 6 * HOUR, id="as often as before, while more may be listed"),
    ],
)
def test_a_list_that_should_be_whole_is_looked_at_after_a_part_of_the_time_since(
    cell: Cell, taken: datetime, wait: timedelta
) -> None:
    assert _next(cell, partial("1 entry that cannot be read", FINALS), taken) == taken + wait


def test_the_time_counts_from_when_the_last_of_its_games_should_have_been_final() -> None:
    taken = SEASON_OVER + 100 * DAY
    just_now = a_game(status=GameStatus.LIVE, start=taken - 4 * HOUR)
    assert _next(NBA, partial("x", (just_now,)), taken) == taken + 3 * HOUR


def test_an_old_list_with_odd_entries_costs_a_look_a_month() -> None:
    taken = SEASON_OVER + 3000 * DAY
    assert _next(NBA, partial("1 entry that cannot be read", FINALS), taken) == taken + LONGEST_WAIT
    assert _next(BOARD, partial("1 entry that cannot be read"), taken) == taken + LONGEST_WAIT


def test_a_file_of_a_season_that_is_never_refreshed_is_taken_again_when_the_season_is_over() -> None:
    once = CONFIG.datasets["br_totals"].model_copy(update={"refresh": None})
    look = (once, "2024-25", TOTALS.last_day, whole())
    assert next_look(*look, SEASON_OVER - 90 * DAY, 4 * HOUR) == SEASON_OVER
    assert next_look(*look, SEASON_OVER, 4 * HOUR) is None


def test_a_page_that_is_not_there_yet_is_awaited_while_its_season_runs() -> None:
    june, asked = CONFIG.datasets["br_schedule"], datetime(2025, 6, 2, 12, tzinfo=UTC)
    assert awaited_again(june, "2024-25", asked) == asked + 6 * HOUR
    assert awaited_again(june, "2024-25", SEASON_OVER + LAST_LOOK) is None
    assert awaited_again(june, "2023-24", asked) is None
    assert awaited_again(june, "2024-25", SEASON_OVER + DAY) == SEASON_OVER + DAY + 6 * HOUR, "it may come late"
    game = CONFIG.datasets["br_boxscore"].model_copy(update={"refresh": DAY})
    assert awaited_again(game, "2024-25", asked) is None, "a game's file is no list"
    once = june.model_copy(update={"refresh": None})
    assert awaited_again(once, "2024-25", asked) is None, "one that is never refreshed is asked for as any file"


def test_the_games_of_a_schedule_should_be_final_when_the_first_of_their_files_is_due() -> None:
    lists = ("espn_scoreboard", "nba_schedule", "br_schedule", "br_totals")
    assert [games_final_after(CONFIG, name) for name in lists] == [4 * HOUR, 4 * HOUR, 12 * HOUR, GAME_LENGTH]
    assert timedelta(hours=3) <= GAME_LENGTH <= timedelta(hours=6), "overtimes included"


@pytest.mark.parametrize("season", seasons.seasons_between("1996-97", "2026-27"))
def test_no_list_is_older_than_the_time_in_which_a_game_becomes_due(season: str) -> None:
    """So a game that was listed before it began is known when its files are due."""
    for name, dataset in CONFIG.datasets.items():
        if dataset.lists_games and dataset.per != "date":
            assert dataset.refresh is not None
            assert dataset.refresh <= games_final_after(CONFIG, name)
    assert seasons.playoffs_begin(season) < seasons.over_at(season)


def test_the_last_day_of_a_season_is_its_windows() -> None:
    assert seasons.over_at("2024-25") == SEASON_OVER
    assert seasons.over_at("2019-20") == datetime(2020, 10, 16, 4, tzinfo=UTC)
    assert seasons.window("2024-25")[1] == date(2025, 6, 30)
