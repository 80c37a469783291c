"""Does a process that recorded its name still run? The answer is exact on Linux, and unknown elsewhere.

This module reads /proc itself, since the start time that psutil gives for a process changes when somebody sets the
clock of the machine.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def own_name() -> str | None:
    """A name that no other process ever has: boot id of the kernel, pid namespace, pid and start time.

    Returns None where /proc cannot be read.
    """
    return _name(os.getpid())


def is_gone(name: str | None) -> bool:
    """Whether the process of that name has ended. False if that is unknown, as on another host or in a container."""
    own = own_name()
    if name is None or own is None:
        return False
    kernel, pid, _ = name.rsplit(":", 2)
    return kernel == own.rsplit(":", 2)[0] and _name(int(pid)) != name


def _name(pid: int) -> str | None:
    """The name of the process that has this pid now, "none" if there is none, and None if /proc cannot be read."""
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
