"""Where is a document kept that the source never has whole? Its best version is kept aside, and stored in the end."""

from __future__ import annotations

from tasks.domain.assess.partials import FOLDER, Version, better_of
from tasks.domain.errors import NoObjectError, UnreadableError
from tasks.domain.expected.cells import Cell
from tasks.observe.listing import judge
from tasks.run.run import Run


async def keep_aside(run: Run, cell: Cell, seen: Version | None) -> None:
    """Stores the version that was `seen` in the partial folder of the lake, if it is the best one so far."""
    if seen is None:
        return
    aside = f"{FOLDER}/{cell.key}"
    have = await run.outage.retry(lambda: run.session.lake.find(aside))
    former = await _version(run, cell, aside) if have else None
    if better_of(former, seen) is seen:
        await run.outage.retry(lambda: run.session.lake.put(aside, seen.body, have))


async def keep_best(run: Run, cell: Cell, seen: Version | None) -> bool:
    """Stores the best version so far under the file's key, unless the version under that key is as good.

    Returns whether it was stored. If the version under that key cannot be read, it is not replaced, because it cannot
    be compared.
    """
    have = run.known.objects.get(cell.key)
    former = await _version(run, cell, f"{FOLDER}/{cell.key}")
    there = await _version(run, cell, cell.key) if have else None
    best = better_of(there, better_of(former, seen))
    if best is None or best is there or (have and not there):
        return False
    body = best.body
    stored, is_ours = await run.outage.retry(lambda: run.session.lake.put(cell.key, body, have))
    if not is_ours:  # somebody else has stored another version, which the next look at the lake reads
        return False
    run.learn(cell, stored, best.verdict, run.session.now())
    return True


async def _version(run: Run, cell: Cell, key: str) -> Version | None:
    """The version in the lake under `key`; None if there is none or it cannot be read."""
    try:
        body, _ = await run.outage.retry(lambda: run.session.lake.get(key))
    except (UnreadableError, NoObjectError):
        return None
    return Version(body, judge(body, cell.fields, run.scrapers[cell.scraper]))
