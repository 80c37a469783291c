"""How long does it take to read an S3 Inventory of ten million rows, and how much memory?

Each way of reading is a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
from arro3.io import write_parquet
from rich.table import Table

_ROWS = int(os.environ.get("ROWS", "10000000"))
_FILES = 10
_TEXT = DataType.string()
_TIME = DataType.timestamp("ms", tz="UTC")
INVENTORY = Schema(  # the columns of an inventory, as S3 writes them
    [
        Field("bucket", _TEXT, nullable=False),
        Field("key", _TEXT, nullable=False),
        Field("size", DataType.int64()),
        Field("last_modified_date", _TIME),
        Field("e_tag", _TEXT),
        Field("storage_class", _TEXT),
    ]
)
_OURS = """
from datetime import UTC, datetime
from blocks.inventory import in_lake
from blocks.listing import Listing
from tasks.domain.inventories import Format, Manifest
batches = in_lake(files, Manifest("lake", datetime.now(UTC), Format.PARQUET, (), ()), "nba/", ["nba_api_playbyplay"])
count = """
_COLUMNS = "key, size, last_modified_date, e_tag"
_READERS = {
    "ADCE, sorted, a batch at a time": _OURS + "sum(len(rows.keys) for rows in batches)",
    "ADCE, sorted, as a Listing": _OURS + "len(Listing(batches))",
    "duckdb, only read": "import duckdb; count = duckdb.sql(f'SELECT count(key), max(key), sum(size), "
    "max(last_modified_date), max(e_tag) FROM read_parquet({list(map(str, files))})').fetchall()[0][0]",
    "duckdb, as a sorted table": f"import duckdb; duckdb.sql(f'CREATE TABLE t AS SELECT {_COLUMNS} "
    "FROM read_parquet({list(map(str, files))}) ORDER BY key'); count = "
    "duckdb.sql('SELECT count(*) FROM t').fetchall()[0][0]",
}
_PROCESS = """
import sys, time
from pathlib import Path
files = sorted(Path(sys.argv[1]).iterdir())
began = time.perf_counter()
{reader}
status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
print(count, time.perf_counter() - began, time.process_time(), status['VmHWM'].split()[0])
"""


def reading(folder: Path) -> Table:
    """Times and memory of reading the inventory with ADCE and with duckdb, with the process's start, without S3."""
    caption = "aims: 10 s and 800 MB for ten million rows, a batch at a time; files are made before, and not downloaded"
    table = Table(title=f"Reading an S3 Inventory of {_ROWS:,} rows in {_FILES} files of Parquet", caption=caption)
    for name in ("reader", "files of", "rows", "seconds", "CPU", "peak"):
        table.add_column(name, justify="left" if name in ("reader", "files of") else "right")
    for name, rows in (("one range of keys each", _ranges()), ("keys of the whole range", _shares())):
        place = folder / name.replace(" ", "_")
        place.mkdir()
        for number, numbers in enumerate(rows):
            batches = RecordBatchReader.from_batches(INVENTORY, _batches(numbers))
            write_parquet(batches, place / f"{number}.parquet", compression="snappy", skip_arrow_metadata=True)
        for reader, code in _READERS.items():
            table.add_row(reader, name, *_measured(code, place))
    return table


def _ranges() -> Iterator[range]:
    return (range(n * _ROWS // _FILES, (n + 1) * _ROWS // _FILES) for n in range(_FILES))


def _shares() -> Iterator[range]:
    return (range(n, _ROWS, _FILES) for n in range(_FILES))


def _batches(numbers: range) -> Iterator[RecordBatch]:
    """Rows as S3 writes them, with the keys of these numbers."""
    for start in range(0, len(numbers), 65_536):
        some = numbers[start : start + 65_536]
        keys = [f"nba/nba_api_playbyplay/{1996 + n * 30 // _ROWS}/00{20_000_000 + n}.json" for n in some]
        columns = [
            Array(["lake"] * len(some), _TEXT),
            Array(keys, _TEXT),
            Array([100_000 + n % 7_777 for n in some], DataType.int64()),
            Array([1_600_000_000_000 + n * 3_000 for n in some], DataType.int64()).cast(_TIME),
            Array([hashlib.md5(b"%d" % n).hexdigest() for n in some], _TEXT),
            Array(["STANDARD"] * len(some), _TEXT),
        ]
        yield RecordBatch.from_arrays(columns, schema=INVENTORY)


def _measured(reader: str, place: Path) -> list[str]:
    code = _PROCESS.replace("{reader}", reader)
    done = subprocess.run([sys.executable, "-c", code, str(place)], capture_output=True, text=True, check=False)
    if "No module named 'duckdb'" in done.stderr:
        return ["", "duckdb is not installed", "", ""]
    done.check_returncode()
    count, seconds, cpu, peak = done.stdout.splitlines()[-1].split()  # duckdb may print before that
    return [f"{int(count):,}", f"{float(seconds):.1f}", f"{float(cpu):.1f}", f"{int(peak) / 1000:,.0f} MB"]
