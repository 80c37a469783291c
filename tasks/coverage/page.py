"""How does coverage look as a page, where a click leads from a season to its dates and their holes?"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tasks.coverage.grid import Column, Line, grid_of
from tasks.coverage.shades import DARK, LIGHT, NONE, SHADES, UNKNOWN, percent_of, sentence_of, shade_of
from tasks.domain.coverage import Coverage, Hole, Tally
from tasks.domain.states import State
from tasks.domain.wording import plural

MOST_HOLES = 50_000
_HERE = Path(__file__).parent
# The order of the counts in the page's data: the zeros that most days end with are left out.
_COUNTS = (State.PRESENT, State.GAP, State.DEFERRED, State.IN_FLIGHT, State.UNAVAILABLE, State.NOT_DUE)


def html(coverage: Coverage, holes: Sequence[Hole], title: str = "Coverage", most_holes: int = MOST_HOLES) -> str:
    """One self-contained document: an overview by season, which needs no script, and below it what was clicked.

    It lists the first `most_holes` holes and says how many more there are. The counts of a day take some 10 bytes,
    a hole takes its key and some 10 bytes.
    """
    style = _style()
    script = (_HERE / "page.js").read_text()
    policy = f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title><style>{style}</style></head><body>\n",
            f"<main><h1>{escape(title)}</h1>\n",
            *_summary(coverage, len(holes), most_holes),
            *_overview(coverage),
            *_legend(),
            '<noscript><p class="note">With scripts allowed, a click on a season shows its dates and holes.</p>'
            "</noscript>\n",
            '<section id="detail"></section></main>\n',
            f'<script type="application/json" id="data">{_embedded(_data(coverage, holes, most_holes))}</script>\n',
            f"<script>{script}</script></body></html>\n",
        )
    )


def _summary(coverage: Coverage, found: int, most_holes: int) -> Iterator[str]:
    total = coverage.total
    known = "of what is known" if total.unknown else "complete"
    percent = f"<strong>{percent_of(total).rstrip('?')} %</strong> {known}: " if total.wanted else ""
    yield f"<p>{percent}{sentence_of(total)}.</p>\n"
    if total.unknown:
        yield (
            f'<p class="note">What {plural(len(total.unknown), "schedule")} would list is unknown: missing, not read '
            "yet, stale or bad. So more files may be expected than are counted here; <code>adce plan --json</code> "
            "names what is needed under <code>unknown</code>.</p>\n"
        )
    if found > most_holes:
        yield (
            f'<p class="note">This page lists {most_holes:,} of the {found:,} files that are due and not there; '
            f"{found - most_holes:,} are left out, which are counted all the same. <code>adce plan --json</code> with "
            "<code>--dataset</code> and <code>--season</code> lists what is to be fetched, "
            "<code>adce why KEY</code> tells about any file.</p>\n"
        )


def _overview(coverage: Coverage) -> Iterator[str]:
    grid = grid_of(coverage)
    yield '<div class="scroll"><table id="overview"><caption>Percent of the files, by season</caption>'
    yield "<thead><tr><td></td>"
    for column in grid.columns:
        yield f'<th scope="col">{"<br>".join(map(escape, column.label))}</th>'
    yield '<th scope="col">all</th><th scope="col" class="count">lacking</th>'
    gone = grid.lines[-1].total.unavailable
    yield '<th scope="col" class="count">unavailable</th>' if gone else ""
    yield "</tr></thead>\n<tbody>"
    for line in grid.lines:
        yield f'<tr class="{"dataset" if line.dataset else "sum"}"><th scope="row">{escape(line.name)}</th>'
        for column, tally in zip(grid.columns, line.tallies, strict=True):
            yield _cell(line, column, tally)
        total = line.total
        yield f'<td class="all {shade_of(total).name}" title="{sentence_of(total)}">{percent_of(total)}</td>'
        for count in (total.lacking, *([total.unavailable] if gone else [])):
            yield f'<td class="count">{f"{count:,}" if count else ""}</td>'
        yield "</tr>\n"
    yield "</tbody></table></div>\n"


def _cell(line: Line, column: Column, tally: Tally) -> str:
    if tally.is_empty:
        return "<td></td>"
    number, told = percent_of(tally), sentence_of(tally)
    if not line.dataset:
        return f'<td class="{shade_of(tally).name}" title="{told}">{number}</td>'
    season = column.title
    return (
        f'<td class="{shade_of(tally).name}"><a href="#{_quoted(line.dataset)}/{_quoted(season)}" '
        f'title="{escape(season)}: {told}">{number}</a></td>'
    )


def _quoted(name: str) -> str:
    """As encodeURIComponent does it in the script, which looks links up by their address."""
    return escape(quote(name, safe="!~*'()"))


def _legend() -> Iterator[str]:
    yield '<ul class="legend" aria-label="Colours">'
    for shade in (*SHADES, UNKNOWN):
        yield f'<li><span class="{shade.name}"></span> {escape(shade.meaning)}</li>'
    yield (
        "</ul>\n<p>Percent of the files that are due and that the source has, rounded down: 100 means every single "
        "one; with a question mark, of what is known. Lacking: due, and not there or not as it should be. A season "
        "leads to its dates, a date to its holes.</p>\n"
    )


def _data(coverage: Coverage, holes: Iterable[Hole], most_holes: int) -> dict[str, Any]:
    """What the script reads. Reasons and times that many holes share stand in a table each.

    cells: by dataset and season [[span, counts ...], ...], the last count that of schedules that are not known; and
    holes: likewise [[span, state, reason, until, key], ...].
    A span is a date as the days since 1 January of the season's first year, or a month, or "".
    """
    cells: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in coverage.finest:
        counts = [*(getattr(row.tally, state.value) for state in _COUNTS), len(row.tally.unknown)]
        while not counts[-1]:
            counts.pop()
        cells[row.dataset][row.season].append([_days_in(row.season, row.span), *counts])
    reasons, times = _Table(), _Table()
    listed: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for hole in islice(holes, most_holes):
        status = hole.status
        listed[hole.dataset][hole.season].append(
            [
                _days_in(hole.season, hole.span),
                _COUNTS.index(status.state),
                reasons.place(status.reason),
                times.place(_minute(status.until)),
                hole.key,
            ]
        )
    return {
        "states": [state.value for state in _COUNTS],
        "shades": [[shade.least, shade.name] for shade in SHADES],
        "none": NONE.name,
        "unknown": UNKNOWN.name,
        "cells": cells,
        "holes": listed,
        "reasons": reasons.texts,
        "times": times.texts,
    }


class _Table:
    """Texts, each once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    @property
    def texts(self) -> list[str]:
        return list(self._places)


def _days_in(season: str, span: str) -> int | str:
    return (date.fromisoformat(span) - date(int(season[:4]), 1, 1)).days if len(span) == 10 else span


def _minute(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else ""


def _embedded(data: Any) -> str:
    """JSON that no text in it can end: neither the script element nor a line."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _style() -> str:
    shades = "".join(f".{s.name}{{background:{s.fill};color:{s.ink}}}" for s in (*SHADES, UNKNOWN))
    page, ink, line = LIGHT
    dark_page, dark_ink, dark_line = DARK
    return (
        f":root{{--page:{page};--ink:{ink};--line:{line}}}"
        f"@media(prefers-color-scheme:dark){{:root{{--page:{dark_page};--ink:{dark_ink};--line:{dark_line}}}}}\n"
        f"{(_HERE / 'page.css').read_text()}{shades}"
    )


def _digest(text: str) -> str:
    """Names a style or script in the content security policy, so that no other one runs."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
