"""How did things go over the last day and month, and how well was the lake kept in the last week?

All of it comes from the ledger. It takes longer than the rest of what the service tells, and is read more rarely.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from config.models import Config
from tasks.answers.success import success_since
from tasks.domain.access import Access
from tasks.domain.errors import LedgerError
from tasks.domain.lakes import no_ledger
from tasks.domain.success import Success
from tasks.domain.trends import DAY, DAYS, HOUR, HOURS, Trend, lows, medians, sums
from tasks.ledger import Ledger

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Trends:
    """The same over the last day, by hour, and over the last month, by day."""

    day: Trend
    month: Trend


@dataclass(frozen=True, slots=True)
class History:
    """How things went: files that were stored, seconds that reconciles took, and per cent that was there."""

    at: datetime
    stored: Trends
    seconds: Trends
    percent: Trends
    success: Success
    took: float  # seconds that it took to read


def history(config: Config, now: datetime) -> History:
    """Reads how things went. Raises LedgerError, also if there is no ledger."""
    began = time.perf_counter()
    with closing(Ledger(config.ledger, Access.LOOK)) as ledger:
        if not ledger.is_there:
            raise LedgerError(no_ledger(ledger.name))
        month = now - DAYS * DAY
        look = ledger.looks.last() if config.sandbox else None
        end = look.taken_at if look else now  # a sandbox stores files by its own clock
        stored = [(fill.ended, float(fill.files)) for fill in ledger.figures.fills(end - DAYS * DAY, end)]
        runs = [(run.begin, (run.end - run.begin).total_seconds()) for run in ledger.figures.reconciles(month, now)]
        found = ledger.completeness.since(month)
        percent = [(one.hour, 100 * one.present / one.wanted) for one in found if one.wanted]
        return History(
            now,
            Trends(sums(stored, end, HOUR, HOURS), sums(stored, end, DAY, DAYS)),
            Trends(medians(runs, now, HOUR, HOURS), medians(runs, now, DAY, DAYS)),
            Trends(lows(percent, now, HOUR, HOURS), lows(percent, now, DAY, DAYS)),
            success_since(config, ledger, now - _WEEK, now),
            time.perf_counter() - began,
        )
