"""What does a lake hold? Its objects by key, kept in columns, of which only what somebody asks for becomes Python."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, Sequence, ValuesView
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, TypeVar, overload

from arro3.core import Array, DataType, RecordBatch

from tasks.domain.assess.states import LakeObject

_SLICE = 1000  # rows that become objects together
_MICROSECONDS = DataType.timestamp("us", tz="UTC")
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_T = TypeVar("_T")
_Slice = RecordBatch | dict[str, LakeObject]
KeyRange = tuple[str, str | None]  # all keys from one up to, but without, another, or all from there
_Columns = tuple[Sequence[Any], ...]  # keys, sizes, times and ETags


class NotListedError(Exception):
    """Somebody asks for a key of which a listing knows nothing. That is an error in the program."""

    def __init__(self, key: str):
        super().__init__(f"{key!r} is in no range of keys that was listed")


class Listing(MutableMapping[str, LakeObject]):
    """The objects of a lake by key. It behaves as a dict that is always in the order of its keys.

    That is the order of the code points, which is also that of the keys' bytes in UTF-8, in which S3 lists.

    If only some ranges of keys were listed, nothing can be concluded from the absence of any other key. Whoever asks
    for one gets a NotListedError, until it is known by itself, because it was set or noted as absent.
    """

    def __init__(self, batches: Iterable[RecordBatch] = (), requests: int = 0):
        """`requests` is how many pages of the lake were listed.

        The batches have the columns path, size, last_modified and e_tag. All paths together are in order, and no path
        is there twice.
        """
        self.requests = requests
        # A slice is a batch until one of its keys is asked for. From then on it is a dict, in any order. It is None if
        # its keys were not listed.
        parts = [part for batch in batches for part in _parts(batch)]
        self._slices: list[_Slice | None] = [{}, *parts]
        # A key belongs to the last slice whose first key is not after it.
        self._firsts: list[str] = ["", *map(_first, parts)]

    @classmethod
    def of(cls, objects: Iterable[LakeObject]) -> Listing:
        """A listing of some objects, in any order. Of several under one key, the last counts."""
        listing = cls()
        listing._slices[0] = {have.key: have for have in objects}
        return listing

    @classmethod
    def of_ranges(cls, ranges: Iterable[KeyRange], batches: Iterable[RecordBatch] = (), requests: int = 0) -> Listing:
        """A listing of only these ranges, which are in order and have no key in common.

        No batch is on both sides of keys that were not listed.
        """
        listing = cls(requests=requests)
        listing._slices[0] = None
        parts = [part for batch in batches for part in _parts(batch)]
        firsts = [*map(_first, parts)]
        for start, end in _joined(ranges):
            first = bisect_left(firsts, start)
            listing._fill(start, end, parts[first : None if end is None else bisect_left(firsts, end)])
        return listing

    @property
    def is_whole(self) -> bool:
        """Were all keys listed?"""
        return all(part is not None for part in self._slices)

    def knows(self, key: str) -> bool:
        """Was a range listed that has this key, or is it known by itself?"""
        return self._slices[bisect_right(self._firsts, key) - 1] is not None

    def has_listed(self, start: str, end: str | None) -> bool:
        """Was the whole range from `start` up to `end`, or from `start` on, listed?"""
        return all(part is not None for part in self._between(start, end))

    def note(self, keys: Iterable[str], objects: Mapping[str, LakeObject]) -> None:
        """Notes what is known of some keys, whether or not they were listed: these objects, and no others."""
        for key in keys:
            if key in objects:
                self[key] = objects[key]
            elif self.knows(key):
                self.pop(key, None)
            else:
                self._fill(key, _next(key), [])

    def add(self, other: Listing) -> None:
        """Adds the ranges of another listing, of which nothing was known before."""
        self.requests += other.requests
        ends = [*other._firsts[1:], None]
        for start, end, part in zip(other._firsts, ends, other._slices, strict=True):
            if part is not None:
                self._fill(start, end, [part])

    def __getitem__(self, key: str) -> LakeObject:
        return self._around(key)[key]

    @overload
    def get(self, key: str, /) -> LakeObject | None: ...
    @overload
    def get(self, key: str, /, default: LakeObject | _T) -> LakeObject | _T: ...
    def get(self, key: str, /, default: LakeObject | _T | None = None) -> LakeObject | _T | None:
        return self._around(key).get(key, default)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._around(key)

    def __setitem__(self, key: str, have: LakeObject) -> None:
        if not self.knows(key):
            self._fill(key, _next(key), [])
        self._around(key)[key] = have

    def __delitem__(self, key: str) -> None:
        del self._around(key)[key]

    def __len__(self) -> int:
        return sum(len(part) if isinstance(part, dict) else part.num_rows for part in self._parts())

    def __iter__(self) -> Iterator[str]:
        for part in self._parts():
            yield from _keys(part)

    def items(self) -> ItemsView[str, LakeObject]:
        """All keys with their objects. To go through them makes the objects of one slice at a time, and keeps none."""
        return _Items(self)

    def values(self) -> ValuesView[LakeObject]:
        """All objects. To go through them makes the objects of one slice at a time, and keeps none."""
        return _Values(self)

    def objects(self) -> Iterator[LakeObject]:
        """All objects, in the order of their keys."""
        for part in self._parts():
            if isinstance(part, dict):
                yield from map(part.__getitem__, _keys(part))
            else:
                yield from _objects(part)

    def digests(self, starts: Sequence[str]) -> dict[str, str]:
        """A digest of the objects in each range of keys, by its start; empty for a range that has none.

        The `starts` are in order. A range has the keys from its start up to the next start, and the last one all keys
        from there. The digest is of keys, sizes, times and ETags. It does not depend on how the listing is sliced. A
        range that was not listed as a whole is left out.
        """
        ends = [*starts[1:], None]
        is_whole = self.is_whole
        listed = [start for start, end in zip(starts, ends, strict=False) if is_whole or self.has_listed(start, end)]
        found = dict.fromkeys(listed, "")
        for start, pieces in groupby(self._pieces(starts), key=itemgetter(0)):
            if start in found:
                found[start] = _digest([columns for _, columns in pieces])
        return found

    def _pieces(self, starts: Sequence[str]) -> Iterator[tuple[str, _Columns]]:
        """The columns of all objects from the first start on, in pieces that lie in one range, with its start."""
        for part in self._parts():
            columns = _columns(part)
            keys, position = columns[0], 0
            while position < len(keys):
                number = bisect_right(starts, keys[position])
                end = bisect_left(keys, starts[number], position) if number < len(starts) else len(keys)
                if number:
                    yield starts[number - 1], tuple(column[position:end] for column in columns)
                position = end

    def every(self, number: int, start: str, end: str | None) -> list[str]:
        """Every `number`-th key of those from `start` up to `end`, or up to the last, that as many keys follow."""
        if not self.has_listed(start, end):
            raise NotListedError(start)
        keys = [key for part in self._between(start, end) if part is not None for key in _keys(part) if key >= start]
        if end is not None:
            del keys[bisect_left(keys, end) :]
        return keys[number : len(keys) - number + 1 : number]

    def _between(self, start: str, end: str | None) -> Sequence[_Slice | None]:
        """The slices that may have keys from `start` up to `end`."""
        first = bisect_right(self._firsts, start) - 1
        return self._slices[first : len(self._firsts) if end is None else bisect_left(self._firsts, end)]

    def within(self, folder: str) -> list[str]:
        """The keys in a folder and the folders below it, in order."""
        start, end = f"{folder}/", f"{folder}0"  # "0" is the character after "/"
        if not self.has_listed(start, end):
            raise NotListedError(start)
        parts = (part for part in self._between(start, end) if part is not None)
        return [key for part in parts for key in _keys(part) if start <= key < end]

    def count_within(self, folder: str) -> int:
        """The number of keys in a folder and the folders below it, as far as they were listed."""
        start, end = f"{folder}/", f"{folder}0"
        parts = [part for part in self._between(start, end) if part is not None]
        inner = sum(len(part) if isinstance(part, dict) else part.num_rows for part in parts[1:-1])
        outer = [*parts[:1], *parts[1:][-1:]]
        return inner + sum(start <= key < end for part in outer for key in _keys(part))

    def __repr__(self) -> str:
        return f"<Listing of {len(self)} objects>"

    def _parts(self) -> Iterator[_Slice]:
        """The slices that were listed."""
        return (part for part in self._slices if part is not None)

    def _fill(self, start: str, end: str | None, parts: Sequence[_Slice]) -> None:
        """Makes a range one that was listed, with the keys in these slices. Nothing of it was known before."""
        number = bisect_right(self._firsts, start) - 1
        following = self._firsts[number + 1] if number + 1 < len(self._firsts) else None
        is_free = self._slices[number] is None and (following is None or (end is not None and end <= following))
        assert is_free, f"a part of the range from {start!r} to {end!r} is known already"
        slices: list[_Slice | None] = list(parts) or [{}]
        firsts = [start, *map(_first, parts[1:])]
        if self._firsts[number] < start:
            slices, firsts = [None, *slices], [self._firsts[number], *firsts]
        if end != following and end is not None:
            slices, firsts = [*slices, None], [*firsts, end]
        self._slices[number : number + 1], self._firsts[number : number + 1] = slices, firsts

    def _around(self, key: str) -> dict[str, LakeObject]:
        """The slice to which a key belongs, as a dict."""
        number = bisect_right(self._firsts, key) - 1
        part = self._slices[number]
        if part is None:
            raise NotListedError(key)
        if not isinstance(part, dict):
            part = self._slices[number] = {have.key: have for have in _objects(part)}
        return part


class _Items(ItemsView[str, LakeObject]):
    _mapping: Listing

    def __iter__(self) -> Iterator[tuple[str, LakeObject]]:
        return ((have.key, have) for have in self._mapping.objects())


class _Values(ValuesView[LakeObject]):
    _mapping: Listing

    def __iter__(self) -> Iterator[LakeObject]:
        return self._mapping.objects()


def batch_of(objects: Sequence[LakeObject]) -> RecordBatch:
    """Objects as a batch of a listing."""
    times = [(have.modified - _EPOCH) // _MICROSECOND for have in objects]
    return RecordBatch.from_pydict(
        {
            "path": Array([have.key for have in objects], type=DataType.utf8()),
            "size": Array([have.size for have in objects], type=DataType.uint64()),
            "last_modified": Array(times, type=DataType.int64()).cast(_MICROSECONDS),
            "e_tag": Array([have.etag for have in objects], type=DataType.utf8()),
        }
    )


def _joined(ranges: Iterable[KeyRange]) -> list[KeyRange]:
    """The ranges, in which those that follow upon each other are one."""
    found: list[KeyRange] = []
    for start, end in ranges:
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, end))
    return found


def _next(key: str) -> str:
    """The key that comes next after a key among all possible ones."""
    return f"{key}\0"


def _parts(batch: RecordBatch) -> Iterator[RecordBatch]:
    """A batch in slices that are not empty."""
    for start in range(0, batch.num_rows, _SLICE):
        yield batch.slice(start, min(_SLICE, batch.num_rows - start))


def _digest(pieces: Iterable[_Columns]) -> str:
    """The digest of the objects whose columns are in these pieces, however they are divided."""
    keys, sizes, times, etags = (list(chain.from_iterable(column)) for column in zip(*pieces, strict=True))
    digest = hashlib.blake2b("\n".join([*keys, *etags]).encode(), digest_size=16)
    digest.update(array("q", sizes + times).tobytes())
    return digest.hexdigest()


def _columns(part: _Slice) -> _Columns:
    """The columns of a slice, in the order of the keys. Times are microseconds since 1970."""
    if isinstance(part, dict):
        rows = [part[key] for key in sorted(part)]
        times = [(have.modified - _EPOCH) // _MICROSECOND for have in rows]
        return [have.key for have in rows], [have.size for have in rows], times, [have.etag for have in rows]
    times = part["last_modified"].cast(_MICROSECONDS).cast(DataType.int64()).to_pylist()
    return part["path"].to_pylist(), part["size"].to_pylist(), times, [etag or "" for etag in part["e_tag"].to_pylist()]


def _first(part: _Slice) -> str:
    """The first key of a slice that is not empty."""
    key: str = min(part) if isinstance(part, dict) else part["path"][0].as_py()
    return key


def _keys(part: _Slice) -> list[str]:
    keys: list[str] = sorted(part) if isinstance(part, dict) else part["path"].to_pylist()
    return keys


def _objects(batch: RecordBatch) -> Iterator[LakeObject]:
    """The rows of a batch as objects."""
    keys, sizes, times, etags = _columns(batch)
    modified = [datetime.fromtimestamp(time / 1e6, UTC) for time in times]  # a column's own datetimes are slow
    return map(LakeObject, keys, sizes, modified, etags)
