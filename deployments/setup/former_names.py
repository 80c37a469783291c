"""Which deployments had other names in older versions, and how do they give way to those of now?"""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

FORMER_NAMES = {
    "reconcile/schedule": "reconcile/every-15-minutes",
    "reconcile/schedule-ecs": "reconcile/every-15-minutes-ecs",
}
_AS_BEFORE = (
    "version",
    "path",
    "entrypoint",
    "parameters",
    "description",
    "tags",
    "work_queue_name",
    "work_pool_name",
    "job_variables",
    "parameter_openapi_schema",
    "pull_steps",
    "enforce_parameter_schema",
)


async def former_deployment(client: PrefectClient, name: str) -> DeploymentResponse | None:
    """The deployment that the server has under the former name of a deployment; None if there is none."""
    return await _find(client, FORMER_NAMES[name]) if name in FORMER_NAMES else None


async def take_over(client: PrefectClient, name: str, former: DeploymentResponse) -> None:
    """Gives the deployment of this name the schedules of the former one, active or not, and deletes the former one.

    If there is no deployment of this name yet, it is made as a copy. The next `prefect deploy` completes it.
    """
    schedules = [DeploymentScheduleCreate(schedule=one.schedule, active=one.active) for one in former.schedules]
    if (present := await _find(client, name)) is None:
        fields: dict[str, Any] = {field: getattr(former, field) for field in _AS_BEFORE}
        short = name.partition("/")[2]
        await client.create_deployment(former.flow_id, short, schedules=schedules, paused=former.paused, **fields)
    else:
        for one in present.schedules:
            await client.delete_deployment_schedule(present.id, one.id)
        if schedules:
            await client.create_deployment_schedules(present.id, [(one.schedule, one.active) for one in schedules])
        await client.set_deployment_paused_state(present.id, former.paused)
    await client.delete_deployment(former.id)


async def _find(client: PrefectClient, name: str) -> DeploymentResponse | None:
    try:
        return await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None
