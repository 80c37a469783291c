"""How does the coverage look as a web page? A click on a season shows its dates, and then the missing files."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from tasks.domain.assess.coverage import Coverage, Hole
from tasks.domain.assess.states import State
from tasks.domain.wording import plural, utc
from tasks.show.coverage.grid import grid_of
from tasks.show.coverage.shades import DARK, LIGHT, NONE, SHADES, UNKNOWN, percent_of, sentence_of, shade_of

MOST_HOLES = 50_000
_HERE = Path(__file__).parent
# The order of the counts in the page's data. Zeros at the end are left out, since most days end with some.
_COUNTS = (State.PRESENT, State.GAP, State.DEFERRED, State.IN_FLIGHT, State.UNAVAILABLE, State.NOT_DUE)


def html(coverage: Coverage, holes: Sequence[Hole], title: str = "Coverage", most_holes: int = MOST_HOLES) -> str:
    """A self-contained HTML document: an overview by season, which needs no script, and details after a click.

    A hole is a file that is due but missing or not as it should be. The page lists the first `most_holes` of them, and
    says how many more there are. In the document, the counts of a day take about 10 bytes, and a hole takes its key and
    about 10 bytes.
    """
    return _TEMPLATES.get_template("page.html").render(
        title=title,
        style=_TEMPLATES.get_template("page.css").render(light=LIGHT, dark=DARK, shades=(*SHADES, UNKNOWN)),
        script=(_HERE / "page.js").read_text(),
        total=coverage.total,
        found=len(holes),
        most_holes=most_holes,
        grid=grid_of(coverage),
        shades=(*SHADES, UNKNOWN),
        data=_data(coverage, holes, most_holes),
    )


def _data(coverage: Coverage, holes: Iterable[Hole], most_holes: int) -> dict[str, Any]:
    """The data of the script, as JSON.

    - cells: by dataset and season, [[span, count, ...], ...], with the counts of _COUNTS and then the number of unknown
      schedules
    - holes: by dataset and season, [[span, state, reason, until, key], ...]; the state is an index into `states`, the
      reason one into `reasons`, and until one into `times`

    A span is a date, as the number of days since 1 January of the season's first year, or a month, or "".
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
                reasons.index(status.reason),
                times.index(_minute(status.until)),
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
    """A list of texts that holds each text once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def index(self, text: str) -> int:
        """The index of a text in the list. The text is added if it is not there yet."""
        return self._places.setdefault(text, len(self._places))

    @property
    def texts(self) -> list[str]:
        """The list."""
        return list(self._places)


def _days_in(season: str, span: str) -> int | str:
    return (date.fromisoformat(span) - date(int(season[:4]), 1, 1)).days if len(span) == 10 else span


def _minute(moment: datetime | None) -> str:
    return utc(moment) if moment else ""


def _digest(text: str) -> str:
    """The hash of a style or script. The page's content security policy allows only styles and scripts with a hash."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _component(name: str) -> str:
    """Encodes a name as the script's encodeURIComponent does, because the script finds links by their addresses."""
    return quote(name, safe="!~*'()")


def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "component": _component,
        "digest": _digest,
        "percent": percent_of,
        "plural": plural,
        "sentence": sentence_of,
        "shade": lambda tally: shade_of(tally).name,
        "thousands": "{:,}".format,
    }
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return templates


_TEMPLATES = _templates()
