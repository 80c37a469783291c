"""The sink of metrics: Amazon CloudWatch, which gets datapoints by PutMetricData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from blocks.aws import Aws
from blocks.aws_errors import NoAnswerError, is_without_effect, why_failed
from tasks.domain.datapoints import Datapoint
from tasks.domain.errors import AdceError

# A request may have 1,000 metrics and 1 MB: so many fit even with the longest names that the configuration accepts.
MOST_METRICS = 150
MOST_VALUES = 150  # of a metric in a request; no histogram has as many bounds, as a test checks
_READ_SECONDS = 5.0


class CloudWatchError(AdceError):
    """Metrics could not be sent to CloudWatch. Is it proved that it has counted none of them?"""

    def __init__(self, message: str, *, are_uncounted: bool):
        super().__init__(f"{message}; {'the next sending has them too' if are_uncounted else 'they may be lost'}")
        self.are_uncounted = are_uncounted


@dataclass(frozen=True)
class CloudWatch:
    """A namespace of CloudWatch. Each metric has `dimensions` besides its own."""

    aws: Aws
    namespace: str
    dimensions: Mapping[str, str] = field(default_factory=dict)

    def put(self, datapoints: Sequence[Datapoint], at: datetime) -> None:
        """Sends the datapoints of a moment. Raises CloudWatchError.

        Nothing is sent again after an error: a request that was not answered may have been counted.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        start = 0
        try:
            for start in range(0, len(datapoints), MOST_METRICS):
                some = datapoints[start : start + MOST_METRICS]
                data = [self._datum(one, at) for one in some]
                self._client.put_metric_data(Namespace=self.namespace, MetricData=data)
        except (BotoCoreError, ClientError, NoAnswerError, ValueError) as error:
            why = why_failed(error, "cloudwatch")
            text = f"CloudWatch does not take the metrics of {self.namespace}: {why}"
            raise CloudWatchError(text, are_uncounted=not start and is_without_effect(error)) from None

    @cached_property
    def _client(self) -> Any:
        return self.aws.client("cloudwatch", read_seconds=_READ_SECONDS, attempts=1)

    def _datum(self, one: Datapoint, at: datetime) -> dict[str, Any]:
        dimensions = {**self.dimensions, **dict(one.dimensions)}
        return {
            "MetricName": one.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "Timestamp": at,
            "Values": list(one.values),
            "Counts": list(one.counts),
            "Unit": one.unit,
        }
