"""How does the coverage look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.style import Style
from rich.table import Table
from rich.text import Text

from tasks.domain.assess.coverage import Coverage, Tally
from tasks.domain.assess.periods import By
from tasks.domain.wording import plural
from tasks.show.coverage.grid import OTHER, Column, Grid, grid_of
from tasks.show.coverage.shades import NONE, Shade, legend_of, shade_of
from tasks.show.coverage.words import NOT_KNOWN, Count, counts_of, percent_of, summary_of, title_of

# Widths in characters.
_CELL = 6  # " 99.9▆"
_TOTAL = 7  # " 99.9▆ "
_COUNT = 9


def heatmap(coverage: Coverage, by: By = By.SEASON) -> Heatmap:
    """A heatmap with a row per source and dataset, and a column per season, month or date.

    It fits the width in which Rich prints it. If there is no room for all columns, each of the newest spans has its own
    column, and the older ones share columns. A shared cell is complete only if all its files are present. In a very
    narrow terminal there are no such columns, and names and numbers stay whole.
    """
    return Heatmap(coverage, by)


class Heatmap:
    """A renderable of Rich that shows a coverage as a heatmap."""

    def __init__(self, coverage: Coverage, by: By):
        self._coverage = coverage
        self._by = by

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(title_of(self._coverage), style="bold")
        if not self._coverage.finest:
            yield Text("No files are expected.")
            return
        total = self._coverage.total
        names = max(max(len(row.source), len(row.dataset) + 1) for row in self._coverage.finest)
        room = options.max_width - names - 1 - _TOTAL
        counts = counts_of(total)[: max(0, room // _COUNT)]
        most = (room - _COUNT * len(counts)) // _CELL
        grid = grid_of(self._coverage, self._by, most=max(1, most))
        columns = grid.columns if len(grid.columns) <= most else ()
        yield Group(
            Text(f"{summary_of(total)}.\n"),
            _table(grid, columns, counts, names, options.ascii_only),
            Columns(_legend(total, options.ascii_only), padding=(0, 1)),
            *_notes(grid, columns, self._by, total),
        )


def _table(grid: Grid, columns: Sequence[Column], counts: list[Count], names: int, ascii_only: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=0)
    table.add_column("", width=names + 1, no_wrap=True, overflow="ellipsis")
    for column in columns:
        table.add_column("\n".join(column.label), width=_CELL, justify="right", no_wrap=True, vertical="bottom")
    table.add_column("all ", width=_TOTAL, justify="right", no_wrap=True, vertical="bottom")
    for count in counts:
        table.add_column("\n".join(count.heading), width=_COUNT, justify="right", no_wrap=True, vertical="bottom")
    for line in grid.lines:
        style = "" if line.dataset else "bold"
        table.add_row(
            Text(f" {line.dataset}" if line.dataset else line.name, style=style),
            *(_cell(tally, _CELL, ascii_only) for tally in line.tallies[: len(columns)]),
            Text.assemble(" ", _cell(line.total, _TOTAL - 2, ascii_only), " "),
            *(Text(count.of(line.total), style=style) for count in counts),
        )
    return table


def _cell(tally: Tally, width: int, ascii_only: bool) -> Text:
    shade = shade_of(tally)
    text = percent_of(tally) + (shade.ascii if ascii_only else shade.glyph)
    return Text(f"{text:>{width}}", style=_style(shade))


def _style(shade: Shade) -> Style:
    return Style() if shade is NONE else Style(color=shade.ink, bgcolor=shade.fill)


def _legend(total: Tally, ascii_only: bool) -> Iterator[Text]:
    for shade in legend_of(total):
        glyph = (shade.ascii if ascii_only else shade.glyph) or "?"
        yield Text.assemble((f" {glyph} ", _style(shade)), f" {shade.meaning}")


def _notes(grid: Grid, columns: Sequence[Column], by: By, total: Tally) -> Iterator[Text]:
    yield Text("Percent of the files that are due and that the source has, rounded down.")
    if not total.is_known:
        yield Text(NOT_KNOWN)
    if not columns:
        yield Text(f"A wider terminal shows the {by.value}s.")
        return
    if grid.folded:
        yield Text(f"Older {by.value}s share a column; a wider terminal or --season shows them one by one.")
    if any(column.spans == ("",) for column in grid.columns):
        yield Text(f"Rest: files {OTHER[by]}.")
    if grid.ahead:
        yield Text(f"Not shown: {plural(grid.ahead, by.value)} in which nothing is due yet.")
