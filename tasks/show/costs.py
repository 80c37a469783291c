"""How does it look what a plan costs? As rows of text, for tables in the terminal and in the Prefect UI."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tasks.domain.plan.cost import NO_END, Amount, Cost, SourceCost
from tasks.domain.wording import size, utc

COLUMNS = ("to fetch", "files", "requests", "about", "done about")
ESTIMATE = "+ not listed yet (estimate)"


def rows(cost: Cost) -> list[tuple[str, ...]]:
    """A row for each source, and one for all if there are several; an estimate has a row of its own below."""
    return [row for source in cost.parts for row in _rows(source)]


def _rows(source: SourceCost) -> Iterator[tuple[str, ...]]:
    yield source.name, *_cells(source.known, source.known_done)
    if source.estimate.files:
        yield ESTIMATE, *_cells(source.estimate, source.done)


def _cells(amount: Amount, done: datetime | None) -> tuple[str, ...]:
    return f"{amount.files:,}", f"{amount.requests:,}", size(amount.bytes), end_of(amount, done)


def end_of(amount: Amount, done: datetime | None) -> str:
    """When an amount will be fetched; empty if there is nothing to fetch."""
    if done:
        return utc(done)
    return NO_END if amount.files else ""
