"""How does a badge look? Two words of text side by side, as in the README of a project; the colour says how it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from html import escape

from config.models import Config
from tasks.domain.assess.completeness import day_that_ends
from tasks.domain.assess.states import LACKING
from tasks.domain.metrics import CELLS, COMPLETE_UNTIL, UNKNOWN, Measured
from tasks.domain.wording import plural
from tasks.show.coverage.shades import OFF, SHADES, Shade
from tasks.show.coverage.shades import UNKNOWN as NOT_KNOWN

_WIDTH, _SPACE, _HEIGHT = 6.6, 12, 20  # of a character and beside a text, in pixels


@dataclass(frozen=True, slots=True)
class Completeness:
    """To which day a dataset is complete, and how many of its files and schedules are lacking."""

    until: date | None
    holes: int
    unknown: int  # schedules that may list more files

    @property
    def text(self) -> str:
        """In words: "complete to 2026-11-28, 0 holes"."""
        until = f"complete to {self.until}, " if self.until else ""
        unknown = f", {plural(self.unknown, 'schedule')} unknown" if self.unknown else ""
        return f"{until}{plural(self.holes, 'hole')}{unknown}"

    @property
    def shade(self) -> Shade:
        """The colour that stands for it in a coverage, too."""
        return NOT_KNOWN if self.unknown else SHADES[0] if not self.holes else SHADES[4]


def completeness(measured: Measured, config: Config, dataset: str) -> Completeness | None:
    """The completeness of a dataset, as the last recorded look has it; None if none is recorded."""
    source = config.datasets[dataset].source
    cells = measured.values.get(CELLS, {})
    found = [cells.get((source, dataset, state.value)) for state in LACKING]
    if all(count is None for count in found):
        return None
    end = measured.values.get(COMPLETE_UNTIL, {}).get((dataset,))
    until = day_that_ends(datetime.fromtimestamp(end, UTC)) if end is not None else None
    unknown = measured.values.get(UNKNOWN, {}).get((dataset,), 0)
    return Completeness(until, int(sum(count or 0 for count in found)), int(unknown))


def badge(name: str, found: Completeness | None, *, is_collected: bool = True) -> bytes:
    """A picture in SVG for a dataset; it says so if it is not collected, or nothing is known of it."""
    text, shade = (found.text, found.shade) if found else ("not known yet", OFF)
    if not is_collected:
        text, shade = "not collected", OFF
    left, right = (round(_WIDTH * len(part) + _SPACE) for part in (name, text))
    whole = f"{name}: {text}"
    style = 'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(whole)}"><title>{escape(whole)}</title>'
        f'<rect width="{left}" height="{_HEIGHT}" fill="#3b444f"/>'
        f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{shade.fill}"/>'
        f'<g {style}><text x="{left / 2:g}" y="14" fill="#ffffff">{escape(name)}</text>'
        f'<text x="{left + right / 2:g}" y="14" fill="{shade.ink}">{escape(text)}</text></g></svg>\n'
    ).encode()
