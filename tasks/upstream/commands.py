"""How does a command fetch files? It runs under a guard, in its own folder, and then its files are read."""

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
from config.secrets import is_place
from tasks.domain.errors import FetchError
from tasks.domain.expected.keys import FIELD_PATTERNS
from tasks.domain.wording import duration
from tasks.upstream import guard

log = logging.getLogger(__name__)

_KEPT = 16 * 1024  # how many bytes are kept of the beginning of a command's output, and of its end
_GRACE = 3.0  # seconds from SIGTERM to SIGKILL
_GUARD_ENDS_WITHIN = 10.0  # seconds that the guard gets to end all processes
_LINE = 200  # how many characters of the output an error message shows


@dataclass(frozen=True)
class Prepared:
    """A command that is ready to run: its values have been checked."""

    line: str  # the command line, for messages
    command: Command
    values: Mapping[str, str]
    environment: Mapping[str, str]
    largest: int  # the largest allowed size of a file in bytes

    async def run(self) -> list[bytes]:
        """Runs the command and returns the contents of its files, in the order of `files`.

        Raises FetchError if the command fails, takes too long, or does not write one of the files. All processes that
        the command has started end before this returns, even if it is cancelled.
        """
        with TemporaryDirectory(prefix="adce-", ignore_cleanup_errors=True) as out:
            status, output = await self._run_in(out)
            if status:
                last = f": {output.last_line()}" if output.last_line() else ", without any output"
                raise FetchError(f"{self.line}: exit status {status}{last}")
            return [self._read(Path(out), name.format_map(self.values)) for name in self.command.files]

    async def _run_in(self, out: str) -> tuple[int, Output]:
        """The exit status and the output of the command, run with the folder `out` for its files."""
        own = {"out": out, "python": sys.executable, "script": self.command.script or ""}
        argv = [_from_here(part).format_map({**own, **self.values}) for part in self.command.argv]
        environment = {"HOME": out, "TMPDIR": out, **self.environment}
        if shutil.which(argv[0], path=environment["PATH"]) is None:
            raise FetchError(f"{self.line}: the PATH has no executable program {argv[0]!r}")
        timeout = self.command.timeout
        given = {name: environment[name] for name in self.command.environment}
        output = Output([value for name, value in given.items() if not is_place(name, value)])
        begun = time.monotonic()
        # With a pipe of asyncio's, wait() would return only when every descendant has closed it.
        read, write = os.pipe()
        reading = asyncio.create_task(output.read(read))
        try:
            process = await asyncio.create_subprocess_exec(
                *guard.argv(argv, within=_GRACE, folder=out),
                cwd=self.command.cwd or out,
                env=environment,
                stdin=asyncio.subprocess.PIPE,  # closes when this process ends, so that the guard ends the command
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
                await asyncio.wait({ending, reading}, timeout=_GUARD_ENDS_WITHIN)
            finally:
                reading.cancel()
                ending.cancel()
                log.info("%s: %s, %.1f s%s", self.line, how, time.monotonic() - begun, output.for_the_log())
        return ending.result(), output

    def _read(self, out: Path, name: str) -> bytes:
        """The contents of a file in the folder `out`. Raises FetchError if it is missing, too large or elsewhere."""
        try:
            path = (out / name).resolve()
            if not path.is_relative_to(out.resolve()):
                raise FetchError(f"{self.line}: its file {name} is a link out of its folder, and is not read")
            if not path.is_file():
                there = ", ".join(sorted(entry.name for entry in out.iterdir())[:10])
                raise FetchError(f"{self.line}: it left no file {name} in its folder, which has {there or 'no files'}")
            if path.stat().st_size > self.largest:
                raise FetchError(f"{self.line}: its file {name} has more than {self.largest} bytes")
            return path.read_bytes()
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            raise FetchError(f"{self.line}: its file {name} cannot be read: {error}") from None


def prepare(
    dataset: Dataset, fields: Mapping[str, str], game_id: str, env: Mapping[str, str] = os.environ
) -> Prepared | None:
    """The command that fetches a partition, ready to run; None if the dataset has a URL instead.

    `fields` are those of the partition, and `game_id` is the pattern of the source's game ids. Every field is checked
    against its pattern, even if the command does not declare it, because a game id is text that a site has sent. Raises
    FetchError for a value that does not match, and for a variable of `environment` that is not set.
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
    """An argument; made absolute if it is the path of a file, because the command runs in another folder."""
    return str(Path(part).absolute()) if "/" in part and Path(part).is_file() else part


@dataclass
class Output:
    """The output of a command: its first and its last 16 KB, without the secrets that the command was given."""

    secrets: list[str]
    size: int = 0  # bytes of the whole output
    _head: bytearray = field(default_factory=bytearray)
    _tail: bytearray = field(default_factory=bytearray)

    async def read(self, pipe: int) -> None:
        """Reads a pipe to its end, and closes it."""
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
        """What is kept of the output, with "***" for each secret."""
        head, tail = self._head, self._tail
        if self.size > len(head) + len(tail):  # the gap may cut a secret in two, so its edges are left out as well
            edge = max((len(secret.encode()) for secret in self.secrets), default=0)
            head, tail = head[: max(0, len(head) - edge)], tail[edge:]
        left_out = self.size - len(head) - len(tail)
        gap = f"\n[{left_out} bytes left out]\n".encode() if left_out else b""
        text = (head + gap + tail).decode(errors="replace")
        for secret in filter(None, self.secrets):
            text = text.replace(secret, "***")
        return text.strip()

    def for_the_log(self) -> str:
        """The end of a log line: the output, or "" if there is none."""
        return f"; its output:\n{self.text()}" if self.size else ""

    def last_line(self) -> str:
        """The last line, cut to 200 printable characters."""
        last = next(reversed(self.text().splitlines()), "")
        return "".join(c if c.isprintable() else " " for c in last)[:_LINE].strip()
