"""How are the processes of `adce up` started, restarted and ended?"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployments.up.lines import Line, document_in, line_of, without_boxes
from tasks.domain.errors import AdceError
from tasks.upstream import guard

_LINES_KEPT = 10
_FRAME = re.compile(r"^[\s|]*(?:\+[-+\s\d.]*$|\|\s*)")  # what Python draws around the errors of a group
_ERROR = re.compile(r"(?:\w+\.)*(\w*(?:Error|Exception|Exit|Interrupt): .*)")  # the line after a traceback
_LOGGED = re.compile(r"adce: (info|warning|error): (.*)")  # how deployments.cli.terminal writes a line of the log
_STOP_SECONDS = 10.0
_PREFECTS_FAREWELL = "An exception occurred."  # the last line of Prefect's command after an error, which says nothing


class GivenUp(AdceError):  # noqa: N818 (the name says what has happened)
    """What `adce up` needs is not there, or does not keep running. It may be there later."""


@dataclass(frozen=True)
class Need:
    """Something that a child cannot run without, and that comes back by itself."""

    what: str  # as a clause: "the Prefect API answers"
    is_met: asyncio.Event


@dataclass(frozen=True)
class Child:
    """A process to start."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # variables added to this process's environment
    stops_within: float = _STOP_SECONDS  # seconds from SIGTERM to SIGKILL
    cwd: Path | None = None
    is_shown: bool = True  # whether its output is worth showing
    is_adce: bool = False  # whether it is a command of ADCE, whose log is told
    needs: Need | None = None  # it is started only while this is met; a death while it is not does not count
    is_vital: bool = True  # if it is not, everything else goes on without it, and it is started again now and then


@dataclass(frozen=True)
class RestartPolicy:
    """When a child that dies is restarted: after 1, 2, 4 … seconds, until it has died `most_deaths` times in a row."""

    first_wait: float = 1.0  # seconds
    longest_wait: float = 30.0  # seconds
    most_deaths: int = 6
    rarely: float = 600.0  # seconds between two starts of a child that is not vital and has died so often
    stable_after: float = 60.0  # seconds; if a child lived longer, its earlier deaths no longer count


class Children:
    """Processes that are restarted when they die. Each runs under a guard, which ends all processes that it started.

    `stop` ends them all. If this process is killed, their guards end them.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        policy: RestartPolicy = RestartPolicy(),
        show: Callable[[str, str], None] | None = None,
        tell: Callable[[Line], None] | None = None,
        note: Callable[[Mapping[str, Any]], None] | None = None,
    ):
        """`say` is told what has happened to a child. `show` is given a child's name and a line of its output.

        `tell` is given a line of the log of a command of ADCE; such a line is not shown. `note` is given what other
        children, such as runs, have written as JSON.
        """
        self._say = say
        self._policy = policy
        self._show = show
        self._tell = tell
        self._note = note
        self._keeping: dict[str, asyncio.Task[None]] = {}  # by the name of the child
        self._running: list[_Running] = []  # in the order of their starts
        self._given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def keep(self, child: Child) -> None:
        """Starts a child, and restarts it whenever it ends, until it has died too often (see `given_up`)."""
        task = asyncio.create_task(self._keep(child))
        task.add_done_callback(self._note_the_end)
        self._keeping[child.name] = task

    async def run(self, child: Child, within: float | None = None) -> list[str]:
        """Runs a child once, until it ends. Returns its last lines.

        Raises AdceError, with the error that it said, if its status is not 0. After `within` seconds, it kills the
        child and raises TimeoutError.
        """
        try:
            async with asyncio.timeout(within):
                status, lines = await self._run(child)
        except TimeoutError:
            for running in self._running:
                if running.child is child:
                    running.send(signal.SIGKILL)
            raise
        if status:
            raise AdceError(f"{child.name} ended with {_described(status)}{error_in(lines)}")
        return lines

    async def given_up(self) -> None:
        """Waits until a child has died too many times in a row, and raises GivenUp."""
        await asyncio.shield(self._given_up)

    async def end(self, child: Child) -> None:
        """Ends one child before the others, as `stop` does, and does not start it again."""
        task = self._keeping[child.name]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for running in [running for running in self._running if running.child is child]:
            await self._end(running)
            self._running.remove(running)

    async def stop(self) -> None:
        """Ends all children in reverse order of their starts, each with SIGTERM first and SIGKILL after its time."""
        for task in self._keeping.values():
            task.cancel()
        await asyncio.gather(*self._keeping.values(), return_exceptions=True)
        for running in reversed(self._running):
            await self._end(running)

    def kill(self) -> None:
        """Kills all children at once, so that `stop` need not wait for them."""
        for running in self._running:
            running.send(signal.SIGKILL)

    async def _keep(self, child: Child) -> None:
        deaths = 0
        while True:
            if child.needs:
                await child.needs.is_met.wait()
            begun = time.monotonic()
            status, lines = await self._run(child)
            last = error_in(lines) if 0 < status < 128 else ""
            if child.needs and not child.needs.is_met.is_set():
                deaths = 0
                self._say(
                    f"{child.name} died with {_described(status)}{last}; it is started again when {child.needs.what}"
                )
                continue
            deaths = 1 if time.monotonic() - begun >= self._policy.stable_after else deaths + 1
            wait = min(self._policy.first_wait * 2 ** (deaths - 1), self._policy.longest_wait)
            if deaths >= self._policy.most_deaths:
                if child.is_vital:
                    raise GivenUp(f"{child.name} died {deaths} times in a row, now with {_described(status)}{last}")
                wait = self._policy.rarely
            self._say(f"{child.name} died with {_described(status)}{last}; it is started again in {wait:g} s")
            await asyncio.sleep(wait)

    def _note_the_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._given_up.done():
            self._given_up.set_exception(error)

    async def _run(self, child: Child) -> tuple[int, list[str]]:
        """Runs a child to its end. Returns its exit status and its last lines.

        If the caller is cancelled, `stop` ends the child. For this the child is registered before the first await.
        """
        running = _Running(
            child, self._show if child.is_shown else None, self._tell if child.is_adce else None, self._note
        )
        self._running.append(running)
        status = await asyncio.to_thread(running.wait)
        self._running.remove(running)
        return status, list(running.lines)

    async def _end(self, running: _Running) -> None:
        running.send(signal.SIGTERM)
        ended = asyncio.create_task(asyncio.to_thread(running.wait))
        within = running.child.stops_within
        if not (await asyncio.wait({ended}, timeout=within))[0]:
            self._say(f"{running.child.name} has not stopped within {within:g} s and is killed")
            running.send(signal.SIGKILL)
            await ended


class _Running:
    """A child that runs under its guard, and its last lines of output.

    The guard runs as long as the child and everything that the child has started.
    """

    def __init__(
        self,
        child: Child,
        show: Callable[[str, str], None] | None,
        tell: Callable[[Line], None] | None,
        note: Callable[[Mapping[str, Any]], None] | None,
    ):
        self.child = child
        self._tell = tell
        self._note = note
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._show = show
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
        """Has the guard send a signal to the child."""
        assert self._process.stdin
        with suppress(BrokenPipeError, ValueError):  # it has ended, and its pipe may be closed
            self._process.stdin.write(bytes([number]))
            self._process.stdin.flush()

    def wait(self) -> int:
        """Waits until the child has ended. Returns its exit status."""
        assert self._process.stdin
        status = self._process.wait()
        self._process.stdin.close()
        self._listening.join(1)  # it takes longer only if the guard was killed and the child's processes live on
        return status

    def _listen(self) -> None:
        assert self._process.stdout
        with self._process.stdout as output:
            for line in output:
                if text := line.decode(errors="replace").rstrip():
                    self.lines.append(text)
                    self._pass_on(text)

    def _pass_on(self, text: str) -> None:
        document = document_in(text)
        if self._tell and document:
            self._tell(line_of(self.child.name, document))
        elif self._tell and (logged := _LOGGED.fullmatch(text)):
            level = logging.getLevelNamesMapping()[logged[1].upper()]
            self._tell(Line(f"{self.child.name}: {logged[2]}", level))
        else:
            if self._note and document:
                self._note(document)
            if self._show:
                self._show(self.child.name, text)


def error_in(lines: Sequence[str]) -> str:
    """Why a process has ended, in brackets: its last error, or the last line of its output that says something."""
    shown = [_FRAME.sub("", without_boxes(line), count=1) for line in lines]
    texts = [text for text in shown if text and text != _PREFECTS_FAREWELL]
    errors = [found[1] for text in texts if (found := _ERROR.fullmatch(text))]
    return f" ({[*texts, *errors][-1]})" if texts else ""


def _described(status: int) -> str:
    """The exit status in words: the name of the signal that ended the guard (negative) or the child (from 128 up)."""
    number = abs(status) if status < 0 else status - 128
    return signal.Signals(number).name if number in set(signal.Signals) else f"status {status}"
