"""Which metrics does CloudWatch get, how often, and what does that cost?"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, field_validator

from config.models.base import Duration, Model, Number, matching

# Dimensions that some metrics have anyway
METRICS_OWN = ("kind", "outcome", "priority", "sandbox", "source", "state")
_MOST_DIMENSIONS = 10

Namespace = Annotated[
    str,
    matching(
        r"(?!AWS/)[A-Za-z0-9_./#-][A-Za-z0-9_.:/# -]{0,253}[A-Za-z0-9_./#-]|[A-Za-z0-9_./#-]",
        "not a namespace of CloudWatch; write letters, digits and . _ - / # only, as in ADCE, and not AWS/ first",
    ),
]
DimensionName = Annotated[
    str, matching(r"[A-Za-z0-9_.-]{1,100}", "not a dimension's name; use letters, digits and . _ - only, as in lake")
]
DimensionValue = Annotated[
    str,
    matching(r"[!-~]([ -~]{0,253}[!-~])?", "not a dimension's value; use 1 to 255 characters of ASCII, as in nba"),
]


class CloudWatch(Model):
    """Metrics that `adce serve` or `adce watch` send to Amazon CloudWatch, or else each reconcile at its end."""

    namespace: Namespace | None = Field(default=None, description="namespace of the metrics; null: nothing is sent")
    every: Duration = Field(
        default=timedelta(minutes=1),
        ge=timedelta(minutes=1),
        le=timedelta(hours=1),
        description="time from one sending to the next",
    )
    dimensions: dict[DimensionName, DimensionValue] = Field(
        default={}, description="further dimensions of each metric, which tell this lake from others: {lake: nba}"
    )
    metric_price: Number = Field(
        default=0.30, ge=0, description="what CloudWatch charges for a metric and month, in US dollars"
    )
    request_price: Number = Field(
        default=0.01, ge=0, description="what CloudWatch charges for 1,000 requests, in US dollars"
    )

    @field_validator("dimensions")
    @classmethod
    def _are_further_ones(cls, dimensions: dict[str, str]) -> dict[str, str]:
        if own := sorted(dimensions.keys() & METRICS_OWN):
            raise ValueError(f"some metrics have a dimension {own[0]} of their own; choose another name")
        if len(dimensions) > _MOST_DIMENSIONS:
            raise ValueError(f"at most {_MOST_DIMENSIONS} dimensions")
        return dimensions
