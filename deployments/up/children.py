"""What keeps the processes of one system running, and ends them all with it?"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deployments.up import groups
from tasks.domain.errors import AdceError

_LINES_KEPT = 10
_STOP_SECONDS = 10.0
_LOOK_AGAIN = 0.05  # seconds


class GivenUp(AdceError):  # noqa: N818 (says what has happened; there is nothing to correct)
    """Something does not run, and trying again has not helped. Later it may."""


@dataclass(frozen=True)
class Child:
    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # over this process's
    stops_within: float = _STOP_SECONDS  # of SIGTERM, or it is killed
    cwd: Path | None = None


@dataclass(frozen=True)
class Patience:
    """How a child that dies is started again: after 1, 2, 4 … seconds, until it has died so many times in a row."""

    first_wait: float = 1.0
    longest_wait: float = 30.0
    deaths: int = 6
    lives: float = 60.0  # seconds after which it has not died "in a row"


@dataclass(frozen=True)
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    said: deque[str]  # its last lines
    listening: threading.Thread


class Children:
    """Processes that are kept running, each with what it starts in a process group of its own.

    `stop` ends them all; a guard does so when this process is killed.
    """

    def __init__(self, say: Callable[[str], None], patience: Patience = Patience(), *, verbose: bool = False):
        self._say = say
        self._patience = patience
        self._verbose = verbose
        self._keeping: list[asyncio.Task[None]] = []
        self._running: dict[int, _Running] = {}  # by process group, in the order of their starts
        self._at_once = False
        self._guard = subprocess.Popen(
            [sys.executable, "-I", groups.__file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def keep(self, child: Child) -> None:
        """Starts it, and again whenever it ends. See `given_up`."""
        self._keeping.append(asyncio.create_task(self._keep(child)))

    async def run(self, child: Child) -> None:
        """Runs a child to its end. Raises AdceError when that is not a good one."""
        status, said = await self._run(child)
        if status:
            raise AdceError("\n".join([f"{child.name} ended with {_told(status)}; it said:", *said]))

    async def given_up(self) -> None:
        """Waits until a child keeps dying, and raises GivenUp."""
        while True:
            for task in self._keeping:
                if task.done():
                    task.result()
            await asyncio.sleep(_LOOK_AGAIN)

    async def stop(self) -> None:
        """Ends all, the last one first, each within its time."""
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for running in reversed(list(self._running.values())):
            await self._end(running)
        assert self._guard.stdin
        self._guard.stdin.close()
        await asyncio.to_thread(self._guard.wait)

    def kill(self) -> None:
        """Ends all at once; `stop` then has nothing to wait for."""
        self._at_once = True
        for group in self._running:
            groups.send(group, signal.SIGKILL)

    async def _keep(self, child: Child) -> None:
        deaths = 0
        while True:
            begun = time.monotonic()
            status, said = await self._run(child)
            deaths = 1 if time.monotonic() - begun >= self._patience.lives else deaths + 1
            if deaths >= self._patience.deaths:
                raise GivenUp(
                    "\n".join([f"{child.name} died {deaths} times in a row, now with {_told(status)}:", *said])
                )
            wait = min(self._patience.first_wait * 2 ** (deaths - 1), self._patience.longest_wait)
            last = f" ({said[-1]})" if said and status > 0 else ""
            self._say(f"{child.name} died with {_told(status)}{last}; it is started again in {wait:g} s")
            await asyncio.sleep(wait)

    async def _run(self, child: Child) -> tuple[int, list[str]]:
        """Its status, and its last lines. Whoever is cancelled here leaves the child to `stop`."""
        running = self._start(child)
        while (status := running.process.poll()) is None:
            await asyncio.sleep(_LOOK_AGAIN)
        await self._end(running)  # what it has left behind
        return status, list(running.said)

    def _start(self, child: Child) -> _Running:
        """Nothing is awaited here: a child that was started is known to `stop` and to the guard."""
        process = subprocess.Popen(
            child.argv,
            cwd=child.cwd,
            env={**os.environ, **child.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._tell_guard(f"+ {process.pid} {child.stops_within}")
        said: deque[str] = deque(maxlen=_LINES_KEPT)
        listening = threading.Thread(target=self._listen, args=(child, process, said), daemon=True)
        running = self._running[process.pid] = _Running(child, process, said, listening)
        listening.start()
        return running

    def _listen(self, child: Child, process: subprocess.Popen[bytes], said: deque[str]) -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                if text := line.decode(errors="replace").rstrip():
                    said.append(text)
                    if self._verbose:
                        self._say(f"{child.name:8} | {text}")

    async def _end(self, running: _Running) -> None:
        child, group = running.child, running.process.pid
        groups.send(group, signal.SIGTERM)
        until = time.monotonic() + child.stops_within
        while groups.is_alive(group) and time.monotonic() < until and not self._at_once:
            await asyncio.sleep(_LOOK_AGAIN)
        if groups.is_alive(group):
            if not self._at_once:
                self._say(f"{child.name} has not stopped within {child.stops_within:g} s and is killed")
            groups.send(group, signal.SIGKILL)
        self._running.pop(group, None)
        self._tell_guard(f"- {group}")
        running.process.wait()
        running.listening.join(1)

    def _tell_guard(self, line: str) -> None:
        assert self._guard.stdin
        with suppress(BrokenPipeError):  # it was killed; this process still looks after its own
            self._guard.stdin.write(line + "\n")
            self._guard.stdin.flush()


def _told(status: int) -> str:
    return f"status {status}" if status >= 0 else signal.Signals(-status).name
