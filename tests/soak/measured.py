"""What does a running system take: memory, handles, threads, and the size of its databases?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil
from rich.table import Table

from tests.up_process import UpProcess

_SAMPLES = 15  # one a second
_ROLES = {  # what the command of a process contains
    "server": b"create_app",
    "worker": b"\0worker\0",
    "sandbox": b"deployments.sandbox",
    "serve": b"deployments\0serve",
    "watch": b"deployments\0watch",
}
# By how much a value may be larger at the end: a share of what it was, and an amount
_SLACK = {"MB": (0.25, 40.0), "handles": (0.0, 8.0), "threads": (0.0, 4.0)}


@dataclass(frozen=True)
class Measurement:
    """What is measured of the system at one moment: by process and what, and the files' sizes in MB."""

    values: Mapping[tuple[str, str], float]

    @classmethod
    def of(cls, system: UpProcess) -> Measurement:
        """The system as it is now: the lowest values of some seconds, since clients of the services come and go.

        Runs do so, too, and only the services are measured.
        """
        lowest: dict[tuple[str, str], float] = {}
        for _ in range(_SAMPLES):
            for name, value in _values(system).items():
                lowest[name] = min(value, lowest.get(name, value))
            time.sleep(1)
        return cls(lowest)


def _values(system: UpProcess) -> dict[tuple[str, str], float]:
    values: dict[tuple[str, str], float] = {}
    for role, process in services(system).items():
        with suppress(psutil.NoSuchProcess):
            values[role, "MB"] = process.memory_info().rss / 1e6
            values[role, "handles"] = process.num_fds()
            values[role, "threads"] = process.num_threads()
    for file in ("ledger.db", "prefect/prefect.db"):
        values[file, "MB"] = sum(one.stat().st_size for one in system.home.glob(f"{file}*")) / 1e6
    return values


def services(system: UpProcess) -> dict[str, psutil.Process]:
    """The processes that run for long, by their role."""
    found = {"up": psutil.Process(system.process.pid)}
    for pid in system.processes():
        with suppress(OSError, psutil.NoSuchProcess):
            command = system.command_of(pid) + b"\0"
            for role, part in _ROLES.items():
                if part in command:
                    found.setdefault(role, psutil.Process(pid))
    return found


def compared(before: Measurement, after: Measurement) -> tuple[Table, bool]:
    """A table of what was measured before and after, and whether everything is back where it was."""
    table, is_back = Table(title="A running system before faults and after them"), True
    for name in ("of", "what", "before", "after", "back"):
        table.add_column(name, justify="left" if name in ("of", "what", "back") else "right")
    for (of, what), value in before.values.items():
        now = after.values.get((of, what))
        share, amount = _SLACK[what]
        fits = now is not None and now <= value * (1 + share) + amount
        is_back &= fits
        table.add_row(of, what, f"{value:,.1f}", "gone" if now is None else f"{now:,.1f}", "yes" if fits else "NO")
    return table, is_back
