"""What the lake should hold follows from the section `collect`, everywhere."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from config.models import Collect, Config
from tasks.domain.errors import SelectionError
from tasks.domain.expected.cells import Selection, calendar_cells, first_seasons_by_schedule, game_cells
from tasks.domain.expected.collected import collected
from tests.builders import a_config, a_game

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def _config(**collect: Any) -> Config:
    return a_config(collect=Collect(**collect))


def _calendar(**collect: Any) -> list[tuple[str, str]]:
    return sorted({(cell.dataset, cell.season) for cell in calendar_cells(_config(**collect), NOW)})


def _games(schedule: str, *games: Any, **collect: Any) -> set[str]:
    return {cell.dataset for cell in game_cells(_config(**collect), schedule, games, NOW)}


def test_without_the_section_everything_is_collected() -> None:
    lake = collected(a_config())
    assert lake.first_seasons == {name: d.first_season for name, d in a_config().datasets.items()}
    assert (lake.since, lake.why_not_season("1996-97"), lake.why_not_type("preseason")) == (None, None, None)


def test_a_dataset_brings_the_schedule_that_it_needs_and_no_other() -> None:
    assert _calendar(datasets=["nba_playbyplay"], since="2024-25") == [
        ("nba_schedule", "2024-25"),
        ("nba_schedule", "2025-26"),
    ]
    assert _games("nba_schedule", a_game(id="0022500001"), datasets=["nba_playbyplay"]) == {"nba_playbyplay"}
    lake = collected(_config(datasets=["nba_playbyplay"]))
    assert (set(lake.first_seasons), lake.chosen) == ({"nba_schedule", "nba_playbyplay"}, {"nba_playbyplay"})


def test_a_needed_schedule_begins_with_the_first_dataset_that_needs_it() -> None:
    config = _config(datasets=["nba_playbyplay"])
    late = config.datasets["nba_playbyplay"].model_copy(update={"first_season": "2019-20"})
    config = config.model_copy(update={"datasets": config.datasets | {"nba_playbyplay": late}})
    assert collected(config).first_seasons["nba_schedule"] == "2019-20"


@pytest.mark.parametrize(
    ("since", "first"),
    [("2024-25", date(2024, 9, 25)), (date(2024, 11, 5), date(2024, 11, 5)), (date(2024, 7, 10), date(2024, 9, 25))],
    ids=["season", "day", "day between two seasons"],
)
def test_the_first_day_is_that_of_a_season_or_a_day(since: str | date, first: date) -> None:
    config = _config(since=since)
    assert min(c.first_day for c in calendar_cells(config, NOW) if c.dataset == "espn_scoreboard") == first
    before, there = (a_game(day=date(2024, 11, day), season="2024-25") for day in (4, 5))
    assert bool(list(game_cells(config, "espn_scoreboard", [before], NOW))) is (first < date(2024, 11, 5))
    assert list(game_cells(config, "espn_scoreboard", [there], NOW))


def test_only_the_named_seasons_are_collected() -> None:
    seasons = {season for _, season in _calendar(seasons=["2010-11", "2015-16"])}
    assert seasons == {"2010-11", "2015-16"}
    assert not _games("espn_scoreboard", a_game(), seasons=["2010-11"])


def test_games_of_other_types_make_no_cells_and_their_schedules_are_read() -> None:
    assert not _games("espn_scoreboard", a_game(season_type="preseason"), season_types=["regular", "playoffs"])
    assert _games("espn_scoreboard", a_game(season_type="playoffs"), season_types=["regular", "playoffs"])
    assert _calendar(season_types=["playoffs"]) == _calendar()


def test_what_is_unknown_follows_from_what_is_collected() -> None:
    needed = first_seasons_by_schedule(_config(sources=["nba_api"], since="2015-16"), Selection())
    assert needed.keys() == {"nba_schedule"}
    assert set(needed["nba_schedule"].values()) == {"2015-16"}


@pytest.mark.parametrize(
    ("collect", "selection", "message"),
    [
        (
            {"since": "2015-16"},
            Selection(seasons=("2003-04",)),
            "season 2003-04 is not collected: collect.since is 2015-16",
        ),
        (
            {"since": "2015-16"},
            Selection(since=date(2010, 1, 1)),
            "2010-01-01 is not collected: collect.since is 2015-16",
        ),
        (
            {"since": date(2015, 11, 1)},
            Selection(until=date(2015, 10, 31)),
            "2015-10-31 is not collected: collect.since is 2015-11-01",
        ),
        (
            {"seasons": ["2015-16", "2018-19"]},
            Selection(seasons=("2015-16", "2016-17")),
            "season 2016-17 is not collected: collect.seasons is 2015-16, 2018-19",
        ),
        ({"sources": ["espn"]}, Selection(("nba_api",)), "source nba_api is not collected: collect.sources is espn"),
        (
            {"datasets": ["espn_scoreboard"]},
            Selection(("nba_api",)),
            "source nba_api is not collected: collect.datasets is espn_scoreboard",
        ),
        (
            {"sources": ["espn"]},
            Selection(datasets=("br_totals",)),
            "dataset br_totals is not collected: collect.sources is espn",
        ),
        (
            {"datasets": ["br_advanced"]},
            Selection(datasets=("br_totals",)),
            "dataset br_totals is not collected: collect.datasets is br_advanced",
        ),
        (
            {"datasets": ["br_advanced"]},
            Selection(keys=("nba_api_playbyplay/playbyplay_0022500001.json",)),
            "nba_api_playbyplay/playbyplay_0022500001.json is not collected: collect.datasets is br_advanced",
        ),
        (
            {"seasons": ["2027-28"]},
            Selection(),
            "no files are expected; the seasons are 1996-97 to 2025-26 (collect.seasons: 2027-28)",
        ),
    ],
)
def test_a_selection_beyond_it_is_refused_in_a_line_that_names_the_setting(
    collect: dict[str, Any], selection: Selection, message: str
):
    with pytest.raises(SelectionError) as refused:
        selection.check(_config(**collect), NOW)
    assert str(refused.value) == message


def test_a_selection_within_it_is_accepted() -> None:
    config = _config(datasets=["nba_playbyplay"], since="2015-16")
    Selection(("nba_api",), seasons=("2015-16",), since=date(2015, 9, 25)).check(config, NOW)
    Selection(datasets=("nba_schedule",)).check(config, NOW)


def test_each_reason_names_its_setting() -> None:
    lake = collected(_config(since="2015-10-27", sources=["espn"], season_types=["regular"]))
    assert lake.why_not_type("playoffs") == "collect.season_types is regular"
    assert lake.why_not_type("regular") is None
    assert lake.why_not_dataset("br_totals") == "collect.sources is espn"
    assert lake.why_not_day("2015-16", date(2015, 10, 26)) == "collect.since is 2015-10-27"
    assert lake.why_not_day("2015-16", date(2015, 10, 27)) is None


@pytest.mark.parametrize(
    ("collect", "words"),
    [
        ({}, "11 datasets of espn, nba_api and basketball_reference since 1996-97"),
        ({"since": "2015-16", "sources": ["espn"]}, "2 datasets of espn since 2015-16"),
        (
            {"since": "2015-10-27", "datasets": ["nba_playbyplay"], "season_types": ["regular", "playoffs"]},
            "2 datasets of nba_api since 2015-10-27, only regular and playoffs games",
        ),
        (
            {"seasons": ["2015-16", "2018-19"], "sources": ["nba_api", "espn"]},
            "6 datasets of espn and nba_api in 2015-16 and 2018-19",
        ),
    ],
)
def test_what_is_collected_is_said_in_words(collect: dict[str, Any], words: str) -> None:
    config = _config(**collect)
    assert collected(config).in_words(config) == words
