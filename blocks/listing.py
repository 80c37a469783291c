"""What does a lake hold? Its objects by key, kept in columns, of which only what somebody asks for becomes Python."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, Sequence, ValuesView
from itertools import groupby
from operator import itemgetter
from typing import TypeVar, overload

from arro3.core import RecordBatch

from blocks.packed_rows import Columns, PackedRows, columns_of, columns_of_objects, digest_of
from tasks.domain.assess.states import LakeObject

_SLICE = 2000  # the most rows of a slice
_UNPACKED = 50  # the most slices of which the rows are kept unpacked
_T = TypeVar("_T")
_Slice = PackedRows | dict[str, LakeObject]
KeyRange = tuple[str, str | None]  # all keys from one up to, but without, another, or all from there


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

    def __init__(self, batches: Iterable[RecordBatch | Columns] = (), requests: int = 0, cuts: Sequence[str] = ()):
        """`requests` is how many pages of the lake were listed.

        Batches of Arrow have the columns path, size, last_modified and e_tag. All keys together are in order, and no
        key is there twice. `cuts`, in order, are the starts of ranges whose digests will be asked for; they are found
        faster then.
        """
        self.requests = requests
        # A slice is packed until one of its keys is set or removed. From then on it is a dict, in any order. It is None
        # if its keys were not listed.
        parts = [part for batch in batches for part in _parts(batch, cuts)]
        self._slices: list[_Slice | None] = [{}, *parts]
        # A key belongs to the last slice whose first key is not after it.
        self._firsts: list[str] = ["", *map(_first, parts)]
        self._unpacked: dict[PackedRows, Columns] = {}  # the slices that were asked for last

    @classmethod
    def of(cls, objects: Iterable[LakeObject]) -> Listing:
        """A listing of some objects, in any order. Of several under one key, the last counts."""
        listing = cls()
        listing._slices[0] = {have.key: have for have in objects}
        return listing

    @classmethod
    def of_ranges(
        cls, ranges: Iterable[KeyRange], batches: Iterable[RecordBatch | Columns] = (), requests: int = 0
    ) -> Listing:
        """A listing of only these ranges, which are in order and have no key in common.

        No batch is on both sides of keys that were not listed.
        """
        listing = cls(requests=requests)
        listing._slices[0] = None
        ranges = list(ranges)
        starts = [start for start, _ in ranges]
        parts = [part for batch in batches for part in _parts(batch, starts)]
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

    def has_listed_folder(self, folder: str) -> bool:
        """Was everything in a folder, and in the folders below it, listed?"""
        return self.has_listed(f"{folder}/", f"{folder}0")  # "0" is the character after "/"

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
        if (have := self.get(key)) is None:
            raise KeyError(key)
        return have

    @overload
    def get(self, key: str, /) -> LakeObject | None: ...
    @overload
    def get(self, key: str, /, default: LakeObject | _T) -> LakeObject | _T: ...
    def get(self, key: str, /, default: LakeObject | _T | None = None) -> LakeObject | _T | None:
        part = self._slice(key)
        if isinstance(part, dict):
            return part.get(key, default)
        columns = self._columns(part)
        place = columns.find(key)
        return default if place is None else columns.object(place)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        part = self._slice(key)
        return key in part if isinstance(part, dict) else self._columns(part).find(key) is not None

    def __setitem__(self, key: str, have: LakeObject) -> None:
        if not self.knows(key):
            self._fill(key, _next(key), [])
        self._changeable(key)[key] = have

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        del self._changeable(key)[key]

    def __len__(self) -> int:
        return sum(map(len, self._parts()))

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
                yield from part.columns().objects()

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
                found[start] = digest_of(piece for _, piece in pieces)
        return found

    def _pieces(self, starts: Sequence[str]) -> Iterator[tuple[str, PackedRows | Columns]]:
        """All objects from the first start on, in pieces that lie in one range, with its start."""
        for part, following in zip(self._slices, [*self._firsts[1:], None], strict=True):
            if isinstance(part, PackedRows):  # most are a range, or a part of one
                number = bisect_right(starts, part.first)
                if number and (number == len(starts) or (following is not None and following <= starts[number])):
                    yield starts[number - 1], part
                    continue
            if not part:
                continue
            columns = _columns(part)
            keys, position = columns.keys, 0
            while position < len(keys):
                number = bisect_right(starts, keys[position])
                end = bisect_left(keys, starts[number], position) if number < len(starts) else len(keys)
                if number:
                    yield starts[number - 1], columns.between(position, end)
                position = end

    def among(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        """The objects under some keys, which is faster than to ask for each of many."""
        found: dict[str, LakeObject] = {}
        ordered, position = sorted(keys), 0
        while position < len(ordered):
            following = bisect_right(self._firsts, ordered[position])
            end = len(ordered)
            if following < len(self._firsts):
                end = bisect_left(ordered, self._firsts[following], position)
            some, part = ordered[position:end], self._slice(ordered[position])
            if isinstance(part, PackedRows) and len(some) > len(part) // 4:
                found.update(part.columns().among(set(some)))
            else:
                found.update((key, have) for key in some if (have := self.get(key)) is not None)
            position = end
        return found

    def every(self, number: int, start: str, end: str | None) -> list[str]:
        """The keys at which to cut the range from `start` up to `end` into parts of `number` keys.

        The last part has more, but less than twice as many. If `end` is None, the range goes on to the last key.
        """
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
        start, end = f"{folder}/", f"{folder}0"
        if not self.has_listed_folder(folder):
            raise NotListedError(start)
        parts = (part for part in self._between(start, end) if part is not None)
        return [key for part in parts for key in _keys(part) if start <= key < end]

    def count_within(self, folder: str) -> int:
        """The number of keys in a folder and the folders below it, as far as they were listed."""
        start, end = f"{folder}/", f"{folder}0"
        parts = [part for part in self._between(start, end) if part is not None]
        inner = sum(map(len, parts[1:-1]))
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

    def _slice(self, key: str) -> _Slice:
        """The slice to which a key belongs."""
        part = self._slices[bisect_right(self._firsts, key) - 1]
        if part is None:
            raise NotListedError(key)
        return part

    def _columns(self, part: PackedRows) -> Columns:
        """The rows of a slice, unpacked. They are kept for a while, since the next key tends to be near."""
        if (columns := self._unpacked.get(part)) is None:
            if len(self._unpacked) >= _UNPACKED:
                del self._unpacked[next(iter(self._unpacked))]
            columns = self._unpacked[part] = part.columns()
        return columns

    def _changeable(self, key: str) -> dict[str, LakeObject]:
        """The slice to which a key belongs, as a dict."""
        part = self._slice(key)
        if not isinstance(part, dict):
            part = {have.key: have for have in part.columns().objects()}
            self._slices[bisect_right(self._firsts, key) - 1] = part
        return part


class _Items(ItemsView[str, LakeObject]):
    _mapping: Listing

    def __iter__(self) -> Iterator[tuple[str, LakeObject]]:
        return ((have.key, have) for have in self._mapping.objects())


class _Values(ValuesView[LakeObject]):
    _mapping: Listing

    def __iter__(self) -> Iterator[LakeObject]:
        return self._mapping.objects()


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


def _parts(batch: RecordBatch | Columns, cuts: Sequence[str]) -> Iterator[PackedRows]:
    """A batch in slices that are not empty, and that lie between two of the `cuts`."""
    columns = batch if isinstance(batch, Columns) else columns_of(batch)
    keys, start = columns.keys, 0
    if keys:
        within = cuts[bisect_right(cuts, keys[0]) : bisect_right(cuts, keys[-1])]
        for end in (*(bisect_left(keys, cut) for cut in within), len(keys)):
            for at in range(start, end, _SLICE):
                yield PackedRows(columns.between(at, min(at + _SLICE, end)))
            start = end


def _columns(part: _Slice) -> Columns:
    """The rows of a slice, in the order of their keys."""
    return columns_of_objects([part[key] for key in sorted(part)]) if isinstance(part, dict) else part.columns()


def _first(part: _Slice) -> str:
    """The first key of a slice that is not empty."""
    return min(part) if isinstance(part, dict) else part.first


def _keys(part: _Slice) -> list[str]:
    return sorted(part) if isinstance(part, dict) else part.keys()
