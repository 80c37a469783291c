"""Do the deployments of the files prefect.yaml fit the flows and the configuration?"""

from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from config.load import load_config
from deployments.prefect_yaml import FILES
from deployments.setup.prefect_server import ECS_POOL, WORK_POOL

ROOT = Path(__file__).parents[2]
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    deployment["name"]: deployment
    for file in FILES
    for deployment in yaml.safe_load((ROOT / file).read_text())["deployments"]
}
HERE = [name for name in DEPLOYMENTS if not name.endswith("-ecs")]


@pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_a_deployment_names_a_flow_its_parameters_and_the_work_pool(
    deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    assert deployment["parameters"].keys() <= signature(flow.fn).parameters.keys()
    assert deployment["work_pool"]["name"] == (ECS_POOL if deployment["name"].endswith("-ecs") else WORK_POOL)
    assert deployment["enforce_parameter_schema"] is True
    assert "adce" in deployment["tags"]
    described = flow.description or ""
    assert all(f"{name}: " in described for name in signature(flow.fn).parameters), (
        "each is told to the person at the UI"
    )


@pytest.mark.parametrize("name", HERE)
def test_a_twin_on_ecs_differs_in_where_it_runs_and_its_flow_is_imported_from_the_image(name: str) -> None:
    here, on_ecs = DEPLOYMENTS[name], DEPLOYMENTS[f"{name}-ecs"]
    assert on_ecs["entrypoint"] == here["entrypoint"].replace(".py:", ".").replace("/", ".")
    where = {"name", "entrypoint", "work_pool", "pull", "schedules"}
    assert {k: v for k, v in on_ecs.items() if k not in where} == {k: v for k, v in here.items() if k not in where}


def test_every_source_has_its_scraper_deployment() -> None:
    config = load_config(env={})
    scrapers = [d for name, d in DEPLOYMENTS.items() if name in HERE and "scraper" in d["entrypoint"]]
    assert {d["name"]: d["parameters"] for d in scrapers} == {name: {"source": name} for name in config.sources}


def test_one_schedule_is_active_and_is_that_of_the_configuration() -> None:
    rules = load_config(env={}).reconcile
    schedules = [schedule for d in DEPLOYMENTS.values() for schedule in d["schedules"]]
    assert {(timedelta(seconds=s["interval"]), s["timezone"]) for s in schedules} == {(rules.interval, rules.timezone)}
    assert [schedule["active"] for schedule in schedules] == [True, False]
