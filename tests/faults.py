"""Which messages follow from faults that are there at known times? An oracle, and a simulation beside it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tasks.domain.incidents import BY_KIND, Fact, Incidents, Kind, Settings, What, step

MIDNIGHT, MINUTE, DAY = datetime(2026, 1, 15, tzinfo=UTC), timedelta(minutes=1), 24 * 60
SETTINGS = Settings(remind_every=timedelta(hours=6))

Place = tuple[Kind, str]  # a kind and a scope
Span = tuple[int, int]  # minutes: the first one, and the first one after it
Faults = Mapping[Place, Sequence[Span]]  # of each place, in their order; none begins when another one ends


class Message(NamedTuple):
    """A message: when, and of what it told."""

    minute: int
    what: What
    kind: Kind
    scope: str


class Told(NamedTuple):
    """When incidents were open, all messages, and how many incidents were ended by the message of their cause."""

    opened: Mapping[Place, Sequence[Span]]
    messages: Sequence[Message]
    absorbed: int


def _minutes(spans: Iterable[Span]) -> set[int]:
    return {minute for first, last in spans for minute in range(first, last)}


# The oracle: it knows the faults, and each condition's `holds_for`, `keep_for` and parents.
def expected(faults: Faults, end: int) -> Told:
    """What is to follow from the faults before the minute `end`."""
    opened = {place: _opened(place[0], spans, end) for place, spans in faults.items()}
    at = {place: _minutes(spans) for place, spans in faults.items()}
    open_at = {place: _minutes(spans) for place, spans in opened.items()}
    begins: dict[Place, set[int]] = defaultdict(set)  # when each is told to have opened
    messages, absorbed = [], 0
    for place in sorted(faults, key=lambda place: len(_above(place[0]))):
        kind, scope = place
        causes = [
            one for one in faults if one[0] in _above(kind) and f"{scope}/".startswith(f"{one[1]}/" * bool(one[1]))
        ]
        told_above = set[int]().union(*(begins[cause] for cause in causes))
        for first, last in opened[place]:
            began = first - _wait(kind) - SETTINGS.limit_of(*place) / 60 * BY_KIND[kind].is_age
            explained = {now for cause in causes for now in open_at[cause] if began <= _held(faults[cause], now)}
            doubtful = explained.union(*(at[cause] for cause in causes))
            alone, told = first, -1
            for now in range(first, last):
                alone = now + 1 if now in explained else alone
                if told >= 0 and now in told_above:
                    told, absorbed = -1, absorbed + 1
                stands = now in at[place] and now not in (explained if told >= 0 else doubtful)
                if stands and now >= (told + 360 if told >= 0 else alone + 2 * _settles(kind)):
                    messages.append(Message(now, What.OPENED if told < 0 else What.REMINDED, *place))
                    begins[place] |= {now} if told < 0 else set()
                    told = now
            if told >= 0 and last < end:
                messages.append(Message(last, What.CLOSED, *place))
    return Told(opened, sorted(messages), absorbed)


def _held(spans: Sequence[Span], now: int) -> int:
    """Until when a fault was there the last time, as it is known at `now`."""
    return min(now, max(last for first, last in spans if first <= now))


def _wait(kind: Kind) -> int:
    return BY_KIND[kind].holds_for // MINUTE


def _settles(kind: Kind) -> bool:
    return bool(BY_KIND[kind].parents)


def _opened(kind: Kind, spans: Sequence[Span], end: int) -> list[Span]:
    wait, keep = _wait(kind), BY_KIND[kind].keep_for // MINUTE
    found: list[Span] = []
    for first, last in spans:
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], last + keep
        elif last - first > wait:
            found.append((first + wait, last + keep))
    return [(first, min(last, end)) for first, last in found if first < end]


def _above(kind: Kind) -> set[Kind]:
    return {above for parent in BY_KIND[kind].parents for above in (parent, *_above(parent))}


# What it is compared with
def simulated(faults: Faults, end: int) -> Told:
    """What the rule makes of the same faults, evaluated every minute in which something holds or stands."""
    incidents, messages, absorbed = Incidents(), [], 0
    opened: dict[Place, list[Span]] = {place: [] for place in faults}
    holding = {place: _minutes(spans) for place, spans in faults.items()}
    facts = {place: [Fact(*place, SETTINGS.limit_of(*place) + more) for more in (0, 1)] for place in faults}
    eventful = set[int]().union(*holding.values())
    for minute in range(end):
        now = MIDNIGHT + minute * MINUTE
        if not incidents.standing and minute not in eventful:
            continue
        given = [facts[place][minute in minutes] for place, minutes in holding.items()]
        incidents, changes = step(incidents, given, now, SETTINGS)
        messages += [Message(minute, one.what, one.incident.kind, one.incident.scope) for one in changes]
        absorbed += sum(len(one.closes) for one in changes)
        for one in incidents.standing:
            if one.is_open:
                spans = opened[one.kind, one.scope]
                if spans and spans[-1][1] == minute:
                    spans[-1] = spans[-1][0], minute + 1
                else:
                    spans.append((minute, minute + 1))
    return Told(opened, sorted(messages), absorbed)


def faults_of(days: int, seed: int, a_day: float = 1) -> Faults:
    """Faults at random: some alone, some with symptoms of what they explain, and some that flap."""
    chance, found = random.Random(seed), dict[Place, set[int]]()
    for _ in range(round(days * a_day)):
        kind, first = chance.choice(list(Kind)), chance.randrange(days * DAY)
        for one in [kind, *(other for other in Kind if kind in _above(other) and chance.random() < 0.5)]:
            begin = first + chance.choice([-30, -3, -1, 0, 1, 2, 10]) * (one is not kind)
            long, times = chance.choice([(1, 1), (3, 1), (10, 1), (60, 1), (400, 1), (1, 20), (3, 20), (60, 20)])
            for n in range(times):
                start = max(begin, 0) + n * (long + chance.choice([1, 4, 20]))
                found.setdefault((one, chance.choice(_scopes(one))), set()).update(range(start, start + long))
    return {place: list(spans_of(minutes)) for place, minutes in found.items()}


def _scopes(kind: Kind) -> tuple[str, ...]:
    if kind in (Kind.SOURCE_PAUSED, Kind.FAILURES, Kind.BUCKET):
        return ("espn", "nba_api")
    of_dataset = set(BY_KIND[kind].parents) & {Kind.SOURCE_PAUSED, Kind.FAILURES} or kind is Kind.LOST
    return ("espn/a", "espn/b", "nba_api/c") if of_dataset else ("",)


def spans_of(minutes: set[int]) -> Iterable[Span]:
    """The spans of these minutes."""
    first = 0
    for minute in sorted(minutes):
        first = first if minute - 1 in minutes else minute
        if minute + 1 not in minutes:
            yield first, minute + 1
