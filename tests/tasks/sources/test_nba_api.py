"""What do the checks make of stats.nba.com's answers? A valid answer plus one change each."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from config.models import Check
from tasks.domain.assess.verdicts import Fault, Verdict, Wholeness, bad, unfinished
from tasks.domain.expected.games import Game, GameStatus
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


def nil() -> dict[str, Any]:
    return {"homeTeam": {"teamId": 1610612743, "score": 0}, "awayTeam": {"teamId": 1610612747, "score": 0}}


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
        pytest.param({"gameStatus": "1"}, GameStatus.SCHEDULED, PARTIAL, id="a status as text"),
        pytest.param({"gameStatus": 1, "gameStatusText": "PPD"}, GameStatus.POSTPONED, WHOLE, id="postponed by text"),
        pytest.param(
            {"gameStatus": 1, "gameStatusText": "Canceled"}, GameStatus.CANCELLED, WHOLE, id="cancelled by text"
        ),
        pytest.param({"gameStatusText": "Forfeit"}, GameStatus.CANCELLED, WHOLE, id="forfeited"),
        pytest.param(nil(), GameStatus.CANCELLED, WHOLE, id="final 0-0"),
        pytest.param(nil() | {"gameStatus": 1}, GameStatus.SCHEDULED, PARTIAL, id="scheduled 0-0"),
        pytest.param({"gameStatus": 1, "homeTeam": {"teamId": 0}}, GameStatus.SCHEDULED, PARTIAL, id="no team yet"),
    ],
)
def test_status_of_a_game(changes: dict[str, Any], status: GameStatus, wholeness: Wholeness) -> None:
    found = scheduled(a_game(**changes))
    assert (found.games[0].status, found.wholeness) == (status, wholeness)


def test_a_schedule_whose_finals_are_all_0_0_gives_no_scores() -> None:
    found = scheduled(a_game(**nil()), a_game("0022300002", **nil()))
    assert {game.status for game in found.games} == {GameStatus.FINAL}
    found = scheduled(a_game(), a_game("0022300002", **nil()))
    assert [game.status for game in found.games] == [GameStatus.FINAL, GameStatus.CANCELLED]


def test_a_game_that_may_fall_out_says_so() -> None:
    found = scheduled(a_game("0042300107", gameStatus=1, ifNecessary=True), a_game("0042300106", ifNecessary=False))
    assert [game.if_necessary for game in found.games] == [True, False]


@pytest.mark.parametrize(
    ("first", "second", "day", "status"),
    [
        pytest.param(("19", 3, "A"), ("26", 1, "P"), 19, GameStatus.FINAL, id="played on an earlier day"),
        pytest.param(("19", 1, "P"), ("26", 3, "A"), 26, GameStatus.FINAL, id="played on a later day"),
        pytest.param(("19", 1, "P"), ("26", 1, "A"), 26, GameStatus.SCHEDULED, id="moved and not played yet"),
        pytest.param(("19", 1, "A"), ("19", 2, "A"), 19, GameStatus.LIVE, id="twice on one day"),
        pytest.param(("19", 3, "A"), ("26", 3, "A"), 26, GameStatus.FINAL, id="played to its end on another day"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_of_two_entries_of_a_game_the_final_one_counts_else_that_of_the_later_day(
    first: tuple[str, int, str], second: tuple[str, int, str], day: int, status: GameStatus, turned: bool
) -> None:
    entries = [
        a_game(gameStatus=code, postponedStatus=letter, gameDateEst=f"2023-12-{date_}T00:00:00Z")
        for date_, code, letter in (first, second)
    ]
    [game] = scheduled(*(entries[::-1] if turned else entries)).games
    assert (game.day, game.status) == (date(2023, 12, day), status)


@pytest.mark.parametrize(
    ("entry", "odd"),
    [
        pytest.param(a_game("0022300999", gameStatus=4), "0022300999: gameStatus 4", id="unknown status"),
        pytest.param(a_game("0022300999", gameStatus=None), "0022300999: gameStatus None", id="no status"),
        pytest.param(a_game("22300999"), "22300999: not a game id", id="odd id"),
        pytest.param({"gameStatus": 3}, "entry 2: no gameId", id="no id"),
        pytest.param(
            a_game("0022300999", gameDateEst="2023-13-45T00:00:00Z"),
            "0022300999: gameDateEst '2023-13-45T00:00:00Z'",
            id="13th month",
        ),
        pytest.param(
            a_game("0022300999", gameDateEst="1900-01-01T00:00:00Z"),
            "0022300999: 1900-01-01 is no day of 2023-24",
            id="a placeholder for a day",
        ),
        pytest.param(
            a_game("0022300999", gameDateEst=None),
            "0022300999: TypeError: 'NoneType' object is not subscriptable",
            id="no day",
        ),
        pytest.param({}, "entry 2: no gameId", id="nothing"),
        pytest.param(None, "entry 2: TypeError: 'NoneType' object is not subscriptable", id="null"),
    ],
)
def test_an_odd_entry_is_named_and_spoils_no_other(entry: Any, odd: str) -> None:
    found = scheduled(a_game(), entry, a_game("0022300003"))
    assert [game.id for game in found.games] == ["0022300001", "0022300003"]
    assert (found.wholeness, found.reason) == (PARTIAL, f"1 of 3 entries cannot be read: {odd}")


def test_many_odd_entries_are_counted_beside_games_that_are_not_final() -> None:
    odd = [a_game(f"00223009{n:02}", gameStatus=4) for n in range(5)]
    found = scheduled(a_game(), a_game("0022300002", gameStatus=1), *odd)
    assert found.reason == (
        "1 of 2 games not final; 5 of 7 entries cannot be read: 0022300900: gameStatus 4, 0022300901: gameStatus 4,"
        " 0022300902: gameStatus 4, 2 more"
    )


def test_a_day_of_the_schedule_that_cannot_be_read_spoils_no_other() -> None:
    body = {"leagueSchedule": {"seasonYear": "2023-24", "gameDates": [{"games": [a_game()]}, None, {"games": None}]}}
    found = examine(json.dumps(body).encode(), {"season": "2023-24"}, Check(name="nba_api.schedule"))
    assert (len(found.games), found.wholeness) == (1, PARTIAL)
    assert found.reason.startswith("2 of 3 entries cannot be read")


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(None, id="null"),
        pytest.param("", id="empty"),
        pytest.param("1900-01-01T17:00:00Z", id="1900"),
        pytest.param("2023-10-24T04:00:00Z", id="midnight Eastern"),
        pytest.param("2023-13-45T04:00:00Z", id="13th month"),
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
        pytest.param(scheduled(a_game("1022300001")), "no games of the NBA in the schedule", id="another league"),
        pytest.param(
            scheduled(a_game(), season="2022-23"), "the schedule of 2022-23, not of 2023-24", id="another season"
        ),
        pytest.param(
            scheduled(a_game("22300001")), "none of 1 entries can be read: 22300001: not a game id", id="all odd"
        ),
    ],
)
def test_schedules_that_are_bad(found: Verdict, reason: str) -> None:
    assert found == bad(reason)


def test_an_empty_schedule_says_that_there_is_none_yet() -> None:
    assert scheduled() == bad("no games in the schedule", Fault.ABSENT)


def a_player(played: str = "30:00", **numbers: Any) -> dict[str, Any]:
    return {"personId": 1, "statistics": {"minutes": played, **numbers}}


def a_team(minutes: object = "240:00", players: tuple[str, ...] = ("30:00",) * 8 + ("",)) -> dict[str, Any]:
    return {"players": [a_player(played) for played in players], "statistics": {"minutes": minutes}}


def a_team_of(minutes: int) -> dict[str, Any]:
    """Eight players who have played the minutes between them."""
    return a_team(f"{minutes}:00", (f"PT{minutes // 8}M{minutes % 8 * 60 // 8:02}.00S",) * 8)


def scored(*points: int, of: int) -> dict[str, Any]:
    players = [a_player("30:00", points=n) for n in points]
    return {"players": players, "statistics": {"minutes": "240:00", "points": of}}


def boxed(
    home: Any, away: Any, game_id: str = "0022300001", asked: str = "", root: str = "Traditional", kind: str = ""
) -> Verdict:
    body = {"meta": {}, f"boxScore{root}": {"gameId": game_id, "homeTeam": home, "awayTeam": away}}
    check = Check(name="nba_api.box_score", kind=kind)
    return examine(json.dumps(body).encode(), {"id": asked or game_id}, check)


@pytest.mark.parametrize("minutes", ["240:00", "240", "PT240M00.00S", 240, "240.000000:00", "233:00", None])
def test_a_final_box_score_is_whole(minutes: object) -> None:
    assert boxed(a_team(minutes), a_team("233:00")).wholeness is WHOLE


@pytest.mark.parametrize(
    ("minutes", "game_id"),
    [
        (265, "0022300001"),
        (340, "0022300001"),
        (241, "0029600001"),
        (200, "0011900101"),
        (220, "0011400071"),
        (225, "0011900101"),
        (62, "0032400001"),
        (60, "0032500003"),
        (240, "0031600001"),
        (200, "0030900002"),
        (200, "1022500165"),
    ],
    ids=[
        *("overtime", "four overtimes", "rounded for each player", "preseason of 4 x 10", "preseason of 4 x 11"),
        *("overtime of 4 x 10", "to 40 points", "12 minutes", "all-star", "rookies in halves", "another league"),
    ],
)
def test_a_whole_game_can_have_other_minutes_than_four_times_twelve(minutes: int, game_id: str) -> None:
    assert boxed(a_team_of(minutes), a_team_of(minutes), game_id) == Verdict(WHOLE)


@pytest.mark.parametrize(
    ("minutes", "game_id"),
    [
        (180, "0022300001"),
        (121, "0042300101"),
        (252, "0022300001"),
        (250, "0052300101"),
        (277, "0022300001"),
        (150, "0011900101"),
        (180, "0012300001"),
        (120, "0031600001"),
        (120, "0039900001"),
    ],
)
def test_the_box_score_of_a_game_in_progress_is_unfinished(minutes: int, game_id: str) -> None:
    reason = f"game not final: {minutes} minutes of a team's players, no whole game's"
    assert boxed(a_team_of(minutes), a_team_of(minutes), game_id) == unfinished(reason)


def test_the_players_minutes_tell_a_game_in_progress_where_the_team_has_none() -> None:
    team = a_team(None, ("22:30",) * 8)
    assert boxed(team, team) == unfinished("game not final: 180 minutes of a team's players, no whole game's")


def test_a_tie_is_no_final() -> None:
    team = scored(20, 20, 10, 10, 10, 10, 9, 9, of=98)
    assert boxed(team, team) == unfinished("game not final: 98-98")


def test_match_ups_count_their_own_minutes() -> None:
    team = {"players": [{"matchups": [{"statistics": {"matchupMinutes": "0:06"}}]}] * 5}
    assert boxed(team, team).wholeness is WHOLE


@pytest.mark.parametrize(
    ("home", "reason"),
    [
        pytest.param(a_team(players=()), "a team without players", id="no players"),
        pytest.param({"players": None}, "a team without players", id="null for players"),
        pytest.param(None, "a team without players", id="null for a team"),
        pytest.param(a_team(players=("", "PT00M00.00S")), "game not final: no player has played", id="unplayed"),
        pytest.param({"players": [{"personId": 1}]}, "game not final: no player has played", id="no numbers"),
        pytest.param(a_team(players=("48:00",)), "hollow: 1 players of a team have played", id="one player"),
        pytest.param(a_team(players=("48:00",) * 4), "hollow: 4 players of a team have played", id="four players"),
        pytest.param(
            a_team(players=("30:00",) * 7),
            "hollow: the players of a team have 210 of its 240 minutes",
            id="players' minutes are missing",
        ),
        pytest.param(
            scored(20, 20, 10, 10, 10, 10, 9, 8, of=98),
            "hollow: the players of a team have 97 of its 98 points",
            id="a point is missing",
        ),
    ],
)
def test_box_scores_that_are_not_whole(home: Any, reason: str) -> None:
    assert boxed(home, a_team()) == unfinished(reason)
    assert boxed(a_team(), home) == unfinished(reason)


@pytest.mark.parametrize("empty", [{"players": [], "statistics": None}, {"players": None}, None])
def test_the_empty_box_score_of_the_right_game_is_absent(empty: Any) -> None:
    assert boxed(empty, empty) == bad("no players in the box score", Fault.ABSENT)
    assert boxed(empty, empty, asked="0022300002") == bad("game 0022300001, not 0022300002")


def test_a_box_score_must_be_of_the_datasets_own_kind() -> None:
    team, advanced = a_team(), {"players": [a_player(offensiveRating=110.0, possessions=60)] * 8}
    assert boxed(team, team, kind="traditional").wholeness is WHOLE
    assert boxed(team, team, root="PlayerTrack", kind="playertrack").wholeness is WHOLE
    assert boxed(team, team, root="Advanced", kind="traditional") == bad(
        "boxScoreAdvanced, not a box score of kind traditional"
    )
    assert boxed(advanced, advanced, root="Advanced", kind="advanced").wholeness is WHOLE
    assert boxed(advanced, advanced, kind="traditional") == bad("a box score of kind advanced, not traditional")
    assert boxed(advanced, advanced).wholeness is WHOLE, "a dataset need not say its kind"


def test_another_game_is_bad() -> None:
    assert boxed(a_team(), a_team(), asked="0022300002") == bad("game 0022300001, not 0022300002")


def test_a_version_two_answer_is_no_box_score() -> None:
    body = json.dumps({"resource": "boxscore", "parameters": {}, "resultSets": []}).encode()
    assert examine(body, {"id": "0022300001"}, Check(name="nba_api.box_score")).wholeness is BAD


def an_action(period: int, sub_type: str = "end", score: str = "99", **change: Any) -> dict[str, Any]:
    action = {
        "actionType": "period",
        "subType": sub_type,
        "period": period,
        "scoreHome": score,
        "scoreAway": "98",
    }
    return action | change


def a_play(period: int, score: str = "", **change: Any) -> dict[str, Any]:
    scores = {"scoreHome": score, "scoreAway": "98" if score else ""}
    return {"actionType": "Made Shot", "subType": "Jump Shot", "period": period} | scores | change


def plays(*periods: int) -> list[dict[str, Any]]:
    return [a_play(period) for period in periods]


def told(*actions: dict[str, Any], game_id: str = "0022300001") -> Verdict:
    body = {"meta": {}, "game": {"gameId": game_id, "actions": actions}}
    return examine(json.dumps(body).encode(), {"id": game_id}, Check(name="nba_api.play_by_play"))


_GAME_END = an_action(4, actionType="game")


@pytest.mark.parametrize(
    "actions",
    [
        pytest.param([*plays(1, 2, 3, 4), an_action(3), an_action(4, "start"), an_action(4)], id="four quarters"),
        pytest.param([*plays(1, 2, 3, 4, 5), an_action(4, score="98"), an_action(5)], id="overtime"),
        pytest.param([*plays(1, 2, 3, 4, 5, 6, 7, 8), an_action(8)], id="four overtimes"),
        pytest.param([*plays(1, 2, 3, 4), an_action(4), an_action(4, "correction")], id="correction after the end"),
        pytest.param([*plays(1, 2, 3, 4), an_action(4, score="98"), a_play(4, "99")], id="free throw after the end"),
        pytest.param([an_action(4), *plays(4, 3, 2, 1)], id="in the opposite order"),
        pytest.param([*plays(1, 2, 3, 4), an_action(4), an_action(4)], id="ended twice"),
        pytest.param([*plays(1, 2, 3, 4), _GAME_END], id="end of the game, and of no period"),
        pytest.param([*plays(1, 2, 3, 4), _GAME_END, a_play(4)], id="a play after the end of the game"),
        pytest.param([*plays(1, 2, 3, 4), an_action(4, score="", scoreAway="")], id="no score"),
    ],
)
def test_play_by_plays_that_are_whole(actions: list[dict[str, Any]]) -> None:
    assert told(*actions) == Verdict(WHOLE)


@pytest.mark.parametrize(
    "actions",
    [
        pytest.param([*plays(1), an_action(1)], id="after a quarter"),
        pytest.param([*plays(1, 2, 3), an_action(3)], id="after three quarters"),
        pytest.param([*plays(1, 2, 3, 4), an_action(3), an_action(4, "start")], id="in the fourth quarter"),
        pytest.param([*plays(1, 2, 3, 4), an_action(4, score="98")], id="tied, before overtime"),
        pytest.param([*plays(1, 2, 3, 4), a_play(4, "98"), an_action(4, score="98")], id="tied by the last play"),
        pytest.param([*plays(1, 2, 3, 4, 5), an_action(4, score="98"), an_action(5, "start", "98")], id="in overtime"),
    ],
)
def test_play_by_plays_of_a_game_in_progress_are_unfinished(actions: list[dict[str, Any]]) -> None:
    assert told(*actions) == unfinished("play-by-play stops before the end of the game")


def test_a_play_by_play_without_plays_is_absent() -> None:
    assert told() == bad("no actions", Fault.ABSENT)


@pytest.mark.parametrize(
    ("actions", "period"),
    [
        pytest.param([*plays(1, 2, 4), an_action(3), an_action(4)], 3, id="a quarter"),
        pytest.param([*plays(4), an_action(4)], 1, id="all but the last quarter"),
        pytest.param([an_action(n) for n in (1, 2, 3, 4)], 1, id="all plays"),
        pytest.param([_GAME_END], 1, id="all but the end"),
    ],
)
def test_play_by_plays_that_miss_a_period_are_hollow(actions: list[dict[str, Any]], period: int) -> None:
    assert told(*actions) == unfinished(f"hollow: no play in period {period} of 4")


def test_actions_that_do_not_say_their_period_tell_no_whole_game() -> None:
    assert told({"actionType": "game", "subType": "end"}) == unfinished("hollow: no play but the end of the game")
    assert told({"actionType": "period", "subType": "end"}, *plays(1)).wholeness is PARTIAL


@pytest.mark.parametrize(
    ("game_id", "periods", "clock", "wholeness"),
    [
        pytest.param("0032400001", 1, "PT12M00.00S", WHOLE, id="first to 40 points"),
        pytest.param("0030900002", 2, "PT20M00.00S", WHOLE, id="rookies in halves"),
        pytest.param("0030900002", 1, "PT20M00.00S", PARTIAL, id="rookies at half-time"),
        pytest.param("0030900002", 2, "", WHOLE, id="halves without a clock"),
        pytest.param("0031600001", 2, "PT12M00.00S", PARTIAL, id="all-star at half-time"),
        pytest.param("0031600001", 4, "PT12M00.00S", WHOLE, id="all-star"),
        pytest.param("0011900101", 4, "PT10M00.00S", WHOLE, id="preseason of 4 x 10"),
        pytest.param("0011900101", 3, "PT10M00.00S", PARTIAL, id="preseason after three quarters"),
        pytest.param("0011400071", 4, "PT11M00.00S", WHOLE, id="preseason of 44 minutes"),
    ],
)
def test_how_many_periods_a_game_has_depends_on_what_game_it_is(
    game_id: str, periods: int, clock: str, wholeness: Wholeness
) -> None:
    actions = plays(*range(1, periods + 1)) + [an_action(n) for n in range(1, periods + 1)]
    start = an_action(1, "start", clock=clock)
    assert told(start, *actions, game_id=game_id).wholeness is wholeness
