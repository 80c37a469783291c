"""`adce up --sandbox` in a process of its own, and what it says."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.servers import ask_prefect, free_port

ADCE = str(Path(sys.executable).with_name("adce"))


class UpProcess:
    """`adce up --sandbox` and what it says."""

    def __init__(self, home: Path):
        self.home, self.port, self.serve_port = home, free_port(), free_port()
        quick = {f"ADCE_SOURCES__{name}__RATES": "[{requests: 20, seconds: 1}]" for name in ("NBA_API", "ESPN")}
        quick |= {"ADCE_SOURCES__BASKETBALL_REFERENCE__RATES": "[{requests: 10, seconds: 1}]"}
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [ADCE, "up", "--sandbox", "--home", str(home), *self._ports()],
            env={**os.environ, **quick, "PREFECT_API_URL": "http://127.0.0.1:1/api", "PYTHONWARNINGS": "ignore"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.listening = threading.Thread(target=self._listen, daemon=True)
        self.listening.start()

    def ask_prefect(self, method: str, path: str, body: object = None) -> Any:
        """What its Prefect API answers."""
        return ask_prefect(f"http://127.0.0.1:{self.port}/api", method, path, body)

    def _ports(self) -> list[str]:
        return ["--port", str(self.port), "--serve-port", str(self.serve_port)]

    def _listen(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append(line.rstrip())

    def wait_for(self, text: str, times: int = 1) -> str:
        for _ in range(2400):
            if len(found := [line for line in self.lines if text in line]) >= times:
                return found[-1]
            assert self.process.poll() is None, self.lines
            time.sleep(0.1)
        raise AssertionError(f"{text!r} was not said: {self.lines}")

    def processes(self) -> set[int]:
        """All whose environment names this system's folder: the guards and all children, and theirs."""
        mine = os.fsencode(self.home)
        found = set()
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mine in path.read_bytes():
                    found.add(int(path.parent.name))
            except OSError:
                pass
        return found

    def command_of(self, pid: int) -> bytes:
        """What runs there; of a guard nothing, since its command line ends with that of what it guards."""
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"" if b"/guard.py" in command else command
