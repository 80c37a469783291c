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
from tasks.domain.assess.unknown import UnknownSchedule
from tasks.domain.expected.cells import Selection
from tasks.domain.plan.queue import queue_of
from tasks.ledger import Ledger
from tasks.ledger.looks import LookNow


def recorded_look(report: Report, run: str, first_seen: Mapping[str, datetime]) -> RecordedLook:
    """What is recorded of the look that a run reports. `first_seen` is when gaps were detected, by key."""
    return record_of(
        report.overview,
        report.config,
        queue_of(report.overview, report.config, first_seen),
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
    counts = {
        place: standings
        for place, standings in look.counts.items()
        if _is_told(config, selection, place.dataset, place.season)
    }
    since = None if look.verified_since == look.taken_at else look.verified_since
    measured = measure(counts, config, unknown_of(look, config, selection))
    return replace(
        measured,
        lake=look.lake,
        part=selection.in_words,
        as_of=look.taken_at,
        since=since,
        inventory=look.inventory,
        run=look.run,
    )


def unknown_of(look: RecordedLook, config: Config, selection: Selection) -> list[UnknownSchedule]:
    """The unknown schedules that a look has recorded, of the selected sources, datasets and seasons.

    They are in the order of the configuration, then by season, then in their own order.
    """
    order = {name: at for at, name in enumerate(config.datasets)}
    told = (part for part in look.unknown if _is_told(config, selection, part.dataset, part.season))
    return sorted(told, key=lambda part: (order[part.dataset], part.season))


def is_of(look: LookNow | RecordedLook, config: Config) -> bool:
    """Is a recorded look one at the lake of the settings? With a ledger, another lake may be used by mistake."""
    return look.lake == Store(config.lake).address


def _is_told(config: Config, selection: Selection, name: str, season: str) -> bool:
    dataset = config.datasets.get(name)
    return dataset is not None and selection.has(name, dataset) and season in (selection.seasons or (season,))
