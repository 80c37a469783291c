"""What keeps the processes of one system running, and ends them all with it?"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tasks.domain.errors import AdceError
from tasks.upstream import guard

_LINES_KEPT = 10
_STOP_SECONDS = 10.0


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


class Children:
    """Processes that are kept running, each under a guard, which ends it with all that it has started.

    `stop` ends them all; their guards do so when this process is killed.
    """

    def __init__(self, say: Callable[[str], None], patience: Patience = Patience(), *, verbose: bool = False):
        self._say = say
        self._patience = patience
        self._verbose = verbose
        self._keeping: list[asyncio.Task[None]] = []
        self._running: list[_Running] = []  # in the order of their starts
        self._given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def keep(self, child: Child) -> None:
        """Starts it, and again whenever it ends. See `given_up`."""
        task = asyncio.create_task(self._keep(child))
        task.add_done_callback(self._note_the_end)
        self._keeping.append(task)

    async def run(self, child: Child) -> None:
        """Runs a child to its end. Raises AdceError when that is not a good one."""
        status, said = await self._run(child)
        if status:
            raise AdceError("\n".join([f"{child.name} ended with {_told(status)}; it said:", *said]))

    async def given_up(self) -> None:
        """Waits until a child keeps dying, and raises GivenUp."""
        await asyncio.shield(self._given_up)

    async def stop(self) -> None:
        """Ends all, the last one first, each within its time."""
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for running in reversed(self._running):
            await self._end(running)

    def kill(self) -> None:
        """Ends all at once; `stop` then has nothing to wait for."""
        for running in self._running:
            running.send(signal.SIGKILL)

    async def _keep(self, child: Child) -> None:
        deaths = 0
        while True:
            begun = time.monotonic()
            status, said = await self._run(child)
            deaths = 1 if time.monotonic() - begun >= self._patience.lives else deaths + 1
            if deaths >= self._patience.deaths:
                died = f"{child.name} died {deaths} times in a row, now with {_told(status)}:"
                raise GivenUp("\n".join([died, *said]))
            wait = min(self._patience.first_wait * 2 ** (deaths - 1), self._patience.longest_wait)
            last = f" ({said[-1]})" if said and 0 < status < 128 else ""
            self._say(f"{child.name} died with {_told(status)}{last}; it is started again in {wait:g} s")
            await asyncio.sleep(wait)

    def _note_the_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._given_up.done():
            self._given_up.set_exception(error)

    async def _run(self, child: Child) -> tuple[int, list[str]]:
        """Its status, and its last lines. Whoever is cancelled here leaves the child to `stop`.

        Nothing is awaited before `stop` knows of a child that was started.
        """
        running = _Running(child, self._say if self._verbose else lambda line: None)
        self._running.append(running)
        status = await asyncio.to_thread(running.wait)
        self._running.remove(running)
        return status, list(running.said)

    async def _end(self, running: _Running) -> None:
        running.send(signal.SIGTERM)
        ended = asyncio.create_task(asyncio.to_thread(running.wait))
        within = running.child.stops_within
        if not (await asyncio.wait({ended}, timeout=within))[0]:
            self._say(f"{running.child.name} has not stopped within {within:g} s and is killed")
            running.send(signal.SIGKILL)
            await ended


class _Running:
    """A child's guard, which runs as long as the child and what that has started, and what they say."""

    def __init__(self, child: Child, say: Callable[[str], None]):
        self.child = child
        self.said: deque[str] = deque(maxlen=_LINES_KEPT)
        self._say = say
        self._process = subprocess.Popen(
            guard.argv([*child.argv], within=child.stops_within, after=child.stops_within),
            cwd=child.cwd,
            env={**os.environ, **child.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def send(self, number: signal.Signals) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError, ValueError):  # it has ended, and its pipe may be closed
            self._process.stdin.write(bytes([number]))
            self._process.stdin.flush()

    def wait(self) -> int:
        assert self._process.stdin
        status = self._process.wait()
        self._process.stdin.close()
        self._listening.join(1)  # longer only if the guard was killed, and something of the child lives on
        return status

    def _listen(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                if text := line.decode(errors="replace").rstrip():
                    self.said.append(text)
                    self._say(f"{self.child.name:8} | {text}")


def _told(status: int) -> str:
    number = abs(status) if status < 0 else status - 128  # of a signal: the guard's own, or the child's
    return signal.Signals(number).name if number in set(signal.Signals) else f"status {status}"
