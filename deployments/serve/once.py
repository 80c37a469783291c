"""How is everything that the service answers written to a folder, for a static host?"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from config.models import Config
from deployments.serve.answers import Answer, html, overview_of
from deployments.serve.app import Service
from deployments.serve.paths import BADGE, INDEX, JSON, METRICS, PATHS
from deployments.serve.refresh import Refresh
from tasks.answers.health import Health
from tasks.answers.season import seasons_now
from tasks.domain.access import Access
from tasks.domain.errors import AdceError
from tasks.domain.expected.collected import collected
from tasks.domain.wording import plural
from tasks.ledger import Ledger
from tasks.show.documents.service import Tasks
from tasks.show.exposition import OPEN_METRICS
from tasks.show.status import ASSETS, SCRIPT, StaticLinks, notice, season_page

_NAMES = ".adce-serve.json"  # the file with the names of those that were written
_NAME = re.compile(r"((badge|assets|coverage/[\w-]+)/)?[\w-][\w.-]*")
_ABOUT = {path.path: path.about for path in PATHS if path.path not in (INDEX, BADGE)}


def write_once(config: Config, folder: Path) -> str:
    """Writes the status page, and all documents but the badges of datasets that are not collected.

    Returns a sentence about it. Each file is written as a whole or not at all.

    What it has written there before and is not true any longer is removed. Raises AdceError if the ledger cannot be
    read, of which health.json tells then, or if the folder cannot be written.
    """
    refresh = Refresh(config)
    asyncio.run(refresh.once())
    if refresh.snapshot is None:
        refresh.give_up()
    service = Service(config, refresh)
    left_out = {BADGE.format(dataset=name) for name in config.datasets.keys() - collected(config).first_seasons.keys()}
    found = {path: answer for path, answer in service.documents().items() if path not in left_out}
    files = {name: answer.body for path, answer in found.items() if (name := _name(path, answer))}
    linked = {_ABOUT[path]: name for path, answer in found.items() if path in _ABOUT and (name := _name(path, answer))}
    files |= {f"assets/{asset.name}": asset.body for asset in ASSETS if asset.name != SCRIPT}
    if refresh.snapshot:
        files |= _pages(config, refresh, service.health, linked)
    else:
        text = "The ledger could not be read when this was written; health.json says since when."
        files["index.html"] = notice("Not known", text, StaticLinks(linked)).encode()
    _replace(folder, files)
    if refresh.snapshot is None:
        raise AdceError(f"the ledger cannot be read; {folder / 'health.json'} says so, and what was of it is removed")
    return f"{plural(len(files), 'file')} written to {folder}"


def _pages(config: Config, refresh: Refresh, health: Health, linked: dict[str, str]) -> dict[str, bytes]:
    """The overview, and a page for each season of each dataset, with the documents to which the overview links."""
    found = refresh.snapshot
    assert found
    plan = Tasks.of(found, refresh.away)
    overview = overview_of(found, refresh.away, health, refresh.past, plan, StaticLinks(linked))
    pages = {"index.html": overview.page(lambda text: html(text).etag).encode()}
    with closing(Ledger(config.ledger, Access.LOOK)) as ledger:
        for season in seasons_now(config, ledger, found.plan):
            body = season_page(season, StaticLinks(root="../../")).encode()
            pages[f"coverage/{season.dataset}/{season.name}.html"] = body
    return pages


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files into a folder, and removes those that were written the last time and are not among them."""
    former = _written_before(folder)
    _write(folder / _NAMES, _as_json(former | files.keys()))
    for name, body in files.items():
        _write(folder / name, body)
    for name in former - files.keys():
        _remove(folder / name)
    _write(folder / _NAMES, _as_json(files.keys()))


def _written_before(folder: Path) -> set[str]:
    try:
        names = json.loads((folder / _NAMES).read_bytes())
    except (OSError, ValueError):
        return set()
    if not isinstance(names, list):
        return set()
    return {name for name in names if isinstance(name, str) and _NAME.fullmatch(name)}


def _as_json(names: Iterable[str]) -> bytes:
    return json.dumps(sorted(names)).encode()


def _name(path: str, answer: Answer) -> str | None:
    """The name of the file for an answer, with an ending that tells a static host its type."""
    if path in (METRICS, OPEN_METRICS):
        return "metrics.txt" if path == METRICS else None
    name = path.removeprefix("/")
    is_json = answer.type == JSON or answer.type.endswith("+json")
    return f"{name}.json" if is_json and not name.endswith(".json") else name


def _write(file: Path, body: bytes) -> None:
    """Writes a file beside its place, and then puts it there, so that nobody ever reads a part of it."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(body)
            part.chmod(0o644)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError:
        raise AdceError(f"{file.parent}: this is a file, and has to be a folder") from None
    except OSError as error:
        raise AdceError(f"{file}: cannot be written: {error.strerror}") from None


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise AdceError(f"{file}: cannot be removed: {error.strerror}") from None
