"""How fast do states follow messages while another process looks at a lake of 30 seasons, and who waits for whom?

The lake is a folder, for its listing is fast. Its files were stored elsewhere before, and a message tells of each as it
is moved into the lake. The look takes each of them for another version than the message has told, because the ETags of
a folder are not those of a bucket, and has more to record than in a bucket.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from rich.table import Table

from blocks.store import Store
from tasks.domain.assess.assessment import expected_cells
from tasks.domain.assess.states import LakeObject
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.ledger import Ledger
from tasks.observe.session import Session
from tests.benchmarks.arrivals import PER_SECOND, SilentBucket, at_a_pace, message_of
from tests.benchmarks.scale import NOW, environment, fill_ledger, folders, games_by_schedule, make_files
from tests.benchmarks.transactions import LongTransactions, Transaction, longest

_MISSING = 15  # one file in so many is not in the lake at first
_MESSAGES = 2000  # at least; more come until the other process has looked twice
_LOOKS = 2
_COMMANDS = {
    "nothing": [],
    "adce plan, which judges everything": ["plan", "--json", "--as-of", NOW.isoformat()],
    "adce reconcile --dry-run, which remembers": ["reconcile", "--dry-run", "--json"],
}


def beside_looks(folder: Path) -> Table:
    """Latency from receipt to state at 100 messages a second, alone and beside commands that look at 393,000 cells."""
    table = Table(
        title=f"{PER_SECOND} messages a second while another process looks at the lake, again and again",
        caption="latency: receipt to commit; aims: P50 20 ms and P99 150 ms alone, P99 1 s beside a reconcile, and no "
        "transaction that writes to the ledger longer than 250 ms",
    )
    for name in ("beside", "cells", "messages", "looks", "P50", "P99", "slowest", "longest transaction: watch", "look"):
        table.add_column(name, justify="right")
    url, lake, later = f"sqlite:///{folder / 'l.db'}", folder / "lake", folder / "later"
    games = games_by_schedule(1600)
    with environment(url, lake, folder) as config:
        cells = expected_cells(config, calendar_cells(config, NOW), games, Selection(), NOW)
        missing = [key for n, key in enumerate(cells) if n % _MISSING == 0 and cells[key].game]
        make_files(lake, cells.keys() - set(missing))
        make_files(later, missing)
        fill_ledger(url, config, cells, asyncio.run(Store(lake.as_uri()).list(folders(cells))), games)
        coming = asyncio.run(Store(later.as_uri()).list(folders(cells)))
        random.Random(1).shuffle(missing)
        arrivals = (_arrival(later, lake, coming[key], n) for n, key in enumerate(missing))
        ledger = Ledger(url)
        session = Session(config, Selection(), _Answering(coming), ledger)
        ledger.announcements.progressed(session.now())
        ledger.announcements.listed(session.now())
        for name, command in _COMMANDS.items():
            ours, theirs = folder / f"{name[:10]}.ours", folder / f"{name[:10]}.theirs"
            looks = _Looks(command, theirs)
            with looks.running(), LongTransactions(url, ours).measured():
                some = islice(arrivals, len(missing) // len(_COMMANDS))
                watched = asyncio.run(at_a_pace(session, looks.while_running(some)))
            table.add_row(
                name,
                f"{len(cells):,}",
                f"{watched.received:,}",
                str(looks.count),
                *(f"{1000 * (watched.latency(share) or 0):.0f} ms" for share in (0.5, 0.99, 1)),
                _told(longest(ours)),
                _told(longest(theirs)),
            )
        ledger.close()
    return table


class _Answering(SilentBucket):
    """A bucket that answers at once what it has: of a file that has come since the last look, the watch asks it."""

    def __init__(self, objects: Mapping[str, LakeObject]):
        super().__init__()
        self._objects = objects

    async def find_all(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        return {
            key: self._objects[key]._replace(etag=f'"{self._objects[key].etag}"')
            for key in keys
            if key in self._objects
        }


def _arrival(later: Path, lake: Path, have: LakeObject, number: int) -> str:
    """Moves a file into the lake, and returns the message of that."""
    (lake / have.key).parent.mkdir(parents=True, exist_ok=True)
    (later / have.key).rename(lake / have.key)
    return message_of(have.key, number, datetime.now(UTC).isoformat(), have.etag)


def _told(one: Transaction) -> str:
    return f"{1000 * one.seconds:.0f} ms" + (f" ({one.statement})" if one.statement else "")


class _Looks:
    """A command that looks at the lake, again and again."""

    def __init__(self, command: Sequence[str], file: Path):
        measured = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.transactions", str(file)]
        self._command = [*measured, *command] if command else []
        self._stopping = threading.Event()
        self.count = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    def while_running(self, messages: Iterator[str]) -> Iterator[str]:
        """The messages that come until there were enough of them, and enough looks."""
        for number, message in enumerate(messages):
            yield message
            if number >= _MESSAGES and (self.count >= _LOOKS or not self._command):
                return

    def _run(self) -> None:
        while self._command and not self._stopping.is_set():
            with subprocess.Popen(
                self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            ) as process:
                _, told = process.communicate()
            if process.returncode not in (0, 1):
                raise RuntimeError(f"{' '.join(self._command)}: {told}")
            self.count += 1
