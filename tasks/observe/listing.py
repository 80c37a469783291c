"""What does the lake hold, and are its files whole? The body of each version is read once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from blocks.listing import KeyRange, Listing
from blocks.store import Store
from config.models import Config, Dataset
from tasks.domain.assess.states import Examination, LakeObject, Unreadable, content_of, version_of
from tasks.domain.assess.verdicts import Verdict, Wholeness, bad, unfinished
from tasks.domain.errors import LakeError, NoObjectError, UnreadableError
from tasks.domain.expected.cells import Cell
from tasks.domain.expected.keys import folders
from tasks.domain.flags.rollouts import scrapers
from tasks.domain.times import SKEW
from tasks.sources.checks import examine

log = logging.getLogger(__name__)

# Raise this number when a body check accepts other bodies than before. Stored files are then read again; until that,
# they count by the verdict of the former check.
CHECK_VERSION = 2
_LATER_OPTIONS = (
    "must_have",
    "equals",
    "rows",
)  # left out of a check's id where they are not set, so that former ids hold

_MOST_ERRORS = 3  # errors of the lake while bodies are read; after one more, the lake counts as away


async def list_lake(lake: Store, datasets: Iterable[Dataset], hints: Iterable[str] = ()) -> Listing:
    """The objects in the folders of the datasets, by key. `hints` are keys between which there may be about a page."""
    return await lake.list(folders(datasets), hints)


async def list_ranges(lake: Store, datasets: Iterable[Dataset], ranges: Iterable[KeyRange]) -> Listing:
    """The objects in the folders of the datasets of which the keys lie in some ranges, by key."""
    return await lake.list_ranges(folders(datasets), ranges)


def check_id(dataset: Dataset) -> str:
    """The id of a dataset's body check with its options. A change of either has the stored files read again."""
    check = dataset.check
    unset = {name for name in _LATER_OPTIONS if not getattr(check, name)}
    text = f"{CHECK_VERSION}:{check.model_dump_json(exclude=unset)}:{dataset.largest}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass
class Findings:
    """What was found in stored bodies, by key."""

    read: dict[str, Examination] = field(default_factory=dict)
    unreadable: dict[str, Unreadable] = field(default_factory=dict)
    not_files: set[str] = field(default_factory=set)  # keys that S3 lists though it has no object under them
    lake_error: LakeError | None = None  # the error of the lake as a whole that ended the reading

    def __len__(self) -> int:
        return len(self.read) + len(self.unreadable)


async def examine_stored(
    lake: Store,
    config: Config,
    cells: Iterable[Cell],
    objects: Mapping[str, LakeObject],
    known: Mapping[str, Examination],
    unreadable: Mapping[str, Unreadable],
    at_most: int,
    since: datetime | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Findings:
    """Reads at most `at_most` stored versions that the present body checks have not read, and returns the findings.

    The order is: versions that no check has read, or in which a former check found a fault; then those that a former
    check found good; newest days first in both. Last come versions that could not be read before, and that were not
    tried after `since`, the longest untried first: as many as a tenth of `at_most`, and the others only if one of
    these can be read.
    """
    checks, settings = check_ids(config), scrapers(config)
    wanted = {
        cell.key: cell
        for cell in cells
        if (have := objects.get(cell.key)) is not None
        and have.size >= settings[cell.scraper].min_bytes
        and not _is_read(known.get(cell.key), have, checks[cell.scraper])
    }
    unread = {key: seen for key in wanted if (seen := unreadable.get(key)) and seen.is_of(objects[key])}
    fresh = [cell for key, cell in wanted.items() if key not in unread]
    fresh.sort(key=lambda cell: cell.last_day, reverse=True)
    fresh.sort(key=lambda cell: _counts_as_good(known.get(cell.key), objects[cell.key]))
    chosen = [cell.key for cell in fresh[:at_most]]
    until = datetime.now(UTC) + SKEW  # an attempt later than this was recorded under a wrong clock
    again = [key for key, seen in unread.items() if since is None or not since <= seen.last <= until]
    again.sort(key=lambda key: unread[key].last)
    again = again[: at_most - len(chosen)]
    sample = max(at_most // 10, 1)
    found = Findings()
    errors = 0
    for keys in (chosen, again[:sample], again[sample:]):
        before = len(found.read)
        for key in keys:
            size, largest = objects[key].size, settings[wanted[key].scraper].largest
            if size > largest:
                verdict, check = too_large(size, largest), checks[wanted[key].scraper]
                found.read[key] = _examination(wanted[key], known.get(key), objects[key], check, verdict)
        async for key, body, have in lake.get_many(key for key in keys if key not in found.read):
            cell = wanted[key]
            if isinstance(body, UnreadableError):
                content, now = content_of(objects[key]), datetime.now(UTC)
                first = unread[key].first if key in unread else now
                found.unreadable[key] = Unreadable(content, body.cause, first, now)
            elif isinstance(body, NoObjectError):
                if lake.folder is None:  # of a folder, the whole lake may be away
                    found.not_files.add(key)
            elif isinstance(body, LakeError) or have is None:
                assert isinstance(body, LakeError)
                log.warning("%s", body)
                errors += 1
                if errors > _MOST_ERRORS:
                    found.lake_error = body
                    return found
            else:
                verdict = judge(body, cell.fields, settings[cell.scraper])
                found.read[key] = _examination(cell, known.get(key), have, checks[cell.scraper], verdict)
            progress(len(found), len(chosen) + len(again))
        if keys is not chosen and len(found.read) == before:
            break
    return found


def _is_read(known: Examination | None, have: LakeObject, check: str) -> bool:
    return known is not None and known.is_by(check, have)


def _counts_as_good(known: Examination | None, have: LakeObject) -> bool:
    """Whether a former check found the version whole, so that reading it again can wait."""
    return known is not None and known.is_of(have) and known.verdict.wholeness is Wholeness.WHOLE


def check_ids(config: Config) -> dict[str, str]:
    """The check_id of every scraper, by its name."""
    return {name: check_id(dataset) for name, dataset in scrapers(config).items()}


def _examination(cell: Cell, before: Examination | None, have: LakeObject, check: str, verdict: Verdict) -> Examination:
    """The examination of a body that was just read. `before` is the former one, of this version or of another.

    A new version of a list with the same size and verdict is taken for a copy, as when a lake is moved, and keeps the
    time at which it was fetched.
    """
    version = version_of(have, check)
    if before is None:
        return Examination(*version, verdict)
    if before.is_of(have):
        return before._replace(check=check, verdict=verdict)
    was_size = before.was_size or before.size
    is_copy = cell.game is None and have.size == before.size and verdict == before.verdict
    return Examination(
        *version,
        verdict,
        fetched=before.fetched if is_copy else None,
        was_size=was_size if before.good and have.size < was_size else None,
    )


def judge(body: bytes, fields: Mapping[str, str], dataset: Dataset) -> Verdict:
    """The verdict of the dataset's body check on a body of the partition with these fields.

    A body below `min_bytes` is bad; a game's document that small counts as unfinished, since its source may never have
    more.
    """
    if len(body) > dataset.largest:
        return too_large(len(body), dataset.largest)
    verdict = examine(body, fields, dataset.check)
    if verdict.fits(dataset) and len(body) < dataset.min_bytes:
        reason = f"{len(body)} bytes; a whole one has at least {dataset.min_bytes}"
        return unfinished(reason) if dataset.per == "game" and dataset.refresh is None else bad(reason)
    return verdict


def too_large(size: int, largest: int) -> Verdict:
    """The verdict on a body larger than `max_bytes`, which is not read."""
    return bad(f"{size} bytes, more than max_bytes, {largest}")
