"""May a source be asked now? The pause of a source and the circuit breakers of its scrapers, shared in the ledger."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from config.models import BreakerRules, Maintenance, Source
from tasks.domain.errors import PausedError, RefusedError
from tasks.domain.flags.maintenance import window_at
from tasks.domain.limits import pauses
from tasks.domain.limits.pauses import OperatorPause, Pause, Phase
from tasks.domain.limits.rates import Budget
from tasks.domain.plan.plan import why_paused, why_waiting
from tasks.domain.reasons import Limit
from tasks.domain.wording import utc
from tasks.ledger import Ledger
from tasks.log_lines import about

log = logging.getLogger(__name__)

_FRESH = 0.5  # seconds for which a read of the ledger is used; other processes notice a pause that much later
WORTH_WAITING = timedelta(seconds=5)  # a fill that has to wait longer gives its lane to another source
_RAMP_REQUESTS = 8  # after a pause, the rate grows over at least as long as this many requests take


@dataclass(frozen=True, slots=True)
class Admission:
    """Permission to send one request.

    If the request is a half-open probe, `probes` maps the name of each pause or circuit breaker that it probes to the
    time at which our claim on the probe expires. Then another process may probe.
    """

    probes: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(eq=False)
class RateLimiter:
    """The pause of one source, or of a variant's own address, and the circuit breakers of the source's scrapers.

    All times are those of the real clock, even if the run's clock was set with `--as-of`.
    """

    source: str
    settings: Source
    budget: Budget
    breaker: BreakerRules
    ledger: Ledger
    maintenance: Sequence[Maintenance] = ()
    longest_probe: timedelta = pauses.LONGEST_ASKED
    _known: dict[str, Pause] = field(default_factory=dict, init=False)
    _by_operators: dict[str, OperatorPause] = field(default_factory=dict, init=False)
    _read_at: float = field(default=float("-inf"), init=False)

    @property
    def _spacing(self) -> timedelta:
        return timedelta(seconds=self.budget.spacing)

    def for_own_address(self, own_address: str) -> RateLimiter:
        """The rate limiter of the same source at a variant's own address. Only refusals there pause that address."""
        return replace(self, source=own_address)

    async def enter(self, scraper: str, requests: int = 1) -> Admission:
        """Waits out a short pause, and returns the permission to send `requests` requests.

        Raises PausedError for a pause longer than WORTH_WAITING, and if another process's probe takes longer than that.
        A probe is claimed for as long as the requests may have to wait for the bucket. The loop is written by hand,
        because it waits for what other processes do.
        """
        # Besides these requests, as many as there are connections may wait for the bucket.
        claim_for = pauses.PROBE_TIMEOUT + (self.settings.connections + requests) * self._spacing
        waited_since = _now()
        while True:
            now = _now()
            paused = [
                pause for pause in map(self.pause, (self.source, scraper)) if pause.phase(now) is not Phase.CLOSED
            ]
            if not paused:
                return Admission()
            last = max(paused, key=lambda pause: pause.until or now)
            if last.until and last.until - now > WORTH_WAITING:
                limit = Limit.BACKOFF if last.name == self.source else Limit.BREAKER
                raise PausedError(why_paused(last, limit), last.until)
            if all(pause.may_probe(now) for pause in paused):
                claims = {pause.name: self._claim(pause.name, claim_for) for pause in paused}
                entered = Admission({name: claim for name, claim in claims.items() if claim})
                if len(entered.probes) == len(paused):
                    fields = about(source=self.source, limit=Limit.PROBE, reason=paused[0].reason)
                    log.info("%s is probed with one request: %s", self.source, paused[0].reason, extra=fields)
                    return entered
                self.give_up(entered)
            elif now - waited_since > WORTH_WAITING:
                probed = next((pause for pause in paused if not pause.may_probe(now)), paused[0])
                waiting = why_waiting(probed, now)
                raise PausedError(waiting, waiting.until or now + WORTH_WAITING)
            await asyncio.sleep(0.1)

    def slower(self) -> float:
        """The factor by which the spacing of requests is stretched now, while the rate grows back after a pause."""
        ramp = max(self.settings.backoff.ramp, _RAMP_REQUESTS * self._spacing)
        return self.pause(self.source).slower(_now(), ramp)

    def confirm(self, scraper: str, entered: Admission, lasts: timedelta) -> Admission | None:
        """Confirms a permission after the wait for the bucket, and extends the claims on its probes.

        `lasts` is how long the request may take. If a pause has begun meanwhile, or another process has taken over an
        expired claim, all claims are given up, and the result is None.
        """
        probes: dict[str, datetime] = {}
        for name in dict.fromkeys((self.source, scraper)):
            phase, mine = self.pause(name).phase(_now()), entered.probes.get(name)
            if mine is None and phase is Phase.CLOSED:
                continue
            claim = mine and phase is Phase.HALF_OPEN and self._claim(name, lasts + pauses.PROBE_TIMEOUT, mine)
            if not claim:
                self.give_up(Admission({**entered.probes, **probes}))
                return None
            probes[name] = claim
        return Admission(probes)

    def pause(self, name: str) -> Pause:
        """The pause or circuit breaker of this name, as the ledger had it at most half a second ago.

        If a maintenance window is open, or an operator has paused the source or the dataset, and that lasts longer, it
        is returned instead.
        """
        if time.monotonic() - self._read_at > _FRESH:
            self._known, self._read_at = self.ledger.pauses.current(), time.monotonic()
            self._by_operators = self.ledger.operator_pauses.current(_now())
        now, names = _now(), (name.partition("@")[0], self.source.partition("@")[0])
        known = self._trusted(self._known.get(name) or Pause(name))
        windows: list[Pause] = [pause for of in names if (pause := self._by_operators.get(of)) and pause.is_on(now)]
        if self.maintenance and (window := window_at(self.maintenance, names, now)):
            windows.append(window)
        return max([known, *windows], key=lambda pause: pause.until.timestamp() if pause.until else 0.0)

    def refused(self, error: RefusedError, asked: datetime) -> Pause:
        """Records that the source has refused a request that was sent at `asked`, or has not answered it in time.

        Returns the pause that follows.
        """
        before = self.pause(self.source)
        after = self._known[self.source] = self.ledger.pauses.record_refusal(
            self.source,
            lambda pause: pauses.refused(
                pause,
                self.settings.backoff,
                asked,
                _now(),
                str(error),
                shut_out=error.shut_out,
                wait=error.wait,
                jitter=random.random(),
            ),
            is_counted=not error.unreachable,
        )
        if after.until and after.until != before.until:
            fields = about(source=self.source, limit=Limit.BACKOFF, reason=error)
            log.warning("%s is paused until %s: %s", self.source, utc(after.until), error, extra=fields)
        return after

    def failed(self, scraper: str, reason: str, asked: datetime, *, answered: bool = True) -> None:
        """Records that a request of a scraper, sent at `asked`, has failed. `answered`: the source has answered it.

        An answer that is no refusal ends the source's probe, even if the file cannot be used.
        """
        if answered:
            self._answered(asked)
        after = self._change(scraper, lambda pause: pauses.failed(pause, self.breaker, asked, _now(), reason))
        if after.until and after.phase(_now()) is Phase.OPEN:
            fields = about(source=self.source, dataset=scraper, limit=Limit.BREAKER, reason=after.reason)
            log.warning("breaker of %s open until %s: %s", scraper, utc(after.until), after.reason, extra=fields)

    def succeeded(self, scraper: str, asked: datetime) -> None:
        """Records that a request of a scraper, sent at `asked`, brought a good file."""
        self._answered(asked)
        pause = self.pause(scraper)
        if pause.until is not None or pause.failures:
            self._change(scraper, lambda pause: pauses.succeeded(pause, asked, _now()))

    def answered(self, scraper: str, asked: datetime) -> None:
        """Records that the source does not have a file. This is neither a success nor a failure of the scraper.

        It ends the probe of an open circuit breaker, because the scraper works.
        """
        self._answered(asked)
        if self.pause(scraper).until is not None:
            self._change(scraper, lambda pause: pauses.succeeded(pause, asked, _now()))

    def give_up(self, entered: Admission) -> None:
        """Gives up the claims of a permission, so that another request may probe."""
        for name, claim in entered.probes.items():
            self._change(name, partial(_without, claim))

    def _trusted(self, known: Pause) -> Pause:
        """The pause without times so late that a wrong clock must have written them. The ledger is corrected too."""
        is_source = known.name == self.source
        longest = pauses.longest_pause(self.settings.backoff) if is_source else pauses.longest_open(self.breaker)
        if pauses.trusted(known, longest, _now(), self.longest_probe) == known:
            return known
        ahead = [at for at in (known.until, known.since, known.probe_until, known.resumed_at, *known.failures) if at]
        log.warning("%s: the time %s is too far ahead to be right, and is ignored", known.name, max(ahead))
        return self._change(known.name, lambda pause: pauses.trusted(pause, longest, _now(), self.longest_probe))

    def _answered(self, asked: datetime) -> None:
        if self.pause(self.source).until is not None:
            self._change(self.source, lambda pause: pauses.succeeded(pause, asked, _now()))

    def _claim(self, name: str, lasts: timedelta, mine: datetime | None = None) -> datetime | None:
        """Claims a probe, or renews the claim `mine`. Returns when it expires, or None if another process has it."""
        claimed: datetime | None = None

        def claim(pause: Pause) -> Pause:
            nonlocal claimed
            now = _now()
            if not pause.may_probe(now, mine):
                return pause
            claimed = now + lasts
            return replace(pause, probe_until=claimed)

        self._change(name, claim)
        return claimed

    def _change(self, name: str, change: Callable[[Pause], Pause]) -> Pause:
        self._known[name] = self.ledger.pauses.change(name, change)
        return self._known[name]


def _without(claim: datetime, pause: Pause) -> Pause:
    return replace(pause, probe_until=None) if pause.probe_until == claim else pause


def _now() -> datetime:
    return datetime.now(UTC)
