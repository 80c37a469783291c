"""Can everything that the demonstration shows be typed, and does it look at the same lake?"""

import asyncio
import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from blocks.store import Store
from config.load import load_config
from deployments.sandbox import demo
from tasks.domain.errors import AdceError


@pytest.fixture
def typed(
    prefect_api: None, adce: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Result]:
    """Runs a command in a new folder as it is typed in a shell that has no variables but for quicker rates."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ADCE_")]:
        monkeypatch.delenv(name)
    for source in ("NBA_API", "BASKETBALL_REFERENCE"):
        monkeypatch.setenv(f"ADCE_SOURCES__{source}__RATES", "[{requests: 20, seconds: 1}]")

    def run(command: str) -> Result:
        program, *arguments = shlex.split(command)
        assert Path(program).name == "adce", command
        return adce(*arguments)

    return run


def _commands(text: str) -> dict[str, str]:
    """The commands of adce that the text shows, by their first word."""
    shown = [line.removeprefix("  $ ") for line in text.splitlines() if line.startswith("  $ ")]
    return {shlex.split(line)[1]: line for line in shown}


def test_what_the_demonstration_shows_can_be_typed_and_looks_at_the_same_lake(
    typed: Callable[[str], Result], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[Result] = []

    def run(argv: list[str]) -> int:
        ran.append(typed(shlex.join(argv)))
        return ran[-1].exit_code

    assert demo.main(run) == 0, ran[-1].output
    said = capsys.readouterr().out
    assert "68" in ran[0].stdout
    assert "74 files stored, 0 failed" in ran[1].stdout
    assert "became due in the same run (espn_summary of 2026-01-14)" in said
    commands = _commands(said)
    assert list(commands) == ["plan", "reconcile", "why", "coverage", "ui", "init", "up"]
    told = ran[1].stderr.splitlines()[-1].removeprefix("to look at this lake: ")
    head = (tmp_path / ".adce/adce.yaml").read_text().partition("games: ")[2].splitlines()[0]
    for look in (commands["plan"], told, head):
        cells = json.loads(typed(f"{look} --json").stdout)["cells"]
        assert (cells["total"], cells["present"], cells["not_due"]) == (262, 260, 2)
    why = typed(commands["why"])
    assert (why.exit_code, "present" in why.stdout, "stored" in why.stdout) == (0, True, True), why.output
    assert typed(commands["coverage"]).exit_code == 0
    assert (tmp_path / ".adce/coverage.html").stat().st_size > 1000
    plan = subprocess.run(commands["plan"], shell=True, capture_output=True, text=True, check=True)
    assert "nothing to do" in plan.stdout.lower(), "typed in a real shell"
    assert demo.main(run) == 0, "a second time"
    for status in (130, 2):  # Ctrl-C in the first command, and an error
        with pytest.raises(SystemExit, match=f"{status}"):
            demo.main(lambda _, status=status: status)  # type: ignore[misc]
    assert "nothing to do" in ran[-1].stdout.lower()
    assert "To see it fetch again, delete files under .adce/lake" in capsys.readouterr().out


def test_a_lake_of_settings_that_collect_less_has_fewer_broken_files_and_none_without_any_file(tmp_path: Path) -> None:
    lake = Store((tmp_path / "lake").as_uri())
    nothing = load_config(env={"ADCE_COLLECT__SINCE": "2026-11-01"})
    with pytest.raises(AdceError, match="its games are of 2026-01-05 to 2026-01-14, and the settings collect none of"):
        asyncio.run(demo.make_lake(nothing, lake))
    assert not (tmp_path / "lake").exists()
    boards = load_config(env={"ADCE_COLLECT__DATASETS": "[espn_scoreboard]"})
    asyncio.run(demo.make_lake(boards, lake))
    files = [path.name for path in (tmp_path / "lake" / "espn_schedules").iterdir()]
    assert "20260114.json" in files, "a file that is taken too early, and broken so"


def test_the_prefect_ui_can_have_another_port() -> None:
    root = Path(demo.__file__).parents[2]
    shown = subprocess.run(["make", "-n", "ui", "PORT=4201"], cwd=root, capture_output=True, text=True, check=True)
    assert "prefect server start --port 4201\n" in shown.stdout


def test_a_command_leaves_out_the_variables_that_would_mislead_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADCE_LAKE", "ADCE_LEDGER", "PREFECT_API_URL", "PREFECT_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert demo.line("plan").endswith("adce plan")
    assert not demo.line("plan").startswith("env")
    monkeypatch.setenv("ADCE_LAKE", "/mine")
    monkeypatch.setenv("PREFECT_API_URL", "http://mine")
    assert demo.line("plan").startswith("env -u ADCE_LAKE -u PREFECT_API_URL ")
