"""Which range of keys does a key lie in?

The keys of a lake, in their order, are cut into ranges of about SIZE files. The start of a range names it: the range
has every key from its start up to the start of the next range, whether or not the lake has a file there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

# Files in a range; it is cut once it has twice as many. The first page of a listing, which has 1,000 keys, then also
# has the first key of the next range, so that no other page need be read to see where the range ends.
SIZE = 999
DIGEST_BYTES = 16  # of a range with files
_ROUNDING = 1e-6  # of a number of ranges


class Verified(NamedTuple):
    """What a range has held when it was last listed."""

    digest: str  # empty for a range without files
    at: datetime | None = None  # when it was listed; None if that is not known


class Listed(Protocol):
    """The files that a lake lists."""

    def digests(self, starts: Sequence[str]) -> dict[str, str]:
        """A digest of the files in each of the ranges with these sorted starts, by start; empty if it has none.

        A range that was not listed is left out.
        """

    def every(self, number: int, start: str, end: str | None) -> list[str]:
        """The keys at which to cut the range from `start` up to `end` into parts of `number` keys.

        The last part has more, but less than twice as many. If `end` is None, the range goes on to the last key.
        """


class KeyRanges:
    """All keys, cut at some starts. The first range begins with the empty key."""

    def __init__(self, starts: Iterable[str] = ()):
        self.starts = sorted({"", *starts})

    def of(self, key: str) -> str:
        """The start of the range that a key lies in."""
        return self.starts[bisect_right(self.starts, key) - 1]

    def over(self, keys: Iterable[str]) -> list[str]:
        """The starts of the ranges in which any of these keys lies, in their order."""
        ordered = sorted(keys)
        found, position = [], 0
        while position < len(ordered):
            start = self.of(ordered[position])
            found.append(start)
            end = self.end(start)
            position = len(ordered) if end is None else bisect_left(ordered, end, position)
        return found

    def within(self, folder: str) -> list[str]:
        """The starts of the ranges that may have keys in a folder, in their order."""
        first, after = f"{folder}/", f"{folder}0"  # "0" is the character after "/"
        return self.starts[bisect_right(self.starts, first) - 1 : bisect_left(self.starts, after)]

    def cut(self, starts: Iterable[str], listed: Listed) -> KeyRanges:
        """The same ranges, but those with the given starts are cut into ranges of SIZE to 2 * SIZE listed files."""
        within = [key for start in starts for key in listed.every(SIZE, start, self.end(start))]
        return KeyRanges([*self.starts, *within])

    def spans(self, starts: Iterable[str]) -> list[tuple[str, str | None]]:
        """The ranges with these starts, in their order: each from its start up to the start of the next one."""
        return [(start, self.end(start)) for start in sorted(starts)]

    def end(self, start: str) -> str | None:
        """The start of the next range; None if it is the last."""
        following = bisect_right(self.starts, start)
        return self.starts[following] if following < len(self.starts) else None


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> set[str]:
    """The starts of the ranges whose files are not known to be those of before.

    `before` and `now` have the digests of ranges by their starts; that of a range without files is empty. Every start
    of `before` is a start now, too. If there are new ones, they divide former ranges, and all parts of a divided range
    count as changed. `now` leaves out ranges that were not listed.
    """
    found = {start for start, digest in now.items() if before.get(start) != digest}
    former = KeyRanges(before)
    return found | {former.of(start) for start in found if start not in before}


def on_rotation(
    verified: Mapping[str, datetime | None], every: timedelta, now: datetime, following: datetime, since: datetime
) -> list[str]:
    """The starts of the ranges to list now, so that each is listed again within `every`, and each time about as many.

    `verified` is when each range was last listed, and `following` when the next look is to come. A range that would not
    be listed in time by then, that was last listed before `since`, or at a time that is unknown or wrong, is listed in
    any case. The others are taken from the longest unlisted on, until none of them is behind an even rotation, in which
    half of all ranges were listed within the last half of the period, and a tenth within the last tenth of it.
    """
    period = every - (following - now)  # what is older now is too old when the next look comes
    ages = {
        start: (now - at) / period if at is not None and since <= at <= now < at + period else 1.0
        for start, at in verified.items()
    }
    oldest = sorted(ages, key=lambda start: (-ages[start], start))
    number = 0
    for count, start in enumerate(oldest, 1):
        number = max(number, int(count - len(oldest) * (1 - ages[start]) + _ROUNDING))
    return oldest[:number]
