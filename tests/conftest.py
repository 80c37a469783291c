"""Fixtures that several rings of tests use.

A fixture imports what it starts inside its function, because the tests of the core load this file too and must not
load Prefect.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess

# There are no deadlines, so that a busy machine fails no test. `make test` tries more examples than a run by hand.
# `make mutate` tries the same examples each time, and does not simplify those that fail.
settings.register_profile("quick", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=100)
settings.register_profile(
    "mutate", settings.get_profile("quick"), derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("quick")

RATES = {"espn": "10/1", "nba_api": "2/1", "basketball_reference": "10/1"}

# Prefect reads all certificates of its authorities for each client, of which a run makes several; this file has one.
os.environ["PREFECT_API_SSL_CERT_FILE"] = str(Path(__file__).with_name("authority.pem"))

# Imports make a million objects that stay: to look for garbage among them takes longer than to import them.
gc.disable()


def pytest_collection_finish() -> None:
    """What is imported by now is garbage never, and the collector leaves it alone."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """After the last test, garbage is looked for once in all objects: pytest does it five times, a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def sites() -> Iterator[SandboxProcess]:
    """The sandbox with the rates of the real sites, except a faster Basketball Reference to save minutes."""
    from deployments.sandbox.process import SandboxProcess

    with SandboxProcess(clock="2026-01-15T12:00:00Z", rates=RATES) as sandbox:
        yield sandbox


@pytest.fixture
def adce_home(tmp_path: Path, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for a lake and a ledger. The environment points to it and to the sandbox."""
    sites.forget_accepted()  # this test's buckets do not know of the requests of the test before
    sites.clear_faults()
    sites.clear_requests()
    for name, url in sites.base_urls.items():
        monkeypatch.setenv(f"ADCE_SOURCES__{name.upper()}__BASE_URL", url)
        monkeypatch.setenv(
            f"ADCE_SOURCES__{name.upper()}__RETRIES", "{attempts: 3, first_wait: 0.1s, longest_wait: 1s}"
        )
        monkeypatch.setenv(f"ADCE_SOURCES__{name.upper()}__BACKOFF", "{first: 0.5s, ramp: 1s}")
    monkeypatch.setenv("ADCE_SOURCES__BASKETBALL_REFERENCE__RATES", "[{requests: 10, seconds: 1}]")
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "profiles.toml"))  # not those of this machine's user
    monkeypatch.setenv("ADCE_CONFIG", "")  # a file adce.yaml in the checkout is not read
    monkeypatch.setenv("ADCE_LAKE", (tmp_path / "lake").as_uri())
    monkeypatch.setenv("ADCE_LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")
    return tmp_path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on its own disk of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a full disk needs the permission to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[None]:
    """Prefect's embedded API with its own database, for all tests in which a flow runs.

    The API starts again in every event loop. The settings keep it from checking its tables and block types each time.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import (
        PREFECT_API_BLOCKS_REGISTER_ON_START,
        PREFECT_API_DATABASE_CONNECTION_URL,
        PREFECT_API_DATABASE_MIGRATE_ON_START,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    from tests.servers import empty_database

    async def begin() -> None:
        async with get_client() as client:
            await client.hello()

    with prefect_test_harness(), temporary_settings({PREFECT_API_DATABASE_MIGRATE_ON_START: False}):
        shutil.copy(empty_database(), PREFECT_API_DATABASE_CONNECTION_URL.value().partition("///")[2])
        asyncio.run(begin())
        with temporary_settings({PREFECT_API_BLOCKS_REGISTER_ON_START: False}):
            yield


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server on loopback: user@host:port."""
    from tests.servers import postgresql, postgresql_programs

    if postgresql_programs() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    with postgresql(tmp_path_factory.mktemp("postgresql")) as server:
        yield server
