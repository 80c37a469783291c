"""What the lake should hold: a part of everything that the sources have, or all of it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from config.models.base import Model, Season, SeasonType, check_season


def _parse_since(value: Any) -> Any:
    if isinstance(value, date):
        return value
    for parse in (check_season, date.fromisoformat):
        try:
            return parse(value)
        except (ValueError, TypeError):
            continue
    raise ValueError("the beginning is a season, written as 2015-16, or a day, written as 2015-10-27")


class Collect(Model):
    """What the lake should hold. A field that is empty does not narrow it."""

    since: Annotated[str | date, BeforeValidator(_parse_since)] | None = Field(
        default=None, description="the first season or the first day"
    )
    seasons: list[Season] = []
    sources: list[str] = []
    datasets: list[str] = Field(default=[], description="the schedules that list their games are collected with them")
    season_types: list[SeasonType] = Field(default=[], description="types of the games; schedules list all types")

    def chooses(self, dataset: str, source: str) -> bool:
        """Is this dataset of this source collected, apart from being a schedule that another dataset needs?"""
        return (not self.sources or source in self.sources) and (not self.datasets or dataset in self.datasets)
