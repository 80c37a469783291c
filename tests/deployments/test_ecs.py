"""Does a deployment run on ECS, as the worker of prefect-aws starts it from our template? Against moto's server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import boto3
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, SETTING_VARIABLES, temporary_settings
from prefect.testing.cli import invoke_and_assert

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from tasks.upstream.buckets import ensure_buckets
from tests.ecs import Agent, ecs, wait_until
from tests.servers import prefect_server, use_s3

pytestmark = pytest.mark.xdist_group("ecs")  # they share servers

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).with_name("prefect"))
KEY = "pnu_the-key-of-the-worker"
PASSWORD = "the-password-of-the-server's-database"
DATABASE = "postgresql+asyncpg://me:another-password@127.0.0.1/prefect"
# What of the worker's own settings goes on to its tasks, and nothing else.
GOES_ON = {
    "PREFECT_API_ENABLE_HTTP2",
    "PREFECT_API_REQUEST_TIMEOUT",
    "PREFECT_API_SSL_CERT_FILE",
    "PREFECT_API_TLS_INSECURE_SKIP_VERIFY",
    "PREFECT_API_URL",
    "PREFECT_CLIENT_MAX_RETRIES",
    "PREFECT_CLIENT_RETRY_EXTRA_CODES",
    "PREFECT_CLIENT_RETRY_JITTER_FACTOR",
    "PREFECT_LOGGING_EXTRA_LOGGERS",
    "PREFECT_LOGGING_LEVEL",
    "PREFECT_UI_URL",
}


@dataclass
class Cloud:
    """A Prefect server with the deployments, and an AWS account with what they need."""

    env: dict[str, str]  # of the worker
    agent: Agent
    variables: dict[str, Any]  # the defaults of the work pool

    def ask(self, work: Callable[[PrefectClient], Awaitable[T]]) -> T:
        async def run() -> T:
            with temporary_settings({PREFECT_API_URL: self.env["PREFECT_API_URL"]}):
                async with get_client() as client:
                    return await work(client)

        return asyncio.run(run())

    def fill(
        self, since: str = "2026-01-13", until: str = "2026-01-14", dry_run: bool = True, **job_variables: Any
    ) -> UUID:
        """Asks for a run of the deployment fill/adhoc-ecs."""

        async def create(client: PrefectClient) -> UUID:
            deployment = await client.read_deployment_by_name("fill/adhoc-ecs")
            parameters = {"source": "espn", "since": since, "until": until, "dry_run": dry_run}
            run = await client.create_flow_run_from_deployment(
                deployment.id, parameters=parameters, job_variables=job_variables
            )
            return run.id

        return self.ask(create)

    def state(self, run: UUID) -> tuple[str, str]:
        state = self.ask(lambda client: client.read_flow_run(run)).state
        assert state is not None
        return state.name, state.message or ""

    def log(self, run: UUID) -> str:
        mine = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
        return "\n".join(line.message for line in self.ask(lambda client: client.read_logs(log_filter=mine)))

    def task(self, run: UUID) -> Any:
        tag = {"key": "prefect.io/flow-run-id", "value": str(run)}
        return next((task for task in self.agent.tasks() if tag in task.tags), None)


@pytest.fixture(scope="module")
def cloud(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("ecs")
    with pytest.MonkeyPatch.context() as patch:
        use_s3(patch, s3)
        boto3.client("s3").create_bucket(Bucket="ecs-lake")
        boto3.client("ecs").create_cluster(clusterName="adce")
        ledger = boto3.client("secretsmanager").create_secret(
            Name="adce/ledger", SecretString=f"sqlite:///{folder / 'ledger.db'}"
        )
        network = boto3.client("ec2")
        variables = {
            "image": "registry.example/adce:1",
            "cluster": "adce",
            "subnets": [network.describe_subnets()["Subnets"][0]["SubnetId"]],
            "security_groups": [network.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
            "execution_role_arn": "arn:aws:iam::123456789012:role/adce-execution",
            "task_role_arn": "arn:aws:iam::123456789012:role/adce-task",
            "lake": "s3://ecs-lake/nba",
            "secrets": [{"name": "ADCE_LEDGER", "valueFrom": ledger["ARN"]}],
            "task_watch_poll_interval": 0.2,
        }
        with prefect_server(folder / "prefect") as server, ecs(s3, folder) as agent:
            secret = {"PREFECT_API_KEY": KEY, "PREFECT_API_DATABASE_PASSWORD": PASSWORD}
            secret |= {"PREFECT_API_DATABASE_CONNECTION_URL": DATABASE, "PREFECT_API_REQUEST_TIMEOUT": "59"}
            cloud = Cloud({**server, **secret}, agent, variables)
            pool = {"name": "adce-ecs", "type": "ecs", "base_job_template": _template(variables)}
            cloud.ask(lambda client: client.create_work_pool(WorkPoolCreate.parse_obj(pool)))
            with temporary_settings({PREFECT_API_URL: server["PREFECT_API_URL"]}):
                deploy = [
                    "--no-prompt",
                    "deploy",
                    "--name",
                    "adhoc-ecs",
                    "--prefect-file",
                    str(ROOT / "deployments/ecs/prefect.yaml"),
                ]
                invoke_and_assert(deploy, expected_output_contains="fill/adhoc-ecs")
            yield cloud


@pytest.fixture(scope="module")
def runs(cloud: Cloud, sites: SandboxProcess) -> dict[str, UUID]:
    """One worker has seen to them all. ECS has interrupted one of them at work."""
    sites.clear_faults()
    sites.clear_requests()
    cloud.ask(lambda client: ensure_buckets(client, load_config(env={})))
    espn = {"ADCE_SOURCES__ESPN__BASE_URL": sites.base_urls["espn"]}
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    runs = {
        "told": cloud.fill(),
        # It stores nothing of the days of the others, which may look at the lake before it or after.
        "interrupted": cloud.fill("2025-12-01", "2026-01-12", dry_run=False, env=espn),
        "unpullable": cloud.fill(image="adce:unpullable"),
        "unplaceable": cloud.fill(
            image="adce:unplaceable", task_start_timeout_seconds=1, capacity_provider_strategy=spot
        ),
        "lost": cloud.fill(cluster="elsewhere"),
    }
    worker = [PREFECT, "worker", "start", "--pool", "adce-ecs", "--type", "ecs", "--run-once"]
    with subprocess.Popen(worker, cwd="/", env={**os.environ, **cloud.env}, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: len(sites.requests()) > 12, "the run asks the site")
            boto3.client("ecs").stop_task(cluster="adce", task=cloud.task(runs["interrupted"]).task_arn)
            assert process.wait(120) == 0
        finally:
            process.kill()
            for task in cloud.agent.tasks():
                print(cloud.agent.log(task))
    return runs


def _template(defaults: dict[str, Any]) -> dict[str, Any]:
    template: dict[str, Any] = json.loads((ROOT / "deployments/ecs/base-job-template.json").read_text())
    for name, value in defaults.items():
        template["variables"]["properties"][name]["default"] = value
    return template


def test_a_run_is_completed_by_a_task_that_imports_the_flow_wherever_it_is(cloud: Cloud, runs: dict[str, UUID]) -> None:
    name, message = cloud.state(runs["told"])
    assert name == "Incomplete", cloud.agent.log(cloud.task(runs["told"]))
    assert message.startswith("2 of 2 files ")


def test_the_task_definition_is_what_the_template_says(cloud: Cloud, runs: dict[str, UUID]) -> None:
    arn = cloud.task(runs["told"]).task_definition_arn
    made = boto3.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
    (container,) = made["containerDefinitions"]
    given = cloud.variables
    assert {name: made[name] for name in ("family", "networkMode", "requiresCompatibilities", "cpu", "memory")} == {
        "family": "adce",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "1024",
        "memory": "2048",
    }
    assert (made["executionRoleArn"], made["taskRoleArn"]) == (given["execution_role_arn"], given["task_role_arn"])
    assert container["image"] == given["image"]
    assert container["memory"] == 2048
    assert container["stopTimeout"] == 120
    assert container["linuxParameters"] == {"initProcessEnabled": True}
    assert container["environment"] == [{"name": "ADCE_LAKE", "value": "s3://ecs-lake/nba"}]
    assert container["secrets"] == given["secrets"]
    assert container["logConfiguration"] == {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": "/adce/flow-runs",
            "awslogs-create-group": "false",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "flow-run",
            "mode": "non-blocking",
        },
    }


def test_the_task_is_started_as_the_template_says(cloud: Cloud, runs: dict[str, UUID]) -> None:
    arn = cloud.task(runs["told"]).task_arn
    (task,) = boto3.client("ecs").describe_tasks(cluster="adce", tasks=[arn], include=["TAGS"])["tasks"]
    (override,) = task["overrides"]["containerOverrides"]
    assert (override["name"], override["command"]) == ("prefect", ["python", "-m", "prefect.engine"])
    assert task["launchType"] == "FARGATE"
    assert {"key": "project", "value": "adce"} in task["tags"]
    subnets = [item["value"] for item in task["attachments"][0]["details"] if item["name"] == "subnetId"]
    assert subnets == cloud.variables["subnets"]
    assert cloud.task(runs["unplaceable"]).capacity_provider_name == "FARGATE_SPOT"


def test_no_secret_of_the_worker_is_in_what_ecs_tells(cloud: Cloud, runs: dict[str, UUID]) -> None:
    for task in cloud.agent.tasks():
        told = json.dumps([task.overrides, task.tags, task.definition.container_definitions])
        assert "PREFECT_API_URL" in told, "where the server is"
        assert not [secret for secret in (KEY, PASSWORD, "another-password", "sqlite") if secret in told]
        (override,) = task.overrides["containerOverrides"]
        given = {item["name"]: item["value"] for item in override["environment"]}
        assert {name for name in given if name.startswith("PREFECT_")} - {"PREFECT__FLOW_RUN_ID"} <= GOES_ON
        assert float(given["PREFECT_API_REQUEST_TIMEOUT"]) == 59, "some of the worker's settings go on"


def test_what_goes_on_is_a_list_and_every_other_setting_of_prefect_is_held_back() -> None:
    held_back = _template({})["job_configuration"]["env"]
    assert set(held_back.values()) == {None}
    assert set(held_back) | GOES_ON == set(SETTING_VARIABLES)
    assert not set(held_back) & GOES_ON


def test_a_run_that_ecs_interrupts_records_what_it_did_and_says_so(cloud: Cloud, runs: dict[str, UUID]) -> None:
    task = cloud.task(runs["interrupted"])
    name, message = cloud.state(runs["interrupted"])
    assert name == "Cancelled", cloud.agent.log(task)
    assert re.search(r" files wait: .* · [1-9]\d* fetched", message)
    assert task.containers[0].exitCode == 0


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        pytest.param("unpullable", "CannotPullContainerError: not found", id="the image cannot be pulled"),
        pytest.param("unplaceable", "while watching task for status RUNNING", id="no room in time"),
        pytest.param("lost", "cluster 'elsewhere' not found", id="no such cluster"),
    ],
)
def test_a_run_whose_task_does_not_start_is_crashed_and_its_log_says_why(
    cloud: Cloud, runs: dict[str, UUID], run: str, reason: str
) -> None:
    assert cloud.state(runs[run]) == ("Crashed", "Flow run could not be submitted to infrastructure")
    assert reason in cloud.log(runs[run])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"subnet": "subnet-1"}, "subnet", id="no such variable"),
        pytest.param({"subnets": []}, "subnets", id="no subnet"),
        pytest.param({"cpu": 1000}, "cpu", id="not a size of Fargate"),
        pytest.param({"lake": "file:///lake"}, "lake", id="a lake that is gone with the task"),
        pytest.param({"secrets": []}, "secrets", id="a ledger of its own"),
        pytest.param(
            {"secrets": [{"name": "ADCE_LEDGER", "valueFrom": "postgresql://u:p@h/d"}]}, "secrets", id="plain"
        ),
        pytest.param({"env": {"ADCE_LEDGER": "postgresql://h/d"}}, "env", id="a ledger beside its ARN"),
        pytest.param({"env": {"PREFECT_API_KEY": "pnu_1234"}}, "env", id="a key beside its ARN"),
        pytest.param({"env": {"AWS_SECRET_ACCESS_KEY": "x"}}, "env", id="a key of AWS"),
        pytest.param({"env": {"MY_DB_PASSWORD": "x"}}, "env", id="a password"),
        pytest.param({"env": {"ADCE_SOURCES__ESPN__BASE_URL": "https://me:x@h"}}, "env", id="a password in a URL"),
        pytest.param({"env": {"ADCE_SOURCES__ESPN": "{headers: {X-Own: x}}"}}, "env", id="headers"),
    ],
)
def test_a_wrong_job_variable_is_refused_when_the_run_is_asked_for(
    cloud: Cloud, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(PrefectHTTPStatusError) as caught:
        cloud.fill(**change)
    assert caught.value.response.status_code == 422
    assert field in caught.value.response.json()["detail"]


def test_what_only_the_account_knows_has_no_default() -> None:
    variables = _template({})["variables"]
    assert not [name for name in variables["required"] if "default" in variables["properties"][name]]
