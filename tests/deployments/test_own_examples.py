"""Do the examples of config/README.md work: one's own files, datasets and scripts? They are run from its text."""

import json
import logging
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from config.load import ConfigError, load_config
from deployments.sandbox.league import League
from deployments.sandbox.process import SandboxProcess
from deployments.sandbox.sites import answer
from tasks.upstream import commands

PAGE = Path(__file__).parents[2] / "config/README.md"
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
Adce = Callable[..., Result]


class Example:
    """A section of the page: its files, which name themselves in a comment, and its commands."""

    def __init__(self, heading: str):
        _, _, rest = PAGE.read_text().partition(f"\n## {heading}\n")
        assert rest, heading
        section = rest.partition("\n## ")[0]
        blocks: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```", section, re.S | re.M)
        named = [(re.match(r"# ([\w/.]+\.(?:yaml|py))\n", text), text) for _, text in blocks]
        self.files = {name[1]: text for name, text in named if name}
        lines = [line for kind, text in blocks if kind == "sh" for line in text.splitlines()]
        self.commands = [shlex.split(line, comments=True) for line in lines]
        self.output = [text for kind, text in blocks if kind == "text"]

    def write(self, folder: Path) -> None:
        for name, text in self.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)


@pytest.fixture
def here(adce_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which somebody types the commands. The sites are the sandbox, at rates that save seconds."""
    monkeypatch.chdir(adce_home)
    monkeypatch.delenv("ADCE_LAKE")
    monkeypatch.delenv("ADCE_LEDGER")
    for source in ("ESPN", "NBA_API", "BASKETBALL_REFERENCE"):
        monkeypatch.setenv(f"ADCE_SOURCES__{source}__RATES", "[{requests: 50, seconds: 1}]")
    return adce_home


def test_files_with_other_names_are_adopted_and_only_what_lacks_is_fetched(
    adce: Adce, prefect_api: None, sites: SandboxProcess, here: Path
) -> None:
    example = Example("Files you already have")
    example.write(here)

    def stored(path: str, body: bytes) -> Path:
        file = here / "data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        return file

    def body(path: str) -> bytes:
        return answer(League(), "espn", path, NOW).body

    boards = {day: body(f"/scoreboard?dates=202601{day}") for day in (13, 14)}
    games = [event["id"] for board in boards.values() for event in json.loads(board)["events"]]
    good = [stored(f"espn/boards/2026-01-{day}.json", board) for day, board in boards.items()]
    good += [stored(f"espn/games/2025-26/{game}.json", body(f"/summary?event={game}")) for game in games[3:]]
    blocked = stored(f"espn/games/2025-26/{games[1]}.json", b"<html><title>Access Denied</title></html>".ljust(2000))
    other = stored(f"espn/games/2025-26/{games[2]}.json", body(f"/summary?event={games[3]}"))
    good.append(stored("espn/games/notes.txt", b"mine"))
    before = [file.stat().st_mtime_ns for file in good]

    plan, reconcile = example.commands
    first = json.loads(adce(*plan[1:], "--json").stdout)
    cells = first["cells"]
    assert (cells["present"], cells["gap"], cells["total"]) == (len(good) - 1, 3, len(good) + 2)
    assert sorted(fill["kind"] for fill in first["fills"]) == ["invalid", "missing"]
    sites.clear_requests()
    done = adce(*reconcile[1:], "--json")
    assert done.exit_code == 0, done.output
    assert sorted(request["url"] for request in sites.requests()) == sorted(f"/summary?event={id}" for id in games[:3])
    assert [file.stat().st_mtime_ns for file in good] == before
    assert json.loads(other.read_bytes())["header"]["id"] == games[2]
    assert json.loads(blocked.read_bytes())["header"]["id"] == games[1]
    assert not (here / "data/_history").exists(), "no copy is kept of what was not the document"


def test_a_dataset_of_one_s_own_is_tried_against_the_sandbox(adce: Adce, prefect_api: None, here: Path) -> None:
    example = Example("A dataset of your own")
    example.write(here)
    [command] = example.commands
    done = adce(*command[1:], "--json")
    assert done.exit_code == 0, done.output
    lake = here / ".adce/sandbox/lake"
    usage = sorted((lake / "my/usage").iterdir())
    assert [json.loads(file.read_bytes())["game"]["gameId"] for file in usage] == [file.stem for file in usage]
    assert len(usage) > 1
    assert b"Ann" in (lake / "my/per_game/2025-26.html").read_bytes()
    assert len(json.loads(done.stdout)["filled"]) == len(usage) + 2, "and the schedule of the season"


def test_a_script_is_run_as_its_declaration_says(
    adce: Adce, prefect_api: None, here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    example = Example("Scripts you already have")
    example.write(here)
    script = example.files["scripts/scrape_plays.py"]
    assert len(script.splitlines()) <= 20
    [command] = example.commands
    with caplog.at_level(logging.INFO, logger=commands.__name__):
        done = adce(*command[1:], "--json")
    assert done.exit_code == 0, done.output
    files = sorted((here / ".adce/sandbox/lake/my/plays").iterdir())
    assert len(files) == 6, "as many as the page says"
    for file in files:
        document = json.loads(file.read_bytes())
        assert (document["game"], len(document["plays"]) > 100) == (file.stem, True)
    shown = re.sub(r"\d+(\\\.\d)?", lambda number: r"[\d.]+", re.escape(example.output[0].strip()))
    assert re.search(shown, caplog.text)


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("must_have: [game.pace]", "musthave: [a]", "nba_usage.check.musthave: no such setting; did you mean "),
        ("my/usage/{id}", "my/usage/{date}", "nba_usage: 'my/usage/{date}.json' is the same for every game; it must"),
        ("my/per_game/{season}.html", "my/usage/{id}.json", "br_per_game: 'my/usage/{id}.json' names id; allowed per "),
        ("my/usage/{id}", "espn_box_scores/{id}", "nba_usage.keys: 'espn_box_scores/{id}.json' is already a key of "),
        (
            "GameID={id}",
            "GameID={game}",
            "nba_usage: '/boxscoreusagev3?GameID={game}&StartPeriod=0&EndPeriod=0' ",
        ),
        ("nba_schedule", "br_schedule", "nba_usage.schedule: 'br_schedule' does not list games of nba_api; datasets"),
    ],
)
def test_a_mistake_in_the_dataset_is_one_line(tmp_path: Path, right: str, wrong: str, line: str) -> None:
    text = Example("A dataset of your own").files["my.yaml"]
    assert right in text
    (tmp_path / "my.yaml").write_text(text.replace(right, wrong))
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "my.yaml", env={})
    [said] = caught.value.lines
    assert said.startswith(f"{tmp_path / 'my.yaml'}: datasets.{line}")


def test_the_sandbox_refuses_routes_without_it_and_wrong_ones_in_a_line(adce: Adce, here: Path) -> None:
    def said(*options: str) -> Any:
        result = adce("reconcile", *options)
        return result.exit_code, result.stderr.splitlines()[-1]

    assert said("--routes", "routes.yaml") == (
        2,
        "adce: --routes: it is for --sandbox, whose stand-in gives these answers",
    )
    assert said("--sandbox", "--routes", "routes.yaml") == (
        2,
        "adce: --routes routes.yaml: cannot be read: No such file or directory",
    )
