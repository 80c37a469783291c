"""What must be there in Prefect before anything runs? The rate buckets."""

from __future__ import annotations

from prefect.client.orchestration import get_client

from config.models import Config
from tasks.buckets import ensure_buckets


async def set_up(config: Config) -> list[str]:
    """Creates what is missing and corrects what differs; says what there is now, a line each."""
    async with get_client() as client:
        names = await ensure_buckets(client, config)
    return [f"rate bucket {name}" for name in names]
