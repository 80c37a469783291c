"""How is a percentage of files written and coloured? The same way in a terminal, a picture and a page."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.domain.assess.coverage import Tally
from tasks.domain.assess.states import State
from tasks.domain.wording import plural


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
    Shade("f", 0, "less", "#a83a0b", "#ffffff", "×", "x"),  # noqa: RUF001 - the sign is meant
)
UNKNOWN = Shade("u", 0, "unknown: a schedule is lacking", "#5b4a9e", "#ffffff", "", "")
NONE = Shade("n", 0, "nothing wanted", "", "", " ", " ")

# The colours of background, text and lines, for light and dark mode.
LIGHT = ("#ffffff", "#1c2430", "#c8ced6")
DARK = ("#14181d", "#e4e8ed", "#3b444f")


def shade_of(tally: Tally) -> Shade:
    """The shade of a cell with this tally."""
    if tally.unknown:
        return UNKNOWN
    percent = tally.percent
    return NONE if percent is None else next(shade for shade in SHADES if percent >= shade.least)


def percent_of(tally: Tally) -> str:
    """The percentage of files that are present, rounded down, such as "99.9"; "100" only if all files are present.

    It is "-" if no files are wanted, and empty if none are expected. If schedules are unknown, it ends with a question
    mark, such as "99.9?", and if nothing is known it is "?".
    """
    if tally.is_empty:
        return ""
    percent, mark = tally.percent, "?" if tally.unknown else ""
    if percent is None:
        return mark or "-"
    return "100" if percent == 100 else f"{percent:.1f}{mark}"


def whole_percent_of(tally: Tally) -> str:
    """The percentage without its decimal, which is cut off: "99" for "99.9", and "99?" for "99.9?"."""
    whole, dot, rest = percent_of(tally).partition(".")
    return f"{whole}{rest[1:]}" if dot else whole


def sentence_of(tally: Tally) -> str:
    """A tally in words: "3,684 of 3,690 files present; 6 gap, 2 unavailable, 10 not due", and what is unknown."""
    if tally.is_empty:
        return "no files expected"
    others = []
    for state in State:
        if state is State.UNAVAILABLE and tally.unavailable:
            others.append(tally.unavailable_in_words)
        elif state is not State.PRESENT and (count := getattr(tally, state.value)):
            others.append(f"{count:,} {state.value.replace('_', ' ')}")
    if tally.unknown:
        others.append(f"unknown what {plural(len(tally.unknown), 'schedule')} would list")
    return f"{tally.present:,} of {tally.wanted:,} files present" + (f"; {', '.join(others)}" if others else "")
