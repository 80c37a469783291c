"""Do the incidents of a ledger in which a day of faults is recorded follow from these faults, and from nothing else?

The faults are recorded by the ledger's own verbs, minute by minute, as runs and watches do. The oracle knows only when
each began and ended, and what the catalogue says of its kind.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from blocks.store import Store
from config.models import Alerts, Config
from tasks.domain.arrivals import Unannounced
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.assess.states import Kind as GapKind
from tasks.domain.incidents import Fact, Kind, What
from tasks.domain.limits.pauses import Pause, failed, refused, succeeded
from tasks.domain.metrics import CRITICAL_OLDEST, LOST_FILES, series_of
from tasks.domain.outcomes import Failure, FileOutcome, Outcome
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord
from tasks.ledger.fills import FillEnd
from tasks.ledger.unread_messages import UnreadMessage
from tasks.publish.evaluation import evaluate
from tests.builders import a_cell, a_config
from tests.faults import DAY, MIDNIGHT, MINUTE, Message, Place, Span, expected
from tests.faults import spans_of as _spans

SUMMARY, PLAYBYPLAY = "espn/espn_summary", "nba_api/nba_playbyplay"
_FAIL, _STORED = 30, 100  # files a minute, and each quarter of an hour
_SEEN_BY_A_LOOK = ("files vanish", "critical files wait")


class Truth(dict[Place, list[Span]]):
    """When each condition holds, by what was recorded. Spans of one place have some time between them."""

    def add(self, kind: Kind, scope: str, first: int, last: int) -> None:
        if first < last:
            self.setdefault((kind, scope), []).append((first, last))


class Life:
    """A ledger into which each minute writes what a system would write, with faults that begin and end."""

    def __init__(self, config: Config, ledger: Ledger, faults: Sequence[tuple[str, int, int]]):
        self.config, self.ledger, self.faults = config, ledger, faults

    def truth(self) -> Truth:
        """When the conditions hold. Each rule is that of the owner, for the fault that is recorded."""
        truth = Truth()
        for place in ((kind, scope) for kind, scope in _PLACES):
            truth[place] = []
        for name, first, last in self.faults:
            match name:
                case "espn refuses":  # every minute; it is probed, and refuses again
                    truth.add(Kind.SOURCE_PAUSED, "espn", first + 3 * 60 + 1, last)
                case "many fail":
                    for begin, end in _spans({n for n in range(DAY) if _fail_at(n, first, last)}):
                        truth.add(Kind.FAILURES, "espn", begin, end)
                case "files vanish":
                    truth.add(Kind.LOST, SUMMARY, first, last)
                case "critical files wait":
                    truth.add(Kind.CRITICAL_GAP, SUMMARY, first + 4 * 60 + 1, last)
                case "no reconcile":
                    truth.add(Kind.NO_RECONCILE, "", first + 30, last)
                case "a critical file fails":  # every five minutes, from the first one on
                    truth.add(Kind.CRITICAL_FAILURES, PLAYBYPLAY, first + 10, last)
                case "bodies are unfit":  # one a minute
                    truth.add(Kind.CHECKS, PLAYBYPLAY, first + 4, last)
                case "the lake is away":
                    truth.add(Kind.LAKE, "", first, last)
                case "unreadable messages":
                    truth.add(Kind.DEAD_LETTERS, "", first, first + DAY)
                case "events are missed":
                    truth.add(Kind.MISSED_EVENTS, "", first, DAY)
                case "the breaker opens":  # three times, an hour apart
                    truth.add(Kind.BREAKER, SUMMARY, first + 120, first + DAY)
        return truth

    def _is_on(self, name: str, minute: int) -> bool:
        return any(first <= minute < last for fault, first, last in self.faults if fault == name)

    def _begins(self, name: str, minute: int) -> bool:
        return any(first == minute for fault, first, _ in self.faults if fault == name)

    def live(self, minute: int) -> Sequence[Fact]:
        """Records what happens in a minute. Returns the facts that a process finds out."""
        now = MIDNIGHT + minute * MINUTE
        self._look(minute, now)
        self._refuse(minute, now)
        self._fill(minute, now)
        self._watch(minute, now)
        return [Fact(Kind.LAKE, "", self._is_on("the lake is away", minute))]

    def _look(self, minute: int, now: datetime) -> None:
        """A reconcile of each quarter of an hour looks, and events tell what changes in between."""
        changes = any(minute in (first, last) for name, first, last in self.faults if name in _SEEN_BY_A_LOOK)
        changes |= any(minute in (first - 1, last) for name, first, last in self.faults if name == "no reconcile")
        if self._is_on("no reconcile", minute) or (minute % 15 and not changes):
            return
        gauges = {}
        of = {"source": "espn", "dataset": "espn_summary"}
        if self._is_on("files vanish", minute):
            gauges[series_of(LOST_FILES, **of)] = 3.0
        for name, first, last in self.faults:
            if name == "critical files wait" and first <= minute < last:
                gauges[series_of(CRITICAL_OLDEST, **of)] = (MIDNIGHT + first * MINUTE).timestamp()
        address = Store(self.config.lake).address
        look = RecordedLook(now, now, None, "r", address, 0, 0, 0, {}, {}, (), {}, gauges)
        self.ledger.looks.record(look, is_done=True)

    def _refuse(self, minute: int, now: datetime) -> None:
        rules = self.config.sources["espn"].backoff
        if self._is_on("espn refuses", minute):
            self.ledger.pauses.change("espn", lambda pause: refused(pause, rules, now, now, "HTTP 403"))
        elif self._is_on("espn refuses", minute - 1):
            later = now + timedelta(days=2)  # as if the probe were sent when the pause is over
            self.ledger.pauses.change("espn", lambda pause: succeeded(pause, later, now))
        breaker = self.config.reconcile.breaker
        for name, first, _ in self.faults:
            if name == "the breaker opens" and minute in (first, first + 60, first + 120):
                for _ in range(breaker.failures):
                    self.ledger.pauses.change("espn_summary", lambda one: failed(one, breaker, now, now, "HTTP 500"))
                self.ledger.pauses.change("espn_summary", lambda one: Pause(one.name, openings=one.openings))

    def _fill(self, minute: int, now: datetime) -> None:
        """Files are stored each quarter of an hour. Those that fail for a while are stored when that is over."""
        critical = a_cell(key="nba_api_playbyplay/1.json", dataset="nba_playbyplay")
        if self._begins("a critical file fails", minute):
            self.ledger.gaps.record([Gap(critical, GapKind.MISSING, "", now)])
        self._record(now, "nba_playbyplay", list(self._of_playbyplay(minute, critical.key)))
        if self._is_on("many fail", minute):
            self._record(now, "espn_scoreboard", [FileOutcome(f"{n}", Outcome.FAILED) for n in range(_FAIL)])
        if minute % 15 == 0:
            for dataset in ("espn_scoreboard", "nba_schedule"):
                self._record(now, dataset, [FileOutcome(f"{dataset}/{n}", Outcome.STORED) for n in range(_STORED)])

    def _record(self, now: datetime, dataset: str, outcomes: Sequence[FileOutcome]) -> None:
        if outcomes:
            source = self.config.datasets[dataset].source
            fill = FillRecord("f", "r", source, dataset, "missing", "CRITICAL", 1.0, now)
            self.ledger.fills.record(FillEnd(fill, now, outcomes))

    def _of_playbyplay(self, minute: int, critical: str) -> Iterator[FileOutcome]:
        for name, first, last in self.faults:
            if name == "a critical file fails" and first <= minute < last and (minute - first) % 5 == 0:
                yield FileOutcome(critical, Outcome.FAILED, 1, failure=Failure.UNREACHABLE)
            elif name == "a critical file fails" and minute == last:
                yield FileOutcome(critical, Outcome.STORED, 1)
        if self._is_on("bodies are unfit", minute):
            yield FileOutcome("nba_api_playbyplay/x", Outcome.FAILED, 1, error="no game", failure=Failure.UNFIT)
        elif self._is_on("bodies are unfit", minute - 1):
            yield FileOutcome("nba_api_playbyplay/x", Outcome.STORED, 1)

    def _watch(self, minute: int, now: datetime) -> None:
        if minute % 60 == 0:
            self.ledger.announcements.progressed(now)
        if self._begins("unreadable messages", minute):
            self.ledger.unread_messages.keep([UnreadMessage("m", now, "not JSON", "x", 5)])
        if self._begins("events are missed", minute):
            self.ledger.announcements.found({f"k/{n}": Unannounced(None, now, None) for n in range(11)})
            self.ledger.announcements.count_missed(now)


_PLACES = (
    (Kind.SOURCE_PAUSED, "espn"),
    (Kind.FAILURES, "espn"),
    (Kind.LOST, SUMMARY),
    (Kind.CRITICAL_GAP, SUMMARY),
    (Kind.NO_RECONCILE, ""),
    (Kind.CRITICAL_FAILURES, PLAYBYPLAY),
    (Kind.CHECKS, PLAYBYPLAY),
    (Kind.LAKE, ""),
    (Kind.DEAD_LETTERS, ""),
    (Kind.MISSED_EVENTS, ""),
    (Kind.BREAKER, SUMMARY),
)
_NAMES = {
    "espn refuses": (30, 400),
    "many fail": (10, 200),
    "files vanish": (1, 40),
    "critical files wait": (30, 600),
    "no reconcile": (5, 120),
    "a critical file fails": (3, 60),
    "bodies are unfit": (2, 30),
    "the lake is away": (2, 60),
    "unreadable messages": (1, 1),
    "events are missed": (1, 1),
    "the breaker opens": (200, 200),
}


def _fail_at(minute: int, first: int, last: int) -> bool:
    """Do more than 25 % of both windows fail, if attempts fail from `first` to `last`?"""

    def share(window: int) -> float:
        minutes = range(max(minute - window, 0), minute + 1)
        failed = _FAIL * sum(first <= one < last for one in minutes)
        return failed / (failed + _STORED * sum(one % 15 == 0 for one in minutes))

    return min(share(15), share(6 * 60)) > 0.25


def _faults(seed: int) -> list[tuple[str, int, int]]:
    """Faults of each kind, at random times. While no look is made, none begins or ends that only a look sees."""
    chance = random.Random(seed)
    while True:
        found = list(_drawn(chance))
        silent = [(first, last) for name, first, last in found if name == "no reconcile"]
        seen = [(first, last) for name, first, last in found if name in _SEEN_BY_A_LOOK]
        if not any(first - 1 <= at <= last for first, last in silent for at in itertools.chain(*seen)):
            return found


def _drawn(chance: random.Random) -> Iterator[tuple[str, int, int]]:
    """One or two faults of each kind; two of one kind are some hours apart."""
    for name, (shortest, longest) in _NAMES.items():
        for begin in (0, DAY // 2)[: 1 if shortest == longest else 2]:
            first = begin + chance.randrange(10, DAY // 2 - longest - 100 if longest < 500 else 60)
            yield name, first, first + chance.randint(shortest, longest)


@pytest.mark.parametrize("seed", [1])
def test_a_day_of_faults_is_told_as_the_oracle_says(tmp_path: Path, seed: int) -> None:
    config = a_config(lake=tmp_path.as_uri(), alerts=Alerts(remind_every=timedelta(hours=6)))
    messages, closed = [], 0
    with closing(Ledger(f"sqlite:///{tmp_path / 'adce.db'}")) as ledger:
        life = Life(config, ledger, _faults(seed))
        for minute in range(DAY):
            others = life.live(minute)
            changes = evaluate(config, ledger, MIDNIGHT + minute * MINUTE, others)
            messages += [Message(minute, one.what, one.incident.kind, one.incident.scope) for one in changes]
            closed += sum(len(one.closes) for one in changes)
    oracle = expected(life.truth(), DAY)
    print(
        "TOO MANY",
        sorted(set(messages) - set(oracle.messages)),
        "LACK",
        sorted(set(oracle.messages) - set(messages)),
        life.faults,
    )
    assert sorted(messages) == oracle.messages
    assert closed == oracle.absorbed
    assert {message.kind for message in messages if message.what is What.OPENED} >= {
        Kind.LOST,
        Kind.CHECKS,
        Kind.BREAKER,
    }
