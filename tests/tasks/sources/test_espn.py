"""What do the checks make of ESPN's answers? A valid answer plus one change each."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from config.models import Check
from tasks.domain.games import Game, GameStatus
from tasks.domain.verdicts import Fault, Verdict, Wholeness, bad, unfinished
from tasks.sources.checks import examine

WHOLE, PARTIAL, BAD = Wholeness.WHOLE, Wholeness.PARTIAL, Wholeness.BAD

FINAL = {"name": "STATUS_FINAL", "state": "post", "completed": True}
SCHEDULED = {"name": "STATUS_SCHEDULED", "state": "pre", "completed": False}
LIVE = {"name": "STATUS_IN_PROGRESS", "state": "in", "completed": False}
POSTPONED = {"name": "STATUS_POSTPONED", "state": "post", "completed": False}
CANCELED = {"name": "STATUS_CANCELED", "state": "post", "completed": False}
SUSPENDED = {"name": "STATUS_SUSPENDED", "state": "post", "completed": False}


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


def board(*events: dict[str, Any]) -> Verdict:
    body = json.dumps({"leagues": [], "events": events}).encode()
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
    ],
)
def test_status_of_a_game(type_: dict[str, Any], status: GameStatus, wholeness: Wholeness) -> None:
    found = board(with_status(type_))
    assert (found.games[0].status, found.wholeness) == (status, wholeness)


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
            [an_event(date="2024-01-07T00:30Z")], "the board of 2024-01-06, not of 2024-01-05", id="wrong day"
        ),
        pytest.param([an_event(str(401585600 + n)) for n in range(25)], "exactly 25 events", id="cut to 25"),
        pytest.param([an_event("../../etc")], "not an event id", id="no event id"),
    ],
)
def test_boards_that_are_bad(events: list[dict[str, Any]], reason: str) -> None:
    found = board(*events)
    assert found.wholeness is BAD
    assert reason in found.reason


def a_summary(status: dict[str, Any] = FINAL, **changes: Any) -> dict[str, Any]:
    team = {"statistics": [{"athletes": [{"athlete": {"id": "1"}}]}]}
    summary = {
        "header": {"id": "401585601", "season": {"year": 2024}, "competitions": [{"status": {"type": status}}]},
        "boxscore": {"players": [team, team]},
        "plays": [{"type": {"id": "584"}}, {"type": {"id": "402"}}],
    }
    return summary | changes


def judged(summary: dict[str, Any], game_id: str = "401585601", end_year: str = "2024") -> Verdict:
    fields = {"id": game_id, "end_year": end_year}
    return examine(json.dumps(summary).encode(), fields, Check(name="espn.summary"))


def test_a_final_told_to_its_end_is_whole() -> None:
    assert judged(a_summary()) == Verdict(WHOLE)


@pytest.mark.parametrize(
    ("summary", "wholeness", "reason"),
    [
        pytest.param(a_summary(LIVE), PARTIAL, "game not final: in progress", id="in progress"),
        pytest.param(a_summary(SCHEDULED, boxscore={}), PARTIAL, "game not final: scheduled", id="scheduled"),
        pytest.param(a_summary(POSTPONED), PARTIAL, "game not final: STATUS_POSTPONED", id="postponed"),
        pytest.param(
            a_summary(plays=[{"type": {"id": "584"}}]), PARTIAL, "plays stop before the end of the game", id="cut plays"
        ),
        pytest.param(a_summary(plays=[]), PARTIAL, "final, but without plays", id="no plays"),
        pytest.param(
            a_summary(boxscore={"players": [{"statistics": [{"athletes": []}]}] * 2}),
            BAD,
            "0 of 2 teams have players in the box score",
            id="no players",
        ),
        pytest.param(a_summary(boxscore={}), BAD, "0 of 2 teams have players in the box score", id="no box score"),
        pytest.param(a_summary(header={}), BAD, "no game header", id="no header"),
        pytest.param({"code": 404, "message": "not found"}, BAD, "error body 404: not found", id="error body"),
    ],
)
def test_summaries_that_are_not_whole(summary: dict[str, Any], wholeness: Wholeness, reason: str) -> None:
    right = bad(reason, Fault.ABSENT if "404" in reason else Fault.UNFIT) if wholeness is BAD else unfinished(reason)
    assert judged(summary) == right


def test_another_game_is_bad() -> None:
    assert judged(a_summary(), game_id="401585699") == bad("game 401585601, not 401585699")


def test_old_finals_need_no_plays() -> None:
    assert judged(a_summary(plays=[]), end_year="2002").wholeness is WHOLE
