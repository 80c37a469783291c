"""What does a person at the terminal see while a command works?"""

import json
import logging
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from config.load import load_config
from deployments.cli.terminal import show_log
from tasks.domain.lakes import MARK_KEY, KnownLake, LakeKind
from tasks.ledger import Ledger
from tasks.log_lines import about
from tests.servers import empty_database

SPAN = ["--as-of", "2026-01-15T12:00:00Z", "--since", "2026-01-13", "--until", "2026-01-14"]


@pytest.fixture
def shown() -> Iterator[None]:
    """As in a process of the command; the loggers are afterwards as they were."""
    before = {
        (logger := logging.getLogger(name)): (list(logger.handlers), logger.propagate)
        for name in ("config", "blocks", "tasks", "flows", "deployments")
    }
    show_log()
    show_log()
    yield
    for logger, (handlers, propagates) in before.items():
        logger.handlers[:], logger.propagate = handlers, propagates


@pytest.mark.parametrize("name", ["config.load", "blocks.store", "tasks.upstream.rate_limiter", "flows.opening"])
def test_warnings_and_errors_are_a_line_each_and_the_rest_is_none(
    shown: None, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    log = logging.getLogger(name)
    log.info("bucket %s", "adce-espn")
    log.warning("%s [is] left alone until %s\nor so, %s", "espn", "12:00", "x" * 200)
    log.error("espn refuses", extra={"in_report": True})
    log.error("no good")
    lines = [f"adce: warning: espn [is] left alone until 12:00 or so, {'x' * 200}", "adce: error: no good"]
    assert capsys.readouterr() == ("", "".join(f"{line}\n" for line in lines))


def test_for_programs_a_line_is_a_document_with_what_it_is_about(
    shown: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_LOG_FORMAT", "json")
    logging.getLogger("blocks.store").error("no [good] %s", "x" * 200, extra=about(key="a.json"))
    document = json.loads(capsys.readouterr().err)
    assert (document["level"], document["message"], document["key"]) == ("error", f"no [good] {'x' * 200}", "a.json")


@pytest.fixture
def at_a_terminal(adce_home: Path) -> Callable[..., tuple[int, str, str]]:
    """Runs the command with a terminal as its standard error; gives status, standard output, and what is shown."""
    home = adce_home / "prefect"
    home.mkdir()
    shutil.copy(empty_database(), home)
    env = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_DATABASE_MIGRATE_ON_START": "false",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        "TERM": "xterm",
        "COLUMNS": "80",
    }

    def run(*arguments: str) -> tuple[int, str, str]:
        screen, terminal = pty.openpty()
        command = [sys.executable, "-W", "ignore", "-m", "deployments", *arguments]
        with subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=terminal) as process:
            os.close(terminal)
            shown = b""
            try:
                while part := os.read(screen, 4096):
                    shown += part
            except OSError:  # it has ended
                pass
            assert process.stdout
            output = process.stdout.read().decode()
        os.close(screen)
        return process.returncode, output, shown.decode()

    return run


def test_a_run_tells_its_warnings_above_the_progress_and_json_stays_alone(
    at_a_terminal: Callable[..., tuple[int, str, str]], adce_home: Path
) -> None:
    lake = (adce_home / "lake").as_uri()
    with closing(Ledger(load_config().ledger)) as ledger:
        ledger.identity.remember(KnownLake("one", LakeKind.REAL, lake))
    status, output, shown = at_a_terminal("reconcile", "--json", "--dataset", "espn_scoreboard", *SPAN)
    assert (status, len(json.loads(output)["filled"])) == (0, 2)
    assert "Fetching files" in shown
    assert "2 of 2" in shown
    assert "Flow run" not in shown, "what Prefect logs is in its UI"
    line = f"adce: warning: lake {lake} has no mark ({MARK_KEY}) any more"
    assert re.findall(r"^(?:\x1b\[[\d?]*[A-Za-z]|\r)*(adce:.*)\r$", shown, re.MULTILINE) == [line]
    assert shown.count("adce:") == shown.count("any more") == 1


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["tables", "json"])
@pytest.mark.parametrize(
    ("output", "line"),
    [
        pytest.param("> /dev/full", "standard output cannot be written: No space left on device", id="full"),
        pytest.param(">&-", "standard output is closed; if nobody is to read it, use > /dev/null", id="closed"),
    ],
)
def test_output_that_cannot_be_written_is_one_line_and_status_2(
    adce_home: Path, output: str, line: str, form: list[str]
) -> None:
    (adce_home / "lake").mkdir()
    command = [sys.executable, "-m", "deployments", "plan", "--dataset", "espn_scoreboard", *SPAN, *form]
    run = subprocess.run(["bash", "-c", f'"$@" {output}', "bash", *command], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (2, f"adce: {line}\n")


def test_a_reader_that_goes_and_an_error_output_that_is_closed_are_no_mistakes(adce_home: Path) -> None:
    (adce_home / "lake").mkdir()
    command = [sys.executable, "-m", "deployments", "plan", "--json", "--dataset", "espn_scoreboard", *SPAN]
    with_a_warning = '"$@" --lake file:none 2>&- | tail -c 2'
    run = subprocess.run(
        ["bash", "-c", f'"$@" | head -c 1; echo ${{PIPESTATUS[0]}}; {with_a_warning}', "bash", *command],
        capture_output=True,
        text=True,
    )
    assert (run.stdout, run.stderr) == ("{0\n}\n", "")
