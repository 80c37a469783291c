"""A listing behaves as a dict of the same objects that is always in the order of its keys."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.listing import Listing, NotListedError
from tasks.domain.assess.states import LakeObject
from tasks.domain.errors import LakeError
from tests.builders import obstore_batch

NOW = datetime(2026, 11, 30, 14, 0, 0, 123457, tzinfo=UTC)

MD5 = "d41d8cd98f00b204e9800998ecf8427e"

# Few different keys, among them keys whose order in UTF-16 is another
KEYS = st.text("ab1é\uff5e\U0001f3c0", min_size=1, max_size=2)
OBJECTS = st.builds(
    LakeObject,
    KEYS,
    st.integers(0, 2**40),
    st.datetimes(datetime(2006, 3, 14), datetime(2106, 3, 14), timezones=st.just(UTC)),
    st.sampled_from(["", '"an-etag"', f'"{MD5}"', f'"{MD5.upper()}"', MD5, f'"{MD5}{MD5}"', f'"{MD5}-2"']),
)


@st.composite
def listings(draw: st.DrawFn) -> tuple[Listing, dict[str, LakeObject]]:
    """A listing, and a dict of its objects."""
    objects = draw(st.dictionaries(KEYS, OBJECTS, max_size=12))
    objects = {key: have._replace(key=key) for key, have in objects.items()}
    if draw(st.booleans()):
        return Listing.of(objects.values()), objects
    rows = [objects[key] for key in sorted(objects, key=str.encode)]
    cuts = sorted(draw(st.sets(st.integers(0, len(rows)), max_size=5)) | {0, len(rows)})
    return Listing(obstore_batch(rows[start:end]) for start, end in pairwise(cuts)), objects


@pytest.mark.parametrize("change", [{"key": "a\nb"}, {"etag": '"a\nb"'}])
def test_a_listing_refuses_what_has_a_line_break(change: dict[str, str]) -> None:
    have = LakeObject("a", 1, NOW, '"b"')
    with pytest.raises(LakeError, match="line break"):
        Listing([obstore_batch([have._replace(**change), have._replace(key="c")])])


STEPS = st.tuples(st.sampled_from(["get", "in", "[]", "set", "pop", "pop or", "del", "len", "all"]), KEYS, OBJECTS)


@given(listings(), st.lists(STEPS, max_size=20))
def test_a_listing_behaves_as_a_dict(given: tuple[Listing, dict[str, LakeObject]], steps: list[Any]) -> None:
    listing, objects = given
    for step, key, have in steps:
        assert _outcome(listing, step, key, have) == _outcome(objects, step, key, have), step
    assert listing == objects


def _outcome(mapping: Any, step: str, key: str, have: LakeObject) -> Any:
    """What a step on a mapping returns or raises. The order of a dict is that of its keys' bytes here."""
    try:
        match step:
            case "get":
                return mapping.get(key), mapping.get(key, 7)
            case "in":
                return key in mapping, None in mapping, mapping.keys() >= {key}, (key, have) in mapping.items()
            case "[]":
                return mapping[key]
            case "set":
                mapping[key] = have._replace(key=key)
            case "pop":
                return mapping.pop(key)
            case "pop or":
                return mapping.pop(key, None)
            case "del":
                del mapping[key]
            case "len":
                return len(mapping), bool(mapping)
            case "all":
                keys = sorted(mapping, key=str.encode) if isinstance(mapping, dict) else list(mapping)
                items = [(key, mapping[key]) for key in keys] if isinstance(mapping, dict) else list(mapping.items())
                values = [have for _, have in items] if isinstance(mapping, dict) else list(mapping.values())
                return keys, items, values
    except KeyError as error:
        return "KeyError", error.args


def test_large_batches_are_cut_so_that_one_key_makes_few_objects() -> None:
    objects = [LakeObject(f"a/{number:06}.json", number, NOW, '"e"') for number in range(20_000)]
    listing = Listing([obstore_batch(objects[:15_000]), obstore_batch(objects[15_000:])])
    before = _allocated(lambda: [listing.get(f"a/{number:06}.json") for number in (0, 7, 14_999, 15_000, 19_999)])
    assert before < 3_000_000  # all of them take 6 MB
    assert list(listing.values()) == objects


def test_going_through_a_listing_keeps_no_objects() -> None:
    objects = [LakeObject(f"a/{number:06}.json", number, NOW, '"e"') for number in range(20_000)]
    listing = Listing([obstore_batch(objects)])
    assert _allocated(lambda: sum(have.size for have in listing.values())) < 1_000_000
    assert _allocated(lambda: sum(len(key) for key in listing)) < 1_000_000
    assert listing.get("a/000003.json") == objects[3]


def _allocated(work: Any) -> int:
    """The most memory that work takes, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_of_any_unit(unit: str) -> None:
    have = LakeObject("a/1.json", 1, NOW.replace(microsecond=0), '"e"')
    assert list(Listing([obstore_batch([have], unit)]).values()) == [have]


def test_of_several_objects_under_one_key_the_last_counts() -> None:
    first, last = LakeObject("a/1.json", 1, NOW, "1"), LakeObject("a/1.json", 2, NOW, "2")
    assert Listing.of([first, last]) == {"a/1.json": last}
    assert repr(Listing.of([first])) == "<Listing of 1 objects>"


@given(listings(), st.lists(KEYS, unique=True), st.data())
def test_digests_tell_every_change_and_nothing_else(
    given: tuple[Listing, dict[str, LakeObject]], starts: list[str], data: st.DataObject
) -> None:
    listing, objects = given
    starts.sort()
    digests = listing.digests(starts)
    ends = [*starts[1:], None][: len(starts)]
    ranges = dict(zip(starts, ends, strict=True))
    full = {s for s, e in ranges.items() if any(s <= key and (e is None or key < e) for key in objects)}
    assert {start for start, digest in digests.items() if digest} == full
    assert Listing.of(objects.values()).digests(starts) == digests, "however it is sliced"
    if objects and starts:
        key = data.draw(st.sampled_from(sorted(objects)))
        have = objects[key]
        changes = [have._replace(size=have.size + 1), have._replace(etag=f"{have.etag}x")]
        changes.append(have._replace(modified=have.modified - timedelta(microseconds=1)))
        found = [Listing.of([*objects.values(), change]).digests(starts) for change in changes]
        found.append(Listing.of(one for one in objects.values() if one is not have).digests(starts))
        holder = max((start for start in starts if start <= key), default=None)
        assert all({s for s in starts if one[s] != digests[s]} == ({holder} - {None}) for one in found)
        assert len({one[holder] for one in found}) == len(found) if holder is not None else True


@given(listings(), st.integers(1, 4), KEYS, st.none() | KEYS)
def test_every_so_many_keys_a_range_is_cut(
    given: tuple[Listing, dict[str, LakeObject]], number: int, start: str, end: str | None
) -> None:
    listing, objects = given
    keys = sorted(key for key in objects if key >= start and (end is None or key < end))
    cuts = listing.every(number, start, end)
    assert cuts == [key for n, key in enumerate(keys) if n and n % number == 0 and len(keys) - n >= number]


def test_the_keys_of_a_folder_are_counted() -> None:
    """Whether the folder is a part of a slice or many slices, and whether its slices have become objects."""
    keys = sorted(f"{folder}/{n}" for folder in ("a-b", "a", "a/b", "b") for n in range(1700))
    listing = Listing([obstore_batch([LakeObject(key, 1, NOW, "") for key in keys])])
    assert listing["a/b/900"]
    del listing["a/b/901"]
    counts = {folder: listing.count_within(folder) for folder in ("a", "a-b", "a/b", "b", "a/c", "z", "")}
    assert counts == {"a": 3399, "a-b": 1700, "a/b": 1699, "b": 1700, "a/c": 0, "z": 0, "": 0}


@given(listings(), st.lists(KEYS, unique=True, max_size=8), st.data())
def test_of_a_key_that_was_not_listed_nothing_is_concluded(
    given: tuple[Listing, dict[str, LakeObject]], cuts: list[str], data: st.DataObject
) -> None:
    _, objects = given
    starts = sorted({"", *cuts})
    ranges = list(zip(starts, [*starts[1:], None], strict=True))
    chosen = [one for one in ranges if data.draw(st.booleans())]
    first = [one for one in chosen if data.draw(st.booleans())]
    listing = _listed(first, objects, data)
    listing.add(_listed([one for one in chosen if one not in first], objects, data))
    within = {key: objects[key] for key in sorted(objects) if _is_in(key, chosen)}
    assert list(listing.items()) == list(within.items())
    assert listing.is_whole == (chosen == ranges)
    assert listing.digests(starts) == {
        start: digest for start, digest in Listing.of(objects.values()).digests(starts).items() if start in dict(chosen)
    }
    for key in {*objects, *data.draw(st.lists(KEYS, max_size=5))}:
        assert listing.knows(key) == _is_in(key, chosen)
        if listing.knows(key):
            assert listing.get(key) == objects.get(key)
            continue
        for ask in (listing.get, listing.__getitem__, listing.__contains__, listing.__delitem__, listing.pop):
            with pytest.raises(NotListedError, match="in no range of keys that was listed"):
                ask(key)
        here = next(one for one in ranges if _is_in(key, [one]))
        with pytest.raises(NotListedError):
            listing.every(1, *here)
        listing.note([key], objects)
        assert listing.knows(key)
        assert listing.get(key) == objects.get(key)
        assert here[0] not in listing.digests(starts), "one key does not make a range"
        within |= {key: objects[key]} if key in objects else {}
    assert dict(listing) == within
    assert list(listing) == sorted(within)


def test_what_a_listing_knows_by_itself_can_be_set_and_removed() -> None:
    listing = Listing.of_ranges([("b", "c")])
    have = LakeObject("a", 1, NOW, "e")
    listing["a"] = have
    assert dict(listing) == {"a": have}
    listing.note(["a", "b1"], {})
    assert (listing.get("a"), listing.get("b1"), len(listing)) == (None, None, 0)
    assert not listing.knows("a\0")
    with pytest.raises(AssertionError, match="is known already"):
        listing.add(Listing.of_ranges([("b1", "d")]))


def _is_in(key: str, ranges: list[tuple[str, str | None]]) -> bool:
    return any(start <= key and (end is None or key < end) for start, end in ranges)


def _listed(ranges: list[tuple[str, str | None]], objects: dict[str, LakeObject], data: st.DataObject) -> Listing:
    """A listing of some ranges, of which each is in pages."""
    batches = []
    for one in ranges:
        rows = [objects[key] for key in sorted(objects) if _is_in(key, [one])]
        size = data.draw(st.integers(1, 5))
        batches += [obstore_batch(rows[start : start + size]) for start in range(0, len(rows), size)]
    return Listing.of_ranges(ranges, batches)


def test_many_objects_at_once_are_those_that_are_asked_for_one_by_one() -> None:
    objects = [LakeObject(f"a/{number:05}", number, NOW, f'"{MD5}"') for number in range(5000)]
    listing = Listing([obstore_batch(objects)], cuts=["a/00700", "a/01500", "a/01500\0", "b"])
    listing["a/00003"] = objects[3]._replace(size=7)
    keys = [f"a/{number:05}" for number in (0, 3, *range(1400, 1600), 4999, 5000)]
    assert listing.among(reversed(keys)) == {key: listing[key] for key in keys if key in listing}
    assert len(listing.among(keys)) == len(keys) - 1
    assert _allocated(lambda: listing.among(keys)) < 2_000_000
    whole, none = Listing([obstore_batch(objects)]), Listing.of_ranges([("a/1", None)])
    assert listing.digests(["a/00700"]) == whole.digests(["a/00700"])
    with pytest.raises(NotListedError):
        none.among(keys)
