"""How does the answer of `adce config diff` look in a terminal?"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.markup import escape

from deployments.cli.layout import Column, print_table
from tasks.answers.difference import Difference
from tasks.domain.assess.states import State, Status
from tasks.domain.assess.unknown import seasons_of
from tasks.domain.plan.cost import SourceCost
from tasks.domain.wording import duration, plural, utc
from tasks.show.costs import ESTIMATE, end_of

_MOST_ROWS = 20


def show(difference: Difference, console: Console) -> None:
    """Prints the difference of two plans, the settings first; one line if there is none."""
    if not difference:
        console.print("[green]No difference: the same settings, and the same plan.[/green]")
        return
    for name, was, now in difference.settings[:_MOST_ROWS]:
        console.print(f"{escape(name)}: {escape(_value(was))} → {escape(_value(now))}")
    _more(difference.settings, "settings", console)
    old, new = difference.statuses
    _count("added", difference.added, difference, new, console)
    _count("dropped", difference.dropped, difference, old, console)
    if difference.orphaned:
        console.print(
            f"[yellow]{len(difference.orphaned)} of the dropped files are in the lake; they stay there[/yellow]"
        )
    cells = difference.cells
    changes = Counter((cells[key].dataset, _named(old), _named(new, why=True)) for key, old, new in difference.states)
    for (dataset, before, after), n in changes.most_common(_MOST_ROWS):
        console.print(f"{plural(n, 'file')} of {escape(dataset)}: {escape(before)} → {escape(after)}")
    _more(changes, "changes of state", console)
    before, after = (seasons_of(report.unknown) or "nothing" for report in (difference.old, difference.new))
    if (before, after) != ("nothing", "nothing"):
        console.print(f"unknown: {escape(_arrow(before, after))}")
    _show_order(difference, console)
    _show_sources(difference, console)


def _show_order(difference: Difference, console: Console) -> None:
    if not difference.moved:
        return
    moved: dict[str, list[tuple[int, int]]] = {}
    for key, was, now in difference.moved:
        moved.setdefault(difference.cells[key].dataset, []).append((was, now))
    rows = []
    for dataset, places in sorted(moved.items()):
        before, after = [old for old, _ in places], [new for _, new in places]
        ends = [_arrow(min(before), min(after)), _arrow(max(before), max(after))]
        rows.append([dataset, f"{len(places):,}", *ends])
    console.print("Files that come earlier or later")
    print_table(console, [Column(name) for name in ("dataset", "files", "first fill", "last fill")], rows)


def _show_sources(difference: Difference, console: Console) -> None:
    rows = []
    costs = [{cost.name: cost for cost in report.cost.sources} for report in (difference.old, difference.new)]
    for source in difference.sources():
        requests, eta = source["requests"], source["eta"]
        done = [utc(eta[plan]) if eta[plan] else "-" for plan in ("old", "new")]
        rows.append([source["name"], _arrow(requests["old"], requests["new"]), _arrow(*done)])
        rows += _estimate(*(cost.get(source["name"]) for cost in costs))
    console.print("Requests of each plan to the sources")
    print_table(console, [Column(name) for name in ("source", "requests", "done")], rows)


def _estimate(*costs: SourceCost | None) -> Iterator[list[str]]:
    """The row, if there is anything to say, for what schedules that are not in the lake yet will list of a source."""
    if any(cost and cost.estimate.files for cost in costs):
        requests = [cost.estimate.requests if cost else 0 for cost in costs]
        done = [end_of(cost.estimate, cost.done if cost.estimate.files else None) if cost else "" for cost in costs]
        yield [ESTIMATE, _arrow(*requests), _arrow(*(end or "-" for end in done))]


def _count(
    what: str, keys: Iterable[str], difference: Difference, statuses: Mapping[str, Status], console: Console
) -> None:
    """Prints for each dataset how many of the files have which state."""
    counts = Counter((difference.cells[key].dataset, statuses[key].state) for key in keys)
    datasets: dict[str, list[str]] = {}
    for (dataset, state), n in counts.items():
        datasets.setdefault(dataset, []).append(f"{n} {state.value}")
    for dataset, states in datasets.items():
        console.print(f"{what}: {escape(dataset)}: {', '.join(states)}")


def _named(status: Status, *, why: bool = False) -> str:
    return status.state.value + (f" ({status.reason})" if why and status.state is State.DEFERRED else "")


def _arrow(was: Any, now: Any) -> str:
    old, new = (f"{value:,}" if isinstance(value, int) else f"{value}" for value in (was, now))
    return old if old == new else f"{old} → {new}"


def _value(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"P(?=.)(\d+D)?(T[\dHMS.]+)?", value):
        return duration(TypeAdapter(timedelta).validate_python(value))
    return "not set" if value is None else json.dumps(value)


def _more(rows: Any, what: str, console: Console) -> None:
    if len(rows) > _MOST_ROWS:
        console.print(f"and {len(rows) - _MOST_ROWS:,} more {what}")
