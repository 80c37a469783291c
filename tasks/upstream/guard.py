"""Runs a command, and ends all that it has started when it is done, or when whoever wants it says so or dies.

It is a program, and a process of its own: it outlives even a `kill -9` of its parent. Standard input is the parent's
voice. A byte is the number of a signal for the command and its process group; the end of the input, which comes however
the parent ends, is SIGTERM, and some seconds later SIGKILL.
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

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # of prctl, which is in Linux only
_PAUSE = 0.02  # seconds between two looks at what is left
_GIVEN_UP = 2.0  # seconds after SIGKILL: what is still there then cannot be killed


def argv(command: list[str], *, within: float, after: float = 0.0, folder: str = "") -> list[str]:
    """The command line of a guard.

    When the parent is gone, the command has `within` seconds to end. What the command leaves behind has `after`
    seconds. `folder` is removed where the end of the input has come first.
    """
    return [sys.executable, "-I", __file__, f"{within}", f"{after}", folder, *command]


class _Guarded:
    """A command, and what it has started."""

    def __init__(self, command: list[str]):
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_the_guard
        )
        self._is_told = False  # to end
        self._killed_at = float("inf")  # by time.monotonic

    def tell(self, number: int) -> None:
        """Sends a signal to the command's group. A second SIGTERM would cut short what the first one began."""
        if number == signal.SIGKILL:
            self._killed_at = time.monotonic()
        elif self._is_told:
            return
        self._is_told = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def wait(self, after: float) -> int:
        """Waits until nothing is left; gives the exit status, of a signal as a shell does."""
        status = self._process.wait()
        if not self._is_told:
            self.tell(signal.SIGTERM)
            self._killed_at = time.monotonic() + after
        while _reap() and time.monotonic() < self._killed_at + _GIVEN_UP:
            if time.monotonic() >= self._killed_at:
                _kill_descendants()
            time.sleep(_PAUSE)
        self.tell(signal.SIGKILL)  # where the orphans of the group are not children of this process
        return status if status >= 0 else 128 - status


def _reap() -> bool:
    """Whether a child is left, after those that have ended. On Linux processes whose parent ended are children too."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def _kill_descendants() -> None:
    """Also those that left the command's group for a session of their own."""
    import psutil  # most commands leave nothing behind

    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            process.kill()


def _die_with_the_guard() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main(within: str, after: str, folder: str, *command: str) -> int:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the guard has to be there until the end
    try:
        guarded = _Guarded(list(command))
    except OSError as error:
        print(f"{command[0]}: {error.strerror}")
        return 127
    alone = threading.Event()

    def listen() -> None:
        while order := os.read(0, 1):
            guarded.tell(order[0])
        alone.set()
        guarded.tell(signal.SIGTERM)
        time.sleep(float(within))
        guarded.tell(signal.SIGKILL)

    threading.Thread(target=listen, daemon=True).start()
    status = guarded.wait(float(after))
    if folder and alone.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
