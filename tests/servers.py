"""Real servers for tests and benchmarks. Each runs during a `with` block."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import psutil
import pytest
from prefect.client.base import PrefectHttpxSyncClient

from deployments.up.ports import free_port
from deployments.up.system import server_command
from tests import forks

_ROOT = Path(__file__).parents[1]
_DATABASE = "prefect.db"
_PATIENCE = 60.0  # seconds within which a server must start


class Handler(BaseHTTPRequestHandler, ABC):
    """Base of what answers the requests to a server of `serving`, whatever their method. It logs none of them."""

    @abstractmethod
    def respond(self) -> None:
        """Answers a request."""

    def do_GET(self) -> None:
        self.respond()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815  # as http.server calls them

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})) -> None:
        """Sends an answer. A client that has hung up is no matter."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        with suppress(ConnectionError):
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the client hung up, which is no matter for stderr
            super().handle_error(*_)


@contextmanager
def serving(handler: type[Handler], host: str = "127.0.0.1") -> Iterator[str]:
    """An HTTP server on a host, with its own thread for each connection. Yields its URL."""
    with _Server((host, 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://{host}:{server.server_port}"
        server.shutdown()


@contextmanager
def http_server(status: int, body: bytes) -> Iterator[str]:
    """A server on loopback that answers every request in the same way. Yields its URL."""

    class Same(Handler):
        def respond(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.answer(status, body)

    with serving(Same) as url:
        yield url


def use_s3(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Sets the environment so that S3 is reached at this address."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


@contextmanager
def prefect_server(
    home: Path, database: str | None = None, port: int | None = None, clock: Path | None = None
) -> Iterator[dict[str, str]]:
    """A Prefect server on loopback, with SQLite in `home` or the database at the given URL.

    Yields the environment variables that select it. A file `clock` holds the offset of the server's clock: see
    jumping_server.
    """
    port = port or free_port()
    home.mkdir(parents=True, exist_ok=True)
    if not database and not (home / _DATABASE).exists():
        shutil.copy(empty_database(), home)
    env = {"PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    server = env | {
        "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    }
    if database:
        server["PREFECT_API_DATABASE_CONNECTION_URL"] = database
    else:
        server["PREFECT_API_DATABASE_MIGRATE_ON_START"] = "false"
    command = server_command(port)
    if clock:
        server["CLOCK"] = str(clock)
        command = [sys.executable, "-W", "ignore", "-m", "tests.jumping_server", str(port)]
    process = forks.start(command[command.index("-m") :], server)
    try:
        _wait_for(f"{env['PREFECT_API_URL']}/health", process)
        yield env
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def deploy_all(env: Mapping[str, str]) -> None:
    """Sets a Prefect server up, and deploys everything of prefect.yaml to it, with all schedules switched off."""
    for command in ([forks.ADCE, "setup"], [forks.PREFECT, "--no-prompt", "deploy", "--all"]):
        forks.run(command, env)
    api = env["PREFECT_API_URL"]
    for deployment in ask_prefect(api, "POST", "/deployments/filter", {}):
        ask_prefect(api, "POST", f"/deployments/{deployment['id']}/set_schedule_inactive")


def ask_prefect(api: str, method: str, path: str, body: object = None) -> Any:
    """What a Prefect API answers; None if the answer is empty. Raises httpx.HTTPStatusError.

    It is asked again where its SQLite was busy and it answered 503, as Prefect's own client does.
    """
    with PrefectHttpxSyncClient(base_url=api, trust_env=False, timeout=60) as client:
        answer = client.request(method, path, json=body)
    return answer.json() if answer.content else None


@contextmanager
def prefect_worker(
    env: Mapping[str, str], folder: Path, name: str = "worker", *, is_forked: bool = True
) -> Iterator[None]:
    """A worker of the pool `adce`, forked, as are the processes of its flow runs. Its output is in `folder`.

    If it is not forked, it is started as an operator starts it. It gets SIGINT's usual handler, because it interrupts
    itself when it is to end, and a process that a shell has started in the background inherits that SIGINT is ignored.
    """
    command, log = [forks.PREFECT, "worker", "start", "--pool", "adce", "--name", name], folder / f"{name}.log"
    env = {"PREFECT_WORKER_QUERY_SECONDS": "1", **env}
    process: forks.Fork | subprocess.Popen[bytes]
    if is_forked:
        process = forks.start(command, env, log, log)
    else:
        with log.open("w") as file:
            process = subprocess.Popen(
                command, cwd=_ROOT, env={**os.environ, **env}, stdout=file, stderr=file, preexec_fn=_hear_sigint
            )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _hear_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@cache
def empty_database() -> Path:
    """Prefect's SQLite database as its first start makes it.

    Making it takes several seconds, so all processes of a test run copy the one that the first of them makes.
    """
    home = Path(tempfile.mkdtemp(prefix="prefect-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    mine = home / _DATABASE
    shared = Path(tempfile.gettempdir(), f"prefect-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}.db")
    atexit.register(shared.unlink, missing_ok=True)
    lock_file = shared.with_suffix(".lock")
    atexit.register(lock_file.unlink, missing_ok=True)
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if shared.exists():
            shutil.copy(shared, mine)
        else:
            env = {"PREFECT_HOME": str(home), "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{mine}"}
            forks.run([forks.PREFECT, "server", "database", "upgrade", "-y"], env)
            shutil.copy(mine, shared)
    return mine


def _wait_for(url: str, process: forks.Fork) -> None:
    for _ in range(int(_PATIENCE * 10)):
        if process.poll() is not None:
            raise RuntimeError(f"the process of {url} has ended")
        try:
            httpx.get(url, trust_env=False, verify=False).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} has not answered for {_PATIENCE:.0f} s")


def postgresql_programs() -> Path | None:
    """The folder of PostgreSQL's server programs, or None if they are not installed."""
    found = [Path(shutil.which("initdb") or "/none").parent, *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    return next((folder for folder in reversed(found) if (folder / "initdb").exists()), None)


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A PostgreSQL server on loopback with its data in `folder`. Yields its address: user@host:port."""
    programs = postgresql_programs()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed")
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # PostgreSQL refuses to run as root
    data, port = folder / "data", free_port()
    data.mkdir(parents=True)
    if as_user:
        shutil.chown(data, "postgres", "postgres")
        for parent in (folder, *folder.parents):
            if parent.owner() == "root" and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o001)
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off"
    quiet = subprocess.DEVNULL
    initdb = [programs / "initdb", "-D", data, "-U", "adce", "--auth=trust", "-E", "UTF8"]
    subprocess.run([*as_user, *initdb], check=True, stdout=quiet, cwd="/")
    control = [*as_user, programs / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-o", options, "-l", data / "log", "start"], check=True, stdout=quiet, cwd="/")
    try:
        yield f"adce@127.0.0.1:{port}"
    finally:
        server = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        server.send_signal(signal.SIGQUIT)  # it ends at once
        server.wait(30)


def restart_postgresql(folder: Path) -> None:
    """Restarts the server of `postgresql` as after a crash: connections break, and its address stays the same."""
    programs = postgresql_programs()
    assert programs is not None
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    command = [*as_user, programs / "pg_ctl", "-D", folder / "data", "-w", "-m", "immediate", "restart"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


def stop_postgresql(folder: Path) -> None:
    """Stops the server of `postgresql` at once. `restart_postgresql` starts it again."""
    programs = postgresql_programs()
    assert programs is not None
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    command = [*as_user, programs / "pg_ctl", "-D", folder / "data", "-w", "-m", "immediate", "stop"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


def new_database(server: str, name: str) -> str:
    """Creates a database on a server of `postgresql`. Returns the database's address: user@host:port/name."""
    programs = postgresql_programs()
    assert programs is not None
    user, _, address = server.partition("@")
    host, _, port = address.partition(":")
    subprocess.run([programs / "createdb", "-h", host, "-p", port, "-U", user, name], check=True)
    return f"{server}/{name}"
