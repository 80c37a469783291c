"""How does it look how well the lake was kept? As rows of text, for tables in the terminal and in Markdown."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from tasks.domain.success import Aim, Figure, Kept, Longest, Per, Success
from tasks.domain.wording import duration, plural, utc, verb

_FIGURES = ("figure", "value", "without ADCE", "target", "target met", "measured over")
_PROMISES = (
    "dataset",
    "promise",
    "due",
    "in time",
    "late",
    "not there",
    "kept",
    "objective",
    "budget left",
    "objective met",
)
_LONGEST = ("dataset", "not there for", "since", "until", "now not there", "file", "why")
_UNKNOWN = "?"
_MET = {True: "yes", False: "no", None: _UNKNOWN}


def lines(success: Success) -> list[str]:
    """Which time the figures are about, and what is left out of them."""
    found = [f"From {utc(success.since)} to {utc(success.until)}."]
    if success.is_sandbox:
        found.append("These are times of the sandbox, whose clock stands still: no file becomes due.")
    if success.since > success.asked:
        found.append(f"The ledger has nothing from before then; it was asked for {utc(success.asked)}.")
    if count := success.gaps_without_due:
        files = f"{plural(count, 'missing file')} {verb(count, 'does', 'do')} not count"
        found.append(f"{files}: an older version has recorded no time at which they were due.")
    if left_out := sum(kept.not_counted for kept in success.kept):
        files = f"{plural(left_out, 'file')} {verb(left_out, 'does', 'do')} not count as due"
        found.append(f"{files}: the source has none, or they are there without ADCE's doing.")
    return found


class Table(NamedTuple):
    """A table with its title, and what is said instead if it has no rows.

    A terminal has no room for the last columns, of which `long` is the number: it gets them as lines below the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    long: int
    nothing: str


def tables(success: Success) -> list[Table]:
    """The figures, the promises of the datasets, and what was not there for the longest time."""
    longest = [_longest(one, success) for one in success.longest]
    return [
        Table("Figures", _FIGURES, [_figure(figure) for figure in success.figures], 1, ""),
        Table("Promises", _PROMISES, [_kept(kept) for kept in success.kept], 0, "No promise of a file ended."),
        Table("Longest not there", _LONGEST, longest, 2, "No file was missing."),
    ]


def _figure(figure: Figure) -> tuple[str, ...]:
    aim = figure.aim
    value = _UNKNOWN if figure.value is None else _value(aim, figure.value)
    baseline = _range(aim, aim.baseline) if aim.baseline else ""
    return aim.title, value, baseline, _target(aim), _MET[figure.is_met], _basis(figure)


def _basis(figure: Figure) -> str:
    if figure.median is None or figure.worst is None:
        return figure.basis
    half, worst = _value(figure.aim, figure.median), _value(figure.aim, figure.worst)
    return f"{figure.basis}; half within {half}, all within {worst}"


def _range(aim: Aim, both: tuple[float, float]) -> str:
    low, high = (_value(aim, one) for one in both)
    return low if low == high else f"{low} to {high}"


def _target(aim: Aim) -> str:
    """The value from which on the target is met."""
    if aim.more_is_better:
        return f"at least {_value(aim, aim.target[0])}"
    most = aim.target[1]
    return f"at most {_value(aim, most)}" if most else _value(aim, most)


def _value(aim: Aim, value: float) -> str:
    return duration(timedelta(seconds=value)) if aim.unit is Per.SECONDS else f"{value:,.1f}".removesuffix(".0")


def _kept(kept: Kept) -> tuple[str, ...]:
    counts = (f"{count:,}" for count in (kept.due, kept.in_time, kept.late, kept.lacking))
    percent = _UNKNOWN if kept.percent is None else f"{kept.percent:.2f} %"
    left = f"{kept.budget_left:,} of {kept.budget:,}"
    return kept.dataset, duration(kept.promise), *counts, percent, f"{kept.objective:g} %", left, _MET[kept.is_met]


def _longest(one: Longest, success: Success) -> tuple[str, ...]:
    until = utc(one.stored) if one.stored else "now"
    lasted = duration(one.lasted(success.until))
    return one.dataset, lasted, utc(one.detected), until, f"{one.files:,}", one.key, one.why
