"""In which state does a run end?"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from tasks.answers.headline import headline
from tasks.answers.report import Report
from tasks.answers.waiting import waiting, waiting_files
from tasks.domain.flow_states import CANCELLED, COMPLETED, FAILED
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.reasons import Remedy
from tasks.domain.wording import plural, without_addresses

INCOMPLETE = "Incomplete"  # the name of a state, whose type is COMPLETED or FAILED
SKIPPED = "Skipped"  # another reconcile was at work

_LACKING = ("failed", "absent", "deferred")  # the labels of the outcomes of files that are lacking, the worst first


@dataclass(frozen=True, slots=True)
class Ending:
    """The final state of a run: its name, its type in Prefect, and its message."""

    name: str
    type: str
    message: str
    needs_mending: bool = False  # something has failed, and not only been left for later

    @property
    def severity(self) -> int:
        """How bad it is; see severity_of."""
        return severity_of(self.type, self.name)

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


def severity_of(type: str, name: str) -> int:
    """How bad it is, as a level of `logging`, that a run ends in a state of Prefect of this type and with this name."""
    if type == COMPLETED:
        return logging.WARNING if name == INCOMPLETE else logging.INFO
    return logging.WARNING if type == CANCELLED else logging.ERROR


def ending(report: Report) -> Ending:
    """The state in which a run with this report ends.

    * `Completed`: nothing is lacking.
    * `Incomplete`: something is. The type is FAILED if files failed, were refused, cannot be read, or vanished and were
      not fetched again, or if nothing at all could be done for a source.
    * `Skipped`: another reconcile is at work.
    * `Cancelled`: the run was stopped.

    An incomplete run needs mending unless all that is lacking was left for later, as by a cap or the time budget, or is
    something that the source does not have yet.
    """
    message = headline(report)
    if report.stopped:
        return Ending("Cancelled", CANCELLED, f"stopped: {report.stopped}; {message}")
    if report.left_to:
        return Ending(SKIPPED, COMPLETED, message)
    needs_mending = _needs_mending(report)
    if report.failed or needs_mending:
        return Ending(INCOMPLETE, FAILED, message, needs_mending)
    return Ending("Completed" if report.complete else INCOMPLETE, COMPLETED, message)


def ending_of_fill(outcomes: Collection[FileOutcome]) -> Ending:
    """The state in which the subflow of a fill with these outcomes ends. Its names and types are those of a run."""
    counts = Counter(one.label for one in outcomes)
    lacking = [one for word in _LACKING for one in outcomes if one.label == word]
    stored = len(outcomes) - len(lacking)
    if not lacking:
        return Ending("Completed", COMPLETED, f"{plural(stored, 'file')} stored")
    words = ", ".join(f"{counts[word]:,} {word}" for word in _LACKING if counts[word])
    message = (
        f"of {plural(len(outcomes), 'file')}, {words}: {lacking[0].key}: {without_addresses(lacking[0].error or '')}"
    )
    is_failure = any(one.outcome is Outcome.FAILED or (one.limit and one.limit.is_failure) for one in lacking)
    return Ending(
        INCOMPLETE, FAILED if is_failure else COMPLETED, message + (f" · {stored:,} stored" if stored else "")
    )


def _needs_mending(report: Report) -> bool:
    if any(one.is_fault for one in report.failed) or report.unreadable or report.looked_at.unknown_keys:
        return True
    if report.config.dry_run:  # it only looks, so that it can fail at nothing else
        return False
    return (
        any(not loss.mended for loss in report.lost)
        or any(one.is_failure for one in waiting(report))
        or _could_do_nothing(report)
    )


def _could_do_nothing(report: Report) -> bool:
    """Has nothing at all been done for a source, because no other process took its files?"""
    cells, datasets, outcomes = report.looked_at.cells, report.config.datasets, report.outcomes or {}
    not_taken = {
        datasets[cells[key].dataset].source
        for key, status in waiting_files(report)
        if status.limit and status.limit.remedy is Remedy.WORKER
    }
    tried = {key for key, outcome in outcomes.items() if outcome.outcome is not Outcome.DEFERRED}
    return bool(not_taken - {fill.source for fill in report.fills if not tried.isdisjoint(fill.keys)})
