"""Does the guard end what it is to end, and nothing before its time? With real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tasks.upstream import guard

# Says so at every SIGTERM, and goes on.
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
print("ready", flush=True)
while True: time.sleep(60)
"""


def test_a_command_is_told_once_to_end_and_killed_when_its_parent_has_been_gone_for_too_long(tmp_path: Path) -> None:
    argv = guard.argv([sys.executable, "-S", "-c", STUBBORN], within=0.5, folder=str(tmp_path / "folder"))
    (tmp_path / "folder").mkdir()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(bytes([signal.SIGTERM]))
        process.stdin.flush()
        assert process.stdout.readline() == b"told\n"
        process.stdin.close()
        assert process.wait(20) == 128 + signal.SIGKILL
        assert process.stdout.read() == b"", "a second SIGTERM would cut short what the first one began"
    assert not (tmp_path / "folder").exists()


def test_what_a_command_leaves_behind_has_its_time_to_end(tmp_path: Path) -> None:
    slow = f"trap 'sleep 0.3; echo done > {tmp_path}/done; exit' TERM; echo ready; while :; do sleep 0.05; done"
    leaves = f'sh -c "$1" & while ! test -s {tmp_path}/out; do sleep 0.02; done'
    with (tmp_path / "out").open("w") as out:
        argv = guard.argv(["sh", "-c", leaves, "sh", slow], within=9, after=9)
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out) as process:
            assert process.wait(20) == 0
    assert (tmp_path / "done").read_text() == "done\n"


def test_a_program_that_there_is_none_of_is_told_in_a_line() -> None:
    done = subprocess.run(
        guard.argv(["no-such-program"], within=1), stdin=subprocess.PIPE, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (127, "no-such-program: No such file or directory\n")
