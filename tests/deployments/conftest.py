"""The `adce` command, within this process, and a Prefect server for it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner

from deployments.cli import app
from tests.flows.conftest import run_reconcile  # noqa: F401  (a fixture)
from tests.servers import new_database, postgresql_programs, prefect_server
from tests.up_process import UpProcess


def run_adce(*arguments: str, given: str | None = None) -> Result:
    """Runs the command in this process, which reads `given` from standard input.

    What its options set in the environment is gone afterwards.
    """
    before = dict(os.environ)
    try:
        return CliRunner().invoke(app, arguments, input=given)
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def adce(adce_home: Path) -> Callable[..., Result]:
    """Runs the command on the lake in `adce_home`."""
    return run_adce


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """A Prefect server and a ledger for the tests of a module, on PostgreSQL where that is installed."""
    database, env = None, {}
    if postgresql_programs() is not None:
        address = request.getfixturevalue("postgres")
        database = f"postgresql+asyncpg://{new_database(address, f'prefect{uuid4().hex}')}"
        env = {"ADCE_LEDGER": f"postgresql+psycopg://{new_database(address, f'ledger{uuid4().hex}')}"}
    with prefect_server(tmp_path_factory.mktemp("prefect"), database) as server:
        yield server | env


@pytest.fixture(scope="session")
def up_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """A whole system for the tests of the group "up_sandbox", whose reconciles begin when a test wants it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ADCE_RECONCILE__INTERVAL", "1h")
        system = UpProcess(tmp_path_factory.mktemp("up_sandbox") / "home")
    yield system
    system.process.kill()
    system.process.wait()


@pytest.fixture
def server(started: dict[str, str], adce_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The commands of a test are about this server, and its ledger is where the server's database is."""
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    with temporary_settings({PREFECT_API_URL: started["PREFECT_API_URL"]}):
        yield started
