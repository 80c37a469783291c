"""Is a process that wrote its name down still there? Told exactly on Linux, and not at all elsewhere.

This reads /proc itself: psutil's time of a process's start moves when somebody sets the clock of the machine.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def own_name() -> str | None:
    """Names this process among all that ever were: kernel, pid namespace, pid, and when it started."""
    return _name(os.getpid())


def is_gone(name: str | None) -> bool:
    """Whether a process of that name ended. False where that cannot be told: on another host, in another container."""
    own = own_name()
    if name is None or own is None:
        return False
    kernel, pid, _ = name.rsplit(":", 2)
    return kernel == own.rsplit(":", 2)[0] and _name(int(pid)) != name


def _name(pid: int) -> str | None:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (_PROC / "self/ns/pid").stat().st_ino
    except OSError:
        return None
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "none"
    state, started = fields[0], fields[19]
    return "none" if state in "ZX" else f"{boot}/{namespace}:{pid}:{started}"
