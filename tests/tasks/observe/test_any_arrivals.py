"""Does a watch end in what a listing with an empty ledger finds, whatever its messages tell, in whatever order?

Objects are stored, replaced and removed at random. Their messages come over S3's own route or over EventBridge, twice,
late or never, as the known servers number them.
"""

import asyncio
import hashlib
import json
import random
import shutil
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.models import Collect
from tasks.domain.assess import states
from tasks.domain.assess.states import Content, Examination, LakeObject, State
from tasks.domain.assess.verdicts import whole
from tasks.domain.errors import NoObjectError
from tasks.domain.expected.cells import Selection
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord
from tasks.ledger.fills import FillEnd
from tasks.observe.listing import check_ids
from tasks.observe.look import Look, Reader, look_at_lake
from tasks.observe.session import Session
from tasks.observe.watcher import Watcher
from tests.builders import a_config
from tests.tasks.observe.test_held import Shelf

NOW = datetime(2026, 1, 16, 12, tzinfo=UTC)
DAYS = [date(2026, 1, 10) + timedelta(days=n) for n in range(3)]
GAMES = ("401810001", "401810002")
WITH_GAMES, *OTHERS = [f"espn_schedules/{day:%Y%m%d}.json" for day in DAYS]
FILES = [f"{folder}/{game}.json" for folder in ("espn_box_scores", "espn_team_stats") for game in GAMES]
_ALL = a_config()
_DATASETS = {
    name: _ALL.datasets[name].model_copy(update={"first_season": "2025-26"})
    for name in ("espn_scoreboard", "espn_summary")
}
CONFIG = _ALL.model_copy(update={"datasets": _DATASETS, "collect": Collect(since=DAYS[0])})
CHECKS = check_ids(CONFIG)
_IN_TIME = timedelta(minutes=15)


class Numbering(StrEnum):
    """How a server numbers the changes of a key."""

    AWS = "in order, on both routes"
    SOME = "in order, but not all of them"
    EQUAL = "each with the same number"
    MOTO = "none on S3's own route, and each with the same number on EventBridge"
    MINIO = "in no order"


class Change(NamedTuple):
    """A change of a bucket, and its messages."""

    key: str
    number: int
    at: datetime
    messages: list[str]


class Bucket(Shelf):
    """A bucket in memory that makes messages of its changes. It may keep versions."""

    def __init__(self, chance: random.Random):
        super().__init__()
        self.chance = chance
        self.now = NOW
        self.keeps_versions = chance.random() < 0.5
        self.numbering = chance.choice(list(Numbering))
        self.versions: dict[str, list[tuple[str, bytes | None, datetime]]] = {}  # the newest last; None: delete markers
        self.changes = 0
        self.unseen = 0  # removals of current versions, which change nothing if their ids are not known

    @property
    def bucket(self) -> tuple[str, str]:
        return "lake", ""

    async def find_all(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        return {key: self.objects[key] for key in keys if key in self.objects}

    async def get(self, key: str) -> tuple[bytes, LakeObject]:
        if key not in self.objects:
            raise NoObjectError(key)
        body = self.versions[key][-1][1]
        assert body is not None
        return body, self.objects[key]

    def put(self, key: str, body: bytes) -> Change:
        """Stores an object."""
        return self._change(key, body, "ObjectCreated:Put", "Object Created", "")

    def remove(self, key: str) -> Change:
        """Removes an object, or hides its versions behind a delete marker."""
        name, kind = ("DeleteMarkerCreated", "Delete Marker Created") if self.keeps_versions else ("Delete", "")
        return self._change(key, None, f"ObjectRemoved:{name}", "Object Deleted", kind or "Permanently Deleted")

    def remove_version(self, key: str, place: int) -> Change:
        """Removes a version for good. Without the last one, the one before it is the current one again."""
        self.unseen += place == len(self.versions[key]) - 1
        id, _, _ = self.versions[key].pop(place)
        self._show(key)
        return self._told(key, None, "ObjectRemoved:Delete", "Object Deleted", "Permanently Deleted", id)

    def _change(self, key: str, body: bytes | None, name: str, detail: str, kind: str) -> Change:
        id = f"v{self.changes + 1}" if self.keeps_versions else ""
        before = self.versions.get(key, []) if self.keeps_versions else []
        self.versions[key] = [*before, (id, body, self.now)]
        self._show(key)
        return self._told(key, body, name, detail, kind, id)

    def _show(self, key: str) -> None:
        """Lists the newest version of an object, as S3 does: its time has no fractions of a second."""
        self.objects.pop(key, None)
        if (versions := self.versions[key]) and (body := versions[-1][1]) is not None:
            have = content_of(body)
            self.objects[key] = LakeObject(key, have.size, versions[-1][2].replace(microsecond=0), have.etag)

    def _told(self, key: str, body: bytes | None, name: str, detail: str, kind: str, id: str) -> Change:
        self.changes += 1
        have = content_of(body) if body is not None else None
        direct, bridged = self._numbers()
        at = self.now.isoformat()
        thing: dict[str, Any] = {"key": key, "sequencer": direct, "versionId": id}
        source = "minio:s3" if self.numbering is Numbering.MINIO else "aws:s3"
        record = {"eventSource": source, "eventTime": at, "eventName": name}
        record |= {"s3": {"bucket": {"name": "lake"}, "object": thing | _named(have, "eTag")}}
        thing = {"key": key, "sequencer": bridged, "version-id": id} | _named(have, "etag")
        event = {"source": "aws.s3", "detail-type": detail, "time": at}
        event |= {"detail": {"bucket": {"name": "lake"}, "object": thing, "deletion-type": kind}}
        both = [json.dumps({"Records": [record]}), json.dumps(event)]
        return Change(key, self.changes, self.now, self.chance.choice((both[:1], both[1:], both)))

    def _numbers(self) -> tuple[str, str]:
        """The sequencers of the next change in its messages of both routes."""
        ordered = f"{self.changes:04x}" + "5A0"[: self.chance.randrange(4)]
        if self.numbering is Numbering.MOTO:
            return "", "AB"
        if self.numbering is Numbering.EQUAL:
            return "AB", "AB"
        if self.numbering is Numbering.MINIO:
            return f"{self.chance.randrange(256):X}", ""
        if self.numbering is Numbering.SOME and self.chance.random() < 0.5:
            return "", ""
        return ordered, ordered


def content_of(body: bytes) -> Content:
    return Content(f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"', len(body))


def _named(have: Content | None, etag: str) -> dict[str, Any]:
    return {"size": have.size, etag: have.etag.strip('"')} if have else {}


def body_of(key: str, number: int) -> bytes:
    """A body that no other change has: a scoreboard, or what is none."""
    games = GAMES if key == WITH_GAMES else ()
    day = f"{DAYS[0]}T23:00Z"
    final = {"type": {"state": "post", "completed": True}}
    events = [{"id": game, "date": day, "status": final} for game in games]
    if number % 5 == 4:
        return f"<html>{number}</html>".encode().ljust(2000)
    return json.dumps({"events": events, "number": number}).encode().ljust(2000)


class _At(Session):
    """A session at the time of its bucket."""

    def now(self) -> datetime:
        assert isinstance(self.lake, Bucket)
        return self.lake.now


class Life:
    """A bucket, a watch of it, and which of its changes no event has told."""

    def __init__(self, chance: random.Random, ledger: Ledger):
        self.chance, self.ledger = chance, ledger
        self.bucket = Bucket(chance)
        self.waiting: list[tuple[Change, str]] = []
        self.last: dict[str, int] = {}  # the number of the last change of each key
        self.untold: set[str] = set()  # the keys of whose last change no event has told
        self.missed = 0  # changes that have to be counted
        self.not_in_time: set[int] = set()  # changes of which no event has told within 15 minutes
        for key in (WITH_GAMES, *OTHERS[:1], *FILES[:1]):
            self.bucket.put(key, body_of(key, 0))
        self.bucket.now += timedelta(minutes=1)
        self.watcher = self._watcher()
        ledger.announcements.progressed(self.bucket.now)
        if chance.random() < 0.8:
            self.look()

    def _watcher(self) -> Watcher:
        return Watcher(_At(CONFIG, Selection(), self.bucket, self.ledger, begun=self.bucket.now))

    def wait(self, **time: float) -> None:
        self.bucket.now += timedelta(**time)

    def changed(self, change: Change) -> None:
        """Sends the messages of a change, or loses them."""
        self.last[change.key] = change.number
        self.untold.add(change.key)
        self.not_in_time.add(change.number)
        sent = [(change, message) for message in change.messages if self.chance.random() < 0.8]
        self.waiting += sent * self.chance.choice((1, 1, 2))

    def noncurrent(self, change: Change) -> None:
        """Sends the messages of a change that the lake does not show."""
        self.waiting += [(change, message) for message in change.messages]

    def tell(self, some: list[tuple[Change, str]]) -> None:
        """Lets the watch take messages."""

        async def take() -> None:
            await self.watcher.take([message for _, message in some])
            if self.chance.random() < 0.7:
                await self.watcher.follow()

        asyncio.run(take())
        self.not_in_time -= {change.number for change, _ in some if self.bucket.now - change.at <= _IN_TIME}
        # One removal tells of another: the watch does not know of which version.
        self.untold -= {
            change.key
            for change, _ in some
            if change.number == self.last.get(change.key)
            or (change.key not in self.bucket.objects and change.number > self.last.get(change.key, 0))
        }

    def tell_of(self, change: Change) -> None:
        self.tell([(change, message) for message in change.messages])

    def tell_some(self) -> None:
        """Lets a few messages come, in any order."""
        while self.waiting and self.chance.random() < 0.5:
            count = min(len(self.waiting), self.chance.randrange(1, 5))
            self.tell([self.waiting.pop(self.chance.randrange(len(self.waiting))) for _ in range(count)])

    def tell_all(self) -> None:
        self.chance.shuffle(self.waiting)
        self.tell(self.waiting)
        self.waiting = []

    def look(self, ledger: Ledger | None = None) -> Look:
        session = _At(CONFIG, Selection(), self.bucket, ledger or self.ledger, begun=self.bucket.now)
        return asyncio.run(look_at_lake(session, Reader(session), remember=True))

    def count(self) -> None:
        """Waits until what no event has told counts as missed."""
        self.look()
        self.wait(hours=1)
        self.look()
        self.missed += len(self.untold)
        self.untold.clear()

    def counted(self) -> int:
        return sum(self.ledger.announcements.missed(DAYS[0]).values())

    def store(self) -> None:
        """Has ADCE itself store a file."""
        key = self.chance.choice(OTHERS)
        body = body_of(key, 5 * self.bucket.changes)
        self.changed(self.bucket.put(key, body))
        self.untold.discard(key)
        now, objects = self.bucket.now, {key: self.bucket.objects[key]}
        seen = {key: Examination(*content_of(body), CHECKS["espn_scoreboard"], whole(), now)}
        fill = FillRecord("f", "r", "espn", "espn_scoreboard", "missing", "HIGH", 1.0, now)
        self.ledger.fills.record(FillEnd(fill, now, [FileOutcome(key, Outcome.STORED)], seen, objects))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a ledger in which nothing is recorded. To copy it is faster than to make one."""
    file = tmp_path_factory.mktemp("empty") / "ledger.db"
    Ledger(f"sqlite:///{file}").close()
    return file


def _copy(empty: Path, name: str) -> Ledger:
    return Ledger(f"sqlite:///{shutil.copy(empty, empty.with_name(name))}")


@settings(max_examples=12)  # each takes a sixth of a second
@given(st.integers(0, 2**32))
def test_each_last_change_that_no_event_has_told_is_counted_and_no_other(empty: Path, seed: int) -> None:
    chance = random.Random(seed)
    with closing(_copy(empty, "counted.db")) as ledger:
        life = Life(chance, ledger)
        for _ in range(chance.randrange(1, 12)):
            life.wait(seconds=chance.choice((1, 1.5, 70)))
            key = chance.choice(OTHERS + FILES)
            bucket = life.bucket
            if (key in bucket.objects) != (key in ledger.objects.known()):
                continue  # what comes and goes, or goes and comes, before anybody sees it leaves nothing to be found
            if key in bucket.objects and len(bucket.versions[key]) > 1 and chance.random() < 0.2:
                life.noncurrent(bucket.remove_version(key, 0))
            elif key in bucket.objects and chance.random() < 0.4:
                life.changed(bucket.remove(key))
            elif chance.random() < 0.2:
                life.store()
            else:
                life.changed(bucket.put(key, body_of(key, bucket.changes)))
            life.tell_some()
            if chance.random() < 0.2:
                life.look()
            if chance.random() < 0.1:
                life.count()
        life.tell_all()
        life.count()
        assert life.counted() == life.missed
        assert _contents(ledger.objects.known()) == _contents(life.bucket.objects)


@settings(max_examples=12)  # each takes a sixth of a second
@given(st.integers(0, 2**32))
def test_a_watch_ends_in_the_states_that_a_listing_with_an_empty_ledger_finds(empty: Path, seed: int) -> None:
    chance = random.Random(seed)
    with closing(_copy(empty, "watched.db")) as ledger, closing(_copy(empty, "fresh.db")) as fresh:
        life = Life(chance, ledger)
        bucket, bodies = life.bucket, {}
        for _ in range(chance.randrange(1, 16)):
            life.wait(seconds=chance.choice((0, 0.4, 1, 70, 150, 1200)))
            key = chance.choice([WITH_GAMES, *OTHERS, *FILES])
            what = chance.random()
            if what < 0.2 and bucket.keeps_versions and bucket.versions.get(key):
                life.changed(bucket.remove_version(key, chance.randrange(len(bucket.versions[key]))))
            elif what < 0.4:
                life.changed(bucket.remove(key))
            elif what < 0.5:
                life.store()
            else:
                again = bodies.get(key) if chance.random() < 0.3 else None
                bodies[key] = again or body_of(key, bucket.changes)
                life.changed(bucket.put(key, bodies[key]))
            life.tell_some()
            if chance.random() < 0.1:
                life.watcher = life._watcher()
            if chance.random() < 0.1:
                life.look()
        if chance.random() < 0.5:
            life.tell_all()
        found, expected = life.look(), life.look(fresh)
        assert _states(found) == _states(expected)
        if not life.waiting:
            life.count()
            assert life.counted() <= len(life.not_in_time) + bucket.unseen


def test_a_removal_after_which_a_former_version_is_the_current_one_again_is_told_by_its_event(empty: Path) -> None:
    with closing(_copy(empty, "former.db")) as ledger:
        life = Life(random.Random(0), ledger)
        bucket, key = life.bucket, OTHERS[1]
        bucket.keeps_versions, bucket.numbering = True, Numbering.AWS
        for number in (1, 2):
            life.wait(minutes=5)
            life.tell_of(bucket.put(key, body_of(key, number)))
        life.wait(minutes=5)
        life.tell_of(bucket.remove_version(key, 1))
        assert ledger.objects.known()[key].etag == content_of(body_of(key, 1)).etag
        life.count()
        assert life.counted() == 0
        bucket.remove(key)
        life.count()
        bucket.remove_version(key, 1)
        life.count()
        assert life.counted() == 2, "nobody has told of the marker, and of its removal"


@pytest.mark.parametrize(("told", "missed"), [((0,), 1), ((0, 2), 0)])
def test_a_schedule_that_was_replaced_before_it_is_read_is_counted_unless_an_event_tells_of_it(
    empty: Path, told: tuple[int, ...], missed: int
) -> None:
    with closing(_copy(empty, "replaced.db")) as ledger:
        life = Life(random.Random(0), ledger)
        bucket, key, changes = life.bucket, OTHERS[1], []
        bucket.numbering = Numbering.AWS
        for number in range(3):
            life.wait(minutes=5)
            changes.append(bucket.put(key, body_of(key, number)))
        for number in told:
            life.tell_of(changes[number])
        life.count()
        assert life.counted() == missed


def _contents(objects: dict[str, LakeObject]) -> dict[str, Content]:
    return {key: states.content_of(have) for key, have in objects.items()}


def _states(look: Look) -> tuple[dict[str, State], dict[str, int]]:
    return {key: status.state for key, status in look.overview.statuses.items()}, look.overview.totals
