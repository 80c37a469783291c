"""What does ADCE do, and what does it wait for? The queue, the budgets of the sources, and the runs at work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from config.models import Priority
from tasks.answers.holds import SourceHold
from tasks.answers.runs import PastRun
from tasks.answers.service import Snapshot
from tasks.answers.sources import SourceNow
from tasks.domain.metrics import OLDEST, QUEUE
from tasks.domain.wording import plural, verb
from tasks.show.documents.service import Tasks

MOST_LATER = 8  # reasons that are named for which files are left for later


@dataclass(frozen=True, slots=True)
class Waiting:
    """The files of a priority that wait, and when the last plan expects to have fetched them."""

    priority: Priority
    files: int
    oldest: datetime | None
    eta: datetime | None


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of its rate budget a source has used in the last minute, and what keeps it from being asked."""

    name: str
    is_enabled: bool
    used: int
    per_minute: float
    waiting: int
    holds: Sequence[SourceHold]
    last_stored: datetime | None

    @property
    def width(self) -> float:
        """How much of a bar of 100 is filled."""
        return round(min(1.0, self.used / self.per_minute) * 100, 1) if self.per_minute else 0.0

    @property
    def in_words(self) -> str:
        """How much is used, in words."""
        return f"{self.used:,} of {self.per_minute:,.0f} requests"


@dataclass(frozen=True, slots=True)
class Work:
    """What is done and waited for."""

    at_work: Sequence[PastRun]
    queue: Sequence[Waiting]
    budgets: Sequence[Budget]
    plan: Tasks
    is_followed: bool  # whether a run is at work by this plan
    is_known: bool  # whether a look has counted what waits
    in_flight: int  # requests that runs have claimed, and so are sending or are about to send

    @property
    def answer(self) -> str:
        """The answer in a few words."""
        files = sum(one.files for one in self.queue)
        if self.at_work:
            return f"{plural(len(self.at_work), 'run')} at work, {plural(files, 'file')} waited at the last look"
        if not self.is_known:
            return "Not known: no look has counted what waits"
        return (
            f"{plural(files, 'file')} {verb(files, 'waits', 'wait')}, and no run is at work"
            if files
            else "It waits for nothing"
        )


def work_of(found: Snapshot, plan: Tasks) -> Work:
    """What is done and waited for, by a snapshot and the document of its plan."""
    running = [run for run in found.runs if run.is_running]
    is_kept_by_one = any(plan.run in (run.id, run.flow_run) for run in running)
    etas = {one.priority: one.eta for one in plan.queue}
    budgets = list(map(_budget, found.sources))
    is_known = found.recorded is not None
    return Work(running, list(_queue(found, etas)), budgets, plan, is_kept_by_one, is_known, found.in_flight)


def _queue(found: Snapshot, etas: dict[Priority, datetime | None]) -> Iterator[Waiting]:
    files, oldest = found.measured.values.get(QUEUE, {}), found.measured.values.get(OLDEST, {})
    for priority in Priority:
        if count := int(files.get((priority.value,), 0)):
            at = oldest.get((priority.value,))
            since = None if at is None else datetime.fromtimestamp(at, UTC)
            yield Waiting(priority, count, since, etas.get(priority))


def _budget(source: SourceNow) -> Budget:
    waiting = sum(source.waiting.values())
    holds, stored = source.holds, source.last_stored
    return Budget(source.name, source.is_enabled, source.last_minute, source.per_minute, waiting, holds, stored)
