"""What a message says, and what follows from it."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.arrivals import (
    UNKNOWN,
    Effect,
    Event,
    EventType,
    LastChange,
    MessageError,
    after,
    consequence,
    parse,
)
from tasks.domain.assess.states import Content

AT = datetime(2026, 1, 15, 6, 0, 0, tzinfo=UTC)
A, B = Content('"a"', 10), Content('"b"', 20)


def record(name: str = "ObjectCreated:Put", **changes: Any) -> dict[str, Any]:
    """A record of an S3 notification with some fields of its object changed; None leaves a field out."""
    thing = {"key": "espn/a.json", "size": 10, "eTag": "a", "sequencer": "0A"} | changes
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-01-15T06:00:00.000Z",
        "eventName": name,
        "s3": {"bucket": {"name": "lake"}, "object": {k: v for k, v in thing.items() if v is not None}},
    }


def notification(*args: Any, **changes: Any) -> str:
    return json.dumps({"Records": [record(*args, **changes)]})


def bridged(name: str = "Object Created", detail: dict[str, Any] | None = None, **changes: Any) -> str:
    """An event of EventBridge with some fields of its object and its detail changed."""
    thing = {"key": "espn/a.json", "size": 10, "etag": "a", "sequencer": "0A"} | changes
    return json.dumps(
        {
            "version": "0",
            "detail-type": name,
            "source": "aws.s3",
            "time": "2026-01-15T06:00:00Z",
            "detail": {
                "bucket": {"name": "lake"},
                "object": {k: v for k, v in thing.items() if v is not None},
                **(detail or {}),
            },
        }
    )


CREATED = Event("lake", "espn/a.json", EventType.CREATED, AT, A, "", "0A")
REMOVED = CREATED._replace(type=EventType.REMOVED, content=None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(notification(), CREATED, id="S3's direct route"),
        pytest.param(bridged(), CREATED, id="EventBridge"),
        pytest.param(json.dumps({"Type": "Notification", "Message": notification()}), CREATED, id="SNS"),
        pytest.param(notification(eTag='"a"'), CREATED, id="an ETag in quotes"),
        pytest.param(notification("s3:ObjectCreated:CompleteMultipartUpload"), CREATED, id="MinIO's name of an event"),
        pytest.param(notification(key="a+b%2Bc/%C3%A9"), CREATED._replace(key="a b+c/é"), id="an encoded key"),
        pytest.param(bridged(key="a+b%2Bc"), CREATED._replace(key="a+b%2Bc"), id="EventBridge does not encode"),
        pytest.param(notification(key="a%0A%F0%9F%8F%80"), CREATED._replace(key="a\n🏀"), id="a line break in a key"),
        pytest.param(notification(sequencer="0b1c"), CREATED._replace(sequencer="0B1C"), id="lower case"),
        pytest.param(notification(sequencer=None), CREATED._replace(sequencer=""), id="no sequencer"),
        pytest.param(notification(sequencer="later"), CREATED._replace(sequencer=""), id="no number"),
        pytest.param(notification(versionId="v1"), CREATED._replace(version="v1"), id="a version"),
        pytest.param(notification(versionId="null"), CREATED, id="the version of an object without one"),
        pytest.param(notification(size=None), CREATED._replace(content=None), id="no size"),
        pytest.param(notification("ObjectRemoved:Delete", size=None, eTag=None), REMOVED, id="a removal"),
        pytest.param(
            notification("ObjectRemoved:Delete", size=None, eTag=None, versionId="v1"),
            REMOVED._replace(type=EventType.VERSION_REMOVED, version="v1"),
            id="the removal of a version",
        ),
        pytest.param(
            notification("ObjectRemoved:DeleteMarkerCreated", size=None, versionId="m1"),
            REMOVED._replace(version="m1"),
            id="a delete marker",
        ),
        pytest.param(
            bridged("Object Deleted", {"deletion-type": "Permanently Deleted"}, size=None, **{"version-id": "v1"}),
            REMOVED._replace(type=EventType.VERSION_REMOVED, version="v1"),
            id="EventBridge: the removal of a version",
        ),
        pytest.param(
            bridged("Object Deleted", {"deletion-type": "Delete Marker Created"}, size=None, **{"version-id": "m1"}),
            REMOVED._replace(version="m1"),
            id="EventBridge: a delete marker",
        ),
        pytest.param(
            bridged("Object Storage Class Changed", {"destination-storage-class": "GLACIER"}),
            CREATED._replace(type=EventType.ARCHIVED),
            id="archived",
        ),
        pytest.param(
            bridged("Object Storage Class Changed", {"destination-storage-class": "GLACIER_IR"}),
            CREATED._replace(type=EventType.RESTORED),
            id="a class that is delivered at once",
        ),
        pytest.param(
            bridged("Object Restore Completed"), CREATED._replace(type=EventType.RESTORED), id="EventBridge: restored"
        ),
        pytest.param(notification("ObjectRestore:Completed"), CREATED._replace(type=EventType.RESTORED), id="restored"),
    ],
)
def test_a_message_says_what_happened_to_an_object(body: str, expected: Event) -> None:
    assert parse(body) == [expected]


def test_minio_numbers_changes_in_no_order() -> None:
    of_minio = record() | {"eventSource": "minio:s3"}
    assert parse(json.dumps({"Records": [of_minio]})) == [CREATED._replace(sequencer="")]


def test_a_transition_names_the_archive_in_a_field_of_its_own() -> None:
    moved = {"lifecycleEventData": {"transitionEventData": {"destinationStorageClass": "DEEP_ARCHIVE"}}}
    body = json.dumps({"Records": [record("LifecycleTransition") | moved]})
    assert [event.type for event in parse(body)] == [EventType.ARCHIVED]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "lake"}),
        bridged("Object Tags Added"),
        bridged("Object ACL Updated"),
        bridged("Object Restore Initiated"),
        notification("ObjectTagging:Put"),
        notification("ObjectAcl:Put"),
    ],
)
def test_some_messages_change_nothing_and_name_their_bucket(body: str) -> None:
    [event] = parse(body)
    assert event.bucket == "lake"
    assert consequence(event, UNKNOWN) is consequence(event, KNOWN) is Effect.NOTHING


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not JSON"),
        ("[1]", "the message is no JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 50_000, "not JSON"),
        ("{}", "neither an S3 notification nor an event of S3 from EventBridge"),
        (" " * (1024 * 1024 + 1), "1048577 characters, more than SQS delivers"),
        (json.dumps({"Records": 1}), "Records is no list, or is empty"),
        (json.dumps({"Records": []}), "Records is no list, or is empty"),
        (bridged("Object Tags Added", {"bucket": None}), "bucket is no JSON object"),
        (json.dumps({"Records": [1]}), "Records is no JSON object"),
        (json.dumps({"Records": [{}]}), "eventName is no text, or is empty or too long"),
        (notification(key="é" * 513), "its key has not between 1 and 1024 bytes"),
        (notification(size=-1), "its size is -1, not a number of bytes"),
        (notification(size=True), "its size is True, not a number of bytes"),
        (notification(size=2**63), "its size is 9223372036854775808, not a number of bytes"),
        (notification(eTag="\ud800"), "eTag has a character that cannot be stored"),
        (notification(versionId="\0"), "versionId has a character that cannot be stored"),
        (notification(key="a%00"), "its key has a character that cannot be stored"),
        (bridged(key="\udfff"), "key has a character that cannot be stored"),
        (notification(eTag=5), "eTag is no text, or is empty or too long"),
        (json.dumps({"Records": [record() | {"eventTime": "yesterday"}]}), "its time cannot be read"),
        (json.dumps({"Records": [record() | {"eventTime": "9999-12-31T23:59:59-01:00"}]}), "its time cannot be read"),
    ],
)
def test_what_is_no_message_of_s3_is_refused_in_one_line(body: str, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        parse(body)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-01-15T06:00:00", AT),
        ("2026-01-15T07:00:00+01:00", AT),
        ("2100-01-01T00:00:00Z", datetime(2100, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_without_a_zone_is_in_utc(time: str, expected: datetime) -> None:
    assert parse(json.dumps({"Records": [record() | {"eventTime": time}]}))[0].at == expected


LATER = AT + timedelta(hours=1)
KNOWN = LastChange(A, AT, "v1", "0A")
UNNUMBERED = LastChange(A, AT)


@pytest.mark.parametrize(
    ("event", "known", "expected"),
    [
        pytest.param(CREATED, UNKNOWN, Effect.STORED, id="the first that is said of a key"),
        pytest.param(REMOVED, UNKNOWN, Effect.ASK, id="a removal of a key of which nothing is known"),
        pytest.param(CREATED, KNOWN, Effect.NOTHING, id="the same sequencer and the same content"),
        pytest.param(CREATED._replace(content=B), KNOWN, Effect.ASK, id="the same sequencer and other content"),
        pytest.param(CREATED._replace(content=B, sequencer="0A1"), KNOWN, Effect.STORED, id="a later sequencer"),
        pytest.param(CREATED._replace(content=B, sequencer="09FF"), KNOWN, Effect.NOTHING, id="an earlier sequencer"),
        pytest.param(CREATED._replace(content=B, sequencer=""), KNOWN, Effect.ASK, id="no sequencer"),
        pytest.param(CREATED._replace(content=B), UNNUMBERED, Effect.ASK, id="known without a sequencer"),
        pytest.param(CREATED._replace(content=None), UNNUMBERED, Effect.ASK, id="no content"),
        pytest.param(CREATED._replace(version="v1", content=B), KNOWN, Effect.NOTHING, id="the same version id"),
        pytest.param(CREATED, UNNUMBERED, Effect.NOTHING, id="the same content"),
        pytest.param(CREATED._replace(at=LATER), UNNUMBERED, Effect.STORED, id="the same content stored again"),
        pytest.param(REMOVED._replace(sequencer="0B"), KNOWN, Effect.ASK, id="a later removal"),
        pytest.param(REMOVED._replace(sequencer="09"), KNOWN, Effect.NOTHING, id="an earlier removal"),
        pytest.param(
            REMOVED, LastChange(None, asked=AT), Effect.ASK, id="a removal of what was not there a moment ago"
        ),
        pytest.param(REMOVED, LastChange(None, asked=LATER), Effect.NOTHING, id="a removal before the lake was asked"),
        pytest.param(
            CREATED, LastChange(None, asked=AT), Effect.ASK, id="created at about the time when the lake was asked"
        ),
        pytest.param(
            CREATED._replace(at=LATER),
            LastChange(None, asked=AT),
            Effect.STORED,
            id="created since the lake was asked",
        ),
        pytest.param(
            REMOVED._replace(type=EventType.VERSION_REMOVED, version="v0"),
            KNOWN,
            Effect.NOTHING,
            id="a former version",
        ),
        pytest.param(
            REMOVED._replace(type=EventType.VERSION_REMOVED, version="v1"),
            KNOWN,
            Effect.ASK,
            id="the current version",
        ),
        pytest.param(
            REMOVED._replace(type=EventType.VERSION_REMOVED, version="v1"),
            UNNUMBERED,
            Effect.NOTHING,
            id="a version that is not known to be current",
        ),
        pytest.param(
            CREATED._replace(content=B),
            UNNUMBERED._replace(asked=LATER),
            Effect.NOTHING,
            id="asked after the event",
        ),
        pytest.param(CREATED._replace(type=EventType.ARCHIVED), KNOWN, Effect.UNREADABLE, id="archived"),
        pytest.param(CREATED._replace(type=EventType.RESTORED), KNOWN, Effect.READABLE, id="restored"),
        pytest.param(CREATED._replace(type=EventType.ARCHIVED, version="v0"), KNOWN, Effect.NOTHING, id="a former one"),
        pytest.param(CREATED._replace(type=EventType.ARCHIVED, content=B), KNOWN, Effect.NOTHING, id="other content"),
    ],
)
def test_what_follows_from_an_event(event: Event, known: LastChange, expected: Effect) -> None:
    assert consequence(event, known) is expected


class Bucket:
    """One key of a bucket, with everything that happens to it, and the events of that.

    Its server numbers the changes, or gives all of them one number. Some events have none.
    """

    def __init__(self, chance: random.Random):
        self.chance = chance
        self.numbers = chance.choice((True, False))
        self.missing = chance.choice((0.0, 0.5, 1.0))
        self.skew = chance.choice((-100, 0, 100))  # seconds by which its clock differs from ours
        self.content: Content | None = None
        self.modified = AT
        self.at = AT
        self.events: list[Event] = []

    def change(self) -> None:
        """Stores or removes the object, some seconds after the last change."""
        self.at += timedelta(seconds=self.chance.choice((0, 1, 90, 600)))
        if self.content and self.chance.random() < 0.3:
            self.content = None
        else:
            self.content = self.chance.choice((A, B, Content('"c"', 10)))
            self.modified = self.at + timedelta(seconds=self.skew)
        type = EventType.CREATED if self.content else EventType.REMOVED
        number = f"{len(self.events) + 1:04X}" if self.numbers else "AB"
        number = "" if self.chance.random() < self.missing else number
        event_at = self.at + timedelta(seconds=self.skew)
        self.events.append(Event("lake", "k", type, event_at, self.content, "", number))

    def answer(self) -> LastChange:
        """What a HEAD request finds now."""
        return LastChange(self.content, self.modified, asked=self.at)


@given(st.integers(0, 2**32))
def test_any_order_with_duplicates_ends_in_what_the_lake_has(seed: int) -> None:
    """Events come while the object goes on changing; those that number the changes are mixed with those that do not."""
    chance = random.Random(seed)
    bucket = Bucket(chance)
    known = chance.choice((UNKNOWN, bucket.answer()))
    waiting: list[Event] = []
    for _ in range(chance.randrange(1, 8)):
        bucket.change()
        waiting += [bucket.events[-1]] * chance.choice((1, 1, 2))
        for _ in range(chance.randrange(3)):
            if waiting:
                known = _after_event(bucket, waiting.pop(chance.randrange(len(waiting))), known)
        if chance.random() < 0.1:
            known = bucket.answer()  # a listing
    while waiting:
        known = _after_event(bucket, waiting.pop(chance.randrange(len(waiting))), known)
    assert known.content == bucket.content


def _after_event(bucket: Bucket, event: Event, known: LastChange) -> LastChange:
    answer = consequence(event, known)
    if answer is Effect.ASK:
        return bucket.answer()
    return after(event, known) if answer is Effect.STORED else known
