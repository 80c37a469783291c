"""Where is the ledger of a lake that the sandbox has made? Beside the lake."""

from __future__ import annotations

import os
import re
from pathlib import Path

HOME = Path(".adce/sandbox")
_LEDGER = ".sandbox.db"


def find_ledger() -> None:
    """Has this process use the ledger of a lake that the sandbox has made, unless it is told another one."""
    if (lake := os.environ.get("ADCE_LAKE")) and "ADCE_LEDGER" not in os.environ:
        ledger = ledger_of(lake)
        if ledger.exists():
            os.environ["ADCE_LEDGER"] = f"sqlite:///{ledger}"


def ledger_of(lake: str) -> Path:
    """The sandbox's ledger is beside its lake; that of a bucket is in this folder."""
    from blocks.store import Store  # `adce --help` is to answer without it

    if folder := Store(lake).folder:
        return folder.with_name(folder.name + _LEDGER)
    return (HOME / (re.sub(r"[^\w.-]+", "-", lake.removeprefix("s3://")).strip("-") + _LEDGER)).absolute()
