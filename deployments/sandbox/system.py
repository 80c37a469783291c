"""What is different when the whole system is shown on a sandbox? A lake with holes, a clock, and a run every minute."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from blocks.store import Store
from config.load import load_config
from deployments.sandbox.demo import NOW, SPAN, make_lake
from deployments.sandbox.sites import PREFIXES
from deployments.up.children import Child
from deployments.up.ports import free_port
from tasks.domain.errors import AdceError
from tasks.domain.lakes import LakeKind
from tasks.observe.identity import read_mark

# The user's own server and database are none of the sandbox's business.
_NOT_OURS = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_PROFILE")
_PACE = {
    "ADCE_RECONCILE__INTERVAL": "60s",
    "ADCE_RECONCILE__TIME_BUDGET": "50s",
    "ADCE_SOURCES__BASKETBALL_REFERENCE__RATES": "[{requests: 1, seconds: 2}]",
    "PREFECT_WORKER_QUERY_SECONDS": "3",
}


@dataclass(frozen=True)
class SandboxSystem:
    lake: Path
    sites: Child
    as_of: str  # the clock of every run
    span: dict[str, str]  # of every reconcile


def prepare(home: Path) -> SandboxSystem:
    """Makes a lake under `home`, and this process's environment that of the sandbox. Before Prefect is imported."""
    port, lake = free_port(), home / "lake"
    url = f"http://127.0.0.1:{port}"
    for name in _NOT_OURS:
        os.environ.pop(name, None)
    os.environ |= {
        "ADCE_LAKE": lake.as_uri(),
        "ADCE_LEDGER": f"sqlite:///{home / 'ledger.db'}",
        "ADCE_SANDBOX": "true",
        "PREFECT_HOME": str(home / "prefect"),
    }
    os.environ |= {
        f"ADCE_SOURCES__{source.upper()}__BASE_URL": f"{url}/{prefix}" for prefix, source in PREFIXES.items()
    }
    for name, value in _PACE.items():
        os.environ.setdefault(name, value)
    config = load_config()
    if not lake.exists():
        new = home / "new-lake"  # a lake that is there is whole, but for its holes
        shutil.rmtree(new, ignore_errors=True)
        asyncio.run(make_lake(config, Store(new.as_uri())))
        new.rename(lake)
    mark = asyncio.run(read_mark(Store(lake.as_uri())))
    if mark is None or mark.kind is not LakeKind.SANDBOX:
        raise AdceError(
            f"--home {home}: its lake is no sandbox's; name another folder (or delete it, if it is of before)"
        )
    argv = [sys.executable, "-m", "deployments.sandbox", "--port", str(port), "--stay", "--clock", NOW.isoformat()]
    for source in PREFIXES.values():
        rate = config.sources[source].rates[0]
        argv.append(f"--rate={source}={rate.requests}/{rate.seconds:g}")
    span = {"since": f"{SPAN.since}", "until": f"{SPAN.until}"}
    return SandboxSystem(lake, Child("sandbox", argv), NOW.isoformat(), span)
