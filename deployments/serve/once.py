"""How is everything that the service answers written to a folder, for a static host?"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from config.models import Config
from deployments.serve.answers import Answer, index
from deployments.serve.app import Service
from deployments.serve.paths import JSON, METRICS
from deployments.serve.refresh import Refresh
from tasks.domain.errors import AdceError
from tasks.domain.wording import plural
from tasks.show.exposition import OPEN_METRICS


def write_once(config: Config, folder: Path) -> str:
    """Writes all documents, each as a whole or not at all. Returns a sentence about it.

    Raises AdceError if the ledger cannot be read, or the folder cannot be written.
    """
    refresh = Refresh(config)
    asyncio.run(refresh.once())
    if refresh.snapshot is None:
        raise AdceError("nothing is written, since the ledger cannot be read")
    found = Service(config, refresh).documents()
    files = {name: answer for path, answer in found.items() if (name := _name(path, answer))}
    linked = {path: name for path, answer in found.items() if (name := _name(path, answer)) and "/" not in name}
    files["index.html"] = index(linked)
    try:
        for name, answer in files.items():
            _write(folder / name, answer.body)
    except OSError as error:
        raise AdceError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None
    return f"{plural(len(files), 'file')} written to {folder}"


def _name(path: str, answer: Answer) -> str | None:
    """The name of the file for an answer, with an ending that tells a static host its type."""
    if path in (METRICS, OPEN_METRICS):
        return "metrics.txt" if path == METRICS else None
    name = path.removeprefix("/")
    is_json = answer.type == JSON or answer.type.endswith("+json")
    return f"{name}.json" if is_json and not name.endswith(".json") else name


def _write(file: Path, body: bytes) -> None:
    """Writes a file beside its place, and then puts it there, so that nobody ever reads a part of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_bytes(body)
        part.chmod(0o644)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
