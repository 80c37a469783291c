"""What must be there in Prefect before anything runs? The rate buckets, and the work pool of prefect.yaml."""

from __future__ import annotations

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound

from config.models import Config
from tasks.buckets import ensure_buckets

WORK_POOL = "adce"


async def set_up(config: Config) -> list[str]:
    """Creates what is missing and corrects what differs; says what there is now, a line each."""
    async with get_client() as client:
        names = await ensure_buckets(client, config)
        await _ensure_work_pool(client)
    return [*(f"rate bucket {name}" for name in names), f"work pool {WORK_POOL}"]


async def _ensure_work_pool(client: PrefectClient) -> None:
    try:
        await client.read_work_pool(WORK_POOL)
    except ObjectNotFound:
        await client.create_work_pool(WorkPoolCreate.parse_obj({"name": WORK_POOL, "type": "process"}))
