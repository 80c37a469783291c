"""Is the fictional league true to the calendar, and told alike by the three sites?"""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from config.models import Check
from deployments.sandbox import sites
from deployments.sandbox.league import Fate, Fixture, League
from deployments.sandbox.results import AWAY, HOME, as_of
from tasks.domain.assess.verdicts import Wholeness
from tasks.domain.expected import seasons
from tasks.domain.expected.games import GameStatus
from tasks.sources.checks import examine

LEAGUE = League()
AFTER = datetime(2027, 1, 1, tzinfo=UTC)
UNUSUAL_AND_USUAL = ["1996-97", "1998-99", "1999-00", "2011-12", "2012-13", "2019-20", "2020-21", "2023-24"]


@pytest.mark.parametrize("season", UNUSUAL_AND_USUAL)
def test_every_game_is_within_the_season_and_found_again_by_each_of_its_ids(season: str) -> None:
    first, last = seasons.window(season)
    games = LEAGUE.season(season)
    assert len(games) > 200
    for game in games:
        assert first <= game.day <= last
        assert seasons.eastern_day(game.start) == game.day
        assert [LEAGUE.find(game_id) for game_id in (game.espn_id, game.nba_id, game.br_id)] == [game] * 3


@pytest.mark.parametrize("season", UNUSUAL_AND_USUAL)
def test_no_team_plays_twice_a_day(season: str) -> None:
    sides = [(game.day, team) for game in LEAGUE.season(season) for team in (game.home, game.away)]
    assert len(sides) == len(set(sides))


def test_ids_have_the_form_of_their_site_and_year() -> None:
    old, new = LEAGUE.season("2010-11")[0], LEAGUE.season("2023-24")[0]
    assert old.espn_id == f"30{old.day:%m%d}{old.home.espn_id:03d}"
    assert re.fullmatch(r"401\d{6}", new.espn_id)
    assert re.fullmatch(r"00223\d{5}", new.nba_id)
    assert new.br_id == f"{new.day:%Y%m%d}0{new.home.br_code}"


def test_the_same_seed_plays_the_same_league_and_another_seed_another() -> None:
    assert League(seed=7).season("2023-24") == League(seed=7).season("2023-24")
    assert League(seed=7).season("2023-24") != League(seed=8).season("2023-24")


def test_a_game_passes_from_scheduled_through_live_to_final() -> None:
    game = next(game for game in LEAGUE.season("2023-24") if game.fate is Fate.PLAYED)
    hours = [-1, 0, 2.4, 2.5]
    seen = [game.status(game.start + timedelta(hours=hour)) for hour in hours]
    assert seen == [GameStatus.SCHEDULED, GameStatus.LIVE, GameStatus.LIVE, GameStatus.FINAL]


def test_a_make_up_game_is_listed_when_its_game_is_postponed_and_not_before() -> None:
    off = next(game for game in LEAGUE.season("2023-24") if game.fate is Fate.POSTPONED)
    called_off = off.start - timedelta(hours=8)
    before = LEAGUE.listed("2023-24", called_off - timedelta(seconds=1))
    (make_up,) = [game for game in LEAGUE.listed("2023-24", called_off) if game not in before]
    assert (make_up.home, make_up.away) == (off.home, off.away)
    assert off.status(called_off) is GameStatus.POSTPONED


def test_box_scores_add_up_to_the_score_at_every_moment() -> None:
    game = LEAGUE.season("2023-24")[5]
    for minutes in range(0, 160, 10):
        shot = as_of(game, game.start + timedelta(minutes=minutes))
        for side in (HOME, AWAY):
            assert sum(line.pts for line in shot.lines(side)) == shot.score[side]
            assert sum(shot.points_by_period(side)) == shot.score[side]


def _espn(season: str) -> set[tuple[str, str]]:
    days = sorted({game.day for game in LEAGUE.listed(season, AFTER)})
    boards = [sites.answer(LEAGUE, "espn", f"/scoreboard?dates={day:%Y%m%d}", AFTER).body for day in days]
    events = [event for board in boards for event in json.loads(board)["events"]]
    return {(event["id"], event["status"]["type"]["name"]) for event in events}


def test_the_three_schedules_list_the_same_games() -> None:
    games = LEAGUE.season("2012-13")
    names = {
        GameStatus.FINAL: "STATUS_FINAL",
        GameStatus.POSTPONED: "STATUS_POSTPONED",
        GameStatus.CANCELLED: "STATUS_CANCELED",
    }
    assert _espn("2012-13") == {(game.espn_id, names[game.status(AFTER)]) for game in games}
    schedule = sites.answer(LEAGUE, "nba_api", "/scheduleleaguev2?Season=2012-13&LeagueID=00", AFTER)
    days = json.loads(schedule.body)["leagueSchedule"]["gameDates"]
    assert {game["gameId"] for day in days for game in day["games"]} == {game.nba_id for game in games}
    assert _linked_by_basketball_reference() == {game.br_id for game in games if game.status(AFTER) is GameStatus.FINAL}


def _linked_by_basketball_reference() -> set[str]:
    months = ("october", "november", "december", "january", "february", "march", "april", "may", "june")
    urls = [f"/leagues/NBA_2013_games-{month}.html" for month in months]
    pages = [sites.answer(LEAGUE, "basketball_reference", url, AFTER) for url in urls]
    assert [page.status for page in pages] == [200] * len(months)
    return {link for page in pages for link in re.findall(r'"/boxscores/(\w+)\.html"', page.body.decode())}


@pytest.mark.parametrize("season", UNUSUAL_AND_USUAL)
def test_every_month_page_is_whole_in_the_end_though_games_were_called_off(season: str) -> None:
    fields = {"season": season, "end_year": str(seasons.end_year(season))}
    for day in {game.day.replace(day=1) for game in LEAGUE.season(season)}:
        month = f"{day:%B}".lower()
        if season == "2019-20" and month == "october":
            month += f"-{day.year}"
        url = f"/leagues/NBA_{fields['end_year']}_games-{month}.html"
        page = sites.answer(LEAGUE, "basketball_reference", url, AFTER)
        verdict = examine(page.body, fields | {"month": month}, Check(name="basketball_reference.schedule"))
        assert verdict.wholeness is Wholeness.WHOLE, verdict.reason


def test_october_came_twice_in_2019_20() -> None:
    def status(month: str) -> int:
        return sites.answer(LEAGUE, "basketball_reference", f"/leagues/NBA_2020_games-{month}.html", AFTER).status

    assert [status(month) for month in ("october-2019", "october-2020", "october", "may")] == [
        200,
        200,
        404,
        404,
    ]


def _days_later(game: Fixture, days: int) -> datetime:
    return game.start + timedelta(days=days)


@pytest.mark.parametrize(("days", "complete"), [(30, False), (400, True)], ids=["running", "over"])
def test_a_season_table_counts_to_the_real_number_of_games(days: int, complete: bool) -> None:
    now = _days_later(LEAGUE.season("2022-23")[0], days)
    body = sites.answer(LEAGUE, "basketball_reference", "/leagues/NBA_2023_totals.html", now).body.decode()
    games = [int(text) for text in re.findall(r'data-stat="games" >(\d+)<', body)]
    assert (max(games) == 82) is complete
    assert len(games) >= 300


ODD = League(odd_games=True)
FORMS = {
    "a mini-game": ("2024-25", "all-star", 1),
    "all-star": ("2016-17", "all-star", 4),
    "rookies in halves": ("2016-17", "all-star", 2),
    "preseason": ("2016-17", "preseason", 4),
    "four overtimes": ("2016-17", "regular", 8),
    "play-offs": ("2016-17", "playoffs", 4),
}


def _played_in(periods: int, games: list[Fixture]) -> Fixture:
    return next(game for game in games if as_of(game, AFTER).period == periods)


def _judged(game: Fixture, source: str, url: str, name: str, now: datetime) -> Wholeness:
    page = sites.answer(ODD, source, url, now)
    fields = {"id": game.espn_id if source == "espn" else game.nba_id, "end_year": str(seasons.end_year(game.season))}
    return examine(page.body, fields, Check(name=name)).wholeness


@pytest.mark.parametrize("form", FORMS)
def test_a_game_of_whatever_form_is_whole_when_it_is_over_and_at_no_moment_before(form: str) -> None:
    season, season_type, periods = FORMS[form]
    game = _played_in(periods, [g for g in ODD.season(season) if g.season_type == season_type])
    plays = f"/playbyplayv3?GameID={game.nba_id}"
    boxes = [f"/boxscore{kind}v3?GameID={game.nba_id}" for kind in ("traditional", "advanced")]
    over = game.start + timedelta(hours=3)
    for url in (plays, *boxes):
        name = "nba_api.play_by_play" if url == plays else "nba_api.box_score"
        assert _judged(game, "nba_api", url, name, over) is Wholeness.WHOLE, url
    summary = ("espn", f"/summary?event={game.espn_id}", "espn.summary")
    assert _judged(game, *summary, over) is Wholeness.WHOLE
    for minute in range(0, 150, 3):
        now = game.start + timedelta(minutes=minute)
        assert _judged(game, "nba_api", plays, "nba_api.play_by_play", now) is not Wholeness.WHOLE, minute
        assert _judged(game, *summary, now) is not Wholeness.WHOLE, minute
        # A box score has no status: only the minutes that are missing tell, and none of a game to 40 points.
        if as_of(game, now).share * as_of(game, over).plays[-1].elapsed < 38 * 60 and game.form.target is None:
            assert _judged(game, "nba_api", boxes[0], "nba_api.box_score", now) is not Wholeness.WHOLE, minute


def test_odd_games_are_listed_by_the_sites_that_have_them() -> None:
    odd = set(ODD.season("2024-25")) - set(LEAGUE.season("2024-25"))
    assert len(odd) == 8
    fields = {"season": "2024-25"}
    page = sites.answer(ODD, "nba_api", "/scheduleleaguev2?Season=2024-25&LeagueID=00", AFTER)
    listed = {game.id: game for game in examine(page.body, fields, Check(name="nba_api.schedule")).games}
    assert {listed[game.nba_id].season_type for game in odd} == {"preseason", "regular", "all-star", "playoffs"}
    [not_needed] = [game for game in odd if game.fate is Fate.NOT_NEEDED]
    assert listed[not_needed.nba_id].if_necessary
    assert listed[not_needed.nba_id].status is GameStatus.SCHEDULED
    board = sites.answer(ODD, "espn", f"/scoreboard?dates={not_needed.day:%Y%m%d}", AFTER)
    found = examine(board.body, {"date": f"{not_needed.day}"}, Check(name="espn.scoreboard"))
    assert [game.if_necessary for game in found.games if game.id == not_needed.espn_id] == [True]
    for game in odd:
        fixture = ODD.find(game.espn_id)
        assert fixture == ODD.find(game.nba_id) == game
