"""Runs a command, and ends all that it started when it is done, or when standard input closes.

A process of its own: standard input closes however ADCE ends, by kill -9 too. Nothing but the standard library.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from glob import glob

_GRACE = 3.0  # seconds from SIGTERM to SIGKILL
_PR_SET_CHILD_SUBREAPER = 36
_SWEEPS, _PAUSE = 100, 0.02  # looks for what is left, and seconds between two


def main(folder: str, *argv: str) -> int:
    """The exit status of the command, or 128 and the number of the signal that ended it."""
    with suppress(OSError, AttributeError):  # Linux: processes that lose their parent become children of this one
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: None)  # it has to be there until the end
    try:
        command = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}")
        return 127
    ended_early = threading.Event()
    threading.Thread(target=_watch, args=(command.pid, ended_early), daemon=True).start()
    status = command.wait()
    _signal_group(command.pid, signal.SIGKILL)
    _sweep()
    if ended_early.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _watch(group: int, ended_early: threading.Event) -> None:
    os.read(0, 1)
    ended_early.set()
    _signal_group(group, signal.SIGTERM)
    time.sleep(_GRACE)
    _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _sweep() -> None:
    """Kills what left the command's group by a session of its own: orphans are children of this process."""
    for _ in range(_SWEEPS):
        for file in glob("/proc/self/task/*/children"):
            with suppress(OSError), open(file) as children:  # a thread of this process may have ended meanwhile
                for child in children.read().split():
                    os.kill(int(child), signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(_PAUSE)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
