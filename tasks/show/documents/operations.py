"""What do `adce sources`, `pause`, `resume`, `runs` and `watch` print as JSON?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING

from tasks.domain.incidents import BY_KIND, Incident, Kind
from tasks.domain.reasons import Limit
from tasks.show.documents.document import Document

if TYPE_CHECKING:
    from tasks.answers.holds import SourceHold
    from tasks.answers.runs import PastRun
    from tasks.answers.sources import EventsNow, SourceNow
    from tasks.answers.watched import Watched
    from tasks.domain.limits.buckets import BucketOnServer


class HeldUp(Document):
    """Something for which a source, or a dataset, is not asked for now."""

    name: str
    limit: Limit
    reason: str
    since: datetime | None
    until: datetime | None
    by: str | None
    waiting: Mapping[str, int]

    @classmethod
    def of(cls, hold: SourceHold) -> HeldUp:
        """The document for a hold."""
        return cls(
            name=hold.name,
            limit=hold.reason.limit,
            reason=hold.reason.text,
            since=hold.since,
            until=hold.reason.until,
            by=hold.by,
            waiting=hold.waiting,
        )


class Paused(Document):
    """The pause that an operator has begun, the one of which it takes the place, and what holds files up for longer."""

    pause: HeldUp
    replaces: HeldUp | None
    longer: list[HeldUp]

    @classmethod
    def of(cls, begun: SourceHold, former: SourceHold | None, longer: Iterable[SourceHold]) -> Paused:
        """The document for a pause that has begun."""
        replaces = HeldUp.of(former) if former else None
        return cls(pause=HeldUp.of(begun), replaces=replaces, longer=list(map(HeldUp.of, longer)))


class Resumed(Document):
    """What held up a source or a dataset and is ended, and what still holds it up."""

    name: str
    ended: list[HeldUp]
    holds: list[HeldUp]
    free: Mapping[str, int]  # the files that nothing holds up any more, by dataset

    @classmethod
    def of(
        cls, name: str, ended: Iterable[SourceHold], stays: Iterable[SourceHold], free: Mapping[str, int]
    ) -> Resumed:
        """The document for what is resumed."""
        return cls(name=name, ended=list(map(HeldUp.of, ended)), holds=list(map(HeldUp.of, stays)), free=free)


class PastRunDocument(Document):
    """A run, as the ledger and Prefect know it."""

    id: str | None
    flow_run: str | None
    name: str
    state: str
    began: datetime
    ended: datetime | None
    message: str
    holder: str | None
    is_running: bool


class RunsAnswer(Document):
    """Runs, those at work first, and then the newest first."""

    prefect: str | None  # why Prefect's runs are not among them
    runs: list[PastRunDocument]

    @classmethod
    def of(cls, runs: Iterable[PastRun], trouble: str | None) -> RunsAnswer:
        """The document for some runs."""
        return cls(prefect=trouble, runs=[PastRunDocument.model_validate(run) for run in runs])


class RateOf(Document):
    """At most so many requests in so many seconds."""

    requests: int
    seconds: float


class NextWindow(Document):
    """A maintenance window that is to come."""

    begins: datetime
    until: datetime | None
    note: str


class IncidentOf(Document):
    """An open incident of a source, or of one of its datasets."""

    id: str
    kind: Kind
    scope: str
    title: str
    since: datetime
    cleared: datetime | None  # since when the condition has not held any more; None while it holds
    closes_at: datetime | None  # when it is closed, if it stays so
    files: int
    reason: str
    explained: bool  # by another one, which is told in its place

    @classmethod
    def of(cls, incident: Incident) -> IncidentOf:
        """The document for an incident."""
        return cls(
            id=incident.id,
            kind=incident.kind,
            scope=incident.scope,
            title=BY_KIND[incident.kind].title,
            since=incident.began,
            cleared=incident.cleared,
            closes_at=incident.closes_at,
            files=incident.files,
            reason=incident.reason,
            explained=bool(incident.cause),
        )


class SourceState(Document):
    """How a source is asked now."""

    name: str
    enabled: bool
    not_fetched: Mapping[str, str]  # its datasets that the configuration has not fetched, each with the setting
    rates: list[RateOf]
    last_minute: int
    last_stored: datetime | None
    waiting: Mapping[str, int]
    holds: list[HeldUp]
    next_maintenance: NextWindow | None
    incidents: list[IncidentOf]

    @classmethod
    def of(cls, source: SourceNow) -> SourceState:
        """The document for a source."""
        coming = source.next_window
        return cls(
            name=source.name,
            enabled=source.is_enabled,
            not_fetched=source.not_fetched,
            rates=[RateOf(requests=rate.requests, seconds=rate.seconds) for rate in source.rates],
            last_minute=source.last_minute,
            last_stored=source.last_stored,
            waiting=source.waiting,
            holds=list(map(HeldUp.of, source.holds)),
            next_maintenance=coming and NextWindow(begins=coming[0], until=coming[1].ends, note=coming[1].reason),
            incidents=list(map(IncidentOf.of, source.incidents)),
        )


class BucketState(Document):
    """A rate bucket as the Prefect server has it."""

    name: str
    requests_per_second: float | None  # None if it cannot be used
    trouble: str | None  # how it differs from the configuration

    @classmethod
    def of(cls, bucket: BucketOnServer) -> BucketState:
        """The document for a bucket."""
        rate = bucket.have.rate if bucket.have and not bucket.defect else None
        return cls(name=bucket.name, requests_per_second=rate, trouble=bucket.trouble)


class MissedEvents(Document):
    """How many changes in a folder on a day (in UTC) no event has told."""

    day: date
    folder: str
    count: int


class UnreadMessageLine(Document):
    """A message of the queue that could not be read."""

    id: str
    at: datetime
    reason: str
    begin: str
    receives: int


class EventPathState(Document):
    """Whether the events of the lake are known to arrive: proved, broken or unproved."""

    state: str
    reason: str


class EventsState(Document):
    """How events of the lake are watched now."""

    since: datetime
    progress: datetime
    path: EventPathState
    unread_count: int
    unread: list[UnreadMessageLine]  # the last ones, the newest first
    missed: list[MissedEvents]

    @classmethod
    def of(cls, events: EventsNow) -> EventsState:
        """The document for the events."""
        missed = [MissedEvents(day=day, folder=folder, count=n) for (day, folder), n in events.missed.items()]
        path = EventPathState(state=events.path.state.value, reason=events.path.reason)
        return cls(
            since=events.since,
            progress=events.progress,
            path=path,
            unread_count=events.unread_count,
            unread=[UnreadMessageLine(**message._asdict()) for message in events.unread],
            missed=missed,
        )


class SourcesAnswer(Document):
    """How all sources are asked now, and when a run last looked at the lake."""

    at: datetime
    looked_at: datetime | None
    verified_since: datetime | None  # since when all of the lake had been listed then, if only parts of it were
    sources: list[SourceState]
    buckets: list[BucketState]  # those on the Prefect server, if one is named and has answered
    prefect: str | None  # why it has not answered
    events: EventsState | None  # none if events are not watched

    @classmethod
    def of(
        cls,
        sources: Iterable[SourceNow],
        at: datetime,
        looked_at: datetime | None,
        verified_since: datetime | None,
        buckets: Iterable[BucketOnServer],
        trouble: str | None,
        events: EventsNow | None,
    ) -> SourcesAnswer:
        """The document for the sources."""
        return cls(
            at=at,
            looked_at=looked_at,
            verified_since=verified_since,
            sources=list(map(SourceState.of, sources)),
            buckets=list(map(BucketState.of, buckets)),
            prefect=trouble,
            events=events and EventsState.of(events),
        )


class Latency(Document):
    """Seconds from the receipt of a message to the state that follows from it: of half, and of 99 % of them."""

    p50: float | None
    p99: float | None


class WatchedMessages(Document):
    """What became of the messages that a watch received. The counts after `received` add up to it.

    `errors` says why the first of the unreadable messages are that, by their ids in the queue or their lines.
    """

    received: int
    applied: int
    already_known: int
    own: int
    foreign: int
    unreadable: int
    seconds: float
    latency: Latency
    errors: dict[str, str]

    @classmethod
    def of(cls, watched: Watched) -> WatchedMessages:
        """The document for what was watched."""
        return cls(
            received=watched.received,
            **watched.counts(),
            seconds=round(watched.seconds, 6),
            latency=Latency(p50=_rounded(watched.latency(0.5)), p99=_rounded(watched.latency(0.99))),
            errors=watched.errors,
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
