"""How is a given time read, and which stored times can be trusted?

A stored time that lies in the future was written by a machine whose clock was wrong.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from config.models import Config
from tasks.domain.errors import SelectionError
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import assume_utc
from tasks.domain.wording import utc

SKEW = timedelta(minutes=2)  # the clocks of two machines may differ by this much


def horizon(config: Config, now: datetime, real: datetime) -> datetime:
    """The latest stored time that is trusted; `now` is the run's clock and `real` this machine's.

    The two differ where somebody has set `now` with `--as-of`. With `now` in the past, the files and answers recorded
    since then are still real, so the horizon follows `real`. With `now` in the future, only a sandbox can have recorded
    times that late, because its sites follow the clock that was set.
    """
    return (max(now, real) if config.sandbox else real) + SKEW


def day_of(what: str, given: str | date | None) -> date | None:
    """The day that was given as `what`, if one was, perhaps as text. Raises SelectionError for another text."""
    if not isinstance(given, str):
        return given
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise SelectionError(f"{what} {given}: not a day; write it as {_day_instead_of(what, given)}") from None


def _day_instead_of(what: str, given: str) -> str:
    """An example of a day: of a season that was given, its first day, or its last day if `what` is an end."""
    try:
        first, last = seasons.window(given)
    except ValueError:
        return "2024-01-31"
    return f"{last}, the last day of that season" if "until" in what else f"{first}, the first day of that season"


def moment_of(what: str, given: str | datetime | None) -> datetime | None:
    """The moment that was given as `what`; in UTC unless it names a zone. Raises SelectionError for another text."""
    try:
        found = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        raise SelectionError(f"{what} {given}: not a time; write it as 2024-01-31T12:00:00Z") from None
    return found and assume_utc(found)


def check_fetching_clock(config: Config, as_of: datetime | None, real: datetime) -> None:
    """Raises SelectionError if a command that fetches files has its clock set ahead of the real time.

    A file fetched today would be recorded as fetched at the later time, so that a list which still grows would count as
    final for ever.
    """
    if as_of is None or as_of <= real or config.sandbox:
        return
    raise SelectionError(
        f"as-of {utc(as_of)} is later than now, {utc(real)}: files fetched today would "
        "count as fetched then; leave as-of out, or use a dry run or `adce plan`, which fetch nothing"
    )
