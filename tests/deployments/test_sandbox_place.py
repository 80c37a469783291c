"""Is what the sandbox makes kept apart from what is real?"""

import asyncio
import json
import os
import shlex
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from blocks.store import Store
from config.load import load_config
from deployments.cli.options import Places
from deployments.cli.place import ledger_of
from deployments.cli.sandbox import use_sandbox
from tasks.domain.lakes import MARK_KEY, LakeKind, mark_from
from tasks.ledger import Ledger
from tasks.observe.identity import check_pairing, write_mark
from tests import forks
from tests.servers import empty_database

SPAN = ["--since", "2026-01-13", "--until", "2026-01-14", "--as-of", "2026-01-15T12:00:00Z"]
BOARDS = ["--dataset", "espn_scoreboard", *SPAN]


@pytest.fixture
def somebody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command as somebody does who has set nothing, in a folder of their own."""
    for name in [name for name in os.environ if name.startswith(("ADCE_", "AWS_", "PREFECT_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "prefect"
    home.mkdir()
    shutil.copy(empty_database(), home)

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return forks.run([forks.ADCE, *arguments], {"PREFECT_HOME": str(home)} | more, check=False, folder=tmp_path)

    return run


def _kind(lake: Path) -> LakeKind:
    mark = mark_from((lake / MARK_KEY).read_bytes())
    assert mark is not None
    return mark.kind


def test_by_default_the_sandbox_has_a_lake_and_a_ledger_of_its_own_and_they_are_told_from_real_ones(
    somebody: Any, tmp_path: Path
) -> None:
    made = somebody("reconcile", "--sandbox", "--json", *BOARDS)
    assert made.returncode == 0, made.stderr
    lake = tmp_path / ".adce/sandbox/lake"
    assert f"the sandbox's lake is {lake.as_uri()}, its ledger sqlite:///{lake}.sandbox.db" in made.stderr
    assert _kind(lake) is LakeKind.SANDBOX
    shown = made.stderr.splitlines()[-1].removeprefix("to look at this lake: ")
    assert "--config .adce/sandbox/adce.yaml" in shown
    typed = somebody(*shlex.split(shown)[1:], "--json")
    assert json.loads(typed.stdout)["cells"]["present"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [".adce", "prefect"], "no lake and no ledger besides"
    looked = somebody("plan", "--json", "--lake", str(lake.as_uri()), *BOARDS)
    assert json.loads(looked.stdout)["cells"]["present"] == 2
    assert "is a sandbox's: its games are invented" in looked.stderr
    assert not (tmp_path / "adce.db").exists(), "its own ledger is beside it"
    real = somebody("reconcile", "--config", ".adce/sandbox/adce.yaml", *BOARDS)
    assert real.returncode == 2
    assert real.stderr.startswith("adce: the settings are a sandbox's (sandbox: true), but espn is asked at site.api")
    real = somebody("reconcile", "--lake", lake.as_uri(), *BOARDS)
    assert real.returncode == 2
    assert real.stderr.splitlines()[-1].startswith(f"adce: lake {lake.as_uri()} is a sandbox's, and its games are")


def test_the_sandbox_is_refused_where_a_lake_or_a_ledger_is_in_use(somebody: Any, tmp_path: Path) -> None:
    (tmp_path / "lake/espn_schedules").mkdir(parents=True)
    result = somebody("reconcile", "--sandbox", "--lake", "file:lake", *BOARDS)
    assert result.returncode == 2
    assert "neither empty nor a sandbox's" in result.stderr.splitlines()[-1]
    assert not list((tmp_path / "lake/espn_schedules").iterdir())
    (tmp_path / "lake/espn_schedules").rmdir()
    (tmp_path / "lake").rmdir()
    first = somebody("reconcile", "--sandbox", "--lake", "file:lake", *BOARDS)
    assert first.returncode == 0, first.stderr
    ledger = f"sqlite:///{tmp_path / 'lake.sandbox.db'}"
    other = somebody("reconcile", "--sandbox", "--lake", "file:other", *BOARDS, ADCE_LEDGER=ledger)
    assert other.returncode == 2
    assert f"belongs to lake {(tmp_path / 'lake').as_uri()}" in other.stderr.splitlines()[-1]
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("looks_here", "is_read", "said"),
    [
        pytest.param(True, True, "adce: the settings are those of ./adce.yaml\n", id="reconcile"),
        pytest.param(
            False, False, "adce: ./adce.yaml is not read; to use its settings, add --config adce.yaml\n", id="up"
        ),
    ],
)
def test_a_sandbox_says_whether_it_reads_the_settings_in_the_working_folder(
    looks_here: bool,
    is_read: bool,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.chdir(tmp_path)
    Places().export(looks_here=looks_here, needs_lake=False)
    assert (os.environ["ADCE_CONFIG"], capsys.readouterr().err) == ("", ""), "there are none"
    del os.environ["ADCE_CONFIG"]
    (tmp_path / "adce.yaml").write_text("lake: lake")
    Places().export(looks_here=looks_here, needs_lake=False)
    assert os.environ["ADCE_CONFIG"] == (str(tmp_path / "adce.yaml") if is_read else "")
    assert capsys.readouterr().err == said


def test_the_sandbox_uses_the_settings_in_the_working_folder_but_not_their_lake_and_ledger(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adce.yaml").write_text("lake: mine\nledger: mine.db\ncollect: {sources: [espn]}\n")
    lake = tmp_path / ".adce/sandbox/lake"
    assert use_sandbox(Places()) == ("--config", "adce.yaml", "--lake", lake.as_uri())
    config = load_config()
    assert (config.lake, config.ledger) == (lake.as_uri(), f"sqlite:///{lake}.sandbox.db")
    assert config.collect.sources == ["espn"]


def test_reading_commands_refuse_the_ledger_of_another_lake(adce: Any, adce_home: Path, tmp_path: Path) -> None:
    lake = Store((adce_home / "lake").as_uri())
    lake.check(create=True)

    async def use(ledger: Ledger) -> None:
        await write_mark(lake, ledger, await check_pairing(lake, ledger, LakeKind.REAL))

    with closing(Ledger(f"sqlite:///{adce_home / 'ledger.db'}")) as ledger:
        assert adce("plan", *BOARDS).exit_code == 0
        assert ledger.identity.lake() is None, "looking binds it to no lake"
        asyncio.run(use(ledger))
    assert adce("plan", *BOARDS).exit_code == 0
    (tmp_path / "another").mkdir()
    another = ["--lake", (tmp_path / "another").as_uri()]
    for command in (
        ["plan", *BOARDS, *another],
        ["coverage", *BOARDS, *another],
        ["why", "espn_schedules/20260113.json", *another],
        ["config", "diff", "-", "-", *another],
    ):
        result = adce(*command)
        assert result.exit_code == 2, command
        [line] = result.stderr.splitlines()
        assert "use another ledger: ADCE_LEDGER=" in line


def test_a_relative_option_is_absolute_from_then_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sandbox writes it to a file of settings in another folder, where a relative one would be another lake."""
    for name in ("ADCE_LAKE", "ADCE_LEDGER"):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(tmp_path)
    Places(lake="./my lake", ledger="my.db").export_addresses()
    assert os.environ["ADCE_LAKE"] == (tmp_path / "my lake").as_uri()
    assert os.environ["ADCE_LEDGER"] == f"sqlite:///{tmp_path}/my.db"


def test_the_ledger_of_a_sandbox_is_beside_its_lake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert ledger_of("file:///data/lake") == Path("/data/lake.sandbox.db")
    assert ledger_of("s3://bucket/nba/try/") == tmp_path / ".adce/sandbox/bucket-nba-try.sandbox.db"
