"""How do lines and tables fit the width of a terminal? Names, keys and numbers are never cut or broken."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.secrets import masked

_UNLIMITED = 100_000  # columns of a pipe or a file, into which each line is written whole


class Paper(Console):
    """A console that breaks lines between words only. A wider word is left to the terminal.

    Rich's own colouring of what looks like a number is off: it would colour a half of a key, such as 20260113.j. Its
    codes of emoji are off, too: it would change the text root:x:0:0.
    """

    def __init__(self, **options: Any):
        super().__init__(**{"highlight": False, "emoji": False, **options})

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*objects, **{"overflow": "ignore", "crop": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """The text of a string, in lines that fit. Rich itself would break or cut the words that do not fit."""
        whole = super().render_str(text, **options)
        breaks, column = [], 0
        for word in re.finditer(r"\S+|\s", whole.plain):
            column = 0 if word[0] == "\n" else column + cell_len(word[0])
            if column > self.width and not word[0].isspace() and whole.plain[: word.start()].strip():
                breaks.append(word.start())
                column = cell_len(word[0])
        return Text("\n").join(_without_end(line) for line in whole.divide(breaks))


def _without_end(line: Text) -> Text:
    line.rstrip()
    return line


def standard_output() -> Paper:
    """Standard output. Lines in a pipe or a file are not wrapped; they have colours only if FORCE_COLOR is set."""
    return Paper(width=None if sys.stdout.isatty() else _UNLIMITED)


def say(text: str) -> None:
    """Prints a text without markup and without secrets on standard output."""
    standard_output().print(masked(text), markup=False, highlight=False)


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    is_number: bool = False
    leaves: int = 0  # where there is no room, the column with the lowest number leaves first; 0: it always stays


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table. Where it is too wide, its least important columns are left out, or else it becomes a list."""
    shown = list(range(len(columns)))
    while not _fits(console, table := _table(columns, rows, shown)):
        if not (may_leave := [place for place in shown if columns[place].leaves]):
            _print_list(console, columns, rows)
            return
        shown.remove(min(may_leave, key=lambda place: columns[place].leaves))
    _print_lines(console, table)


def print_pairs(console: Console, pairs: Mapping[str, str]) -> None:
    """Prints names with their texts (which may have markup): side by side, or where that is too narrow, in lines."""
    width = max(map(len, pairs)) + 2
    longest = max(len(word) for text in pairs.values() for word in Text.from_markup(text, emoji=False).plain.split())
    if width + longest > console.width:
        for name, text in pairs.items():
            console.print(f"[dim]{name}:[/dim] {text}")
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, text in pairs.items():
        grid.add_row(name, Text.from_markup(text, emoji=False))
    _print_lines(console, grid)


def _print_lines(console: Console, table: Table) -> None:
    """Prints a table without the spaces with which its last column is filled up."""
    for segments in console.render_lines(table, pad=False):
        line = Text.assemble(*((segment.text, segment.style or "") for segment in segments), no_wrap=True)
        console.print(_without_end(line))


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], shown: Sequence[int]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for place in shown:
        table.add_column(columns[place].name, justify="right" if columns[place].is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[place]) for place in shown))
    return table


def _fits(console: Console, table: Table) -> bool:
    return console.measure(table, options=console.options.update(width=_UNLIMITED)).maximum <= console.width


def _print_list(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Prints each row as one or more lines of names and values, in which only the pairs are kept together."""
    for row in rows:
        line, *pairs = (f"{column.name} {value}" for column, value in zip(columns, row, strict=True))
        for pair in pairs:
            if len(line) + len(", ,") + len(pair) <= console.width:
                line += f", {pair}"
            else:
                console.print(f"{line},", markup=False)
                line = f"  {pair}"
        console.print(line, markup=False)
