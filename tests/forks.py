"""Processes of Python that start at once, because a parent has imported everything and forks for each.

The parent listens on an abstract Unix socket. A line that holds an object orders a process: its command line after
`python`, its environment, its folder, and the files of its output. The answer is a line with its pid. A line with a pid
asks for the exit status, which is null while the process runs. All lines are JSON, and each has its own connection. A
connection without a line asks whether the parent is there. The end of the parent's standard input ends the parent and
no process.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tests.forked import PARENT, ask

ADCE, PREFECT = (str(Path(sys.executable).with_name(name)) for name in ("adce", "prefect"))
_ROOT = Path(__file__).parents[1]
_NOWHERE = Path(os.devnull)
_PYTHON = f"{sys.executable} -SE {_ROOT / 'tests/forked.py'}"  # a worker splits its command at spaces
_IMPORTED = (
    "deployments.cli",
    "flows.fill",
    "flows.reconcile",
    "flows.watch",
    "prefect.cli",
    "prefect.engine",
    "prefect.server.api.server",
    "prefect.workers.process",
    "prefect_aws.workers",
    "tasks.show.coverage",
    "uvicorn",
)


class Fork:
    """A process that was started by `start`. It is used as a subprocess.Popen."""

    def __init__(self, pid: int, command: Sequence[str]):
        self.pid, self.returncode, self._command = pid, None, command
        self.returncode: int | None

    def poll(self) -> int | None:
        """The exit status, or minus the number of the signal that ended the process, or None while it runs."""
        if self.returncode is None:
            self.returncode = _ask(self.pid)
        return self.returncode

    def wait(self, timeout: float = 300) -> int:
        """Waits for the end. Returns what `poll` returns."""
        begun = time.monotonic()
        while (status := self.poll()) is None:
            if time.monotonic() - begun > timeout:
                raise subprocess.TimeoutExpired(self._command, timeout)
            time.sleep(0.02)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    command: Sequence[str],
    env: Mapping[str, str],
    stdout: Path = _NOWHERE,
    stderr: Path = _NOWHERE,
    folder: Path = _ROOT,
) -> Fork:
    """Starts what `python` would start with these arguments: the file of a script, or "-m" and a module.

    It runs in `folder`. `env` is added to this process's environment, and output to the files. If it is a worker of
    Prefect, its flow runs are forked too.
    """
    order = {"argv": list(command), "env": {**os.environ, **env}, "folder": str(folder)}
    order["output"] = [str(stdout), str(stderr)]
    return Fork(_ask(order), command)


def run(
    command: Sequence[str], env: Mapping[str, str], check: bool = True, folder: Path = _ROOT
) -> subprocess.CompletedProcess[str]:
    """Runs such a command to its end, as subprocess.run does, and returns its output."""
    with tempfile.TemporaryDirectory() as place:
        out, errors = Path(place, "out"), Path(place, "errors")
        status = start(command, env, out, errors, folder).wait()
        done = subprocess.CompletedProcess(command, status, out.read_text(), errors.read_text())
    if check and status:
        raise AssertionError(f"{command} ended with {status}: {done.stderr[-3000:]}")
    return done


def job_variables() -> dict[str, Any]:
    """The job variables of a flow run that is forked though its worker was not."""
    return {"command": f"{_PYTHON} -m prefect.engine", "env": {PARENT: _parent()}}


def fill(**parameters: str) -> list[str]:
    """The command line, after `python`, of an ad hoc fill."""
    return ["-m", "tests.fill_process", json.dumps(parameters)]


def _ask(order: object) -> Any:
    return ask(_parent(), order)


@cache
def _parent() -> str:
    """The name of the parent, one for all processes of a test run. It ends with the process that has started it.

    All processes of pytest-xdist end when the last test has ended.
    """
    name = f"forks-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    lock_file = Path(tempfile.gettempdir(), f"{name}.lock")
    atexit.register(lock_file.unlink, missing_ok=True)
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _answers(name):
            command, pipe = [sys.executable, "-W", "ignore", "-m", "tests.forks", name], subprocess.PIPE
            process = subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, text=True)
            atexit.register(process.communicate)  # closes its standard input, and waits for its end
            assert process.stdout
            process.stdout.readline()  # it is ready
    return name


def _answers(parent: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(f"\0{parent}") == 0


def _serve(name: str) -> None:
    """Does the work of the parent."""
    gc.disable()  # until everything is imported, which takes a third less time
    for module in _IMPORTED:
        importlib.import_module(module)

    gc.freeze()
    gc.enable()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen(128)
        print("ready", flush=True)
        while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
            connection, _ = listener.accept()
            # Whoever asks may be killed meanwhile.
            with suppress(ConnectionError), connection, connection.makefile("rw") as lines:
                if not (line := lines.readline()):
                    continue
                if isinstance(order := json.loads(line), int):
                    pid, status = os.waitpid(order, os.WNOHANG)
                    answer = os.waitstatus_to_exitcode(status) if pid else None
                elif not (answer := os.fork()):
                    break
                lines.write(json.dumps(answer) + "\n")
        else:
            return
    os.chdir(order["folder"])
    _become(order["argv"], order["env"] | {PARENT: name}, order["output"])


def _become(argv: list[str], environment: dict[str, str], output: list[str]) -> None:
    """Does in this process what `python` does in a new one with these arguments and this environment."""
    import prefect.context
    import prefect.logging.configuration
    import prefect.workers.process

    from deployments.__main__ import _QUIET

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, file in enumerate(output, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update((_QUIET if argv[0] == ADCE else {}) | environment)
    sys.argv = argv[1:] if argv[0] == "-m" else argv
    # Prefect read its settings when the parent imported it.
    prefect.context.GLOBAL_SETTINGS_CONTEXT = None
    prefect.context.GLOBAL_SETTINGS_CONTEXT = prefect.context.root_settings_context()
    prefect.logging.configuration.setup_logging(incremental=False)
    prefect.workers.process.get_sys_executable = lambda: _PYTHON
    if argv[0] == "-m":
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__":
    _serve(sys.argv[1])
