"""What does a lake hold? Its objects by key, kept in columns, of which only what somebody asks for becomes Python."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import ItemsView, Iterable, Iterator, MutableMapping, ValuesView
from datetime import UTC, datetime
from typing import TypeVar, overload

from arro3.core import DataType, RecordBatch

from tasks.domain.assess.states import LakeObject

_SLICE = 1000  # rows that become objects together
_MICROSECONDS = DataType.timestamp("us", tz="UTC")
_T = TypeVar("_T")


class Listing(MutableMapping[str, LakeObject]):
    """The objects of a lake by key. It behaves as a dict that is always in the order of its keys.

    That is the order of the code points, which is also that of the keys' bytes in UTF-8, in which S3 lists.
    """

    def __init__(self, batches: Iterable[RecordBatch] = (), requests: int = 0):
        """`requests` is how many pages of the lake were listed.

        The batches have the columns path, size, last_modified and e_tag. All paths together are in order, and no path
        is there twice.
        """
        self.requests = requests
        # A slice is a batch until one of its keys is asked for. From then on it is a dict, in any order.
        self._slices: list[RecordBatch | dict[str, LakeObject]] = [{}]
        self._slices += [part for batch in batches for part in _parts(batch)]
        # A key belongs to the last slice whose first key is not after it.
        self._firsts = ["", *(_keys(part)[0] for part in self._slices[1:])]

    @classmethod
    def of(cls, objects: Iterable[LakeObject]) -> Listing:
        """A listing of some objects, in any order. Of several under one key, the last counts."""
        listing = cls()
        listing._slices[0] = {have.key: have for have in objects}
        return listing

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
        self._around(key)[key] = have

    def __delitem__(self, key: str) -> None:
        del self._around(key)[key]

    def __len__(self) -> int:
        return sum(len(part) if isinstance(part, dict) else part.num_rows for part in self._slices)

    def __iter__(self) -> Iterator[str]:
        for part in self._slices:
            yield from _keys(part)

    def items(self) -> ItemsView[str, LakeObject]:
        """All keys with their objects. To go through them makes the objects of one slice at a time, and keeps none."""
        return _Items(self)

    def values(self) -> ValuesView[LakeObject]:
        """All objects. To go through them makes the objects of one slice at a time, and keeps none."""
        return _Values(self)

    def objects(self) -> Iterator[LakeObject]:
        """All objects, in the order of their keys."""
        for part in self._slices:
            if isinstance(part, dict):
                yield from map(part.__getitem__, _keys(part))
            else:
                yield from _objects(part)

    def __repr__(self) -> str:
        return f"<Listing of {len(self)} objects>"

    def _around(self, key: str) -> dict[str, LakeObject]:
        """The slice to which a key belongs, as a dict."""
        number = bisect_right(self._firsts, key) - 1
        part = self._slices[number]
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


def _parts(batch: RecordBatch) -> Iterator[RecordBatch]:
    """A batch in slices that are not empty."""
    for start in range(0, batch.num_rows, _SLICE):
        yield batch.slice(start, min(_SLICE, batch.num_rows - start))


def _keys(part: RecordBatch | dict[str, LakeObject]) -> list[str]:
    keys: list[str] = sorted(part) if isinstance(part, dict) else part["path"].to_pylist()
    return keys


def _objects(batch: RecordBatch) -> Iterator[LakeObject]:
    """The rows of a batch as objects."""
    times = batch["last_modified"].cast(_MICROSECONDS).cast(DataType.int64()).to_pylist()
    modified = [datetime.fromtimestamp(time / 1e6, UTC) for time in times]  # a column's own datetimes are slow
    etags = [etag or "" for etag in batch["e_tag"].to_pylist()]
    return map(LakeObject, batch["path"].to_pylist(), batch["size"].to_pylist(), modified, etags)
