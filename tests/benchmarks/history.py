"""What do the facts of incidents and `adce report` cost with weeks of attempts and a million gaps?"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.table import Table

from config.load import load_config
from config.models import Config
from tasks.answers.incidents import facts_of
from tasks.answers.success import success_since
from tasks.domain.flow_names import RECONCILE
from tasks.ledger import Ledger
from tasks.ledger.attempts import files_table, fills_table
from tasks.ledger.gaps import gaps_table
from tasks.ledger.runs import EVERYTHING, runs_table
from tests.benchmarks.serve import look_of
from tests.builders import NOW

_CELLS, _FILLS, _FILES, _RUNS = 400_000, 20_000, 20, 2000  # in three weeks
_GAPS = int(os.environ.get("GAPS", "1000000"))
_WEEKS, _WEEK, _AT_ONCE = timedelta(days=21), timedelta(days=7), 50_000


def reading(folder: Path) -> Table:
    """CPU of the facts, and of a report."""
    config, url = load_config(env={}), f"sqlite:///{folder / 'history.db'}"
    with closing(Ledger(url)) as ledger:
        ledger.looks.record(look_of(url, _CELLS, NOW), is_done=True)
        ledger.database.write(lambda connection: _fill(connection, config))
        own = config.model_copy(update={"lake": folder.as_uri()})
        facts = min(_took(lambda: facts_of(own, ledger, NOW)) for _ in range(5))
        report = min(_took(lambda: success_since(own, ledger, NOW - _WEEK, NOW)) for _ in range(3))
    table = Table(title=f"{_FILLS * _FILES:,} attempts of three weeks, and {_GAPS:,} gaps", show_header=False)
    table.add_row("all facts of incidents, CPU", f"{1000 * facts:.0f} ms")
    table.add_row("adce report of a week, CPU", f"{report:.1f} s")
    return table


def _took(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _fill(connection: sa.Connection, config: Config) -> None:
    for table, rows in ((fills_table, _fills(config)), (files_table, _files()), (runs_table, _runs())):
        _insert(connection, table, rows)
    _insert(connection, gaps_table, _gaps(list(config.datasets)))


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterator[dict[str, Any]]) -> None:
    while some := list(itertools.islice(rows, _AT_ONCE)):
        connection.execute(table.insert(), some)


def _started(n: int, of: int) -> datetime:
    return NOW - _WEEKS * (1 - n / of)


def _fills(config: Config) -> Iterator[dict[str, Any]]:
    names = itertools.cycle(config.datasets.items())
    for n in range(_FILLS):
        name, dataset = next(names)
        at = _started(n, _FILLS)
        priority = "CRITICAL" if dataset.required and n % 5 == 0 else "LOW"
        of = {"id": n + 1, "fill": f"f{n}", "run": f"r{n * _RUNS // _FILLS}", "source": dataset.source, "dataset": name}
        what = {"kind": "missing", "priority": priority, "score": 1.0, "stored": _FILES - 2, "failed": 2}
        yield of | what | {"started": at, "ended": at + timedelta(seconds=40), "requests": _FILES, "bytes": 0}


def _files() -> Iterator[dict[str, Any]]:
    for n, k in itertools.product(range(_FILLS), range(_FILES)):
        at, is_bad = _started(n, _FILLS), k < 2
        when = {"at": at, "due": at - timedelta(hours=2), "detected": at - timedelta(minutes=10), "stored": at}
        outcome = {"outcome": "failed", "error": "HTTP 500", "stored": None} if is_bad else {"outcome": "stored"}
        yield {"fill_id": n + 1, "key": f"{n}/{k}", "requests": 1, "bytes": 1, "error": None} | when | outcome


def _runs() -> Iterator[dict[str, Any]]:
    for n in range(_RUNS):
        at = _started(n, _RUNS)
        run = {"id": f"r{n}", "kind": RECONCILE, "about": EVERYTHING, "holder": "h", "outcome": "ended"}
        yield run | {"began": at, "ended": at + timedelta(minutes=8), "cycle_seconds": 100.0}


def _gaps(names: list[str]) -> Iterator[dict[str, Any]]:
    chance = random.Random(0)
    for n in range(_GAPS):
        seen = NOW - chance.random() * _WEEKS
        due = seen - timedelta(days=9000) * chance.random()
        yield {"key": f"g/{n}", "dataset": names[n % len(names)], "kind": "missing", "first_seen": seen, "due": due}
