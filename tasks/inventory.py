"""What does the lake hold, and is it whole? Each stored body is read once per version."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping

from blocks.store import Store
from config.models import Config, Dataset
from tasks.domain.errors import LakeError
from tasks.domain.expected import Cell
from tasks.domain.keys import folders
from tasks.domain.rollout import scrapers
from tasks.domain.states import Examination, LakeObject, version_of
from tasks.domain.verdicts import Verdict, bad
from tasks.sources.checks import examine

log = logging.getLogger(__name__)

# Raise it when a body check changes what it accepts: stored files are then looked into again.
CHECK_VERSION = 2


async def list_lake(lake: Store, datasets: Iterable[Dataset]) -> dict[str, LakeObject]:
    """The objects in the folders of the datasets, by key."""
    return await lake.list(folders(datasets))


def check_id(dataset: Dataset) -> str:
    """Names the check and its options, so that a change of either has the stored files looked into again."""
    text = f"{CHECK_VERSION}:{dataset.check.model_dump_json()}:{dataset.largest}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


async def examine_stored(
    lake: Store,
    config: Config,
    cells: Iterable[Cell],
    objects: dict[str, LakeObject],
    known: dict[str, Examination],
    at_most: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Examination]:
    """What the checks find in stored versions that nobody has looked into: at most so many, the newest days first."""
    checks, settings = check_ids(config), scrapers(config)
    wanted: dict[str, Cell] = {}
    for cell in cells:
        have = objects.get(cell.key)
        if have is None or have.size < settings[cell.scraper].min_bytes:
            continue
        examined = known.get(cell.key)
        if examined is None or examined.version != version_of(have, checks[cell.scraper]):
            wanted[cell.key] = cell
    chosen = sorted(wanted.values(), key=lambda cell: cell.last_day, reverse=True)[:at_most]
    found: dict[str, Examination] = {}
    for cell in [cell for cell in chosen if objects[cell.key].size > settings[cell.scraper].largest]:
        have, largest = objects[cell.key], settings[cell.scraper].largest
        found[cell.key] = _examination(known.get(cell.key), have, checks[cell.scraper], too_large(have.size, largest))
    async for key, body, have in lake.get_many(cell.key for cell in chosen if cell.key not in found):
        if isinstance(body, LakeError) or have is None:
            log.warning("%s", body)
            continue
        cell = wanted[key]
        verdict = judge(body, cell.fields, settings[cell.scraper])
        found[key] = _examination(known.get(key), have, checks[cell.scraper], verdict)
        progress(len(found), len(chosen))
    return found


def check_ids(config: Config) -> dict[str, str]:
    """The check_id of every scraper."""
    return {name: check_id(dataset) for name, dataset in scrapers(config).items()}


def _examination(before: Examination | None, have: LakeObject, check: str, verdict: Verdict) -> Examination:
    """What is known of a body that was looked into: of the same version perhaps by another check, or of another."""
    version = version_of(have, check)
    if before is None:
        return Examination(version, verdict)
    if before.version.rpartition(":")[0] == version.rpartition(":")[0]:
        return before._replace(version=version, verdict=verdict)
    was_size = before.was_size or before.size
    return Examination(version, verdict, was_size=was_size if before.good and have.size < was_size else None)


def judge(body: bytes, fields: Mapping[str, str], dataset: Dataset) -> Verdict:
    """The dataset's check on a body of the partition with these fields."""
    if len(body) > dataset.largest:
        return too_large(len(body), dataset.largest)
    verdict = examine(body, fields, dataset.check)
    if verdict.fits(dataset) and len(body) < dataset.min_bytes:
        return bad(f"{len(body)} bytes; a whole one has at least {dataset.min_bytes}")
    return verdict


def too_large(size: int, largest: int) -> Verdict:
    """Of a body that need not be read."""
    return bad(f"{size} bytes, more than max_bytes, {largest}")
