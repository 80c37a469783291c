"""Where is the ledger of a sandbox's lake?"""

from __future__ import annotations

import os
import re
from pathlib import Path

from config.models import lake_address

HOME = Path(".adce/sandbox")
_LEDGER = ".sandbox.db"


def find_ledger() -> None:
    """Sets ADCE_LEDGER to the sandbox's ledger of the lake ADCE_LAKE, if there is one and ADCE_LEDGER is not set."""
    if (lake := os.environ.get("ADCE_LAKE")) and "ADCE_LEDGER" not in os.environ:
        ledger = ledger_of(lake_address(lake))
        if ledger.exists():
            os.environ["ADCE_LEDGER"] = f"sqlite:///{ledger}"


def ledger_of(lake: str) -> Path:
    """Path of the sandbox's ledger: beside the lake's folder, or under .adce/sandbox here for a lake in a bucket."""
    from blocks.store import Store  # imported here, because `adce --help` does not need it

    if folder := Store(lake).folder:
        return folder.with_name(folder.name + _LEDGER)
    return (HOME / (re.sub(r"[^\w.-]+", "-", lake.removeprefix("s3://")).strip("-") + _LEDGER)).absolute()
