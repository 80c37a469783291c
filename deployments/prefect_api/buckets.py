"""Which rates do the buckets on a Prefect server have?"""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from config.models import Config
from deployments.prefect_api.client import PrefectApiError, api_of
from tasks.domain.limits.buckets import BucketOnServer, buckets_of
from tasks.domain.limits.rates import AllowanceTerms, allowance_terms_of

_WITHIN = 1.0  # seconds in which the server has to answer


class _Limit(BaseModel):
    """A global concurrency limit, as the API describes it."""

    name: str
    active: bool
    limit: int
    slot_decay_per_second: float


async def buckets_on(server: str, config: Config) -> list[BucketOnServer]:
    """The rate buckets that a server has. Raises PrefectApiError if it does not tell them within a second."""
    try:
        async with asyncio.timeout(_WITHIN), api_of(server) as api:
            limits = {limit.name: limit for limit in await api.all("/v2/concurrency_limits/filter", {}, _Limit)}
    except TimeoutError:
        raise PrefectApiError(server, f"has not answered within {_WITHIN:g} s") from None
    found = []
    for name, rates in buckets_of(config):
        bucket = BucketOnServer(name, allowance_terms_of(rates))
        if limit := limits.get(name):
            have = AllowanceTerms(limit.limit, limit.slot_decay_per_second)
            bucket = BucketOnServer(name, bucket.want, have, limit.active)
        found.append(bucket)
    return found
