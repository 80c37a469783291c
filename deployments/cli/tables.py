"""How do the reports of `adce plan` and `adce reconcile` look in a terminal?"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.markup import escape

from deployments.cli.layout import Column, print_table
from tasks.answers.ending import ending
from tasks.answers.report import COMPARED, Report
from tasks.answers.waiting import waiting, whose_clock
from tasks.domain.assess.states import State
from tasks.domain.wording import duration, plural, score, utc
from tasks.show.costs import COLUMNS, rows

_COLOURS = {logging.INFO: "green", logging.WARNING: "yellow", logging.ERROR: "red"}  # of each severity of an ending
_MOST_ROWS = 40
_MOST_REASONS = 20


def show(report: Report, console: Console) -> None:
    """Prints a report as tables and lines. A long table ends with the number of rows that are not shown."""
    end = ending(report)
    colour = _COLOURS[end.severity]
    console.print(f"[{colour}]{escape(end.message)}[/{colour}]", highlight=False)
    _show_states(report, console)
    if report.switches:
        console.print(f"[yellow]Switches: {escape(', '.join(report.switches))}[/yellow]")
    if report.fills:
        _show_fills(report, console)
    if report.comparisons:
        _show_rollouts(report, console)
    if report.outcomes is not None:
        _show_outcomes(report, console)
    for loss in report.lost[:_MOST_ROWS]:
        mended = "; fetched again" if loss.mended else ""
        console.print(f"[red]lost[/red] {escape(loss.key)}: {escape(loss.reason)}{mended}")
    if len(report.lost) > _MOST_ROWS:
        console.print(f"and {len(report.lost) - _MOST_ROWS:,} more that vanished or shrank")
    for reason, count in Counter(reason for _, reason in report.unreadable).most_common(_MOST_REASONS):
        key = next(key for key, why in report.unreadable if why == reason)
        files = plural(count, "file") + (", such as" if count > 1 else "")
        console.print(f"[red]unreadable[/red] {files} {escape(key)}: {escape(reason)}")
    if report.reading:
        console.print(f"[yellow]{report.reading}[/yellow]")
    if report.listing:
        console.print(f"[dim]{report.listing}[/dim]")
    waits = waiting(report)
    for group in waits[:_MOST_REASONS]:
        console.print(f"Left for later: {plural(group.files, 'file')}: {escape(str(group))}")
    paused = {group.of for group in waits}
    for refusal in report.refusals:
        if refusal.source not in paused:  # its pause is over, and it has not answered since
            console.print(f"[red]refused[/red] {escape(str(refusal))}")
    for reason, count in report.marked_unavailable.items():
        console.print(f"Unavailable: {plural(count, 'file')} {escape(reason)}")
    for name, by in report.looked_at.needed_by.items():
        console.print(f"{escape(name)} is needed by {escape(by)}")
    if from_inventory := report.looked_at.from_inventory:
        console.print(f"{from_inventory}.")
    for misnamed in report.looked_at.misnamed:
        console.print(f"[yellow]{escape(str(misnamed))}[/yellow]")
    for key, reason in report.differing[:_MOST_ROWS]:
        console.print(f"[yellow]{escape(key)}: {escape(reason)}[/yellow]")
    if report.unknown:
        console.print(f"[magenta]Unknown, since {escape(report.what_is_needed())}[/magenta]")  # what: said above
    if report.outcomes is None and (costs := rows(report.cost)):
        _show_costs(costs, console)
        if clock := whose_clock(report, datetime.now(UTC)):
            console.print(clock)


def _show_states(report: Report, console: Console) -> None:
    counts = report.counts
    names = [*(state.value for state in State), "total"]
    part = f"; only {report.coverage.part}" if report.coverage.part else ""
    console.print(escape(f"The lake {report.coverage.lake} as of {utc(report.looked_at.taken_at)}{part}"))
    print_table(console, [Column(name, is_number=True) for name in names], [[f"{counts[name]:,}" for name in names]])


def _show_fills(report: Report, console: Console) -> None:
    is_plan = report.outcomes is None
    # A fill that was split or tried again has several rows, and counts once against --max-fills.
    is_planned = is_plan or report.config.dry_run
    what = f"{plural(len(report.fills), 'fill')} planned" if is_planned else "Fills started"
    console.print()
    console.print(f"{what}, the most important first")
    columns = [
        Column("dataset"),
        Column("days"),
        Column("kind", leaves=4),
        Column("priority", leaves=3),
        Column("score", is_number=True, leaves=1),
        Column("files", is_number=True),
        *([Column("done (UTC)", leaves=2)] if is_plan else []),
    ]
    rows = [
        [
            fill.dataset,
            _short(fill.days),
            fill.kind.value,
            fill.priority.value,
            score(fill.score.total),
            f"{len(fill.gaps):,}",
            *([utc(fill.eta).removesuffix(" UTC") if fill.eta else ""] if is_plan else []),
        ]
        for fill in report.fills[:_MOST_ROWS]
    ]
    print_table(console, columns, rows)
    if len(report.fills) > _MOST_ROWS:
        console.print(f"and {len(report.fills) - _MOST_ROWS:,} more; --json shows all")


def _show_costs(costs: list[tuple[str, ...]], console: Console) -> None:
    columns = [Column(name, is_number=name not in (COLUMNS[0], COLUMNS[-1])) for name in COLUMNS]
    console.print()
    print_table(console, columns, costs)


def _show_rollouts(report: Report, console: Console) -> None:
    console.print("Variants, and the rest of their datasets")
    columns = [Column(name, is_number=name not in COMPARED[:2]) for name in COMPARED]
    rows = [row for name, rollout in report.comparisons.items() for row in rollout.rows(name)]
    print_table(console, columns, rows)


def _short(days: str) -> str:
    """The days of a fill, with the year only once if both are in it: "2025-10-01..12-31"."""
    first, dots, last = days.partition("..")
    return f"{first}..{last[5:]}" if dots and last[:4] == first[:4] else days


def _show_outcomes(report: Report, console: Console) -> None:
    took = duration(timedelta(seconds=report.seconds))
    console.print(f"{plural(len(report.filled), 'file')} stored, {report.failure_counts()} in {took}")
    for outcome in report.failed[:_MOST_ROWS]:
        colour = "red" if outcome.label == "failed" else "magenta"
        console.print(f"[{colour}]{outcome.label}[/] {escape(outcome.key)}: {escape(outcome.error or '')}")
    if len(report.failed) > _MOST_ROWS:
        console.print(f"and {len(report.failed) - _MOST_ROWS:,} more")
