"""One command, for real: what it leaves, what it says, and that nothing of it goes on."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from config.models import Dataset, Source
from tasks.domain.errors import FetchError
from tasks.upstream import commands
from tasks.upstream.commands import Output, prepare

FIELDS = {"id": "0022500001", "season": "2025-26", "date": "2026-01-13"}
SOURCE = Source.model_validate(
    {"base_url": "http://127.0.0.1:1/nba/", "game_id": "[0-9]{10}", "rates": [{"requests": 1, "seconds": 1}]}
)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a Python script; gives its path. Folders for output are made in `out`, where nothing may be left."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "out"))
    (tmp_path / "out").mkdir()

    def write(text: str) -> str:
        (tmp_path / "script.py").write_text(f"import os, subprocess, sys, time\n{text}\n")
        return str(tmp_path / "script.py")

    return write


def a_dataset(script: str, **command: Any) -> Dataset:
    argv = ["{python}", "{script}", "--game", "{id}"]
    return Dataset.model_validate(
        {
            "source": "nba_api",
            "command": {"argv": argv, "script": script, "files": ["{id}.json"]} | command,
            "keys": ["usage/{id}.json"],
            "per": "game",
            "schedule": "nba_schedule",
            "first_season": "2015-16",
            "due_after": "4h",
            "check": {"name": "json"},
        }
    )


def run(script: str, fields: Mapping[str, str] = FIELDS, **command: Any) -> list[bytes]:
    prepared = prepare(a_dataset(script, **command), fields, SOURCE)
    assert prepared is not None
    return asyncio.run(prepared.run())


def error_of(script: str, **command: Any) -> str:
    with pytest.raises(FetchError) as caught:
        run(script, **command)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"python {Path(script).name} --game 0022500001: ")


def wait_until_gone(pid: int) -> None:
    """A process ends a moment after its SIGKILL."""
    begun = time.monotonic()
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() - begun < 20, Path(f"/proc/{pid}/stat").read_text()
        time.sleep(0.02)


GOOD = 'open(f"{sys.argv[2]}.json", "w").write("{}")'
WAIT = "time.sleep(600)"


def test_a_command_runs_in_a_folder_of_its_own_and_its_file_is_what_it_brings(
    script: Callable[[str], str], tmp_path: Path
) -> None:
    where = 'open(f"{sys.argv[2]}.json", "w").write(os.getcwd())'
    (body,) = run(script(where))
    assert Path(body.decode()).parent == tmp_path / "out"
    assert list((tmp_path / "out").iterdir()) == [], "nothing is left of it"


def test_it_may_run_elsewhere_and_leave_its_files_where_it_is_told(
    script: Callable[[str], str], tmp_path: Path
) -> None:
    path = script('open("here", "w"); open(sys.argv[1] + "/a", "w").write("one"); open(sys.argv[1] + "/b", "w")')
    command = {"argv": ["{python}", path, "{out}", "{id}"], "cwd": str(tmp_path), "files": ["a"]}
    assert run(path, **command) == [b"one"]
    assert (tmp_path / "here").exists()


def test_a_path_in_the_command_line_is_seen_from_where_adce_runs(
    script: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(GOOD)
    monkeypatch.chdir(tmp_path)
    assert run(path, argv=["{python}", "./script.py", "--game", "{id}"]) == [b"{}"]


def test_a_path_that_a_command_is_given_is_no_secret_in_what_it_says(
    script: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NBA_DATA", str(tmp_path))
    path = script(f'{GOOD};print("data is in", os.environ["NBA_DATA"])')
    with caplog.at_level(logging.INFO):
        run(path, environment=["NBA_DATA"])
    assert caplog.text.rstrip().endswith(f"data is in {tmp_path}")


def test_it_is_told_the_address_of_its_source(script: Callable[[str], str], caplog: pytest.LogCaptureFixture) -> None:
    path = script('open(sys.argv[2] + ".json", "w").write(sys.argv[1])')
    with caplog.at_level(logging.INFO):
        assert run(path, argv=["{python}", "{script}", "{base_url}", "{id}"]) == [b"http://127.0.0.1:1/nba"]
    assert "python script.py BASE_URL 0022500001: exit status 0" in caplog.text


def test_no_value_is_read_by_a_shell(script: Callable[[str], str]) -> None:
    path = script('open(sys.argv[1] + ".json", "w").write(sys.argv[2])')
    strange = "$(touch /tmp/x); `id` > * | & 'quoted' \"twice\""
    given = {"note": {"type": "text", "pattern": ".*", "value": strange}}
    assert run(path, argv=["{python}", "{script}", "{id}", "{note}"], parameters=given) == [strange.encode()]


def test_the_environment_is_what_is_declared_and_secrets_are_kept_out_of_the_log(
    script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "PREFECT_API_KEY", "ADCE_LEDGER", "NBA_KEY"):
        monkeypatch.setenv(name, "hunter2")
    path = script('open(f"{sys.argv[2]}.json", "w").write(" ".join(sorted(os.environ)));print(os.environ["NBA_KEY"])')
    with caplog.at_level(logging.INFO):
        (body,) = run(path, environment=["NBA_KEY"])
    assert {"NBA_KEY", "PATH", "HOME", "TMPDIR"} <= set(body.decode().split())
    assert set(body.decode().split()) <= {"NBA_KEY", "PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "PYTHONUNBUFFERED"}
    assert "***" in caplog.text
    assert "hunter2" not in caplog.text
    monkeypatch.delenv("NBA_KEY")
    assert error_of(path, environment=["NBA_KEY"]) == (
        "the environment variable NBA_KEY that it needs is not set; it was not run"
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("print('working'); sys.exit('no such game')", "exit status 1: no such game"),
        ("print('no game', file=sys.stderr); print('done'); sys.exit(1)", "exit status 1: no game"),
        ("sys.exit(3)", "exit status 3, without any output"),
        ("os.kill(os.getpid(), 11)", "exit status 139, without any output"),
        ("open('other.json', 'w')", "it left no file 0022500001.json in its folder, which has other.json"),
        ("os.mkfifo('0022500001.json')", "it left no file 0022500001.json in its folder, which has 0022500001.json"),
        (
            "os.symlink('/etc/hostname', '0022500001.json')",
            "its file 0022500001.json is a link out of its folder, and is not read",
        ),
        ("open('0022500001.json', 'w')", "its file 0022500001.json is empty"),
        (
            "f = open('0022500001.json', 'w'); f.truncate(2**30)",
            "its file 0022500001.json has more than 16777216 bytes",
        ),
    ],
    ids=[
        "says why",
        "says more after it",
        "says nothing",
        "crashes",
        "another file",
        "a pipe",
        "a link to outside",
        "an empty file",
        "a huge file",
    ],
)
def test_a_command_that_fails_is_one_line(script: Callable[[str], str], text: str, error: str) -> None:
    assert error_of(script(text)) == error


def test_a_file_that_it_leaves_outside_its_folder_is_not_seen(script: Callable[[str], str], tmp_path: Path) -> None:
    left_none = "it left no file 0022500001.json in its folder, which has no files"
    assert error_of(script('open("../0022500001.json", "w").write("{}")')) == (
        f"{left_none}; it must write to the folder in which it starts"
    )
    beside = 'open(os.path.dirname(__file__) + "/0022500001.json", "w").write("{}")'
    assert error_of(script(beside)).startswith(f"{left_none}; there is one in {tmp_path}; it must write to")


@pytest.mark.parametrize(
    ("text", "mode", "error"),
    [
        ("#!/bin/sh\n", 0o644, "{} is not executable; type `chmod +x {}`, or begin argv with its interpreter"),
        ("#!/no/such/python -u\n", 0o755, "{}: there is no interpreter '/no/such/python', which its first line names"),
        ("#!/bin/sh\r\n", 0o755, r"{}: there is no interpreter '/bin/sh\r', which its first line names"),
        ("echo\n", 0o755, "{}: its first line names no interpreter, as in #!/bin/sh; or begin argv with one"),
        ("#!/bin/sh\necho {{}} > $1.json", 0o755, ""),
    ],
    ids=["not executable", "no such interpreter", "lines of Windows", "no interpreter", "as it should be"],
)
def test_a_script_that_cannot_be_started_is_one_line(tmp_path: Path, text: str, mode: int, error: str) -> None:
    program = tmp_path / "scrape"
    program.write_text(text.format())
    program.chmod(mode)
    argv = [str(program), "{id}"]
    if error:
        with pytest.raises(FetchError) as caught:
            run("", argv=argv)
        assert str(caught.value).endswith(f" 0022500001: {error.format(program, program)}")
    else:
        assert run("", argv=argv) == [b"{}\n"]


def test_its_output_is_logged_as_it_is_written(script: Callable[[str], str], caplog: pytest.LogCaptureFixture) -> None:
    """Python would keep standard output back until the end, and so write it after the errors."""
    path = script(f"print('asks'); print('is refused', file=sys.stderr); os.close(1); {GOOD}")
    with caplog.at_level(logging.INFO):
        run(path)
    assert caplog.text.rstrip().endswith("its output:\nasks\nis refused")


def test_a_link_in_a_circle_is_one_line(script: Callable[[str], str]) -> None:
    assert "its file 0022500001.json" in error_of(script("os.symlink('0022500001.json', '0022500001.json')"))


def test_a_program_that_there_is_none_of_is_one_line(script: Callable[[str], str]) -> None:
    argv = ["no-such-program", "{id}"]
    with pytest.raises(FetchError, match=r"^no-such-program 0022500001: the PATH has no executable program"):
        run(script(""), argv=argv)


def test_of_100_mb_of_output_the_beginning_and_the_end_are_kept(
    script: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    path = script(f"print('begins'); sys.stdout.write('x' * 100_000_000); print('ends', file=sys.stderr); {GOOD}")
    tracemalloc.start()
    with caplog.at_level(logging.INFO):
        assert run(path) == [b"{}"]
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert "begins" in caplog.text
    assert "ends" in caplog.text
    assert "bytes left out" in caplog.text
    assert len(caplog.text) < 3 * commands._KEPT


def test_a_command_that_takes_too_long_and_ignores_sigterm_is_killed_with_its_children(
    script: Callable[[str], str], tmp_path: Path
) -> None:
    path = script(
        f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"child = subprocess.Popen(['sleep', '600']);"
        f"open('{tmp_path}/pids', 'w').write(f'{{os.getpid()}} {{child.pid}}');"
        f"{WAIT}"
    )
    assert error_of(path, timeout="1s") == "stopped after its timeout of 1s"
    for pid in (tmp_path / "pids").read_text().split():
        wait_until_gone(int(pid))


@pytest.mark.parametrize("session", ["False", "True"], ids=["in its group", "in a session of its own"])
def test_what_a_command_leaves_running_is_ended_and_holds_nothing_up(
    script: Callable[[str], str], tmp_path: Path, session: str
) -> None:
    child = f"subprocess.Popen(['sleep', '600'], start_new_session={session}).pid"
    assert run(script(f"open('{tmp_path}/pid', 'w').write(str({child})); {GOOD}")) == [b"{}"]
    wait_until_gone(int((tmp_path / "pid").read_text()))


def test_a_command_has_a_session_of_its_own_which_ctrl_c_in_our_terminal_does_not_reach(
    script: Callable[[str], str], tmp_path: Path
) -> None:
    run(script(f"open('{tmp_path}/session', 'w').write(str(os.getsid(0))); {GOOD}"))
    assert int((tmp_path / "session").read_text()) != os.getsid(0)


def test_a_cancel_ends_the_command(script: Callable[[str], str], tmp_path: Path) -> None:
    async def cancel_it() -> None:
        prepared = prepare(
            a_dataset(script(f"open('{tmp_path}/pid', 'w').write(str(os.getpid()));{WAIT}")), FIELDS, SOURCE
        )
        assert prepared is not None
        work = asyncio.create_task(prepared.run())
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.02)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancel_it())
    wait_until_gone(int((tmp_path / "pid").read_text()))
    assert list((tmp_path / "out").iterdir()) == []


RUNS_A_SCRIPT = """
import asyncio, sys
from tests.tasks.upstream.test_commands import FIELDS, SOURCE, a_dataset
from tasks.upstream.commands import prepare
asyncio.run(prepare(a_dataset(sys.argv[1]), FIELDS, SOURCE).run())
"""


def test_kill_9_of_adce_ends_the_command_too(script: Callable[[str], str], tmp_path: Path) -> None:
    path = script(f"open('{tmp_path}/pid', 'w').write(str(os.getpid()));{WAIT}")
    env = {**os.environ, "TMPDIR": str(tmp_path / "out")}
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", RUNS_A_SCRIPT, path], env=env, cwd=root) as adce:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert adce.poll() is None
            time.sleep(0.02)
        adce.send_signal(signal.SIGKILL)
    wait_until_gone(int((tmp_path / "pid").read_text()))
    begun = time.monotonic()
    while list((tmp_path / "out").iterdir()):
        assert time.monotonic() - begun < 20, "its folder goes too"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("name", "value", "declared", "error"),
    [
        ("id", "-rf", {}, r"id: '-rf' does not match '\[0-9\]\{10\}'"),
        ("id", "0022500001\n", {}, r"id: '0022500001\\n' does not match"),
        ("id", "0022500001", {"id": {"type": "date"}}, "id: '0022500001' is not a valid date"),
        ("id", "0022500001", {"id": {"type": "season"}}, "id: '0022500001' is not a valid season"),
        ("id", "0022500001", {"id": {"type": "text", "pattern": "004.*"}}, r"' is not a valid text: 004\.\*"),
        ("id", "0022500001", {"id": {"type": "choice", "choices": ["a", "b"]}}, "' is not a valid choice: a or b"),
        ("season", "2025-27", {"season": {"type": "int"}}, "season: '2025-27' is not a valid int"),
        ("date", "../../x", {}, r"date: '\.\./\.\./x' does not match"),
    ],
)
def test_a_value_of_another_kind_is_not_run_with(
    script: Callable[[str], str], tmp_path: Path, name: str, value: str, declared: dict[str, Any], error: str
) -> None:
    path = script(f"open('{tmp_path}/ran', 'w')")
    argv = ["{python}", "{script}", "{id}", "{season}", "{date}"]
    with pytest.raises(FetchError, match=error + ".*; it was not run$"):
        run(path, {**FIELDS, name: value}, argv=argv, parameters=declared)
    assert not (tmp_path / "ran").exists()


def test_a_field_that_would_be_an_option_is_not_run_with(script: Callable[[str], str]) -> None:
    dataset = a_dataset(script(GOOD), argv=["{python}", "{script}", "{id}"])
    with pytest.raises(FetchError, match=r"id: '-1' would be taken for an option; write --id=\{id\}; it was not run"):
        prepare(dataset, {"id": "-1"}, SOURCE.model_copy(update={"game_id": "-?[0-9]+"}))


@pytest.mark.parametrize("before", [16 * 1024 - 6, 60_000 - 16 * 1024 - 6], ids=["head", "tail"])
def test_no_part_of_a_secret_is_left_where_the_middle_is_left_out(before: int) -> None:
    output = Output(["s3cr3tpassw0rd"])
    text = (b"x" * before + b"s3cr3tpassw0rd").ljust(60_000, b"y")

    async def read_it() -> None:
        read, write = os.pipe()
        reading = asyncio.create_task(output.read(read))
        await asyncio.to_thread(os.write, write, text)
        os.close(write)
        await reading

    asyncio.run(read_it())
    assert "bytes left out" in output.text()
    assert not any(part in output.text() for part in ("s3", "r3", "pass", "w0rd"))
