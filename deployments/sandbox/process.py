"""How does a program start, control and stop a sandbox in another process?"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import httpx

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS, _STOP_SECONDS = 30, 5


class SandboxError(Exception):
    """The sandbox did not start, or refused a request to its controls."""


@dataclass
class SandboxProcess:
    """A sandbox in a process of its own, which runs during a `with` block. It also ends when this process ends.

    It has a session of its own, so that Ctrl-C in a terminal does not reach it: a run that is stopped then may still
    ask it for the files that it has begun.

    Rates and faults are written as on the command line: {"espn": "10/1"} and "espn:500:0.1". Starting it raises
    SandboxError if it does not answer within 30 seconds.
    """

    seed: int = 0
    games_per_day: int = 3
    odd_games: bool = False
    rates: Mapping[str, str] = field(default_factory=dict)
    hang_over_limit: Iterable[str] = ()
    faults: Iterable[str] = ()
    routes: Path | None = None  # file of further answers
    latency: float = 0.0
    clock: str | None = None
    url: str = field(default="", init=False)
    base_urls: dict[str, str] = field(default_factory=dict, init=False)
    _process: subprocess.Popen[str] | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> "SandboxProcess":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deployments.sandbox", *self._options()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))},
        )
        assert self._process.stdout is not None
        line = _first_line(self._process.stdout)
        if not line:
            self.stop()
            raise SandboxError(f"the sandbox did not start: {' '.join(self._options())}")
        listening = json.loads(line)
        self.url, self.base_urls = listening["url"], listening["base_urls"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise SandboxError("the sandbox is not running")
        return self._process.pid

    def stop(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        with process:  # closes its pipes; the sandbox exits when its standard input closes
            if process.stdin:
                process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def requests(self) -> list[dict[str, Any]]:
        """The logged requests in order of arrival, with time, monotonic, source, url, status, fault and limited."""
        return self._control("GET", "requests")  # type: ignore[no-any-return]  # the sandbox's own JSON

    def clear_requests(self) -> None:
        self._control("DELETE", "requests")

    def forget_accepted(self) -> None:
        """Counts none of the requests so far towards the rates."""
        self._control("DELETE", "rates")

    def set_faults(
        self, source: str, kind: str, share: float = 1.0, *, first: int | None = None, match: str = ""
    ) -> None:
        """Adds a fault for a share of the requests whose path and query contain `match`, or of the first few."""
        fault = {"source": source, "kind": kind, "share": share, "first": first, "match": match}
        self._control("POST", "faults", fault)

    def clear_faults(self) -> None:
        self._control("DELETE", "faults")

    def correct(self, game_id: str, source: str | None = None) -> None:
        """Credits one more rebound of a final game to another player, in all further answers of one or all sources.

        `game_id` is the game's id at any of the sites. Raises SandboxError for a game that is not final.
        """
        self._control("POST", "corrections", {"game_id": game_id, "source": source})

    def clear_corrections(self) -> None:
        self._control("DELETE", "corrections")

    def set_clock(self, now: str | None) -> None:
        """Stops the clock at a moment; None starts the real clock again."""
        self._control("POST", "clock", {"now": now})

    def _control(self, method: str, name: str, body: object = None) -> Any:
        # The sandbox is on this machine: the environment's proxies do not apply, and no certificates are read.
        with httpx.Client(trust_env=False, verify=False, timeout=30) as client:
            response = client.request(method, f"{self.url}/_sandbox/{name}", json=body)
        if response.is_error:
            raise SandboxError(f"the sandbox refused {name}: {response.text}")
        return response.json()

    def _options(self) -> list[str]:
        options = ["--port", "0", "--seed", str(self.seed), "--games-per-day", str(self.games_per_day)]
        options += [f"--rate={source}={rate}" for source, rate in self.rates.items()]
        options += [f"--hang-over-limit={source}" for source in self.hang_over_limit]
        options += [f"--fault={fault}" for fault in self.faults]
        options += [f"--latency={self.latency}"]
        options += [f"--routes={self.routes}"] if self.routes else []
        options += ["--odd-games"] if self.odd_games else []
        return options + ([f"--clock={self.clock}"] if self.clock else [])


def _first_line(stream: IO[str]) -> str:
    """The first line of the stream; empty if the process ends, or prints nothing for 30 seconds."""
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.append(stream.readline()), daemon=True)
    reader.start()
    reader.join(_START_SECONDS)
    return lines[0] if lines else ""
