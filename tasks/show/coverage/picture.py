"""How does the coverage look as an SVG picture?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tasks.domain.assess.coverage import Coverage, Tally
from tasks.domain.assess.periods import By
from tasks.show.coverage.grid import Grid, Line, grid_of
from tasks.show.coverage.shades import DARK, LIGHT, NONE, OFF, SHADES, UNKNOWN, Shade, legend_of, shade_of
from tasks.show.coverage.words import NOT_KNOWN, counts_of, percent_of, sentence_of, summary_of, title_of
from tasks.show.templates import templates

_MOST_COLUMNS = 36
# In pixels: the width and height of a cell, the width of a column of counts, the height of a line of a heading, and the
# margin. A letter of a row's name, of the title, and of other texts is at most so wide.
_CELL, _ROW, _COUNT, _HEAD, _MARGIN = 32, 18, 56, 12, 12
_IN_NAME, _IN_TITLE, _IN_TEXT = 7.2, 7.5, 6.2


class _Cell(NamedTuple):
    """A coloured cell: its left edge, its number, and what a pointer over it shows."""

    x: int
    text: str
    title: str


def svg(coverage: Coverage, by: By = By.SEASON, tooltips: bool = True) -> str:
    """A heatmap as a self-contained SVG document with at most 36 columns. Older spans share columns if necessary.

    With `tooltips`, a pointer over a cell shows its counts. Without them a cell takes about 45 bytes, so that the
    document fits into a Markdown artifact, where an image has no tooltips. For that, a style sheet sets the size of the
    cells, and cells of one shade in one row form one group.
    """
    grid, total = grid_of(coverage, by, most=_MOST_COLUMNS), coverage.total
    counts, title, summary = counts_of(total), title_of(coverage), f"{summary_of(total)}."
    left = _MARGIN + round(max(len(line.name) + 1 for line in grid.lines) * _IN_NAME)
    all_at = left + len(grid.columns) * _CELL + 6
    legend = list(_legend(legend_of(total)))
    notes = list(_notes(grid, total))
    widths = [all_at + _CELL + _COUNT * len(counts), *(x + _legend_width(shade) for x, shade in legend)]
    widths += [_MARGIN + round(len(title) * _IN_TITLE), *(round(len(text) * _IN_TEXT) for text in (summary, *notes))]
    return _TEMPLATES.get_template("picture.svg.jinja").render(
        title=title,
        summary=summary,
        width=max(widths) + _MARGIN,
        style=_style(),
        columns=[(left + n * _CELL + _CELL // 2, column.label) for n, column in enumerate(grid.columns)],
        all_middle=all_at + _CELL // 2,
        counts=[(all_at + _CELL + _COUNT * n - 2, count) for n, count in enumerate(counts, 1)],
        head=max([len(column.label) for column in grid.columns] + [len(count.heading) for count in counts]),
        lines=[(line, _by_shade(grid, line, left, all_at)) for line in grid.lines],
        legend=legend,
        notes=notes,
        tooltips=tooltips,
    )


def _by_shade(grid: Grid, line: Line, left: int, all_at: int) -> dict[str, list[_Cell]]:
    """The cells of a row, by the name of their shade."""
    cells: dict[str, list[_Cell]] = defaultdict(list)
    for n, (column, tally) in enumerate(zip(grid.columns, line.tallies, strict=True)):
        if not tally.is_empty:
            cells[shade_of(tally).name].append(_cell(left + n * _CELL, column.title, tally))
    cells[shade_of(line.total).name].append(_cell(all_at, "all", line.total))
    return cells


def _cell(x: int, label: str, tally: Tally) -> _Cell:
    return _Cell(x, percent_of(tally), f"{label}: {sentence_of(tally)}")


def _legend(shades: list[Shade]) -> Iterator[tuple[int, Shade]]:
    """The shades to explain, each with the left edge of its sample."""
    x = _MARGIN
    for shade in shades:
        yield x, shade
        x += _legend_width(shade)


def _legend_width(shade: Shade) -> int:
    return _CELL + 12 + round(len(shade.meaning) * _IN_TEXT)


def _notes(grid: Grid, total: Tally) -> Iterator[str]:
    folded = " Older columns hold several seasons, months or dates." if grid.folded else ""
    yield f"Percent of the files that are due and that the source has, rounded down.{folded}"
    if not total.is_known:
        yield NOT_KNOWN


def _style() -> str:
    shades = "".join(f".{s.name} rect{{fill:{s.fill}}}.{s.name} text{{fill:{s.ink}}}" for s in (*SHADES, UNKNOWN, OFF))
    page, ink, line = LIGHT
    dark_page, dark_ink, dark_line = DARK
    return (
        "text{font:11px sans-serif;fill:var(--i)}g g text{font-size:10px;text-anchor:middle}"
        ".m{text-anchor:middle;font-size:10px}.r{text-anchor:end}.t{font-weight:bold}"
        f"rect{{y:-13px;width:{_CELL - 1}px;height:{_ROW - 1}px}}.page{{fill:var(--p)}}{shades}"
        f".{NONE.name} rect{{fill:none;stroke:var(--l)}}"
        f"svg{{--p:{page};--i:{ink};--l:{line}}}"
        f"@media(prefers-color-scheme:dark){{svg{{--p:{dark_page};--i:{dark_ink};--l:{dark_line}}}}}"
    )


_TEMPLATES = templates(Path(__file__).parent)
_TEMPLATES.globals |= {"cell": _CELL, "row": _ROW, "head_line": _HEAD, "margin": _MARGIN}
