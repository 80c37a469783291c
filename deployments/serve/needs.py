"""Does what ADCE needs answer: the lake, and the Prefect API? Each is asked for as little as possible."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from blocks.store import Store
from config.models import Config
from deployments.prefect_api.client import PrefectApiError, api_of
from deployments.prefect_api.settings import api_url
from tasks.domain.errors import AdceError, LakeError
from tasks.domain.lakes import MARK_KEY
from tasks.ledger.database import address_of, file_of

LEDGER, LAKE, PREFECT = "ledger", "lake", "Prefect API"


def needs_of(config: Config) -> tuple[dict[str, Callable[[], None]], list[str]]:
    """A function for each thing that ADCE needs besides its ledger, and notes on what is not asked.

    A function returns if the thing answers, and raises AdceError if it does not.
    """
    needs: dict[str, Callable[[], None]] = {}
    notes = []
    if config.aws_credentials is None:
        lake = Store(config.lake)
        needs[LAKE] = lambda: asyncio.run(_ask_lake(lake))
    else:
        notes.append("lake: not asked, since its credentials are in a block of Prefect")
    if server := api_url():
        needs[PREFECT] = lambda: asyncio.run(_ask_prefect(server))
    else:
        notes.append("Prefect API: not asked, since PREFECT_API_URL names none")
    return needs, notes


def cause_of(error: AdceError) -> str:
    """Why something does not answer, without the address of a Prefect server."""
    return f"it {error.trouble}" if isinstance(error, PrefectApiError) else str(error)


async def _ask_lake(lake: Store) -> None:
    """Asks for the lake's mark, which is one HEAD request. Lists one level only where there is no mark."""
    if lake.folder is not None and not lake.folder.is_dir():
        raise LakeError(f"lake {lake.address}: there is no such folder")
    if await lake.find(MARK_KEY) is None:
        await lake.is_empty()  # it raises if there is no such bucket


async def _ask_prefect(server: str) -> None:
    async with api_of(server) as api:
        await api.get("/health", bool)


def folders_of(config: Config) -> dict[str, Path]:
    """The folders on disks of this machine that have to have free space, by what they hold."""
    ledger = address_of(config.ledger)
    file = file_of(ledger) if ledger.get_backend_name() == "sqlite" else None
    folders = {LEDGER: file and file.parent, LAKE: Store(config.lake).folder, "temporary files": tempfile.gettempdir()}
    return {name: Path(folder) for name, folder in folders.items() if folder}


def disk_of(folder: Path) -> int:
    """The number of the disk that holds a folder. Raises OSError if there is none."""
    return folder.stat().st_dev


def free_bytes(folder: Path) -> int:
    """The bytes that are free on the disk of a folder. Raises OSError if there is none."""
    return shutil.disk_usage(folder).free
