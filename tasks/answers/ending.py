"""In which state does a run end, and what does the message of that state say?"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from tasks.answers.report import Report
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.reasons import Limit, Remedy
from tasks.domain.wording import and_more, plural, utc, verb, without_addresses

COMPLETED, FAILED, CANCELLED = "COMPLETED", "FAILED", "CANCELLED"  # Prefect's types of final states
INCOMPLETE = "Incomplete"  # the name of a state, whose type is COMPLETED or FAILED

_LACKING = ("failed", "absent", "deferred")  # the labels of the outcomes of files that are lacking, the worst first
_MOST_REASONS = 3  # in the headline
_PAUSED = {Limit.BACKOFF: "paused", Limit.BREAKER: "breaker open"}


@dataclass(frozen=True, slots=True)
class Ending:
    """The final state of a run: its name, its type in Prefect, and its message."""

    name: str
    type: str
    message: str

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


@dataclass(frozen=True, slots=True)
class Waiting:
    """Files that wait for one reason."""

    files: int
    limit: Limit | None
    of: str  # what the limit belongs to; see Reason
    text: str
    until: datetime | None  # the earliest

    @property
    def is_failure(self) -> bool:
        """Do files that wait for this make a run fail?"""
        return self.limit is not None and self.limit.is_failure

    def __str__(self) -> str:
        """The reason, and until when it holds, unless the text says so itself."""
        until = utc(self.until) if self.until else "it is changed"
        name = self.limit.until_name if self.limit and self.until else "until"
        return self.text if until in self.text else f"{self.text}; {name} {until}"


def ending(report: Report) -> Ending:
    """The state in which a run with this report ends.

    * `Completed`: nothing is lacking.
    * `Incomplete`: something is. The type is FAILED if files failed, were refused, cannot be read, or vanished and were
      not fetched again, or if nothing at all could be done for a source.
    * `Skipped`: another reconcile is at work.
    * `Cancelled`: the run was stopped.
    """
    message = headline(report)
    if report.stopped:
        return Ending("Cancelled", CANCELLED, f"stopped: {report.stopped}; {message}")
    if report.left_to:
        return Ending("Skipped", COMPLETED, message)
    if _has_failed(report):
        return Ending(INCOMPLETE, FAILED, message)
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


def _has_failed(report: Report) -> bool:
    if report.failed or report.unreadable or report.looked_at.unknown_keys:
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
        for key, status in _waiting(report)
        if status.limit and status.limit.remedy is Remedy.WORKER
    }
    tried = {key for key, outcome in outcomes.items() if outcome.outcome is not Outcome.DEFERRED}
    return bool(not_taken - {fill.source for fill in report.fills if not tried.isdisjoint(fill.keys)})


def waiting(report: Report) -> list[Waiting]:
    """The files that wait, by reason: first the reasons for which a run fails, then those of the most files."""
    groups: dict[tuple[Limit | None, str], list[Status]] = defaultdict(list)
    for _, status in _waiting(report):
        of = status.of or ("" if status.limit else status.reason)
        groups[status.limit, of].append(status)
    found = [_group(report, limit, statuses) for (limit, _), statuses in groups.items()]
    return sorted(found, key=lambda one: (not one.is_failure, -one.files))


def _waiting(report: Report) -> Iterator[tuple[str, Status]]:
    waits = (State.DEFERRED, State.IN_FLIGHT)
    return ((key, status) for key, status in report.statuses.items() if status.state in waits)


def _group(report: Report, limit: Limit | None, statuses: list[Status]) -> Waiting:
    of, until = statuses[0].of, min((s.until for s in statuses if s.until), default=None)
    [(text, _)] = Counter(status.reason for status in statuses).most_common(1)
    pause = report.pauses.get(of)
    if limit in _PAUSED and pause and until:
        text = f"{of} {_PAUSED[limit]} until {utc(until)} ({without_addresses(pause.reason)})"
    elif limit is Limit.OPERATOR_PAUSE:
        text = f"{of} {text}"
    return Waiting(len(statuses), limit, of, text, until)


def headline(report: Report) -> str:
    """The report in one line, which begins with what matters most, and leaves out what there is none of.

    For example: "30 of 2,249 files wait: espn paused until 2026-11-29 08:48 UTC (HTTP 403); 30 vanished · 74 fetched".
    """
    first = [report.other_at_work] * bool(report.left_to) + [_complete(report)] * report.complete
    found = ["; ".join([*first, *_lacking(report)])]
    if report.filled:
        found.append(f"{len(report.filled):,} fetched")
    elif report.complete and not report.fills and report.coverage.total.due:
        found.append("nothing to do")
    return " · ".join([*found, *_notes(report)])


def _complete(report: Report) -> str:
    tally = report.coverage.total
    if not tally.due:
        return f"Nothing is due yet: {plural(tally.not_due, 'file')} later"
    if not tally.unavailable:
        return f"Complete: {plural(tally.present, 'file')}"
    return f"Complete: {tally.present:,} of {plural(tally.due, 'file')}, {tally.unavailable_in_words}"


def _lacking(report: Report) -> Iterator[str]:
    """What is lacking, in words, the worst first. The first number of files is given with the number of all."""
    of_all = f" of {plural(report.coverage.total.wanted, 'file')}"
    for count, text in _shares(report):
        yield f"{count:,}{of_all} {text}"
        of_all = ""
    if losses := report.losses():
        yield losses
    if report.unknown or report.looked_at.unknown_keys:
        yield f"unknown: {report.unknown_line()}"


def _shares(report: Report) -> Iterator[tuple[int, str]]:
    """The numbers of files that lacking, and why."""
    if report.left_to:
        if lacking := report.coverage.total.lacking:
            yield lacking, "lacking"
        return
    for word in ("failed", "absent"):
        if bad := [outcome for outcome in report.failed if outcome.label == word]:
            yield len(bad), f"{word}: {bad[0].key}: {without_addresses(bad[0].error or '')}" + and_more(len(bad))
    if unreadable := report.unreadable:
        key, reason = unreadable[0]
        yield len(unreadable), f"cannot be read: {key}: {reason}" + and_more(len(unreadable))
    if waits := waiting(report):
        files = sum(one.files for one in waits)
        reasons = [f"{one.text} ({one.files:,})" if len(waits) > 1 else one.text for one in waits[:_MOST_REASONS]]
        if others := sum(one.files for one in waits[_MOST_REASONS:]):
            reasons.append(f"other reasons ({others:,})")
        yield files, f"{verb(files, 'waits')}: {', '.join(reasons)}"
    tried = {outcome.key for outcome in report.failed}
    if gaps := [
        key
        for key, status in report.statuses.items()
        if status.state is State.GAP and status.kind is not Kind.UNREADABLE and key not in tried
    ]:
        yield len(gaps), "to fetch"


def _notes(report: Report) -> Iterator[str]:
    """What else an operator should know."""
    if not report.complete and report.marked_unavailable:
        yield f"{sum(report.marked_unavailable.values()):,} of the unavailable set by an operator"
    if differing := report.differing:
        yield f"{plural(len(differing), 'schedule')} with fewer games than another source's"
    if report.switches:
        yield f"switches: {', '.join(report.switches)}"
