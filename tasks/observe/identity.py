"""Do this lake and this ledger belong together? The lake's mark is compared with what the ledger knows."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection
from datetime import UTC, datetime

from blocks.store import Store
from tasks.domain.errors import LakeError, Reach
from tasks.domain.lakes import (
    MARK_KEY,
    Facts,
    KnownLake,
    LakeKind,
    LakeMark,
    Pairing,
    check_part,
    mark_from,
    no_ledger,
    pair,
)
from tasks.ledger import Ledger
from tasks.observe.slowness import told_if_slow

log = logging.getLogger(__name__)


async def check_pairing(
    lake: Store,
    ledger: Ledger,
    wanted: LakeKind | None,
    planned: tuple[str | None, str | None] = (None, None),
    folders: Collection[str] = (),
) -> Pairing:
    """Checks that the lake and the ledger belong together, and lets the ledger know the lake if it is written to.

    Writes nothing to the lake, and logs what has changed. Takes and raises the same as `find_pairing`.
    """
    facts, found = await find_pairing(lake, ledger, wanted, planned, folders)
    if wanted is None:
        lacks_ledger = ledger.only_reads and not ledger.is_there
        if found.is_marked and found.mark.kind is LakeKind.SANDBOX:
            log.warning("lake %s is a sandbox's: its games are invented", facts.lake)
        elif facts.files_gone:
            log.warning("%s", found.news)
        elif lake.folder is not None and not lake.folder.exists():
            nor, made = (f", and no ledger at {ledger.name}", "both") if lacks_ledger else ("", "it")
            log.warning("lake %s: there is no such folder yet%s; a run that fetches makes %s", facts.lake, nor, made)
        if lacks_ledger and found.is_marked:  # no run has stored a file in a lake without a mark
            log.warning("%s", no_ledger(facts.ledger, facts.lake, facts.mark))
    elif found.news:
        log.warning("%s", found.news)
    if wanted is not None and found.is_marked:
        _remember(lake, ledger, found.mark, facts.known)
    return found


async def find_pairing(
    lake: Store,
    ledger: Ledger,
    wanted: LakeKind | None,
    planned: tuple[str | None, str | None] = (None, None),
    folders: Collection[str] = (),
) -> tuple[Facts, Pairing]:
    """What is known about the lake and the ledger, and how they belong together. Writes nothing.

    `wanted` is the kind of lake that is about to be written to, or None if it is only read. `planned` are the ids of
    the lake and of the ledger of the run that has planned this work. `folders` are the folders of the lake's files: if
    the lake has lost its mark, they are looked at to see whether its files are gone too.

    Raises LakeError, LedgerError and MismatchError.
    """
    mark, known = await read_mark(lake), ledger.identity.lake()
    needs_more = known is None
    facts = Facts(
        lake.address,
        ledger.name,
        mark,
        known,
        lake_is_empty=needs_more and mark is None and wanted is LakeKind.SANDBOX and await lake.is_empty(),
        ledger_is_new=not (needs_more and ledger.attempts.any()),
        files_gone=0 if mark or not folders else await _files_gone(lake, ledger, known, folders),
    )
    if planned != (None, None):
        here = mark.id if mark else known.id if known and known.is_at(facts.lake) else ""
        check_part(planned, (here, ledger.id), facts)
    return facts, pair(facts, wanted, LakeMark(uuid.uuid4().hex, LakeKind.REAL, datetime.now(UTC)))


async def _files_gone(lake: Store, ledger: Ledger, known: KnownLake | None, folders: Collection[str]) -> int:
    """The number of files that the ledger knows of this lake, if the lake has none of them; else 0.

    One object per folder is looked for; nothing is listed.
    """
    if known is None or not known.is_at(lake.address) or not (files := ledger.objects.count()):
        return 0
    return 0 if await lake.holds_any(folders) else files


async def write_mark(lake: Store, ledger: Ledger, found: Pairing) -> LakeMark:
    """Writes the lake's mark, and records the lake in the ledger. Returns the mark that the lake has then.

    If two runs do so at once, the first mark stays. Raises MismatchError if that mark and the ledger do not belong
    together.
    """
    mark = found.mark
    if not found.is_marked:
        try:
            put = await lake.put(MARK_KEY, mark.body())
        except LakeError as error:
            if error.reach is Reach.LAKE:
                raise
            log.warning("%s; without this mark, only the ledger knows which lake this is", error)
        else:
            if not put.is_ours:
                mark = await read_mark(lake) or mark
        known = ledger.identity.lake()
        pair(Facts(lake.address, ledger.name, mark, known), found.mark.kind, mark)
        _remember(lake, ledger, mark, known)
    return mark


async def read_mark(lake: Store) -> LakeMark | None:
    """The mark of the lake, which says which lake it is; None if it has none that can be read."""
    try:
        with told_if_slow(lake):
            body, _ = await lake.get(MARK_KEY)
    except LakeError as error:
        if error.reach is Reach.LAKE:
            raise
        return None
    if (mark := mark_from(body)) is None:
        log.warning("lake %s: %s is not a mark of a lake, and is ignored", lake.address, MARK_KEY)
    return mark


def _remember(lake: Store, ledger: Ledger, mark: LakeMark, known: KnownLake | None) -> None:
    """Records the lake in the ledger. Raises MismatchError if the ledger belongs to another lake by now."""
    now = KnownLake(mark.id, mark.kind, lake.address)
    if now != known and (kept := ledger.identity.remember(now)).id != now.id:
        pair(Facts(now.url, ledger.name, mark, kept), None, mark)
