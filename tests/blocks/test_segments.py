"""Whatever the keys of a folder and the hints, every key is listed once, and a small folder costs one request."""

import asyncio
import random
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.lake_keys import is_valid
from blocks.listing import Listing
from blocks.packed_rows import batch_of
from blocks.segments import Alphabet, Page, Reading, near_points
from tasks.domain.assess.states import LakeObject
from tests.builders import NOW


class Bucket:
    """Keys in S3, listed in pages of a few."""

    def __init__(self, keys: Sequence[str], page: int = 3):
        self.keys = sorted(keys)
        self.requests = 0
        self.most = 0  # requests at once
        self.emptied = 0  # pages of which everything was removed while the page before was read
        self._page = page
        self._running = 0

    async def pages(self, folder: str, after: str) -> AsyncGenerator[Page]:
        has_more, page = True, 0
        while has_more:
            page += 1
            self._running += 1
            self.requests += 1
            self.most = max(self.most, self._running)
            await asyncio.sleep(0)
            self.turn()
            self._running -= 1
            start = bisect_right(self.keys, after)
            later = [key for key in self.keys[start : start + self._page + 1] if key.startswith(f"{folder}/")]
            keys, has_more = later[: self._page], len(later) > self._page
            self.emptied += page > 1 and not keys
            if keys:
                after = keys[-1]
                yield Page(batch_of([LakeObject(key, 1, NOW, "") for key in keys]), keys, after, has_more)

    def turn(self) -> None:
        """What happens in the lake while a request is under way."""


def _read(
    bucket: Bucket, folders: Sequence[str] = ("f",), hints: Sequence[str] = (), connections: int = 8
) -> list[str]:
    reading = Reading(bucket.pages, connections)
    batches = asyncio.run(reading.read(folders, hints))
    assert reading.requests + bucket.emptied == bucket.requests
    assert bucket.most <= connections
    return [key for rows in batches for key in rows["path"].to_pylist()]


NAMES = st.text("09aZ.-_/é\uff5e\U0001f3c0", min_size=1, max_size=5) | st.integers(0, 400).map("{:04}.json".format)
KEYS = st.builds("{}/{}".format, st.sampled_from(["f", "f/g", "f-", "f0", "g"]), NAMES).filter(is_valid)
ANY_TEXT = st.text(max_size=6) | st.builds("f/{}".format, st.text(max_size=4)) | KEYS


@given(st.sets(KEYS, max_size=80), st.lists(ANY_TEXT, max_size=40), st.integers(1, 8), st.integers(1, 4))
def test_every_key_is_listed_once_whatever_the_hints(
    keys: set[str], hints: list[str], connections: int, page: int
) -> None:
    listed = _read(Bucket([*keys], page), ["g", "f", "f/g"], hints, connections)
    assert listed == sorted(key for key in keys if key.startswith(("f/", "g/")))


@given(st.sets(KEYS, max_size=20), st.lists(KEYS, max_size=9), st.randoms(use_true_random=True))
def test_a_key_that_is_there_all_the_time_is_listed_though_others_come_and_go(
    some: set[str], hints: list[str], chance: random.Random
) -> None:
    keys = some | {f"f/{chance.randrange(1000):04}.json" for _ in range(40)}
    bucket = Bucket([*keys])
    staying = {key for key in keys if chance.random() < 0.5}
    fleeting = sorted(keys - staying)

    def turn() -> None:
        there = {key for key in fleeting if chance.random() < 0.5}
        bucket.keys = sorted(staying | there)

    bucket.turn = turn  # type: ignore[method-assign]
    listed = _read(bucket, ["f"], hints)
    assert {key for key in staying if key.startswith("f/")} <= set(listed) <= keys
    assert listed == sorted(set(listed))


@pytest.mark.parametrize(
    ("count", "hints", "most"),
    [
        pytest.param(0, [], 1, id="an empty folder"),
        pytest.param(3, [], 1, id="one page"),
        pytest.param(3000, [], 2200, id="a long folder takes about twice as many as it has pages"),
        pytest.param(3000, [f"f/{n:06}" for n in range(2, 3000, 3)], 1001, id="with hints, as many as pages"),
        pytest.param(3, [f"f/{n:06}" for n in range(0, 30_000, 7)], 9, id="absurd hints"),
        pytest.param(3, [f"f/-{n:06}" for n in range(0, 30_000, 7)], 9, id="absurd hints before all keys"),
        pytest.param(3000, [f"f/{n:06}" for n in range(2, 2900, 3)], 1100, id="hints that are out of date"),
    ],
)
def test_how_many_requests_it_takes(count: int, hints: list[str], most: int) -> None:
    bucket = Bucket([f"f/{number:06}" for number in range(count)])
    assert len(_read(bucket, hints=hints)) == count
    assert bucket.requests <= most


def test_a_long_folder_is_listed_in_many_segments_at_once() -> None:
    bucket = Bucket([f"f/00{number:06}.json" for number in range(1000)])
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        reading = asyncio.ensure_future(Reading(bucket.pages, 8).read(["f"]))
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)

    asyncio.run(count_turns())
    assert bucket.most == 8
    assert turns < 200  # one after another, its 334 pages take more


def test_a_page_that_fails_fails_the_listing_and_nothing_goes_on() -> None:
    bucket = Bucket([f"f/{number:06}" for number in range(3000)])

    def turn() -> None:
        if bucket.requests == 97:
            raise OSError("the page is gone")

    bucket.turn = turn  # type: ignore[method-assign]

    async def story() -> set[Any]:
        with pytest.raises(OSError, match="the page is gone"):
            await Reading(bucket.pages, 8).read(["f"])
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(story()) == set()


@given(
    st.sets(KEYS | st.sampled_from(["g/1", "f0", "e/9"])),
    st.sets(KEYS | st.sampled_from(["", "f/", "f0", "g/", "e"])),
    st.integers(2, 5),
    st.integers(1, 6),
    st.data(),
)
def test_of_some_ranges_every_key_is_listed_and_no_other(
    keys: set[str], starts: set[str], page: int, connections: int, data: st.DataObject
) -> None:
    bucket = Bucket(list(keys), page)
    ordered = sorted(starts)
    ranges = [one for one in zip(ordered, [*ordered[1:], None], strict=False) if data.draw(st.booleans())]
    reading = Reading(bucket.pages, connections)
    batches = asyncio.run(reading.read_ranges(["f", "g"], ranges))
    listed = [batch["path"].to_pylist() for batch in batches]
    expected = [
        key
        for key in sorted(keys)
        if key.startswith(("f/", "g/")) and any(start <= key and (end is None or key < end) for start, end in ranges)
    ]
    assert [key for batch in listed for key in batch] == expected
    assert list(Listing.of_ranges(ranges, batches)) == expected
    assert reading.requests + bucket.emptied == bucket.requests


def test_a_range_of_less_than_a_page_costs_one_request() -> None:
    keys = [f"f/{number:05}" for number in range(10_000)]
    bucket = Bucket(keys, 1000)
    starts = keys[::999]
    ranges = dict(pairwise(starts))

    def read(*chosen: str) -> int:
        reading = Reading(bucket.pages, 8)
        batches = asyncio.run(reading.read_ranges(["f"], [(start, ranges[start]) for start in chosen]))
        assert sum(batch.num_rows for batch in batches) == 999 * len(chosen)
        return reading.requests

    assert read(starts[3]) == 1
    assert read(starts[3], starts[4], starts[7]) == 3
    assert read() == 0


@given(st.lists(KEYS, min_size=1, max_size=9), KEYS, KEYS, KEYS | st.none(), st.integers(1, 5))
def test_the_points_between_two_keys_are_lake_keys_between_them(
    seen: list[str], first: str, low: str, high: str | None, count: int
) -> None:
    alphabet = Alphabet("f/")
    alphabet.learn(seen)
    for points in (alphabet.points(low, high, count), near_points("f/", min(first, low), low, high, count)):
        assert points == sorted(set(points))
        assert len(points) <= count
        assert all(low < point and (high is None or point < high) and is_valid(point) for point in points)


@pytest.mark.parametrize(
    ("first", "last", "end", "points"),
    [
        ("a/0017", "a/0039", None, ["a/006", "a/009", "a/01", "a/02", "a/03", "a/04", "a/05", "a/06", "a/07"]),
        ("a/0017", "a/0039", "a/02", ["a/006", "a/009", "a/01"]),
        ("a/x/98", "a/x/99", None, ["a/y", "a/z"]),
        ("a/2023-10.json", "a/2023-12.json", None, ["a/2023-15", "a/2023-18", "a/2023-2", "a/2023-3", "a/2023-4"]),
        ("a/1", "a/1-x", None, ["a/2", "a/3", "a/4", "a/5", "a/6", "a/7", "a/8", "a/9"]),
    ],
)
def test_the_points_after_a_page_continue_it(first: str, last: str, end: str | None, points: list[str]) -> None:
    assert near_points("a/", first, last, end, 9)[: len(points)] == points


def test_the_points_divide_evenly_what_may_be_there() -> None:
    alphabet = Alphabet("f/")
    alphabet.learn(["f/0022300001.json", "f/0022300999.json"])
    whole = alphabet.points("f/0022300999.json", None, 4)
    assert [point[:3] for point in whole] == ["f/2", "f/4", "f/6", "f/8"]
    part = alphabet.points("f/0020000000.json", "f/0030000000.json", 3)
    assert [point[:7] for point in part] == ["f/00225", "f/00250", "f/00275"]
