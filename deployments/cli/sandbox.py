"""What does --sandbox do? It gives a run its own lake and ledger, and a stand-in for the sites.

The sandbox exists only in a source checkout, so it is imported where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from config.load import load_config
from config.models import lake_address
from config.secrets import masked
from deployments.cli.options import Places
from deployments.cli.place import HOME, ledger_of
from deployments.cli.typed import near
from tasks.domain.errors import AdceError
from tasks.domain.wording import plural

if TYPE_CHECKING:  # it exists only in a source checkout
    from deployments.sandbox.process import SandboxProcess


def check_sandbox_installed() -> None:
    """Raises AdceError if ADCE is installed without the sandbox: from a wheel, or in an image."""
    if find_spec("deployments.sandbox") is None:
        raise AdceError(
            "--sandbox: the sandbox is in a source checkout of ADCE only, and this is an installed package; "
            "clone the repository and run `make run` there"
        )


def use_sandbox(places: Places) -> tuple[str, ...]:
    """Sets this process's environment to the sandbox's lake and ledger, and prints their addresses.

    A file of settings that says `sandbox: true` names them. Otherwise --lake, --ledger and their variables keep their
    values, and the others are under .adce/sandbox; those of another file of settings do not count.

    Returns the options with which other commands find the same lake, ledger and settings.
    """
    from deployments.sandbox.settings import write_settings

    places.export(needs_lake=False)
    named = Path(os.environ["ADCE_CONFIG"]) if os.environ["ADCE_CONFIG"] else None
    options: tuple[str, ...] = ("--config", near(named)) if named else ()
    if not (named and load_config().sandbox):
        ledger_is_given = "ADCE_LEDGER" in os.environ
        lake = os.environ["ADCE_LAKE"] = lake_address(os.environ.get("ADCE_LAKE") or str((HOME / "lake").absolute()))
        if not ledger_is_given:
            beside = ledger_of(lake)
            beside.parent.mkdir(parents=True, exist_ok=True)
            os.environ["ADCE_LEDGER"] = f"sqlite:///{beside}"
        os.environ["ADCE_SANDBOX"] = "true"
        if named:
            options += ("--lake", masked(lake))
        else:
            named = (HOME / "adce.yaml").absolute()
            settings = {"lake": lake} | ({} if ledger_is_given else {"ledger": os.environ["ADCE_LEDGER"]})
            write_settings(named, settings, "adce reconcile --sandbox")
            os.environ["ADCE_CONFIG"] = str(named)
            options = ("--config", near(named))
        options += ("--ledger", places.ledger) if places.ledger else ()
        _use_own_prefect(HOME)
    else:
        _use_own_prefect(named.parent)
    config = load_config()
    typer.echo(f"the sandbox's lake is {masked(config.lake)}, its ledger {masked(config.ledger)}", err=True)
    return options


def _use_own_prefect(folder: Path) -> None:
    """Keeps the sandbox's runs in a database of their own, unless the environment names Prefect's server or folder."""
    if not {"PREFECT_API_URL", "PREFECT_HOME"} & os.environ.keys():
        os.environ["PREFECT_HOME"] = str((folder / "prefect").absolute())


@contextmanager
def running_sandbox(clock: datetime | None, routes: Path | None = None) -> Iterator[SandboxProcess]:
    """A block during which the sandbox runs and this process asks it instead of any site, a user's own sites too.

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
        yield sandbox


def unanswered(requests: Iterable[Mapping[str, Any]]) -> str | None:
    """A line about requests of the sandbox's log for which it has no page; None if it had one for each."""
    from deployments.sandbox.sites import PREFIXES

    sites = {source: prefix for prefix, source in PREFIXES.items()}
    paths = [f"/{sites.get(one['source'], one['source'])}{one['url']}" for one in requests if one["unknown"]]
    if not paths:
        return None
    asked = plural(len(paths), "request")
    return f"the sandbox has no page for {asked}, such as {paths[0]}; --routes FILE names what it answers there"
