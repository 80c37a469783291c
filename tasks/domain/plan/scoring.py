"""How important is a fill: what are its priority and its score?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from config.models import Config, Dataset, Priority, Scoring
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell


@dataclass(frozen=True, slots=True)
class Score:
    """The parts of a score. The total is (base + age) x multiplier x small_fill x success."""

    base: float
    age: float
    multiplier: float
    small_fill: float
    success: float
    weighted: bool = True

    @property
    def total(self) -> float:
        """The score."""
        return (self.base + self.age) * self.multiplier * self.small_fill * self.success

    def parts(self) -> dict[str, float]:
        """The parts by name, for JSON."""
        return {name: part for name, part in asdict(self).items() if name != "weighted"}


def priority_of(cell: Cell, dataset: Dataset, scoring: Scoring, now: datetime) -> Priority:
    """The priority of a cell, from its age.

    CRITICAL is a cell of a required dataset from the last `scoring.critical_days` days. Of the others, HIGH are those
    of the current season, MEDIUM those of the `scoring.medium_seasons` seasons before it, and LOW all older ones.
    """
    today = seasons.eastern_day(now)
    if dataset.required and (today - min(cell.last_day, today)).days <= scoring.critical_days:
        return Priority.CRITICAL
    seasons_ago = seasons.start_year(seasons.current_season(now)) - seasons.start_year(cell.season)
    if seasons_ago <= 0:
        return Priority.HIGH
    return Priority.MEDIUM if seasons_ago <= scoring.medium_seasons else Priority.LOW


def score_of(
    priority: Priority, first_seen: datetime, files: int, source: str, success: float, config: Config, now: datetime
) -> Score:
    """The score of a fill of `files` files that was first seen at `first_seen`.

    `success` is the success factor of the dataset, which is 1 if nothing has failed lately.
    """
    scoring = config.scoring
    base = scoring.base[priority]
    hours = max(0.0, (now - first_seen).total_seconds() / 3600)
    if not scoring.weighting:
        return Score(base, 0.0, 1.0, 1.0, 1.0, weighted=False)
    return Score(
        base=base,
        age=scoring.age_per_hour * hours,
        multiplier=config.sources[source].multiplier,
        small_fill=scoring.small_fill.factor if files < scoring.small_fill.below_files else 1.0,
        success=success,
    )


def overtakes_after(low: Priority, high: Priority, scoring: Scoring, handicap: float = 1.0) -> timedelta:
    """The longest time that a gap of a low priority waits while new gaps of a higher priority keep coming.

    By the formula of Score, a gap gains `age_per_hour` points an hour before its factors are applied. After
    (base_high x handicap - base_low) / age_per_hour hours, its score exceeds that of every new gap of the higher
    priority. `handicap` is the product of the other gap's factors divided by the product of this gap's factors. It is 1
    for fills of one source and similar size, and at most the ratio of the sources' multipliers x the factor of small
    fills / the floor of the success factor. Without ageing there is no such time, and the result is timedelta.max.
    """
    if not (scoring.weighting and scoring.age_per_hour):
        return timedelta.max
    lead = scoring.base[high] * handicap - scoring.base[low]
    return timedelta(hours=max(lead, 0.0) / scoring.age_per_hour)


def success_factor(stored: float, failed: float, scoring: Scoring) -> float:
    """The success factor of a dataset, between `scoring.success.floor` and 1.

    It is floor + (1 - floor) x (stored + 2) / (stored + failed + 2). The counts of stored and failed files decay over
    time, so that old failures are forgotten. The two added successes keep a single failure from lowering it much.
    """
    if not scoring.success.enabled:
        return 1.0
    share = (stored + 2) / (stored + failed + 2)
    return scoring.success.floor + (1 - scoring.success.floor) * share
