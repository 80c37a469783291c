"""Which files should the lake hold?"""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tasks.domain.errors import SelectionError
from tasks.domain.expected.cells import (
    Cell,
    Selection,
    assume_utc,
    calendar_cells,
    game_cells,
    season_of_fields,
    why_no_season,
    why_not_expected,
    without_rollout,
)
from tasks.domain.expected.games import GameStatus
from tasks.domain.expected.keys import KeyPatterns
from tests.builders import NOW, a_board, a_cell, a_config, a_game

CONFIG = a_config()


def test_the_calendar_of_a_season_counted_by_hand() -> None:
    cells = calendar_cells(CONFIG, NOW, Selection(seasons=("2023-24",)))
    assert Counter(cell.dataset for cell in cells) == {
        "espn_scoreboard": 6 + 31 + 30 + 31 + 31 + 29 + 31 + 30 + 31 + 30,  # 25 September to 30 June of a leap year
        "nba_schedule": 1,
        "br_schedule": 9,
        "br_totals": 1,
        "br_advanced": 1,
    }


def test_seasons_follow_from_the_clock() -> None:
    seasons = {c.season for c in calendar_cells(CONFIG, NOW, Selection(datasets=("nba_schedule",)))}
    assert (min(seasons), max(seasons), len(seasons)) == ("1996-97", "2025-26", 30)


def test_a_day_is_due_four_hours_after_its_eastern_midnight() -> None:
    day = date(2026, 1, 13)
    [cell] = calendar_cells(CONFIG, NOW, Selection(datasets=("espn_scoreboard",), since=day, until=day))
    assert cell.request == "/scoreboard?dates=20260113"
    fields = {
        "date": "2026-01-13",
        "yyyymmdd": "20260113",
        "season": "2025-26",
        "start_year": "2025",
        "end_year": "2026",
    }
    due_at = datetime(2026, 1, 14, 9, tzinfo=UTC)
    url = "/scoreboard?dates={yyyymmdd}"
    key = "espn_schedules/20260113.json"
    assert cell == Cell(key, "espn_scoreboard", "2025-26", day, day, due_at, url, fields, game=None, cost=1, variant="")


def test_a_game_of_espn_is_one_request_for_three_files() -> None:
    cells = list(game_cells(CONFIG, "espn_scoreboard", [a_game()], NOW))
    assert [cell.key for cell in cells] == [
        "espn_play_by_play/401810001.json",
        "espn_box_scores/401810001.json",
        "espn_team_stats/401810001.json",
    ]
    assert {cell.request for cell in cells} == {"/summary?event=401810001"}
    assert {cell.due_at for cell in cells} == {datetime(2026, 1, 14, 4, 30, tzinfo=UTC)}


def test_a_cell_of_a_game_has_its_day_its_season_and_what_its_schedule_says() -> None:
    first_season = a_game(id="230101001", day=date(2003, 1, 1), season="2002-03", start=None)
    unplayed = a_game(status=GameStatus.POSTPONED)
    cells = list(game_cells(CONFIG, "espn_scoreboard", [unplayed, first_season], NOW))
    assert len(cells) == 3, "of the game that will be played"
    for cell in cells:
        assert (cell.season, cell.first_day, cell.last_day) == ("2002-03", date(2003, 1, 1), date(2003, 1, 1))
        assert (cell.game, cell.dataset, cell.cost, cell.variant) == (first_season, "espn_summary", 1, "")
    earlier = first_season._replace(season="2001-02")
    assert list(game_cells(CONFIG, "espn_scoreboard", [earlier], NOW)) == []


def test_the_usual_way_of_a_cell_is_that_of_its_dataset() -> None:
    cell = next(game_cells(CONFIG, "espn_scoreboard", [a_game()], NOW))
    assert without_rollout(CONFIG, cell._replace(url="/v2?e={id}", cost=3, variant="x")) == cell


def test_a_game_without_a_time_is_due_after_its_day() -> None:
    cell = next(game_cells(CONFIG, "espn_scoreboard", [a_game(start=None)], NOW))
    assert cell.due_at == datetime(2026, 1, 14, 9, tzinfo=UTC)


@pytest.mark.parametrize("status", [GameStatus.POSTPONED, GameStatus.CANCELLED])
def test_a_game_that_will_not_be_played_makes_no_cell(status: GameStatus) -> None:
    assert not list(game_cells(CONFIG, "espn_scoreboard", [a_game(status=status)], NOW))


@pytest.mark.parametrize(
    ("days", "change", "expected"),
    [
        pytest.param(7, {"season_type": "playoffs"}, True, id="a week"),
        pytest.param(8, {"season_type": "playoffs"}, False, id="more than a week"),
        pytest.param(8, {"season_type": "playoffs", "status": GameStatus.FINAL}, True, id="played"),
        pytest.param(8, {"season_type": "playoffs", "status": GameStatus.LIVE}, True, id="begun"),
        pytest.param(8, {"if_necessary": True}, False, id="if necessary"),
        pytest.param(8, {"if_necessary": True, "status": GameStatus.FINAL}, True, id="necessary"),
        pytest.param(8000, {"season_type": "regular"}, True, id="a regular game"),
    ],
)
def test_a_play_off_game_that_was_not_needed_is_expected_for_a_week(
    days: int, change: dict[str, Any], expected: bool
) -> None:
    game = a_game(**{"status": GameStatus.SCHEDULED} | change)
    now = datetime(2026, 1, 13, 18, tzinfo=UTC) + timedelta(days=days)
    assert bool(list(game_cells(CONFIG, "espn_scoreboard", [game], now))) is expected


@pytest.mark.parametrize(("season_type", "expected"), [("regular", True), ("play-in", True), ("preseason", False)])
def test_a_dataset_may_be_of_some_kinds_of_games_only(season_type: str, expected: bool) -> None:
    summary = CONFIG.datasets["espn_summary"].model_copy(update={"season_types": ["regular", "play-in"]})
    config = a_config(datasets=CONFIG.datasets | {"espn_summary": summary})
    cells = list(game_cells(config, "espn_scoreboard", [a_game(season_type=season_type)], NOW))
    assert bool(cells) is expected
    assert list(game_cells(CONFIG, "espn_scoreboard", [a_game(season_type=season_type)], NOW)), "by default all"


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        pytest.param(Selection(since=date(2026, 1, 13), until=date(2026, 1, 13)), True, id="its day"),
        pytest.param(Selection(since=date(2026, 1, 14)), False, id="since the day after"),
        pytest.param(Selection(until=date(2026, 1, 12)), False, id="until the day before"),
        pytest.param(Selection(seasons=("2025-26",)), True, id="its season"),
        pytest.param(Selection(seasons=("2024-25",)), False, id="another season"),
        pytest.param(Selection(sources=("espn",)), True, id="its source"),
        pytest.param(Selection(sources=("nba_api",)), False, id="another source"),
        pytest.param(Selection(datasets=("espn_summary",)), True, id="its dataset"),
        pytest.param(Selection(datasets=("espn_scoreboard",)), False, id="another dataset"),
    ],
)
def test_a_game_belongs_to_a_selection_by_its_own_day_season_and_dataset(selection: Selection, expected: bool) -> None:
    assert bool(list(game_cells(CONFIG, "espn_scoreboard", [a_game()], NOW, selection))) is expected


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection(), ""),
        (Selection(sources=("espn", "nba_api"), seasons=("2023-24", "2024-25")), "espn, nba_api 2023-24, 2024-25"),
        (Selection(("espn",), ("espn_summary",), since=date(2026, 1, 13)), "espn_summary since 2026-01-13"),
        (Selection(until=date(2026, 1, 13)), "until 2026-01-13"),
    ],
)
def test_a_selection_is_said_in_words(selection: Selection, words: str) -> None:
    assert selection.in_words == words


@pytest.mark.parametrize(
    ("selection", "datasets"),
    [
        (Selection(sources=("nba_api",)), {"nba_schedule"}),
        (Selection(datasets=("br_boxscore",)), {"br_schedule"}),
        (Selection(datasets=("br_totals",)), {"br_totals"}),
    ],
)
def test_the_schedules_of_selected_games_come_along(selection: Selection, datasets: set[str]) -> None:
    assert {cell.dataset for cell in calendar_cells(CONFIG, NOW, selection)} == datasets


def test_a_schedule_comes_along_from_the_first_season_on_that_somebody_needs() -> None:
    usage = CONFIG.datasets["nba_playbyplay"].model_copy(update={"first_season": "2015-16"})
    config = a_config(datasets=CONFIG.datasets | {"nba_usage": usage})

    def first(*datasets: str) -> str:
        return min(cell.season for cell in calendar_cells(config, NOW, Selection(datasets=datasets)))

    assert first("nba_usage") == "2015-16"
    assert first("nba_usage", "nba_playbyplay") == "1996-97"
    assert first("nba_usage", "nba_schedule") == "1996-97"


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(sources=("x",)), "^no source 'x'; there are espn, nba_api, basketball_reference$"),
        (Selection(datasets=("x",)), "^no dataset 'x'; there are espn_scoreboard, espn_summary, nba_schedule, "),
        (
            Selection(sources=("espn,nba_api",)),
            "^no source 'espn,nba_api'; repeat the option: --source espn --source nba_api$",
        ),
        (Selection(keys=("x/y",)), "^no dataset has a key 'x/y'; `adce why` shows the nearest one$"),
        (
            Selection(sources=("nba_api",), keys=("espn_schedules/20260113.json",)),
            "^espn_schedules/20260113.json belongs to espn_scoreboard, which was not asked for$",
        ),
        (Selection(seasons=("2023-25",)), "not a season"),
        (Selection(seasons=("2030-31",)), "has not begun; the current one is 2025-26"),
        (Selection(seasons=("1980-81",)), "no files are expected of season 1980-81; the first is 1996-97"),
        (Selection(since=date(2026, 1, 2), until=date(2026, 1, 1)), "since 2026-01-02 is after until"),
        (Selection(sources=("espn",), datasets=("br_totals",)), "br_totals is no dataset of espn"),
        (Selection(seasons=("2023-24",), since=date(2025, 1, 1)), "season 2023-24 has no day since 2025-01-01$"),
        (Selection(since=date(2025, 7, 10), until=date(2025, 8, 20)), "since 2025-07-10 until 2025-08-20 are expected"),
        (
            Selection(since=date(2027, 1, 1)),
            "no files since 2027-01-01 are expected; the seasons are 1996-97 to 2025-26",
        ),
        (Selection(until=date(1990, 1, 1)), "no files until 1990-01-01 are expected"),
        (Selection(datasets=("br_schedule",), until=date(1999, 9, 30)), "of br_schedule until 1999-09-30 are expected"),
        (Selection(datasets=("espn_summary",), until=date(2001, 6, 1)), "the seasons are 2002-03 to 2025-26"),
        (Selection(("espn",), ("espn_summary", "br_totals")), "^br_totals is no dataset of espn; leave one out$"),
        (
            Selection(("espn", "nba_api"), ("br_totals", "br_schedule")),
            "^br_totals, br_schedule is no dataset of espn, nba_api; leave one out$",
        ),
        (
            Selection(("espn", "nba_api", "basketball_reference"), ("espn_summary", "espn_scoreboard")),
            "^nba_api, basketball_reference has none of the datasets espn_summary, espn_scoreboard; leave one out$",
        ),
        (
            Selection(
                ("espn", "nba_api"), seasons=("2023-24", "2024-25"), since=date(2024, 7, 2), until=date(2024, 7, 3)
            ),
            "^season 2023-24 has no day since 2024-07-02 until 2024-07-03$",
        ),
        (
            Selection(("espn", "nba_api"), since=date(2024, 7, 2), until=date(2024, 7, 3)),
            "^no files of espn, nba_api since 2024-07-02 until 2024-07-03 are expected; the seasons are 1996-97 to ",
        ),
        (
            Selection((), ("br_schedule",), ("2023-24",), since=date(2023, 9, 25), until=date(2023, 9, 26)),
            "^no files of br_schedule of 2023-24 since 2023-09-25 until 2023-09-26 are expected; ",
        ),
        (Selection(("espn", "nba_api"), ("espn_summary",)), "nba_api has none of the datasets espn_summary"),
    ],
)
def test_a_selection_of_what_there_is_none_of_is_refused(selection: Selection, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        selection.check(CONFIG, NOW)


@pytest.mark.parametrize(
    "selection",
    [
        pytest.param(Selection(), id="everything"),
        pytest.param(Selection(since=date(2026, 1, 2), until=date(2026, 1, 2)), id="one day"),
        pytest.param(Selection(seasons=("2025-26",)), id="the current season"),
        pytest.param(Selection(datasets=("espn_scoreboard",), seasons=("2002-03",)), id="the first season"),
        pytest.param(Selection(seasons=("2023-24",), since=date(2024, 1, 2)), id="a part of a season"),
        pytest.param(Selection(datasets=("espn_scoreboard",), keys=("espn_schedules/20260113.json",)), id="a key"),
    ],
)
def test_a_selection_of_what_is_expected_is_none_to_refuse(selection: Selection) -> None:
    selection.check(CONFIG, NOW)


def test_a_source_without_datasets_cannot_be_asked_for() -> None:
    config = a_config(sources=CONFIG.sources | {"new": CONFIG.sources["espn"]})
    with pytest.raises(SelectionError, match=r"^new has no dataset; leave one out$"):
        Selection(sources=("new",)).check(config, NOW)


@pytest.mark.parametrize(("year", "known"), [(1946, False), (1947, True), (2100, True), (2101, False)])
def test_a_clock_is_refused_in_years_of_which_no_season_is_known(year: int, known: bool) -> None:
    totals = CONFIG.datasets["br_totals"].model_copy(update={"first_season": "1946-47", "due_after": timedelta()})
    config, now = a_config(datasets={"br_totals": totals}), datetime(year, 12, 31, tzinfo=UTC)
    if known:
        Selection().check(config, now)
        return
    with pytest.raises(
        SelectionError, match=f"^the clock says {year}-12-31T.*; the seasons are known from 1947 to 2100"
    ):
        Selection().check(config, now)


def test_in_the_first_season_the_seasons_are_that_one() -> None:
    says = "^no files until 1990-01-01 are expected; the seasons are 1996-97 to 1996-97$"
    with pytest.raises(SelectionError, match=says):
        Selection(until=date(1990, 1, 1)).check(CONFIG, datetime(1996, 12, 1, tzinfo=UTC))


def test_a_time_without_a_zone_is_in_utc() -> None:
    new_york = datetime(2026, 1, 15, 7, tzinfo=ZoneInfo("America/New_York"))
    assert assume_utc(datetime(2026, 1, 15, 12)) == NOW
    assert assume_utc(new_york) is new_york


def test_a_clock_before_all_seasons_is_told_of() -> None:
    with pytest.raises(SelectionError, match=r"^no files are expected on 1989-12-31; the first season is 1996-97$"):
        Selection().check(CONFIG, datetime(1990, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (
            "espn_schedules/20250805.json",
            "2025-08-05 is in no season; 2024-25 ends on 2025-06-30, and 2025-26 begins on 2025-09-25",
        ),
        (
            "espn_schedules/20260805.json",
            "2026-08-05 is in no season; 2025-26 ends on 2026-06-30, and 2026-27 begins on 2026-09-25",
        ),
        ("espn_schedules/20010105.json", "the first season is 2002-03"),
        ("espn_schedules/20020924.json", "the first season is 2002-03"),
        ("basketball_reference/schedules/2000/july.html", "1999-00 has no month july; its months are november, decemb"),
        ("espn_schedules/00010105.json", "the first season is 2002-03"),
        ("espn_schedules/20261101.json", "2026-27 has not begun; the current season is 2025-26"),
        ("espn_schedules/20261345.json", "there is no such day"),
        (
            "basketball_reference/schedules/2026/july.html",
            "2025-26 has no month july; its months are october, november, december, january, february, march, april, "
            "may, june",
        ),
        ("basketball_reference/schedules/1999/april.html", "the first season is 1999-00"),
        ("basketball_reference/schedules/2027/october.html", "2026-27 has not begun; the current season is 2025-26"),
        ("basketball_reference/totals/1990/player_totals.html", "the first season is 1999-00"),
        ("basketball_reference/totals/0000/player_totals.html", "the first season is 1999-00"),
        ("nba_api_comprehensive/schedules/schedule_2023-25.json", "2023-25 is no season; write it as 2023-24"),
        ("nba_api_comprehensive/schedules/schedule_2026-27.json", "2026-27 has not begun; the current season is 2025"),
    ],
)
def test_each_way_of_not_being_expected_has_words_of_its_own(key: str, why: str) -> None:
    matched = KeyPatterns(CONFIG).match(key)
    assert matched
    name, fields = matched
    assert why_not_expected(CONFIG.datasets[name], fields, NOW).startswith(why)


def test_the_first_and_the_last_day_of_a_season_are_in_it() -> None:
    for day in (date(2002, 9, 25), date(2002, 10, 5), date(2025, 6, 30)):
        assert why_no_season("2002-03", day, NOW) is None
    assert why_no_season("1998-99", date(1999, 1, 19), NOW) == "the first season is 1998-99", "it began in January"
    assert why_no_season("1998-99", date(1999, 1, 20), NOW) is None


@pytest.mark.parametrize(
    ("dataset", "fields", "why"),
    [
        pytest.param("espn_scoreboard", {"date": "2026-01-13", "season": "2023-24"}, "its parts are not", id="date"),
        pytest.param("espn_scoreboard", {"date": "2026-08-05"}, "2026-08-05 is in no season", id="date in summer"),
        pytest.param("br_totals", {"season": "2023-24", "end_year": "2026"}, "its parts are not", id="season"),
        pytest.param("br_totals", {"start_year": "1990"}, "the first season is 1999-00", id="start year"),
        pytest.param("br_totals", {"start_year": "2026"}, "2026-27 has not begun", id="start year of a later one"),
    ],
)
def test_the_fields_of_a_key_are_of_one_season_that_is_expected(dataset: str, fields: dict[str, str], why: str) -> None:
    told = why_not_expected(CONFIG.datasets[dataset], fields, NOW)
    assert told.startswith(why)
    assert told == "its parts are not of one season" or "parts" not in told


def test_the_season_of_a_cell_follows_from_the_fields_of_its_key() -> None:
    patterns = KeyPatterns(CONFIG)
    cells = list(calendar_cells(CONFIG, NOW))
    matches = [patterns.match(cell.key) for cell in cells]
    assert [match and season_of_fields(match[1]) for match in matches] == [cell.season for cell in cells]


@pytest.mark.parametrize("fields", [{"yyyymmdd": "20230230"}, {"season": "2023-25"}], ids=["no day", "no season"])
def test_fields_of_no_day_or_season_have_no_season(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"day|season"):
        season_of_fields(fields)


def test_a_cell_has_its_place_what_fetches_it_and_what_is_done_for_it() -> None:
    game, board = a_cell(), a_board()
    assert (game.rollout_unit, board.rollout_unit) == ("espn_summary 401810001", "espn_scoreboard 2026-01-13")
    assert (game.scraper, game._replace(variant="x").scraper) == ("espn_summary", "espn_summary@x")
    assert game.work == "espn_summary /summary?event=401810001"
