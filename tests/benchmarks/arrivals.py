"""How fast do messages of S3 become states in the ledger, beside the bare writes of SQLite?

The lake is one of 30 seasons with all its schedules. The messages tell of files of games that are stored, in any order.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from rich.table import Table

from blocks.store import Store
from config.models import Config
from tasks.domain.assess.assessment import expected_cells
from tasks.domain.assess.states import LakeObject
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.ledger import Ledger
from tasks.observe.session import Session
from tasks.observe.watcher import Fate, Watcher
from tests.benchmarks.scale import NOW, environment, fill_ledger, games_by_schedule

T = TypeVar("T")
_AT_ONCE = 500
_MESSAGES = 50_000
_SIZE = 100_000


class _Bucket(Store):
    """A bucket that has nothing to say."""

    def __init__(self) -> None:
        super().__init__("s3://lake")

    async def find_all(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        raise AssertionError("the lake is not asked about new files")

    def obstacles(self, keys: Iterable[str]) -> dict[str, str]:
        return {}


def taken_in(folder: Path) -> Table:
    """Messages a second from their text to the committed states, for two sizes of the lake."""
    table = Table(
        title=f"{_MESSAGES:,} messages of new files, committed by {_AT_ONCE}",
        caption="bare: an upsert of as many rows of the same columns with sqlite3, committed by as many",
    )
    for name in ("cells", "messages a second", "bare upserts a second", "share"):
        table.add_column(name, justify="right")
    for per_season in (160, 700):
        url = f"sqlite:///{folder / f'{per_season}.db'}"
        with environment(url, folder, folder) as config:
            cells, messages = _lake(config, url, per_season)
            ledger = Ledger(url)
            speed = len(messages) / _seconds(config, ledger, messages)
            ledger.close()
        bare = len(messages) / _bare(folder / f"bare{per_season}.db", len(messages))
        table.add_row(f"{cells:,}", f"{speed:,.0f}", f"{bare:,.0f}", f"{speed / bare:.0%}")
    return table


def _lake(config: Config, url: str, per_season: int) -> tuple[int, Sequence[str]]:
    """Fills a ledger with the schedules of a lake. Returns the number of its cells, and messages of other files."""
    games = games_by_schedule(per_season)
    cells = expected_cells(config, calendar_cells(config, NOW), games, Selection(), NOW)
    schedules = {key: LakeObject(key, _SIZE, NOW, '"e"') for key, cell in cells.items() if not cell.game}
    fill_ledger(url, config, cells, schedules, games)
    keys = [key for key, cell in cells.items() if cell.game]
    random.Random(1).shuffle(keys)
    return len(cells), [_message(key, number) for number, key in enumerate(keys[:_MESSAGES])]


def _message(key: str, number: int) -> str:
    thing = {"key": key, "size": _SIZE, "eTag": f"{number:032x}", "sequencer": f"{number:016X}"}
    record = {"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1"}
    record |= {"eventTime": "2026-09-01T01:00:00.000Z", "eventName": "ObjectCreated:Put"}
    return json.dumps({"Records": [record | {"s3": {"bucket": {"name": "lake"}, "object": thing}}]})


def _seconds(config: Config, ledger: Ledger, messages: Sequence[str]) -> float:
    session = Session(config, Selection(), _Bucket(), ledger, NOW)
    ledger.database.write(lambda connection: ledger.announcements.write_progress(connection, NOW))
    ledger.announcements.listed(NOW)
    watcher = Watcher(session)

    async def take() -> None:
        for some in _parts(messages):
            fates = (await watcher.take(some)).fates
            assert set(fates) == {Fate.APPLIED}

    gc.collect()
    gc.set_threshold(100_000)
    begun = time.perf_counter()
    asyncio.run(take())
    return time.perf_counter() - begun


def _bare(file: Path, count: int) -> float:
    statement = (
        "INSERT INTO arrivals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET etag = excluded.etag, "
        "size = excluded.size, modified = excluded.modified, version = excluded.version, "
        "sequencer = excluded.sequencer, asked = excluded.asked, learnt_by = excluded.learnt_by, "
        "learnt_at = excluded.learnt_at"
    )
    rows = [
        (f"espn_box_scores/{n}.json", f'"{n:032x}"', _SIZE, 1.0, "", f"{n:016X}", None, "event", 1.0)
        for n in random.Random(1).sample(range(count), count)
    ]
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(
        "CREATE TABLE arrivals (key PRIMARY KEY, etag, size, modified, version, sequencer, asked, learnt_by, learnt_at)"
    )
    begun = time.perf_counter()
    for some in _parts(rows):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, some)
        connection.execute("COMMIT")
    seconds = time.perf_counter() - begun
    connection.close()
    return seconds


def _parts(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), _AT_ONCE):
        yield things[start : start + _AT_ONCE]
