"""What must be there in Prefect before anything runs? The rate buckets, and the work pools of prefect.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound

from config.models import Config
from tasks.buckets import ensure_buckets

WORK_POOL = "adce"
ECS_POOL = "adce-ecs"
_TEMPLATE = Path(__file__).parent / "ecs/base-job-template.json"


async def set_up(config: Config) -> list[str]:
    """Creates what is missing and corrects what differs; says what there is now, a line each."""
    async with get_client() as client:
        names = await ensure_buckets(client, config)
        await _ensure_work_pool(client, WORK_POOL, {"type": "process"})
        template = json.loads(_TEMPLATE.read_text())
        await _ensure_work_pool(client, ECS_POOL, {"type": "ecs", "base_job_template": template})
    return [*(f"rate bucket {name}" for name in names), *(f"work pool {name}" for name in (WORK_POOL, ECS_POOL))]


async def _ensure_work_pool(client: PrefectClient, name: str, kind: dict[str, Any]) -> None:
    try:
        await client.read_work_pool(name)
    except ObjectNotFound:
        await client.create_work_pool(WorkPoolCreate.parse_obj({"name": name} | kind))
