"""Is the estimate of what missing schedules will list near to what they list then?"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from config.models import Collect, Config
from tasks.domain.assess.overview import Counts, Place, Standing
from tasks.domain.assess.periods import span
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.assess.unknown import Unknown
from tasks.domain.assess.unlisted import estimate_unlisted
from tasks.domain.expected.cells import Cell, Partition, Selection, calendar_cells, game_cells
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.expected.seasons import season_name, season_of
from tests.builders import a_config

RECORDED = Path(os.environ.get("ADCE_RECORDED") or "not-given")
NOW = datetime(2026, 9, 1, tzinfo=UTC)
MISSING = Status(State.GAP, "not in the lake", Kind.MISSING)
CONFIG = a_config()
GAMES_OF = {"espn_scoreboard": "espn_summary", "nba_schedule": "nba_playbyplay", "br_schedule": "br_boxscore"}
FULL = [season_name(year) for year in range(2004, 2026) if year not in (2011, 2019, 2020)]


def _estimate(
    schedules: Iterable[Cell],
    counts: Counts | None = None,
    config: Config = CONFIG,
    selection: Selection = Selection(),  # noqa: B008  # it is immutable
    now: datetime = NOW,
    **statuses: Status,
) -> dict[Partition, int]:
    """The estimate for the games that some schedules, by default missing ones, would list."""
    schedules = list(schedules)
    unknown = [Unknown(GAMES_OF[cell.dataset], cell) for cell in schedules]
    by_key = {cell.key: statuses.get(cell.dataset, MISSING) for cell in schedules}
    return estimate_unlisted(config, unknown, by_key, counts or {}, selection, now)


def _schedules(dataset: str, *seasons: str, config: Config = CONFIG, now: datetime = NOW) -> list[Cell]:
    return list(calendar_cells(config, now, Selection(datasets=(dataset,), seasons=seasons)))


def _counts(schedule: str, games: Iterable[Game]) -> Counts:
    counts: dict[Place, dict[Standing, int]] = {}
    for cell in game_cells(CONFIG, schedule, games, NOW):
        if cell.dataset == GAMES_OF[schedule]:
            place = Place(cell.dataset, cell.season, span(cell.first_day, cell.last_day))
            standings = counts.setdefault(place, {Standing(State.PRESENT): 0})
            standings[Standing(State.PRESENT)] += 1
    return counts


def _total(counts: Counts) -> int:
    return sum(sum(standings.values()) for standings in counts.values())


def _season(schedule: str, seed: int, season: str, share: float = 1.0) -> list[Game]:
    """A random season, with about as many games a day as a real one has, or a share of them."""
    rng, year = Random(f"{seed} {season}"), int(season[:4])
    found: list[Game] = []
    for season_type, first, last, most in (
        ("preseason", date(year, 10, 3), date(year, 10, 18), 9),
        ("regular", date(year, 10, 22), date(year + 1, 4, 12), 14),
        ("playoffs", date(year + 1, 4, 18), date(year + 1, 5, 3), 5),
        ("playoffs", date(year + 1, 5, 4), date(year + 1, 6, 15), 2),
    ):
        if season_type == "preseason" and schedule == "br_schedule":
            continue
        for day in (first + timedelta(days=n) for n in range((last - first).days + 1)):
            for _ in range(rng.randint(round(most * share / 4), round(most * share * 3 / 4))):
                id = f"{day:%Y%m%d}{len(found):05}"
                found.append(Game(id, day, None, GameStatus.FINAL, season, season_type))
    return found


@pytest.mark.parametrize("schedule", GAMES_OF)
@pytest.mark.parametrize(("seed", "share"), [(1, 1.0), (2, 1.0), (3, 0.5), (4, 2.0)])
def test_with_one_season_known_another_is_estimated_within_a_tenth(seed: int, schedule: str, share: float) -> None:
    seasons = Random(seed).sample(FULL, 2)
    known, other = (_counts(schedule, _season(schedule, seed, season, share)) for season in seasons)
    [(partition, estimate)] = _estimate(_schedules(schedule, seasons[1]), known).items()
    assert partition == (GAMES_OF[schedule], seasons[1])
    assert estimate == pytest.approx(_total(other), rel=0.1)


def test_with_some_months_of_a_season_known_the_others_are_estimated_within_a_tenth() -> None:
    games, middle = _season("br_schedule", 1, "2022-23"), date(2023, 2, 1)
    known = _counts("br_schedule", [game for game in games if game.day < middle])
    other = _counts("br_schedule", [game for game in games if game.day >= middle])
    lacking = [cell for cell in _schedules("br_schedule", "2022-23") if cell.first_day >= middle]
    assert sum(_estimate(lacking, known).values()) == pytest.approx(_total(other), rel=0.1)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="ADCE_RECORDED does not name a folder of recorded responses")
@pytest.mark.parametrize(("schedule", "source"), [("espn_scoreboard", "espn"), ("br_schedule", "basketball_reference")])
def test_real_seasons_are_estimated_within_a_tenth_of_each_other_and_without_any(schedule: str, source: str) -> None:
    with (RECORDED / "seasons/INDEX.csv").open(newline="") as index:
        rows = [row for row in csv.DictReader(index) if row["source"] == source]
    regular = {row["season"] for row in rows if row["complete_regular_season"] == "yes"}
    whole = {row["season"] for row in rows if row["season_type"] == "playoffs" and int(row["games"]) > 60} & regular
    counts = {season: _counts(schedule, _recorded(source, season)) for season in whole}
    assert len(counts) >= 5
    for season, listed in counts.items():
        schedules = _schedules(schedule, season)
        for known in ({}, *(other for name, other in counts.items() if name != season)):
            [estimate] = _estimate(schedules, known).values()
            assert estimate == pytest.approx(_total(listed), rel=0.1), season


@pytest.mark.skipif(not RECORDED.is_dir(), reason="ADCE_RECORDED does not name a folder of recorded responses")
@pytest.mark.parametrize(("known", "running"), [("2009-10", "2008-09"), ("2017-18", "2018-19"), ("2022-23", "2023-24")])
def test_a_real_season_that_runs_is_estimated_within_a_tenth_from_its_sixtieth_day_on(known: str, running: str) -> None:
    counts, games = _counts("espn_scoreboard", _recorded("espn", known)), _recorded("espn", running)
    for days in range(60, 300, 60):
        now = datetime(int(running[:4]), 10, 10, 12, tzinfo=UTC) + timedelta(days=days)
        cells = game_cells(CONFIG, "espn_scoreboard", games, now)
        due = sum(cell.dataset == "espn_summary" and cell.due_at <= now for cell in cells)
        [estimate] = _estimate(_schedules("espn_scoreboard", running, now=now), counts, now=now).values()
        assert estimate == pytest.approx(due, rel=0.1), days


def _recorded(source: str, season: str) -> list[Game]:
    with (RECORDED / "seasons" / source / f"{season}.csv").open(newline="") as file:
        return [
            Game(row["game_id"], date.fromisoformat(row["date"]), None, GameStatus.FINAL, season, row["season_type"])
            for row in csv.DictReader(file)
        ]


def test_without_any_season_it_is_the_usual_number_of_games() -> None:
    found = _estimate(_schedules("espn_scoreboard", "2020-21", "2022-23"))
    assert found == {  # three files of each game
        Partition("espn_summary", "2020-21"): 3 * (1080 + 49 + 83 + 6 + 1),
        Partition("espn_summary", "2022-23"): 3 * (1230 + 75 + 83 + 6 + 1),
    }
    [games] = _estimate(_schedules("br_schedule", "2022-23")).values()
    assert games == 1230 + 83 + 6, "the site lists no preseason"


@pytest.mark.parametrize(
    ("collect", "selection", "games"),
    [
        ({}, Selection(), 1230 + 75 + 83 + 6 + 1),
        ({"season_types": ["playoffs", "play-in"]}, Selection(), 83 + 6),
        ({"since": "2023-10-01"}, Selection(until=date(2023, 10, 19)), 75),
        ({"since": "2023-10-09"}, Selection(until=date(2023, 10, 19)), 37.5),
        ({}, Selection(since=date(2023, 10, 1), until=date(2023, 10, 8)), 37.5),
    ],
)
def test_only_what_is_collected_and_selected_counts(
    collect: dict[str, Any], selection: Selection, games: float
) -> None:
    config = a_config(collect=Collect(**collect))
    schedules = _schedules("nba_schedule", "2022-23" if games > 80 else "2023-24", config=config)
    [files] = _estimate(schedules, config=config, selection=selection).values()
    assert files == round(games)


def test_games_that_are_not_due_yet_do_not_count() -> None:
    now = datetime(2023, 10, 9, 12, tzinfo=UTC)  # the files of the 8th are due
    assert list(_estimate(_schedules("nba_schedule", "2023-24", now=now), now=now).values()) == [38]


@pytest.mark.parametrize(
    "status",
    [
        Status(State.GAP, "grows", Kind.STALE),
        Status(State.UNAVAILABLE, "the source has none", Kind.MISSING),
        Status(State.DEFERRED, "not read yet"),
    ],
)
def test_a_schedule_that_is_there_or_nowhere_will_list_nothing(status: Status) -> None:
    assert _estimate(_schedules("nba_schedule", "2023-24"), nba_schedule=status) == {}


def test_the_nearest_season_counts_and_no_season_that_is_hardly_known() -> None:
    def listed(season: str, files: int) -> Counts:
        return {Place("nba_playbyplay", season, ""): {Standing(State.PRESENT): files}}

    schedules = _schedules("nba_schedule", "2018-19")
    far, near = listed("2008-09", 700), listed("2017-18", 2800)
    assert _estimate(schedules, far | near)[Partition("nba_playbyplay", "2018-19")] == 2800
    current = listed(season_of(NOW.date()), 100)
    assert _estimate(schedules, current, now=datetime(2026, 1, 15, tzinfo=UTC)) == _estimate(schedules)


def test_a_whole_season_that_is_not_selected_counts_too() -> None:
    schedule, selection = "nba_schedule", Selection(seasons=("2022-23",))
    games = _season(schedule, 5, "2023-24", 0.5)
    others = [c for c in game_cells(CONFIG, schedule, games, NOW) if c.dataset == GAMES_OF[schedule]]
    unknown = [Unknown(GAMES_OF[schedule], cell) for cell in _schedules(schedule, "2022-23")]
    statuses = {part.schedule.key: MISSING for part in unknown}
    [estimate] = estimate_unlisted(CONFIG, unknown, statuses, {}, selection, NOW, others).values()
    assert estimate == pytest.approx(len(_season(schedule, 5, "2022-23", 0.5)), rel=0.1)
