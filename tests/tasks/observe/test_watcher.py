"""What does a watch record of messages?"""

import asyncio
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Collect
from tasks.domain.arrivals import LastChange, parse
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.assess.states import Content, Examination, LakeObject, LearntBy
from tasks.domain.assess.verdicts import whole
from tasks.domain.errors import HeadRefusedError, LakeError, LedgerError, NoObjectError, Reach
from tasks.domain.expected.cells import Selection
from tasks.domain.metrics import EVENTS, SEEN_TO_VANISHED, SUM, series_of
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord
from tasks.ledger.fills import FillEnd
from tasks.ledger.totals import Totals
from tasks.observe.listing import check_ids
from tasks.observe.look import Reader, look_at_lake, objects_of
from tasks.observe.session import Session
from tasks.observe.watcher import Fate, Watcher
from tests.builders import a_config
from tests.tasks.observe.test_held import Shelf

DAYS = [date(2026, 1, 10) + timedelta(days=n) for n in range(2)]
KEYS = [f"espn_schedules/{day:%Y%m%d}.json" for day in DAYS]
NOW = datetime(2026, 1, 16, 12, tzinfo=UTC)
_ALL = a_config()
CONFIG = _ALL.model_copy(
    update={
        "datasets": {
            "espn_scoreboard": _ALL.datasets["espn_scoreboard"].model_copy(update={"first_season": "2025-26"})
        },
        "collect": Collect(),
    }
)


class Bucket(Shelf):
    """A bucket in memory."""

    @property
    def bucket(self) -> tuple[str, str]:
        return "lake", ""

    async def find_all(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        return {key: self.objects[key] for key in keys if key in self.objects}

    def change(self, key: str, content: Content | None, at: datetime, sequencer: str) -> str:
        """Stores an object or removes it, and returns the message of that."""
        if content is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = LakeObject(key, content.size, at, content.etag)
        thing = {"key": key, "sequencer": sequencer} | ({"size": content.size, "eTag": content.etag} if content else {})
        name = "ObjectCreated:Put" if content else "ObjectRemoved:Delete"
        record = {"eventSource": "aws:s3", "eventTime": at.isoformat(), "eventName": name}
        return json.dumps({"Records": [record | {"s3": {"bucket": {"name": "lake"}, "object": thing}}]})


class Refusing(Bucket):
    """A bucket that refuses to tell of some keys, or if it is `shut`, of any. It may be listed all the same."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused, self.shut = set(refused), False

    async def find_all(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        found, refused = await self.find_each(keys)
        for error in refused.values():
            raise error
        return found

    async def find_each(self, keys: Iterable[str]) -> tuple[dict[str, LakeObject], dict[str, HeadRefusedError]]:
        keys = set(keys)
        refused = keys if self.shut else keys & self.refused
        errors = {key: HeadRefusedError("403", Reach.KEY, f"{key} is refused") for key in refused}
        return await super().find_all(keys - refused), errors

    async def get(self, key: str) -> tuple[bytes, LakeObject]:
        raise LakeError("shut") if self.shut else NoObjectError(key)


def _take(ledger: Ledger, lake: Bucket, now: datetime, messages: list[str]) -> list[Fate]:
    session = Session(CONFIG, Selection(), lake, ledger, now, begun=now)
    watcher = Watcher(session)

    async def take() -> list[Fate]:
        taken = await watcher.take(messages)
        await watcher.follow()
        return taken.fates

    return asyncio.run(take())


def _look(ledger: Ledger, lake: Bucket, now: datetime) -> None:
    session = Session(CONFIG, Selection(), lake, ledger, now, begun=now)
    asyncio.run(look_at_lake(session, Reader(session, 0), remember=True))


def test_what_another_watcher_records_meanwhile_is_not_overwritten_by_what_was_decided_before(tmp_path: Path) -> None:
    ledger, lake, key, now = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Bucket(), KEYS[0], NOW
    _take(ledger, lake, now, [lake.change(key, Content('"first"', 10), now, "")])
    message = lake.change(key, Content('"second"', 20), now, "")
    asked: list[str] = []

    async def find_all(keys: Iterable[str]) -> dict[str, LakeObject]:
        asked.extend(keys)
        have = dict(lake.objects)
        if len(asked) == 1:  # the answer is on its way while the object is stored again, and the other hears of that
            lake.change(key, Content('"third"', 30), now, "")
            ledger.arrivals.record({key: LastChange(Content('"third"', 30), now)}, now, LearntBy.EVENT)
        return have

    lake.find_all = find_all  # type: ignore[method-assign]
    _take(ledger, lake, now, [message])
    assert asked == [key, key]
    assert ledger.objects.known() == lake.objects


def test_an_archived_file_is_recorded_as_unreadable_until_it_is_delivered_again(tmp_path: Path) -> None:
    ledger, lake, key = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Bucket(), KEYS[0]
    content = Content('"first"', 100_000)
    _take(ledger, lake, NOW, [lake.change(key, content, NOW, "0A")])

    def moved(where: str) -> str:
        thing = {"key": key, "size": content.size, "etag": "first"}
        detail = {"bucket": {"name": "lake"}, "object": thing, "destination-storage-class": where}
        event = {"source": "aws.s3", "detail-type": "Object Storage Class Changed", "time": NOW.isoformat()}
        return json.dumps(event | {"detail": detail})

    _look(ledger, lake, NOW)
    lacking = ledger.gaps.first_seen()
    assert _take(ledger, lake, NOW, [moved("GLACIER")]) == [Fate.APPLIED]
    assert ledger.objects.unreadable()[key].content == content
    assert ledger.gaps.first_seen() == lacking, "it is there, though it cannot be read"
    assert _take(ledger, lake, NOW, [moved("STANDARD")]) == [Fate.APPLIED]
    assert ledger.objects.unreadable() == {}


def test_the_event_of_a_file_that_adce_has_stored_is_told_and_awaited_no_more(tmp_path: Path) -> None:
    ledger, lake, key = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Bucket(), KEYS[0]
    ledger.announcements.progressed(NOW)
    message = lake.change(key, Content('"own"', 100_000), NOW, "0A")
    fill = FillRecord("f", "r", "espn", "espn_scoreboard", "missing", "HIGH", 1.0, NOW)
    found = {key: Examination('"own"', 100_000, "c", whole(), NOW)}
    ledger.fills.record(FillEnd(fill, NOW, [FileOutcome(key, Outcome.STORED)], found, lake.objects))
    assert ledger.announcements.last_awaited(NOW, [NOW]) == [NOW]
    watcher = Watcher(Session(CONFIG, Selection(), lake, ledger, NOW, begun=NOW))
    taken = asyncio.run(watcher.take([message]))
    assert (taken.fates, taken.returned) == ([Fate.OWN], NOW)
    assert ledger.announcements.last_awaited(NOW, [NOW]) == []


def test_a_message_of_another_bucket_is_known_whatever_it_tells_and_one_of_several_objects_counts_once(
    tmp_path: Path,
) -> None:
    ledger, lake = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Bucket()
    known, new = (json.loads(lake.change(key, Content('"v"', 100_000), NOW, "0A")) for key in KEYS[:2])
    other = json.loads(json.dumps(known).replace('"lake"', '"another"'))
    tags = json.loads(json.dumps(known).replace("ObjectCreated:Put", "ObjectTagging:Put"))
    notes = json.loads(json.dumps(known).replace(KEYS[0], "notes.txt"))

    def of(*messages: Any) -> str:
        return json.dumps({"Records": [record for message in messages for record in message["Records"]]})

    told = [
        json.dumps({"Event": "s3:TestEvent", "Bucket": "another"}),
        of(other).replace("ObjectCreated:Put", "ObjectTagging:Put"),
        of(other),
        of(notes, other),
        json.dumps({"Event": "s3:TestEvent", "Bucket": "lake"}),
        of(tags, notes),
        of(new, known, other),
        of(notes, known),
    ]
    watcher = Watcher(Session(CONFIG, Selection(), lake, ledger, NOW, begun=NOW))
    asyncio.run(watcher.take([of(known)]))
    taken = asyncio.run(watcher.take(told))
    assert taken.fates == [
        *[Fate.FOREIGN] * 4,
        *[Fate.ALREADY_KNOWN] * 2,
        Fate.APPLIED,
        Fate.ALREADY_KNOWN,
    ]
    assert taken.elsewhere == dict.fromkeys(range(3), "another")
    assert ledger.totals.current() == {
        series_of(EVENTS, fate="foreign"): 4,
        series_of(EVENTS, fate="already_known"): 3,
        series_of(EVENTS, fate="applied"): 2,
    }


def test_messages_are_counted_with_what_they_tell_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, lake = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Bucket()
    messages = [lake.change(key, Content('"v"', 100_000), NOW, "0A") for key in KEYS]
    watcher = Watcher(Session(CONFIG, Selection(), lake, ledger, NOW, begun=NOW))
    add = Totals.add

    def killed(totals: Totals, *rest: Any) -> None:
        add(totals, *rest)
        raise LedgerError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(Totals, "add", killed)
        with pytest.raises(LedgerError, match="killed"):
            asyncio.run(watcher.take(messages))
    assert (ledger.totals.current(), ledger.objects.known()) == ({}, {})
    asyncio.run(watcher.take(messages))
    assert ledger.totals.current() == {series_of(EVENTS, fate="applied"): 2}


@pytest.mark.parametrize("is_told", [False, True], ids=["a look finds it", "an event tells"])
@pytest.mark.parametrize("fetched", [False, True], ids=["seen by a look", "fetched since"])
def test_it_is_measured_how_long_after_it_was_last_seen_a_file_is_known_to_have_vanished(
    tmp_path: Path, is_told: bool, fetched: bool
) -> None:
    ledger, lake, key, hour = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Bucket(), KEYS[0], timedelta(hours=1)
    lake.change(key, Content('"own"', 100_000), NOW - 9 * hour, "0A")
    check = check_ids(CONFIG)["espn_scoreboard"]
    at = NOW - hour / 2 if fetched else NOW - 9 * hour
    ledger.objects.record({key: Examination('"own"', 100_000, check, whole(), at)})
    _look(ledger, lake, NOW - hour)
    look = RecordedLook(NOW - hour, NOW - hour, None, "r", "", 0, 0, 0, {}, {}, (), {}, {})
    ledger.looks.record(look)
    message = lake.change(key, None, NOW, "0B")
    before = ledger.totals.current()
    for _ in range(2):
        if is_told:
            _take(ledger, lake, NOW, [message])
        _look(ledger, lake, NOW)
    sums = ledger.totals.current()
    found = [s for s in sums.keys() - before.keys() if s.name == SEEN_TO_VANISHED.name and s.bucket == SUM]
    assert [sums[series] for series in found] == [1800 if fetched else 3600]


def test_an_event_from_the_future_is_taken_to_be_of_now(tmp_path: Path) -> None:
    ledger, lake, key = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Bucket(), KEYS[0]
    message = lake.change(key, Content('"first"', 100_000), NOW.replace(year=2100), "0A")
    assert _take(ledger, lake, NOW, [message]) == [Fate.APPLIED]
    modified = ledger.objects.last([key])[key].change.modified
    assert modified is not None
    assert modified < NOW.replace(year=2099)


_NOT_STORED = ["\ud800", "a\0"]  # no database stores the first, and PostgreSQL not the second
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The paths to all values in a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*path, name)
        yield from _places(one, *path, name)


@st.composite
def _altered(draw: st.DrawFn) -> str:
    """A message of S3 with any value in any place."""
    thing = {"key": KEYS[0], "size": 10, "eTag": "a", "etag": "a", "versionId": "v", "version-id": "v"}
    about = {"bucket": {"name": "lake"}, "object": thing | {"sequencer": "0A"}}
    record = {"eventSource": "aws:s3", "eventTime": NOW.isoformat(), "eventName": "ObjectCreated:Put", "s3": about}
    event = {"source": "aws.s3", "detail-type": "Object Deleted", "time": NOW.isoformat(), "detail": about}
    message = json.loads(json.dumps(draw(st.sampled_from([{"Records": [record]}, event]))))
    *path, name = draw(st.sampled_from(list(_places(message))))
    reduce(getitem, path, message)[name] = draw(st.sampled_from(_NOT_STORED) | _JSON)
    return json.dumps(message)


@pytest.fixture(scope="module")
def altered_ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path_factory.mktemp('altered') / 'ledger.db'}")


@given(messages=st.lists(_altered(), min_size=1, max_size=5))
def test_a_message_with_any_value_anywhere_is_recorded_or_refused_in_one_line(
    altered_ledger: Ledger, messages: list[str]
) -> None:
    altered_ledger.forget_lake()
    session = Session(CONFIG, Selection(), Bucket(), altered_ledger, NOW, begun=NOW)
    errors = asyncio.run(Watcher(session).take(messages)).errors.values()
    assert not any("\n" in text or text.startswith("ADCE fails") for text in errors)


def test_a_message_at_which_anything_unforeseen_fails_is_unreadable_and_the_others_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, lake = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Bucket()
    first, third = (lake.change(key, Content('"first"', 100_000), NOW, "0A") for key in KEYS[:2])
    monkeypatch.setattr("tasks.observe.watcher.parse", lambda body: parse(body) if body != "second" else 1 / 0)
    watcher = Watcher(Session(CONFIG, Selection(), lake, ledger, NOW, begun=NOW))
    taken = asyncio.run(watcher.take([first, "second", third]))
    assert taken.fates == [Fate.APPLIED, Fate.UNREADABLE, Fate.APPLIED]
    assert taken.errors == {1: "ADCE fails at it: ZeroDivisionError('division by zero')"}
    assert ledger.objects.known() == lake.objects


def test_a_file_of_which_alone_the_lake_refuses_to_tell_costs_no_other_and_is_judged_by_a_listing(
    tmp_path: Path,
) -> None:
    ledger, lake = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Refusing(KEYS[0])
    watcher = Watcher(Session(CONFIG, Selection(), lake, ledger, NOW, begun=NOW))
    removed = [lake.change(key, None, NOW, "") for key in KEYS]  # so that the lake is asked
    both = json.dumps({"Records": [json.loads(one)["Records"][0] for one in removed]})
    for key in KEYS:
        lake.change(key, Content('"first"', 100_000), NOW, "")
    taken = asyncio.run(watcher.take([*removed, both]))
    assert taken.fates == [Fate.UNREADABLE, Fate.APPLIED, Fate.UNREADABLE]
    assert (taken.errors, taken.refused) == (dict.fromkeys((0, 2), f"{KEYS[0]} is refused"), {0, 2})
    assert ledger.objects.known().keys() == {KEYS[1]}
    cells = watcher._expected.cells(KEYS)
    assert asyncio.run(objects_of(watcher._session, cells)) == lake.objects, "its folder is listed"
    lake.shut = True
    with pytest.raises(LakeError, match="shut"):
        asyncio.run(watcher.take([both]))
    lake.shut, lake.refused = False, set()
    assert asyncio.run(watcher.take([both, removed[0]])).fates == [Fate.APPLIED, Fate.ALREADY_KNOWN]
    assert ledger.objects.known() == lake.objects
