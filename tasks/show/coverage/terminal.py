"""How does the coverage look in a terminal?"""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.markup import escape
from rich.style import Style
from rich.table import Table
from rich.text import Text

from tasks.domain.assess.coverage import By, Coverage, Tally
from tasks.domain.wording import plural
from tasks.show.coverage.grid import OTHER, Grid, Line, grid_of
from tasks.show.coverage.shades import NONE, SHADES, UNKNOWN, Shade, percent_of, shade_of, whole_percent_of

# Widths in characters.
_CELL = 5  # " 100✓"
_TOTAL = 7  # " 99.9▆ "
_COUNT = 8
_LONGEST_NAME = 26


def heatmap(coverage: Coverage, by: By = By.SEASON) -> Heatmap:
    """A heatmap with a row per source and dataset, and a column per season, month or date.

    It fits the width in which Rich prints it. If there is no room for all columns, each of the newest spans has its own
    column, and the older ones share columns. A shared cell is complete only if all its files are present.
    """
    return Heatmap(coverage, by)


class Heatmap:
    """A renderable of Rich that shows a coverage as a heatmap."""

    def __init__(self, coverage: Coverage, by: By):
        self._coverage = coverage
        self._by = by

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        name_width = min(_LONGEST_NAME, max((len(row.dataset) + 1 for row in self._coverage.finest), default=0))
        total = self._coverage.total
        counts = ["lacking", *(["unavail"] if total.unavailable else [])]
        room = options.max_width - name_width - 1 - _TOTAL - _COUNT * len(counts)
        grid = grid_of(self._coverage, self._by, most=max(2, room // _CELL))
        if not grid.columns:
            yield Text("No files are expected.")
            return
        yield Group(
            _table(grid, name_width, self._by, counts, options.ascii_only),
            Text.assemble(*_legend(options.ascii_only)),
            *_notes(grid, self._by, total),
        )


def _table(grid: Grid, name_width: int, by: By, counts: list[str], ascii_only: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=0, title=f"Percent of the files, by {by.value}")
    table.add_column("", width=name_width + 1, no_wrap=True, overflow="ellipsis")
    for column in grid.columns:
        table.add_column("\n".join(column.label), width=_CELL, justify="right", no_wrap=True, vertical="bottom")
    table.add_column("all ", width=_TOTAL, justify="right", no_wrap=True, vertical="bottom")
    for count in counts:
        table.add_column(count, width=_COUNT, justify="right", no_wrap=True, vertical="bottom")
    for line in grid.lines:
        table.add_row(
            Text(f" {line.dataset}" if line.dataset else line.name, style="" if line.dataset else "bold"),
            *(_cell(tally, whole_percent_of(tally), _CELL, ascii_only) for tally in line.tallies),
            Text.assemble(" ", _cell(line.total, percent_of(line.total), _TOTAL - 2, ascii_only), " "),
            *(_count(line, count) for count in (line.total.lacking, line.total.unavailable)[: len(counts)]),
        )
    return table


def _cell(tally: Tally, number: str, width: int, ascii_only: bool) -> Text:
    shade = shade_of(tally)
    text = number + (shade.ascii if ascii_only else shade.glyph)
    return Text(f"{text:>{width}}", style=_style(shade))


def _count(line: Line, count: int) -> Text:
    return Text(f"{count:,}" if count else "", style="" if line.dataset else "bold")


def _style(shade: Shade) -> Style:
    return Style() if shade is NONE else Style(color=shade.ink, bgcolor=shade.fill)


def _legend(ascii_only: bool) -> list[Text | str]:
    parts: list[Text | str] = []
    for shade in SHADES:
        parts += [Text(f" {shade.ascii if ascii_only else shade.glyph} ", style=_style(shade)), f" {shade.meaning} "]
    return parts


def _notes(grid: Grid, by: By, total: Tally) -> list[Text | str]:
    texts = ["Percentages are of the files that are due and that the source has, rounded down."]
    if total.unavailable:
        texts.append(f"Not counted in them: {total.unavailable_in_words}.")
    if grid.folded:
        texts.append(f"Older {by.value}s share a column; a wider terminal or --season shows them one by one.")
    if any(column.spans == ("",) for column in grid.columns):
        texts.append(f"Rest: files {OTHER[by]}.")
    if grid.ahead:
        texts.append(f"Not shown: {grid.ahead} {by.value}s in which nothing is due yet.")
    notes: list[Text | str] = [escape(text) for text in texts]
    if total.unknown:
        schedules = plural(len(total.unknown), "schedule")
        mark = Text(" ? ", style=_style(UNKNOWN))
        unknown = f" Unknown: what {schedules} would list. Percentages are of what is known."
        notes.insert(0, Text.assemble(mark, unknown))
    return notes
