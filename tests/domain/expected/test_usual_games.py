"""How many games a season has, and when, as far as estimates need it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tasks.domain.expected import seasons
from tasks.domain.expected.usual_games import phases, usual_games


@pytest.mark.parametrize(
    ("season", "regular"),
    [
        ("1994-95", 1107),
        ("1996-97", 1189),
        ("1998-99", 725),
        ("2003-04", 1189),
        ("2004-05", 1230),
        ("2011-12", 990),
        ("2012-13", 1229),
        ("2019-20", 1059),
        ("2020-21", 1080),
        ("2025-26", 1230),
    ],
)
def test_a_regular_season_has_as_many_games_as_it_had(season: str, regular: int) -> None:
    assert usual_games(season, *seasons.window(season), ["regular"]) == pytest.approx(regular)


@pytest.mark.parametrize("year", range(1990, 2030))
def test_every_phase_lies_within_its_season(year: int) -> None:
    season = seasons.season_name(year)
    first, last = seasons.window(season)
    for phase in phases(season):
        assert first <= phase.first <= phase.last <= last, phase
        assert phase.games > 0
    assert usual_games(season, first, last) == pytest.approx(sum(phase.games for phase in phases(season)))


@pytest.mark.parametrize(
    ("season", "counts"),
    [
        ("1998-99", {"preseason": 29, "playoffs": 71}),
        ("2001-02", {"preseason": 115, "playoffs": 71, "all-star": 1}),
        ("2016-17", {"preseason": 115, "playoffs": 83, "all-star": 1}),
        ("2019-20", {"preseason": 75, "playoffs": 83, "all-star": 1, "play-in": 1}),
        ("2020-21", {"preseason": 49, "playoffs": 83, "all-star": 1, "play-in": 6}),
        ("2023-24", {"preseason": 75, "playoffs": 83, "all-star": 1, "play-in": 6, "cup-final": 1}),
    ],
)
def test_the_other_types_of_games_come_and_go(season: str, counts: dict[str, int]) -> None:
    window = seasons.window(season)
    found = {phase.season_type: round(usual_games(season, *window, [phase.season_type])) for phase in phases(season)}
    assert {name: count for name, count in found.items() if name != "regular"} == counts


@pytest.mark.parametrize(
    "opening",
    [date(2013, 10, 29), date(2016, 10, 25), date(2018, 10, 16), date(2022, 10, 18), date(2023, 10, 24)],
    ids=str,
)
def test_a_season_opens_about_when_the_league_opens_it(opening: date) -> None:
    regular = next(phase for phase in phases(seasons.season_of(opening)) if phase.season_type == "regular")
    assert abs(regular.first - opening) <= timedelta(days=4)


def test_games_are_spread_over_the_days_of_their_phase() -> None:
    assert usual_games("2023-24", date(2023, 10, 1), date(2023, 10, 16), ["preseason"]) == 75
    assert usual_games("2023-24", date(2023, 10, 1), date(2023, 10, 8), ["preseason"]) == 37.5
    assert usual_games("2023-24", date(2024, 7, 1), date(2024, 8, 1)) == 0
    assert usual_games("2019-20", date(2020, 3, 12), date(2020, 7, 29)) == 0, "the season paused"
    half = usual_games("2023-24", date(2023, 9, 25), date(2024, 1, 14), ["regular"])
    assert half == pytest.approx(1230 / 2, rel=0.02)
    early = usual_games("2023-24", date(2024, 4, 18), date(2024, 5, 3), ["playoffs"])
    assert early == pytest.approx(45, rel=0.1), "most play-off games are in the first round"
