"""Runs of the `adce` command that start at once, because a parent has imported everything and forks for each run.

Each line on standard input has the arguments of a run as JSON, and is answered by a line with the run's pid. A line
with a pid waits for that run, and is answered by its exit status.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[1]


class Starter:
    """The parent process of the runs."""

    def __init__(self, process: subprocess.Popen[str]):
        self._process = process

    def start(self, arguments: Sequence[str] | Mapping[str, str]) -> int:
        """Starts the command with a list of arguments, or an ad hoc fill with flow parameters. Returns its pid."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self, pid: int) -> int:
        """Waits for a run to end. Returns its exit status, or minus the number of the signal that ended it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(pid) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextlib.contextmanager
def starter(env: Mapping[str, str], errors: Path) -> Iterator[Starter]:
    """Runs a Starter's process with the environment `env` added. The output of its runs goes to the file `errors`."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-W", "ignore", "-m", "tests.killable"]
    with (
        errors.open("a") as log,
        subprocess.Popen(
            command, cwd=_ROOT, env={**os.environ, **env}, stdin=pipe, stdout=pipe, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout
        process.stdout.readline()  # it is ready
        try:
            yield Starter(process)
        finally:
            process.kill()


def _serve() -> None:
    gc.disable()  # until everything is imported, which takes a third less time
    import tasks.show.coverage  # noqa: F401
    from deployments.cli import app
    from flows.fill import fill

    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(order, int):
            print(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]), flush=True)
        elif (pid := os.fork()) != 0:
            print(pid, flush=True)
        else:
            os.dup2(2, 1)
            os.close(0)
            if isinstance(order, dict):
                state = asyncio.run(fill(**order, return_state=True))
                os._exit(1 if state.is_failed() else 0)
            app(order)


if __name__ == "__main__":
    _serve()
