"""What does a command bring? It runs under a guard, in a folder of its own, and its files are read at the end."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from config.models import Command, Dataset
from config.secrets import tells_a_place
from tasks.domain.errors import FetchError
from tasks.domain.expected.keys import FIELD_PATTERNS
from tasks.domain.wording import duration
from tasks.upstream import guard

log = logging.getLogger(__name__)

_KEPT = 16 * 1024  # bytes of what a command says: of its beginning, and of its end
_GRACE = 3.0  # seconds from SIGTERM to SIGKILL
_PATIENCE = 10.0  # seconds for the guard to end it all
_LINE = 200  # characters of it in an error


@dataclass(frozen=True)
class Prepared:
    """A command whose values were checked."""

    line: str
    command: Command
    values: Mapping[str, str]
    environment: Mapping[str, str]
    largest: int  # bytes of a file

    async def run(self) -> list[bytes]:
        """Its files. Raises FetchError when it fails, takes too long, or leaves none.

        However this ends, also by a cancel, nothing that the command started goes on.
        """
        with TemporaryDirectory(prefix="adce-", ignore_cleanup_errors=True) as out:
            status, said = await self._run_in(out)
            if status:
                last = f": {said.last_line()}" if said.last_line() else ", and said nothing"
                raise FetchError(f"{self.line}: exit status {status}{last}")
            return [self._read(Path(out), name.format_map(self.values)) for name in self.command.files]

    async def _run_in(self, out: str) -> tuple[int, Said]:
        own = {"out": out, "python": sys.executable, "script": self.command.script or ""}
        argv = [_from_here(part).format_map({**own, **self.values}) for part in self.command.argv]
        environment = {"HOME": out, "TMPDIR": out, **self.environment}
        if shutil.which(argv[0], path=environment["PATH"]) is None:
            raise FetchError(f"{self.line}: no program {argv[0]!r} on the PATH that may be run")
        timeout = self.command.timeout
        given = {name: environment[name] for name in self.command.environment}
        said = Said([value for name, value in given.items() if not tells_a_place(name, value)])
        begun = time.monotonic()
        read, write = os.pipe()  # our own: asyncio holds a process for running as long as anybody has a pipe of its
        hearing = asyncio.create_task(said.hear(read))
        try:
            process = await asyncio.create_subprocess_exec(
                *guard.argv(argv, within=_GRACE, folder=out),
                cwd=self.command.cwd or out,
                env=environment,
                stdin=asyncio.subprocess.PIPE,  # closes with this process, which is what the guard waits for
                stdout=write,
                stderr=write,
                start_new_session=True,
            )
        except OSError as error:
            raise FetchError(f"{self.line}: cannot be run in {self.command.cwd or out}: {error.strerror}") from None
        finally:
            os.close(write)
        assert process.stdin
        ending = asyncio.create_task(process.wait())
        how = "cut short"
        try:
            if not (await asyncio.wait({ending}, timeout=timeout.total_seconds()))[0]:
                how = f"stopped after its timeout of {duration(timeout)}"
                raise FetchError(f"{self.line}: {how}")
            how = f"exit status {ending.result()}"
        finally:
            process.stdin.close()
            try:
                await asyncio.wait({ending, hearing}, timeout=_PATIENCE)
            finally:
                hearing.cancel()
                ending.cancel()
                log.info("%s: %s, %.1f s%s", self.line, how, time.monotonic() - begun, said.told())
        return ending.result(), said

    def _read(self, out: Path, name: str) -> bytes:
        try:
            path = (out / name).resolve()
            if not path.is_relative_to(out.resolve()):
                raise FetchError(f"{self.line}: its file {name} is a link to outside its folder, and is not read")
            if not path.is_file():
                there = ", ".join(sorted(entry.name for entry in out.iterdir())[:10])
                raise FetchError(f"{self.line}: it left no file {name} in its folder; there: {there or 'nothing'}")
            if path.stat().st_size > self.largest:
                raise FetchError(f"{self.line}: its file {name} has more than {self.largest} bytes")
            return path.read_bytes()
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise FetchError(f"{self.line}: its file {name} cannot be read: {error}") from None


def prepare(
    dataset: Dataset, fields: Mapping[str, str], game_id: str, env: Mapping[str, str] = os.environ
) -> Prepared | None:
    """The command that fills a partition, if it is a command. Raises FetchError for a value that is not to be run with.

    Ids of games are what a site said, so the shape of every field is checked, declared or not.
    """
    command = dataset.command
    if command is None:
        return None
    line = command.line.format_map(fields)
    for name, value in fields.items():
        shape = game_id if name == "id" else FIELD_PATTERNS[name]
        problem = None if re.fullmatch(shape, value) else f"{value!r} does not match {shape!r}"
        if problem := problem or command.problem(name, value):
            raise FetchError(f"{line}: {name}: {problem}; it was not run")
    environment = {name: env[name] for name in ("PATH", "LANG") if name in env}
    for name in command.environment:
        if name not in env:
            raise FetchError(f"{line}: the environment variable {name} that it needs is not set; it was not run")
        environment[name] = env[name]
    values = {**command.fixed, **fields}
    return Prepared(line, command, values, {"PATH": os.defpath, **environment}, dataset.largest)


def _from_here(part: str) -> str:
    """A part with a / that is a file, seen from where ADCE runs, by its full path: the command runs elsewhere."""
    return str(Path(part).absolute()) if "/" in part and Path(part).is_file() else part


@dataclass
class Said:
    """What a command says: the beginning and the end of it, however much it is, without the secrets it was given."""

    secrets: list[str]
    size: int = 0
    _head: bytearray = field(default_factory=bytearray)
    _tail: bytearray = field(default_factory=bytearray)

    async def hear(self, pipe: int) -> None:
        """Reads the pipe to its end, and closes it."""
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(pipe, "rb", buffering=0)
        )
        try:
            while piece := await stream.read(65536):
                self.size += len(piece)
                room = _KEPT - len(self._head)
                self._head += piece[:room]
                self._tail += piece[room:]
                del self._tail[:-_KEPT]
        finally:
            transport.close()

    def text(self) -> str:
        head, tail = self._head, self._tail
        if self.size > len(head) + len(tail):  # without what may be a part of a secret at the two edges
            edge = max((len(secret.encode()) for secret in self.secrets), default=0)
            head, tail = head[: max(0, len(head) - edge)], tail[edge:]
        left_out = self.size - len(head) - len(tail)
        gap = f"\n[{left_out} bytes left out]\n".encode() if left_out else b""
        text = (head + gap + tail).decode(errors="replace")
        for secret in filter(None, self.secrets):
            text = text.replace(secret, "***")
        return text.strip()

    def told(self) -> str:
        return f"; it said:\n{self.text()}" if self.size else ""

    def last_line(self) -> str:
        last = next(reversed(self.text().splitlines()), "")
        return "".join(c if c.isprintable() else " " for c in last)[:_LINE].strip()
