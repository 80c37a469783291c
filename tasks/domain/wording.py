"""How are counts and durations written for people?"""

from __future__ import annotations

from datetime import timedelta


def plural(count: int, word: str) -> str:
    """A count with its noun: "1 file", "1,230 files"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def duration(span: timedelta) -> str:
    """A duration in the largest unit that divides it evenly: "30 s", "15 min", "6 h", "7 days"."""
    seconds = span.total_seconds()
    if seconds and seconds % 86400 == 0:
        return plural(int(seconds // 86400), "day")
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:g} s"
