"""Which plan follows from the gaps? With the ledger's history, and what is paused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from config.models import Priority
from tasks.domain.assess.absences import Absence, doubted
from tasks.domain.flags.rollouts import covered, own_addresses
from tasks.domain.limits.pauses import Pause, all_believed
from tasks.domain.limits.rates import budget_of
from tasks.domain.outcomes import RunPart
from tasks.domain.plan.lanes import LATENCY, START_UP, Supply, foresee, with_eta
from tasks.domain.plan.plan import Fill, Gap, Plan, make_plan
from tasks.domain.plan.scoring import success_factor
from tasks.ledger.attempts import Tally
from tasks.observe.session import Session

Counts = Mapping[str, tuple[float, float]]  # files stored and failed, by dataset; older ones count for less


class Planner:
    """Makes the plans of one session; what the ledger says of the past is read once."""

    def __init__(self, session: Session, max_fills: int | None = None, priority: Priority | None = None):
        """No more than `max_fills` are planned, and with `priority` all of them have that one."""
        self.session = session
        self.max_fills = max_fills
        self.priority = priority
        history, half_life = session.ledger.attempts, session.config.scoring.success.half_life
        self.latencies = history.latencies()  # seconds by source
        self.counts: Counts = history.outcomes_by_dataset(half_life, session.now())

    def plan(
        self,
        gaps: Iterable[Gap],
        absences: Mapping[str, Absence],
        success: Mapping[str, float] | None = None,
        ends: datetime | None = None,
    ) -> Plan:
        """The plan for some gaps. What is held until the session `ends` is left for later.

        `success` is the factor by dataset, if more is known than the ledger's history.
        """
        session, now = self.session, datetime.now(UTC)
        ends = ends or session.ends
        own = own_addresses(session.config)  # what a variant would have to wait for goes the usual way
        paused = {n: h for n, h in self.pauses().items() if h.until and h.until > (now if n in own else ends)}
        success = self.success(self.counts) if success is None else success
        doubtful = doubted(absences.values())
        with session.watch.running(RunPart.PLAN):
            return make_plan(
                session.config, gaps, session.now(), success, paused, self.max_fills, self.priority, doubtful
            )

    def success(self, counts: Counts) -> dict[str, float]:
        """The success factor by dataset."""
        return {name: success_factor(*count, self.session.config.scoring) for name, count in counts.items()}

    def pauses(self) -> dict[str, Pause]:
        """Who is left alone, without what a wrong clock has written."""
        return all_believed(self.session.ledger.breakers.now(), self.session.config, datetime.now(UTC))

    def supply(self, source: str, latency: float | None = None, start_up: float = START_UP) -> Supply:
        """What a source gives: with the latency that was measured, or that the ledger remembers."""
        config = self.session.config
        latency = self.latencies.get(source, LATENCY) if latency is None else latency
        return Supply(budget_of(config, source).spacing, latency, start_up, config.sources[source].lanes)

    def foresee(self, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        """The fills, each with when it would start and end."""
        fills, config, now = list(fills), self.session.config, datetime.now(UTC)
        supplies = {source: self.supply(source) for source in config.sources}
        opens = {n: (h.until - now).total_seconds() for n, h in self.pauses().items() if h.until}
        spans = foresee(fills, supplies, config.reconcile.max_concurrent, opens)
        return tuple(with_eta(fills, spans, self.session.now()))

    def rollouts(self) -> dict[str, tuple[Tally, Tally]]:
        """How each rollout and the rest of its datasets have fared since it began."""
        config, tallies = self.session.config, self.session.ledger.attempts.tallies
        return {name: tallies(name, covered(config, name)) for name in config.rollout}
