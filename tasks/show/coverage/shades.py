"""Which colour stands for which coverage? The same in a terminal, a picture and a page."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.domain.assess.coverage import Tally


@dataclass(frozen=True, slots=True)
class Shade:
    """A colour of the scale, which stands for `least` per cent and more."""

    name: str  # its CSS class
    least: float
    meaning: str
    fill: str
    ink: str
    glyph: str
    ascii: str


# From teal over sand to orange, so that the ends differ for every kind of colour vision. The darkest colours are those
# of complete and of nearly empty cells. Text on each colour has a contrast of at least 5.5 to 1.
SHADES = (
    Shade("a", 100, "complete", "#00695c", "#ffffff", "✓", "#"),
    Shade("b", 99, "from 99 %", "#58b8ab", "#000000", "▆", "+"),
    Shade("c", 90, "from 90 %", "#c0e6e0", "#000000", "▅", "="),
    Shade("d", 50, "from 50 %", "#fde2ad", "#000000", "▃", "-"),
    Shade("e", 0.1, "from 0.1 %", "#f2a33c", "#000000", "▁", "."),
    Shade("f", 0, "under 0.1 %", "#a83a0b", "#ffffff", "×", "x"),  # noqa: RUF001 - the sign is meant
)
UNKNOWN = Shade("u", 0, "not all is known", "#5b4a9e", "#ffffff", "", "")
OFF = Shade("o", 0, "the rest is disabled", "#59636f", "#ffffff", "·", ",")
NONE = Shade("n", 0, "nothing wanted", "", "", " ", " ")

# The colours of background, text and lines, for light and dark mode.
LIGHT = ("#ffffff", "#1c2430", "#c8ced6")
DARK = ("#14181d", "#e4e8ed", "#3b444f")


def shade_of(tally: Tally) -> Shade:
    """The shade of a cell with this tally."""
    if not tally.is_known:
        return UNKNOWN
    percent = tally.percent
    if percent is None:
        return NONE
    if tally.switched_off and tally.switched_off == tally.lacking:
        return OFF
    return next(shade for shade in SHADES if percent >= shade.least)


def legend_of(total: Tally) -> list[Shade]:
    """The shades to explain beside a table with this total."""
    return [*SHADES, *([] if total.is_known else [UNKNOWN]), *([OFF] if total.switched_off else [])]
