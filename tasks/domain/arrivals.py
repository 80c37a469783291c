"""What does a message say about an object of the lake, and what does that change of what is known about the object?

Messages are S3 event notifications (versions 2.x), EventBridge's events of S3, and both of them in an SNS envelope.
Formats: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
and https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

Events can come late, twice, in any order, or not at all. So they only say where to look: what the lake answers counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from tasks.domain.assess.states import Content, LakeObject, content_of
from tasks.domain.errors import AdceError
from tasks.domain.times import SKEW
from tasks.domain.wording import one_line

LARGEST_MESSAGE = 1024 * 1024  # bytes: the most that SQS delivers
_LONGEST_KEY = 1024  # bytes of UTF-8: the most that S3 allows
_LONGEST_NAME = 1024  # characters of the other names in a message
_LARGEST_OBJECT = 2**63 - 1  # bytes: the most that the ledger can store
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR = 2200  # times after it are nonsense
_SEQUENCER = re.compile(r"[0-9A-F]{1,64}")
_NOT_STORED = re.compile(r"[\x00\ud800-\udfff]")  # NUL, and halves of pairs in UTF-16: no ledger can store them
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"}  # not delivered until restored
_KEEPS_ORDER = "aws:s3"  # the one event source whose sequencers say which of two changes came later


class MessageError(AdceError):
    """A message is none that S3 sends. The text says why, in one line."""


class EventType(StrEnum):
    """What an event says about an object."""

    CREATED = "created"
    REMOVED = "removed"  # the object is gone, or hidden behind a delete marker
    VERSION_REMOVED = "version removed"  # one version of it is gone for good; it need not be the current one
    ARCHIVED = "archived"  # the lake no longer delivers its body
    RESTORED = "restored"  # the lake delivers its body again
    UNCHANGED = "unchanged"  # its body is the same, as when its tags change


class Fate(StrEnum):
    """What became of a message."""

    APPLIED = "applied"  # it has changed what is known of a file
    ALREADY_KNOWN = "already_known"  # it changes nothing
    OWN = "own"  # it tells of a file that ADCE itself has stored
    FOREIGN = "foreign"  # it is of another bucket, or of an object that is no file of a dataset that is collected
    UNREADABLE = "unreadable"  # it is no message of S3, or the lake refuses to tell of its object


OF_THE_LAKE = (Fate.APPLIED, Fate.ALREADY_KNOWN, Fate.OWN)  # of messages that tell of a file of the lake


class Event(NamedTuple):
    """A change of one object. Text that the message does not have is empty."""

    bucket: str
    key: str
    type: EventType
    at: datetime
    content: Content | None = None  # the new version; None if the message does not name it
    version: str = ""  # the id that a versioned bucket gives
    sequencer: str = ""  # hexadecimal; orders the changes of one key


class LastChange(NamedTuple):
    """The last known change of a key."""

    content: Content | None  # None if there is no object
    modified: datetime | None = None  # when the object was stored
    version: str = ""
    sequencer: str = ""
    asked: datetime | None = None  # when the lake itself was last asked, by a listing or a HEAD request

    @classmethod
    def of(cls, have: LakeObject | None, at: datetime) -> LastChange:
        """The last change of an object, as the lake has it or has it no more, when it was asked at this time."""
        content, modified = (content_of(have), have.modified) if have else (None, None)
        return cls(content, modified, asked=at)

    def as_listed(self, at: datetime | None) -> LastChange:
        """The same change, still the last one when the whole lake was listed, if it was."""
        return self if at is None or (self.asked and self.asked >= at) else self._replace(asked=at)

    def object(self, key: str) -> LakeObject | None:
        """The object that the lake has after this change; None if it has none. An unknown time counts as long ago."""
        if self.content is None:
            return None
        return LakeObject(key, self.content.size, self.modified or _LONG_AGO, self.content.etag)


UNKNOWN = LastChange(None)  # nobody has ever said anything about the key


class Effect(StrEnum):
    """What follows from an event for its key."""

    NOTHING = "nothing"  # it is known already, or older than what is known
    STORED = "stored"  # the object of the event is the current one
    ASK = "ask"  # one HEAD request has to settle what the lake has
    UNREADABLE = "unreadable"  # the lake no longer delivers the current object
    READABLE = "readable"  # the lake delivers the current object again


def consequence(event: Event, known: LastChange) -> Effect:
    """What follows from an event, given the last known change of its key.

    If both have a sequencer, that says which change came later. An equal version id is the same change. Everything else
    is settled by asking the lake, unless the lake was asked after the event. An event of the known content, but without
    a sequencer, may be of a later change that brought the content back. Then the sequencer that was known no longer
    counts.
    """
    if known.asked is not None and event.at < known.asked - SKEW:
        return Effect.NOTHING
    if event.type is EventType.UNCHANGED:
        return Effect.NOTHING
    if event.type is EventType.VERSION_REMOVED:
        return Effect.ASK if event.version and event.version == known.version else Effect.NOTHING
    if event.type in (EventType.ARCHIVED, EventType.RESTORED):
        return _delivery(event, known)
    if event.version and event.version == known.version:
        return Effect.NOTHING
    order = _order(event.sequencer, known.sequencer)
    if order < 0:
        return Effect.NOTHING
    if event.type is EventType.REMOVED or event.content is None:
        return Effect.ASK
    if event.content == known.content:
        is_another = order > 0 or (known.sequencer and not event.sequencer) or _is_later(event.at, known.modified)
        return Effect.STORED if is_another else Effect.NOTHING
    is_first = known.content is None and not known.version and not known.sequencer and _is_later(event.at, known.asked)
    return Effect.STORED if order > 0 or is_first else Effect.ASK


def after(event: Event, known: LastChange) -> LastChange:
    """The last known change of a key once its event is known to be the current one."""
    before = known.modified if event.content == known.content else None
    modified = max(event.at, before or event.at)
    return LastChange(event.content, modified, event.version, event.sequencer, known.asked)


class Settled(NamedTuple):
    """What the events of one key, which came together, change."""

    change: LastChange
    applied: Sequence[bool]  # by event: has it changed what is known?
    asks: bool = False  # one HEAD request has to settle what the lake has, and replaces `change`
    delivery: Effect | None = None  # UNREADABLE or READABLE, if an event says whether the body is delivered


def settled(events: Sequence[Event], known: LastChange) -> Settled:
    """What the events of one key change, in the order in which they came.

    If one of them has the lake asked, its answer settles all of them, because all happened before.
    """
    change, delivery, applied = known, None, []
    for event in events:
        follows = consequence(event, change)
        if follows is Effect.ASK:
            return Settled(known, [False] * len(events), asks=True)
        is_new = follows in (Effect.UNREADABLE, Effect.READABLE)
        if is_new:
            delivery = follows
        elif follows is Effect.STORED:
            is_new = event.content != change.content
            change = after(event, change)
        applied.append(is_new)
    return Settled(change, applied, delivery=delivery)


def answered(have: LakeObject | None, at: datetime, events: Sequence[Event], known: LastChange) -> Settled:
    """What the events of one key change after the lake was asked at a time, and has this object or none."""
    change = LastChange.of(have, at)
    is_new = change.content != known.content
    return Settled(change, [is_new] + [False] * (len(events) - 1))


class Unannounced(NamedTuple):
    """A change that the lake has shown, or that ADCE has made, before an event told of it."""

    content: Content | None  # the version that the lake has now; None if the object is gone
    changed: datetime  # when that version was stored; of a removal, when it was found
    earliest: datetime | None  # an event before this cannot tell of it

    @classmethod
    def of(cls, change: LastChange, before: LastChange, now: datetime) -> Unannounced:
        """The change that the lake has shown at `now`; `before` was known until then."""
        known = before.modified or before.asked
        if change.content is None or (known and change.modified and change.modified < known - SKEW):
            return cls(change.content, now, before.modified)
        return cls(change.content, change.modified or now, change.modified)

    @classmethod
    def stored(cls, have: LakeObject) -> Unannounced:
        """The change that ADCE has made by storing this object."""
        return cls(content_of(have), have.modified, have.modified)

    @property
    def is_removal(self) -> bool:
        """Has a removal made it: of the object, or of the version after which a former one is the current one again?"""
        return self.content is None or self.changed != self.earliest

    def is_told_by(self, event: Event) -> bool:
        """Does an event tell of it?"""
        if self.earliest is not None and event.at < self.earliest - SKEW * (not self.is_removal):
            return False
        if self.is_removal:
            return event.type in (EventType.REMOVED, EventType.VERSION_REMOVED)
        return event.type is EventType.CREATED and event.content == self.content


def _delivery(event: Event, known: LastChange) -> Effect:
    """What follows from an event that says whether the lake delivers a version of an object."""
    is_other = event.version and known.version and event.version != known.version
    if is_other or known.content is None or (event.content is not None and event.content != known.content):
        return Effect.NOTHING
    return Effect.UNREADABLE if event.type is EventType.ARCHIVED else Effect.READABLE


def _order(one: str, other: str) -> int:
    """1 if the change with the first sequencer came later, -1 if earlier, and 0 if the sequencers do not say.

    The shorter one is filled with zeros on its right. Equal ones say nothing: some servers send a constant.
    """
    if not one or not other:
        return 0
    longest = max(len(one), len(other))
    one, other = one.ljust(longest, "0"), other.ljust(longest, "0")
    return (one > other) - (one < other)


def _is_later(at: datetime, known: datetime | None) -> bool:
    return known is None or at > known + SKEW


def parse(body: str) -> list[Event]:
    """The events of a message: at least one, which also says of which bucket the message is. Raises MessageError."""
    message = _decoded(body)
    if message.get("Type") == "Notification" and "Message" in message:
        message = _decoded(_text(message, "Message", LARGEST_MESSAGE))
    if "Records" in message:
        records = message["Records"]
        if not isinstance(records, list) or not records:
            raise MessageError("Records is no list, or is empty")
        return [_of_notification(_mapping(record, "Records")) for record in records]
    if message.get("source") == "aws.s3":
        return [_of_eventbridge(message)]
    if message.get("Event") == "s3:TestEvent":
        return [_unchanged(_text(message, "Bucket"))]
    raise MessageError("neither an S3 notification nor an event of S3 from EventBridge")


def _of_notification(record: Mapping[str, Any]) -> Event:
    name = _text(record, "eventName").removeprefix("s3:")
    kind, _, detail = name.partition(":")
    what = _NOTIFICATIONS.get((kind, detail)) or _NOTIFICATIONS.get((kind, "*"))
    if kind in ("LifecycleTransition", "IntelligentTiering"):
        of_archive = _inner(record, "lifecycleEventData", "transitionEventData").get("destinationStorageClass")
        of_tier = _inner(record, "intelligentTieringEventData").get("destinationAccessTier")
        what = _moved_to(of_archive or of_tier)
    s3 = _mapping(record.get("s3"), "s3")
    if what is None:
        return _unchanged(_bucket(s3))
    thing = _mapping(s3.get("object"), "s3.object")
    key = unquote_plus(_text(thing, "key", 3 * _LONGEST_KEY))
    orders = record.get("eventSource") == _KEEPS_ORDER
    return _event(_bucket(s3), key, what, record.get("eventTime"), thing, "eTag", "versionId", orders)


def _of_eventbridge(message: Mapping[str, Any]) -> Event:
    detail = _mapping(message.get("detail"), "detail")
    name = _text(message, "detail-type")
    what = _EVENTS.get(name)
    if name == "Object Deleted" and detail.get("deletion-type") == "Delete Marker Created":
        what = EventType.REMOVED
    elif name == "Object Storage Class Changed":
        what = _moved_to(detail.get("destination-storage-class"))
    elif name == "Object Access Tier Changed":
        what = _moved_to(detail.get("destination-access-tier"))
    if what is None:
        return _unchanged(_bucket(detail))
    thing = _mapping(detail.get("object"), "detail.object")
    return _event(_bucket(detail), _text(thing, "key"), what, message.get("time"), thing, "etag", "version-id", True)


_NOTIFICATIONS = {
    ("ObjectCreated", "*"): EventType.CREATED,
    ("ObjectRemoved", "Delete"): EventType.VERSION_REMOVED,
    ("ObjectRemoved", "DeleteMarkerCreated"): EventType.REMOVED,
    ("LifecycleExpiration", "Delete"): EventType.VERSION_REMOVED,
    ("LifecycleExpiration", "DeleteMarkerCreated"): EventType.REMOVED,
    ("ObjectRestore", "Completed"): EventType.RESTORED,
    ("ObjectRestore", "Delete"): EventType.ARCHIVED,
}
_EVENTS = {
    "Object Created": EventType.CREATED,
    "Object Deleted": EventType.VERSION_REMOVED,
    "Object Restore Completed": EventType.RESTORED,
    "Object Restore Expired": EventType.ARCHIVED,
}


# Types of events of EventBridge that change an object, or whether the lake delivers it
DETAIL_TYPES = (*_EVENTS, "Object Storage Class Changed", "Object Access Tier Changed")


def _event(
    bucket: str, key: str, what: EventType, at: Any, thing: Mapping[str, Any], etag: str, version: str, orders: bool
) -> Event:
    """The event about an object, which the message describes as `thing` with fields of these names."""
    if not 0 < len(_stored("its key", key).encode()) <= _LONGEST_KEY:
        raise MessageError(f"its key has not between 1 and {_LONGEST_KEY} bytes")
    found = _optional(thing, version)
    id = "" if found == "null" else found
    if what is EventType.VERSION_REMOVED and not id:
        what = EventType.REMOVED
    sequencer = _optional(thing, "sequencer").upper()
    is_number = orders and _SEQUENCER.fullmatch(sequencer)
    return Event(bucket, key, what, _time(at), _content(thing, etag), id, sequencer if is_number else "")


def _unchanged(bucket: str) -> Event:
    """An event of a bucket that changes no body."""
    return Event(bucket, "", EventType.UNCHANGED, _LONG_AGO)


def _content(thing: Mapping[str, Any], etag: str) -> Content | None:
    """The version that a message describes, or None. An ETag stands in double quotes in a listing, so it does here."""
    size, tag = thing.get("size"), _optional(thing, etag).strip('"')
    if size is None or not tag:
        return None
    if type(size) is not int or not 0 <= size <= _LARGEST_OBJECT:
        raise MessageError(f"its size is {one_line(repr(size))[:40]}, not a number of bytes")
    return Content(f'"{tag}"', size)


def _moved_to(where: object) -> EventType | None:
    """What it means that an object was moved to a storage class or an access tier."""
    if not isinstance(where, str):
        return None
    return EventType.ARCHIVED if where in _ARCHIVES else EventType.RESTORED


def _bucket(holder: Mapping[str, Any]) -> str:
    return _text(_mapping(holder.get("bucket"), "bucket"), "name")


def _decoded(body: str) -> Mapping[str, Any]:
    if len(body) > LARGEST_MESSAGE:
        raise MessageError(f"{len(body)} characters, more than SQS delivers")
    try:
        return _mapping(json.loads(body), "the message")
    except (ValueError, RecursionError):
        raise MessageError("not JSON") from None


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise MessageError(f"{name} is no JSON object")


def _inner(record: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The JSON object at a path, or an empty one."""
    for name in path:
        value = record.get(name)
        record = value if isinstance(value, dict) else {}
    return record


def _text(holder: Mapping[str, Any], name: str, longest: int = _LONGEST_NAME) -> str:
    value = holder.get(name)
    if isinstance(value, str) and 0 < len(value) <= longest:
        return _stored(name, value)
    raise MessageError(f"{name} is no text, or is empty or too long")


def _stored(name: str, text: str) -> str:
    """The text, which the ledger can store."""
    if not text.isprintable() and _NOT_STORED.search(text):
        raise MessageError(f"{name} has a character that cannot be stored")
    return text


def _optional(holder: Mapping[str, Any], name: str) -> str:
    return "" if holder.get(name) in (None, "") else _text(holder, name)


def _time(value: object) -> datetime:
    """The time of an event, in UTC if it names no zone."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and _LONG_AGO.year <= at.year <= _LAST_YEAR:
            return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise MessageError("its time cannot be read")
