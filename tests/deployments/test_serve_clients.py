"""Does the running service bear clients that are slow, many, wrong or malicious, and does it end when told to?"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from click.testing import Result

from config.models import Rate, Serve
from deployments.serve import server
from deployments.serve.answers import answer
from deployments.serve.app import Service
from deployments.serve.refresh import Refresh
from deployments.up.ports import LOOPBACK, free_port
from tasks.domain.errors import AdceError
from tasks.ledger import Ledger
from tests.builders import a_config

TOKEN = "0123456789abcdef"
ROOT = Path(__file__).parents[2]
WITHIN = 0.5  # seconds
_LONG = 20_000_000  # bytes of an answer, more than the buffers of the system take
_MANY = 1000


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    address = f"sqlite:///{tmp_path_factory.mktemp('serve') / 'ledger.db'}"
    Ledger(address).close()
    return address


def environment(ledger: str, port: int) -> dict[str, str]:
    """The variables of a service on loopback, with a token, that is not limited."""
    own = {"ADCE_CONFIG": "", "ADCE_LAKE": str(Path(ledger.removeprefix("sqlite:///")).parent), "ADCE_LEDGER": ledger}
    rate = {"ADCE_SERVE__PORT": str(port), "ADCE_SERVE__RATE": "{requests: 1000, seconds: 1}"}
    return {**os.environ, **own, **rate, "ADCE_SERVE__TOKEN": TOKEN, "PREFECT_API_URL": ""}


def start(env: dict[str, str]) -> subprocess.Popen[str]:
    argv = [sys.executable, "-W", "ignore", "-m", "deployments", "serve"]
    return subprocess.Popen(argv, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def running(ledger: str) -> Iterator[str]:
    """The address of a service in a process of its own, which has to end well."""
    env = environment(ledger, free_port())
    process = start(env)
    address = f"http://{LOOPBACK}:{env['ADCE_SERVE__PORT']}"

    assert process.stdout
    assert process.stdout.readline() == f"adce: info: the service answers at {address}\n"
    until = time.monotonic() + 30
    while not httpx.get(f"{address}/readyz").is_success and time.monotonic() < until:
        time.sleep(0.05)
    yield address
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 0, output
    assert output.splitlines()[-1] == "adce: info: SIGTERM: stopping"
    assert TOKEN not in output


REJECTIONS = (400, 401, 403, 404, 405, 406, 411, 413, 415, 421, 422, 429, 431)


def test_it_answers_as_its_description_says_whatever_schemathesis_asks(running: str, tmp_path: Path) -> None:
    rejected = f"expected-statuses = {[str(status) for status in REJECTIONS]}"  # by default, 411 does not count as one
    (tmp_path / "schemathesis.toml").write_text(f"[checks.negative_data_rejection]\n{rejected}\n")
    argv = [str(Path(sys.executable).with_name("st")), "run", f"{running}/openapi.json", "--checks", "all"]
    argv += ["--header", f"Authorization: Bearer {TOKEN}", "--max-examples", "5", "--workers", "4", "--no-color"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_body_of_an_answer_does_not_wait_until_the_client_has_acknowledged_its_head(host: str) -> None:
    settings = Serve(host=host, port=free_port())
    with server.listener(settings) as listening, socket.create_connection((host, settings.port)):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_second_service_on_the_same_ledger_needs_another_port(running: str, ledger: str) -> None:
    port = int(running.rpartition(":")[2])
    in_use = f"port {port} of 127.0.0.1 is in use; take another with --port"
    with pytest.raises(AdceError, match=in_use), server.listener(Serve(port=port)):
        pass
    with server.listener(Serve(port=free_port())):
        pass
    folder = Path(ledger.removeprefix("sqlite:///")).parent
    second = Refresh(a_config(ledger=ledger, lake=folder.as_uri()))
    asyncio.run(second.once())
    for path in ("/status", "/tasks"):
        first = httpx.get(f"{running}{path}", headers={"Authorization": f"Bearer {TOKEN}"}).json()
        answered = json.loads(second.answers[path].body)
        assert answered | {"as_of": ""} == first | {"as_of": ""}, "both tell the same"


def test_beyond_loopback_it_wants_a_token(adce: Callable[..., Result]) -> None:
    result = adce("serve", "--host", "0.0.0.0")
    assert (result.exit_code, result.stderr) == (
        2,
        "adce: serve.host: 0.0.0.0 can be reached from other machines, so a token is needed; set ADCE_SERVE__TOKEN to "
        "one, such as what `openssl rand -hex 32` prints\n",
    )
    result = adce("serve", "--host", "foo")
    assert result.exit_code == 2
    assert result.stderr.startswith("adce: --host: serve.host: not an IP address; write it as 127.0.0.1")
    with pytest.raises(AdceError, match="a token is needed; set ADCE_SERVE__TOKEN to one, such as"):
        server.check_access(Serve(host="0.0.0.0"))
    server.check_access(Serve(host="0.0.0.0", token=TOKEN))


def test_it_does_not_end_well_if_it_cannot_go_on(ledger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("cannot go on")

    monkeypatch.setattr(server._Server, "serve", fail)
    settings = Serve(port=free_port())
    config = a_config(ledger=ledger, lake=Path(ledger.removeprefix("sqlite:///")).parent.as_uri(), serve=settings)
    with server.listener(settings) as listening, pytest.raises(RuntimeError, match="cannot go on"):
        asyncio.run(server._serve(config, Refresh(config), listening, 10))


def test_bad_clients_do_no_harm_to_good_ones(ledger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_ANSWERED_WITHIN", WITHIN)
    asyncio.run(_bear_bad_clients(ledger))


async def _bear_bad_clients(ledger: str) -> None:
    settings = Serve(port=free_port(), rate=Rate(requests=1000, seconds=1))
    folder = Path(ledger.removeprefix("sqlite:///")).parent
    config = a_config(ledger=ledger, lake=folder.as_uri(), serve=settings)
    refresh = Refresh(config)
    await refresh.once()
    refresh.answers = {**refresh.answers, "/tasks": answer(bytes(_LONG), "application/json")}
    with server.listener(settings) as listening, ExitStack() as opened:
        running = server._Server(server._settings(settings, Service(config, refresh)))
        serving = asyncio.create_task(running.serve(sockets=[listening]))
        try:
            await _behave_badly(Connections(settings.port, opened))
            running.config.limit_concurrency = 2
            await _be_too_many(Connections(settings.port, opened))
        finally:
            running.should_exit = True
            await serving


class Connections:
    """Connections to a port, which are closed in the end."""

    def __init__(self, port: int, opened: ExitStack):
        self._port, self._opened = port, opened

    async def send(self, text: bytes, source: str = LOOPBACK) -> socket.socket:
        """Sends this, and no more, from an address of this machine."""
        connection = self._opened.enter_context(socket.socket())
        connection.setblocking(False)
        connection.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(connection, (LOOPBACK, self._port))
        await asyncio.get_running_loop().sock_sendall(connection, text)
        return connection

    async def status(self, text: bytes, source: str = LOOPBACK) -> int:
        """The status of the answer to this."""
        return int((await _read_to_the_end(await self.send(text, source))).split()[1])


async def _behave_badly(connections: Connections) -> None:
    get = b"GET /%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    no_end = [await connections.send(get % b"status") for _ in range(3)]  # their heads are never complete
    unread = await connections.send(get % b"tasks" + b"\r\n")  # nothing of the answer is read
    silent = [await connections.send(b"") for _ in range(_MANY)]
    assert await connections.status(get % b"livez" + b"\r\n") == 200, "while all of these are there"
    assert await connections.status(get % b"livez" + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n") == 431
    assert await connections.status(get % b"livez" + b"X: " + b"x" * 20_000 + b"\r\n\r\n") == 431, "in one piece too"
    assert await connections.status(get % b"livez" + b"X: x\r\n" * 3000 + b"\r\n") == 431
    assert await connections.status(get % b"livez" + b"X: " + b"x" * 15_000 + b"\r\n\r\n") == 200
    body = b"POST /login HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n"
    long = await _read_to_the_end(await connections.send(body % b"Content-Length: 999999999" + b"x" * 100_000))
    assert long.startswith(b"HTTP/1.1 413 ")
    assert b"Content-Type: application/problem+json" in long
    assert await connections.status(body % b"Transfer-Encoding: chunked") == 411
    assert await connections.status(b"\x16\x03\x01 what is this\r\n\r\n") == 400
    assert await connections.status(get % b"../../etc/passwd" + b"\r\n") == 404
    assert await connections.status(get % b"%2e%2e/status" + b"\r\n") == 404
    assert await connections.status(b"GET /status HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n") == 421
    async with asyncio.timeout(30 * WITHIN):
        for one in [*no_end, *silent, unread]:
            assert len(await _read_to_the_end(one)) < _LONG
    assert await connections.status(get % b"livez" + b"\r\n") == 200


async def _be_too_many(connections: Connections) -> None:
    first, *_ = [await connections.send(b"") for _ in range(20)]
    assert await connections.status(b"GET /livez HTTP/1.1\r\nConnection: close\r\nHost: x\r\n\r\n", "127.0.0.2") == 200
    refused = await _read_to_the_end(first)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Content-Type: application/problem+json" in refused


@pytest.mark.parametrize(
    ("soft", "hard", "most", "files"), [(64, 256, 56, 256), (1024, 4096, 2000, 2200), (4096, 4096, 2000, None)]
)
def test_there_are_only_as_many_connections_as_files_may_be_open(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, soft: int, hard: int, most: int, files: int
) -> None:
    limits: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair[0]))
    assert server._most_connections() == most
    assert limits == ([files] if files else [])
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == (
        ["this process may open 256 files"] if hard == 256 else []
    )


async def _read_to_the_end(connection: socket.socket) -> bytes:
    read = b""
    with suppress(ConnectionResetError):
        while some := await asyncio.get_running_loop().sock_recv(connection, 1_000_000):
            read += some
    return read
