"""Who tells of incidents, and when? One process at a time evaluates and tells, each target by itself."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from blocks.alert_targets import WITHIN, target_of
from config.models import Config
from tasks import clock
from tasks.daemon_threads import in_daemon_thread
from tasks.domain.access import Access
from tasks.domain.alert_messages import Message
from tasks.domain.errors import LedgerError, NoLedgerError
from tasks.domain.incidents import Change, Fact, Incident, Incidents, Kind, QuietTime, step, unwatched, worst
from tasks.domain.wording import duration, plural, verb
from tasks.ledger import Ledger
from tasks.ledger.alert_targets import Turn
from tasks.ledger.database import LOCKED_SECONDS
from tasks.publish.courier import Courier
from tasks.publish.evaluation import evaluate, holds_of, settings_of
from tasks.publish.messages import message_about, place_of

log = logging.getLogger(__name__)
T = TypeVar("T")
Others = Callable[[], Iterable[Fact]]  # the facts that a process knows besides those of the ledger

EVERY = 15.0  # seconds from one round to the next
_LASTS = 60.0  # seconds for which the lease of whoever tells lasts, and what a process knows
_ANSWERS_WITHIN = LOCKED_SECONDS + 5.0  # seconds after which the ledger counts as away; a locked one says so itself


def no_facts() -> Iterable[Fact]:
    """Of a process that knows nothing besides the ledger."""
    return ()


@dataclass(frozen=True)
class _Round:
    """What one round has found in the ledger."""

    id: str  # of the ledger
    undelivered: Mapping[str, Sequence[Change]] | None  # by target; None if another process tells
    open: tuple[Incident, ...]  # the open incidents
    holds: tuple[QuietTime, ...]


@dataclass(frozen=True)
class _Adoptable:
    """The incident of the ledger itself while it was away, what was told of it, and which targets have got that."""

    incident: Incident
    changes: tuple[Change, ...]
    delivered: tuple[tuple[str, str], ...]  # ids of changes, and names of targets


class Notifier:
    """Evaluates the conditions, and tells the targets what follows. All of it runs in one event loop.

    While the ledger cannot be used, that one incident lives in memory, and is told from there; the ledger takes it over
    when it can be used again. Another process than the one that told before does not tell of it. Processes that have
    not reached the ledger since they began cannot know of each other, so each of them tells, and tells the end.
    """

    def __init__(
        self,
        config: Config,
        others: Others = no_facts,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        seconds: Callable[[], float] = clock.seconds,
        *,
        watches: Collection[Kind] = (),
        serves: bool = False,
    ):
        """`watches` has the kinds of facts that `others` finds out. `serves`: this is a service, and no run."""
        self._config, self._others, self._now, self._seconds = config, others, now, seconds
        self._watches, self._serves = watches, serves
        self._name = uuid.uuid4().hex
        targets = config.alerts.targets if config.alerts.owner == "adce" else {}
        self._couriers = [
            Courier(name, partial(target_of, name, target, config), self._record, seconds)
            for name, target in targets.items()
        ]
        self._deliveries: dict[str, asyncio.Task[None]] = {}
        self._ledger: Ledger | None = None
        self._opening = Lock()
        self._hanging: asyncio.Future[Any] | None = None  # what the ledger has not answered
        self._has_reached = False  # has the ledger ever answered?
        self._is_mine = True  # had this process the turn last, as far as it is known?
        self._sure_until = 0.0  # when the lease may lapse
        self._holds: tuple[QuietTime, ...] = ()
        self._memory = Incidents(prefix=f"m-{self._name[:8]}-")
        self._unadopted: list[Change] = []  # what was told from memory, and the ledger does not have yet
        self._was_away = False  # has the memory changed since the ledger answered?
        self._away: LedgerError | None = None  # why the ledger cannot be used, if that is to be told
        self._open: tuple[Incident, ...] = ()  # as the ledger had them last
        self._place = place_of(config)
        self._ends = False

    def open_targets(self) -> None:
        """Begins to open the targets, which takes a block of Prefect for some. An error is told and tried again."""
        for courier in self._couriers:
            self._begin(courier, (), self._may_send)

    async def round(self) -> None:
        """Evaluates once, and begins to tell what follows. Raises LedgerError if the ledger cannot be used."""
        now, asked, memory = self._now(), self._seconds(), self._memory
        asking = asyncio.ensure_future(self._ask(partial(self._evaluate, self._adoptable(), now)))
        while not (await asyncio.wait({asking}, timeout=EVERY))[0]:
            if self._away:  # a ledger that is locked is waited for, and the time of its incident goes on
                self._evaluate_in_memory(self._away, self._now())
        try:
            found = await asking
        except LedgerError as error:
            if self._has_reached or not isinstance(error, NoLedgerError):  # else no run has made it so far
                self._evaluate_in_memory(error, self._now() if self._away else now)
            raise
        self._take(found)
        self._sure_until = asked + _LASTS if self._is_mine else 0.0
        if self._memory is memory:  # else the next round takes over what has changed since
            self._memory = replace(memory, standing=tuple(one for one in found.open if one.kind is Kind.LEDGER))
            self._unadopted, self._was_away = [], False
        for courier in self._couriers:
            self._begin(courier, (found.undelivered or {}).get(courier.name, ()), self._may_send)

    def _take(self, found: _Round) -> None:
        """Notes what a round has found."""
        if self._has_reached and self._place.ledger != found.id:
            log.warning(
                "the ledger is another one than before; %s taken over from memory, and no pauses, silences or marks of "
                "operators",
                f"{plural(len(self._open), 'open incident')} {verb(len(self._open), 'is', 'are')}",
            )
        self._has_reached, self._is_mine = True, found.undelivered is not None
        self._holds, self._place = found.holds, place_of(self._config, found.id)
        self._open, self._away = found.open, None

    async def delivered(self) -> None:
        """Waits until nothing is being delivered."""
        await asyncio.gather(*self._deliveries.values())

    async def end(self, within: float) -> None:
        """Sends nothing new, waits some seconds for what is being sent, and lets another process tell."""
        self._ends = True
        sending = [task for task in self._deliveries.values() if not task.done()]
        if sending and (await asyncio.wait(sending, timeout=within))[1]:
            return  # what is being sent may arrive: the lease lapses by itself, and then another process sends it again
        if self._has_reached:
            with suppress(LedgerError):
                await self._ask(self._let_go)
        self._close()

    def _let_go(self, ledger: Ledger) -> None:
        if self._is_mine:
            self._note_troubles(ledger, self._now())
        ledger.process_facts.forget(self._name)
        ledger.alert_targets.let_go(self._name)

    def _evaluate(self, adoptable: _Adoptable | None, now: datetime, ledger: Ledger) -> _Round:
        """What a round does with the ledger, in a thread of its own."""
        if adoptable:
            ledger.incidents.adopt(adoptable.incident, adoptable.changes, adoptable.delivered, now=now)
        for lost in ledger.incidents.unknown(self._open):  # with its ledger, which was lost or restored
            ledger.incidents.adopt(lost, (), now=now)
        names = [courier.name for courier in self._couriers]
        ledger.process_facts.keep(self._name, self._others(), self._watches)
        turn = ledger.alert_targets.take_turn(self._name, names, now, _LASTS)
        due = self._evaluate_in_turn(turn, now, ledger) if turn else None
        return _Round(ledger.id, due, tuple(ledger.incidents.open()), holds_of(self._config, ledger, now))

    def _evaluate_in_turn(self, turn: Turn, now: datetime, ledger: Ledger) -> Mapping[str, Sequence[Change]]:
        """Evaluates by what all processes know. Returns what is to be told to each target."""
        others = [fact for fact in worst(ledger.process_facts.known(_LASTS)) if fact.kind is not Kind.LEDGER]
        over = unwatched(ledger.incidents.open(), others, ledger.process_facts.watched())
        pause = self._config.reconcile.interval
        since = ledger.alert_targets.served_since(now, pause) if self._serves else None
        evaluate(self._config, ledger, now, [*others, *over, Fact(Kind.LEDGER, "", 0)], since)
        for name, count in turn.given_up.items():
            text = "%s has not got %s within a day; %s not sent any more"
            log.warning(text, name, plural(count, "message"), verb(count, "it is", "they are"))
        self._note_troubles(ledger, now)
        waiting = {courier.name: courier.waiting for courier in self._couriers}
        return {
            name: ledger.incidents.undelivered(name, since, without=waiting[name]) for name, since in turn.since.items()
        }

    def _note_troubles(self, ledger: Ledger, now: datetime) -> None:
        """Keeps in the ledger which targets take messages, as far as this process knows."""
        ledger.alert_targets.note_troubles({one.name: one.trouble for one in self._couriers if one.is_known}, now)

    def _evaluate_in_memory(self, error: LedgerError, now: datetime) -> None:
        """Evaluates that the ledger is away, and begins to tell it."""
        if not self._is_mine:
            return  # another process tells
        settings = settings_of(self._config, self._holds)
        self._memory, changes = step(self._memory, [Fact(Kind.LEDGER, "", 1, reason=str(error))], now, settings)
        self._unadopted += changes
        self._was_away, self._away = True, error
        for courier in self._couriers:
            self._begin(courier, tuple(self._unadopted), lambda: not self._ends)

    def _adoptable(self) -> _Adoptable | None:
        """The incident that the ledger is to take over from memory; one that is not open is forgotten."""
        if not self._was_away or not self._memory.standing or not self._memory.standing[0].is_open:
            return None
        told = {change.id for change in self._unadopted}
        delivered = [(id_, one.name) for one in self._couriers for id_ in one.unrecorded if id_ in told]
        return _Adoptable(self._memory.standing[0], tuple(self._unadopted), tuple(delivered))

    def _may_send(self) -> bool:
        """Does no other process tell as long as a message may take?"""
        return not self._ends and self._seconds() + WITHIN < self._sure_until

    def _begin(self, courier: Courier, changes: Sequence[Change], may_send: Callable[[], bool]) -> None:
        """Begins to deliver changes to a target, unless it is still being told others."""
        former = self._deliveries.get(courier.name)
        if former is None or former.done():
            work = courier.deliver(changes, self._message, may_send)
            self._deliveries[courier.name] = asyncio.create_task(work, name=f"alerts {courier.name}")

    def _message(self, change: Change) -> Message:
        return message_about(change, self._config, self._place)

    async def _record(self, change: str, target: str) -> None:
        at = self._now()
        await self._ask(lambda ledger: ledger.incidents.record_delivery(change, target, at))

    async def _ask(self, work: Callable[[Ledger], T]) -> T:
        """Does something with the ledger, in a thread of its own. Raises LedgerError, also if the ledger hangs."""
        hangs = LedgerError(
            f"the ledger {self._config.ledger} has not answered for {duration(timedelta(seconds=_ANSWERS_WITHIN))}"
        )
        if self._hanging and not self._hanging.done():
            raise hangs
        asking = in_daemon_thread(lambda: self._with_ledger(work), "alerts ledger")
        if not (await asyncio.wait({asking}, timeout=_ANSWERS_WITHIN))[0]:
            self._hanging = asking
            raise hangs
        return await asking

    def _with_ledger(self, work: Callable[[Ledger], T]) -> T:
        with self._opening:
            ledger = self._ledger = self._ledger or Ledger(self._config.ledger, Access.CHANGE)
        try:
            return work(ledger)
        except LedgerError:  # its file may have been replaced
            self._close()
            raise

    def _close(self) -> None:
        with self._opening:
            ledger, self._ledger = self._ledger, None
        if ledger:
            ledger.close()
