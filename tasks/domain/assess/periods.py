"""Which period does a row of a coverage stand for?"""

from __future__ import annotations

from datetime import date
from enum import StrEnum


class By(StrEnum):
    """The period that one row of a coverage stands for."""

    SEASON = "season"
    MONTH = "month"
    DATE = "date"


def period_of(span: str, by: By) -> str:
    """The month or date that the files of a span are counted under in rows by `by`; "" if they are of a longer one.

    A span is a date as "2024-01-05", a month as "2024-01", or "".
    """
    if by is By.MONTH:
        return span[:7]
    return span if by is By.DATE and len(span) == 10 else ""


def span(first_day: date, last_day: date) -> str:
    """The span of a file: its date if it is of one day, its month if of one month, else ""."""
    if first_day == last_day:
        return first_day.isoformat()
    return first_day.isoformat()[:7] if last_day.replace(day=1) == first_day.replace(day=1) else ""
