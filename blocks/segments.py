"""How are the keys of a folder listed in many segments at once, each key exactly once?

S3 lists the keys after a given one, in order, in pages of 1,000. A segment has the keys after the one at which it
starts, up to and including the one at which the next segment starts. The segments of a folder are a chain. So there is
nothing between them, at whatever keys the folder is cut.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count, takewhile
from math import prod
from typing import NamedTuple

from arro3.core import RecordBatch

from blocks.lake_keys import is_valid
from blocks.listing import KeyRange
from tasks.domain.expected.keys import outermost

FULL = 1000  # keys in a page of S3, unless it is the last
_PATIENCE = 2  # pages after which a segment between two hints is long
_MOST_PARTS = 6  # further segments into which one is cut at once
_DEPTH = 12  # characters of a key, after those that two keys share, that decide where to cut between them
_KINDS = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Page(NamedTuple):
    """Keys that follow each other in a listing."""

    rows: RecordBatch  # in the order of their paths
    sample: Sequence[str]  # the keys of some rows, among them the first
    last: str  # the last key of the page, which may be none of the rows
    is_full: bool  # otherwise the folder ends with this page


Pages = Callable[[str, str], AsyncGenerator[Page]]  # the pages of a folder after a key


@dataclass
class _Segment:
    """The keys after `start`, up to the start of the next segment, or to the folder's end."""

    start: str
    next: _Segment | None = None
    patience: int = 1  # pages after which it is cut, if it has not ended
    guess: _Guess | None = None  # by which it was cut from the segment before it
    is_begun: bool = False
    is_dropped: bool = False  # it is empty, or another segment lists its keys
    rows: list[RecordBatch] = field(default_factory=list)

    @property
    def end(self) -> str | None:
        return self.next.start if self.next else None

    def may_hold(self, keys: Sequence[str]) -> bool:
        """Can some of these keys, which are in order and after its start, be keys of the segment?"""
        return bool(keys) and (self.end is None or keys[0] <= self.end)


class Reading:
    """Lists folders, with at most `connections` requests at a time. A segment that turns out to be long is cut.

    `pages` gives the pages of a folder after a key. A request is made when a page is asked for.
    """

    def __init__(self, pages: Pages, connections: int):
        self.requests = 0
        self._pages = pages
        self._connections = connections
        self._workers = 0
        self._waiting: deque[tuple[_Segment, _Folder]] = deque()
        self._tasks = asyncio.TaskGroup()

    async def read(self, folders: Iterable[str], hints: Iterable[str] = ()) -> list[RecordBatch]:
        """The rows of all keys in the folders, in order. `hints` are keys between which there may be about a page.

        If a page cannot be read, its error is raised as soon as nothing is being read any more.
        """
        starts = _starts(folders, hints)
        firsts = await self._read_all((folder, found, None) for folder, found in starts.items())
        return [rows for first in firsts for segment in _chain(first) for rows in segment.rows]

    async def read_ranges(self, folders: Iterable[str], ranges: Iterable[KeyRange]) -> list[RecordBatch]:
        """The rows of those keys in the folders that lie in some ranges, in order.

        The ranges are in order, and have about a page of keys each. No batch has keys before and keys after others that
        were not listed.
        """
        parts = [part for folder in outermost(folders) for part in _within(folder, ranges)]
        firsts = await self._read_all((p.folder, [p.before, *filter(is_valid, p.starts[1:])], p.end) for p in parts)
        found = [
            (rows, p) for first, p in zip(firsts, parts, strict=True) for one in _chain(first) for rows in one.rows
        ]
        return [kept for rows, p in found if (kept := _cut_to(rows, p.starts[0], p.end)).num_rows]

    async def _read_all(self, parts: Iterable[tuple[str, Sequence[str], str | None]]) -> list[_Segment]:
        """Lists parts of folders, and returns the first segment of each.

        A part is a folder, the starts of its segments, and the key at which the last one ends. That is None if it ends
        with the folder.
        """
        try:
            async with self._tasks:
                return [self._begin(*part) for part in parts]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def _begin(self, name: str, starts: Sequence[str], end: str | None) -> _Segment:
        """Lists a folder in segments with these starts, up to a key. Returns the first segment."""
        folder = _Folder(name)
        following = None if end is None else _Segment(end, is_begun=True, is_dropped=True)  # another has what follows
        for start in reversed(starts):
            following = _Segment(start, following, _PATIENCE if len(starts) > 1 or end else 1)
        for segment in _chain(following):
            if not segment.is_begun:
                self._add(segment, folder)
        assert following is not None
        return following

    def _add(self, segment: _Segment, folder: _Folder) -> None:
        """Has a segment listed as soon as one of the requests that may be made at a time is free."""
        self._waiting.append((segment, folder))
        if self._workers < self._connections:
            self._workers += 1
            self._tasks.create_task(self._work())

    async def _work(self) -> None:
        """Reads one segment after another, until none waits."""
        try:
            while self._waiting:
                segment, folder = self._waiting.popleft()
                if not segment.is_dropped:
                    await self._read(segment, folder)
        finally:
            self._workers -= 1

    async def _read(self, segment: _Segment, folder: _Folder) -> None:
        segment.is_begun = True
        async with aclosing(self._pages(folder.name, segment.start)) as pages:
            await self._read_pages(segment, folder, pages)

    async def _read_pages(self, segment: _Segment, folder: _Folder, pages: AsyncIterator[Page]) -> None:
        """Reads pages until the segment has ended. While requests are free, it is cut if it is long."""
        for number in count(1):
            page = await anext(pages, None)
            if number == 1 and segment.guess:
                segment.guess.learn(page is not None and segment.may_hold(page.sample))
            if page is None:
                self.requests += number == 1
                _drop_empty(segment, None)
                return
            self.requests += 1
            folder.alphabet.learn(page.sample)
            if self._has_ended(segment, page):
                return
            idle = self._connections - self._workers
            if page.is_full and number >= segment.patience and idle > 0:
                self._cut(segment, page, folder, min(idle, _MOST_PARTS))

    def _has_ended(self, segment: _Segment, page: Page) -> bool:
        """Adds the rows of a page that belong to a segment to it, and returns whether it ends with them."""
        _drop_empty(segment, page.sample[0] if page.sample else page.last)
        _extend(segment, page.last)
        end = segment.end
        if end is None or page.last < end:
            segment.rows.append(page.rows)
            return False
        within = bisect_right(page.rows["path"].to_pylist(), end)
        segment.rows.append(page.rows.slice(0, within))
        return True

    def _cut(self, segment: _Segment, page: Page, folder: _Folder, most: int) -> None:
        """Makes new segments, `most` at the most, of what a segment has still to list. It keeps the first part itself.

        There are two ways to guess where to cut. The better one has been until now, the more it is used.
        """
        near = round(most * folder.near.share() / (folder.near.share() + folder.even.share()))
        guesses = dict.fromkeys(folder.alphabet.points(page.last, segment.end, most - near), folder.even)
        if page.sample:
            points = near_points(f"{folder.name}/", page.sample[0], page.last, segment.end, near)
            guesses |= dict.fromkeys(points, folder.near)
        for start in sorted(guesses, reverse=True):
            segment.next = _Segment(start, segment.next, guess=guesses[start])
            self._add(segment.next, folder)


def near_points(prefix: str, first: str, last: str, end: str | None, most: int) -> list[str]:
    """Keys after a page and before the `end`, between which there is about a page if the keys go on as they did in it.

    If a page runs from `a/0017` to `a/0039`, these are `a/006` and `a/009`. Where they end, larger steps follow: `a/01`
    to `a/09`, and `a/1` to `a/9`.
    """
    found: list[str] = []
    differ = _shared(first, last)
    for depth in range(min(differ, len(last) - 1), len(prefix) - 1, -1):
        kind = next((kind for kind in _KINDS if last[depth] in kind), last[depth])
        at = kind.index(last[depth])
        is_spread = depth == differ < len(first) and first[depth] in kind
        step = at - kind.index(first[depth]) + 1 if is_spread else 1
        points = (last[:depth] + sign for sign in kind[at + step :: step])
        found += [point for point in points if is_valid(point) and (end is None or point < end)]
    return found[:most]


class Alphabet:
    """Which characters may stand where in the keys of a folder, as far as the keys that were seen tell."""

    def __init__(self, prefix: str):
        self._prefix = prefix
        self._at: list[set[str]] = []

    def learn(self, keys: Iterable[str]) -> None:
        """Learns from some keys of the folder. Of a kind, such as digits, one character stands for all."""
        for key in keys:
            name = key.removeprefix(self._prefix)
            self._at += [set() for _ in range(len(name) - len(self._at))]
            for seen, sign in zip(self._at, name, strict=False):
                if sign not in seen:
                    seen.update(next((kind for kind in _KINDS if sign in kind), sign))

    def points(self, low: str, high: str | None, count: int) -> list[str]:
        """At most so many keys between two others, in order, that divide what may be between them evenly.

        If `high` is None, there is no end but that of the folder.
        """
        low_name, high_name = low.removeprefix(self._prefix), (high or "").removeprefix(self._prefix)
        shared = _shared(low_name, high_name)
        signs = [sorted(seen) for seen in self._at[shared : shared + _DEPTH]]
        start = _number(low_name[shared:], signs)
        end = _number(high_name[shared:], signs) if high is not None else prod(map(len, signs))
        found = set()
        for part in range(1, count + 1):
            name = _name(start + (end - start) * part // (count + 1), signs)
            point = f"{self._prefix}{low_name[:shared]}{name}"
            if low < point and (high is None or point < high) and is_valid(point):
                found.add(point)
        return sorted(found)


def _shared(one: str, other: str) -> int:
    """How many characters two keys have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _number(name: str, signs: Sequence[Sequence[str]]) -> int:
    """A name as a number whose digits are the places of its characters among those that may stand there."""
    number = 0
    for at, known in enumerate(signs):
        digit = bisect_left(known, name[at]) if at < len(name) else 0
        number = number * len(known) + min(digit, len(known) - 1)
    return number


def _name(number: int, signs: Sequence[Sequence[str]]) -> str:
    """The shortest name with this number: without the lowest characters at its end."""
    found: list[str] = []
    for known in reversed(signs):
        number, digit = divmod(number, len(known))
        if found or digit:
            found.append(known[digit])
    return "".join(reversed(found))


class _Guess:
    """How often a way to guess where to cut has made a segment that was not empty."""

    def __init__(self) -> None:
        self._good = self._all = 1

    def learn(self, is_good: bool) -> None:
        self._good += is_good
        self._all += 1

    def share(self) -> float:
        return self._good / self._all


class _Folder:
    """What has been learnt of the keys of a folder while it is listed, to guess where to cut it."""

    def __init__(self, name: str):
        self.name = name
        self.alphabet = Alphabet(f"{name}/")
        self.near, self.even = _Guess(), _Guess()


def _extend(segment: _Segment, last: str) -> None:
    """Extends a segment that was read up to the key `last` beyond the starts of others that it has passed.

    Those of them that nobody has begun to read are dropped: what is left of their keys is read with this segment.
    """
    while (after := segment.next) and not after.is_begun and last > after.start:
        after.is_dropped = True
        segment.next = after.next


def _drop_empty(segment: _Segment, first: str | None) -> None:
    """Drops the segments after one of which its last page shows that they are empty, unless they are begun.

    `first` is the first key of that page. If it is None, there are no more keys at all.
    """
    for after in _chain(segment.next):
        if first is not None and (after.end is None or after.end >= first):
            return
        after.is_dropped = not after.is_begun


def _chain(first: _Segment | None) -> Iterator[_Segment]:
    """A segment and all that follow it in its folder."""
    while first is not None:
        yield first
        first = first.next


def _starts(folders: Iterable[str], hints: Iterable[str]) -> dict[str, list[str]]:
    """Where the segments of each folder start, by folder, in order. A folder within another is left out."""
    starts = {folder: [f"{folder}/"] for folder in outermost(folders)}
    ordered = sorted({hint for hint in hints if is_valid(hint)})
    for found in starts.values():
        prefix = found[0]
        found += ordered[bisect_right(ordered, prefix) : bisect_left(ordered, prefix[:-1] + "0")]
    return starts


@dataclass
class _Part:
    """Ranges of keys in a folder, each of which begins where the one before it ends."""

    folder: str
    starts: list[str]
    end: str | None  # None: that of the folder

    @property
    def before(self) -> str:
        """A key shortly before the first range, after which S3 lists it. Hardly any other key lies between."""
        start, last = self.starts[0], self.starts[0][-1]
        key = f"{start[:-1]}{chr(ord(last) - 1)}~" if "!" <= last <= "~" else start[:-1]
        while key > f"{self.folder}/" and not is_valid(key):
            key = key[:-1]
        return key


def _within(folder: str, ranges: Iterable[KeyRange]) -> list[_Part]:
    """The parts of a folder that lie in some ranges, which are in order."""
    first, after = f"{folder}/", f"{folder}0"  # "0" is the character after the slash
    found: list[_Part] = []
    for start, end in ranges:
        if start >= after or (end is not None and end <= first):
            continue
        stop = None if end is None or end >= after else end
        if found and found[-1].end == start:
            found[-1].starts.append(start)
            found[-1].end = stop
        else:
            found.append(_Part(folder, [max(start, first)], stop))
    return found


def _cut_to(rows: RecordBatch, start: str, end: str | None) -> RecordBatch:
    """The rows from a key up to another, or up to the last."""
    keys = rows["path"].to_pylist()
    first = bisect_left(keys, start)
    return rows.slice(first, max(0, (len(keys) if end is None else bisect_left(keys, end)) - first))
