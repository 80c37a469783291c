"""Priorities, and the weights of a fill's score."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from config.models.base import Model, Number, PositiveDuration, WholeNumber


class Priority(StrEnum):
    """How urgent a fill is, the most urgent first."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class SmallFill(Model):
    """Factor of the score of a fill with fewer than `below_files` files."""

    below_files: WholeNumber = Field(default=10, ge=0)
    factor: Number = Field(default=1.2, gt=0, le=10)


class Success(Model):
    """Success factor of the score: recent failures of a dataset lower it, but never below `floor`."""

    enabled: bool = True
    half_life: PositiveDuration = timedelta(days=3)
    floor: Number = Field(default=0.5, gt=0, le=1)


class Scoring(Model):
    """Weights of a fill's score. Without `weighting`, fills are ordered by priority and then by age, oldest first."""

    weighting: bool = True
    base: dict[Priority, Annotated[Number, Field(ge=0, le=1e9)]] = {
        Priority.CRITICAL: 1000,
        Priority.HIGH: 100,
        Priority.MEDIUM: 10,
        Priority.LOW: 1,
    }
    age_per_hour: Number = Field(default=0.5, ge=0, le=1000)
    small_fill: SmallFill = SmallFill()
    success: Success = Success()
    critical_days: WholeNumber = Field(default=7, ge=0, le=366)
    medium_seasons: WholeNumber = Field(default=2, ge=0, le=50)

    @model_validator(mode="after")
    def _every_priority_has_a_base(self) -> Scoring:
        if missing := [p.value for p in Priority if p not in self.base]:
            raise ValueError(f"base must also have {', '.join(missing)}")
        return self
