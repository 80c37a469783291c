"""How long does a look take at a lake of up to ten million files that an S3 Inventory lists, and in how much memory?

The ledger has an examination of each file, and one file in a hundred is missing. Both the ledger and the inventory are
made before. Each look is a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from arro3.core import Array, DataType, RecordBatch, RecordBatchReader
from arro3.io import write_parquet
from rich.table import Table

from config.models import Config
from tasks.domain.assess.states import Examination
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tasks.domain.expected.cells import Cell, calendar_cells, game_cells
from tasks.domain.expected.games import Game
from tasks.ledger import Ledger
from tasks.observe.listing import check_ids
from tests.benchmarks.inventory_files import INVENTORY
from tests.benchmarks.scale import NOW, environment, games_by_schedule, games_of_file

_GAMES = "160,1600,16000,42000"  # games a season: 47,000, 393,000, 3.8 million and 10 million files
_FILES = 10
_ROWS = 65_536
_BYTES = 100_000
_TEXT = DataType.string()
_REPLACED = "1 % replaced by others, the newest, and not read"
_READ = "the same, after ADCE has read them"
_LOOKS = (
    ("first look", "look", "first"),
    ("unchanged", "look", "first"),
    (_REPLACED, "look", "changed"),
    (_READ, "look", "changed"),
    ("duckdb, the bare join", "duckdb", "changed"),
    ("Python dicts, the bare join", "dicts", "changed"),
)


def looking(folder: Path) -> Table:
    """Seconds and peak memory of looks at lakes of several sizes, and of bare joins of the same rows."""
    caption = (
        "Counted are the inventory's rows, the ledger, all judgements, the plan, and what the ledger then keeps; not "
        "the process's start, nor a download. The peak is the process's. The aims were 5 s, 600 MB, and 30 s for the "
        "first look at 3.8 million files, and 10 s, 800 MB and 60 s at 10 million. A join compares the versions of all "
        "files, and nothing else."
    )
    table = Table(title="Looks at a lake by its S3 Inventory in Parquet", caption=caption)
    for name in ("files", "what", "seconds", "CPU", "peak", "found"):
        table.add_column(name, justify="left" if name in ("what", "found") else "right")
    for per_season in map(int, os.environ.get("GAMES", _GAMES).split(",")):
        place = folder / f"games-{per_season}"
        place.mkdir()
        with environment(f"sqlite:///{place / 'ledger.db'}", place / "none", place):
            subprocess.run([sys.executable, "-m", __name__, str(place), str(per_season)], check=True)
            for what, work, inventory in _LOOKS:
                if what == _READ:
                    _read(place)
                table.add_row(f"{int((place / 'count').read_text()):,}", what, *_measured(work, place / inventory))
        table.add_section()
    return table


def _measured(work: str, inventory: Path) -> list[str]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.look_process", work, str(inventory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No module named 'duckdb'" in done.stderr:
        return ["", "", "", "duckdb is not installed"]
    if done.returncode:
        return ["", "", "", (done.stderr.splitlines() or ["it was killed"])[-1]]
    found = json.loads(done.stdout.splitlines()[-1])
    return [f"{found['seconds']:.1f}", f"{found['cpu']:.1f}", f"{found['peak'] / 1000:,.0f} MB", found["found"]]


def _make(place: Path, config: Config, games: Mapping[str, list[Game]]) -> None:
    """Makes a ledger, and the files of two inventories. In the second, the newest of a hundred files are replaced."""
    _fill(config, games)
    keys = sorted(cell.key for cell in _cells(config, games))
    per_game = len([*_cells(config, {name: some[-1:] for name, some in games.items()})]) - len([*_cells(config, {})])
    count = len(keys) // 100 // per_game
    newest = {cell.key for cell in _cells(config, {name: some[-count:] for name, some in games.items()}) if cell.game}
    present = [key for number, key in enumerate(keys) if number % 100]
    for name, replaced in (("first", set()), ("changed", newest)):
        (place / name).mkdir()
        for number in range(_FILES):
            part = present[number * len(present) // _FILES : (number + 1) * len(present) // _FILES]
            batches = RecordBatchReader.from_batches(INVENTORY, _batches(part, replaced))
            file = place / name / f"{number}.parquet"
            write_parquet(batches, file, compression="snappy", skip_arrow_metadata=True)
    (place / "count").write_text(str(len(keys)))
    (place / "newest").write_text("\n".join(sorted(newest)))


def _cells(config: Config, games: Mapping[str, list[Game]]) -> Iterator[Cell]:
    yield from calendar_cells(config, NOW)
    for schedule, listed in games.items():
        yield from game_cells(config, schedule, listed, NOW)


def _fill(config: Config, games: Mapping[str, list[Game]]) -> None:
    """Records the schedules with their games, and an examination of every file."""
    ledger = Ledger(config.ledger)
    checks, listed = check_ids(config), games_of_file(config, games)
    schedules = {}
    for cell in calendar_cells(config, NOW):
        verdict = Verdict(Wholeness.WHOLE)
        if config.datasets[cell.dataset].lists_games:
            verdict = Verdict(Wholeness.WHOLE, games=listed(cell))
        schedules[cell.key] = Examination(_etag(cell.key), _BYTES, checks[cell.dataset], verdict, NOW, agreed=True)
    ledger.objects.record(schedules)
    ledger.close()
    names = "key, etag, size, learnt_by, body_check, wholeness, reason, fetched, agreed"
    with sqlite3.connect(config.ledger.removeprefix("sqlite:///")) as connection:
        for schedule, some in games.items():
            rows = (
                (cell.key, _etag(cell.key), _BYTES, "listing", checks[cell.dataset], "whole", "", NOW.timestamp(), 1)
                for cell in game_cells(config, schedule, some, NOW)
            )
            connection.executemany(f"INSERT INTO objects ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("DELETE FROM touched")
    connection.close()


def _read(place: Path) -> None:
    """Records that ADCE has read the files that were replaced."""
    newest = (place / "newest").read_text().splitlines()
    with sqlite3.connect(place / "ledger.db") as connection:
        rows = ((_etag(f"{key} anew"), key) for key in newest)
        connection.executemany("UPDATE objects SET etag = ? WHERE key = ?", rows)
        connection.executemany("INSERT INTO touched (key) VALUES (?)", ((key,) for key in newest))
    connection.close()


def _etag(key: str) -> str:
    return f'"{hashlib.md5(key.encode()).hexdigest()}"'


def _batches(keys: list[str], replaced: Collection[str]) -> Iterator[RecordBatch]:
    """Rows as S3 writes them."""
    last = int(NOW.timestamp() * 1000)
    for start in range(0, len(keys), _ROWS):
        some = keys[start : start + _ROWS]
        columns = [
            Array(["lake"] * len(some), _TEXT),
            Array(some, _TEXT),
            Array([_BYTES] * len(some), DataType.int64()),
            Array([last - 1000 * (start + n) for n in range(len(some))], DataType.int64()).cast(
                INVENTORY.field(3).type
            ),
            Array([_etag(f"{key} anew" if key in replaced else key)[1:-1] for key in some], _TEXT),
            Array(["STANDARD"] * len(some), _TEXT),
        ]
        yield RecordBatch.from_arrays(columns, schema=INVENTORY)


if __name__ == "__main__":
    from config.load import load_config

    _make(Path(sys.argv[1]), load_config(), games_by_schedule(int(sys.argv[2])))
