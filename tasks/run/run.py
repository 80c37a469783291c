"""What do the parts of a run share? The session, the last look at the lake, the sites, the outcomes, the shutdown."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from config.models import Config, Priority
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Examination, LakeObject, Status, version_of
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tasks.domain.errors import BucketError, LakeError, LedgerError
from tasks.domain.expected.cells import Cell
from tasks.domain.expected.keys import folders
from tasks.domain.flags.rollouts import scrapers
from tasks.domain.lakes import Pairing
from tasks.domain.limits.rates import budget_of
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.lanes import START_UP, Capacity
from tasks.domain.plan.plan import Deferral, Fill, Plan, without
from tasks.domain.reasons import Limit, Reason
from tasks.ledger.leases import RECONCILE
from tasks.ledger.runs import RunRecord
from tasks.log_lines import IN_REPORT, about
from tasks.observe.identity import write_mark
from tasks.observe.knowledge import Knowledge
from tasks.observe.look import Look, Reader, look_at_lake, look_up, look_up_newly_due, newly_due
from tasks.observe.planner import Planner
from tasks.observe.session import Session
from tasks.progress import PROGRESS
from tasks.run.outcomes import Outcomes
from tasks.run.shutdown import Shutdown
from tasks.upstream.client import SourceClient
from tasks.upstream.outage import Outage

log = logging.getLogger(__name__)

_START_WEIGHT = 0.2  # weight of the newest start in the running mean of start-up times
_MOST_LOGGED = 20  # files that vanished or shrank; the log counts the others


class Run:
    """What the parts of a run share. Create it in the event loop that the run uses."""

    def __init__(self, session: Session, *, max_fills: int | None = None, priority: Priority | None = None):
        config = session.config
        self.session = session
        self.planner = Planner(session, max_fills, priority)
        self.known = Knowledge()  # what the last look found, and the files that were stored since
        self.sources: dict[str, SourceClient] = {}
        self.scrapers = scrapers(config)  # the settings of each scraper
        self.outcomes = Outcomes()
        self.lost: dict[str, Status] = {}  # files that had vanished or shrunk when this run first saw them
        self.closed_folders: dict[str, LakeError] = {}  # folders of the lake that cannot be written, and why
        self.start_up = START_UP  # seconds from submitting a fill to its first request: expected, then a running mean
        self.pairing: Pairing | None = session.pairing
        self.by_schedule = False  # nobody has started it, so it may list only where something can have changed
        self.shutdown = Shutdown(config.reconcile.grace, lambda: self.on_change())
        self.outage = Outage(lambda: session.lake.check_writable(folders(config.datasets.values())))
        self.outage.on_change = self._outage_changed
        self.on_change: Callable[[], None] = lambda: None  # called when the run is to stop, and when an outage changes
        self._reader = Reader(session)
        self._has_looked = False

    @property
    def config(self) -> Config:
        """The configuration of the session."""
        return self.session.config

    async def look(self) -> Look:
        """Looks at the lake again. Gaps that were never seen before are recorded in the ledger, if it remembers.

        Only the first look of a run may use an inventory.
        """
        remembers, is_first = self.session.remembers, not self._has_looked
        look = await look_at_lake(
            self.session, self._reader, remember=remembers, by_schedule=self.by_schedule, by_inventory=is_first
        )
        self._has_looked = True
        self.known = look.known
        self._note_lost(look)
        return look

    async def read(self, cells: Iterable[Cell]) -> None:
        """Reads files in the lake that the present body checks have not read, up to the limit for a run."""
        await self._reader.read(self.known, cells)

    def learn(
        self,
        cell: Cell,
        have: LakeObject,
        verdict: Verdict,
        taken: datetime | None = None,
        *,
        agreed: bool = False,
        changed: bool = False,
    ) -> None:
        """Records what was found in the present version of a file. See Examination for `agreed` and `changed`."""
        version = version_of(have, self.session.checks[cell.scraper])
        self.known.stored(cell.key, have, Examination(*version, verdict, taken, agreed, changed=changed))

    def plan(self, gaps: Iterable[Gap]) -> Plan:
        """The plan for these gaps, with the success of each dataset so far."""
        return self.planner.plan(gaps, self.known.absences, self.success())

    async def look_up(self, plan: Plan, gaps: Collection[Gap]) -> Plan:
        """The plan for these gaps, without those of which the lake shows, when it is asked, that they are none now.

        It is asked for planned files in ranges of keys that the last look did not list.
        """
        closed: set[str] = set()
        while unknown := [gap for fill in plan.fills for gap in fill.gaps if not self.known.has_asked(gap.cell.key)]:
            closed |= await look_up(self.session, self._reader, self.known, unknown)
            plan = self.plan(gap for gap in gaps if gap.cell.key not in closed)
        return plan

    async def look_up_newly_due(self, fill: Fill) -> None:
        """Asks the lake for the games that `newly_due` judges, as far as the last look did not."""
        if not self.session.selection.keys:
            try:
                await look_up_newly_due(self.session, self.known, self._stored(fill))
            except LakeError as error:
                log.warning("%s; games that are newly listed are left to the next run", error)

    def newly_due(self, fill: Fill) -> list[Gap]:
        """The gaps among the games that are listed in schedules which a fill has stored."""
        if self.session.selection.keys:
            return []
        look = newly_due(self.session, self.known, self._stored(fill))
        self._note_lost(look)
        return look.gaps()

    def success(self) -> dict[str, float]:
        """The success factor by dataset, from the ledger's history and this run's outcomes so far."""
        counts = dict(self.planner.counts)
        for name, (there, failed) in self.outcomes.by_dataset().items():
            before = counts.get(name, (0.0, 0.0))
            counts[name] = (before[0] + there, before[1] + failed)
        return self.planner.success(counts)

    def capacity(self, source: str) -> Capacity:
        """The rate and latency of a source: measured in this run, or else recorded in the ledger."""
        client = self.sources.get(source)
        return self.planner.capacity(source, client.latency, self.start_up) if client else self.planner.capacity(source)

    def time_limit(self, fill: Fill) -> timedelta:
        """The time after which a fill is stopped.

        It is `reconcile.fill_time_limit`, or twice the fill's estimated time plus the timeouts of its commands if that
        is longer. If all sources share a rate, the estimate assumes that all of them use it at once.
        """
        sharing = budget_of(self.config, fill.source).sharing
        estimate = self.capacity(fill.source).seconds(fill.cost)
        command = self.config.datasets[fill.dataset].command
        timeouts = len(fill.requests()) * command.timeout if command else timedelta()
        return max(self.config.reconcile.fill_time_limit, timedelta(seconds=2 * sharing * estimate) + timeouts)

    def has_started(self, seconds: float) -> None:
        """Records the `seconds` from submitting a fill to its first request."""
        self.start_up += _START_WEIGHT * (seconds - self.start_up)

    async def prepare_lake(self) -> None:
        """Checks that the lake can be written, and writes its mark there. Call it before the first request.

        What runs that were killed have left half-written is removed.
        """
        session = self.session
        written = folders(self.config.datasets.values())
        await session.lake.check_writable(written)
        await session.lake.remove_abandoned([*written, *filter(None, [self.config.history])])
        if self.pairing and not self.config.test_mode:
            mark = await write_mark(session.lake, session.ledger, self.pairing)
            self.pairing = Pairing(mark, is_marked=True)

    async def take_reconcile_lease(self) -> RunRecord | None:
        """Takes the lease that only one reconcile can hold at a time. Returns None, or the other run that holds it.

        If the other run does not renew its lease, it has died, and this waits until the lease expires. The loop is
        written by hand, because it waits for what another process does.
        """
        leases = self.session.leases
        seen: tuple[str, float] | None = None
        while held := leases.take(RECONCILE):
            record, seconds = held
            until = time.monotonic() + seconds
            if seen and (record.id != seen[0] or until > seen[1] + 0.5):
                return record
            PROGRESS.get()(f"Is {record.holder} still at work?", 0, 1)
            seen = seen or (record.id, until)
            await asyncio.sleep(min(1.0, max(seconds, 0.05)))
        if seen:
            leases.end_dead_runs()  # if the former holder was only suspended, it learns that its lease is lost
        return None

    def defer_to(self, other: RunRecord, gaps: Iterable[Gap]) -> Plan:
        """A plan that defers all gaps because another reconcile is at work."""
        reason = self.session.until_next_run(Limit.OTHER_RECONCILE, other.already_at_work)
        return Plan((), tuple(Deferral(gap, reason) for gap in gaps))

    def claim(self, fill: Fill) -> tuple[Fill | None, list[Gap]]:
        """Claims the files of a fill. Returns the part that this run has now, and the gaps that another run has.

        Files that another run has stored since this run listed the lake are dropped, because they need no fetch.
        """
        session, works = self.session, {gap.cell.work for gap in fill.gaps}
        claimed, stored = session.ledger.fills.claim(session.leases, works, fill.keys, self.known.last_file)
        others = [gap for gap in fill.gaps if gap.cell.work not in claimed]
        return without(fill, stored | {gap.cell.key for gap in others}), others

    def release(self, fills: Iterable[Fill]) -> None:
        """Ends this run's claims on the files of these fills."""
        self.session.leases.release({gap.cell.work for fill in fills for gap in fill.gaps})

    async def stored_by_dead_runs(self, fill: Fill) -> list[FileOutcome]:
        """The outcomes of files that another run stored, but did not record in the ledger before it died."""
        session, known = self.session, self.known
        try:
            if not session.leases.another_run_died_since(session.begun):
                return []
            found = await session.lake.find_all(fill.keys)
            new = {k: o for k, o in found.items() if k not in known.objects or known.objects[k].etag != o.etag}
            known.objects.update(new)
            cells = [gap.cell for gap in fill.gaps if gap.cell.key in new]
            await self.read([cell for cell in cells if not known.is_examined(cell)])
        except LakeError:  # the first file to be stored meets the same error, and reports it
            return []
        except LedgerError as error:
            self.outage.stop_requests(error)
            return []
        good = [key for key, verdict in known.verdicts(cells).items() if verdict.wholeness is Wholeness.WHOLE]
        return [FileOutcome(key, Outcome.STORED, bytes=new[key].size) for key in good]

    def why_stopped(self) -> Reason:
        """The reason for files that are deferred because the run was stopped."""
        return self.session.until_next_run(self.shutdown.limit, f"the run was stopped: {self.shutdown.reason}")

    def stop_source(self, source: str, error: BucketError) -> Reason:
        """Has this run ask a source for nothing more, since its rate bucket is not as it should be. Returns why."""
        if source not in self.planner.stopped:
            fields = about(source=source, limit=Limit.BUCKET, reason=error)
            log.error("%s is not asked for anything: %s", source, error, extra=fields)
            reason = self.session.until_next_run(Limit.BUCKET, str(error))
            self.planner.stopped[source] = replace(reason, of=source)
            self.on_change()
        return self.planner.stopped[source]

    def why_not_written(self, error: LakeError | LedgerError) -> Reason:
        """The reason for files that are deferred because the lake or the ledger cannot be written."""
        limit = Limit.LAKE if isinstance(error, LakeError) else Limit.LEDGER
        return self.session.until_next_run(limit, str(error))

    def _outage_changed(self) -> None:
        """Gives fills that wait for the lake time until the run ends, or for the grace if that is longer."""
        if self.outage.reason:
            remaining = (self.session.ends - datetime.now(UTC)).total_seconds()
            self.shutdown.extend(max(remaining, self.config.reconcile.grace.total_seconds()))
        self.on_change()

    def _stored(self, fill: Fill) -> list[Cell]:
        """The cells of a fill that it has stored."""
        return [gap.cell for gap in fill.gaps if self._is_stored(gap.cell.key)]

    def _is_stored(self, key: str) -> bool:
        outcome = self.outcomes.get(key)
        return outcome is not None and outcome.is_in_lake

    def _note_lost(self, look: Look) -> None:
        """Remembers files that have vanished or shrunk, and logs each of them once."""
        lost = {key: status for key, status in look.overview.lost.items() if key not in self.lost}
        self.lost |= lost
        for key, status in list(lost.items())[:_MOST_LOGGED]:
            name = self.session.keys.dataset_of(key)
            source = self.config.datasets[name].source if name else None
            fields = IN_REPORT | about(source, name, key, reason=status.reason)
            log.error("%s %s: %s", key, status.kind and status.kind.value, status.reason, extra=fields)
        if len(lost) > _MOST_LOGGED:
            log.error("%s more files vanished or shrank", len(lost) - _MOST_LOGGED, extra=IN_REPORT)
