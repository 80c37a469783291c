"""What did the lake hold when AWS wrote its last S3 Inventory? It is read instead of listing the lake."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial, reduce
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from arro3.core import Array, DataType, RecordBatch, Schema
from arro3.core import Field as Column
from arro3.io import read_csv, read_parquet

from blocks.lake_keys import are_plain, is_valid
from blocks.listing import Listing
from blocks.packed_rows import Columns, Sums, numbers, times
from blocks.sorted_rows import OutOfOrderError, Rows, lines_of, merged, rows_at, run_of, runs_of
from blocks.store import Store
from tasks.domain.errors import LakeError, NoObjectError, Reach
from tasks.domain.expected.keys import outermost
from tasks.domain.inventories import Format, InventoryError, InventoryFile, Manifest, manifest_of, newest_first
from tasks.domain.wording import one_line

_MANIFEST, _CHECKSUM = "manifest.json", "manifest.checksum"
_TEXT, _NUMBER, _TIME = DataType.string(), DataType.int64(), DataType.timestamp("ms", tz="UTC")
_TYPES = {"key": _TEXT, "size": _NUMBER, "last_modified_date": _TIME, "e_tag": _TEXT}
# The types to which a column is cast, one after another. What does not fit one becomes null: a size below 0, or of
# 100 TB and more, or a time before 1970 or after 2262.
_CASTS: dict[str, list[DataType]] = {
    "key": [_TEXT],
    "size": [DataType.uint64(), DataType.decimal128(14, 0), _NUMBER],
    "last_modified_date": [
        _TIME,
        DataType.timestamp("ns", tz="UTC"),
        _TIME,
        _NUMBER,
        DataType.uint64(),
        _NUMBER,
        _TIME,
    ],
    "e_tag": [_TEXT],
}
_IN_CSV = {**_TYPES, "is_latest": DataType.bool(), "is_delete_marker": DataType.bool()}
_ROW_OF_CSV = 100  # bytes; rows are longer, so that there are no more of them in a block than asked for
_LONGEST_ROW_OF_CSV = 1_000_000  # bytes
_CHECK_SECONDS = 60.0  # for which files of Parquet may be read, besides the time that their size takes
_SLOWEST_CHECK = 1_000_000  # bytes a second
_NO_MEMORY = (b"MemoryError", b"memory allocation of")  # what Python and Rust say
# A damaged file of Parquet may end the process that reads it, or make arro3 write on standard error.
_DECODE_ALL = """
import resource, sys
from contextlib import suppress
from pathlib import Path
with suppress(ValueError, OSError):
    resource.setrlimit(resource.RLIMIT_AS, (2**31, resource.getrlimit(resource.RLIMIT_AS)[1]))
from arro3.io import read_parquet
for file in Path(sys.argv[1]).iterdir():
    print(file.name, flush=True)
    for batch in read_parquet(file, batch_size=65_536):
        pass
"""


class Inventory(NamedTuple):
    """The objects of the lake as an inventory lists them, and when AWS began to list them."""

    objects: Listing
    as_of: datetime


async def read_inventory(
    lake: Store, address: str, folders: Iterable[str], now: datetime, max_age: timedelta
) -> Inventory:
    """The newest inventory at an address, which is the prefix of its dated folders, or that of one manifest.json.

    Of the lake, only the objects in these folders are returned. Raises InventoryError if there is no inventory that can
    be used.
    """
    if lake.bucket is None:
        raise InventoryError("the lake is a folder, and only S3 has inventories")
    bucket, prefix = lake.bucket
    manifest = await _newest(lake, address)
    manifest.check(bucket, now, max_age)
    with _unreadable(), TemporaryDirectory(prefix="adce-inventory-") as folder:
        files = await _download(lake.at(f"s3://{address.split('/')[2]}"), manifest.files, Path(folder))
        if manifest.format is Format.PARQUET:
            await asyncio.to_thread(_check_parquet, folder)
        objects = await asyncio.to_thread(listing_of, files, manifest, prefix, list(folders))
    return Inventory(objects, manifest.begun)


def listing_of(
    files: Sequence[Path], manifest: Manifest, prefix: str, folders: Sequence[str], cuts: Sequence[str] = ()
) -> Listing:
    """What an inventory's files list in these folders of the lake. Raises InventoryError.

    The rows of each file are taken to be in the order of their keys. If they are not, all files are sorted.
    """
    try:
        return Listing(in_lake(files, manifest, prefix, folders), cuts=cuts)
    except OutOfOrderError:
        return Listing(in_lake(files, manifest, prefix, folders, are_sorted=False), cuts=cuts)


def in_lake(
    files: Sequence[Path], manifest: Manifest, prefix: str, folders: Iterable[str], *, are_sorted: bool = True
) -> Iterator[Columns]:
    """The rows of an inventory's files that are in these folders of the lake, as a Listing has them.

    They come in the order of their keys. Whatever their number, few are in memory at once. Raises InventoryError, and
    OutOfOrderError if files are not sorted as is said.
    """
    reads = {file: partial(_rows, file, manifest) for file in files}
    if are_sorted:
        runs = [run for read in reads.values() if (run := run_of(read))]
    else:
        runs = [run for file, read in reads.items() for run in runs_of(read, file)]
    below = _span(prefix.rstrip("/"))
    is_below = not (runs and prefix) or any(below[0] <= run.first < below[1] for run in runs)
    spans = [_span(f"{prefix}{folder}") for folder in outermost(folders)]
    for rows in merged(run for run in runs if any(run.is_between(*span) for span in spans)):
        is_below = is_below or bool(rows.between(*below).keys)
        for span in spans:
            if (within := rows.between(*span)).keys:
                yield _listed(within, prefix)
    if not is_below:
        where = f"below {prefix} of the bucket {manifest.bucket}"
        raise InventoryError(f"it lists nothing {where}; name an inventory that does")


def _listed(rows: Rows, prefix: str) -> Columns:
    """Rows of an inventory as a listing has them, without those that are not under lake keys, or have no real ETag."""
    batch, keys = rows
    etags = _etags(batch["e_tag"])
    is_usual = isinstance(etags, Sums) or not any("\n" in etag for etag in etags)
    if not (is_usual and are_plain(keys)):  # one key may be that of an object that stands for a folder
        pairs = enumerate(zip(keys, etags, strict=True))
        valid = [place for place, (key, etag) in pairs if is_valid(key) and "\n" not in etag]
        batch, keys, etags = rows_at(batch, valid), [keys[at] for at in valid], [etags[at] for at in valid]
    paths = [key[len(prefix) :] for key in keys] if prefix else keys
    return Columns(paths, numbers(batch["size"]), times(batch["last_modified_date"]), etags)


def _etags(column: Array) -> Sequence[str]:
    """ETags as listings have them: in quotes, which inventories leave out."""
    if sums := Sums.of_lines(lines_of(column)):
        return sums
    return [f'"{etag}"' if etag else "" for etag in column.to_pylist()]


def _span(folder: str) -> tuple[str, str]:
    """The first key that a folder and the folders below it can have, and the first key after it."""
    return f"{folder}/", f"{folder}0"  # "0" is the character after "/"


async def _newest(lake: Store, address: str) -> Manifest:
    """The manifest at an address, or the newest in the dated folders there of which both files have been delivered."""
    with _inventory_errors():
        if address.endswith(f"/{_MANIFEST}"):
            found = await _manifest(lake.at(address.removesuffix(f"/{_MANIFEST}")))
            if found is None:
                raise InventoryError(f"there is none, or no {_CHECKSUM} beside it")
            return found
        for name in newest_first(await lake.at(address).folder_names()):
            if found := await _manifest(lake.at(f"{address}/{name}")):
                return found
    raise InventoryError(
        f"there is no folder such as 2026-11-29T01-00Z with a {_MANIFEST} and a {_CHECKSUM}; "
        "AWS delivers the first inventory within 48 hours",
    )


async def _manifest(place: Store) -> Manifest | None:
    """The manifest in a folder; None if one of its two files is not there."""
    try:
        checksum, _ = await place.get(_CHECKSUM)
        body, _ = await place.get(_MANIFEST)
    except NoObjectError:
        return None
    return manifest_of(body, checksum)


async def _download(place: Store, files: Sequence[InventoryFile], folder: Path) -> list[Path]:
    """The files of an inventory, in a local folder. Raises InventoryError if the manifest says otherwise."""
    slots = asyncio.Semaphore(place.connections)

    async def one(number: int, file: InventoryFile) -> Path:
        path = folder / f"{number}-{file.key.rpartition('/')[2][-100:]}"
        async with slots:
            with _inventory_errors():
                md5 = await place.download(file.key, path)
        if (size := path.stat().st_size) != file.size:
            text = f"{file.key} has {size:,} bytes, and {file.size:,} by the manifest; wait for the next inventory"
            raise InventoryError(text)
        if md5 != file.md5:
            text = f"{file.key} differs from its checksum in the manifest; wait for the next inventory"
            raise InventoryError(text)
        return path

    async with asyncio.TaskGroup() as downloads:
        tasks = [downloads.create_task(one(*pair)) for pair in enumerate(files)]
    return [task.result() for task in tasks]


def _check_parquet(folder: str) -> None:
    """Raises InventoryError if another process fails at reading the files in a folder."""
    command = [sys.executable, "-P", "-c", _DECODE_ALL, folder]
    environment = os.environ | {"RUST_BACKTRACE": "0"}
    limit = _CHECK_SECONDS + sum(file.stat().st_size for file in Path(folder).iterdir()) / _SLOWEST_CHECK
    try:
        done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        raise InventoryError(f"this machine does not read its files within {limit:,.0f} s") from None
    if done.returncode:
        *_, last = ["", *os.fsdecode(done.stdout).splitlines()]
        is_short = -done.returncode == signal.SIGKILL or any(text in done.stderr for text in _NO_MEMORY)
        raise _too_large(last) if is_short else _damaged(last, Format.PARQUET)


def _too_large(name: str) -> InventoryError:
    """The error of a file with this local name for which memory is short. Linux kills a process then."""
    return InventoryError(
        f"reading the file {name.partition('-')[2]} takes more memory than there is, or than 2 GB; "
        "free some, or have AWS deliver the inventory as CSV"
    )


def _damaged(name: str, written: Format) -> InventoryError:
    """The error of a file with this local name that cannot be read."""
    return InventoryError(
        f"the file {name.partition('-')[2]} is not {written} as its manifest describes it; wait for the next inventory"
    )


def _rows(file: Path, manifest: Manifest, at_most: int) -> Iterator[RecordBatch]:
    """The present versions in a file of an inventory, in batches of at most so many rows, in the columns of _TYPES.

    A row with a number that makes no sense is left out, so that nothing is known of its file.
    """
    try:
        yield from (_present(batch, manifest.format) for batch in _reader(file, manifest, at_most))
    except InventoryError:
        raise
    except Exception as error:
        if _is_of_this_machine(error):
            raise
        raise _damaged(file.name, manifest.format) from None


def _present(batch: RecordBatch, written: Format) -> RecordBatch:
    """The present versions among some rows of an inventory, in the columns of _TYPES. Raises InventoryError."""
    names = batch.column_names
    if lacking := [name for name in _TYPES if name not in names]:
        raise InventoryError(f"a file lacks the column {', '.join(lacking)}, which its manifest names")
    present: list[Any] = [True] * batch.num_rows
    if "is_latest" in names:
        versions = zip(batch["is_latest"].to_pylist(), batch["is_delete_marker"].to_pylist(), strict=True)
        present = [is_latest and not is_marker for is_latest, is_marker in versions]
    columns = [reduce(Array.cast, casts, batch[name]) for name, casts in _CASTS.items()]
    for column in columns[:3]:
        if column.null_count:
            present = [is_so and value is not None for is_so, value in zip(present, column.to_pylist(), strict=True)]
    if written is Format.CSV:
        columns[0] = Array([key and unquote_plus(key) for key in columns[0].to_pylist()], _TEXT)
    rows = RecordBatch.from_arrays(columns, names=list(_TYPES))
    return rows if all(present) else rows_at(rows, [place for place, is_so in enumerate(present) if is_so])


def _reader(file: Path, manifest: Manifest, at_most: int) -> Iterable[RecordBatch]:
    if manifest.format is Format.PARQUET:
        yield from read_parquet(file, batch_size=at_most)
        return
    schema = Schema([Column(name, _IN_CSV.get(name, _TEXT)) for name in manifest.columns])
    for block in _blocks_of_csv(file, at_most * _ROW_OF_CSV):
        yield from read_csv(BytesIO(block), schema, has_header=False, batch_size=at_most)


def _blocks_of_csv(file: Path, size: int) -> Iterator[bytes]:
    """The unpacked content of a file of CSV, in parts of about this size that end with a row.

    So a quote that is missing spoils one part, and does not make one field of all that follows. A key has no line
    break, because inventories in CSV encode keys as URLs do.
    """
    rest = b""
    with gzip.open(file) as content:
        while part := content.read(size):
            rows, end, begun = part.rpartition(b"\n")
            if end:
                yield rest + rows + end
                rest = begun
            else:
                rest += begun
            if len(rest) > _LONGEST_ROW_OF_CSV:
                raise ValueError("a row is too long")
    if rest:
        yield rest


@contextmanager
def _inventory_errors() -> Iterator[None]:
    """A block in which an error of the lake becomes an InventoryError."""
    try:
        yield
    except LakeError as error:
        text = str(error).removeprefix("lake ")
        is_denied = error.reach is not Reach.LAKE or "AccessDenied" in text or "answers 403" in text
        if is_denied and not isinstance(error, NoObjectError):
            text = f"{text}; allow s3:ListBucket and s3:GetObject there"
        raise InventoryError(text) from None


@contextmanager
def _unreadable() -> Iterator[None]:
    """A block in which any error of reading files becomes an InventoryError."""
    try:
        yield
    except BaseException as raised:
        error = raised.exceptions[0] if isinstance(raised, BaseExceptionGroup) else raised
        if isinstance(error, InventoryError):
            raise error from None
        # arro3 may panic, and a panic is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        text = one_line(str(error))[:200]
        if _is_of_this_machine(error):
            raise InventoryError(_no_room(text)) from None
        raise InventoryError(f"a file cannot be read: {text}") from None


def _is_of_this_machine(error: BaseException) -> bool:
    """Is it an error of this machine's disk?"""
    return (isinstance(error, OSError) and error.errno is not None) or "(os error" in str(error)  # that of arro3


def _no_room(why: str) -> str:
    """What is said of an error of this machine's disk, where the files of the inventory are for a while."""
    try:
        folder = gettempdir()
    except OSError:  # there is none, as `why` says
        folder = ""
    where = f"{folder} " if folder else ""
    return f"the folder for temporary files {where}cannot be used: {why}; make room there, or name another in TMPDIR"
