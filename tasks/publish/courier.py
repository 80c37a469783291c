"""When is a message delivered to one target, and when again? In order, and later each time that it fails."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from blocks.alert_targets import AlertTarget, DeliveryError
from tasks.domain.alert_messages import Message
from tasks.domain.errors import LedgerError
from tasks.domain.incidents import Change
from tasks.domain.wording import duration
from tasks.observe.outages import Outage

log = logging.getLogger(__name__)

FIRST_WAIT = 15.0  # seconds after the first failure; twice as long after each further one
LONGEST_WAIT = 900.0
_LONGEST_ASKED = 3600.0  # seconds for which a target may ask to be left alone
_REMEMBERS = 10_000  # changes that are known to be delivered


class _Waits:
    """How long to wait after failures: twice as long each time, and as long as the target asks for."""

    def __init__(self) -> None:
        self.until = 0.0
        self._failures = 0

    def fail(self, now: float, asked: timedelta | None) -> float:
        """Notes a failure. Returns the seconds to wait."""
        wait: float = min(FIRST_WAIT * 2 ** min(self._failures, 10), LONGEST_WAIT)
        if asked:
            wait = max(wait, min(asked.total_seconds(), _LONGEST_ASKED))
        self._failures += 1
        self.until = now + wait
        return wait


class Courier:
    """Delivers changes to one target, which it opens first, also while there is nothing to deliver.

    `record` keeps in the ledger that a change was delivered. What cannot be recorded is remembered, so that only the
    death of this process lets it be delivered again.
    """

    def __init__(
        self,
        name: str,
        open_target: Callable[[], Awaitable[AlertTarget]],
        record: Callable[[str, str], Awaitable[None]],
        seconds: Callable[[], float],
    ):
        self.name = name
        self._open_target, self._record, self._seconds = open_target, record, seconds
        self._target: AlertTarget | None = None
        self._is_recorded: dict[str, bool] = {}  # by the ids of the changes that were delivered
        self._waits = _Waits()
        self._refused: dict[str, _Waits] = {}  # of single messages, by the ids of their changes
        self._outage = Outage(f"messages reach {name} again; they did not")
        self.trouble: str | None = None  # why it does not take messages
        self.is_known = False  # is it known whether it does?
        self._unopened = Outage(f"the settings of {name} can be read now; they could not")

    @property
    def unrecorded(self) -> list[str]:
        """The ids of the changes that were delivered, of which the ledger does not know."""
        return [one for one, is_recorded in self._is_recorded.items() if not is_recorded]

    @property
    def waiting(self) -> frozenset[str]:
        """The ids of the changes that the target has refused as such, and that are not due again yet."""
        now = self._seconds()
        return frozenset(id_ for id_, waits in self._refused.items() if now < waits.until)

    async def deliver(
        self, changes: Sequence[Change], message_of: Callable[[Change], Message], may_send: Callable[[], bool]
    ) -> None:
        """Delivers those changes that are not delivered yet, in their order, until one fails.

        A message that the target refuses as such holds up no other.
        """
        await self._record_rest()
        offered, waiting = {change.id for change in changes}, self.waiting
        self._refused = {id_: waits for id_, waits in self._refused.items() if id_ in offered or id_ in waiting}
        target = await self._opened()
        if target is None:
            return
        for change in changes:
            now = self._seconds()
            if now < self._waits.until or not may_send():
                return
            if change.id in self._is_recorded or (change.id in self._refused and now < self._refused[change.id].until):
                continue
            try:
                await self._send(target, message_of(change))
            except DeliveryError as error:
                self._fail(change, error)
            except Exception as error:  # whatever it is, it is told, and tried again
                self._fail(change, DeliveryError(f"alerts.targets.{self.name}: {error!r}"))
            else:
                self._is_recorded[change.id] = False
                self._refused.pop(change.id, None)
                self._waits = _Waits()
                if not self._refused:
                    self.trouble, self.is_known = None, True
                    self._outage.ended()
                await self._record_rest()

    async def _opened(self) -> AlertTarget | None:
        """The target; None if it cannot be opened now, which is tried again as a message is."""
        if self._target is None and self._seconds() >= self._waits.until:
            try:
                self._target = await self._open_target()
            except Exception as error:  # whatever it is, it is told, and tried again
                why = error if isinstance(error, DeliveryError) else f"alerts.targets.{self.name}: {error!r}"
                wait = self._waits.fail(self._seconds(), None)
                self._note(str(why))
                self._unopened.failed(f"{why}; that is tried again in {duration(timedelta(seconds=wait))}")
            else:
                self._waits = _Waits()
                self._unopened.ended()
        return self._target

    async def _send(self, target: AlertTarget, message: Message) -> None:
        await target.deliver(message)
        log.info("%s is told: %s", self.name, message.title)

    def _fail(self, change: Change, error: DeliveryError) -> None:
        waits = self._refused.setdefault(change.id, _Waits()) if error.is_of_message else self._waits
        wait = waits.fail(self._seconds(), error.wait)
        self._note(str(error))
        self._outage.failed(f"{error}; the message is sent again in {duration(timedelta(seconds=wait))}")

    def _note(self, why: str) -> None:
        self.trouble, self.is_known = why.removeprefix(f"alerts.targets.{self.name}: "), True

    async def _record_rest(self) -> None:
        """Records what was delivered, as far as the ledger lets it, and forgets what was recorded long ago."""
        for id_ in self.unrecorded:
            try:
                await self._record(id_, self.name)
            except LedgerError:
                return
            self._is_recorded[id_] = True
        for id_ in [one for one, is_recorded in self._is_recorded.items() if is_recorded][:-_REMEMBERS]:
            del self._is_recorded[id_]
