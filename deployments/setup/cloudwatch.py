"""What does it cost that CloudWatch gets the metrics?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from config.models import Config
from tasks.domain.metrics import CLOUDWATCH
from tasks.domain.wording import plural

_MONTH = timedelta(days=365) / 12


@dataclass(frozen=True)
class Price:
    """What CloudWatch charges in a month at most, and for what."""

    namespace: str
    metrics: int
    requests: int
    usd: float

    def __str__(self) -> str:
        what = f"at most {plural(self.metrics, 'metric')} in {self.namespace} and {plural(self.requests, 'request')}"
        return f"{what} a month, for at most ${self.usd:,.2f}"

    def document(self) -> dict[str, Any]:
        """The price in JSON."""
        return asdict(self) | {"usd": round(self.usd, 2)}


def price_of(config: Config) -> Price | None:
    """The price of the metrics; None if none are sent."""
    settings = config.cloudwatch
    if settings.namespace is None:
        return None
    metrics = sum(one.most_series(config) for one in CLOUDWATCH)
    requests = round(_MONTH / settings.every)
    usd = metrics * settings.metric_price + requests * settings.request_price / 1000
    return Price(settings.namespace, metrics, requests, usd)
