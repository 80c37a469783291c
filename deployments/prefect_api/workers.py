"""Which workers poll a work pool?"""

from __future__ import annotations

from pydantic import BaseModel

from deployments.prefect_api.client import PrefectApi


class _Worker(BaseModel):
    status: str


async def online_workers(api: PrefectApi, pool: str) -> int:
    """How many workers poll a work pool. Raises PrefectApiError.

    Prefect 2.20 takes a filter by status, and ignores it.
    """
    workers = await api.all(f"/work_pools/{pool}/workers/filter", {}, _Worker)
    return sum(worker.status == "ONLINE" for worker in workers)
