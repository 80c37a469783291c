"""What does Ctrl-C do at a terminal? It is a signal to every process of the terminal's foreground group."""

import asyncio
import shutil
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.cli import interrupts
from tasks.run.shutdown import Shutdown
from tests.servers import empty_database
from tests.terminal import CTRL_C, Terminal

COMMAND = [sys.executable, "-W", "ignore", "-m", "deployments"]
SPAN = ["--as-of", "2026-01-15T12:00:00Z", "--since", "2026-01-13", "--until", "2026-01-14"]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a command, with a database of Prefect's that need not be made first."""
    (tmp_path / "prefect").mkdir()
    shutil.copy(empty_database(), tmp_path / "prefect")
    return {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_DATABASE_MIGRATE_ON_START": "false",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "ADCE_LAKE": (tmp_path / "lake").as_uri(),
        "ADCE_LEDGER": f"sqlite:///{tmp_path / 'ledger.db'}",
    }


def test_a_run_says_at_once_what_it_waits_for_and_a_second_ctrl_c_ends_it_without_failures(
    env: dict[str, str], tmp_path: Path
) -> None:
    """The sandbox outlives it: what was begun is fetched or left, and a request that cannot be sent is no failure."""
    slow = env | {"ADCE_SOURCES__BASKETBALL_REFERENCE__RATES": "[{requests: 1, seconds: 60}]"}
    months = ["--dataset", "br_schedule", "--season", "2025-26", "--as-of", "2026-01-15T12:00:00Z"]
    with Terminal([*COMMAND, "reconcile", "--sandbox", *months], slow, tmp_path) as terminal:
        terminal.wait_for("Fetching files")
        terminal.type(CTRL_C)
        terminal.wait_for("adce: warning: the run stops (Ctrl-C): it starts no more fills, and waits at most 20s")
        terminal.wait_for("a second Ctrl-C cuts them short")
        terminal.type(CTRL_C)
        terminal.wait_for("adce: warning: the run stops at once (Ctrl-C)")
        assert terminal.wait() == 130
    assert "stored, 0 failed" in terminal.text
    assert "the run was stopped: Ctrl-C; until the next run" in " ".join(terminal.text.split())
    for word in ("Traceback", "connect", "Flow run", "Task run", "prefect"):
        assert word not in terminal.text.partition("Fetching")[2]
    assert terminal.shows_cursor
    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        assert ledger.execute("select count(*) from files where outcome = 'failed'").fetchone() == (0,)


def test_ctrl_c_while_a_run_starts_ends_it_at_once_with_a_sentence(env: dict[str, str], tmp_path: Path) -> None:
    with Terminal([*COMMAND, "reconcile", "--sandbox", *SPAN], env, tmp_path) as terminal:
        terminal.wait_for("the sandbox's lake is")
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
    [_, line] = terminal.text.replace("^C", "").splitlines()
    assert line == "adce: stopped (Ctrl-C) before the run began: nothing is fetched"
    assert not (tmp_path / "lake").exists()


def test_ctrl_c_while_a_run_opens_the_lake_is_said_at_once_and_stops_the_run_when_it_is_open(
    capsys: pytest.CaptureFixture[str],
) -> None:
    requests: list[str | None] = []
    before = signal.getsignal(signal.SIGINT)

    async def run() -> None:
        signal.raise_signal(signal.SIGINT)
        assert "adce: the run stops (Ctrl-C) before it fetches anything; a second" in capsys.readouterr().err
        for _ in range(2):
            shutdown = Shutdown(timedelta(seconds=20), lambda: None)
            with shutdown.on_signals():
                requests.append(shutdown.reason)

    with interrupts.during_the_run():
        asyncio.run(run())
    assert requests == ["SIGINT", None], "it is meant once"
    assert capsys.readouterr().err == ""
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """A server that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["plan", *SPAN], id="plan"),
        pytest.param(["setup"], id="setup"),
    ],
)
def test_a_command_that_waits_for_an_answer_ends_with_130_and_nothing_else(
    arguments: list[str], env: dict[str, str], tmp_path: Path, silent_server: socket.socket
) -> None:
    address = f"http://127.0.0.1:{silent_server.getsockname()[1]}"
    if arguments == ["setup"]:
        env |= {"PREFECT_API_URL": f"{address}/api"}
    else:
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        env |= {"ADCE_LAKE": "s3://lake", "AWS_ENDPOINT_URL": address} | keys
    with Terminal([*COMMAND, *arguments], env, tmp_path) as terminal, silent_server.accept()[0]:
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
    assert terminal.text.replace("^C", "").split() == []
    assert terminal.shows_cursor


def test_ctrl_c_in_answer_to_a_question_marks_nothing(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    add = ["unavailable", "add", "espn_schedules/2026011[34].json", "--note", "lost"]
    with Terminal([*COMMAND, *add], env, tmp_path) as terminal:
        terminal.wait_for("Mark these files as unavailable until")
        assert terminal.wait_while_typing(CTRL_C) == 130
    assert "Traceback" not in terminal.text
    assert not (tmp_path / "ledger.db").exists()
