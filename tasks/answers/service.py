"""What does the service tell of the whole system, as the ledger and the configuration have it at one moment?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from blocks.store import Store
from config.models import Config
from tasks.answers.ending import INCOMPLETE
from tasks.answers.metrics import measured
from tasks.answers.recorded import coverage_of, is_of, unknown_of
from tasks.answers.runs import PastRun, joined
from tasks.answers.sources import EventsNow, SourceNow, events_now, sources_now
from tasks.domain.access import Access
from tasks.domain.assess.coverage import Coverage
from tasks.domain.assess.periods import By
from tasks.domain.assess.unknown import MayListMore
from tasks.domain.errors import LedgerError
from tasks.domain.expected.cells import Selection
from tasks.domain.flow_names import FLOWS
from tasks.domain.incidents import Incident
from tasks.domain.lakes import no_ledger
from tasks.domain.metrics import Measured
from tasks.ledger import Ledger
from tasks.ledger.incidents import Silence
from tasks.ledger.leases import live_claims, live_flow_runs
from tasks.ledger.plans import RUN, KeptPlan

_MOST_RUNS = 20  # of those that are not at work any more
_LATELY = timedelta(days=7)
_ENDED_LATELY = timedelta(days=1)
_LONGEST_PLAN = 32_000_000  # bytes of JSON, which take a few times as much memory; some 300,000 files


@dataclass(frozen=True, eq=False)
class Recorded:
    """The coverage by season that the last look at the whole lake has recorded. Each record is equal to itself only."""

    mark: Any  # of the record, which differs from that of another one
    coverage: Coverage
    unknown: Sequence[MayListMore]


@dataclass(frozen=True)
class Snapshot:
    """What the ledger had at one moment, and what follows from it with the configuration."""

    config: Config
    at: datetime
    seconds: float  # how long it took to read
    sources: Sequence[SourceNow]
    events: EventsNow | None
    runs: Sequence[PastRun]  # those at work, and then the last ones
    finished: datetime | None  # when the last reconcile ended that has worked through its plan
    incomplete: str  # what that one has left undone that needs mending, in words; empty if nothing
    plan: KeptPlan | None  # the plan of the last reconcile
    measured: Measured
    recorded: Recorded | None  # None if no look at the whole of this lake is recorded
    incidents: Sequence[Incident]  # those that are open, and then those that have ended lately, the last one first
    evaluated: datetime | None  # when the conditions of incidents were evaluated last
    silences: Sequence[Silence]
    in_flight: int  # requests that runs at work have claimed
    server: str | None  # the address of the Prefect server of the last run
    other_lake: str | None  # the address of another lake, if the look that is recorded is one at that

    @property
    def last_end(self) -> datetime | None:
        """When a run has ended last; None if none did."""
        return max((run.ended for run in self.runs if run.ended), default=None)

    @property
    def lake(self) -> str:
        """The address of the lake, without secrets."""
        return Store(self.config.lake).address


def snapshot(config: Config, now: datetime, former: Snapshot | None = None) -> Snapshot:
    """Reads the ledger, in one transaction. Raises LedgerError, also if there is no ledger.

    The plan, and what is recorded of the last look, are read only if they are not those of the `former` snapshot.
    """
    began = time.perf_counter()
    with closing(Ledger(config.ledger, Access.LOOK)) as ledger:
        if not ledger.is_there:
            raise LedgerError(no_ledger(ledger.name))
        look = ledger.looks.last()
        plan = ledger.plans.unless_former(RUN, former.plan if former else None, _LONGEST_PLAN)
        last = ledger.looks.finished_by()
        alive = live_flow_runs(ledger.database)
        recorded = ledger.runs.begun_since(now - _LATELY, FLOWS, _MOST_RUNS, alive)
        return Snapshot(
            config,
            now,
            sources=sources_now(config, ledger, now, plan),
            events=events_now(ledger, now),
            runs=joined([], recorded, alive),
            finished=ledger.looks.finished(),
            plan=plan,
            incomplete=last.why or INCOMPLETE if last and last.needs_mending else "",
            measured=measured(config, ledger, now),
            recorded=_recorded(config, ledger, former.recorded if former else None),
            incidents=[*ledger.incidents.open(), *_ended(ledger, now)],
            evaluated=ledger.incidents.evaluated_at(),
            silences=ledger.incidents.silences(now),
            in_flight=live_claims(ledger.database),
            server=ledger.runs.last_server(),
            other_lake=look.lake if look and not is_of(look, config) else None,
            seconds=time.perf_counter() - began,
        )


def _ended(ledger: Ledger, now: datetime) -> list[Incident]:
    return [one for one in ledger.incidents.closed_since(now - _ENDED_LATELY) if one.opened]


def _recorded(config: Config, ledger: Ledger, former: Recorded | None) -> Recorded | None:
    mark = ledger.looks.last(), ledger.looks.gauges()
    if former and former.mark == mark:
        return former
    look = ledger.looks.recorded(by_season=True)
    if look is None or not is_of(look, config):
        return None
    coverage = coverage_of(look, config, Selection())
    by_season = replace(coverage, finest=tuple(coverage.rows(By.SEASON)))
    return Recorded(mark, by_season, unknown_of(look, config, Selection()))
