"""What does `adce up --sandbox` change? It makes a lake with holes, stops the clock, and runs every minute."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from blocks.store import Store
from config.load import load_config
from deployments.cli.typed import near, typed
from deployments.sandbox.demo import CLOCK_AND_SPAN, NOW, SPAN, make_lake
from deployments.sandbox.settings import as_variables, write_settings
from deployments.sandbox.sites import PREFIXES
from deployments.up.children import Child
from deployments.up.ports import free_port
from tasks.domain.errors import AdceError
from tasks.domain.lakes import LakeKind
from tasks.observe.identity import read_mark

# The sandbox uses neither the server nor the database that the user has configured.
_DROPPED_VARIABLES = (
    "PREFECT_API_URL",
    "PREFECT_API_KEY",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "PREFECT_PROFILE",
    "PREFECT_PROFILES_PATH",
)
_PACE = {
    "reconcile": {"interval": "60s", "time_budget": "50s"},
    "sources": {"basketball_reference": {"rates": [{"requests": 1, "seconds": 2}]}},
}


@dataclass(frozen=True)
class SandboxSystem:
    """The sandbox's parts of a whole system."""

    lake: Path
    sites: Child
    as_of: str  # clock of every run, as ISO time
    span: dict[str, str]  # flow parameters `since` and `until` of every reconcile
    look: str  # the command with which this lake can be looked at
    instead_of: str | None  # the bucket that the user's settings name as the lake, which is not used


def prepare(home: Path) -> SandboxSystem:
    """Makes a lake under `home`, unless it is there, and sets this process's environment for the sandbox.

    It must be called before Prefect is imported, because Prefect reads its settings then. Raises AdceError if the lake
    under `home` does not belong to a sandbox.
    """
    port, lake = free_port(), home / "lake"
    url = f"http://127.0.0.1:{port}"
    for name in _DROPPED_VARIABLES:
        os.environ.pop(name, None)
    os.environ["PREFECT_HOME"] = str(home / "prefect")
    named = load_config().lake if os.environ.get("ADCE_CONFIG") else None
    instead_of = named if named and Store(named).bucket else None
    options = _use_settings(home)
    os.environ |= {
        f"ADCE_SOURCES__{source.upper()}__BASE_URL": f"{url}/{prefix}" for prefix, source in PREFIXES.items()
    }
    config = load_config()
    if not lake.exists():
        new = home / "new-lake"  # renamed when complete, so that an interrupted start leaves no half-made lake
        shutil.rmtree(new, ignore_errors=True)
        asyncio.run(make_lake(config, Store(new.as_uri())))
        new.rename(lake)
    mark = asyncio.run(read_mark(Store(lake.as_uri())))
    if mark is None or mark.kind is not LakeKind.SANDBOX:
        raise AdceError(
            f"--home {home}: its lake is not a sandbox's; name another folder (or delete this one, if an earlier "
            "version of ADCE made it)"
        )
    argv = [sys.executable, "-m", "deployments.sandbox", "--port", str(port), "--stay", "--clock", NOW.isoformat()]
    for source in PREFIXES.values():
        rate = config.sources[source].rates[0]
        argv.append(f"--rate={source}={rate.requests}/{rate.seconds:g}")
    span = {"since": f"{SPAN.since}", "until": f"{SPAN.until}"}
    look = typed("plan", *options, *CLOCK_AND_SPAN)
    return SandboxSystem(lake, Child("sandbox", argv), NOW.isoformat(), span, look, instead_of)


def _use_settings(home: Path) -> tuple[str, ...]:
    """Sets this process's environment to the lake and the ledger under `home`, and to the sandbox's pace.

    They are written to a file of settings. If the user has named one, it applies, and variables override it. Returns
    the options with which other commands find the same.
    """
    places = {"lake": str(home / "lake"), "ledger": str(home / "ledger.db")}
    for name in places:
        os.environ.pop(f"ADCE_{name.upper()}", None)
    if named := os.environ.get("ADCE_CONFIG"):
        os.environ |= {"ADCE_SANDBOX": "true", **dict(as_variables(places))}
        for name, text in as_variables(_PACE):
            os.environ.setdefault(name, text)
        return ("--config", near(Path(named)), *(word for n, path in places.items() for word in (f"--{n}", path)))
    file = home / "adce.yaml"
    write_settings(file, places | _PACE, "adce up --sandbox", CLOCK_AND_SPAN)
    os.environ["ADCE_CONFIG"] = str(file)
    return "--config", near(file)
