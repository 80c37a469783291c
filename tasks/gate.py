"""May this source be asked now? Its pause and the breakers of its scrapers, as the ledger holds them for everybody."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from config.models import BreakerRules, Maintenance, Source
from tasks.domain import holds
from tasks.domain.errors import HeldError, RefusedError
from tasks.domain.holds import Hold, Phase
from tasks.domain.maintenance import window_at
from tasks.domain.pacing import spacing
from tasks.domain.plan import why_held
from tasks.ledger import Ledger

log = logging.getLogger(__name__)

_FRESH = 0.5  # seconds for which what the ledger said is believed: so late do other processes learn of a pause
WORTH_WAITING = timedelta(seconds=5)  # a fill that has to wait longer gives its lane to another source
_RAMP_REQUESTS = 8  # the ramp of a slow source lasts so many requests


@dataclass(frozen=True, slots=True)
class Pass:
    """A request may go, and as whose probe."""

    probes: tuple[str, ...] = ()


class Gate:
    """The holds of one source and of its scrapers. Time is the real clock: a refusal is a fact of today."""

    def __init__(
        self,
        source: str,
        settings: Source,
        breaker: BreakerRules,
        ledger: Ledger,
        maintenance: Sequence[Maintenance] = (),
    ):
        self.source = source
        self._maintenance = maintenance
        self._rules = settings.backoff
        self._breaker = breaker
        self._ledger = ledger
        self._ramp = max(settings.backoff.ramp, timedelta(seconds=_RAMP_REQUESTS * spacing(settings.rates)))
        self._known: dict[str, Hold] = {}
        self._read_at = float("-inf")

    async def enter(self, scraper: str) -> Pass:
        """Waits out a short pause. Raises HeldError for a long one, and while somebody else's probe takes long."""
        waited_since = _now()
        while True:
            now = _now()
            held = [hold for hold in map(self.hold, (self.source, scraper)) if hold.phase(now) is not Phase.CLOSED]
            if not held:
                return Pass()
            for hold in held:
                assert hold.until is not None
                if hold.until - now > WORTH_WAITING:
                    what = "source paused" if hold.name == self.source else "breaker open"
                    raise HeldError(why_held(hold, what), hold.until)
            if all(hold.may_probe(now) for hold in held):
                probes = [hold.name for hold in held if self._claim(hold.name)]
                if len(probes) == len(held):
                    log.info("%s is asked again, once: %s", self.source, held[0].reason)
                    return Pass(probes=tuple(probes))
                self.give_up(Pass(probes=tuple(probes)))
            elif now - waited_since > WORTH_WAITING:
                raise HeldError(f"a first request to {held[0].name} is not answered yet", now + WORTH_WAITING)
            await asyncio.sleep(0.1)

    def slower(self) -> float:
        """How many times as far apart as the rate asks for requests are at this moment."""
        return self.hold(self.source).slower(_now(), self._ramp)

    def is_open(self, scraper: str, entered: Pass) -> bool:
        """Has nothing been held since a request was let in?"""
        now = _now()
        names = {self.source, scraper} - set(entered.probes)
        return all(self.hold(name).phase(now) is Phase.CLOSED for name in names)

    def hold(self, name: str) -> Hold:
        """What the ledger said, at most half a second ago; or a maintenance window, if that lasts longer."""
        if time.monotonic() - self._read_at > _FRESH:
            self._known, self._read_at = self._ledger.holds(), time.monotonic()
        known = self._known.get(name) or Hold(name)
        window = (
            window_at(self._maintenance, (name.partition("@")[0], self.source), _now()) if self._maintenance else None
        )
        if window is None or (known.until and window.until and window.until < known.until):
            return known
        return window

    def refused(self, error: RefusedError, asked: datetime) -> Hold:
        """The source has refused a request that was sent at `asked`."""
        before = self.hold(self.source)
        after = self._change(
            self.source,
            lambda hold: holds.refused(
                hold,
                self._rules,
                asked,
                _now(),
                str(error),
                shut_out=error.shut_out,
                wait=error.wait,
                jitter=random.random(),
            ),
        )
        if after.until != before.until:
            log.warning("%s is left alone until %s: %s", self.source, f"{after.until:%H:%M:%S}", error)
        return after

    def failed(self, scraper: str, reason: str, asked: datetime, *, answered: bool = True) -> None:
        """A file of a scraper could not be had: the scraper's failure, not the source's refusal, if it `answered`."""
        if answered:
            self._answered(asked)
        after = self._change(scraper, lambda hold: holds.failed(hold, self._breaker, asked, _now(), reason))
        if after.phase(_now()) is Phase.OPEN:
            log.warning("breaker of %s open until %s: %s", scraper, f"{after.until:%H:%M:%S}", after.reason)

    def succeeded(self, scraper: str, asked: datetime) -> None:
        self._answered(asked)
        hold = self.hold(scraper)
        if hold.until is not None or hold.failures:
            self._change(scraper, lambda hold: holds.succeeded(hold, asked, _now()))

    def give_up(self, entered: Pass) -> None:
        """The probes that were to be made will not be: somebody else may."""
        for name in entered.probes:
            self._change(name, lambda hold: replace(hold, probe_until=None))

    def _answered(self, asked: datetime) -> None:
        if self.hold(self.source).until is not None:
            self._change(self.source, lambda hold: holds.succeeded(hold, asked, _now()))

    def _claim(self, name: str) -> bool:
        claimed = False

        def claim(hold: Hold) -> Hold:
            nonlocal claimed
            claimed = hold.may_probe(_now())
            return replace(hold, probe_until=_now() + holds.PROBE_PATIENCE) if claimed else hold

        self._change(name, claim)
        return claimed

    def _change(self, name: str, change: Callable[[Hold], Hold]) -> Hold:
        self._known[name] = self._ledger.change_hold(name, change)
        return self._known[name]


def _now() -> datetime:
    return datetime.now(UTC)
