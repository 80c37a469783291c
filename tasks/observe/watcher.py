"""What do messages change in the lake as ADCE knows it, and what follows from that? Many are taken at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

from blocks.store import Store
from tasks import clock
from tasks.domain.arrivals import (
    UNKNOWN,
    Effect,
    Event,
    EventType,
    Fate,
    LastChange,
    MessageError,
    Settled,
    Unannounced,
    answered,
    parse,
    settled,
)
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import LakeObject, LearntBy, Unreadable, came_due, is_due
from tasks.domain.errors import AdceError
from tasks.domain.expected.cells import Cell
from tasks.domain.wording import one_line
from tasks.ledger.events import Before, Judged, Told
from tasks.observe.expected_files import ExpectedFiles
from tasks.observe.heads import ask
from tasks.observe.look import examine_cells, judge_known, objects_of
from tasks.observe.session import Session, listed_datasets
from tasks.observe.unannounced import unannounced

AT_ONCE = 500  # messages that are best taken together
TAKEN_AGAIN = 0.2  # seconds after which messages are taken again that wait for a run
_CLAIM_SECONDS = 10.0  # how long a message waits for the run that is fetching its file to record it
_FOLLOWS_WITHIN = 2.0  # seconds after which the consequences of messages are judged, although more and more come
_JUDGED_AT_ONCE = 5000  # files, so that no transaction of the ledger takes long
_ARCHIVED = "archived; restore it, and its event makes it readable"


# Of a message that tells of several objects, the first of these counts.
_STRONGEST = (Fate.APPLIED, Fate.OWN, Fate.ALREADY_KNOWN, Fate.FOREIGN)


@dataclass
class Taken:
    """What became of some messages, in their order."""

    fates: list[Fate]
    errors: dict[int, str] = field(default_factory=dict)  # why a message is unreadable, by its position
    refused: set[int] = field(default_factory=set)  # those of them of whose objects the lake refuses to tell
    elsewhere: dict[int, str] = field(default_factory=dict)  # the bucket of a message of another one, by its position
    waiting: set[int] = field(default_factory=set)  # the positions of messages that are to be taken later
    returned: datetime | None = None  # the time of the newest event of a file that ADCE has stored itself

    @classmethod
    def joined(cls, each: Sequence[Taken]) -> Taken:
        """What became of messages that were taken one by one."""
        errors = {position: one.errors[0] for position, one in enumerate(each) if one.errors}
        elsewhere = {position: one.elsewhere[0] for position, one in enumerate(each) if one.elsewhere}
        waiting = {position for position, one in enumerate(each) if one.waiting}
        returned = max((one.returned for one in each if one.returned), default=None)
        refused = {position for position, one in enumerate(each) if one.refused}
        return cls([one.fates[0] for one in each], errors, refused, elsewhere, waiting, returned)


def sending_bucket(lake: Store) -> tuple[str, str]:
    """The bucket and the prefix of a lake. Raises AdceError if the lake sends no events."""
    if lake.bucket is None:
        raise AdceError(f"lake {lake.url}: a folder sends no events; `adce reconcile` looks at it")
    return lake.bucket


class Watcher:
    """Takes messages about the lake of a session, and judges what follows from them."""

    def __init__(self, session: Session):
        """Raises AdceError if the lake sends no events."""
        self._session = session
        self._bucket, self._prefix = sending_bucket(session.lake)
        self._expected = ExpectedFiles(session)
        self._listed = listed_datasets(session)
        self._changed: dict[str, LastChange] = {}  # the changes of files of which `follow` has to judge what follows
        self._followed = clock.seconds()  # when there was last nothing to judge
        self._gaps: list[Gap] = []  # what `follow` has found before it failed

    async def take(self, messages: Sequence[str], received: Sequence[float] = ()) -> Taken:
        """Records what messages tell. All of it is committed when this returns.

        `received` says when each message was received, by tasks.clock. A message is left for later, within some seconds
        of its receipt, while a run is fetching its file: what the run stores must not be taken for somebody else's.
        A message of an object of which alone the lake refuses to tell counts as unreadable; it may be readable later.

        Raises AdceError if the lake or the ledger cannot be used. The messages can be taken again then. A message at
        which anything else fails counts as unreadable, and the others are taken without it.
        """
        try:
            return await self._take(messages, received)
        except AdceError:
            raise
        except Exception as error:
            if len(messages) == 1:
                return Taken([Fate.UNREADABLE], {0: f"ADCE fails at it: {one_line(repr(error))}"})
        return Taken.joined([await self.take([one], received[n : n + 1]) for n, one in enumerate(messages)])

    async def _take(self, messages: Sequence[str], received: Sequence[float]) -> Taken:
        taken = Taken([Fate.FOREIGN] * len(messages))
        ours: set[int] = set()  # the messages of which a record is of this bucket
        events: dict[str, list[Event]] = {}
        positions: dict[str, list[int]] = {}  # of the messages that tell of a key
        for position, event in self._events(messages, taken):
            if event.bucket != self._bucket:
                taken.elsewhere[position] = event.bucket
                continue
            ours.add(position)
            if event.type is EventType.UNCHANGED:
                taken.fates[position] = Fate.ALREADY_KNOWN
            elif key := self._key(event):
                events.setdefault(key, []).append(event)
                positions.setdefault(key, []).append(position)
        for key in self._claimed(events) if received else ():
            if clock.seconds() - min(received[position] for position in positions[key]) < _CLAIM_SECONDS:
                del events[key]
                taken.waiting.update(positions.pop(key))
        taken.elsewhere = {position: bucket for position, bucket in taken.elsewhere.items() if position not in ours}
        decision, refused = await self._record(events, taken, positions)
        taken.returned = decision.returned
        taken.fates = _fates(taken, positions, decision, refused)
        for key, why in refused.items():
            for position in set(positions[key]) - taken.waiting:
                taken.errors[position] = why
                taken.refused.add(position)
        self._changed |= decision.changed
        return taken

    def _events(self, messages: Sequence[str], taken: Taken) -> Iterator[tuple[int, Event]]:
        """The events of messages, each with the position of its message. Adds to `taken` which are unreadable."""
        latest = self._session.horizon()
        for position, message in enumerate(messages):
            try:
                found = parse(message)
            except MessageError as error:
                taken.fates[position], taken.errors[position] = Fate.UNREADABLE, str(error)
                continue
            for event in found:
                if event.at > latest:  # by a wrong clock; the change happened before the message came
                    event = event._replace(at=latest)
                yield position, event

    def _key(self, event: Event) -> str | None:
        """The key in the lake of an event's object; None if it is no file of a dataset that is collected."""
        if not event.key.startswith(self._prefix):
            return None
        key = event.key.removeprefix(self._prefix)
        return key if self._expected.dataset_of(key) in self._listed else None

    async def _record(
        self, events: Mapping[str, Sequence[Event]], taken: Taken, positions: Mapping[str, Sequence[int]]
    ) -> tuple[_Decision, dict[str, str]]:
        """Decides what follows from events for their files, and records it. The lake is asked where that is needed.

        Files of which the lake refuses to tell are left out, and returned with why it does. The fates of the messages
        are counted with that, except of those that are to be taken later.
        """

        def decide(before: Before) -> _Decision:
            decision = _decided(before, events, answers, now)
            fates = _fates(taken, positions, decision, refused)
            decision.fates = Counter(fate for n, fate in enumerate(fates) if n not in taken.waiting)
            return decision

        answers: dict[str, _Answer] = {}
        refused: dict[str, str] = {}
        while True:
            now = self._session.now()
            decision = self._session.ledger.events.take(events, decide, now)
            if not decision.asks:
                return decision, refused
            have = await ask(self._session.lake, decision.asks)
            refused |= have.refused
            answers |= {key: _Answer(have.objects.get(key), now, decision.known[key]) for key in decision.asks}
            events = {key: of_key for key, of_key in events.items() if key not in refused}

    def _claimed(self, keys: Iterable[str]) -> list[str]:
        """Those of some files that a run is fetching."""
        claims = self._session.leases.claims()
        return [key for key, cell in self._expected.cells(keys).items() if cell.work in claims] if claims else []

    @property
    def is_behind(self) -> bool:
        """Has it been some seconds since everything that follows from the messages was judged?"""
        return clock.seconds() - self._followed > _FOLLOWS_WITHIN

    async def follow(self) -> list[Gap]:
        """Judges the files that have changed, and those that belong to the same games or that a schedule lists now.

        It is best called when no more messages wait, or when it is behind, because the files of a game tend to come
        together. Returns the gaps that were not known before. Raises AdceError as `take` does; what follows is judged
        in the next call then.
        """
        now = self._session.now()
        affected = await self._affected(now) if self._changed else {}
        cells = [cell for _, cell in sorted(affected.items())]  # neighbours in the tables of the ledger go together
        for start in range(0, len(cells), _JUDGED_AT_ONCE):
            self._gaps += await self._judge({cell.key: cell for cell in cells[start : start + _JUDGED_AT_ONCE]})
        self._expected.judged(cells, now)
        self._changed.clear()
        self._followed = clock.seconds()
        gaps, self._gaps = self._gaps, []
        return gaps

    async def _affected(self, now: datetime) -> dict[str, Cell]:
        """The files that have changed and are expected, and those whose state may follow from that at `now`.

        Files that were due already when their game was judged last, or when the whole lake was listed, were judged
        then, unless their schedule is newer.
        """
        ledger = self._session.ledger
        changed = self._expected.cells(self._changed)
        games = {cell.game.id for cell in changed.values() if cell.game}
        scheduled: set[str] = set()
        if schedules := {key: cell for key, cell in changed.items() if self._expected.is_schedule(cell)}:
            session = replace(self._session, begun=datetime.now(UTC))  # bodies that could not be read are tried anew
            seen = await examine_cells(session, schedules)
            self._expected.forget()
            scheduled = {game.id for one in seen.values() for game in one.verdict.games}
        watch = ledger.announcements.watch(now)
        listed = watch.listed if watch else None
        judged = {game: self._expected.last_judged(game) or listed for game in games} | dict.fromkeys(scheduled)
        others = {
            key: cell
            for key, cell in self._expected.of_games(judged).items()
            if cell.game and came_due(cell, judged[cell.game.id], now)
        }
        gaps = ledger.gaps.first_seen(others) if others else {}  # of which nothing new can follow
        return changed | {key: cell for key, cell in others.items() if key not in gaps}

    async def _judge(self, cells: Mapping[str, Cell]) -> list[Gap]:
        """Records which of these files are lacking now, or are so no longer. Returns the gaps not known before."""
        session, remembered = self._session, self._changed
        while True:
            last = {key: remembered[key] for key in cells if key in remembered}
            last |= {key: one.change for key, one in session.ledger.objects.last(cells.keys() - last.keys()).items()}
            listed = await self._ask(cell for key, cell in cells.items() if key not in last)
            changes = last | listed
            objects = {key: have for key, change in changes.items() if (have := change.object(key))}
            gaps, closed = await judge_known(session, cells, objects, last)
            shown = unannounced(session, dict.fromkeys(listed), listed)
            if session.ledger.events.judge(Judged(last, listed, shown, gaps, closed), session.now()):
                return gaps
            remembered = {}  # another process has recorded a change meanwhile

    async def _ask(self, cells: Iterable[Cell]) -> dict[str, LastChange]:
        """The files of which nothing is known that the lake has nevertheless, by key.

        It is asked about those that would become gaps. They may be there although the lake was listed: no schedule may
        have named them then, or their events are still to come.
        """
        session, now = self._session, self._session.now()
        due = {cell.key: cell for cell in cells if is_due(cell, now)}
        found = await objects_of(session, due) if due else {}
        return {key: LastChange.of(found[key], now) for key in due.keys() & found.keys()}


class _Answer(NamedTuple):
    """What the lake has answered about a file: its object, or None."""

    have: LakeObject | None
    at: datetime
    known: LastChange  # the last change that was known when it was asked


@dataclass
class _Decision(Told):
    """What follows from the events of some files, by key."""

    known: Mapping[str, LastChange] = field(default_factory=dict)  # the last changes before
    settled: Mapping[str, Settled] = field(default_factory=dict)
    own: Collection[str] = ()  # the files whose version that was known before ADCE has stored itself
    returned: datetime | None = None  # the time of the newest event of a file that ADCE has stored itself

    @property
    def changed(self) -> dict[str, LastChange]:
        """The last changes of the files of which something new is known."""
        return {key: one.change for key, one in self.settled.items() if any(one.applied)}


def _fates(
    taken: Taken, positions: Mapping[str, Sequence[int]], decision: _Decision, refused: Collection[str]
) -> list[Fate]:
    """The fates of messages, in their order, after what their events change was decided.

    `taken` has the fates of the messages without events of files, and `positions` those of the messages about a key.
    """
    fates = list(taken.fates)
    for key, settled_as in decision.settled.items():
        usual = Fate.OWN if key in decision.own else Fate.ALREADY_KNOWN
        for position, is_applied in zip(positions[key], settled_as.applied, strict=True):
            fate, before = Fate.APPLIED if is_applied else usual, fates[position]
            fates[position] = fate if before is Fate.FOREIGN else min(before, fate, key=_STRONGEST.index)
    for key in refused:
        for position in positions[key]:
            if position not in taken.waiting:
                fates[position] = Fate.UNREADABLE
    return fates


def _decided(
    before: Before,
    events: Mapping[str, Sequence[Event]],
    answers: Mapping[str, _Answer],
    now: datetime,
) -> _Decision:
    """What follows from events, by what was recorded before and, where that does not settle it, by the lake's answers.

    An answer does not count if another change of the file has been recorded since the lake was asked.
    """
    last = before.last
    unknown = UNKNOWN.as_listed(before.listed)
    known = {key: last[key].when_listed(before.listed) if key in last else unknown for key in events}
    found = {key: settled(some, known[key]) for key, some in events.items()}
    asked = [key for key, one in found.items() if one.asks]
    asks = [key for key in asked if key not in answers or answers[key].known != known[key]]
    if asks:
        return _Decision(asks, known=known)
    found |= {key: answered(*answers[key][:2], events[key], known[key]) for key in asked}
    changes = {key: one.change for key, one in found.items() if one.change != known[key]}
    shown = {key: Unannounced.of(changes[key], known[key], now) for key in asked if any(found[key].applied)}
    announced = {
        key
        for key, change in {**before.waiting, **shown}.items()
        if change.content != found[key].change.content or any(map(change.is_told_by, events[key]))
    }
    own = {key for key, one in last.items() if one.by is LearntBy.OWN}
    return _Decision(
        changes=changes,
        announced=announced,
        shown={key: change for key, change in shown.items() if key not in announced},
        archived={
            key: Unreadable(one.change.content, _ARCHIVED, now, now)
            for key, one in found.items()
            if one.delivery is Effect.UNREADABLE and one.change.content
        },
        restored=[key for key, one in found.items() if one.delivery is Effect.READABLE],
        returned=max((event.at for key in own for event in events[key] if _is_of(event, known[key])), default=None),
        known=known,
        settled=found,
        own=own,
    )


def _is_of(event: Event, known: LastChange) -> bool:
    """Does an event tell that the version that is known was stored?"""
    return event.type is EventType.CREATED and event.content == known.content
