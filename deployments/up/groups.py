"""How does a process group end, with all that its processes have started in it? Standard library only.

Run as a program it is a guard: it reads the groups that its parent has running, a line each ("+ 123 30": stop it within
30 seconds; "- 123": it has ended), and when the parent is gone, however that ended, it stops those that are left.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_LOOK_AGAIN = 0.05  # seconds
_PROC = Path("/proc/self")


def is_alive(group: int) -> bool:
    """Whether a process of the group runs; one that has ended, and that nobody has asked about, does not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not _PROC.exists():
        return True
    processes = (_stat(path) for path in _PROC.parent.glob("[0-9]*/stat"))
    return any(fields[2:3] == [str(group)] and fields[0] not in "ZX" for fields in processes)


def _stat(path: Path) -> list[str]:
    """State, parent, group …"""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def send(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def stop(group: int, within: float) -> None:
    """Asks all processes of the group to end, and ends those that have not done so in time."""
    send(group, signal.SIGTERM)
    until = time.monotonic() + within
    while is_alive(group) and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN)
    send(group, signal.SIGKILL)


def _guard() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # those are for the parent
    groups: dict[int, float] = {}
    for line in sys.stdin:
        sign, group, *within = line.split()
        if sign == "+":
            groups[int(group)] = float(within[0])
        else:
            groups.pop(int(group), None)
    for group, seconds in reversed(groups.items()):
        stop(group, seconds)


if __name__ == "__main__":
    _guard()
