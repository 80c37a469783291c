"""What does a run have? Its session, its last look at the lake, the sites, what became of files, and when it stops."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from config.models import Config, Priority
from tasks.domain.assess.states import Status
from tasks.domain.assess.verdicts import Wholeness
from tasks.domain.errors import LakeError, LedgerError
from tasks.domain.expected.cells import Cell
from tasks.domain.expected.keys import folders
from tasks.domain.flags.rollouts import scrapers
from tasks.domain.lakes import Pairing
from tasks.domain.limits.rates import budget_of
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.lanes import START_UP, Supply
from tasks.domain.plan.plan import Deferral, Fill, Gap, Plan, without
from tasks.domain.reasons import Limit, Reason
from tasks.ledger.leases import RECONCILE
from tasks.ledger.runs import RunRecord
from tasks.log_lines import IN_REPORT
from tasks.observe.identity import leave_mark
from tasks.observe.knowledge import Knowledge
from tasks.observe.look import Look, Reader, look_at_lake, newly_due
from tasks.observe.planner import Planner
from tasks.observe.session import Session
from tasks.progress import PROGRESS
from tasks.run.outcomes import Outcomes
from tasks.run.shutdown import Shutdown
from tasks.upstream.client import SourceClient
from tasks.upstream.outage import Outage

log = logging.getLogger(__name__)

_START_WEIGHT = 0.2  # of the newest start in the running mean of start-up times
_MOST_TOLD = 20  # files in the log that vanished


class Run:
    """What the parts of a run share. Make it in the loop that it works in."""

    def __init__(self, session: Session, *, max_fills: int | None = None, priority: Priority | None = None):
        config = session.config
        self.session = session
        self.planner = Planner(session, max_fills, priority)
        self.known = Knowledge()  # of the last look, and what was stored since
        self.sources: dict[str, SourceClient] = {}
        self.scrapers = scrapers(config)  # the settings of each
        self.outcomes = Outcomes()
        self.lost: dict[str, Status] = {}  # what had vanished or shrunk when this run saw it first
        self.closed_folders: dict[str, LakeError] = {}  # of the lake, which cannot be written
        self.start_up = START_UP  # seconds from submitting a fill to its first request, a running mean
        self.pairing: Pairing | None = session.pairing
        self.shutdown = Shutdown(config.reconcile.grace, lambda: self.on_change())
        self.outage = Outage(lambda: session.lake.check_writable(folders(config.datasets.values())))
        self.outage.on_change = self._outage_changed
        self.on_change: Callable[[], None] = lambda: None  # the run was told to stop, or an outage has begun or is over
        self._reader = Reader(session)

    @property
    def config(self) -> Config:
        return self.session.config

    async def look(self, *, remember: bool) -> Look:
        """Looks at the lake anew."""
        look = await look_at_lake(self.session, self._reader, remember=remember)
        self.known = look.known
        self._note_lost(look)
        return look

    async def read(self, cells: Iterable[Cell]) -> None:
        """Reads stored bodies that nobody has read, as far as this run may."""
        await self._reader.read(self.known, cells)

    def plan(self, gaps: Iterable[Gap]) -> Plan:
        """The plan for some gaps, with what this run knows by now."""
        return self.planner.plan(gaps, self.known.absences, self.success())

    def newly_due(self, fill: Fill) -> list[Gap]:
        """The gaps among the games of the schedules that a fill has just brought."""
        if self.session.selection.keys:
            return []
        look = newly_due(self.session, self.known, [gap.cell for gap in fill.gaps if self._is_stored(gap.cell.key)])
        self._note_lost(look)
        return look.gaps()

    def success(self) -> dict[str, float]:
        """The success factor by dataset: of the ledger's history, and of what this run has done so far."""
        counts = dict(self.planner.counts)
        for name, (there, failed) in self.outcomes.by_dataset().items():
            before = counts.get(name, (0.0, 0.0))
            counts[name] = (before[0] + there, before[1] + failed)
        return self.planner.success(counts)

    def supply(self, source: str) -> Supply:
        """What a source gives, as far as it was measured."""
        client = self.sources.get(source)
        return self.planner.supply(source, client.latency, self.start_up) if client else self.planner.supply(source)

    def time_limit(self, fill: Fill) -> timedelta:
        """After which a fill is stopped: the configured limit, or twice its estimate and what its commands may take.

        Of a rate for all sources together it may get no more than its source's share.
        """
        sharing = budget_of(self.config, fill.source).sharing
        estimate = self.supply(fill.source).seconds(fill.cost)
        command = self.config.datasets[fill.dataset].command
        patience = len(fill.requests()) * command.timeout if command else timedelta()
        return max(self.config.reconcile.fill_time_limit, timedelta(seconds=2 * sharing * estimate) + patience)

    def has_started(self, seconds: float) -> None:
        """A fill has taken so long from being submitted to its first request."""
        self.start_up += _START_WEIGHT * (seconds - self.start_up)

    async def begin_to_store(self) -> None:
        """Before anything is asked for: sees that the lake can be written, and has it say which one it is."""
        session = self.session
        await session.lake.check_writable(folders(self.config.datasets.values()))
        if self.pairing and not self.config.test_mode:
            mark = await leave_mark(session.lake, session.ledger, self.pairing)
            self.pairing = Pairing(mark, is_marked=True)

    async def other_reconcile(self) -> RunRecord | None:
        """None when this is the one reconcile from now on; else the other, which is alive: it renews its lease."""
        leases = self.session.leases
        seen: tuple[str, float] | None = None
        while paused := leases.take(RECONCILE):
            record, seconds = paused
            until = time.monotonic() + seconds
            if seen and (record.id != seen[0] or until > seen[1] + 0.5):
                return record
            PROGRESS.get()(f"Is {record.holder} still at work?", 0, 1)
            seen = seen or (record.id, until)
            await asyncio.sleep(min(1.0, max(seconds, 0.05)))
        if seen:
            leases.bury_the_dead()  # who had it may only have slept, and is to learn that it has lost it
        return None

    def leave_to(self, other: RunRecord, gaps: Iterable[Gap]) -> Plan:
        """Everything is the other reconcile's."""
        reason = self.session.left_to_the_next_run(Limit.OTHER_RECONCILE, other.as_another)
        return Plan((), tuple(Deferral(gap, reason) for gap in gaps))

    def claim(self, fill: Fill) -> tuple[Fill | None, list[Gap]]:
        """What of a fill this run may do now, and the gaps that another run is at.

        What another run has stored since this one listed the lake is in neither.
        """
        session, works = self.session, {gap.cell.work for gap in fill.gaps}
        claimed, stored = session.ledger.fills.claim(session.leases, works, fill.keys, self.known.last_file)
        others = [gap for gap in fill.gaps if gap.cell.work not in claimed]
        return without(fill, stored | {gap.cell.key for gap in others}), others

    def release(self, fills: Iterable[Fill]) -> None:
        """Gives back what the run has claimed of some fills."""
        self.session.leases.release({gap.cell.work for fill in fills for gap in fill.gaps})

    async def stored_by_the_dead(self, fill: Fill) -> list[FileOutcome]:
        """Files of a fill that are good by now, since a run that died stored them: the ledger was not told."""
        session, known = self.session, self.known
        try:
            if not session.leases.others_died_since(session.begun):
                return []
            found = await session.lake.find_all(fill.keys)
            new = {k: o for k, o in found.items() if k not in known.objects or known.objects[k].etag != o.etag}
            known.objects |= new
            cells = [gap.cell for gap in fill.gaps if gap.cell.key in new]
            await self.read([cell for cell in cells if not known.is_examined(cell)])
        except LakeError:  # which the first file to be stored will meet
            return []
        except LedgerError as error:
            self.outage.end_by(error)
            return []
        good = [key for key, verdict in known.verdicts(cells).items() if verdict.wholeness is Wholeness.WHOLE]
        return [FileOutcome(key, Outcome.STORED, bytes=new[key].size) for key in good]

    def why_stopped(self) -> Reason:
        return self.session.left_to_the_next_run(self.shutdown.limit, f"the run was stopped: {self.shutdown.reason}")

    def why_not_written(self, error: LakeError | LedgerError) -> Reason:
        """Lake or ledger cannot be written."""
        limit = Limit.LAKE if isinstance(error, LakeError) else Limit.LEDGER
        return self.session.left_to_the_next_run(limit, str(error))

    def _outage_changed(self) -> None:
        """A fill that waits for the lake may wait as long as the run has time, and for the grace at least."""
        if self.outage.reason:
            left = (self.session.ends - datetime.now(UTC)).total_seconds()
            self.shutdown.extend(max(left, self.config.reconcile.grace.total_seconds()))
        self.on_change()

    def _is_stored(self, key: str) -> bool:
        outcome = self.outcomes.get(key)
        return outcome is not None and outcome.is_there

    def _note_lost(self, look: Look) -> None:
        """Keeps what had vanished or shrunk, and says so in the log, once, whoever has seen it before."""
        lost = {key: status for key, status in look.assessment.lost.items() if key not in self.lost}
        self.lost |= lost
        for key, status in list(lost.items())[:_MOST_TOLD]:
            log.error("%s %s: %s", key, status.kind and status.kind.value, status.reason, extra=IN_REPORT)
        if len(lost) > _MOST_TOLD:
            log.error("and %s more files that vanished or shrank", len(lost) - _MOST_TOLD, extra=IN_REPORT)
