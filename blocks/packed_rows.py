"""How are the rows of a listing kept in little memory? Packed, in columns, of which few are unpacked at a time."""

from __future__ import annotations

import hashlib
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, compress
from typing import NamedTuple, overload

from arro3.core import Array, DataType, RecordBatch

from tasks.domain.assess.states import LakeObject
from tasks.domain.errors import LakeError

_LONG, _TEXT, _MICROSECONDS = DataType.int64(), DataType.string(), DataType.timestamp("us", tz="UTC")
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_MD5 = 16  # bytes
# Makes an object of a row. It takes half the time of LakeObject's own constructor, which is not written in C.
_object: Callable[[tuple[str, int, datetime, str]], LakeObject] = partial(tuple.__new__, LakeObject)


class Columns(NamedTuple):
    """Objects of a lake in the order of their keys, in columns."""

    keys: Sequence[str]
    sizes: array[int]
    times: array[int]  # microseconds since 1970
    etags: Sequence[str]

    def between(self, first: int, end: int) -> Columns:
        """The rows from a place up to another."""
        keys, sizes, times, etags = self
        return Columns(keys[first:end], sizes[first:end], times[first:end], etags[first:end])

    def object(self, place: int) -> LakeObject:
        """The object in a row."""
        modified = datetime.fromtimestamp(self.times[place] / 1e6, UTC)  # a column's own datetimes are slow
        return LakeObject(self.keys[place], self.sizes[place], modified, self.etags[place])

    def objects(self) -> Iterator[LakeObject]:
        """The objects in all rows."""
        modified = (datetime.fromtimestamp(time / 1e6, UTC) for time in self.times)
        return map(_object, zip(self.keys, self.sizes, modified, self.etags, strict=True))

    def among(self, keys: Collection[str]) -> Iterator[tuple[str, LakeObject]]:
        """The rows with one of these keys: their keys and objects."""
        is_wanted = [key in keys for key in self.keys]
        if not all(is_wanted):
            sizes, times = (array("q", compress(column, is_wanted)) for column in (self.sizes, self.times))
            some, etags = (list(compress(column, is_wanted)) for column in (self.keys, self.etags))
            return Columns(some, sizes, times, etags).among(keys)
        return zip(self.keys, self.objects(), strict=True)

    def find(self, key: str) -> int | None:
        """The place of the row with a key."""
        place = bisect_left(self.keys, key)
        return place if place < len(self.keys) and self.keys[place] == key else None


def columns_of(batch: RecordBatch) -> Columns:
    """A batch with the columns path, size, last_modified and e_tag. An object without an ETag may have null."""
    etags = [etag or "" for etag in batch["e_tag"].to_pylist()]
    return Columns(batch["path"].to_pylist(), numbers(batch["size"]), times(batch["last_modified"]), etags)


def times(column: Array) -> array[int]:
    """A column of times, as microseconds since 1970."""
    return numbers(column.cast(_MICROSECONDS))


def numbers(column: Array) -> array[int]:
    """A column of whole numbers."""
    values: memoryview = memoryview(column.cast(_LONG).buffer())  # type: ignore[attr-defined]  # no stub has it
    return array("q", bytes(values))


def columns_of_objects(objects: Sequence[LakeObject]) -> Columns:
    """Objects in the order of their keys."""
    times = array("q", [(have.modified - _EPOCH) // _MICROSECOND for have in objects])
    sizes = array("q", [have.size for have in objects])
    return Columns([have.key for have in objects], sizes, times, [have.etag for have in objects])


def joined(parts: Sequence[Columns]) -> Columns:
    """Several parts, which are in order, as one."""
    if len(parts) == 1:
        return parts[0]
    keys, sizes, times, etags = (list(chain.from_iterable(column)) for column in zip(*parts, strict=True))
    return Columns(keys, array("q", sizes), array("q", times), etags)


def batch_of(objects: Sequence[LakeObject]) -> RecordBatch:
    """Objects as a batch of a listing."""
    keys, sizes, times, etags = columns_of_objects(objects)
    return RecordBatch.from_pydict(
        {
            "path": Array(keys, _TEXT),
            "size": Array(sizes, _LONG).cast(DataType.uint64()),
            "last_modified": Array(times, _LONG).cast(_MICROSECONDS),
            "e_tag": Array(etags, _TEXT),
        }
    )


class Sums(Sequence[str]):
    """ETags that are MD5 sums in quotes, as most are. Only the sums are kept."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes):
        self.raw = raw

    @classmethod
    def of(cls, etags: Sequence[str]) -> Sums | None:
        """These ETags; None if one of them is something else."""
        if isinstance(etags, Sums):
            return etags
        lines = "\n".join(etags)
        is_quoted = lines[:1] == lines[-1:] == '"' and len(lines) == len(etags) * (2 * _MD5 + 3) - 1
        return cls.of_lines(lines[1:-1].replace('"\n"', "\n")) if is_quoted else None

    @classmethod
    def of_lines(cls, lines: str) -> Sums | None:
        """The ETags without their quotes, each in a line; None if one of them is something else."""
        try:
            raw = bytes.fromhex(lines)
        except ValueError:
            return None
        return cls(raw) if len(raw) % _MD5 == 0 and raw.hex("\n", _MD5) == lines else None

    def __len__(self) -> int:
        return len(self.raw) // _MD5

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sums: ...
    def __getitem__(self, place: int | slice) -> str | Sums:
        if isinstance(place, slice):
            start, end, _ = place.indices(len(self))
            return Sums(self.raw[start * _MD5 : end * _MD5])
        return f'"{self.raw[place * _MD5 : (place + 1) * _MD5].hex()}"'

    def __iter__(self) -> Iterator[str]:
        return map('"{}"'.format, self.raw.hex("\n", _MD5).split("\n") if self.raw else ())


class PackedRows:
    """Some rows, of which there is at least one. They take about 35 bytes each, and cannot be changed.

    Raises LakeError if a key or an ETag has a line break, which parts them here. S3 gives none that does.
    """

    __slots__ = ("_etags", "_keys", "_sizes", "_times", "count", "first")

    def __init__(self, columns: Columns):
        keys = "\n".join(columns.keys)
        self._etags: Sums | str = Sums.of(columns.etags) or "\n".join(columns.etags)
        self.first, self.count = columns.keys[0], len(columns.keys)
        if any(isinstance(text, str) and text.count("\n") >= self.count for text in (keys, self._etags)):
            raise LakeError("lake lists a key or an ETag with a line break, which no service of S3 has")
        self._keys = zlib.compress(keys.encode(), 1)
        self._sizes, self._times = columns.sizes.tobytes(), columns.times.tobytes()

    def __len__(self) -> int:
        return self.count

    def keys(self) -> list[str]:
        """All keys."""
        return zlib.decompress(self._keys).decode().split("\n")

    def columns(self) -> Columns:
        """All rows."""
        etags = self._etags.split("\n") if isinstance(self._etags, str) else self._etags
        return Columns(self.keys(), array("q", self._sizes), array("q", self._times), etags)

    def digest(self) -> str:
        """A digest of the rows, which is the same for the same rows and no others."""
        keys = zlib.decompress(self._keys)
        etags = self._etags.encode() if isinstance(self._etags, str) else self._etags.raw
        head = f"{self.count} {len(keys)} {len(etags)} {isinstance(self._etags, str)}\n"
        digest = hashlib.sha256(head.encode())
        for part in (keys, etags, self._sizes, self._times):
            digest.update(part)
        return digest.hexdigest()[:32]


def digest_of(parts: Iterable[PackedRows | Columns]) -> str:
    """The digest of the rows of several parts, which are in order, however they are divided."""
    parts = list(parts)
    if len(parts) == 1 and isinstance(parts[0], PackedRows):
        return parts[0].digest()
    return PackedRows(joined([part.columns() if isinstance(part, PackedRows) else part for part in parts])).digest()
