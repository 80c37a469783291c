"""A terminal in which a test starts a command and types, as a person does."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

CTRL_C = b"\x03"
_PATIENCE = 60.0  # seconds


class Terminal:
    """A command in a session of its own, whose input and output is a pseudo-terminal.

    A control character that is typed there is a signal to all processes of its foreground group, as in a real one.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, width: int = 100):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        self._process = subprocess.Popen(
            argv,
            env={**os.environ, "TERM": "xterm", **env},
            cwd=cwd,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        self._shown = b""
        self._news = threading.Condition()
        self._has_ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(_PATIENCE)
        os.close(self._ours)

    @property
    def text(self) -> str:
        """Everything that was shown so far, without colours and movements of the cursor."""
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", self._shown.decode(errors="replace"))

    @property
    def shows_cursor(self) -> bool:
        """Whether the cursor is visible, as it must be when a command has ended."""
        return self._shown.rfind(b"\x1b[?25l") <= self._shown.rfind(b"\x1b[?25h")

    def wait_for(self, text: str) -> None:
        """Waits until a text is shown."""
        with self._news:
            self._news.wait_for(lambda: text in self.text or self._has_ended, _PATIENCE)
        assert text in self.text, self.text

    def type(self, keys: bytes) -> None:
        """Types characters."""
        os.write(self._ours, keys)

    def wait(self) -> int:
        """Waits until the command has ended. Returns its exit status."""
        status = self._process.wait(_PATIENCE)
        self._reader.join(_PATIENCE)
        return status

    def wait_while_typing(self, keys: bytes) -> int:
        """Types characters again and again until the command has ended. Returns its exit status.

        A signal that comes just before Python's `input` listens is only seen with the next key.
        """
        for _ in range(int(_PATIENCE)):
            self.type(keys)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
                break
        return self.wait()

    def _read(self) -> None:
        while not self._has_ended:
            try:
                part = os.read(self._ours, 4096)
            except OSError:  # every process that had the terminal open has ended
                part = b""
            with self._news:
                self._shown += part
                self._has_ended = not part
                self._news.notify_all()


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever starts the tests in the background has it ignored
