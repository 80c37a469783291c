"""Runs: their schedule and their limits, circuit breakers, and when a file counts as unavailable."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from config.models.base import Duration, Model, Number, PositiveDuration, TimeZone, WholeNumber
from config.models.scoring import Priority


class BreakerRules(Model):
    """Circuit breaker of a scraper: it opens after `failures` failures within `window`. Each success cancels one."""

    failures: WholeNumber = Field(default=8, ge=1, le=1000)
    window: Duration = timedelta(minutes=10)
    open_for: Duration = Field(
        default=timedelta(minutes=5), description="time until the first probe; it doubles with each probe that fails"
    )
    longest: Duration = timedelta(hours=6)


class Unavailability(Model):
    """When a file counts as unavailable: after `looks` looks over at least `over`, none of which found a whole file.

    It then counts as unavailable for `expires`.
    """

    looks: WholeNumber = Field(default=3, ge=1, le=100)
    over: Duration = timedelta(hours=24)
    expires: PositiveDuration = timedelta(days=30)
    keep_partial: bool = Field(default=True, description="store the best version of a file that was never whole")


class Reconcile(Model):
    """Schedule and limits of a reconcile run."""

    interval: Duration = timedelta(minutes=15)
    timezone: TimeZone = "America/New_York"
    time_budget: Duration = timedelta(minutes=13)
    max_fills: WholeNumber = Field(default=1000, ge=0, le=100_000)
    max_fills_by_priority: dict[Priority, Annotated[WholeNumber, Field(ge=0, le=100_000)]] = {}
    max_concurrent: WholeNumber = Field(default=5, ge=1, le=100)
    batch: WholeNumber = Field(default=20, ge=1, le=1000)
    batch_time: Duration = Field(
        default=timedelta(minutes=5), description="expected time of the fills that one deployment run takes together"
    )
    start_within: PositiveDuration = Field(
        default=timedelta(minutes=5), description="time for a worker to begin a deployment run"
    )
    fill_time_limit: PositiveDuration = Field(
        default=timedelta(minutes=5), description="time limit of one fill; twice its estimate, if that is longer"
    )
    breaker: BreakerRules = BreakerRules()
    unavailable: Unavailability = Unavailability()
    look_again: list[Duration] = Field(
        default=[timedelta(hours=1), timedelta(hours=6), timedelta(hours=24), timedelta(days=7)],
        description="times after a game is final at which its files are downloaded again, until two downloads agree",
    )
    lease: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=1),
        le=timedelta(minutes=10),
        description="time after which another run may take over the work of a run that was killed",
    )
    grace: Duration = Field(default=timedelta(seconds=20), description="time for fills to end when a run is stopped")
    examine_at_most: WholeNumber = Field(
        default=20_000, ge=0, description="largest number of stored bodies that a run reads and checks"
    )
    lake_connections: WholeNumber = Field(default=32, ge=1, le=256)
    verify_every: PositiveDuration | None = Field(
        default=None,
        description="time within which scheduled runs list every part of a lake in S3 whose events are proved to "
        "arrive: each lists where something can have changed, and its share of the rest; without it, each lists all",
    )
    list_price: Number = Field(
        default=0.005, ge=0, description="what 1,000 LIST requests to the lake's S3 service cost, in US dollars"
    )

    @field_validator("look_again")
    @classmethod
    def _looks_come_one_after_another(cls, looks: list[timedelta]) -> list[timedelta]:
        if any(later <= earlier for earlier, later in pairwise([timedelta(0), *looks])):
            raise ValueError("each time must be longer than the one before, as in [1h, 6h, 24h, 7d]; [] means never")
        return looks

    @model_validator(mode="after")
    def _budget_fits_the_interval(self) -> Reconcile:
        if not timedelta(0) < self.time_budget < self.interval:
            raise ValueError("time_budget must be more than 0 and less than interval")
        return self
