"""What does the lake hold, and is it whole? Each stored body is read once per version."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

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

# Raise it when a body check changes what it accepts: stored files are then read again, and count by what the former
# check has found until then.
CHECK_VERSION = 2

_MOST_TROUBLES = 3  # bodies that the lake fails to give, before it counts as away


async def list_lake(lake: Store, datasets: Iterable[Dataset]) -> dict[str, LakeObject]:
    """The objects in the folders of the datasets, by key."""
    return await lake.list(folders(datasets))


def check_id(dataset: Dataset) -> str:
    """Names the check and its options, so that a change of either has the stored files read again."""
    text = f"{CHECK_VERSION}:{dataset.check.model_dump_json()}:{dataset.largest}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass
class Findings:
    """What reading stored bodies has found, by key."""

    read: dict[str, Examination] = field(default_factory=dict)
    unreadable: dict[str, Unreadable] = field(default_factory=dict)
    trouble: LakeError | None = None  # of the lake as a whole, which ended the reading

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
    """Reads at most so many stored versions that the present checks have not read, and gives what they find.

    First those that no check has read or a former check found fault with, then those that a former check found good; of
    each the newest days first. Last come those that could not be read and were not tried after `since`, longest not
    tried first: a tenth of `at_most`, and the others only if one of the tenth can be read.
    """
    checks, settings = check_ids(config), scrapers(config)
    wanted = {
        cell.key: cell
        for cell in cells
        if (have := objects.get(cell.key)) is not None
        and have.size >= settings[cell.scraper].min_bytes
        and not _is_read(known.get(cell.key), have, checks[cell.scraper])
    }
    refused = {key: seen for key in wanted if (seen := unreadable.get(key)) and seen.is_of(objects[key])}
    fresh = [cell for key, cell in wanted.items() if key not in refused]
    fresh.sort(key=lambda cell: cell.last_day, reverse=True)
    fresh.sort(key=lambda cell: _counts_as_good(known.get(cell.key), objects[cell.key]))
    chosen = [cell.key for cell in fresh[:at_most]]
    until = datetime.now(UTC) + SKEW  # a try after this was made under a wrong clock
    again = [key for key, seen in refused.items() if since is None or not since <= seen.last <= until]
    again.sort(key=lambda key: refused[key].last)
    again = again[: at_most - len(chosen)]
    some = max(at_most // 10, 1)
    found = Findings()
    troubles = 0
    for keys in (chosen, again[:some], again[some:]):
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
                first = refused[key].first if key in refused else now
                found.unreadable[key] = Unreadable(content, body.cause, first, now)
            elif isinstance(body, NoObjectError):
                continue
            elif isinstance(body, LakeError) or have is None:
                assert isinstance(body, LakeError)
                log.warning("%s", body)
                troubles += 1
                if troubles > _MOST_TROUBLES:
                    found.trouble = body
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
    """Whole by a former check: that can wait."""
    return known is not None and known.is_of(have) and known.verdict.wholeness is Wholeness.WHOLE


def check_ids(config: Config) -> dict[str, str]:
    """The check_id of every scraper."""
    return {name: check_id(dataset) for name, dataset in scrapers(config).items()}


def _examination(cell: Cell, before: Examination | None, have: LakeObject, check: str, verdict: Verdict) -> Examination:
    """What is known of a body now; `before` is of the same version, perhaps by another check, or of another version.

    A list of the same size that says the same has been copied, as when a lake moves: that makes it no younger.
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
    """The dataset's check on a body of the partition with these fields.

    One of a game that is too small is unfinished: its source may never have more.
    """
    if len(body) > dataset.largest:
        return too_large(len(body), dataset.largest)
    verdict = examine(body, fields, dataset.check)
    if verdict.fits(dataset) and len(body) < dataset.min_bytes:
        reason = f"{len(body)} bytes; a whole one has at least {dataset.min_bytes}"
        return unfinished(reason) if dataset.per == "game" and dataset.refresh is None else bad(reason)
    return verdict


def too_large(size: int, largest: int) -> Verdict:
    """Of a body that need not be read."""
    return bad(f"{size} bytes, more than max_bytes, {largest}")
