"""How does the coverage look as an SVG picture?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from html import escape
from operator import attrgetter

from tasks.domain.assess.coverage import By, Coverage, Tally
from tasks.domain.wording import plural
from tasks.show.coverage.grid import Column, Grid, Line, grid_of
from tasks.show.coverage.shades import DARK, LIGHT, NONE, SHADES, UNKNOWN, percent_of, shade_of

_MOST_COLUMNS = 36
# In pixels: the width of a cell, the height of a row, the width of a letter, and the margin.
_CELL, _ROW, _LETTER, _MARGIN = 31, 18, 7.2, 12
_COUNT = 58  # the width of a column of counts
_TOP = 34  # where the head of the table begins, below the title
_BASE = 13  # distance from the top of a row to the baseline of its text, which is y = 0 in the row


def svg(coverage: Coverage, title: str = "Coverage", by: By = By.SEASON) -> str:
    """A heatmap as a self-contained SVG document with at most 36 columns. Older spans share columns if necessary.

    A cell takes about 80 bytes, so that the document fits into a Markdown artifact. For that, a style sheet sets the
    size of the cells, and cells of one shade in one row form one group.
    """
    grid = grid_of(coverage, by, most=_MOST_COLUMNS)
    return "".join(_Picture(grid, title).parts())


class _Picture:
    """The layout of the picture, and its parts."""

    def __init__(self, grid: Grid, title: str):
        self.grid = grid
        self.title = title
        longest = max(len(line.name) + 1 for line in grid.lines)
        self.left = _MARGIN + round(longest * _LETTER)
        self.all_at = self.left + len(grid.columns) * _CELL + 6
        self.head = _TOP + 12 * max((len(column.label) for column in grid.columns), default=1) + 4
        self.bottom = self.head + len(grid.lines) * _ROW
        self.counts = [("lacking", attrgetter("lacking"))]
        if grid.lines[-1].total.unavailable:
            self.counts.append(("unavail.", attrgetter("unavailable")))
        self.shades = [*SHADES, *([UNKNOWN] if grid.lines[-1].total.unknown else [])]
        legend = sum(_legend_width(shade.meaning) for shade in self.shades)
        counts_end = self.all_at + _CELL + _COUNT * len(self.counts)
        self.width = max(counts_end + _MARGIN, 2 * _MARGIN + max(legend, round(len(title) * 8.5)))
        self.notes = list(_notes(grid))
        self.height = self.bottom + 40 + _ROW * len(self.notes)

    def parts(self) -> Iterator[str]:
        """The pieces of the SVG document, in order."""
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" role="img"><title>{escape(self.title)}</title>'
            f"<style>{_style()}</style>"
            f'<path class="page" d="M0 0h{self.width}v{self.height}H0z"/>'
            f'<text class="t" x="{_MARGIN}" y="24">{escape(self.title)}</text>'
        )
        yield from self._heads()
        for n, line in enumerate(self.grid.lines):
            yield f'<g transform="translate(0 {self.head + n * _ROW + _BASE})">{"".join(self._line(line))}</g>'
        yield from self._legend()
        yield "</svg>"

    def _heads(self) -> Iterator[str]:
        labels = [(self._middle(n), column.label) for n, column in enumerate(self.grid.columns)]
        for x, lines in [*labels, (self.all_at + _CELL // 2, ["all"])]:
            for up, text in enumerate(reversed(lines)):
                yield f'<text class="m" x="{x}" y="{self.head - 6 - 12 * up}">{escape(text)}</text>'
        for n, (name, _) in enumerate(self.counts, 1):
            yield f'<text class="r" x="{self._count_at(n)}" y="{self.head - 6}">{name}</text>'

    def _line(self, line: Line) -> Iterator[str]:
        name = escape(line.name)
        yield (
            f'<text x="{_MARGIN + 10}">{name}</text>'
            if line.dataset
            else (f'<text class="t" x="{_MARGIN}">{name}</text>')
        )
        for n, (_, count) in enumerate(self.counts, 1):
            if count(line.total):
                yield f'<text class="r" x="{self._count_at(n)}">{count(line.total):,}</text>'
        by_shade = defaultdict(list)
        if line.dataset or not line.source:  # a source's row shows its total only; its datasets are below it
            for n, (column, tally) in enumerate(zip(self.grid.columns, line.tallies, strict=True)):
                if not tally.is_empty:
                    by_shade[shade_of(tally).name].append(_cell(self.left + n * _CELL, _short(column), tally))
        by_shade[shade_of(line.total).name].append(_cell(self.all_at, "all", line.total))
        for shade, cells in by_shade.items():
            yield f'<g class="{shade}">{"".join(cells)}</g>'

    def _count_at(self, n: int) -> int:
        """The right edge of the n-th column of counts."""
        return self.all_at + _CELL + _COUNT * n - 2

    def _middle(self, n: int) -> int:
        return self.left + n * _CELL + _CELL // 2

    def _legend(self) -> Iterator[str]:
        x, y = _MARGIN, self.bottom + 14
        for shade in self.shades:
            yield (
                f'<g transform="translate({x} {y + _BASE})" class="{shade.name}"><rect/></g>'
                f'<text x="{x + _CELL + 4}" y="{y + _BASE}">{escape(shade.meaning)}</text>'
            )
            x += _legend_width(shade.meaning)
        for note in self.notes:
            yield f'<text x="{_MARGIN}" y="{y + 34}">{escape(note)}</text>'
            y += _ROW


def _notes(grid: Grid) -> Iterator[str]:
    total = grid.lines[-1].total
    folded = " Older columns hold several seasons, months or dates." if grid.folded else ""
    yield f"Percent of the files that are due and that the source has, rounded down.{folded}"
    if total.unavailable:
        yield f"Not counted in it: {total.unavailable_in_words}."
    if total.unknown:
        yield f"Unknown: what {plural(len(total.unknown), 'schedule')} would list. Percentages are of what is known."


def _cell(x: int, label: str, tally: Tally) -> str:
    title = f"{label}: {tally.present}/{tally.wanted}"
    title += f", {tally.unavailable_in_words}" if tally.unavailable else ""
    title += f", {len(tally.unknown)} schedules lacking" if tally.unknown else ""
    return f'<rect x="{x}"><title>{title}</title></rect><text x="{x + _CELL // 2}">{percent_of(tally)}</text>'


def _short(column: Column) -> str:
    return column.title[2:] if column.by is By.SEASON else column.title


def _legend_width(text: str) -> int:
    return _CELL + 12 + round(len(text) * 6)


def _style() -> str:
    shades = "".join(f".{s.name} rect{{fill:{s.fill}}}.{s.name} text{{fill:{s.ink}}}" for s in (*SHADES, UNKNOWN))
    page, ink, line = LIGHT
    dark_page, dark_ink, dark_line = DARK
    return (
        "text{font:11px sans-serif;fill:var(--i)}g g text{font-size:10px;text-anchor:middle}"
        ".m{text-anchor:middle;font-size:10px}.r{text-anchor:end}.t{font-weight:bold}"
        f"rect{{y:-{_BASE}px;width:{_CELL - 1}px;height:{_ROW - 1}px}}.page{{fill:var(--p)}}{shades}"
        f".{NONE.name} rect{{fill:none;stroke:var(--l)}}"
        f"svg{{--p:{page};--i:{ink};--l:{line}}}"
        f"@media(prefers-color-scheme:dark){{svg{{--p:{dark_page};--i:{dark_ink};--l:{dark_line}}}}}"
    )
