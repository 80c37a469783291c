"""What is an incident, when does it open and close, and what is told of it? Pure: the clock is an argument.

A condition compares a fact with a limit. It opens an incident once it has held for `holds_for`, and closes it once it
has not held for `keep_for`. An incident of another condition may explain it: then it is not told by itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from tasks.domain.arrivals import OF_THE_LAKE, Fate
from tasks.domain.event_path import PathState
from tasks.domain.metrics import (
    ALERTS_MISSED,
    CHECKS,
    CRITICAL_OLDEST,
    CYCLE_LASTS,
    EVENT_PATH,
    EVENTS,
    FAILURES,
    FILES,
    FIRST_RUN,
    LAST_RECONCILE,
    LOST_FILES,
    MISSED_EVENTS,
    PAUSED_SINCE,
    UNREADABLE_FILES,
    Counter,
)
from tasks.domain.outcomes import NO_FAULT, Outcome
from tasks.domain.wording import duration

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
_PLAIN_KEY = re.compile(r"[\w./=-]+")  # of a file, which a shell takes as it is
LEAST_ATTEMPTS = 20  # of a source, below which no share of failures is told
MOST_MISSED = 0.01  # share of the events of a day


class Kind(StrEnum):
    """What is wrong. The values are stored, and appear in JSON documents and in the configuration."""

    CONFIGURATION = "configuration"
    DISK = "disk"
    LEDGER = "ledger"
    LAKE = "lake"
    PREFECT = "prefect"
    SCHEDULE = "schedule_paused"
    SERVERS = "two_servers"
    BUCKET = "bucket"
    NO_RECONCILE = "no_reconcile"
    SLOW_CYCLE = "slow_cycle"
    SOURCE_PAUSED = "source_paused"
    FAILURES = "failures"
    CHECKS = "failed_checks"
    BREAKER = "breaker"
    CRITICAL_FAILURES = "critical_failures"
    CRITICAL_GAP = "critical_gap"
    LOST = "lost_files"
    UNREADABLE = "unreadable_files"
    EVENT_PATH = "event_path"
    MISSED_EVENTS = "missed_events"
    DEAD_LETTERS = "dead_letters"


class Measure(StrEnum):
    """What the value of a fact counts."""

    SECONDS = "seconds"
    SHARE = "share"
    COUNT = "count"
    YES_OR_NO = "yes or no"  # 1 or 0; the limit is 0

    def text(self, value: float) -> str:
        """A value for people; empty where it only says yes or no."""
        if self is Measure.SECONDS:
            return duration(timedelta(seconds=value))
        if self is Measure.SHARE:
            return f"{value:.0%}"
        if self is Measure.COUNT:
            return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
        return ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition: it holds while the value of its fact is above the limit.

    `parents` are the kinds that explain it, where their scope contains its own. `promql` is the same for Prometheus,
    with {limit} for the limit that the settings have; it is empty if only the metric of open incidents tells.
    """

    kind: Kind
    title: str  # what is wrong, as the subject of a message
    measure: Measure
    limit: float
    holds_for: timedelta
    keep_for: timedelta
    command: str  # the command that shows more
    parents: tuple[Kind, ...] = ()
    promql: str = ""
    labels: tuple[str, ...] = ()  # that name its scope
    limits: Mapping[str, float] = field(default_factory=dict)  # by scope, where it is not `limit`
    is_age: bool = False  # the value says for how long it has been so, and not only since it passed the limit

    @property
    def name(self) -> str:
        """The name of the alerting rule."""
        return "Adce" + "".join(word.capitalize() for word in self.kind.split("_"))

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the scope of an incident may name; empty if all of them are of everything."""
        return _SOURCE if self.kind is Kind.BUCKET else self.labels

    def has_incidents_within(self, scope: str) -> bool:
        """May an incident lie within a scope?"""
        return len(list(filter(None, scope.split("/")))) <= len(self.scopes)

    @property
    def settles(self) -> bool:
        """Is it told only after some time, because another condition may turn out to explain it?"""
        return bool(self.parents)


_HOURS_OF_BACKOFF = {"basketball_reference": timedelta(hours=25).total_seconds()}


_SOURCE, _DATASET = ("source",), ("source", "dataset")


def _sum(series: str, *labels: str) -> str:
    return f"sum by ({', '.join(('job', 'instance', *labels))}) ({series})"


def _does_not_pass(check: str) -> str:
    return _sum(f'{CHECKS.name}{{check=~"{check}", verdict!="pass"}}') + " > 0"


def _attempts(window: str, outcomes: str) -> str:
    """Files by source that fills have dealt with, without those that the source does not have yet."""
    ended = _sum(f"increase({FILES.name}{{{outcomes}}}[{window}])", "source")
    absent = _sum(f'increase({FAILURES.name}{{failure=~"{"|".join(NO_FAULT)}"}}[{window}])', "source")
    return f"({ended} - {absent})"


_FAILED, _TRIED = f'outcome="{Outcome.FAILED}"', f'outcome!="{Outcome.DEFERRED}"'


def _share_of_failures(window: str) -> str:
    return f"{_attempts(window, _FAILED)} / {_attempts(window, _TRIED)}"


def _growth(counter: Counter, fates: Iterable[Fate] = ()) -> str:
    of = f'{{fate=~"{"|".join(fates)}"}}' if fates else ""
    return _sum(f"increase({counter.name}{of}[1d])")


CATALOGUE: tuple[Condition, ...] = (
    Condition(
        Kind.CONFIGURATION,
        "The configuration does not load",
        Measure.YES_OR_NO,
        0,
        timedelta(0),
        _MINUTE,
        "adce config show",
    ),
    Condition(
        Kind.DISK,
        "A disk is nearly full",
        Measure.YES_OR_NO,
        0,
        5 * _MINUTE,
        15 * _MINUTE,
        "df -h",
        promql=_does_not_pass("disk of the .+"),
    ),
    Condition(
        Kind.LEDGER,
        "The ledger cannot be used",
        Measure.YES_OR_NO,
        0,
        _MINUTE,
        5 * _MINUTE,
        "adce ledger check",
        (Kind.DISK,),
        _does_not_pass("ledger"),
    ),
    Condition(
        Kind.LAKE,
        "The lake cannot be used",
        Measure.YES_OR_NO,
        0,
        5 * _MINUTE,
        5 * _MINUTE,
        "adce plan",
        (Kind.DISK,),
        _does_not_pass("lake"),
    ),
    Condition(
        Kind.PREFECT,
        "Prefect's API does not answer",
        Measure.YES_OR_NO,
        0,
        5 * _MINUTE,
        5 * _MINUTE,
        "adce setup --check",
        promql=_does_not_pass("Prefect API"),
    ),
    Condition(
        Kind.SCHEDULE,
        "The schedule or work pool of the reconcile is paused",
        Measure.YES_OR_NO,
        0,
        15 * _MINUTE,
        5 * _MINUTE,
        "adce setup --check",
        (Kind.PREFECT,),
    ),
    Condition(
        Kind.SERVERS,
        "Runs of two Prefect servers use the ledger",
        Measure.YES_OR_NO,
        0,
        timedelta(0),
        15 * _MINUTE,
        "adce runs",
        (Kind.LEDGER,),
    ),
    Condition(
        Kind.BUCKET,
        "A rate bucket in Prefect is not as configured",
        Measure.YES_OR_NO,
        0,
        _MINUTE,
        5 * _MINUTE,
        "adce setup --check",
        (Kind.PREFECT,),
    ),
    Condition(
        Kind.NO_RECONCILE,
        "No reconcile has ended for too long",
        Measure.SECONDS,
        timedelta(minutes=30).total_seconds(),  # two intervals; see `limit_of`
        timedelta(0),
        _MINUTE,
        "adce runs",
        (Kind.CONFIGURATION, Kind.LEDGER, Kind.LAKE, Kind.PREFECT, Kind.SCHEDULE),
        f"time() - ({LAST_RECONCILE.name} or {FIRST_RUN.name}) > {{limit}}",
        is_age=True,
    ),
    Condition(
        Kind.SLOW_CYCLE,
        "A reconcile takes too long to plan",
        Measure.SECONDS,
        timedelta(minutes=10).total_seconds(),
        timedelta(0),
        15 * _MINUTE,
        "adce runs",
        (Kind.LEDGER, Kind.LAKE, Kind.PREFECT),
        f"{CYCLE_LASTS.name} > {{limit}}",
    ),
    Condition(
        Kind.SOURCE_PAUSED,
        "A source is paused after refusals",
        Measure.SECONDS,
        timedelta(hours=3).total_seconds(),
        timedelta(0),
        15 * _MINUTE,
        "adce sources",
        (Kind.LEDGER,),
        f"time() - {PAUSED_SINCE.name} > {{limit}}",
        _SOURCE,
        _HOURS_OF_BACKOFF,
        is_age=True,
    ),
    Condition(
        Kind.FAILURES,
        "Many attempts at files of a source fail",
        Measure.SHARE,
        0.25,
        timedelta(0),
        15 * _MINUTE,
        "adce sources",
        (Kind.LAKE, Kind.SOURCE_PAUSED),
        f"{_share_of_failures('15m')} > {{limit}} and {_share_of_failures('6h')} > {{limit}} and "
        f"{_attempts('6h', _TRIED)} >= {LEAST_ATTEMPTS}",
        _SOURCE,
    ),
    Condition(
        Kind.CHECKS,
        "The last bodies of a dataset all failed their check",
        Measure.COUNT,
        4,
        timedelta(0),
        timedelta(0),
        "adce plan",
        (Kind.LAKE, Kind.SOURCE_PAUSED, Kind.FAILURES),
        labels=_DATASET,
    ),
    Condition(
        Kind.BREAKER,
        "A circuit breaker opens again and again",
        Measure.COUNT,
        2,
        timedelta(0),
        _HOUR,
        "adce sources",
        (Kind.SOURCE_PAUSED, Kind.FAILURES, Kind.CHECKS),
        labels=_DATASET,
    ),
    Condition(
        Kind.CRITICAL_FAILURES,
        "A CRITICAL file fails again and again",
        Measure.COUNT,
        2,
        timedelta(0),
        timedelta(0),
        "adce plan",
        (Kind.SOURCE_PAUSED, Kind.FAILURES, Kind.CHECKS, Kind.BREAKER),
        labels=_DATASET,
    ),
    Condition(
        Kind.CRITICAL_GAP,
        "CRITICAL files have been missing for long",
        Measure.SECONDS,
        timedelta(hours=4).total_seconds(),
        timedelta(0),
        timedelta(0),
        "adce plan",
        (
            Kind.NO_RECONCILE,
            Kind.BUCKET,
            Kind.SOURCE_PAUSED,
            Kind.FAILURES,
            Kind.CHECKS,
            Kind.BREAKER,
            Kind.CRITICAL_FAILURES,
        ),
        f"time() - {CRITICAL_OLDEST.name} > {{limit}}",
        _DATASET,
        is_age=True,
    ),
    Condition(
        Kind.LOST,
        "Files have vanished from the lake or have shrunk",
        Measure.COUNT,
        0,
        timedelta(0),
        timedelta(0),
        "adce plan",
        promql=_sum(LOST_FILES.name, *_DATASET) + " > {limit}",
        labels=_DATASET,
    ),
    Condition(
        Kind.UNREADABLE,
        "Files in the lake cannot be read",
        Measure.COUNT,
        0,
        timedelta(0),
        timedelta(0),
        "adce plan",
        (Kind.LAKE,),
        _sum(UNREADABLE_FILES.name, *_DATASET) + " > {limit}",
        _DATASET,
    ),
    Condition(
        Kind.EVENT_PATH,
        "The events of the lake do not arrive",
        Measure.YES_OR_NO,
        0,
        5 * _MINUTE,
        5 * _MINUTE,
        "adce sources",
        (Kind.LEDGER, Kind.LAKE),
        _sum(f'{EVENT_PATH.name}{{state="{PathState.BROKEN}"}}') + " > 0",
    ),
    Condition(
        Kind.MISSED_EVENTS,
        "Events of the lake are missing",
        Measure.COUNT,
        10,
        timedelta(0),
        _HOUR,
        "adce sources",
        (Kind.EVENT_PATH,),
        f"{_growth(MISSED_EVENTS)} > {{limit}} or {_growth(MISSED_EVENTS)} > {_sum(ALERTS_MISSED.name)} * "
        f"({_growth(MISSED_EVENTS)} + {_growth(EVENTS, OF_THE_LAKE)})",
    ),
    Condition(
        Kind.DEAD_LETTERS,
        "Messages of the queue could not be read",
        Measure.COUNT,
        0,
        timedelta(0),
        15 * _MINUTE,
        "adce sources",
        (Kind.LEDGER,),
        f"{_growth(EVENTS, [Fate.UNREADABLE])} > {{limit}}",
    ),
)

BY_KIND: Mapping[Kind, Condition] = {condition.kind: condition for condition in CATALOGUE}
# Those whose reason begins with the key of a file
_OF_A_FILE = (Kind.CHECKS, Kind.CRITICAL_FAILURES)
# What processes find out, and not the ledger
OF_PROCESSES = frozenset({Kind.CONFIGURATION, Kind.DISK, Kind.LAKE, Kind.PREFECT, Kind.SCHEDULE, Kind.BUCKET})
# What of its own stops all work, and not only a part of it
STOPS_WORK = frozenset({Kind.CONFIGURATION, Kind.LEDGER, Kind.LAKE, Kind.PREFECT, Kind.NO_RECONCILE})


@cache
def ancestors(kind: Kind) -> frozenset[Kind]:
    """All kinds that explain this one: its parents, their parents, and so on."""
    parents = BY_KIND[kind].parents
    return frozenset(parents).union(*map(ancestors, parents))


def is_within(scope: str, of: str) -> bool:
    """Does a scope lie within another one? A scope is "" for everything, a source, or "source/dataset"."""
    return not of or scope == of or scope.startswith(f"{of}/")


class Fact(NamedTuple):
    """What is known for a condition about one scope. Of what is not known there is no fact."""

    kind: Kind
    scope: str
    value: float
    files: int = 0  # how many are concerned
    reason: str = ""  # the cause, as a clause; without secrets
    most: float | None = None  # a limit that counts where it is lower than that of the catalogue
    unwatched: str = ""  # why nothing can be known any more, as a clause; then the value is 0


def unwatched(incidents: Iterable[Incident], facts: Sequence[Fact], watched: Collection[Kind]) -> Iterator[Fact]:
    """What ends those incidents that no process can tell anything of any more, by the kinds that processes watch.

    A process that watches something may know nothing of it for now: then the incident stays as it is.
    """
    places, kinds = {(fact.kind, fact.scope) for fact in facts}, {fact.kind for fact in facts}
    for one in incidents:
        if one.kind not in OF_PROCESSES or (one.kind, one.scope) in places:
            continue
        if one.kind not in watched:
            yield Fact(one.kind, one.scope, 0, unwatched="no running process of ADCE watches this any more")
        elif one.kind is Kind.BUCKET and one.kind in kinds:
            yield Fact(one.kind, one.scope, 0, unwatched="the settings have no such rate bucket any more")


def worst(facts: Iterable[Fact]) -> list[Fact]:
    """Of the facts that several processes know of one condition and scope, the one with the highest value."""
    found: dict[tuple[Kind, str], Fact] = {}
    for fact in facts:
        place = fact.kind, fact.scope
        if place not in found or fact.value > found[place].value:
            found[place] = fact
    return list(found.values())


@dataclass(frozen=True, slots=True)
class QuietTime:
    """A time in which nothing is told: of one kind, or of all if it is None, within a scope."""

    since: datetime
    until: datetime
    kind: Kind | None = None
    scope: str = ""

    def covers(self, incident: Incident, now: datetime) -> bool:
        """Is an incident held back by it now?"""
        return self.since <= now < self.until and self.kind in (None, incident.kind) and self._has(incident.scope)

    def _has(self, scope: str) -> bool:
        return is_within(scope, self.scope)


@dataclass(frozen=True, slots=True)
class Settings:
    """How incidents are told."""

    settle: timedelta = timedelta(minutes=2)  # for which an incident stands alone before it is told
    remind_every: timedelta | None = None
    interval: timedelta = timedelta(minutes=15)  # of scheduled reconciles
    limits: Mapping[str, float] = field(default_factory=dict)  # by kind, in place of the catalogue's
    holds: tuple[QuietTime, ...] = ()  # maintenance windows and silences

    def limit_of(self, kind: Kind, scope: str, most: float | None = None) -> float:
        """The limit for a scope: that of the settings, or else the lower one of the catalogue's and `most`."""
        if kind in self.limits:
            return self.limits[kind]
        condition = BY_KIND[kind]
        default = 2 * self.interval.total_seconds() if kind is Kind.NO_RECONCILE else condition.limit
        limit = condition.limits.get(scope, default)
        return limit if most is None else min(limit, most)


class Incident(NamedTuple):
    """A condition that holds, or has held, for a scope. It is open from `opened` to `closed`.

    Before `opened` it is pending. The timers `began`, `cleared`, `alone` and `reminded` start anew if the clock was set
    back behind them.
    """

    id: str
    kind: Kind
    scope: str
    began: datetime  # since when it has been so; the condition may hold only since later, once that has become long
    opened: datetime | None = None
    cleared: datetime | None = None  # since when it does not hold any more; None while it holds
    alone: datetime | None = None  # since when no other incident explains it; None while one does
    cause: str = ""  # the id of the incident that explains it
    told: datetime | None = None
    reminded: datetime | None = None
    reminders: int = 0
    closed: datetime | None = None
    is_held: bool = False  # it would have been told, but was held back
    value: float = 0.0  # as the fact had it that held last
    files: int = 0
    reason: str = ""
    passed: float | None = None  # the limit that the value was above; None if an older version opened it
    unwatched: str = ""  # why nothing could be known of it any more, if that has ended it

    @property
    def is_open(self) -> bool:
        """Has it been opened, and not been closed?"""
        return self.opened is not None and self.closed is None

    @property
    def closes_at(self) -> datetime | None:
        """When it is closed if its condition does not hold again before; None while it holds, and once it is closed."""
        return self.cleared + BY_KIND[self.kind].keep_for if self.cleared and self.is_open else None


def command_of(incident: Incident) -> str:
    """The command that shows more of an incident."""
    command, dataset = BY_KIND[incident.kind].command, incident.scope.partition("/")[2]
    key = incident.reason.partition(": ")[0]
    if incident.kind in _OF_A_FILE and _PLAIN_KEY.fullmatch(key):
        return f"adce why {key}"
    return f"{command} --dataset {dataset}" if command == "adce plan" and _PLAIN_KEY.fullmatch(dataset) else command


class What(StrEnum):
    """What has changed. The values are stored."""

    OPENED = "opened"
    REMINDED = "reminded"
    CLOSED = "closed"


def opening_of(incident: Incident) -> str:
    """The id of the change that tells that an incident has opened."""
    return f"{incident.id}-{What.OPENED}"


@dataclass(frozen=True, slots=True)
class Change:
    """One message to be told. `id` is the same whenever it is repeated.

    `closes` has the incidents that were told before the one that explains them: this message ends them.
    """

    id: str
    incident: Incident  # as it is after the change
    what: What
    at: datetime
    closes: tuple[Incident, ...] = ()


@dataclass(frozen=True, slots=True)
class Incidents:
    """The incidents that are pending, open, or closed and still to be told. `last` is the number of the last one."""

    last: int = 0
    standing: tuple[Incident, ...] = ()
    ended: tuple[Incident, ...] = ()  # in the last step; those that were never opened are left out
    prefix: str = ""  # of ids, for incidents that do not live in the ledger


def step(
    incidents: Incidents, facts: Iterable[Fact], now: datetime, settings: Settings
) -> tuple[Incidents, tuple[Change, ...]]:
    """The incidents after these facts, and what is to be told.

    A condition of which there is no fact neither opens, tells nor closes anything.
    """
    rule = _Step(incidents, now, settings)
    for fact in facts:
        rule.observe(fact)
    rule.explain()
    changes = (*rule.told(), *rule.reminded(), *rule.ended())
    return rule.result(), changes


class _Step:
    """One step: the incidents by kind and scope while they change."""

    def __init__(self, before: Incidents, now: datetime, settings: Settings):
        self._now, self._settings = now, settings
        self._last, self._prefix = before.last, before.prefix
        self._unsaid = [incident for incident in before.standing if incident.closed]
        self._live = {(one.kind, one.scope): self._on_time(one) for one in before.standing if not one.closed}
        self._known: set[tuple[Kind, str]] = set()
        self._closed: list[Incident] = []  # in this step
        self._ended: list[Incident] = []  # of which nothing is left to be told

    def _on_time(self, incident: Incident) -> Incident:
        """The incident without timers that lie ahead, because the clock was set back."""
        now = self._now
        late = {name for name in ("cleared", "alone", "reminded") if (getattr(incident, name) or now) > now}
        late |= {"began"} if incident.opened is None and incident.began > now else set()
        timers: dict[str, Any] = dict.fromkeys(late, now)
        return incident._replace(**timers) if timers else incident

    def _new_id(self) -> str:
        self._last += 1
        return f"{self._prefix}{self._last}"

    def observe(self, fact: Fact) -> None:
        """Begins, opens, clears or closes the incident of a fact."""
        place = fact.kind, fact.scope
        limit = self._settings.limit_of(*place, fact.most)
        holds = fact.value > limit
        condition, incident = BY_KIND[fact.kind], self._live.get(place)
        self._known.add(place)
        if incident is None and not holds:
            return
        age = timedelta(seconds=fact.value) if condition.is_age else timedelta(0)
        incident = incident or Incident(self._new_id(), *place, began=self._now - age)
        if holds:
            incident = incident._replace(
                cleared=None,
                value=fact.value,
                files=fact.files,
                reason=fact.reason or incident.reason,  # what is lost may be fetched already, and nothing is named then
                passed=limit,
                unwatched="",
            )
            if incident.opened is None and self._now - incident.began >= condition.holds_for:
                incident = incident._replace(opened=self._now)
        elif incident.cleared is None:
            incident = incident._replace(cleared=self._now, unwatched=fact.unwatched)
        self._live[place] = incident
        if incident.cleared and (incident.opened is None or self._now - incident.cleared >= condition.keep_for):
            del self._live[place]
            if incident.opened:
                self._closed.append(incident._replace(closed=self._now))

    def _above(self, incident: Incident) -> Iterator[Incident]:
        """The incidents that explain this one, or may do so once they open.

        A pending one of which nothing is known now may never open, and is left out. One whose condition does not hold
        any more explains nothing that began afterwards.
        """
        kinds = ancestors(incident.kind)
        for place, other in self._live.items():
            if (
                other.kind in kinds
                and is_within(incident.scope, other.scope)
                and (other.opened or place in self._known)
                and not (other.cleared and other.cleared < incident.began <= self._now)
            ):
                yield other

    def explain(self) -> None:
        """Finds the cause of each open incident: of those above it, the one that nothing explains."""
        for place, incident in list(self._live.items()):
            if incident.opened:
                above = [other for other in self._above(incident) if other.opened]
                cause = min(above, key=lambda one: (len(ancestors(one.kind)), one.opened)).id if above else ""
                alone = None if cause else incident.alone or self._now
                if (cause, alone) != (incident.cause, incident.alone):
                    self._live[place] = incident._replace(cause=cause, alone=alone)

    def told(self) -> Iterator[Change]:
        """Tells the open incidents that stand alone and have settled."""
        for place, incident in list(self._live.items()):
            if not self._is_to_be_told(place, incident):
                continue
            if self._is_held(incident):
                self._live[place] = incident._replace(is_held=True)
                continue
            self._live[place] = told = incident._replace(told=self._now, is_held=False)
            yield Change(opening_of(told), told, What.OPENED, self._now, tuple(self._absorbed(told)))

    def _is_to_be_told(self, place: tuple[Kind, str], incident: Incident) -> bool:
        if incident.told or incident.alone is None or incident.cleared or place not in self._known:
            return False
        settle = self._settings.settle if BY_KIND[incident.kind].settles else timedelta(0)
        return self._now - incident.alone >= settle and not any(self._above(incident))

    def _absorbed(self, parent: Incident) -> Iterator[Incident]:
        """Closes the incidents that were told before the one that explains them; what still holds goes on untold."""
        for place, incident in list(self._live.items()):
            if incident.told and parent.kind in ancestors(incident.kind) and is_within(incident.scope, parent.scope):
                closed = incident._replace(closed=self._now, cause=parent.id)
                anew = incident._replace(id=self._new_id(), opened=self._now, cause=parent.id, alone=None)
                self._live[place] = anew._replace(told=None, reminded=None, reminders=0)
                self._ended.append(closed)
                yield closed

    def reminded(self) -> Iterator[Change]:
        """Reminds of the incidents that were told and still hold."""
        every = self._settings.remind_every
        for place, incident in list(self._live.items()):
            last = incident.reminded or incident.told
            if incident.cause or incident.cleared or place not in self._known or self._is_held(incident):
                continue
            if every and last and self._now - last >= every:
                count = incident.reminders + 1
                self._live[place] = told = incident._replace(reminded=self._now, reminders=count)
                yield Change(f"{told.id}-{What.REMINDED}-{count}", told, What.REMINDED, self._now)

    def ended(self) -> Iterator[Change]:
        """Tells the end of incidents that were told, and, once nothing holds them back, of those that were held back.

        Of those that opened and closed one after another while they were held back, the first is told, with the end of
        the last.
        """
        unsaid: dict[tuple[Kind, str, bool], Incident] = {}
        for incident in (*self._unsaid, *self._closed):
            place = incident.kind, incident.scope, incident.told is None
            if not incident.told and (incident.cause or not incident.is_held):
                self._ended.append(incident)
            elif self._is_held(incident) and (first := unsaid.get(place)):
                files = max(first.files, incident.files)
                unsaid[place] = first._replace(cleared=incident.cleared, closed=incident.closed, files=files)
                self._ended.append(incident)
            elif self._is_held(incident):
                unsaid[place] = incident
            else:
                said = incident._replace(told=incident.told or self._now, is_held=False)
                self._ended.append(said)
                yield Change(f"{said.id}-{What.CLOSED}", said, What.CLOSED, self._now)
        self._unsaid = list(unsaid.values())

    def _is_held(self, incident: Incident) -> bool:
        return any(hold.covers(incident, self._now) for hold in self._settings.holds)

    def result(self) -> Incidents:
        """The incidents after the step."""
        return Incidents(self._last, (*self._live.values(), *self._unsaid), tuple(self._ended), self._prefix)
