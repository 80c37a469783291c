"""Scraper runs as deployments: a real Prefect server, a worker, and processes that die or never begin."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.sandbox.process import SandboxProcess
from deployments.up.ports import free_port
from tests import forks
from tests.servers import ask_prefect, deploy_all, new_database, prefect_server, prefect_worker

pytestmark = pytest.mark.xdist_group("handover")  # they share servers

SPAN = ["--since", "2026-01-13", "--until", "2026-01-14", "--as-of", "2026-01-15T12:00:00Z"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server with everything of prefect.yaml, deployed twice."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as env:
        deploy_all(env)
        before = _deployments(env)
        deploy_all(env)
        assert _deployments(env) == before, "the second time changes nothing"
        yield env


@pytest.fixture(autouse=True)
def hands_over(adce_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADCE_DISPATCH", "deployment")
    monkeypatch.setenv("ADCE_RECONCILE__LEASE", "5s")


def test_a_deployed_reconcile_fills_the_lake_through_its_scrapers_though_its_server_was_away(
    postgres: str, sites: SandboxProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_LEDGER", f"postgresql+psycopg://{new_database(postgres, 'handover_ledger')}")
    monkeypatch.setenv("ADCE_RECONCILE__START_WITHIN", "40s")  # a process that could not begin, its server being away
    database = f"postgresql+asyncpg://{new_database(postgres, 'handover_prefect')}"
    parameters = {"sources": ["espn", "nba_api"], "since": SPAN[1], "until": SPAN[3], "as_of": SPAN[5]}
    home, port = tmp_path / "prefect", free_port()
    with ExitStack() as stack:
        with prefect_server(home, database, port) as env:
            deploy_all(env)
            stack.enter_context(prefect_worker(env, tmp_path))
            reconcile = _ask_for(env, "reconcile/schedule", parameters)
            _first_scraper(env)
        with prefect_server(home, database, port) as env:
            state = _final_state(env, reconcile)
            for run in _scrapers(env):  # one that was given up may have begun late, and ends by itself
                _final_state(env, run["id"])
            runs = _scrapers(env)
            overtaken = _ask_for(env, "reconcile/schedule", parameters, due=datetime.now(UTC) - timedelta(hours=1))
            late = _final_state(env, overtaken)
            stack.close()
    assert (late["type"], "a later run has become due" in late["message"]) == ("CANCELLED", True), late
    said = (state["message"], (tmp_path / "worker.log").read_text()[-3000:])
    assert state["type"] == "COMPLETED", said
    plan = json.loads(_run({}, forks.ADCE, "plan", "--json", "--source", "espn", "--source", "nba_api", *SPAN))
    assert plan["cells"]["present"] == plan["cells"]["total"] > 30, said
    assert set(Counter(request["url"] for request in sites.requests()).values()) == {1}
    assert not any(request["limited"] for request in sites.requests())
    assert {run["state"]["type"] for run in runs} <= {"COMPLETED", "CRASHED"}, "crashed where Prefect was away"
    assert all(run["parent_task_run_id"] for run in runs), "each is a subflow of the reconcile"
    for run in runs:
        queue, datasets = run["work_queue_name"], {tag for tag in run["tags"] if tag.startswith("dataset:")}
        assert {"adce", f"source:{run['parameters']['source']}", f"priority:{queue.upper()}"} <= set(run["tags"])
        assert f"dataset:{run['name'].split()[0]}" in datasets
    for source in {run["parameters"]["source"] for run in runs}:
        of_source = [run for run in runs if run["parameters"]["source"] == source and run["start_time"]]
        begun = sorted(of_source, key=lambda run: run["start_time"])
        assert begun == sorted(of_source, key=lambda run: run["created"]), "they begin in the order of the plan"


def test_a_scraper_run_that_is_killed_is_done_again_and_costs_what_was_in_flight(
    server: dict[str, str], sites: SandboxProcess, tmp_path: Path
) -> None:
    before = len(_scrapers(server))
    with (
        prefect_worker(server, tmp_path),
        reconciling(server, tmp_path, "--source", "espn") as reconcile,
    ):
        scraper = _first_scraper(server)
        while not sites.requests():  # by now it has marked what it fetches
            time.sleep(0.1)
        os.kill(scraper, signal.SIGKILL)
        assert reconcile.wait(200) == 0, (tmp_path / "errors").read_text()[-3000:]
    report = json.loads((tmp_path / "report").read_text())
    assert report["cells"]["present"] == report["cells"]["total"]
    states = Counter(run["state"]["type"] for run in _scrapers(server)[before:])
    assert states["CRASHED"] == 1
    assert states.keys() == {"CRASHED", "COMPLETED"}


def test_a_reconcile_that_is_stopped_stops_its_scraper_runs(
    server: dict[str, str], sites: SandboxProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__GRACE", "3s")
    sites.set_faults("espn", "hang")
    before = len(_scrapers(server))
    with (
        prefect_worker(server, tmp_path),
        reconciling(server, tmp_path, "--source", "espn") as reconcile,
    ):
        _first_scraper(server)
        reconcile.terminate()
        assert reconcile.wait(60) == 128 + signal.SIGTERM, (tmp_path / "errors").read_text()[-3000:]
        ended = {run["state"]["type"] for run in _scrapers(server)[before:]}
    assert ended <= {"CANCELLED", "CANCELLING", "COMPLETED"}
    assert ended & {"CANCELLED", "CANCELLING"}


def test_a_scraper_run_outlives_a_reconcile_that_is_killed_and_nothing_is_asked_for_twice(
    server: dict[str, str], sites: SandboxProcess, tmp_path: Path
) -> None:
    before = len(_scrapers(server))
    with prefect_worker(server, tmp_path):
        with reconciling(server, tmp_path, "--source", "espn") as reconcile:
            _first_scraper(server)
            reconcile.kill()
        # Not forked: the scraper run is to have ended in Prefect too when this run calls the dead one crashed.
        command = [forks.ADCE, "reconcile", "--json", "--source", "espn", *SPAN]
        done = subprocess.run(command, env={**os.environ, **server}, capture_output=True, check=False, timeout=300)
        report = json.loads(done.stdout)
        while report["cells"]["present"] < report["cells"]["total"]:
            report = _reconcile(server, "--source", "espn", status=None)
    assert {run["state"]["type"] for run in _scrapers(server)[before:]} == {"COMPLETED"}
    assert set(Counter(request["url"] for request in sites.requests()).values()) == {1}


@pytest.mark.parametrize("what", ["lake", "ledger"])
def test_a_worker_with_another_lake_or_ledger_refuses_in_one_line_and_the_files_say_the_same(
    server: dict[str, str], sites: SandboxProcess, tmp_path: Path, what: str
) -> None:
    before = len(_scrapers(server))
    another = (tmp_path / "another").as_uri() if what == "lake" else f"sqlite:///{tmp_path / 'another.db'}"
    env = {**server, f"ADCE_{what.upper()}": another}
    with prefect_worker(env, tmp_path, is_forked=what == "ledger"):  # one of the workers is started as an operator does
        report = _reconcile(server, "--source", "espn", status=1)
    line = f"the {what} here, {another}, is not that of the run that made the plan; set ADCE_{what.upper()}"
    states = [run["state"] for run in _scrapers(server)[before:]]
    assert {state["type"] for state in states} == {"FAILED"}
    assert all(state["message"].startswith(line) for state in states)
    assert report["filled"] == []
    assert {line in failed["error"] for failed in report["failed"]} == {True}
    assert sites.requests() == []
    assert not (tmp_path / "another").exists()


def test_a_run_that_a_worker_took_and_never_began_is_called_crashed(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = server["PREFECT_API_URL"]
    run = _ask_for(server, "fill/adhoc", {})
    ask_prefect(api, "POST", f"/flow_runs/{run}/set_state", {"state": {"type": "PENDING"}, "force": True})
    monkeypatch.setenv("ADCE_RECONCILE__START_WITHIN", "1s")
    time.sleep(1)
    _reconcile(server, "--source", "espn", "--max-fills", "0", status=1)
    state = ask_prefect(api, "GET", f"/flow_runs/{run}")["state"]
    assert (state["type"], "had not begun after 1s" in state["message"]) == ("CRASHED", True)


def test_without_a_worker_the_files_are_left_to_the_next_run_and_nothing_stays_marked(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__START_WITHIN", "3s")
    report = _reconcile(server, "--source", "espn", status=1)
    assert report["filled"] == []
    assert report["deferred"]
    assert all("no worker has begun it" in later["reason"] for later in report["deferred"])
    plan = json.loads(_run({}, forks.ADCE, "plan", "--json", "--source", "espn", *SPAN))
    assert plan["cells"]["in_flight"] == 0
    assert _scrapers(server)[-1]["state"]["type"] == "CANCELLED"


def test_a_reconcile_that_holds_the_only_slot_of_its_work_pool_fails_and_says_so(
    server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__START_WITHIN", "1s")
    with _pool_limit(server, 1), prefect_worker(server, tmp_path):
        parameters = {"sources": ["espn"], "since": SPAN[1], "until": SPAN[3], "as_of": SPAN[5]}
        state = _final_state(server, _ask_for(server, "reconcile/schedule", parameters))
    assert (state["name"], state["type"]) == ("Incomplete", "FAILED")
    why = "no worker has begun it within 1s; work pool adce runs at most 1 at once, a reconcile included"
    assert state["message"].startswith(f"2 of 2 files wait: its scraper run left it: {why}")
    assert _scrapers(server)[-1]["state"]["type"] == "CANCELLED"


def test_without_the_deployments_one_line_says_what_to_do(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_SCRAPER", "scraper/{source}-elsewhere")
    ended = forks.run([forks.ADCE, "reconcile", "--source", "espn", *SPAN], server, check=False)
    assert ended.returncode == 2
    assert "Prefect has no deployment scraper/espn-elsewhere" in ended.stderr
    assert "prefect --no-prompt deploy --all" in ended.stderr


@contextmanager
def _pool_limit(env: Mapping[str, str], limit: int) -> Iterator[None]:
    """While it lasts, the pool runs so many at once."""
    limited = partial(ask_prefect, env["PREFECT_API_URL"], "PATCH", "/work_pools/adce")
    limited({"concurrency_limit": limit})
    yield
    limited({"concurrency_limit": None})


@contextmanager
def reconciling(env: Mapping[str, str], tmp_path: Path, *options: str) -> Iterator[forks.Fork]:
    command = [forks.ADCE, "reconcile", "--json", *options, *SPAN]
    process = forks.start(command, env, tmp_path / "report", tmp_path / "errors")
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _reconcile(env: Mapping[str, str], *options: str, status: int | None = 0) -> dict[str, Any]:
    report = json.loads(_run(env, forks.ADCE, "reconcile", "--json", *options, *SPAN, status=status))
    assert isinstance(report, dict)
    return report


def _run(env: Mapping[str, str], *command: str, status: int | None = 0) -> str:
    ended = forks.run(command, env, check=False)
    assert ended.returncode in ({0, 1} if status is None else {status}), ended.stderr[-3000:] + ended.stdout[-3000:]
    return ended.stdout


def _ask_for(
    env: Mapping[str, str], deployment: str, parameters: Mapping[str, Any], due: datetime | None = None
) -> str:
    """Asks for a run of a deployment, as the UI does, or as its schedule has done; gives its id."""
    api, asked = env["PREFECT_API_URL"], {"parameters": parameters}
    if due:
        scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
        asked |= {"tags": ["auto-scheduled"], "state": scheduled}
    found = ask_prefect(api, "GET", f"/deployments/name/{deployment}")["id"]
    return str(ask_prefect(api, "POST", f"/deployments/{found}/create_flow_run", asked)["id"])


def _final_state(env: Mapping[str, str], run: str) -> dict[str, Any]:
    for _ in range(1800):
        state: dict[str, Any] = ask_prefect(env["PREFECT_API_URL"], "GET", f"/flow_runs/{run}")["state"]
        if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return state
        time.sleep(0.1)
    raise AssertionError(f"it is still {state}")


def _first_scraper(env: Mapping[str, str]) -> int:
    """The process of the scraper run that runs, as soon as it has said that it is at work."""
    engine = sa.create_engine(os.environ["ADCE_LEDGER"], poolclass=sa.NullPool)
    query = sa.text("SELECT holder FROM runs WHERE kind = 'scraper' AND ended IS NULL")
    for _ in range(600):
        with suppress(sa.exc.DBAPIError), engine.connect() as connection:  # it has no tables yet
            if holder := connection.execute(query).scalar():
                return int(holder.rpartition(" ")[2].rstrip(")"))
        time.sleep(0.1)
    raise AssertionError(f"no scraper run began: {_scrapers(env)}")


def _scrapers(env: Mapping[str, str]) -> list[dict[str, Any]]:
    """The scraper runs, as Prefect knows them, in the order in which they were submitted."""
    asked = {"flows": {"name": {"any_": ["scraper"]}}, "sort": "START_TIME_ASC", "limit": 200}
    runs: list[dict[str, Any]] = ask_prefect(env["PREFECT_API_URL"], "POST", "/flow_runs/filter", asked)
    return sorted(runs, key=lambda run: run["created"])


def _deployments(env: Mapping[str, str]) -> list[dict[str, Any]]:
    found = ask_prefect(env["PREFECT_API_URL"], "POST", "/deployments/filter", {})
    moving = {"updated", "last_polled", "status"}
    for deployment in found:
        deployment["schedules"] = [schedule["schedule"] for schedule in deployment["schedules"]]
    return sorted(({k: v for k, v in d.items() if k not in moving} for d in found), key=lambda d: d["name"])
