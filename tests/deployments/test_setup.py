"""Is a Prefect server as configured, and does `adce setup` make it so? On PostgreSQL where that is installed."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock
from uuid import uuid4

import pytest
from click.testing import Result
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, GlobalConcurrencyLimitUpdate, WorkPoolUpdate
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import State
from prefect_aws import AwsCredentials

from deployments.prefect_api.adhoc import AdhocDeployment, end_of
from deployments.prefect_api.client import api_of
from deployments.prefect_api.flow_runs import FlowRun, FlowRuns
from deployments.setup import prefect_server as setup
from deployments.setup.event_path import Checked
from tasks.domain.metrics import CLOUDWATCH
from tests import forks
from tests.builders import a_config
from tests.servers import ask_prefect, free_port, http_server

pytestmark = pytest.mark.xdist_group("setup")  # they share servers

DEPLOY = [forks.PREFECT, "--no-prompt", "deploy", "--all"]
SPAN = ["--as-of", "2026-01-15T12:00:00Z", "--since", "2026-01-13", "--until", "2026-01-13"]
NOT_DEPLOYED = "missing; run `prefect --no-prompt deploy --all`"
QUEUES = ["critical", "high", "medium", "low"]
Adce = Callable[..., Result]
Schedules = tuple[bool, list[tuple[timedelta, bool]]]  # of a deployment: is it paused, and the schedules
Spoil = Callable[[PrefectClient], Awaitable[Any]]


def test_from_an_empty_server_to_a_lake_that_is_filled(
    adce: Adce, server: dict[str, str], adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _do(_delete_pool)
    early = _run(DEPLOY)
    assert early.returncode == 1
    assert "does not exist" in early.stdout.replace("\n", " ")
    check = adce("setup", "--check")
    assert check.exit_code == 1
    assert "work pool adce: missing" in check.stdout.splitlines()
    assert f"deployment reconcile/schedule: {NOT_DEPLOYED}" in check.stdout.splitlines()
    assert adce("setup", "--check").stdout == check.stdout, "a check changes nothing"
    made = adce("setup")
    assert "work pool adce: created" in made.stdout.splitlines()
    assert made.stderr == f"Prefect is {server['PREFECT_API_URL']}\n"
    assert _run(DEPLOY).returncode == 0
    for command in (["setup", "--check"], ["setup"]):
        result = adce(*command)
        assert (result.exit_code, result.stdout) == (0, "everything is as configured\n")
    with monkeypatch.context() as changed:
        changed.setenv("ADCE_RECONCILE__INTERVAL", "20m")
        changed.setenv(
            "ADCE_SOURCES__MINE", "{base_url: https://mine.example.org, rates: [{requests: 1, seconds: 1}], game_id: x}"
        )
        check = adce("setup", "--check")
    assert check.exit_code == 1
    sources = "espn, nba_api, basketball_reference"
    form = f"accepts the sources {sources}; configured are {sources}, mine; run `prefect --no-prompt deploy --all`"
    for deployment in ("reconcile/schedule", "fill/adhoc"):
        assert f"deployment {deployment}: {form}" in check.stdout.splitlines()
    assert "reconcile/schedule: runs every 15m, and reconcile.interval is 20m" in check.stdout
    deployed = _do(lambda client: client.read_deployment_by_name("reconcile/schedule"))
    _do(lambda client: client.update_deployment_schedule(deployed.id, deployed.schedules[0].id, active=False))
    paused = "deployment reconcile/schedule: paused; to have it run again: prefect deployment schedule resume"
    check = adce("setup", "--check")
    assert (check.exit_code, check.stdout.startswith(paused)) == (1, True)
    document = json.loads(adce("setup", "--check", "--json").stdout)
    assert (document["as_configured"], document["warnings"]) == (False, [])
    assert document["differences"][0]["what"] == "deployment reconcile/schedule"
    assert f"adce: warning: {paused}" in adce("plan", *SPAN).stderr
    before = _do(_as_in_older_versions)
    line = "former deployment reconcile/every-15-minutes: is now reconcile/schedule, which takes over its schedule"
    for beside in (True, False):  # with the new deployment beside the old one, and without it
        assert line in adce("setup", "--check").stdout
        assert line in adce("setup").stdout
        assert _do(_schedules) == before
        if beside:
            _do(_as_in_older_versions)
            _do(lambda client: _delete_deployment(client, "reconcile/schedule"))
    assert _run(DEPLOY).returncode == 0
    with monkeypatch.context() as changed:
        in_order = AsyncMock(return_value=Checked(in_order="queue q: bucket b sends to it"))
        changed.setattr("deployments.setup.event_path.check_event_path", in_order)
        check = adce("setup", "--check").stdout
    assert check == "events: queue q: bucket b sends to it\neverything is as configured\n"
    run = _run([forks.ADCE, "reconcile", "--json", "--dataset", "espn_scoreboard", *SPAN])
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["filled"] == ["espn_schedules/20260113.json"]
    assert (adce_home / "lake/espn_schedules/20260113.json").exists()
    _fill_by_a_worker(adce, server, adce_home, monkeypatch)


def _fill_by_a_worker(adce: Adce, server: dict[str, str], lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`adce fill` gives the work to a worker of the server that the last run used, if one is there."""
    (lake / "lake/espn_schedules/20260113.json").unlink()
    monkeypatch.delenv("PREFECT_API_URL")
    url = server["PREFECT_API_URL"]
    fill = ["fill", "espn_schedules/20260113.json", "--no-wait"]
    nobody = adce(*fill)
    why = f"--no-wait: no worker polls the work pool adce on {url}; start `adce up` or a worker, or leave --no-wait out"
    assert (nobody.exit_code, nobody.stderr) == (2, f"adce: {why}\n")
    ask_prefect(url, "POST", "/work_pools/adce/workers/heartbeat", {"name": "a worker"})
    begun = adce(*fill, "--json")
    assert begun.exit_code == 0, begun.stderr
    document = json.loads(begun.stdout)
    assert (document["state"], document["url"].partition("/api")[1]) == ("Scheduled", "")
    run = _do(lambda client: client.read_flow_run(document["flow_run"]))
    assert (run.tags, run.parameters["keys"], run.parameters["priority"]) == (["adce"], [fill[1]], "CRITICAL")
    ended: State[Any] = State(type=StateType.FAILED, name="Incomplete", message="1 of 1 file failed")
    _do(lambda client: client.set_flow_run_state(run.id, ended, force=True))

    async def waited_for() -> FlowRun:
        async with api_of(url) as api:
            seen = replace(await FlowRuns(api).get(str(run.id)), type="SCHEDULED")
            deployment = AdhocDeployment(str(run.deployment_id), "fill/adhoc", "adce")
            return await end_of(api, deployment, seen, timedelta(minutes=5), print)

    end = asyncio.run(waited_for())
    assert (end.state, end.message, end.is_final) == ("Incomplete", "1 of 1 file failed", True)
    _begin_a_run_that_was_due_long_ago(url, run.deployment_id)
    listed = adce("runs", "--since", "1h").stdout.splitlines()
    assert re.fullmatch(r"[0-9a-f]{8}  \d{4}-\d\d-\d\d \d\d:\d\d UTC  fill long ago  Running for [\d.]+s", listed[0]), (
        listed
    )
    assert any(line.endswith("  fill 1 file  Incomplete: 1 of 1 file failed") for line in listed), listed
    assert any("  reconcile espn_scoreboard from 2026-01-13 to 2026-01-13  Completed after " in line for line in listed)
    for message in ("espn is paused", "Incomplete: 1 of 1 file failed"):
        record = {"name": "flows", "level": 40, "message": message, "timestamp": f"{run.created}"}
        ask_prefect(url, "POST", "/logs/", [record | {"flow_run_id": f"{run.id}"}])
    for named in (str(run.id)[:8], "fill 1 file"):
        shown = adce("runs", named).stdout
        assert [row.split()[0] for row in shown.splitlines()[2:5]] == ["message", "due", "ids"], "it never began"
        assert f"{url.removesuffix('/api')}/flow-runs/flow-run/{run.id}" in shown
        assert [line for line in shown.splitlines() if line.startswith("log: ")] == ["log: espn is paused"]


def _begin_a_run_that_was_due_long_ago(url: str, deployment: Any) -> None:
    scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2026-01-01T00:00:00Z"}}
    asked = {"name": "long ago", "state": scheduled}
    run = ask_prefect(url, "POST", f"/deployments/{deployment}/create_flow_run", asked)["id"]
    ask_prefect(url, "POST", f"/flow_runs/{run}/set_state", {"state": {"type": "RUNNING"}, "force": True})


async def _as_in_older_versions(client: PrefectClient) -> Schedules:
    """Puts a deployment with the former name of the reconcile on the server, with its schedule switched off."""
    now = await client.read_deployment_by_name("reconcile/schedule")
    schedules = [DeploymentScheduleCreate(schedule=one.schedule, active=False) for one in now.schedules]
    more = {"entrypoint": now.entrypoint, "work_pool_name": now.work_pool_name, "path": now.path}
    await client.create_deployment(now.flow_id, "every-15-minutes", schedules=schedules, paused=True, **more)
    return True, [(one.schedule.interval, False) for one in now.schedules]


async def _schedules(client: PrefectClient) -> Schedules:
    """Whether the reconcile's deployment is paused, and the intervals of its schedules and whether they are active."""
    now = await client.read_deployment_by_name("reconcile/schedule")
    return now.paused, [(one.schedule.interval, one.active) for one in now.schedules]


async def _delete_deployment(client: PrefectClient, name: str) -> None:
    await client.delete_deployment((await client.read_deployment_by_name(name)).id)


async def _delete_pool(client: PrefectClient) -> None:
    with suppress(ObjectNotFound):
        await client.delete_work_pool("adce")


async def _delete_queue(client: PrefectClient) -> None:
    await client.delete_work_queue_by_id((await client.read_work_queue_by_name("high", "adce")).id)


async def _move_queue(client: PrefectClient) -> None:
    await client.update_work_queue((await client.read_work_queue_by_name("critical", "adce")).id, priority=3)


async def _switch_bucket_off(client: PrefectClient) -> None:
    change = GlobalConcurrencyLimitUpdate.parse_obj({"active": False})
    await client.update_global_concurrency_limit("adce-espn", change)


async def _narrow_bucket(client: PrefectClient) -> None:
    change = GlobalConcurrencyLimitUpdate.parse_obj({"limit": 5})
    await client.update_global_concurrency_limit("adce-espn", change)


async def _slow_bucket_down(client: PrefectClient) -> None:
    change = GlobalConcurrencyLimitUpdate.parse_obj({"slot_decay_per_second": 500})
    await client.update_global_concurrency_limit("adce-espn", change)


async def _delete_bucket(client: PrefectClient) -> None:
    await client.delete_global_concurrency_limit_by_name("adce-espn")


async def _move_lake(client: PrefectClient) -> None:
    await setup.Lake(url="s3://elsewhere").save("adce", overwrite=True, client=client)


@pytest.mark.parametrize(
    ("spoil", "lines"),
    [
        pytest.param(_delete_bucket, ["rate bucket adce-espn: missing"], id="no bucket"),
        pytest.param(_switch_bucket_off, ["rate bucket adce-espn: is inactive"], id="bucket off"),
        pytest.param(
            _narrow_bucket, ["rate bucket adce-espn: limit 5 at 970.9/s, should be 4854 at"], id="bucket narrow"
        ),
        pytest.param(
            _delete_pool,
            [
                "work pool adce: missing",
                *(f"work queue adce/{name}: missing" for name in QUEUES),
            ],
            id="no pool",
        ),
        pytest.param(_delete_queue, ["work queue adce/high: missing"], id="no queue"),
        pytest.param(
            _move_queue,
            ["work queue adce/critical: priority 3, should be 1"],
            id="queue moved",
        ),
        pytest.param(_move_lake, ["block adce-lake/adce: url s3://elsewhere, should be file://"], id="lake moved"),
    ],
)
def test_what_differs_is_said_left_alone_by_a_check_and_then_corrected(
    adce: Adce, server: dict[str, str], spoil: Spoil, lines: list[str]
) -> None:
    assert adce("setup").exit_code == 0
    _do(spoil)
    for _ in range(2):
        check = adce("setup", "--check")
        assert check.exit_code == 1
        said = _but_for_deployments(check)
        assert all(any(one.startswith(line) for one in said) for line in lines), said
    assert len(_but_for_deployments(adce("setup"))) >= len(lines)
    assert _but_for_deployments(adce("setup", "--check")) == []
    assert _but_for_deployments(adce("setup")) == [], "the second time there is nothing to do"


def test_the_sources_are_shown_with_the_rates_that_the_server_has(
    adce: Adce, adce_home: Path, server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def espn() -> tuple[str, list[str]]:
        _, _, first, *lines = adce("sources").stdout.splitlines()
        assert first.startswith("espn  ")
        rate = first.split("10 in 1s")[1].split("  ")[1].strip()
        assert first.rstrip().endswith("held up" if rate == "no rate" else "asked as usual")
        return rate, [line for line in lines if "adce-espn" in line]

    adce("setup")
    assert espn() == ("the same", [])
    _do(_slow_bucket_down)
    rate, [line] = espn()
    assert rate == "5/s"
    assert line.startswith("bucket adce-espn in Prefect has slot decay 500/s (5 requests/s), should be ")
    assert line.endswith(": the next run sets it so. For another rate, change sources.espn.rates in the configuration")
    _do(_delete_bucket)
    missing = "rate bucket 'adce-espn' is missing; run `adce setup` to create the rate buckets from the configuration"
    assert espn() == ("no rate", [missing])
    found = json.loads(adce("sources", "--json").stdout)
    assert found["buckets"][0] == {"name": "adce-espn", "requests_per_second": None, "trouble": missing}
    assert found["buckets"][1]["requests_per_second"] == pytest.approx(1.94, abs=0.01)
    assert (found["buckets"][1]["trouble"], found["prefect"]) == (None, None)
    monkeypatch.setattr("deployments.prefect_api.buckets._WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, http_server(501, b"<html>") as site:
        hangs = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        for url, says in ((hangs, "has not answered within 0.3 s"), (f"{site}/api", "answers HTTP 501")):
            monkeypatch.setenv("PREFECT_API_URL", url)
            last = adce("sources").stdout.splitlines()[-2]
            assert last == f"the rates in Prefect are not known: the Prefect API at {url} {says}"


def test_credentials_are_looked_for_and_never_made(
    adce: Adce, server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    adce("setup")
    name = f"aws{uuid4().hex}"
    monkeypatch.setenv("ADCE_AWS_CREDENTIALS", name)
    line = f"block aws-credentials/{name}: missing; make it in the Prefect UI, under Blocks"
    assert _but_for_deployments(adce("setup", "--check")) == [line]
    assert _but_for_deployments(adce("setup")) == [line]

    async def make(client: PrefectClient) -> None:
        await AwsCredentials(region_name="us-east-1").save(name, client=client)

    _do(make)
    line = f"block adce-lake/adce: aws_credentials None, should be {name}"
    assert _but_for_deployments(adce("setup", "--check")) == [line]
    assert _but_for_deployments(adce("setup")) == [f"{line}; corrected"]
    assert _but_for_deployments(adce("setup", "--check")) == []


def test_a_paused_pool_is_told_of_and_left_to_whoever_paused_it(adce: Adce, server: dict[str, str]) -> None:
    adce("setup")
    queue = _do(lambda client: client.read_work_queue_by_name("high", "adce"))
    lines = [
        "work pool adce: paused; to have it run again: prefect work-pool resume adce",
        "work queue adce/high: paused; to have it run again: prefect work-queue resume high --pool adce",
    ]
    _do(lambda client: client.update_work_pool("adce", WorkPoolUpdate.parse_obj({"is_paused": True})))
    _do(lambda client: client.update_work_queue(queue.id, is_paused=True))
    assert _but_for_deployments(adce("setup", "--check")) == lines
    assert _but_for_deployments(adce("setup")) == lines
    nothing = {"is_paused": False, "concurrency_limit": 0}
    _do(lambda client: client.update_work_pool("adce", WorkPoolUpdate.parse_obj(nothing)))
    _do(lambda client: client.update_work_queue(queue.id, is_paused=False))
    assert _but_for_deployments(adce("setup", "--check")) == [
        "work pool adce: held by a concurrency limit of 0; to have it run again: prefect work-pool "
        "clear-concurrency-limit adce"
    ]
    _do(lambda client: client.update_work_pool("adce", WorkPoolUpdate.parse_obj({"concurrency_limit": None})))
    assert _but_for_deployments(adce("setup", "--check")) == []


def test_the_pool_on_ecs_has_the_template_of_the_repository(
    adce: Adce, server: dict[str, str], adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = adce_home / "base-job-template.json"
    monkeypatch.setattr(setup, "_ECS_TEMPLATE", template)
    monkeypatch.setenv("ADCE_WORK_POOLS", "[adce, adce-ecs]")
    result = adce("setup")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"adce-ecs needs {template}, which cannot be read" in result.stderr
    for cpu in ("256", "512"):
        template.write_text(json.dumps({"job_configuration": {"cpu": cpu}, "variables": {"properties": {}}}))
        assert "work pool adce-ecs: " in adce("setup").stdout
        pool = _do(lambda client: client.read_work_pool("adce-ecs"))
        assert (pool.type, pool.base_job_template["job_configuration"]) == ("ecs", {"cpu": cpu})
        assert "adce-ecs" not in adce("setup", "--check").stdout.replace("deployment ", "")
    _do(lambda client: client.delete_work_pool("adce-ecs"))


def test_a_server_that_does_not_answer_is_one_line(
    adce: Adce, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    with temporary_settings({PREFECT_API_URL: url}):
        result = adce("setup", "--check")
    assert result.exit_code == 2
    assert result.stderr == f"adce: the Prefect API at {url} cannot be reached; start it, or unset PREFECT_API_URL\n"


def test_a_server_that_hangs_and_what_is_no_prefect_are_one_line(
    adce: Adce, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, http_server(200, b"<html>") as site:
        hangs, other = f"http://127.0.0.1:{silent.getsockname()[1]}/api", f"{site}/api"
        for url, line in ((other, "is not a Prefect API (HTTP 200); "), (hangs, "has not answered within 0.5 s: ")):
            if url == hangs:
                monkeypatch.setattr("deployments.setup.api._WITHIN", 0.5)
            monkeypatch.setenv("PREFECT_API_URL", url)
            with temporary_settings({PREFECT_API_URL: url}):
                for command in (["setup", "--check"], ["setup"], ["reconcile", *SPAN]):
                    result = adce(*command)
                    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
                    assert f" at {url} {line}" in result.stderr


def test_without_a_server_it_says_that_it_is_about_an_embedded_one(prefect_api: None, adce: Adce) -> None:
    for command in (["setup"], ["setup", "--check"]):
        result = adce(*command)
        about = result.stderr.splitlines()[0]
        assert about.startswith(f"Prefect is the embedded API of {socket.gethostname()} on sqlite")
        assert about.endswith("; PREFECT_API_URL names no server")
    assert "Prefect's database /" in result.stderr


def test_a_check_tells_how_large_everything_is_and_what_metrics_cost(
    adce: Adce, server: dict[str, str], adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adce("plan", *SPAN)
    monkeypatch.setenv("ADCE_CLOUDWATCH__NAMESPACE", "ADCE")
    check = adce("setup", "--check")
    said = check.stderr.splitlines()
    most = sum(metric.most_series(a_config()) for metric in CLOUDWATCH)
    price = f"and 43,800 requests a month, for at most ${most * 0.3 + 0.438:.2f}"  # 0.3 a metric, 0.01 a thousand
    assert f"cloudwatch: at most {most} metrics in ADCE {price}" in check.stdout.splitlines()
    if "ADCE_LEDGER" not in server:
        file = adce_home / "ledger.db"
        assert any(re.fullmatch(rf"ledger {file}: \d+ kB", line) for line in said), said
    else:
        assert any(re.fullmatch(r"ledger postgresql\+psycopg://.*: [\d.]+ MB", line) for line in said), said
    assert any(re.fullmatch(r"[\d,]+ runs? of ADCE in Prefect, kept for 90d", line) for line in said), said


def _but_for_deployments(result: Result) -> list[str]:
    """The lines about what set-up itself can mend."""
    lines = result.stdout.splitlines()
    return [line for line in lines if not line.startswith("deployment ") and line != "everything is as configured"]


def _do(work: Callable[[PrefectClient], Awaitable[Any]]) -> Any:
    async def with_client() -> Any:
        async with get_client() as client:
            return await work(client)

    return asyncio.run(with_client())


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return forks.run(command, {}, check=False)
