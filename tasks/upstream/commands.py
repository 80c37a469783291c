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
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from config.models import FIELD_PATTERNS, Command, Dataset, Source
from config.secrets import is_place
from tasks.domain.errors import FetchError
from tasks.domain.wording import duration, one_line
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
        environment = {"HOME": out, "TMPDIR": out, "PYTHONUNBUFFERED": "1", **self.environment}
        if problem := _why_not_executable(argv[0], environment["PATH"]):
            raise FetchError(f"{self.line}: {problem}")
        timeout = self.command.timeout
        given = {name: environment[name] for name in self.command.environment}
        output = Output([value for name, value in given.items() if not is_place(name, value)])
        begun = time.monotonic()
        # With pipes of asyncio's, wait() would return only when every descendant has closed them.
        (read, write), (read_errors, write_errors) = os.pipe(), os.pipe()
        reading = [asyncio.create_task(output.read(read)), asyncio.create_task(output.read(read_errors, errors=True))]
        try:
            process = await asyncio.create_subprocess_exec(
                *guard.argv(argv, within=_GRACE, folder=out),
                cwd=self.command.cwd or out,
                env=environment,
                stdin=asyncio.subprocess.PIPE,  # closes when this process ends, so that the guard ends the command
                stdout=write,
                stderr=write_errors,
                start_new_session=True,
            )
        except OSError as error:
            raise FetchError(f"{self.line}: cannot be run in {self.command.cwd or out}: {error.strerror}") from None
        finally:
            os.close(write)
            os.close(write_errors)
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
                await asyncio.wait({ending, *reading}, timeout=_GUARD_ENDS_WITHIN)
            finally:
                for task in (ending, *reading):
                    task.cancel()
                log.info("%s: %s, %.1f s%s", self.line, how, time.monotonic() - begun, output.for_the_log())
        return ending.result(), output

    def _read(self, out: Path, name: str) -> bytes:
        """The contents of a file in the folder `out`. Raises FetchError if it is missing, too large or elsewhere."""
        try:
            path = (out / name).resolve()
            if not path.is_relative_to(out.resolve()):
                raise FetchError(f"{self.line}: its file {name} is a link out of its folder, and is not read")
            if not path.is_file():
                raise FetchError(f"{self.line}: {self._why_no_file(out, name)}")
            if path.stat().st_size == 0:
                raise FetchError(f"{self.line}: its file {name} is empty")
            if path.stat().st_size > self.largest:
                raise FetchError(f"{self.line}: its file {name} has more than {self.largest} bytes")
            return path.read_bytes()
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            raise FetchError(f"{self.line}: its file {name} cannot be read: {error}") from None

    def _why_no_file(self, out: Path, name: str) -> str:
        """What to say of a file that is not in the folder `out`: what is there instead, and where the file is."""
        there = ", ".join(sorted(entry.name for entry in out.iterdir())[:10])
        said = f"it left no file {name} in its folder, which has {there or 'no files'}"
        elsewhere = [Path(place) for place in (self.command.cwd, Path(self.command.script or "").parent) if place]
        if found := next((folder for folder in elsewhere if (folder / name).is_file()), None):
            said += f"; there is one in {found.absolute()}"
        where = "the folder that argv names as {out}" if self.command.cwd else "the folder in which it starts"
        return said if there else f"{said}; it must write to {where}"


def prepare(
    dataset: Dataset, fields: Mapping[str, str], source: Source, env: Mapping[str, str] = os.environ
) -> Prepared | None:
    """The command that fetches a partition, ready to run; None if the dataset has a URL instead.

    `fields` are those of the partition, and `source` has the pattern of its game ids. Every field is checked against
    its pattern, even if the command does not declare it, because a game id is text that a site has sent. Raises
    FetchError for a value that does not match, and for a variable of `environment` that is not set.
    """
    command = dataset.command
    if command is None:
        return None
    line = command.line.format_map(fields)
    for name, value in fields.items():
        shape = source.game_id if name == "id" else FIELD_PATTERNS[name]
        problem = None if re.fullmatch(shape, value) else f"{value!r} does not match {shape!r}"
        if problem := problem or command.problem(name, value):
            raise FetchError(f"{line}: {name}: {problem}; it was not run")
    environment = {name: env[name] for name in ("PATH", "LANG") if name in env}
    for name in command.environment:
        if name not in env:
            raise FetchError(f"{line}: the environment variable {name} that it needs is not set; it was not run")
        environment[name] = env[name]
    values = {**command.fixed, **fields, "base_url": source.base_url.rstrip("/")}
    return Prepared(line, command, values, {"PATH": os.defpath, **environment}, dataset.largest)


def _from_here(part: str) -> str:
    """An argument; made absolute if it is the path of a file, because the command runs in another folder."""
    return str(Path(part).absolute()) if "/" in part and Path(part).is_file() else part


def _why_not_executable(program: str, path: str) -> str | None:
    """Why a program cannot be started, or None if it can: it is not there, not executable, or lacks its interpreter."""
    found = shutil.which(program, path=path)
    if found is None and "/" in program and Path(program).is_file():
        return f"{program} is not executable; type `chmod +x {program}`, or begin argv with its interpreter"
    if found is None:
        return f"the PATH has no executable program {program!r}"
    try:
        with open(found, "rb") as file:
            begin = file.read(1024)
    except OSError:  # it may be executable without being readable
        return None
    if begin.startswith(b"#!"):
        interpreter = begin[2:].partition(b"\n")[0].strip(b" \t").partition(b" ")[0].decode(errors="replace")
        there = interpreter and Path(interpreter).exists()
        return None if there else f"{found}: there is no interpreter {interpreter!r}, which its first line names"
    if begin and b"\0" not in begin:
        return f"{found}: its first line names no interpreter, as in #!/bin/sh; or begin argv with one"
    return None


class _Kept:
    """A text of which the first and the last 16 KB are kept."""

    def __init__(self) -> None:
        self.size = 0  # bytes of the whole text
        self._head, self._tail = bytearray(), bytearray()

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        room = _KEPT - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:]
        del self._tail[:-_KEPT]

    def text(self, secrets: list[str]) -> str:
        """What is kept, with "***" for each secret."""
        head, tail = self._head, self._tail
        if self.size > len(head) + len(tail):  # the gap may cut a secret in two, so its edges are left out as well
            edge = max((len(secret.encode()) for secret in secrets), default=0)
            head, tail = head[: max(0, len(head) - edge)], tail[edge:]
        left_out = self.size - len(head) - len(tail)
        gap = f"\n[{left_out} bytes left out]\n".encode() if left_out else b""
        text = (head + gap + tail).decode(errors="replace")
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        return text.strip()


class Output:
    """What a command prints, in the order in which it arrives, without the secrets that the command was given."""

    def __init__(self, secrets: list[str]):
        self._secrets = secrets
        self._all, self._errors = _Kept(), _Kept()

    async def read(self, pipe: int, *, errors: bool = False) -> None:
        """Reads a pipe to its end, and closes it. `errors` says that it is the standard error of the command."""
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(pipe, "rb", buffering=0)
        )
        try:
            while piece := await stream.read(65536):
                self._all.add(piece)
                if errors:
                    self._errors.add(piece)
        finally:
            transport.close()

    def text(self) -> str:
        """What is kept of the output."""
        return self._all.text(self._secrets)

    def for_the_log(self) -> str:
        """The end of a log line: the output, or "" if there is none."""
        return f"; its output:\n{self.text()}" if self._all.size else ""

    def last_line(self) -> str:
        """The last line of standard error, or else of standard output, cut to 200 printable characters."""
        said = self._errors.text(self._secrets) or self.text()
        last = next(reversed(said.splitlines()), "")
        return one_line(last)[:_LINE]
