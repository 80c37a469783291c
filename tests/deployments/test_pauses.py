"""What is paused on a Prefect server, and does it stay so when everything is deployed again?"""

from __future__ import annotations

from typing import Any

import pytest

from deployments.prefect_api.pauses import Known, KnownDeployment, Pausable, as_paused, pauses
from deployments.prefect_yaml import Deployment

NAME = "reconcile/often"


def wanted(**changes: Any) -> Deployment:
    entry = {"name": "often", "entrypoint": "flows/reconcile.py:reconcile", "schedules": [{"interval": 900}]}
    return Deployment(entry | changes)


def on_server(*, paused: bool = False, active: bool = True) -> KnownDeployment:
    schedules = [{"id": "7", "active": active}]
    found = {"id": "1", "name": "often", "entrypoint": "flows/reconcile.py:reconcile"}
    return KnownDeployment.model_validate(found | {"paused": paused, "schedules": schedules})


def a_server(deployment: KnownDeployment | None = None, *, pool: bool = False, queue: bool = False) -> Known:
    """A server with a deployment and a pool `adce`, which may be paused, and so may the pool's queue."""
    pools = [Pausable(name="adce", is_paused=pool)]
    queues = {"adce": [Pausable(name="high", is_paused=queue)]}
    return Known([deployment or on_server()], pools, queues)


@pytest.mark.parametrize(
    ("known", "lines"),
    [
        pytest.param(a_server(), [], id="nothing"),
        pytest.param(
            a_server(on_server(active=False)),
            [f"deployment {NAME}: paused; to have it run again: prefect deployment schedule resume {NAME} 7"],
            id="its schedule",
        ),
        pytest.param(
            a_server(on_server(paused=True, active=False)),
            [f"deployment {NAME}: paused; to have it run again: the switch in the Prefect UI, under Deployments"],
            id="a deployment",
        ),
        pytest.param(
            a_server(pool=True, queue=True),
            [
                "work pool adce: paused; to have it run again: prefect work-pool resume adce",
                "work queue adce/high: paused; to have it run again: prefect work-queue resume high --pool adce",
            ],
            id="a pool and a queue",
        ),
        pytest.param(
            Known(
                [on_server()],
                [Pausable(name="adce", is_paused=False, concurrency_limit=0)],
                {
                    "adce": [
                        Pausable(name="high", is_paused=False, concurrency_limit=0),
                        Pausable(name="low", is_paused=True, concurrency_limit=0),
                        Pausable(name="normal", is_paused=False, concurrency_limit=1),
                    ]
                },
            ),
            [
                "work pool adce: held by a concurrency limit of 0; to have it run again: prefect work-pool "
                "clear-concurrency-limit adce",
                "work queue adce/high: held by a concurrency limit of 0; to have it run again: prefect work-queue "
                "clear-concurrency-limit high --pool adce",
                "work queue adce/low: paused; to have it run again: prefect work-queue resume low --pool adce",
            ],
            id="a limit that lets nothing run",
        ),
    ],
)
def test_what_is_paused_is_named_with_the_way_to_resume_it(known: Known, lines: list[str]) -> None:
    assert [str(pause) for pause in pauses(known, [wanted()])] == lines


def test_a_schedule_that_is_not_to_be_active_is_not_paused() -> None:
    twin = wanted(schedules=[{"interval": 900, "active": False}])
    assert pauses(a_server(on_server(active=False)), [twin]) == []


def test_a_paused_schedule_is_deployed_as_paused() -> None:
    one = wanted()
    assert as_paused(one, []) == as_paused(one, [on_server()]) == one
    paused = as_paused(one, [on_server(active=False)]).entry
    assert (paused["schedules"], paused["paused"]) == ([{"interval": 900, "active": False}], False)
    switched_off = as_paused(one, [on_server(paused=True)]).entry
    assert (switched_off["schedules"][0]["active"], switched_off["paused"]) == (False, True)
