"""How do the reports of `adce plan` and `adce reconcile` look in a terminal?"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tasks.answers.ending import FAILED, ending, waiting
from tasks.answers.report import COMPARED, Report
from tasks.domain.assess.states import State
from tasks.domain.wording import decimal, duration, plural, utc
from tasks.show.costs import COLUMNS, rows

_MOST_ROWS = 40
_MOST_REASONS = 20


def show(report: Report, console: Console) -> None:
    """Prints a report as tables and lines. A long table ends with the number of rows that are not shown."""
    end = ending(report)
    colour = "red" if end.type == FAILED else "green" if report.complete else "yellow"
    console.print(f"[{colour}]{escape(end.message)}[/{colour}]", soft_wrap=True, highlight=False)
    console.print(_states(report))
    if report.switches:
        console.print(f"[yellow]Switches: {escape(', '.join(report.switches))}[/yellow]")
    if report.fills:
        console.print(_fills(report))
    if report.comparisons:
        console.print(_rollouts(report))
    if report.outcomes is not None:
        _show_outcomes(report, console)
    for loss in report.lost[:_MOST_ROWS]:
        mended = "; fetched again" if loss.mended else ""
        console.print(f"[red]lost[/red] {escape(loss.key)}: {escape(loss.reason)}{mended}")
    if len(report.lost) > _MOST_ROWS:
        console.print(f"and {len(report.lost) - _MOST_ROWS} more that vanished or shrank")
    for reason, count in Counter(reason for _, reason in report.unreadable).most_common(_MOST_REASONS):
        key = next(key for key, why in report.unreadable if why == reason)
        console.print(f"[red]unreadable[/red] {count} file{'s, as' * (count > 1)} {escape(key)}: {escape(reason)}")
    if report.reading:
        console.print(f"[yellow]{report.reading}[/yellow]")
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
    for key, reason in report.differing[:_MOST_ROWS]:
        console.print(f"[yellow]{escape(key)}: {escape(reason)}[/yellow]")
    if report.unknown:
        console.print(f"[magenta]Unknown: {escape(report.unknown_line())}: {escape(report.what_is_needed())}[/magenta]")
    if report.outcomes is None and (costs := rows(report.cost)):
        console.print(_costs(costs))


def _states(report: Report) -> Table:
    counts = report.counts
    table = Table(title=f"The lake {escape(report.config.lake)} as of {utc(report.looked_at.taken_at)}")
    for state in State:
        table.add_column(state.value, justify="right")
    table.add_column("total", justify="right")
    table.add_row(*(f"{counts[state.value]}" for state in State), f"{counts['total']}")
    return table


def _fills(report: Report) -> Table:
    is_plan = report.outcomes is None
    verb = "to fetch" if is_plan else "started"
    table = Table(
        title=f"{plural(len(report.fills), 'fill')} {verb}, the most important first",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("dataset", "days"):
        table.add_column(name, overflow="fold")
    for name in ("kind", "priority"):
        table.add_column(name, no_wrap=True)
    for name in ("score", "files", *(["done"] if is_plan else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for fill in report.fills[:_MOST_ROWS]:
        table.add_row(
            fill.dataset,
            _short(fill.days),
            fill.kind.value,
            fill.priority.value,
            decimal(fill.score.total),
            str(len(fill.gaps)),
            *([f"{fill.eta:%H:%M}"] if is_plan and fill.eta else []),
        )
    if len(report.fills) > _MOST_ROWS:
        table.add_row(f"and {len(report.fills) - _MOST_ROWS} more")
    return table


def _costs(costs: list[tuple[str, ...]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in (COLUMNS[0], COLUMNS[-1]) else "right", no_wrap=True)
    for row in costs:
        table.add_row(*row)
    return table


def _rollouts(report: Report) -> Table:
    table = Table(title="Rollouts, and the rest of their datasets", box=SIMPLE_HEAD)
    for name in COMPARED:
        table.add_column(name, justify="left" if name in COMPARED[:2] else "right")
    for name, rollout in report.comparisons.items():
        for row in rollout.rows(name):
            table.add_row(*row)
    return table


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
        console.print(f"and {len(report.failed) - _MOST_ROWS} more")
