"""A Chromium without a window, which a test drives through the DevTools protocol."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.sync.client import ClientConnection, connect

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium_program() -> str | None:
    """The path of Chromium, or None where it is not installed."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def browser(program: str, home: Path) -> Iterator[Browser]:
    """A running Chromium with one page. `home` is the folder for its profile."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]
    command = [program, *options, f"--user-data-dir={home}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stderr is not None
            address = next(found[1] for line in process.stderr if (found := re.search(r"ws://([^/\s]+)/", line)))
            with urlopen(f"http://{address}/json/list") as answer:
                url = next(tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page")
            with connect(url, max_size=None) as connection:
                yield Browser(connection)
        finally:
            process.terminate()


class Browser:
    """The page of a Chromium."""

    def __init__(self, connection: ClientConnection):
        self._connection = connection
        self._ids = count(1)
        self._call("Page.enable")

    def open(self, file: Path, width: int, scheme: str = "light") -> None:
        """Opens a file in a window of this width, in light or dark mode, and waits until it is loaded."""
        self._set_width(width)
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._call("Page.navigate", url=file.as_uri())
        while self._message().get("method") != "Page.loadEventFired":
            pass

    def resize(self, width: int) -> None:
        """Makes the window this wide, and waits until the page is drawn again."""
        self._set_width(width)
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def go(self, hash: str) -> None:
        """Goes to a part of the page, and waits until the page's script has shown it."""
        listen = "addEventListener('hashchange', () => done(1), { once: true })"
        self.run(f"new Promise((done) => {{ {listen}; location.hash = {json.dumps(hash)}; }})")

    def run(self, expression: str) -> Any:
        """The value of an expression in the page's script, once it is there if it is a promise."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def _set_width(self, width: int) -> None:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := self._message()).get("id") != number:
            pass
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def _message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=30))
        return message
