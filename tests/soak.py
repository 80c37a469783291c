"""Does a running system come back to where it was after faults? `make soak` tries that for ten minutes.

`adce up --sandbox` fills a lake in which files vanish again and again, while sites refuse, the ledger is locked, the
lake is read-only, and processes are killed, one after another. Then all of that ends, and the system is measured again.
No incident of these faults may still hold then.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from tasks.domain.access import Access
from tasks.domain.incidents import BY_KIND, Incident, Kind
from tasks.ledger import Ledger
from tests.up_process import UpProcess

_COMPLETE = ": Completed: Complete: "
_PATIENCE = 600.0  # seconds in which a system without faults has to complete its lake
_EVALUATED_WITHIN = timedelta(minutes=2)
_SAMPLES = 15  # one a second
_VANISH = 5  # files that vanish before each fault
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


@contextmanager
def refusing_sites(system: UpProcess) -> Iterator[str | None]:
    """A block in which two sites refuse requests, and one sends errors. Yields why there is no such fault."""
    controls = f"http://127.0.0.1:{_port_of_the_sandbox(system)}/_sandbox/faults"
    faults = (("espn", "403", 1.0), ("nba_api", "429", 0.5), ("basketball_reference", "500", 0.5))
    for source, kind, share in faults:
        fault = {"source": source, "kind": kind, "share": share}
        httpx.post(controls, json=fault, trust_env=False, timeout=30).raise_for_status()
    try:
        yield None
    finally:
        httpx.delete(controls, trust_env=False, timeout=30).raise_for_status()


@contextmanager
def locked_ledger(system: UpProcess) -> Iterator[str | None]:
    """A block in which another program writes to the ledger."""
    with closing(sqlite3.connect(system.home / "ledger.db", timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield None
        connection.execute("ROLLBACK")


@contextmanager
def read_only_lake(system: UpProcess) -> Iterator[str | None]:
    """A block in which the lake cannot be written."""
    lake = str(system.home / "lake")
    if subprocess.run(["mount", "--bind", lake, lake], capture_output=True, check=False).returncode:
        yield "it needs the permission to mount"
        return
    subprocess.run(["mount", "-o", "remount,ro,bind", lake], check=True)
    try:
        yield None
    finally:
        subprocess.run(["umount", "-l", lake], check=True)


@contextmanager
def killed_processes(system: UpProcess) -> Iterator[str | None]:
    """A block at whose begin the server, the worker, and runs are killed."""
    victims = [process for role, process in services(system).items() if role in ("server", "worker", "serve")]
    runs = [pid for pid in system.processes() if b"prefect.engine" in _command(pid)]
    for pid in [process.pid for process in victims] + runs:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    yield None


FAULTS: Mapping[str, Callable[[UpProcess], AbstractContextManager[str | None]]] = {
    "sites refuse": refusing_sites,
    "ledger is locked": locked_ledger,
    "lake is read-only": read_only_lake,
    "processes are killed": killed_processes,
}


def main(seconds: float) -> int:
    """Runs the soak. Returns the exit status: 1 if anything is not back where it was."""
    console, draw = Console(width=120), random.Random(0)
    # Not below the folder for temporary files of whoever starts it, which the names of processes may contain.
    with tempfile.TemporaryDirectory(prefix="adce-soak-") as folder:
        system = UpProcess(Path(folder))
        try:
            if recovery(system) is None:
                console.print("the lake was not filled in time:", *system.lines, sep="\n")
                return 1
            before, ends, strikes = Measurement.of(system), time.monotonic() + seconds, dict.fromkeys(FAULTS, 0)
            skipped: dict[str, str] = {}
            while time.monotonic() < ends:
                for name, fault in FAULTS.items():
                    lose_files(system, draw)
                    with fault(system) as why_not:
                        if why_not:
                            skipped[name] = why_not
                        else:
                            strikes[name] += 1
                        time.sleep(max(0.0, min(seconds / 8, 40.0, ends - time.monotonic())))
            recovered = recovery(system)
            after, incidents = Measurement.of(system), Incidents.of(system)
        finally:
            system.process.send_signal(signal.SIGTERM)
            system.process.wait(120)
        left = system.processes()
    table, is_back = compared(before, after)
    console.print(table)
    console.print(incidents.table())
    for name, count in strikes.items():
        console.print(f"{name}: {skipped.get(name, f'{count} times')}")
    console.print(f"complete again after {recovered:.0f} s" if recovered else "not complete again")
    console.print(f"processes that are left: {len(left)}")
    return 0 if is_back and recovered and not left and not incidents.holding else 1


@dataclass(frozen=True)
class Incidents:
    """How many incidents of each kind were opened, and which of them still hold, or were not evaluated to the end.

    Those that do not hold any more are over, though some are closed only after a while, so that they do not flap.
    """

    opened: Mapping[Kind, int]
    holding: Sequence[Incident]

    @classmethod
    def of(cls, system: UpProcess) -> Incidents:
        """The incidents in the ledger, once they were evaluated anew."""
        begun = datetime.now(UTC)
        with closing(Ledger(f"sqlite:///{system.home / 'ledger.db'}", Access.CHANGE)) as ledger:
            while (evaluated := ledger.incidents.evaluated_at()) is None or evaluated < begun:
                if datetime.now(UTC) - begun > _EVALUATED_WITHIN:
                    raise TimeoutError(f"nobody has evaluated the conditions of incidents since {evaluated}")
                time.sleep(1)
            still_open = ledger.incidents.open()
            closed = ledger.incidents.closed_since(begun - timedelta(days=1))
        opened = Counter(one.kind for one in (*still_open, *closed) if one.opened)
        return cls(opened, [one for one in still_open if one.cleared is None])

    def table(self) -> Table:
        """Each kind that was opened, and whether it holds."""
        table = Table(title="Incidents of these faults")
        for name in ("incident", "opened", "over"):
            table.add_column(name, justify="right" if name == "opened" else "left")
        for kind, count in sorted(self.opened.items()):
            holds = [f"NO: {one.scope} {one.reason}" for one in self.holding if one.kind is kind]
            table.add_row(BY_KIND[kind].title, str(count), "; ".join(holds) or "yes")
        return table


def lose_files(system: UpProcess, draw: random.Random) -> None:
    """Deletes some files of the lake."""
    files = sorted(file for file in (system.home / "lake").rglob("*.json") if "_adce" not in file.parts)
    for file in draw.sample(files, min(_VANISH, len(files))):
        with suppress(OSError):
            file.unlink()


def recovery(system: UpProcess) -> float | None:
    """How many seconds it takes until two runs in a row have left nothing to do; None if they do not within a time."""
    begun, seen = time.monotonic(), len(system.lines)
    while time.monotonic() - begun < _PATIENCE and system.process.poll() is None:
        ends = [line for line in system.lines[seen:] if " reconcile " in line and ": Completed" in line]
        if len(ends) >= 2 and all(_COMPLETE in line for line in ends[-2:]):
            return time.monotonic() - begun
        time.sleep(1)
    return None


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


def _port_of_the_sandbox(system: UpProcess) -> int:
    words = services(system)["sandbox"].cmdline()
    return int(words[words.index("--port") + 1])


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


if __name__ == "__main__":
    sys.exit(main(float(os.environ.get("SECONDS") or 600)))
