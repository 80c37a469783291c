"""What did the lake hold when AWS wrote its last S3 Inventory? It is read instead of listing the lake."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import IO, Any, NamedTuple, cast
from urllib.parse import unquote_plus

from arro3.core import Array, DataType, RecordBatch, Schema
from arro3.core import Field as Column
from arro3.io import read_csv, read_parquet, write_csv

from blocks.lake_keys import are_plain, is_valid
from blocks.listing import Listing
from blocks.packed_rows import Columns, Sums, numbers, times
from blocks.sorted_rows import OutOfOrderError, Rows, merged, rows_at, run_of, runs_of
from blocks.store import Store
from tasks.domain.errors import LakeError, NoObjectError, Reach
from tasks.domain.expected.keys import outermost
from tasks.domain.inventories import Flaw, Format, InventoryError, InventoryFile, Manifest, manifest_of, newest_first
from tasks.domain.wording import one_line

_MANIFEST, _CHECKSUM = "manifest.json", "manifest.checksum"
_TEXT = DataType.string()
_TYPES = {
    "key": _TEXT,
    "size": DataType.int64(),
    "last_modified_date": DataType.timestamp("ms", tz="UTC"),
    "e_tag": _TEXT,
}
_IN_CSV = {**_TYPES, "is_latest": DataType.bool(), "is_delete_marker": DataType.bool()}


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
        raise InventoryError(Flaw.NO_S3, "the lake is a folder, and only S3 has inventories")
    bucket, prefix = lake.bucket
    manifest = await _newest(lake, address)
    manifest.check(bucket, now, max_age)
    with _unreadable(), TemporaryDirectory(prefix="adce-inventory-") as folder:
        files = await _download(lake.at(f"s3://{address.split('/')[2]}"), manifest.files, Path(folder))
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
        raise InventoryError(Flaw.OTHER_PREFIX, f"it lists nothing {where}; name an inventory that does")


def _listed(rows: Rows, prefix: str) -> Columns:
    """Rows of an inventory as a listing has them, without those that are not under lake keys."""
    batch, keys = rows
    if not are_plain(keys):  # one may be no lake key, such as that of an object that stands for a folder
        valid = [place for place, key in enumerate(keys) if is_valid(key)]
        batch, keys = rows_at(batch, valid), [keys[place] for place in valid]
    paths = [key[len(prefix) :] for key in keys] if prefix else keys
    return Columns(paths, numbers(batch["size"]), times(batch["last_modified_date"]), _etags(batch["e_tag"]))


def _etags(column: Array) -> Sequence[str]:
    """ETags as listings have them: in quotes, which inventories leave out."""
    lines = BytesIO()
    write_csv(RecordBatch.from_arrays([column], names=["e_tag"]), lines, header=False)  # faster than to_pylist
    if sums := Sums.of_lines(lines.getvalue().decode().removesuffix("\n")):
        return sums
    return [f'"{etag}"' if etag else "" for etag in column.to_pylist()]


def _span(folder: str) -> tuple[str, str]:
    """The first key that a folder and the folders below it can have, and the first key after it."""
    return f"{folder}/", f"{folder}0"  # "0" is the character after "/"


async def _newest(lake: Store, address: str) -> Manifest:
    """The manifest at an address, or the newest in the dated folders there of which both files have been delivered."""
    with _inventory_errors(Flaw.MISSING):
        if address.endswith(f"/{_MANIFEST}"):
            found = await _manifest(lake.at(address.removesuffix(f"/{_MANIFEST}")))
            if found is None:
                raise InventoryError(Flaw.MISSING, f"there is none, or no {_CHECKSUM} beside it")
            return found
        for name in newest_first(await lake.at(address).folder_names()):
            if found := await _manifest(lake.at(f"{address}/{name}")):
                return found
    raise InventoryError(
        Flaw.MISSING,
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
        path = folder / f"{number}"
        async with slots:
            with _inventory_errors(Flaw.INCOMPLETE):
                md5 = await place.download(file.key, path)
        if (size := path.stat().st_size) != file.size:
            text = f"{file.key} has {size:,} bytes, and {file.size:,} by the manifest; wait for the next inventory"
            raise InventoryError(Flaw.INCOMPLETE, text)
        if md5 != file.md5:
            text = f"{file.key} differs from its checksum in the manifest; wait for the next inventory"
            raise InventoryError(Flaw.CHECKSUM, text)
        return path

    async with asyncio.TaskGroup() as downloads:
        tasks = [downloads.create_task(one(*pair)) for pair in enumerate(files)]
    return [task.result() for task in tasks]


def _rows(file: Path, manifest: Manifest, at_most: int) -> Iterator[RecordBatch]:
    """The present versions in a file of an inventory, in batches of at most so many rows, in the columns of _TYPES."""
    for batch in _reader(file, manifest, at_most):
        names = batch.column_names
        if lacking := [name for name in _TYPES if name not in names]:
            raise InventoryError(Flaw.SCHEMA, f"a file lacks the column {', '.join(lacking)}, which its manifest names")
        present: list[Any] = [True] * batch.num_rows
        if "is_latest" in names:
            versions = zip(batch["is_latest"].to_pylist(), batch["is_delete_marker"].to_pylist(), strict=True)
            present = [is_latest and not is_marker for is_latest, is_marker in versions]
        columns = [batch[name].cast(type_) for name, type_ in _TYPES.items()]
        for column in columns[:3]:
            if column.null_count:
                present = [
                    is_so and value is not None for is_so, value in zip(present, column.to_pylist(), strict=True)
                ]
        if manifest.format is Format.CSV:
            columns[0] = Array([key and unquote_plus(key) for key in columns[0].to_pylist()], _TEXT)
        rows = RecordBatch.from_arrays(columns, names=list(_TYPES))
        yield rows if all(present) else rows_at(rows, [place for place, is_so in enumerate(present) if is_so])


def _reader(file: Path, manifest: Manifest, at_most: int) -> Iterable[RecordBatch]:
    if manifest.format is Format.PARQUET:
        return read_parquet(file, batch_size=at_most)
    schema = Schema([Column(name, _IN_CSV.get(name, _TEXT)) for name in manifest.columns])
    return read_csv(cast(IO[bytes], gzip.open(file)), schema, has_header=False, batch_size=at_most)


@contextmanager
def _inventory_errors(if_missing: Flaw) -> Iterator[None]:
    """A block in which an error of the lake becomes an InventoryError."""
    try:
        yield
    except NoObjectError as error:
        raise InventoryError(if_missing, str(error).removeprefix("lake ")) from None
    except LakeError as error:
        text = str(error).removeprefix("lake ")
        if error.reach is Reach.LAKE and "AccessDenied" not in text and "answers 403" not in text:
            raise InventoryError(Flaw.UNREADABLE, text) from None
        raise InventoryError(Flaw.DENIED, f"{text}; allow s3:ListBucket and s3:GetObject there") from None


@contextmanager
def _unreadable() -> Iterator[None]:
    """A block in which any error of reading files becomes an InventoryError."""
    try:
        yield
    except BaseException as raised:
        error = raised.exceptions[0] if isinstance(raised, BaseExceptionGroup) else raised
        if isinstance(error, InventoryError):
            raise error from None
        # A broken file makes arro3 panic, and a panic is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        text = one_line(str(error))[:200]
        if (isinstance(error, OSError) and error.errno is not None) or "(os error" in text:  # arro3's have the latter
            raise InventoryError(Flaw.NO_ROOM, _no_room(text)) from None
        raise InventoryError(Flaw.UNREADABLE, f"a file cannot be read: {text}") from None


def _no_room(why: str) -> str:
    """What is said of an error of this machine's disk, where the files of the inventory are for a while."""
    try:
        folder = gettempdir()
    except OSError:  # there is none, as `why` says
        folder = ""
    where = f"{folder} " if folder else ""
    return f"the folder for temporary files {where}cannot be used: {why}; make room there, or name another in TMPDIR"
