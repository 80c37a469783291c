"""How well was the lake kept in the last days? The command `adce report`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from config.secrets import masked
from deployments.cli.layout import Column, print_table, standard_output
from deployments.cli.ledger import opened
from deployments.cli.options import JsonOption, Places, begin_of
from deployments.cli.output import print_json
from tasks.domain.access import Access

if TYPE_CHECKING:
    from tasks.domain.success import Success


def report(
    since: Annotated[
        str, typer.Option("--since", metavar="7d", help="How far back to look, as 7d or 12h, or a day.")
    ] = "7d",
    *,
    places: Places,
    as_json: JsonOption = False,
) -> None:
    """Shows how well the lake was kept in the last days: figures beside their targets, from the ledger alone.

    For each dataset it shows how many of its files were there within `promise` after they were due, and which file was
    not there for the longest time. Into a pipe or a file it is written as Markdown.

    Example: adce report --since 7d > report.md
    """
    from tasks.answers.success import success_since
    from tasks.show.documents.success import SuccessAnswer
    from tasks.show.markdown import success_markdown

    now = datetime.now(UTC)
    begin = begin_of("--since", since, now)
    with opened(places, Access.LOOK) as (config, ledger):
        found = success_since(config, ledger, begin, now)
    if as_json:
        print_json(SuccessAnswer.of(found).as_json())
    elif sys.stdout.isatty():
        show(found, standard_output())
    else:
        typer.echo(masked(success_markdown(found)), nl=False)


_NUMBERS = {"due", "in time", "late", "not there", "now not there"}
_LEAVES = {"now not there": 1, "until": 2, "promise": 1, "objective": 2, "without ADCE": 1}  # see Column


def show(found: Success, console: Console) -> None:
    """Prints the report as tables."""
    from tasks.show.success import lines, tables

    for line in lines(found):
        console.print(masked(line), markup=False)
    for title, columns, rows, long, nothing in tables(found):
        console.print(f"\n{title}", markup=False)
        short = len(columns) - long
        if rows:
            print_table(console, [_column(name) for name in columns[:short]], [row[:short] for row in rows])
        else:
            console.print(nothing, markup=False)
        for row in rows if long else ():
            console.print(masked(": ".join((row[0], *row[short:]))), markup=False)


def _column(name: str) -> Column:
    return Column(name, name in _NUMBERS, _LEAVES.get(name, 0))
