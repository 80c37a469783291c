"""Where is what the sandbox makes? In a lake and a ledger of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from blocks.store import Store

_HOME = Path(".adce/sandbox")
_LEDGER = ".sandbox.db"


def take_place() -> tuple[str, str]:
    """Has this process, and what it starts, use the sandbox's lake and ledger; gives their addresses.

    ADCE_LAKE and ADCE_LEDGER stay as they are where they are set.
    """
    lake = os.environ.setdefault("ADCE_LAKE", (_HOME / "lake").absolute().as_uri())
    ledger = ledger_of(lake)
    if "ADCE_LEDGER" not in os.environ:
        ledger.parent.mkdir(parents=True, exist_ok=True)
    os.environ["ADCE_SANDBOX"] = "true"
    return lake, os.environ.setdefault("ADCE_LEDGER", f"sqlite:///{ledger}")


def find_ledger() -> None:
    """Has this process use the ledger of a lake that the sandbox has made, unless it is told another one."""
    if (lake := os.environ.get("ADCE_LAKE")) and "ADCE_LEDGER" not in os.environ:
        ledger = ledger_of(lake)
        if ledger.exists():
            os.environ["ADCE_LEDGER"] = f"sqlite:///{ledger}"


def ledger_of(lake: str) -> Path:
    """The sandbox's ledger is beside its lake; that of a bucket is in this folder."""
    if folder := Store(lake).folder:
        return folder.with_name(folder.name + _LEDGER)
    return (_HOME / (re.sub(r"[^\w.-]+", "-", lake.removeprefix("s3://")).strip("-") + _LEDGER)).absolute()
