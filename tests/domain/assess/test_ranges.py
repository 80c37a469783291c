"""Does every key lie in one range, and is every change of a listing found in the ranges it concerns?"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.assess.ranges import KeyRanges, changed, on_rotation

KEYS = st.text("ab/", min_size=1, max_size=4)


class Files:
    """Files of which only the keys are listed; the digest of a range is its keys."""

    def __init__(self, keys: Sequence[str]):
        self.keys = sorted(keys)

    def digests(self, starts: Sequence[str]) -> dict[str, str]:
        return {start: ",".join(key for key in self.keys if KeyRanges(starts).of(key) == start) for start in starts}

    def every(self, number: int, start: str, end: str | None) -> list[str]:
        keys = [key for key in self.keys if key >= start and (end is None or key < end)]
        return keys[number : len(keys) - number + 1 : number]


def test_a_range_has_all_keys_from_its_start_up_to_the_next() -> None:
    ranges = KeyRanges(["b/", "b/5"])
    assert [ranges.of(key) for key in ("a", "b", "b/", "b/4", "b/5", "b/6", "c")] == [
        "",
        "",
        "b/",
        "b/",
        "b/5",
        "b/5",
        "b/5",
    ]
    assert ranges.over(["c", "a", "b"]) == ["", "b/5"]
    assert ranges.over([]) == []


@given(starts=st.lists(KEYS), keys=st.lists(KEYS))
def test_the_ranges_over_some_keys_are_those_of_each(starts: list[str], keys: list[str]) -> None:
    ranges = KeyRanges(starts)
    assert ranges.over(keys) == sorted({ranges.of(key) for key in keys})


@given(keys=st.sets(KEYS), starts=st.lists(KEYS), size=st.integers(1, 4))
def test_ranges_are_cut_until_each_has_less_than_twice_the_size(keys: set[str], starts: list[str], size: int) -> None:
    listed, ranges = Files(list(keys)), KeyRanges(starts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.domain.assess.ranges.SIZE", size)
        cut = ranges.cut(ranges.starts, listed)
        assert ranges.cut([], listed).starts == ranges.starts
        assert cut.cut(cut.starts, listed).starts == cut.starts
    sizes = [sum(cut.of(key) == start for key in keys) for start in cut.starts]
    assert max(sizes) < 2 * size
    assert set(cut.starts) >= set(ranges.starts)


@given(before=st.sets(KEYS), now=st.sets(KEYS), starts=st.sets(KEYS), more=st.sets(KEYS))
def test_the_files_of_a_former_range_that_has_not_changed_are_listed_as_before(
    before: set[str], now: set[str], starts: set[str], more: set[str]
) -> None:
    former, ranges = KeyRanges(starts), KeyRanges([*starts, *more])
    digests: Mapping[str, str] = Files(list(before)).digests(former.starts)
    found = changed(digests, Files(list(now)).digests(ranges.starts))
    for key in before | now | more:
        if former.of(key) not in found:
            assert (key in before) == (key in now)


def test_without_former_digests_every_range_is_new() -> None:
    assert changed({}, {"": "", "a": "of a file"}) == {"", "a"}
    assert changed({"": "", "a": "of a file"}, {"": "", "a": "of a file"}) == set()


BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
INTERVAL = timedelta(minutes=15)


def test_ranges_are_named_with_their_ends() -> None:
    ranges = KeyRanges(["b/", "b/5"])
    assert ranges.spans(["b/5", "", "b/"]) == [("", "b/"), ("b/", "b/5"), ("b/5", None)]


@given(
    number=st.integers(1, 60),
    hours=st.integers(1, 48),
    waits=st.lists(st.integers(1, 4), max_size=60),  # looks that are skipped make some waits longer
    others=st.sets(st.integers(0, 59)),  # ranges that each look lists for other reasons
)
def test_each_range_is_listed_again_in_time_and_each_look_lists_about_as_many(
    number: int, hours: int, waits: list[int], others: set[int]
) -> None:
    every, now = timedelta(hours=hours), BEGIN
    verified: dict[str, datetime | None] = {f"{one:02}": BEGIN for one in range(number)}
    for wait in waits:
        now += wait * INTERVAL
        verified |= {start: now for one in others if (start := f"{one:02}") in verified}
        found = on_rotation(verified, every, now, now + INTERVAL, BEGIN)
        late = {start for start, at in verified.items() if at and at + every < now + INTERVAL}
        assert late <= set(found)
        share = wait * INTERVAL / (every - INTERVAL) if every > INTERVAL else 1
        assert len(found) <= share * number + 1 + len(late)
        verified |= dict.fromkeys(found, now)


def test_a_rotation_of_a_day_lists_a_96th_of_the_ranges_each_quarter_of_an_hour() -> None:
    every, now = timedelta(days=1), BEGIN
    verified: dict[str, datetime | None] = {f"{one:04}": BEGIN for one in range(960)}
    for _ in range(200):
        now += INTERVAL
        found = on_rotation(verified, every, now, now + INTERVAL, BEGIN)
        assert 10 <= len(found) <= 11
        verified |= dict.fromkeys(found, now)
    found = on_rotation(verified, every, now + 3 * INTERVAL, now + 4 * INTERVAL, BEGIN)
    assert 30 <= len(found) <= 32, "what skipped looks have not listed is caught up with"


def test_the_longest_unlisted_come_first() -> None:
    verified: dict[str, datetime | None] = {f"{hour:02}": BEGIN + timedelta(hours=hour) for hour in range(24)}
    now = BEGIN + timedelta(hours=24)
    assert on_rotation(verified, timedelta(days=1), now, now, BEGIN) == ["00"]
    assert on_rotation(verified, timedelta(days=1), now, now + INTERVAL, BEGIN) == ["00"]
    now += timedelta(hours=2)
    assert on_rotation(verified, timedelta(days=1), now, now, BEGIN) == ["00", "01", "02"]


@pytest.mark.parametrize(
    "wrong",
    [None, BEGIN - timedelta(seconds=1), BEGIN + timedelta(days=2)],
    ids=["unknown", "before-the-watch", "ahead"],
)
def test_a_range_without_a_time_that_counts_is_listed(wrong: datetime | None) -> None:
    verified = {"a": BEGIN + timedelta(hours=5), "b": wrong, "c": BEGIN + timedelta(hours=5)}
    now = BEGIN + timedelta(hours=6)
    assert on_rotation(verified, timedelta(days=7), now, now + INTERVAL, BEGIN) == ["b"]
