"""What do the checks make of ESPN's answers? A valid answer plus one change each."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from config.models import Check
from tasks.domain.assess.verdicts import Fault, Verdict, Wholeness, bad, unfinished
from tasks.domain.expected.games import Game, GameStatus
from tasks.sources.checks import examine

WHOLE, PARTIAL, BAD = Wholeness.WHOLE, Wholeness.PARTIAL, Wholeness.BAD

FINAL = {"name": "STATUS_FINAL", "state": "post", "completed": True}
SCHEDULED = {"name": "STATUS_SCHEDULED", "state": "pre", "completed": False}
LIVE = {"name": "STATUS_IN_PROGRESS", "state": "in", "completed": False}
POSTPONED = {"name": "STATUS_POSTPONED", "state": "post", "completed": False}
CANCELED = {"name": "STATUS_CANCELED", "state": "post", "completed": False}
SUSPENDED = {"name": "STATUS_SUSPENDED", "state": "post", "completed": False}
FORFEIT = {"name": "STATUS_FORFEIT", "state": "post", "completed": True}


def an_event(game_id: str = "401585601", **changes: Any) -> dict[str, Any]:
    event = {
        "id": game_id,
        "date": "2024-01-06T00:30Z",
        "season": {"year": 2024, "type": 2},
        "status": {"type": FINAL},
        "competitions": [{"type": {"abbreviation": "STD"}}],
    }
    return event | changes


def with_status(status: dict[str, Any], game_id: str = "401585602") -> dict[str, Any]:
    return an_event(game_id, status={"type": status})


def board(*events: Any, calendar: tuple[str, ...] = ()) -> Verdict:
    body = json.dumps({"leagues": [{"calendar": calendar}], "events": events}).encode()
    return examine(body, {"date": "2024-01-05"}, Check(name="espn.scoreboard"))


def test_a_final_game_is_read_in_full() -> None:
    assert board(an_event()) == Verdict(
        WHOLE,
        games=(
            Game(
                id="401585601",
                day=date(2024, 1, 5),
                start=datetime(2024, 1, 6, 0, 30, tzinfo=UTC),
                status=GameStatus.FINAL,
                season="2023-24",
                season_type="regular",
            ),
        ),
    )


def test_a_day_off_is_whole() -> None:
    assert board() == Verdict(WHOLE)


@pytest.mark.parametrize(
    ("type_", "status", "wholeness"),
    [
        pytest.param(SCHEDULED, GameStatus.SCHEDULED, PARTIAL, id="scheduled"),
        pytest.param(LIVE, GameStatus.LIVE, PARTIAL, id="in progress"),
        pytest.param(SUSPENDED, GameStatus.LIVE, PARTIAL, id="suspended"),
        pytest.param(POSTPONED, GameStatus.POSTPONED, WHOLE, id="postponed"),
        pytest.param(CANCELED, GameStatus.CANCELLED, WHOLE, id="cancelled"),
        pytest.param(FORFEIT, GameStatus.CANCELLED, WHOLE, id="forfeited"),
    ],
)
def test_status_of_a_game(type_: dict[str, Any], status: GameStatus, wholeness: Wholeness) -> None:
    found = board(with_status(type_))
    assert (found.games[0].status, found.wholeness) == (status, wholeness)


def test_a_final_in_which_nobody_scored_was_cancelled() -> None:
    def scored(home: str, away: str) -> dict[str, Any]:
        return {"competitions": [{"competitors": [{"score": home}, {"score": away}]}]}

    found = board(an_event(**scored("0", "0")), an_event("401585602", **scored("99", "91")))
    assert [game.status for game in found.games] == [GameStatus.CANCELLED, GameStatus.FINAL]
    assert found.wholeness is WHOLE


def test_an_event_that_is_twice_on_a_board_counts_once_and_as_final() -> None:
    for events in ([an_event(), with_status(POSTPONED, "401585601")], [with_status(LIVE, "401585601"), an_event()]):
        [game] = board(*events).games
        assert game.status is GameStatus.FINAL
    [game] = board(with_status(SCHEDULED, "401585601"), with_status(LIVE, "401585601")).games
    assert game.status is GameStatus.LIVE


def test_the_status_may_stand_in_the_competition_alone() -> None:
    event = an_event(competitions=[{"status": {"type": LIVE}}])
    del event["status"]
    assert board(event).games[0].status is GameStatus.LIVE


@pytest.mark.parametrize(
    ("season", "name", "season_type"),
    [
        pytest.param(None, "2023-24", "regular", id="none"),
        pytest.param({}, "2023-24", "regular", id="empty"),
        pytest.param({"type": 3}, "2023-24", "playoffs", id="no year"),
        pytest.param({"year": 2204, "type": 3}, "2023-24", "playoffs", id="a year that cannot be"),
        pytest.param({"year": "2024", "type": "3"}, "2023-24", "playoffs", id="as text"),
    ],
)
def test_an_event_that_does_not_say_its_season_is_of_the_one_that_was_on(
    season: Any, name: str, season_type: str
) -> None:
    [game] = board(an_event(season=season)).games
    assert (game.season, game.season_type) == (name, season_type)


def test_a_game_that_may_fall_out_says_so() -> None:
    found = board(an_event(competitions=[{"notes": [{"headline": "East Finals - Game 7 If Necessary"}]}]))
    assert [game.if_necessary for game in found.games] == [True]
    assert [game.if_necessary for game in board(an_event()).games] == [False]


@pytest.mark.parametrize(
    ("entry", "odd"),
    [
        pytest.param(an_event("../../etc"), "../../etc: not an event id", id="odd id"),
        pytest.param({"date": "2024-01-06T00:30Z"}, "entry 2: no id", id="no id"),
        pytest.param(an_event("401585699", date="2024-13-45T00:30Z"), "401585699: date '2024-13-45T00:30Z'", id="date"),
        pytest.param(
            an_event("401585699", status={"type": {"name": "STATUS_X", "state": "x"}}), "401585699: state x", id="state"
        ),
        pytest.param(an_event("401585699", status={}), "401585699: no status", id="no status"),
        pytest.param(None, "entry 2: TypeError: 'NoneType' object is not subscriptable", id="null"),
    ],
)
def test_an_odd_event_is_named_and_spoils_no_other(entry: Any, odd: str) -> None:
    found = board(an_event(), entry, an_event("401585603"))
    assert [game.id for game in found.games] == ["401585601", "401585603"]
    assert (found.wholeness, found.reason) == (PARTIAL, f"1 of 3 entries cannot be read: {odd}")


@pytest.mark.parametrize("status", [POSTPONED, CANCELED])
def test_a_day_whose_only_game_was_called_off_and_got_another_date_is_a_day_off(status: dict[str, Any]) -> None:
    assert board(an_event(date="2024-02-20T00:30Z", status={"type": status})) == Verdict(WHOLE)


def test_an_answer_about_a_moved_game_is_believed_where_the_calendar_has_a_day_off() -> None:
    event = an_event(date="2024-02-20T00:30Z")
    calendar = ("2024-01-04T08:00Z", "2024-01-06T08:00Z", "2024-02-19T08:00Z")
    assert board(event, calendar=calendar) == Verdict(WHOLE)
    for other in ((*calendar, "2024-01-05T08:00Z"), calendar[1:]):
        assert board(event, calendar=other) == bad("the scoreboard of 2024-02-19, not of 2024-01-05")


def test_an_empty_board_of_a_day_with_games_is_evidence_that_there_is_none() -> None:
    found = board(calendar=("2024-01-05T08:00Z",))
    assert found == bad("no events, on a day that has games in its own calendar", Fault.ABSENT)


def test_a_board_counts_the_games_that_are_not_final() -> None:
    found = board(an_event(), with_status(LIVE, "401585602"), with_status(SCHEDULED, "401585603"))
    assert (found.wholeness, found.reason) == (PARTIAL, "2 of 3 games not final")
    assert len(found.games) == 3


@pytest.mark.parametrize(
    ("changes", "season_type"),
    [
        pytest.param({"season": {"year": 2024, "type": 1}}, "preseason", id="preseason"),
        pytest.param({"season": {"year": 2024, "type": 3}}, "playoffs", id="playoffs"),
        pytest.param({"season": {"year": 2024, "type": 5}}, "play-in", id="play-in"),
        pytest.param({"competitions": [{"type": {"abbreviation": "ALLSTAR"}}]}, "all-star", id="all-star"),
    ],
)
def test_season_type(changes: dict[str, Any], season_type: str) -> None:
    assert board(an_event(**changes)).games[0].season_type == season_type


def test_a_game_to_be_timed_has_no_start() -> None:
    assert board(an_event(date="2024-01-05T05:00Z")).games[0].start is None


def test_a_game_in_the_small_hours_is_on_the_board_of_the_day_before() -> None:
    assert len(board(an_event(date="2024-01-06T09:30Z")).games) == 1


def test_games_of_other_days_are_skipped() -> None:
    found = board(an_event(), an_event("401585699", date="2024-01-07T00:30Z"))
    assert [game.id for game in found.games] == ["401585601"]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param(
            [an_event(date="2024-01-07T00:30Z")], "the scoreboard of 2024-01-06, not of 2024-01-05", id="wrong day"
        ),
        pytest.param([an_event(str(401585600 + n)) for n in range(25)], "exactly 25 events", id="cut to 25"),
        pytest.param(
            [an_event("../../etc")], "none of 1 entries can be read: ../../etc: not an event id", id="all odd"
        ),
    ],
)
def test_boards_that_are_bad(events: list[dict[str, Any]], reason: str) -> None:
    found = board(*events)
    assert found.wholeness is BAD
    assert reason in found.reason


NAMES = ["MIN", "PTS"]


def a_team(team: str, *points: int) -> dict[str, Any]:
    """Its box score: a line for each player with these points, and one of a player who did not play."""
    athletes = [{"athlete": {"id": str(n)}, "didNotPlay": False, "stats": ["30", str(p)]} for n, p in enumerate(points)]
    athletes.append({"athlete": {"id": "99"}, "didNotPlay": True, "stats": []})
    return {"team": {"id": team}, "statistics": [{"names": NAMES, "labels": NAMES, "athletes": athletes}]}


HOME = a_team("1", 20, 20, 15, 15, 10, 10, 5, 4)  # 99
AWAY = a_team("2", 20, 20, 15, 10, 10, 10, 6, 0)  # 91


def a_play(period: int, home: int = 0, away: int = 0, kind: str = "92") -> dict[str, Any]:
    return {"type": {"id": kind}, "period": {"number": period}, "homeScore": home, "awayScore": away}


END = a_play(4, 99, 91, "402")
END_OF_PERIOD = a_play(4, 99, 91, "412")
GAME = [a_play(1, 20, 25), a_play(2, 40, 50), a_play(3, 70, 70), a_play(4, 99, 91)]


def a_summary(status: dict[str, Any] = FINAL, **changes: Any) -> dict[str, Any]:
    competitors = [
        {"homeAway": "home", "team": {"id": "1"}, "score": "99"},
        {"homeAway": "away", "team": {"id": "2"}, "score": "91"},
    ]
    competition = {"status": {"type": status}, "competitors": competitors}
    summary = {
        "header": {"id": "401585601", "season": {"year": 2024}, "competitions": [competition]},
        "boxscore": {"players": [HOME, AWAY]},
        "plays": [*GAME, END_OF_PERIOD, END],
    }
    return summary | changes


def judged(summary: dict[str, Any], game_id: str = "401585601", end_year: str = "2024") -> Verdict:
    fields = {"id": game_id, "end_year": end_year}
    return examine(json.dumps(summary).encode(), fields, Check(name="espn.summary"))


@pytest.mark.parametrize(
    "plays",
    [
        pytest.param([*GAME, END_OF_PERIOD, END], id="four quarters"),
        pytest.param([*GAME, END, a_play(4, 99, 91, "584")], id="a play after the end"),
        pytest.param([*GAME, END, END], id="ended twice"),
        pytest.param([END, *reversed(GAME)], id="in the opposite order"),
        pytest.param([*GAME, END_OF_PERIOD], id="no end but that of the period, with the score of the game"),
        pytest.param([*GAME, *(a_play(n, 95, 91) for n in (5, 6, 7)), a_play(8, 99, 91, "402")], id="four overtimes"),
        pytest.param([a_play(1, 41, 32), a_play(1, 41, 32, "402")], id="one period"),
        pytest.param([a_play(1, 41, 32), a_play(2, 99, 91), a_play(2, 99, 91, "402")], id="halves"),
        pytest.param([{"type": {"id": "92"}}, {"type": {"id": "402"}}], id="no periods"),
        pytest.param([{"type": {"id": "92"}, "period": {"number": 1}}, END | {"homeScore": None, "awayScore": None}]),
    ],
)
def test_a_final_told_to_its_end_is_whole(plays: list[dict[str, Any]]) -> None:
    assert judged(a_summary(plays=plays)) == Verdict(WHOLE)


def players(*teams: dict[str, Any]) -> dict[str, Any]:
    return a_summary(boxscore={"players": teams})


def with_totals(team: dict[str, Any], *totals: str) -> dict[str, Any]:
    return team | {"statistics": [team["statistics"][0] | {"totals": totals}]}


@pytest.mark.parametrize(
    ("summary", "reason"),
    [
        pytest.param(a_summary(LIVE), "game not final: in progress", id="in progress"),
        pytest.param(a_summary(SCHEDULED, boxscore={}), "game not final: scheduled", id="scheduled"),
        pytest.param(a_summary(POSTPONED), "game not final: STATUS_POSTPONED", id="postponed"),
        pytest.param(
            a_summary(FINAL | {"completed": False}), "game not final: STATUS_FINAL, but completed is false", id="open"
        ),
        pytest.param(a_summary(SUSPENDED), "game not final: STATUS_SUSPENDED, but completed is false", id="suspended"),
        pytest.param(a_summary(FORFEIT), "game not final: STATUS_FORFEIT", id="forfeited"),
        pytest.param(a_summary(plays=GAME), "plays stop before the end of the game", id="cut plays"),
        pytest.param(
            a_summary(plays=[*GAME, a_play(4, 99, 90, "412")]), "plays stop before the end of the game", id="score"
        ),
        pytest.param(
            a_summary(plays=[*GAME, END_OF_PERIOD, a_play(5, 99, 91, "43")]),
            "plays stop before the end of the game",
            id="plays that stop in overtime for good",
        ),
        pytest.param(a_summary(plays=[]), "final, but without plays", id="no plays"),
        pytest.param(a_summary(plays=None), "final, but without plays", id="null for plays"),
        pytest.param(
            players({"statistics": [{"athletes": []}]}), "0 of 2 teams have players in the box score", id="no players"
        ),
        pytest.param(a_summary(boxscore={}), "0 of 2 teams have players in the box score", id="no box score"),
        pytest.param(a_summary(boxscore=None), "0 of 2 teams have players in the box score", id="null for it"),
        pytest.param(players(HOME), "1 of 2 teams have players in the box score", id="one team"),
        pytest.param(players(HOME, a_team("2", 91)), "hollow: 1 players of a team have played", id="one player"),
        pytest.param(
            players(HOME, a_team("2", 20, 20, 15, 10, 10, 10)),
            "hollow: the players of a team have 85 of its 91 points",
            id="players are missing",
        ),
        pytest.param(
            players(HOME, with_totals(AWAY, "270", "91")),
            "hollow: the players of a team have 240 of its 270 minutes",
            id="minutes are missing",
        ),
        pytest.param(
            players(HOME, with_totals(AWAY | {"team": {}}, "", "92")),
            "hollow: the players of a team have 91 of its 92 points",
            id="by the totals",
        ),
        pytest.param(a_summary(plays=[END]), "hollow: no play but the end of the game", id="only the last play"),
        pytest.param(
            a_summary(plays=[GAME[3], END]), "hollow: no play in period 1 of 4", id="only the plays of the last period"
        ),
        pytest.param(
            a_summary(plays=[GAME[0], GAME[1], GAME[3], END]), "hollow: no play in period 3 of 4", id="a period"
        ),
        pytest.param(a_summary(plays=[GAME[0], END]), "hollow: no play in period 2 of 4", id="only the first period"),
    ],
)
def test_summaries_that_are_not_whole(summary: dict[str, Any], reason: str) -> None:
    assert judged(summary) == unfinished(reason)


@pytest.mark.parametrize(
    ("summary", "reason", "fault"),
    [
        pytest.param(a_summary(header={}), "no game header", Fault.UNFIT, id="no header"),
        pytest.param(
            a_summary(boxscore={}, plays=[]), "final, with neither players nor plays", Fault.ABSENT, id="empty"
        ),
        pytest.param({"code": 404, "message": "not found"}, "error body 404: not found", Fault.ABSENT, id="error body"),
    ],
)
def test_summaries_that_are_bad(summary: dict[str, Any], reason: str, fault: Fault) -> None:
    assert judged(summary) == bad(reason, fault)


def test_totals_that_say_nothing_are_no_totals() -> None:
    assert judged(players(with_totals(HOME, "", "99"), with_totals(AWAY, "", "91"))).wholeness is WHOLE


def test_another_game_is_bad() -> None:
    assert judged(a_summary(), game_id="401585699") == bad("game 401585601, not 401585699")


def test_old_finals_need_no_plays_but_their_players() -> None:
    assert judged(a_summary(plays=[]), end_year="2002").wholeness is WHOLE
    assert judged(a_summary(plays=[], boxscore={"players": [HOME]}), end_year="2002").wholeness is PARTIAL
