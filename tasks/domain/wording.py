"""How are counts, sizes, moments, durations and scores written for people?"""

from __future__ import annotations

import re
import signal
from datetime import UTC, datetime, timedelta

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def plural(count: int, word: str) -> str:
    """A count with its noun: "1 file", "1,230 files"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def verb(count: int, of_one: str, of_many: str) -> str:
    """The form of a verb that agrees with a count: "is" or "are", "waits" or "wait"."""
    return of_one if count == 1 else of_many


def and_more(count: int) -> str:
    """What follows the first of so many things: " (and 3 more)", or nothing if it is the only one."""
    return f" (and {count - 1:,} more)" if count > 1 else ""


def utc(moment: datetime) -> str:
    """A moment with its date and its zone: "2026-11-29 08:48 UTC". One without a zone is taken to be UTC."""
    return f"{moment.astimezone(UTC) if moment.tzinfo else moment:%Y-%m-%d %H:%M} UTC"


def duration(span: timedelta) -> str:
    """A duration in at most two units, written as in the configuration: "0.5s", "30s", "15m", "1h 30m", "7d"."""
    seconds = span.total_seconds()
    if seconds < 10:
        return f"{round(seconds, 1):g}s"
    seconds = round(seconds)
    size, unit = next(pair for pair in _UNITS if pair[0] <= seconds)
    smaller, name = next((pair for pair in _UNITS if pair[0] < size), (1, ""))
    first, rest = divmod(round(seconds / smaller) * smaller, size)
    return f"{first}{unit}" + (f" {rest // smaller}{name}" if rest else "")


def how_often(interval: timedelta) -> str:
    """How often a reconcile begins: at the interval only if something starts it, which the ledger does not know."""
    return f"one begins every {duration(interval)} if `adce up` or a schedule runs"


def score(value: float) -> str:
    """A score: "18.0"."""
    return f"{value:,.1f}"


def factor(value: float) -> str:
    """A part of a score with one digit after the point, or two if it has them: "18.0", "1.15"."""
    return f"{value:,.2f}".removesuffix("0")


def without_addresses(text: str) -> str:
    """The text of an error without the addresses that it begins with: "https://…/scores: HTTP 403" is "HTTP 403"."""
    return re.sub(r"https?://\S+: ", "", text)


def one_line(text: str) -> str:
    """The text without line breaks and unprintable characters, such as those with which a terminal is controlled."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def without_traceback(text: str) -> str:
    """The text in one line. Of a traceback, only the last line is kept, which is the error."""
    before, traceback, after = text.partition("Traceback (most recent call last):")
    lines = [*before.split("\n"), *(after.strip().split("\n")[-1:] if traceback else [])]
    return one_line(" ".join(lines))


def signal_name(number: int) -> str:
    """What people call a signal: "Ctrl-C", or its name."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def size(count: int) -> str:
    """A number of bytes: "512 bytes", "65 kB", "12.0 MB", "1.5 GB", "2.1 TB"."""
    if 0 < count < 1000:
        return plural(count, "byte")
    for unit, bytes_ in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= bytes_:
            return f"{count / bytes_:,.1f} {unit}"
    return f"{count / 1e3:.0f} kB"
