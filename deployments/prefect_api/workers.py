"""Which workers poll a work pool?"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from deployments.prefect_api.client import PrefectApi
from tasks.domain.wording import utc


class _Worker(BaseModel):
    name: str = ""
    status: str
    last_heartbeat_time: datetime | None = None

    @property
    def is_online(self) -> bool:
        """Has it been heard within its last three heartbeats, which is a minute and a half?"""
        return self.status == "ONLINE"


async def online_workers(api: PrefectApi, pool: str) -> int:
    """How many workers poll a work pool. Raises PrefectApiError."""
    return sum(worker.is_online for worker in await _workers(api, pool))


async def silence(api: PrefectApi, pool: str) -> str | None:
    """That no worker of a work pool is heard any more; None if one is, or if it never had one.

    Raises PrefectApiError.
    """
    workers = await _workers(api, pool)
    heard = {worker.last_heartbeat_time: worker.name for worker in workers if worker.last_heartbeat_time}
    if not heard or any(worker.is_online for worker in workers):
        return None
    last = max(heard)
    return (
        f"no worker is alive, {heard[last]} was last heard {utc(last)}; end its process with `kill -9` if it hangs, "
        f"and start one: `adce up` or `prefect worker start --pool {pool}`"
    )


async def _workers(api: PrefectApi, pool: str) -> list[_Worker]:
    """All of a pool. Prefect 2.20 takes a filter by status, and ignores it."""
    return await api.all(f"/work_pools/{pool}/workers/filter", {}, _Worker)
