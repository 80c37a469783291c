"""Which runs were there, and how did each end, as the ledger and Prefect know it together?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from tasks.domain.errors import SelectionError
from tasks.domain.expected.keys import KeyPatterns
from tasks.domain.outcomes import FileOutcome, RunEnd
from tasks.domain.wording import plural, utc
from tasks.ledger.runs import RunRecord

_SHORTEST_ID = 6  # characters of an id that are taken for one
_SHOWN_ID = 8  # characters of an id in a list: what its first hyphen stands after
_GONE = "its process has ended without a word, or its host does not answer any more; its files are planned again"
_STATES = {
    RunEnd.ENDED: "Ended",  # of a version that did not record the final state
    RunEnd.STOPPED: "Stopped",
    RunEnd.FAILED: "Failed",
    RunEnd.DIED: "Died",
    RunEnd.DEATH_REPORTED: "Died",
}


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run: its state, and the message of that."""

    id: str | None  # in the ledger; None if it never began there
    flow_run: str | None  # in Prefect
    name: str  # with that of its flow
    state: str
    began: datetime  # or when it was due, if it never began
    ended: datetime | None
    message: str = ""
    holder: str | None = None  # its host and process
    is_running: bool = False
    has_begun: bool = True

    @property
    def short_id(self) -> str:
        """The first characters of its id in Prefect, or else in the ledger: `chosen` takes them."""
        return (self.flow_run or self.id or "")[:_SHOWN_ID]


def joined(in_prefect: Iterable[PastRun], records: Iterable[RunRecord], alive: Collection[str]) -> list[PastRun]:
    """The runs that Prefect or the ledger knows: those at work, and then the others, each the newest first.

    `alive` has the flow runs whose leases in the ledger have not lapsed. The lease tells whether a run is at work,
    unless Prefect knows how it ended: Prefect may take a run that has died for one at work, or one at work for one
    that has not begun. The ledger does not know a run that never began. If both know when a run ended, the times are
    the ledger's, so that they are the same where Prefect is not asked.
    """
    known = {run.flow_run: run for run in in_prefect}
    found = []
    for record in records:
        ours = _of_record(record, alive)
        theirs = known.pop(record.flow_run, None)
        if theirs is None or (theirs.ended is None and theirs.is_running != ours.is_running):
            found.append(replace(ours, name=theirs.name if theirs else ours.name))
        else:
            found.append(_with_times_of(replace(theirs, id=ours.id, holder=ours.holder), ours))
    runs = sorted([*found, *known.values()], key=lambda run: run.began, reverse=True)
    return sorted(runs, key=lambda run: not run.is_running)


def _with_times_of(theirs: PastRun, ours: PastRun) -> PastRun:
    is_over = theirs.ended is not None and ours.ended is not None
    return replace(theirs, began=ours.began, ended=ours.ended) if is_over else theirs


def full_id(which: str) -> UUID | None:
    """The id that a text is, as the ledger or Prefect writes it; None if it is none."""
    try:
        return UUID(which)
    except ValueError:
        return None


def chosen(runs: Iterable[PastRun], which: str) -> PastRun | None:
    """The newest run of an id, or of the first characters of one; else the newest of a name.

    Raises SelectionError if several ids begin so.
    """
    runs = list(runs)
    found = [run for run in runs if len(which) >= _SHORTEST_ID and _begins(run, which)]
    if len({run.flow_run or run.id for run in found}) > 1:
        several = ", ".join(f"{run.flow_run or run.id} ({run.name} of {utc(run.began)})" for run in found)
        raise SelectionError(f"{which}: several ids begin so: {several}; give more of one")
    found = found or [run for run in runs if which in (run.name, run.name.partition(" ")[2])]
    return max(found, key=lambda run: run.began, default=None)


def _begins(run: PastRun, which: str) -> bool:
    """Does the id of a run, in the ledger or in Prefect, begin so? They are written without hyphens, and with them."""
    return any(id and id.replace("-", "").startswith(which.replace("-", "").lower()) for id in (run.id, run.flow_run))


def results(outcomes: Mapping[str, FileOutcome], keys: KeyPatterns) -> list[str]:
    """What a run has stored and what has failed, in lines: first by dataset, and then the errors."""
    counts = Counter((keys.dataset_of(key) or "other", outcome.label) for key, outcome in outcomes.items())
    errors = Counter((one.error or "").replace(key, "KEY") for key, one in outcomes.items() if not one.is_in_lake)
    return [
        *(f"{dataset}: {count:,} {label}" for (dataset, label), count in sorted(counts.items())),
        *(f"{plural(count, 'file')}: {error}" for error, count in errors.most_common()),
    ]


def _of_record(record: RunRecord, alive: Collection[str]) -> PastRun:
    is_running = record.outcome is None and record.flow_run in alive
    state = _STATES[record.outcome] if record.outcome else "Running" if is_running else "Died"
    return PastRun(
        record.id,
        record.flow_run,
        f"{record.kind} {record.about}",
        record.state or state,
        record.began,
        record.ended,
        record.why or (_GONE if state == "Died" else ""),
        record.holder,
        is_running,
    )
