"""How important is a fill?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from config.models import Config, Dataset, Priority, Scoring
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell


@dataclass(frozen=True, slots=True)
class Score:
    """(base + age) x multiplier x small_fill x success, each part kept beside the total."""

    base: float
    age: float
    multiplier: float
    small_fill: float
    success: float
    weighted: bool = True

    @property
    def total(self) -> float:
        return (self.base + self.age) * self.multiplier * self.small_fill * self.success

    def parts(self) -> dict[str, float]:
        return {name: part for name, part in asdict(self).items() if name != "weighted"}


def priority_of(cell: Cell, dataset: Dataset, scoring: Scoring, now: datetime) -> Priority:
    """CRITICAL: required and of the last days. Then by season: HIGH the current one, MEDIUM before it, LOW older."""
    today = seasons.eastern_day(now)
    if dataset.required and (today - min(cell.last_day, today)).days <= scoring.critical_days:
        return Priority.CRITICAL
    behind = seasons.start_year(seasons.current_season(now)) - seasons.start_year(cell.season)
    if behind <= 0:
        return Priority.HIGH
    return Priority.MEDIUM if behind <= scoring.medium_seasons else Priority.LOW


def score_of(
    priority: Priority, first_seen: datetime, files: int, source: str, success: float, config: Config, now: datetime
) -> Score:
    """The score of a fill of `files` files; `success` is the dataset's factor, 1 for a clean history."""
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
    """The longest that a gap of a low priority can wait behind ever new ones of a higher: the starvation bound.

    A gap gains `age_per_hour` an hour in front of its factors, so it stands before every fresh one of the higher
    priority once the difference of the bases is made up: (base_high x handicap - base_low) / age_per_hour hours.
    `handicap` is how much larger the product of the other's factors is: 1 within a source and alike fills; at most
    the ratio of the sources' multipliers x the factor of small fills / the floor of the success factor.
    """
    if not (scoring.weighting and scoring.age_per_hour):
        return timedelta.max
    ahead = scoring.base[high] * handicap - scoring.base[low]
    return timedelta(hours=max(ahead, 0.0) / scoring.age_per_hour)


def success_factor(stored: float, failed: float, scoring: Scoring) -> float:
    """Between the floor and 1, from decayed counts of files stored and failed.

    Two imaginary successes stand for no history, so that one failure does not sink a dataset; the counts
    decay, so that a bad past is forgotten.
    """
    if not scoring.success.enabled:
        return 1.0
    share = (stored + 2) / (stored + failed + 2)
    return scoring.success.floor + (1 - scoring.success.floor) * share
