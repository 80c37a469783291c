"""Does `adce init` begin a lake: with questions at a terminal, with options elsewhere, and with no mistake unsaid?"""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from config.load import load_config
from deployments.cli.init import settings_text, write_settings
from tasks.domain.errors import LedgerError
from tasks.domain.lakes import KnownLake, LakeKind
from tasks.ledger import Ledger
from tasks.ledger.database import check_writable

ADCE = str(Path(sys.executable).with_name("adce"))


@pytest.fixture
def init(adce: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `adce init` in an empty folder, without variables."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ADCE_")]:
        monkeypatch.delenv(name)
    return lambda *arguments: adce("init", *arguments)


def test_options_become_a_file_and_the_plan_with_its_cost_is_shown(
    init: Callable[..., Any], adce: Callable[..., Any], tmp_path: Path
) -> None:
    done = init("--since", "2025-26", "--source", "espn", "--lake", "./my lake")
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["adce.yaml"], "the probes leave nothing behind"
    config = load_config()
    assert (config.lake, config.ledger) == ((tmp_path / "my lake").as_uri(), f"sqlite:///{tmp_path}/adce.db")
    assert (config.collect.since, config.collect.sources) == ("2025-26", ["espn"])
    assert "espn_scoreboard" in done.stdout
    assert "not listed yet (estimate)" in done.stdout
    assert "  $ adce reconcile " in done.stdout.replace(ADCE, "adce")
    assert adce("config", "show", "collect").stderr == "adce: the settings are those of ./adce.yaml\n"
    again = init("--yes")
    assert (again.exit_code, again.stderr.count("\n"), "--force replaces it" in again.stderr) == (2, 1, True)
    assert init("--yes", "--force", "--since", "all").exit_code == 0
    assert (load_config().collect.since, load_config().collect.sources) == (None, [])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--lake", "ftp://x"], "--lake: not the address of a lake; write it as"),
        (["--ledger", "mysql://x"], "--ledger: not the address of a ledger; write it as"),
        (["--since", "2015"], "--since 2015: the beginning is a season, written as 2015-16, or a day"),
        (["--since", "1950-51"], "adce.yaml: collect.since: 1950-51 is too early"),
        (["--since", "2090-91"], "; the first season is 2090-91"),
        (["--source", "espm"], "--source espm: no such source; did you mean espn?"),
        (["--lake", "file/lake"], "/file is a file, not a folder"),
        (["--ledger", "none/adce.db"], "/none; make it"),
        (["--ledger", "."], "it is a folder; name a file in it, such as adce.db"),
        (["--ledger", "file"], "file is not a database; move the file aside"),
        (["--config", "none/adce.yaml"], "none/adce.yaml: cannot be written: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    init: Callable[..., Any], tmp_path: Path, arguments: list[str], line: str
) -> None:
    (tmp_path / "file").write_text("not a database" * 500)
    done = init(*arguments)
    assert (done.exit_code, done.stderr.count("\n"), line in done.stderr) == (2, 1, True), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_file_stays_as_it_was_if_the_ledger_belongs_to_another_lake(
    init: Callable[..., Any], tmp_path: Path
) -> None:
    assert init("--yes").exit_code == 0
    before = (tmp_path / "adce.yaml").read_text()
    with closing(Ledger(f"sqlite:///{tmp_path}/adce.db")) as ledger:
        ledger.identity.remember(KnownLake("1", LakeKind.REAL, (tmp_path / "lake").as_uri()))
    done = init("--yes", "--force", "--lake", "./my lake", "--since", "all")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "belongs to lake" in done.stderr
    assert "or the option --ledger another.db" in done.stderr
    assert (tmp_path / "adce.yaml").read_text() == before


def test_at_a_terminal_it_asks_and_asks_again_after_a_mistake(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ADCE_")}
    ours, its = pty.openpty()
    os.write(ours, b"ftp://x\n/proc/lake\nlake\n./lake\n2015\n\n2025-26\nespm\nespn, nba_api\n")
    done = subprocess.run(
        [ADCE, "init"],
        cwd=tmp_path,
        env=environment,
        stdin=its,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(its)
    os.close(ours)
    assert done.returncode == 0, done.stderr
    assert "Error: not the address of a lake; write it as" in done.stderr
    assert "Error: lake file:///proc/lake: its folder cannot be made" in done.stderr
    assert "Error: ./lake: is the folder of the lake; name a file" in done.stderr
    assert "Error: 2015: is no path; seasons are asked for below (or write it as ./2015)" in done.stderr
    assert "Error: espm: no such source; did you mean espn?" in done.stderr
    config = load_config(tmp_path / "adce.yaml", {})
    assert (config.lake, config.ledger) == ((tmp_path / "lake").as_uri(), f"sqlite:///{tmp_path}/adce.db")
    assert (config.collect.since, config.collect.sources) == ("2025-26", ["espn", "nba_api"])


@pytest.mark.parametrize(
    ("lake", "since", "sources"),
    [("s3://b/x", "all", "all"), ("./a: b # c", "2015-10-27", "espn, nba_api"), ("~/x", "2015-16", "all")],
)
def test_the_file_is_valid_whatever_is_answered(tmp_path: Path, lake: str, since: str, sources: str) -> None:
    (tmp_path / "adce.yaml").write_text(settings_text(lake, "postgresql://me:a#b@h/adce", since, sources))
    config = load_config(tmp_path / "adce.yaml", {})
    assert config.ledger == "postgresql://me:a#b@h/adce"
    assert str(config.collect.since) == ("None" if since == "all" else since)
    assert config.collect.sources == ([] if sources == "all" else ["espn", "nba_api"])


def test_a_file_with_a_password_is_private_whatever_an_init_that_was_killed_has_left(tmp_path: Path) -> None:
    left = tmp_path / ".adce.yaml.new"
    left.touch(0o644)
    text = settings_text("./lake", "postgresql://me:a#b@h/adce", "all", "all")
    write_settings(tmp_path / "adce.yaml", text, is_private=True)
    assert (tmp_path / "adce.yaml").stat().st_mode & 0o777 == 0o600
    assert not left.exists()


def test_a_ledger_that_is_there_stays_as_it_is_when_it_is_probed(tmp_path: Path) -> None:
    file = tmp_path / "adce.db"
    check_writable(f"sqlite:///{file}")
    assert not file.exists()
    file.touch()
    check_writable(f"sqlite:///{file}")
    assert file.read_bytes() == b""
    file.write_text("junk" * 1000)
    with pytest.raises(LedgerError, match="file is not a database"):
        check_writable(f"sqlite:///{file}")
    assert list(tmp_path.iterdir()) == [file]
