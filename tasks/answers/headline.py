"""What is a run's report in one line?"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.answers.report import Report
from tasks.answers.waiting import waiting
from tasks.domain.assess.states import Kind, State
from tasks.domain.wording import and_more, plural, verb, without_addresses

_MOST_REASONS = 3  # for which files wait


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
        yield files, f"{verb(files, 'waits', 'wait')}: {', '.join(reasons)}"
    tried = {outcome.key for outcome in report.failed}
    if gaps := [
        key
        for key, status in report.statuses.items()
        if status.state is State.GAP and status.kind is not Kind.UNREADABLE and key not in tried
    ]:
        yield len(gaps), verb(len(gaps), "is a gap", "are gaps")


def _notes(report: Report) -> Iterator[str]:
    """What else an operator should know."""
    if not report.complete and report.marked_unavailable:
        yield f"{sum(report.marked_unavailable.values()):,} of the unavailable set by an operator"
    if differing := report.differing:
        yield f"{plural(len(differing), 'schedule')} with fewer games than another source's"
    if report.switches:
        yield f"switches: {', '.join(report.switches)}"
