"""`adce check`: what would become of a body under a key?"""

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.cli.files import key_of_path
from tasks.sources.ids import season_of_game
from tests.builders import a_config

BOARD = "espn_schedules/20240105.json"


def an_event(**status: Any) -> dict[str, Any]:
    status = {"name": "STATUS_FINAL", "state": "post", "completed": True} | status
    return {
        "id": "401585601",
        "date": "2024-01-06T00:30Z",
        "season": {"year": 2024, "type": 2},
        "status": {"type": status},
        "competitions": [{"type": {"abbreviation": "STD"}}],
    }


@pytest.fixture
def checked(adce: Any, tmp_path: Path) -> Any:
    """The JSON answer about a body under a key, and the exit status."""

    def check(key: str, body: Any, *options: str) -> tuple[dict[str, Any], int]:
        file = tmp_path / "body"
        file.write_text(body if isinstance(body, str) else json.dumps(body))
        result = adce("check", key, str(file), "--json", *options)
        return json.loads(result.stdout), result.exit_code

    return check


def test_a_good_board_would_be_stored_and_its_games_are_told(checked: Any) -> None:
    found, status = checked(BOARD, {"events": [an_event()], "leagues": []})
    assert (found["answer"], found["wholeness"], status) == ("stored", "whole", 0)
    assert found["games"] == {"401585601": "final"}


def test_a_board_taken_on_its_own_day_is_partial(checked: Any) -> None:
    board = {"events": [an_event()], "leagues": []}
    found, _ = checked(BOARD, board, "--taken", "2024-01-05T22:00:00Z")
    assert (found["answer"], found["wholeness"]) == ("stored", "partial")


@pytest.mark.parametrize(
    ("key", "body", "answer"),
    [
        pytest.param(BOARD, "{}", "bad", id="empty"),
        pytest.param(BOARD, '{"events": [', "heals", id="cut off"),
        pytest.param(BOARD, '{"code": 404, "message": "none"}', "absent", id="the site's own 404"),
        pytest.param(BOARD, "<html><title>Access Denied</title></html>", "refused", id="a wall"),
        pytest.param(BOARD, {"events": [], "leagues": []}, "bad", id="fewer bytes than any board has"),
    ],
)
def test_what_would_not_be_stored(checked: Any, key: str, body: Any, answer: str) -> None:
    found, status = checked(key, body)
    assert (found["answer"], status) == (answer, 1)
    assert found["reason"]


def test_the_object_in_the_lake_is_checked_where_no_file_is_named(adce: Any, adce_home: Path) -> None:
    lake = adce_home / "lake" / BOARD
    lake.parent.mkdir(parents=True)
    lake.write_text(json.dumps({"events": [an_event()], "leagues": []}))
    result = adce("check", BOARD)
    assert result.exit_code == 0
    assert "stored; whole" in result.stdout
    assert adce("check", str(lake)).stdout == result.stdout, "its path stands for its key"
    assert "1 game: 1 final" in result.stdout


def test_a_block_page_says_what_would_follow_from_it(adce: Any, tmp_path: Path) -> None:
    (tmp_path / "body").write_text("<html><title>Access Denied</title></html>")
    result = adce("check", BOARD, str(tmp_path / "body"))
    assert "refused (the source would be paused); " in result.stdout


def test_what_a_body_lacks_and_what_follows_from_that_is_told(adce: Any, tmp_path: Path) -> None:
    status = {"name": "STATUS_FINAL", "state": "post", "completed": False}
    header = {"id": "401585601", "competitions": [{"status": {"type": status}}]}
    (tmp_path / "body").write_text(json.dumps({"header": header, "padding": "x" * 100_000}))
    result = adce("check", "espn_box_scores/401585601.json", str(tmp_path / "body"))
    assert result.stdout.splitlines()[1] == (
        "absent (a look that found no whole file); partial: game not final: STATUS_FINAL, but completed is false"
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(["nowhere/1.json"], "adce: no dataset has a key 'nowhere/1.json'", id="key"),
        pytest.param([BOARD, "no-such-file"], "adce: no-such-file: cannot be read: No such file", id="file"),
        pytest.param(
            ["espn_schedules/20240199.json", "x"],
            "has the shape of espn_scoreboard, but there is no such day",
            id="day",
        ),
        pytest.param(
            ["basketball_reference/schedules/2024/smarch.html", "x"], "there is no such day, month", id="month"
        ),
        pytest.param([BOARD, "--taken", "noon"], "adce: --taken noon: not a time", id="taken"),
        pytest.param([BOARD], "cannot be read at", id="not in the lake"),
    ],
)
def test_mistakes_are_answered_in_a_line(adce: Any, arguments: list[str], line: str) -> None:
    result = adce("check", *arguments)
    assert result.exit_code == 2
    assert line in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "game", "body", "season"),
    [
        ("espn", "221030020", b"", "2002-03"),
        ("espn", "401585601", b'{"header": {"season": {"year": 2024}}}', "2023-24"),
        ("espn", "401585601", b"<html>", None),
        ("nba_api", "0020300778", b"", "2003-04"),
        ("nba_api", "0029600001", b"", "1996-97"),
        ("basketball_reference", "202401050BOS", b"", "2023-24"),
        ("somebody", "1", b"{}", None),
    ],
)
def test_the_season_of_a_game_is_that_of_its_id_or_its_document(
    source: str, game: str, body: bytes, season: str | None
) -> None:
    assert season_of_game(source, game, body) == season


@pytest.mark.parametrize(
    ("folder", "text", "key"),
    [
        (".", f"lake/{BOARD}", BOARD),
        (".", "{lake}/" + BOARD, BOARD),
        (".", f"./away/../lake/{BOARD}", BOARD),
        ("lake/espn_schedules", "20240105.json", BOARD),
        ("lake/espn_schedules", "401585601", "401585601"),
        ("lake/espn_schedules", BOARD, BOARD),
        (".", f"elsewhere/{BOARD}", f"elsewhere/{BOARD}"),
        (".", "lake/espn_schedules", "lake/espn_schedules"),
        (".", "lake/espn_schedules/readme.md", "espn_schedules/readme.md"),
    ],
)
def test_a_path_in_the_lake_stands_for_its_key_though_the_file_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, text: str, key: str
) -> None:
    """A game's id, or a key, that is typed in a folder of the lake is itself, and a file that is there has its key."""
    lake = tmp_path / "lake"
    (lake / "espn_schedules").mkdir(parents=True)
    (lake / "espn_schedules/readme.md").touch()
    monkeypatch.chdir(tmp_path / folder)
    assert key_of_path(a_config(lake=lake.as_uri()), text.format(lake=lake)) == key
