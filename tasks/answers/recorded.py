"""What did the last run that looked at the whole lake find? The answer comes from the ledger, without a new look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from blocks.store import Store
from config.models import Config
from tasks.answers.report import Report
from tasks.domain.assess.coverage import Coverage, measure
from tasks.domain.assess.recorded import RecordedLook, record_of
from tasks.domain.expected.cells import Selection
from tasks.ledger import Ledger


def recorded_look(report: Report, run: str, first_seen: Mapping[str, datetime]) -> RecordedLook:
    """What is recorded of the look that a run reports. `first_seen` is when gaps were detected, by key."""
    return record_of(
        report.overview,
        report.config,
        first_seen,
        run=run,
        lake=Store(report.config.lake).address,
        list_requests=report.list_requests,
    )


def coverage(config: Config, ledger: Ledger, selection: Selection | None = None) -> Coverage | None:
    """The coverage of the lake as the last look has recorded it; None if none is recorded."""
    look = ledger.looks.recorded()
    return coverage_of(look, config, selection or Selection()) if look else None


def coverage_of(look: RecordedLook, config: Config, selection: Selection) -> Coverage:
    """The coverage of the selected sources, datasets and seasons that a look has recorded.

    Datasets that are not configured any more are left out.
    """

    def is_told(dataset: str, season: str) -> bool:
        settings = config.datasets.get(dataset)
        return settings is not None and selection.has(dataset, settings) and season in (selection.seasons or (season,))

    counts = {place: standings for place, standings in look.counts.items() if is_told(place.dataset, place.season)}
    unknown = [part for part in look.unknown if is_told(part.dataset, part.season)]
    since = None if look.verified_since == look.taken_at else look.verified_since
    measured = measure(counts, config, unknown)
    return replace(measured, lake=look.lake, part=selection.in_words, as_of=look.taken_at, since=since)
