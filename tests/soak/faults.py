"""Which faults strike the soak's system, and which incidents is each to open?"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tasks.domain.incidents import Kind
from tests.soak.measured import services
from tests.up_process import UpProcess

_VANISH = 5  # files of each folder that vanish
_ESPN, _NBA = "espn_box_scores", "nba_api_playbyplay"  # folders of files of games


@dataclass(frozen=True)
class Fault:
    """A fault: a block while which it is there, which yields why it cannot be, and the incidents that it opens.

    `opens` has the kinds and the sources of their scopes, "" for an incident of everything. The fault ends once all of
    them are open, and after `at_most` seconds at the latest. Nobody can see in a locked ledger what is open.
    """

    strikes: Callable[[UpProcess], AbstractContextManager[str | None]]
    opens: frozenset[tuple[Kind, str]]
    at_most: float = 180.0


@contextmanager
def refusing_sites(system: UpProcess) -> Iterator[str | None]:
    """A block in which one site refuses all requests, and another one answers with other games than was asked for.

    Files of both have vanished from the lake.
    """
    controls = f"http://127.0.0.1:{_port_of_the_sandbox(system)}/_sandbox/faults"
    for source, kind in (("espn", "403"), ("nba_api", "wrong_id")):
        fault = {"source": source, "kind": kind, "share": 1.0}
        httpx.post(controls, json=fault, trust_env=False, timeout=30).raise_for_status()
    lose_files(system, _ESPN)
    lose_files(system, _NBA)
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
def lake_away(system: UpProcess) -> Iterator[str | None]:
    """A block in which the folder of the lake is elsewhere. A file is in its place, so that no run makes it anew."""
    lake, elsewhere = system.home / "lake", system.home / "elsewhere"
    lake.rename(elsewhere)
    lake.touch()
    try:
        yield None
    finally:
        lake.unlink()
        elsewhere.rename(lake)


@contextmanager
def read_only_lake(system: UpProcess) -> Iterator[str | None]:
    """A block in which the lake cannot be written, so that no run works through its plan."""
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
def hanging_server(system: UpProcess) -> Iterator[str | None]:
    """A block in which Prefect's server does not answer."""
    server = services(system)["server"]
    server.suspend()
    try:
        yield None
    finally:
        server.resume()


@contextmanager
def killed_processes(system: UpProcess) -> Iterator[str | None]:
    """A block at whose begin the server, the worker, the service, and runs are killed. All of them begin anew."""
    victims = [process.pid for role, process in services(system).items() if role in ("server", "worker", "serve")]
    runs = [pid for pid in system.processes() if b"prefect.engine" in _command(pid)]
    for pid in [*victims, *runs]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    yield None


FAULTS: Mapping[str, Fault] = {
    "sites refuse, and files vanish": Fault(
        refusing_sites,
        frozenset(
            {
                (Kind.SOURCE_PAUSED, "espn"),
                (Kind.CRITICAL_FAILURES, "espn"),
                (Kind.LOST, "espn"),
                (Kind.LOST, "nba_api"),
                (Kind.CHECKS, "nba_api"),
                (Kind.CRITICAL_FAILURES, "nba_api"),
            }
        ),
    ),
    "the ledger is locked": Fault(locked_ledger, frozenset({(Kind.LEDGER, "")}), at_most=90.0),
    "the lake is away": Fault(lake_away, frozenset({(Kind.LAKE, "")})),
    "the lake is read-only": Fault(read_only_lake, frozenset({(Kind.NO_RECONCILE, "")}), at_most=240.0),
    "Prefect's server hangs": Fault(hanging_server, frozenset({(Kind.PREFECT, "")})),
    "processes are killed": Fault(killed_processes, frozenset(), at_most=15.0),
}


def lose_files(system: UpProcess, folder: str) -> None:
    """Deletes the files of the last games in a folder of the lake, which are CRITICAL."""
    for file in sorted((system.home / "lake" / folder).rglob("*.json"))[-_VANISH:]:
        file.unlink(missing_ok=True)


def _port_of_the_sandbox(system: UpProcess) -> int:
    words = services(system)["sandbox"].cmdline()
    return int(words[words.index("--port") + 1])


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
