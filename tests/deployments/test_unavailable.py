"""What an operator may take out: never by a slip, never what is there, and never without its being named."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

AS_OF = ["--as-of", "2026-01-15T12:00:00Z"]
SPAN = [*AS_OF, "--source", "espn", "--since", "2026-01-13", "--until", "2026-01-14"]
NOTE = ["--note", "lost for ever"]
Adce = Callable[..., Result]


@pytest.fixture
def games(adce: Adce, run_reconcile: Callable[..., object], adce_home: Path) -> list[str]:
    """The games of a lake that is whole but for the box scores of the first two."""
    run_reconcile(sources=["espn"])
    boxes = sorted((adce_home / "lake/espn_box_scores").iterdir())
    for box in boxes[:2]:
        box.unlink()
    return [box.stem for box in boxes]


def _marked(adce: Adce) -> list[str]:
    rows = json.loads(adce("unavailable", "list", "--json").stdout)["unavailable"]
    return [row["key"].removeprefix("espn_box_scores/").removesuffix(".json") for row in rows]


def test_a_file_that_is_there_is_not_marked(adce: Adce, games: list[str]) -> None:
    key = f"espn_box_scores/{games[2]}.json"
    result = adce("unavailable", "add", key, *NOTE)
    assert (result.exit_code, result.stderr) == (2, f"adce: {key} is in the lake: it is not marked\n")
    assert _marked(adce) == []
    result = adce("unavailable", "add", key, f"espn_box_scores/{games[0]}.json", *NOTE)
    assert result.exit_code == 0
    assert f"{key} is in the lake: it is not marked" in result.stderr
    assert _marked(adce) == games[:1]


@pytest.mark.parametrize(
    ("text", "there"),
    [
        pytest.param("espn_box_scores/*", "more are in the lake: they are not marked", id="pattern"),
        pytest.param("2026-01-13", "more are in the lake: they are not marked", id="date"),
        pytest.param("{game}", "and 1 more are in the lake: they are not marked", id="game"),
    ],
)
def test_of_more_than_a_key_it_says_what_it_would_mark_and_marks_nothing_where_nobody_can_be_asked(
    adce: Adce, games: list[str], text: str, there: str
) -> None:
    add = ["unavailable", "add", text.format(game=games[0]), *NOTE]
    result = adce(*add)
    assert result.exit_code == 2
    assert f" of espn_summary: espn_box_scores/{games[0]}.json" in result.stderr
    assert there in result.stderr
    assert result.stderr.endswith(
        "adce: nothing is marked: there is no terminal to ask in; if the list above is right, add --yes\n"
    )
    assert _marked(adce) == []
    result = adce(*add, "--yes")
    assert result.exit_code == 0
    assert set(_marked(adce)) <= set(games[:2])
    assert games[0] in _marked(adce)


@pytest.mark.parametrize(("answer", "status", "count"), [("y", 0, 2), ("n", 2, 0), ("", 2, 0)])
def test_at_a_terminal_it_asks(adce: Adce, games: list[str], answer: str, status: int, count: int) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "deployments", "unavailable", "add", "espn_box_scores/*", *NOTE]
    with os.fdopen(ours, "wb", buffering=0) as keyboard:
        process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        os.close(theirs)
        keyboard.write(f"{answer}\n".encode())
        _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert "2 files of espn_summary" in said
    assert "Mark these files as unavailable until" in said
    assert len(_marked(adce)) == count


def test_of_a_schedule_it_says_that_its_games_are_expected_no_more(
    adce: Adce, games: list[str], adce_home: Path
) -> None:
    (adce_home / "lake/espn_schedules/20260113.json").unlink()
    result = adce("unavailable", "add", "espn_schedules/2026011[34].json", *NOTE)
    assert "no game that they would list is expected" in result.stderr


def test_what_was_taken_out_is_named_in_every_total(adce: Adce, games: list[str], tmp_path: Path) -> None:
    adce("unavailable", "add", "espn_box_scores/*", *NOTE, "--yes")
    shown = " ".join(adce("plan", *SPAN).stdout.split())
    assert shown.startswith("Complete: 18 of 20 files, 2 unavailable (2 set by an operator) · nothing to do ")
    assert "Unavailable: 2 files set by an operator: lost for ever" in shown
    document = json.loads(adce("plan", "--json", *SPAN).stdout)
    assert (document["cells"]["unavailable"], document["by_operator"]) == (2, 2)
    pictures = ["--svg", str(tmp_path / "c.svg"), "--html", str(tmp_path / "c.html")]
    cover = adce("coverage", *SPAN, *pictures, "--json")
    assert json.loads(cover.stdout)["total"]["by_operator"] == 2
    told = "2 unavailable (2 set by an operator)"
    for text in (adce("coverage", *SPAN).stdout, *((tmp_path / name).read_text() for name in ("c.svg", "c.html"))):
        assert told in text
