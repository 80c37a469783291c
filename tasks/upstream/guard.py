"""Runs a command, and ends every process that it has started: when it is done, on request, or when the parent dies.

This is a program of its own, since its process has to outlive even a `kill -9` of its parent. The parent controls it
through standard input. Each byte is the number of a signal to send to the command's process group. The end of the
input, which comes however the parent ends, means SIGTERM, and some seconds later SIGKILL.
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

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # options of prctl(2), which only Linux has
_POLL_EVERY = 0.02  # seconds between two looks at which processes remain
_GIVE_UP_AFTER = 2.0  # seconds from SIGKILL until a process that remains is taken for unkillable


def argv(command: list[str], *, within: float, after: float = 0.0, folder: str = "") -> list[str]:
    """The command line that runs a command under a guard.

    `within` is how many seconds the command gets to end when the parent has ended. `after` is how many seconds
    processes get that remain when the command has ended. `folder` is removed if the parent ends before the command.
    """
    return [sys.executable, "-I", __file__, f"{within}", f"{after}", folder, *command]


class _Guarded:
    """A running command, and the processes that it has started."""

    def __init__(self, command: list[str]):
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_the_guard
        )
        self._is_ending = False  # a signal was sent
        self._killed_at = float("inf")  # by time.monotonic

    def send(self, number: int) -> None:
        """Sends a signal to the command's process group.

        Before SIGKILL, only the first signal is sent, because a second one could interrupt an orderly end.
        """
        if number == signal.SIGKILL:
            self._killed_at = time.monotonic()
        elif self._is_ending:
            return
        self._is_ending = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
            os.killpg(self._process.pid, signal.SIGCONT)  # so that a stopped process hears it, as systemd does

    def wait(self, after: float) -> int:
        """Waits until no process remains. Returns the command's exit status, or 128 + the signal that ended it."""
        status = self._process.wait()
        if not self._is_ending:
            self.send(signal.SIGTERM)
            self._killed_at = time.monotonic() + after
        while _reap() and time.monotonic() < self._killed_at + _GIVE_UP_AFTER:
            if time.monotonic() >= self._killed_at:
                _kill_descendants()
            time.sleep(_POLL_EVERY)
        self.send(signal.SIGKILL)  # elsewhere than on Linux, orphans of the group are not children of this process
        return status if status >= 0 else 128 - status


def _reap() -> bool:
    """Collects the children that have ended. Returns whether any remain.

    On Linux, descendants whose parent has ended are children of this process too.
    """
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def _kill_descendants() -> None:
    """Kills all descendants, also those that have left the command's process group."""
    import psutil  # not at the top: most commands leave no process behind

    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            process.kill()


def _die_with_the_guard() -> None:
    """Makes the kernel kill the command if the guard dies. It runs in the command's process before it starts."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main(within: str, after: str, folder: str, *command: str) -> int:
    """Runs the command and returns its exit status. The arguments are those of `argv`."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the guard must not end before the command
    try:
        guarded = _Guarded(list(command))
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    parent_is_gone = threading.Event()

    def listen() -> None:
        while number := os.read(0, 1):
            guarded.send(number[0])
        parent_is_gone.set()
        guarded.send(signal.SIGTERM)
        time.sleep(float(within))
        guarded.send(signal.SIGKILL)

    threading.Thread(target=listen, daemon=True).start()
    status = guarded.wait(float(after))
    if folder and parent_is_gone.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
