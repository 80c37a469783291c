"""How does the coverage look as a web page? A click on a season shows its dates, and then the missing files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment

from tasks.domain.assess.coverage import Coverage, Hole, Tally
from tasks.domain.assess.periods import By
from tasks.show.coverage.grid import grid_of
from tasks.show.coverage.shades import DARK, LIGHT, OFF, SHADES, UNKNOWN, legend_of, shade_of
from tasks.show.coverage.words import counts_of, percent_of, sentence_of, state_in_words, summary_of, title_of
from tasks.show.templates import templates

MOST_HOLES = 50_000
_HERE = Path(__file__).parent


def html(coverage: Coverage, holes: Sequence[Hole], most_holes: int = MOST_HOLES) -> str:
    """A self-contained HTML document: an overview by season, which needs no script, and details after a click.

    A hole is a file that is due but missing or not as it should be. The page lists the first `most_holes` of them, and
    says how many more there are. In the document, a day takes about 8 bytes, and a hole takes its key and about 10
    bytes.
    """
    total = coverage.total
    return _TEMPLATES.get_template("page.html").render(
        title=title_of(coverage),
        coverage=coverage,
        style=_TEMPLATES.get_template("page.css").render(light=LIGHT, dark=DARK, shades=(*SHADES, UNKNOWN, OFF)),
        script=(_HERE / "page.js").read_text(),
        total=total,
        counts=counts_of(total),
        found=len(holes),
        most_holes=most_holes,
        grid=grid_of(coverage),
        shades=legend_of(total),
        data=_data(coverage, holes, most_holes),
    )


def _data(coverage: Coverage, holes: Iterable[Hole], most_holes: int) -> dict[str, Any]:
    """The data of the script, as JSON.

    - tallies: [[number, shade, sentence, how many holes there are], ...], each different one once
    - seasons: by dataset and season, its summary, its tally, and those of its spans, [[span, tally], ...]; each tally
      is an index into `tallies`
    - holes: by dataset and season, [[span, state, reason, time, key], ...]; the last but the key are indexes into
      `states`, `reasons` and `times`

    A span is a date, as the number of days since 1 January of the season's first year, or a month with all its dates,
    or "" for the files of the whole season.
    """
    tallies, states, reasons, times = _Table(), _Table(), _Table(), _Table()
    seasons: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in coverage.rows(By.SEASON):
        counted = {"summary": summary_of(row.tally), "all": tallies.index(_shown(row.tally)), "spans": []}
        seasons[row.dataset][row.season] = counted
    for by in (By.DATE, By.MONTH):
        for row in coverage.rows(by):
            if by is By.MONTH or row.span:  # the rows by month have the files of longer spans, too
                place = [_days_in(row.season, row.span), tallies.index(_shown(row.tally))]
                seasons[row.dataset][row.season]["spans"].append(place)
    listed: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for hole in islice(holes, most_holes):
        listed[hole.dataset][hole.season].append(
            [
                _days_in(hole.season, hole.span),
                states.index(state_in_words(hole.status)),
                reasons.index(hole.status.reason),
                times.index(hole.status.until_in_words),
                hole.key,
            ]
        )
    return {
        "tallies": tallies.values,
        "seasons": seasons,
        "holes": listed,
        "states": states.values,
        "reasons": reasons.values,
        "times": times.values,
    }


def _shown(tally: Tally) -> tuple[str, str, str, int]:
    """What the script shows of a tally, and how many holes it counts."""
    return percent_of(tally), shade_of(tally).name, sentence_of(tally), tally.lacking + tally.unavailable


class _Table:
    """A list that holds each value once."""

    def __init__(self) -> None:
        self._places: dict[Hashable, int] = {}

    def index(self, value: Hashable) -> int:
        """The index of a value in the list. The value is added if it is not there yet."""
        return self._places.setdefault(value, len(self._places))

    @property
    def values(self) -> list[Hashable]:
        """The list."""
        return list(self._places)


def _days_in(season: str, span: str) -> int | str:
    return (date.fromisoformat(span) - date(int(season[:4]), 1, 1)).days if len(span) == 10 else span


def _component(name: str) -> str:
    """Encodes a name as the script's encodeURIComponent does, because the script finds links by their addresses."""
    return quote(name, safe="!~*'()")


def _templates() -> Environment:
    found = templates(
        _HERE,
        component=_component,
        percent=percent_of,
        sentence=sentence_of,
        shade=lambda tally: shade_of(tally).name,
        summary=summary_of,
    )
    found.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return found


_TEMPLATES = _templates()
