"""What does --sandbox do? It gives a run its own lake and ledger, and a stand-in for the sites.

The sandbox exists only in a source checkout, so it is imported where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import typer

from config.load import load_config
from config.secrets import masked
from deployments.cli.place import HOME, ledger_of
from tasks.domain.errors import AdceError


def check_installed() -> None:
    """Raises AdceError if ADCE is installed without the sandbox: from a wheel, or in an image."""
    if find_spec("deployments.sandbox") is None:
        raise AdceError(
            "--sandbox: the sandbox is in a source checkout of ADCE only, and this is an installed package; "
            "clone the repository and run `make run` there"
        )


def use_sandbox_places() -> None:
    """Sets this process's environment to the sandbox's lake and ledger, and prints their addresses.

    ADCE_LAKE and ADCE_LEDGER keep their values if they are set.
    """
    lake = os.environ.setdefault("ADCE_LAKE", (HOME / "lake").absolute().as_uri())
    beside = ledger_of(lake)
    if "ADCE_LEDGER" not in os.environ:
        beside.parent.mkdir(parents=True, exist_ok=True)
    os.environ["ADCE_SANDBOX"] = "true"
    ledger = os.environ.setdefault("ADCE_LEDGER", f"sqlite:///{beside}")
    typer.echo(f"the sandbox's lake is {masked(lake)}, its ledger {masked(ledger)}", err=True)


@contextmanager
def running_sandbox(clock: datetime | None, routes: Path | None = None) -> Iterator[None]:
    """A block during which the sandbox runs and this process asks it instead of the sites, also of a user's own ones.

    `routes` is a file of further answers. The sandbox refuses requests that exceed the configured rate of their source.
    Raises AdceError.
    """
    from deployments.sandbox.process import SandboxProcess
    from deployments.sandbox.routes import RoutesError, read_routes
    from deployments.sandbox.sites import SOURCES

    try:
        if routes:
            read_routes(routes)
    except RoutesError as error:
        raise AdceError(f"--routes {error}") from None
    sources = load_config().sources
    rates = {
        name: f"{source.rates[0].requests}/{source.rates[0].seconds:g}"
        for name, source in sources.items()
        if name in SOURCES
    }
    with SandboxProcess(rates=rates, routes=routes, clock=clock.isoformat() if clock else None) as sandbox:
        for name in sources:
            url = sandbox.base_urls.get(name, f"{sandbox.url}/{name}")
            os.environ[f"ADCE_SOURCES__{name.upper()}__BASE_URL"] = url
        yield
