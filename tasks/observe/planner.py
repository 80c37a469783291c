"""Which plan follows from the gaps, given the ledger's history and what is paused?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from config.models import Priority
from tasks.domain.assess.absences import Absence, keys_in_doubt
from tasks.domain.assess.gaps import Gap
from tasks.domain.flags.rollouts import covered
from tasks.domain.limits.pauses import Pause, Phase, all_trusted
from tasks.domain.limits.rates import budget_of
from tasks.domain.outcomes import RunPart
from tasks.domain.plan.lanes import LATENCY, START_UP, Capacity, forecast, with_eta
from tasks.domain.plan.plan import Fill, Plan, make_plan, why_paused
from tasks.domain.plan.scoring import success_factor
from tasks.domain.reasons import Limit, Reason, last_to_end
from tasks.ledger.attempts import VariantResults
from tasks.ledger.plans import RUN
from tasks.observe.session import Session

Counts = Mapping[str, tuple[float, float]]  # files stored and failed, by dataset; older files count less


class Planner:
    """Makes the plans of one session. It reads the history in the ledger once."""

    def __init__(self, session: Session, max_fills: int | None = None, priority: Priority | None = None):
        """A plan has at most `max_fills` fills. `priority`, if given, is the priority of all of them."""
        self.session = session
        self.max_fills = max_fills
        self.priority = priority
        self.stopped: dict[str, Reason] = {}  # why nothing is fetched, by source
        history, half_life = session.ledger.attempts, session.config.scoring.success.half_life
        self.latencies = history.latencies()  # in seconds, by source
        self.counts: Counts = history.outcomes_by_dataset(half_life, session.now())

    @classmethod
    def of_a_look(cls, session: Session, max_fills: int | None = None) -> Planner:
        """The planner of who only looks. Its plans leave out the sources that the last run had to leave out."""
        planner = cls(session, max_fills)
        if last := session.ledger.plans.kept(RUN):
            planner.stopped |= last.stopped(session.now())
        return planner

    def plan(
        self,
        gaps: Iterable[Gap],
        absences: Mapping[str, Absence],
        success: Mapping[str, float] | None = None,
        ends: datetime | None = None,
    ) -> Plan:
        """The plan for some gaps. It defers files whose source or scraper is paused beyond `ends`.

        `ends` is the end of the session by default. `success` is the success factor by dataset, by default that of the
        ledger's history. Files of a variant whose own address is paused now are planned without the variant.
        """
        session, now = self.session, datetime.now(UTC)
        paused = {name: pause for name, pause in self.pauses().items() if pause.phase(now) is Phase.OPEN}
        success = self.success(self.counts) if success is None else success
        doubtful = keys_in_doubt(absences.values())
        with session.watch.running(RunPart.PLAN):
            return make_plan(
                session.config,
                gaps,
                session.now(),
                success,
                paused,
                self.max_fills,
                self.priority,
                doubtful,
                self.held(),
                ends or session.ends,
            )

    def held(self) -> dict[str, Reason]:
        """Why nothing of a source or a dataset is fetched: its rate bucket is wrong, or an operator has paused it."""
        pauses = self.session.ledger.operator_pauses.current(datetime.now(UTC))
        paused = {name: why_paused(pause, Limit.OPERATOR_PAUSE) for name, pause in pauses.items()}
        both = {name: last_to_end(why, paused.get(name, why)) for name, why in self.stopped.items()}
        return paused | both

    def success(self, counts: Counts) -> dict[str, float]:
        """The success factors that follow from counts, by dataset."""
        return {name: success_factor(*count, self.session.config.scoring) for name, count in counts.items()}

    def pauses(self) -> dict[str, Pause]:
        """The pauses of sources and own addresses and the circuit breakers of scrapers, by name.

        Times that only a wrong clock can have written are left out.
        """
        return all_trusted(self.session.ledger.pauses.current(), self.session.config, datetime.now(UTC))

    def capacity(self, source: str, latency: float | None = None, start_up: float = START_UP) -> Capacity:
        """The rate and latency of a source; by default the latency is the one that the ledger remembers."""
        config = self.session.config
        latency = self.latencies.get(source, LATENCY) if latency is None else latency
        return Capacity(budget_of(config, source).spacing, latency, start_up, config.sources[source].lanes)

    def forecast(self, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        """The fills, each with the times at which it would start and end."""
        fills, config, now = list(fills), self.session.config, datetime.now(UTC)
        capacities = {source: self.capacity(source) for source in config.sources}
        opens = {n: (p.until - now).total_seconds() for n, p in self.pauses().items() if p.until}
        spans = forecast(fills, capacities, config.reconcile.max_concurrent, opens)
        return tuple(with_eta(fills, spans, self.session.now()))

    def rollouts(self) -> dict[str, tuple[VariantResults, VariantResults]]:
        """By rollout, the results since it began: of files fetched with its settings, and of its datasets' others."""
        config, results = self.session.config, self.session.ledger.attempts.variant_results
        return {name: results(name, covered(config, name)) for name in config.rollout}
