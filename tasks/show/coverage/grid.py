"""Which tally belongs in which row and column of a heatmap?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tasks.domain.assess.coverage import Coverage, Tally, add_up
from tasks.domain.assess.periods import By

OTHER = {By.MONTH: "of more than a month", By.DATE: "of more than a day"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the heatmap: one season, month or date, or several consecutive ones."""

    by: By
    spans: tuple[str, ...]

    @property
    def label(self) -> list[str]:
        """Lines of at most five characters: ["2025", "-26"], ["1996", "-97", "to", "2002", "-03"]."""
        first, last = self.spans[0], self.spans[-1]
        return _lines(first) + (["to", *_lines(last)] if last != first else [])

    @property
    def title(self) -> str:
        """The span of the column in words: "2025-26", or "1996-97 to 2002-03"."""
        first, last = self.spans[0], self.spans[-1]
        if not first:
            return OTHER[self.by]
        return first if first == last else f"{first} to {last}"


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the heatmap: the tallies by column of a dataset, of a source, or of everything.

    In a source's row the dataset is empty, and in the total's row the source too.
    """

    source: str
    dataset: str
    tallies: tuple[Tally, ...]
    total: Tally

    @property
    def name(self) -> str:
        """The heading of the row."""
        return self.dataset or self.source or "total"


@dataclass(frozen=True, slots=True)
class Grid:
    """The rows and columns of a heatmap."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]  # each source before its datasets, the total last
    ahead: int  # number of months or dates that are left out because nothing is due in them yet

    @property
    def folded(self) -> bool:
        """Do some columns stand for several seasons, months or dates?"""
        return any(len(column.spans) > 1 for column in self.columns)


def grid_of(coverage: Coverage, by: By = By.SEASON, most: int | None = None) -> Grid:
    """The grid of a coverage, folded into at most `most` columns (see `fold`).

    Months and dates in which nothing is due yet are left out.
    """
    rows = coverage.rows(by)
    place = [row.season if by is By.SEASON else row.span for row in rows]
    begun = {
        span for row, span in zip(rows, place, strict=True) if row.tally.due or row.tally.unknown or by is By.SEASON
    }
    ahead = len(set(place) - begun - {""})
    known = sorted(begun - {""})
    others = [Column(by, ("",))] if "" in place else []
    room = None if most is None else max(1, most - len(others))
    columns = [Column(by, spans) for spans in fold(known, room)] + others
    at = {span: n for n, column in enumerate(columns) for span in column.spans}
    lines: dict[tuple[str, str], list[list[Tally]]] = defaultdict(lambda: [[] for _ in columns])
    for row, span in zip(rows, place, strict=True):
        for line in ((row.source, ""), (row.source, row.dataset), ("", "")):
            if span in at:
                lines[line][at[span]].append(row.tally)
    total = lines.pop(("", ""), [[] for _ in columns])
    return Grid(
        tuple(columns),
        tuple(_line(source, dataset, tallies) for (source, dataset), tallies in [*lines.items(), (("", ""), total)]),
        ahead,
    )


def fold(spans: Sequence[str], most: int | None) -> list[tuple[str, ...]]:
    """Groups spans into at most `most` columns.

    If there are more spans, each of the newest has its own column, and the older ones share columns in groups of equal
    size.
    """
    if most is None or len(spans) <= most:
        return [(span,) for span in spans]
    groups = most - most // 2
    old = len(spans) - most // 2
    edges = [old * n // groups for n in range(groups + 1)]
    return [tuple(spans[a:b]) for a, b in pairwise(edges)] + [(span,) for span in spans[old:]]


def _line(source: str, dataset: str, tallies: Iterable[list[Tally]]) -> Line:
    sums = tuple(add_up(column) for column in tallies)
    return Line(source, dataset, sums, add_up(sums))


def _lines(span: str) -> list[str]:
    year, *rest = span.split("-")
    return [year or "rest", *(f"-{part}" for part in rest)]
