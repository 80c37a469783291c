"""Do the deployments of prefect.yaml fit the flows and the configuration?"""

from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from config.load import load_config
from deployments.setup import WORK_POOL

ROOT = Path(__file__).parents[2]
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_a_deployment_names_a_flow_its_parameters_and_the_work_pool(
    deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    assert deployment["parameters"].keys() <= signature(flow.fn).parameters.keys()
    assert deployment["work_pool"]["name"] == WORK_POOL
    assert deployment["enforce_parameter_schema"] is True
    assert "adce" in deployment["tags"]
    described = flow.description or ""
    assert all(f"{name}: " in described for name in signature(flow.fn).parameters), (
        "each is told to the person at the UI"
    )


def test_the_schedule_is_that_of_the_configuration() -> None:
    (reconcile,) = (d for d in DEPLOYMENTS if d["schedules"])
    interval = load_config(env={}).reconcile.interval
    assert [timedelta(seconds=schedule["interval"]) for schedule in reconcile["schedules"]] == [interval]
