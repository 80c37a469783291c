"""How fast do messages of S3 become states in the ledger, beside the bare writes of SQLite?

The lake is one of 30 seasons with all its schedules. The messages tell of files of games that are stored, in any order.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import boto3
import psutil
from rich.table import Table

from blocks.aws import Aws
from blocks.listing import Listing
from blocks.store import Store
from config.models import Config
from flows.watch import Watch
from tasks import clock
from tasks.answers.watched import Watched
from tasks.domain.assess.assessment import expected_cells
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind, LakeObject, is_due
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.ledger import Ledger
from tasks.observe.queue import open_queue
from tasks.observe.receivers import receiving
from tasks.observe.session import Session
from tasks.observe.watcher import Fate, Watcher
from tests.benchmarks.scale import NOW, environment, fill_ledger, games_by_schedule
from tests.servers import new_database, postgresql, postgresql_programs

T = TypeVar("T")
_AT_ONCE = 500
_MESSAGES = 50_000
_SIZE = 100_000
_SIZES = (160, 700)  # games a season
_OF_CALENDAR, _PER_GAME = 8_592, 240  # cells of the lake: so many, and more for each game a season
_RECEIVED = 100_000
_PART = 20_000
_LOOKS = 0.02  # seconds
PER_SECOND = 100
_PACED = 1000
_THREADS = 4


class SilentBucket(Store):
    """A bucket that has nothing, and says so at once."""

    def __init__(self) -> None:
        super().__init__("s3://lake")

    async def find_all(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        return {}

    async def list(self, folders: Iterable[str], hints: Iterable[str] = ()) -> Listing:
        return Listing()

    def obstacles(self, keys: Iterable[str]) -> dict[str, str]:
        return {}


def taken_in(folder: Path) -> Table:
    """Messages a second from their text to the committed states, for two sizes of the lake, and another in CELLS."""
    table = Table(
        title=f"{_MESSAGES:,} messages of new files, committed by {_AT_ONCE}",
        caption="bare: an upsert of as many rows of the same columns with sqlite3, committed by as many; of CPU: for "
        "each second of CPU of this process; setup: of the lake and its ledger, and this process's peak memory since",
    )
    names = ("ledger", "cells", "messages a second", "of CPU", "bare upserts a second", "share", "setup")
    for name in names:
        table.add_column(name, justify="right")
    sizes = [*_SIZES, *([round((int(cells) - _OF_CALENDAR) / _PER_GAME)] if (cells := os.environ.get("CELLS")) else [])]
    for per_season in sizes:
        bare = _MESSAGES / _bare(folder / f"bare{per_season}.db", _MESSAGES)
        _take_in(folder, f"sqlite:///{folder / f'{per_season}.db'}", per_season, table, bare)
    if postgresql_programs():
        with postgresql(folder / "pg") as server:
            _take_in(folder, f"postgresql://{new_database(server, 'ledger')}", _SIZES[-1], table)
    return table


def _take_in(folder: Path, url: str, per_season: int, table: Table, bare: float | None = None) -> None:
    """Adds a row of the table: a ledger at a URL, for so many games a season."""
    with environment(url, folder, folder) as config:
        begun = time.perf_counter()
        cells, messages = _lake(config, url, per_season)
        setup = time.perf_counter() - begun
        ledger = Ledger(url)
        begun_cpu = time.process_time()
        speed = len(messages) / _seconds(config, ledger, messages)
        of_cpu = len(messages) / (time.process_time() - begun_cpu)
        ledger.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    compared = (f"{bare:,.0f}", f"{speed / bare:.0%}") if bare else ("", "")
    ledger_name = url.partition(":")[0]
    table.add_row(
        ledger_name, f"{cells:,}", f"{speed:,.0f}", f"{of_cpu:,.0f}", *compared, f"{setup:.0f} s, {memory:,.0f} MB"
    )


def received(folder: Path) -> Table:
    """Messages a second from a queue to their deletion, beside the bare requests; and from their receipt to a state."""
    url = f"sqlite:///{folder / 'received.db'}"
    table = Table(
        title=f"{_RECEIVED:,} old messages from a queue on loopback, which change nothing, and are deleted",
        caption="bare: the same requests of boto3, with as many threads; latency: receipt to commit, at 100 a second",
    )
    for name in ("messages a second", "bare", "share", "latency P50", "P99"):
        table.add_column(name, justify="right")
    with environment(url, folder, folder) as config:
        _, messages = _lake(config, url, 160)
        ledger = Ledger(url)
        ledger.announcements.progressed(NOW)
        ledger.announcements.listed(NOW)
        session = Session(config, Selection(), SilentBucket(), ledger, NOW)
        old = [message_of(key, n, "2026-01-01T00:00:00Z") for n, key in enumerate(_keys(messages, _RECEIVED))]
        with _queue(old) as address:
            bare = _RECEIVED / _bare_requests(address)
        with _queue(old) as address:
            watched = asyncio.run(_watched(session, address))
        assert watched.fates == {Fate.ALREADY_KNOWN: _RECEIVED}
        speed = _RECEIVED / watched.seconds
        late = asyncio.run(at_a_pace(session, messages[:_PACED]))
        ledger.close()
    half, most = late.latency(0.5), late.latency(0.99)
    assert half
    assert most
    row = (f"{speed:,.0f}", f"{bare:,.0f}", f"{speed / bare:.0%}", f"{1000 * half:.0f} ms", f"{1000 * most:.0f} ms")
    table.add_row(*row)
    return table


def long_life(folder: Path) -> Table:
    """Memory, open files and threads of one watcher after so many messages, each of which changes a state."""
    table = Table(
        title=f"One process that watches for {_RECEIVED:,} messages", caption="memory: after a garbage collection"
    )
    for name in ("messages", "memory", "open files", "threads", "messages a second"):
        table.add_column(name, justify="right")
    url = f"sqlite:///{folder / 'life.db'}"
    with environment(url, folder, folder) as config:
        _, messages = _lake(config, url, 160)
        ledger = Ledger(url)
        ledger.announcements.progressed(NOW)
        ledger.announcements.listed(NOW)
        session = Session(config, Selection(), SilentBucket(), ledger, NOW)
        bodies = [message_of(key, n) for n, key in enumerate(_keys(messages, _RECEIVED))]
        with _queue(bodies) as address:
            watched = asyncio.run(_watched(session, address, table))
        assert watched.fates == {Fate.APPLIED: _RECEIVED}
        ledger.close()
    return table


def _used() -> tuple[str, str, str]:
    gc.collect()
    process = psutil.Process()
    return f"{process.memory_info().rss / 1e6:,.0f} MB", str(process.num_fds()), str(process.num_threads())


def _keys(messages: Sequence[str], count: int) -> Iterator[str]:
    keys = [json.loads(message)["Records"][0]["s3"]["object"]["key"] for message in messages]
    return (keys[n % len(keys)] for n in range(count))


@contextmanager
def _queue(bodies: Sequence[str]) -> Iterator[str]:
    """The address of a queue that has these messages."""
    command = [sys.executable, "-m", "tests.benchmarks.sqs", str(round(1000 * NOW.timestamp()))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin
        assert server.stdout
        server.stdin.write("\n".join(bodies))
        server.stdin.close()
        endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
        credentials = {
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        os.environ |= credentials | {"AWS_ENDPOINT_URL_SQS": endpoint}
        try:
            yield f"{endpoint}/123456789012/old"
        finally:
            server.kill()


def _bare_requests(address: str) -> float:
    """Seconds in which threads receive and delete all messages, and do nothing else."""
    queue = asyncio.run(open_queue(Aws(boto3.Session()), address, waits=0))

    def work(_: int) -> None:
        while found := queue.receive():
            queue.delete(found)

    begun = time.perf_counter()
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(work, range(_THREADS)))
    return time.perf_counter() - begun


async def _watched(session: Session, address: str, table: Table | None = None) -> Watched:
    """Lets a watch take all messages of a queue. Adds what it uses from time to time to the table, if there is one."""
    queue = await open_queue(Aws(boto3.Session()), address, waits=0)
    watch = Watch(session, Watcher(session), await asyncio.to_thread(queue.facts), None, until_empty=True)
    watched = watch.watched
    watched.begun = clock.seconds()
    async with watch.recording(), receiving(queue, 300, _THREADS) as receivers, watch.deleting():
        running = asyncio.create_task(watch.run(receivers))
        for count in range(_PART, _RECEIVED + 1, _PART) if table else ():
            while watched.received < count and not running.done():
                await asyncio.sleep(_LOOKS)
            assert table
            table.add_row(f"{watched.received:,}", *_used(), f"{watched.received / watched.seconds:,.0f}")
        await running
    return watched


async def at_a_pace(session: Session, messages: Iterable[str]) -> Watched:
    """Takes a hundred messages a second as a watch does: together all that have come, and then what follows from them.

    A message counts as received when it was due, however late it is taken.
    """
    watcher, watched = Watcher(session), Watched()
    begun, sent, waiting = clock.seconds(), 0, iter(messages)
    while True:
        await asyncio.sleep(max(0.0, begun + sent / PER_SECOND - clock.seconds()))
        count = min(int((clock.seconds() - begun) * PER_SECOND) + 1 - sent, _AT_ONCE)
        some = list(islice(waiting, count))
        if not some:
            return watched
        received = [begun + n / PER_SECOND for n in range(sent, sent + len(some))]
        watched.add(await watcher.take(some), received, some)
        sent += len(some)
        if watcher.is_behind or clock.seconds() < begun + sent / PER_SECOND:
            await watcher.follow()


def _lake(config: Config, url: str, per_season: int) -> tuple[int, Sequence[str]]:
    """Fills a ledger with the schedules of a lake, and with the gaps that a look has found: all other files.

    Returns the number of cells, and messages of the other files.
    """
    games = games_by_schedule(per_season)
    cells = expected_cells(config, calendar_cells(config, NOW), games, Selection(), NOW)
    schedules = {key: LakeObject(key, _SIZE, NOW, '"e"') for key, cell in cells.items() if not cell.game}
    fill_ledger(url, config, cells, schedules, games)
    keys = [key for key, cell in cells.items() if cell.game]
    ledger = Ledger(url)
    ledger.gaps.record(Gap(cells[key], Kind.MISSING, "not in the lake", NOW) for key in keys if is_due(cells[key], NOW))
    ledger.close()
    random.Random(1).shuffle(keys)
    return len(cells), [message_of(key, number) for number, key in enumerate(keys[:_MESSAGES])]


def message_of(key: str, number: int, at: str = "2026-09-01T01:00:00.000Z", etag: str = "") -> str:
    """S3's message that an object was stored."""
    thing = {"key": key, "size": _SIZE, "eTag": etag or f"{number:032x}", "sequencer": f"{number:016X}"}
    record = {"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1"}
    record |= {"eventTime": at, "eventName": "ObjectCreated:Put"}
    return json.dumps({"Records": [record | {"s3": {"bucket": {"name": "lake"}, "object": thing}}]})


def _seconds(config: Config, ledger: Ledger, messages: Sequence[str]) -> float:
    session = Session(config, Selection(), SilentBucket(), ledger, NOW)
    ledger.announcements.progressed(NOW)
    ledger.announcements.listed(NOW)
    watcher = Watcher(session)

    async def take() -> None:
        for some in _parts(messages):
            fates = (await watcher.take(some)).fates
            assert set(fates) == {Fate.APPLIED}
            if watcher.is_behind:
                await watcher.follow()
        await watcher.follow()

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
