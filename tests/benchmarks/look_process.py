"""A look at a lake that an S3 Inventory lists, in a process of its own, whose memory it tells; or a join beside it.

It imports nothing that a look does not need, so that the memory is that of a look.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from blocks.inventory import listing_of
from blocks.listing import Listing
from blocks.store import Store
from config.load import load_config
from tasks.answers.plan import report_of
from tasks.domain.expected.cells import Selection
from tasks.domain.inventories import Format, Manifest
from tasks.ledger import Ledger
from tasks.ledger.database import file_of
from tasks.observe.look import Reader, look_at_lake
from tasks.observe.planner import Planner
from tasks.observe.session import Session


class _Inventoried(Store):
    """A lake that is listed by the files of an inventory, which are there."""

    def __init__(self, folder: Path):
        super().__init__("file:///nowhere")
        self._files = sorted(folder.iterdir())

    async def list(self, folders: Iterable[str], hints: Iterable[str] = ()) -> Listing:
        manifest = Manifest("lake", datetime.now(UTC), Format.PARQUET, (), ())
        return await asyncio.to_thread(listing_of, self._files, manifest, "", list(folders), sorted(hints))


def look(folder: Path) -> str:
    """Looks, plans, and remembers. Says how many files are in which state."""

    async def found() -> str:
        config = load_config()
        ledger = Ledger(config.ledger)
        session = Session(config, Selection(), _Inventoried(folder), ledger, None)
        look = await look_at_lake(session, Reader(session, 0), remember=True)
        report_of(session, look, Planner.of_a_look(session))
        ledger.close()
        totals = look.overview.totals
        return ", ".join(f"{totals[state]:,} {state}" for state in ("present", "gap", "deferred"))

    return asyncio.run(found())


def duckdb(folder: Path) -> str:
    """Joins the rows of the inventory with those of the former one, which have what the ledger has of each file."""
    import duckdb  # not at the top: it is not installed with the others

    query = f"""SELECT count(*) FILTER (i.e_tag = o.e_tag AND i.size = o.size), count(*)
        FROM read_parquet('{folder.parent}/first/*.parquet') o
        LEFT JOIN read_parquet('{folder}/*.parquet') i USING (key)"""
    same, every = duckdb.sql(query).fetchall()[0]
    return f"{same:,} same of {every:,}"


def dicts(folder: Path) -> str:
    """Does the same with dicts of the objects and of the examinations."""
    from arro3.io import read_parquet

    objects = {}
    for file in sorted(folder.iterdir()):
        for batch in read_parquet(file, batch_size=65_536):
            columns = [batch[name].to_pylist() for name in ("key", "size", "last_modified_date", "e_tag")]
            objects.update((key, rest) for key, *rest in zip(*columns, strict=True))
    with sqlite3.connect(_ledger()) as connection:
        known = {key: rest for key, *rest in connection.execute("SELECT key, etag, size, body_check FROM objects")}
    same = sum(
        (have := objects.get(key)) is not None and (f'"{have[2]}"', have[0]) == (etag, size)
        for key, (etag, size, _) in known.items()
    )
    return f"{same:,} same of {len(known):,}"


def _ledger() -> Path:
    from tasks.ledger.database import address_of

    file = file_of(address_of(load_config().ledger))
    assert file is not None
    return file


_WORK: dict[str, Callable[[Path], str]] = {"look": look, "duckdb": duckdb, "dicts": dicts}

if __name__ == "__main__":
    wall, cpu = time.perf_counter(), time.process_time()
    told = _WORK[sys.argv[1]](Path(sys.argv[2]))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"found": told, "seconds": wall, "cpu": cpu, "peak": int(status["VmHWM"].split()[0])}))
