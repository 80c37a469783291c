"""What do the checks make of stats.nba.com's answers? A valid answer plus one change each."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from config.models import Check
from tasks.domain.games import Game, GameStatus
from tasks.domain.verdicts import Verdict, Wholeness, bad, unfinished
from tasks.sources.checks import examine

WHOLE, PARTIAL, BAD = Wholeness.WHOLE, Wholeness.PARTIAL, Wholeness.BAD


def a_game(game_id: str = "0022300001", **changes: Any) -> dict[str, Any]:
    game = {
        "gameId": game_id,
        "gameStatus": 3,
        "postponedStatus": "A",
        "gameDateEst": "2023-10-24T00:00:00Z",
        "gameDateTimeUTC": "2023-10-24T23:30:00Z",
        "homeTeam": {"teamId": 1610612743},
        "awayTeam": {"teamId": 1610612747},
    }
    return game | changes


def scheduled(*games: dict[str, Any], season: str = "2023-24") -> Verdict:
    body = {"meta": {}, "leagueSchedule": {"seasonYear": season, "gameDates": [{"games": games}]}}
    return examine(json.dumps(body).encode(), {"season": "2023-24"}, Check(name="nba_api.schedule"))


def test_a_final_game_is_read_in_full() -> None:
    assert scheduled(a_game()) == Verdict(
        WHOLE,
        games=(
            Game(
                id="0022300001",
                day=date(2023, 10, 24),
                start=datetime(2023, 10, 24, 23, 30, tzinfo=UTC),
                status=GameStatus.FINAL,
                season="2023-24",
                season_type="regular",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("changes", "status", "wholeness"),
    [
        pytest.param({"gameStatus": 1}, GameStatus.SCHEDULED, PARTIAL, id="scheduled"),
        pytest.param({"gameStatus": 2}, GameStatus.LIVE, PARTIAL, id="live"),
        pytest.param({"gameStatus": 1, "postponedStatus": "P"}, GameStatus.POSTPONED, WHOLE, id="postponed"),
        pytest.param({"gameStatus": 1, "postponedStatus": "C"}, GameStatus.CANCELLED, WHOLE, id="cancelled"),
        pytest.param({"gameStatus": 1, "postponedStatus": None}, GameStatus.SCHEDULED, PARTIAL, id="nothing said"),
        pytest.param({"postponedStatus": "P"}, GameStatus.FINAL, WHOLE, id="postponed, then played"),
        pytest.param({"gameStatus": 1, "ifNecessary": True}, GameStatus.SCHEDULED, PARTIAL, id="if necessary"),
        pytest.param({"gameStatus": 1, "homeTeam": {"teamId": 0}}, GameStatus.SCHEDULED, PARTIAL, id="no team yet"),
    ],
)
def test_status_of_a_game(changes: dict[str, Any], status: GameStatus, wholeness: Wholeness) -> None:
    found = scheduled(a_game(**changes))
    assert (found.games[0].status, found.wholeness) == (status, wholeness)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(None, id="null"),
        pytest.param("", id="empty"),
        pytest.param("1900-01-01T17:00:00Z", id="1900"),
        pytest.param("2023-10-24T04:00:00Z", id="midnight Eastern"),
    ],
)
def test_a_placeholder_is_no_start(start: str | None) -> None:
    assert scheduled(a_game(gameDateTimeUTC=start)).games[0].start is None


@pytest.mark.parametrize(
    ("game_id", "season_type"),
    [
        ("0012300001", "preseason"),
        ("0032300001", "all-star"),
        ("0042300101", "playoffs"),
        ("0052300101", "play-in"),
        ("0062300001", "cup-final"),
    ],
)
def test_season_type_is_in_the_id(game_id: str, season_type: str) -> None:
    assert scheduled(a_game(game_id)).games[0].season_type == season_type


def test_games_of_other_leagues_are_skipped() -> None:
    found = scheduled(a_game(), a_game("1022300001"), a_game("2022300001"))
    assert [game.id for game in found.games] == ["0022300001"]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(scheduled(), "no games in the schedule", id="empty"),
        pytest.param(scheduled(a_game("1022300001")), "no games in the schedule", id="another league"),
        pytest.param(
            scheduled(a_game(), season="2022-23"), "the schedule of 2022-23, not of 2023-24", id="another season"
        ),
        pytest.param(scheduled(a_game("22300001")), "'22300001' is not a game id", id="short id"),
    ],
)
def test_schedules_that_are_bad(found: Verdict, reason: str) -> None:
    assert found == bad(reason)


def a_team(minutes: object = "240:00", players: tuple[object, ...] = ("30:49", "")) -> dict[str, Any]:
    statistics = [{"personId": n, "statistics": {"minutes": played}} for n, played in enumerate(players)]
    return {"players": statistics, "statistics": {"minutes": minutes}}


def boxed(home: dict[str, Any], away: dict[str, Any], game_id: str = "0022300001", asked: str = "") -> Verdict:
    body = {"meta": {}, "boxScoreTraditional": {"gameId": game_id, "homeTeam": home, "awayTeam": away}}
    return examine(json.dumps(body).encode(), {"id": asked or game_id}, Check(name="nba_api.box_score"))


@pytest.mark.parametrize("minutes", ["240:00", "240", "PT240M00.00S", 240, "265:00", None])
def test_a_final_box_score_is_whole(minutes: object) -> None:
    assert boxed(a_team(minutes), a_team("233:00")).wholeness is WHOLE


def test_other_leagues_play_fewer_minutes() -> None:
    assert boxed(a_team("200:00"), a_team("200:00"), "1022500165").wholeness is WHOLE


def test_match_ups_count_their_own_minutes() -> None:
    team = {"players": [{"matchups": [{"statistics": {"matchupMinutes": "0:06"}}]}]}
    assert boxed(team, team).wholeness is WHOLE


@pytest.mark.parametrize(
    ("home", "wholeness", "reason"),
    [
        pytest.param(a_team(players=()), BAD, "a team without players", id="no players"),
        pytest.param(
            a_team(players=("", "PT00M00.00S")), PARTIAL, "game not final: no player has played", id="unplayed"
        ),
        pytest.param({"players": [{"personId": 1}]}, PARTIAL, "game not final: no player has played", id="no numbers"),
    ],
)
def test_box_scores_that_are_not_whole(home: dict[str, Any], wholeness: Wholeness, reason: str) -> None:
    assert boxed(home, a_team()) == (bad(reason) if wholeness is BAD else unfinished(reason))


def test_a_game_in_progress_is_partial() -> None:
    found = boxed(a_team("121:30"), a_team("PT120M00.00S"))
    assert found == unfinished("game not final: 121 of 240 minutes played")


def test_another_game_is_bad() -> None:
    assert boxed(a_team(), a_team(), asked="0022300002") == bad("game 0022300001, not 0022300002")


def test_a_version_two_answer_is_no_box_score() -> None:
    body = json.dumps({"resource": "boxscore", "parameters": {}, "resultSets": []}).encode()
    assert examine(body, {"id": "0022300001"}, Check(name="nba_api.box_score")).wholeness is BAD


def an_action(period: int, sub_type: str = "end", score: str = "99") -> dict[str, Any]:
    return {
        "actionType": "period",
        "subType": sub_type,
        "period": period,
        "scoreHome": score,
        "scoreAway": "98",
    }


def told(*actions: dict[str, Any]) -> Verdict:
    body = {"meta": {}, "game": {"gameId": "0022300001", "actions": actions}}
    return examine(json.dumps(body).encode(), {"id": "0022300001"}, Check(name="nba_api.play_by_play"))


@pytest.mark.parametrize(
    ("actions", "wholeness"),
    [
        pytest.param([an_action(3), an_action(4, "start"), an_action(4)], WHOLE, id="four quarters"),
        pytest.param([an_action(4, score="98"), an_action(5)], WHOLE, id="overtime"),
        pytest.param([an_action(4), an_action(4, "correction")], WHOLE, id="correction after the end"),
        pytest.param([an_action(3)], PARTIAL, id="after three quarters"),
        pytest.param([an_action(3), an_action(4, "start")], PARTIAL, id="in the fourth quarter"),
        pytest.param([an_action(4, score="98")], PARTIAL, id="tied, before overtime"),
        pytest.param([an_action(4, score="98"), an_action(5, "start")], PARTIAL, id="in overtime"),
        pytest.param([], BAD, id="no actions"),
    ],
)
def test_play_by_plays(actions: list[dict[str, Any]], wholeness: Wholeness) -> None:
    assert told(*actions).wholeness is wholeness
