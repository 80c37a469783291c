"""What does a whole system of `adce up` say on a bad night, and does it end without a trace?

The tests share one system and run in this order: the last one stops it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests import forks
from tests.deployments.conftest import run_adce
from tests.ecs import wait_until
from tests.up_process import ADCE, UpProcess

pytestmark = pytest.mark.xdist_group("up_sandbox")


@pytest.fixture
def system(up_sandbox: UpProcess) -> UpProcess:
    up_sandbox.wait_for(": Completed: Complete: ")
    return up_sandbox


def reconcile(system: UpProcess) -> str:
    """Has a worker do a reconcile, which is forked, and returns what `adce up` says of its end."""
    ends = re.compile(r" reconcile [^:]+: (Completed|Incomplete|Failed): ")
    before = sum(bool(ends.search(line)) for line in system.lines)
    deployment = system.ask_prefect("GET", "/deployments/name/reconcile/schedule")
    now = {"state": {"type": "SCHEDULED"}, "job_variables": forks.job_variables()}
    system.ask_prefect("POST", f"/deployments/{deployment['id']}/create_flow_run", now)
    system.wait_for("the next is due ", before + 1)
    return [line for line in system.lines if ends.search(line)][-1]


def adce(system: UpProcess, *arguments: str) -> str:
    """What a command about this system prints."""
    result = run_adce(*arguments, "--config", str(system.home / "adce.yaml"))
    assert result.exit_code == 0, result.output
    return result.stdout


def plan(system: UpProcess) -> str:
    """The first line of the plan."""
    return adce(system, "plan", "--as-of", "2026-01-15T12:00Z", "--since", "2026-01-05", "--until", "2026-01-14")


def sandbox(system: UpProcess) -> str:
    """The address of the sandbox's controls."""
    commands = [system.command_of(pid).split(b"\0") for pid in system.processes()]
    [words] = (words for words in commands if b"deployments.sandbox" in words)
    return f"http://127.0.0.1:{int(words[words.index(b'--port') + 1])}/_sandbox"


def test_a_source_that_refuses_while_files_vanish(system: UpProcess) -> None:
    """The run's end begins with what waits and until when, as does the plan; `adce sources` says what ends it."""
    for file in sorted((system.home / "lake/espn_box_scores").iterdir())[:3]:
        file.unlink()
    with httpx.Client(base_url=sandbox(system), trust_env=False) as controls:
        controls.post("faults", json={"source": "espn", "kind": "403", "share": 1.0}).raise_for_status()
        ended = reconcile(system)
        waits = r"espn paused until 20\d\d-\d\d-\d\d \d\d:\d\d UTC \(HTTP 403"
        assert re.search(rf" UTC  error    reconcile .*: Incomplete: .* wait: {waits}.*; 3 vanished", ended), ended
        assert sum(" vanished: not in the lake any more; it had " in line for line in system.lines) == 3
        assert re.match(rf"3 of 260 files wait: {waits}.*; 3 vanished\n", plan(system))
        assert re.search(r"\nespn: source paused until .*; `adce resume espn` ends that\n", adce(system, "sources"))
        controls.delete("faults").raise_for_status()
    assert "ended: espn source paused until " in adce(system, "resume", "espn")
    assert re.search(r" info .*: Completed: Complete: .*; 3 vanished, 3 of them fetched again", reconcile(system))


def test_a_rate_bucket_that_somebody_deletes(system: UpProcess) -> None:
    """Its source waits and says what makes the bucket again."""
    next((system.home / "lake/espn_box_scores").iterdir()).unlink()
    system.ask_prefect("DELETE", "/v2/concurrency_limits/adce-espn")
    line = "rate bucket 'adce-espn' is missing; run `adce setup` to create"
    assert f" error    reconcile from 2026-01-05 to 2026-01-14: Incomplete: 1 of 260 files waits: {line}" in reconcile(
        system
    )
    assert plan(system).startswith(f"1 of 260 files waits: {line}")


def test_settings_with_a_mistake(system: UpProcess) -> None:
    """The run fails with the line that every command says."""
    file = system.home / "adce.yaml"
    good = file.read_text()
    file.write_text(good.replace("rates:", "ratse:"))
    line = f"{file}: sources.basketball_reference.ratse: no such setting; did you mean rates?"
    assert f"Failed: {line}" in reconcile(system)
    assert run_adce("plan", "--config", str(file)).stderr == f"adce: {line}\n"
    file.write_text(good)


def test_its_service_answers_for_what_the_runs_have_recorded(system: UpProcess) -> None:
    address = f"http://127.0.0.1:{system.serve_port}"
    system.wait_for(f"serve: the service answers at {address}")
    with httpx.Client(base_url=address, trust_env=False) as service:
        wait_until(lambda: service.get("/status").json().get("last_reconcile"), "a reconcile has ended")
        health = service.get("/health").json()
        held_up = [source for source in service.get("/rate-limits").json()["sources"] if source["holds"]]
        warning = {name for name, [check] in health["checks"].items() if check["status"] != "pass"}
        assert warning <= {"reconcile", "sources", "incidents"}, "what the tests before have left"
        assert ("sources" in warning) == bool(held_up)
        assert health["status"] == ("warn" if warning else "pass"), health
        assert set(health["checks"]) >= {"reconcile", "ledger", "lake", "Prefect API"}
        status = service.get("/status").json()
        assert [run["state"] for run in status["runs"]]
        assert (status["looked_at"], status["cells"]["total"]) == ("2026-01-15T12:00:00Z", 262), "by its clock"
        assert service.get("/coverage.json").json()["as_of"] == "2026-01-15T12:00:00+00:00"


def test_it_has_filled_its_lake_survives_a_death_and_stops_without_a_trace(up_sandbox: UpProcess) -> None:
    system = up_sandbox
    try:
        system.wait_for(": Completed: Complete: ")
        assert f"a Prefect server starts on port {system.port}; " in system.lines[0]
        system.wait_for(
            f"another terminal, such as `prefect`: export PREFECT_API_URL=http://127.0.0.1:{system.port}/api"
        )
        begin = next(n for n, line in enumerate(system.lines) if ": Completed: " in line)
        assert not [line for line in system.lines[:begin] if " UTC  warning " in line]
        assert (system.home / "lake/basketball_reference/totals/2026/player_totals.html").exists()
        completed = {"flow_runs": {"name": {"like_": "2026-01-05 to"}, "state": {"type": {"any_": ["COMPLETED"]}}}}
        assert system.ask_prefect("POST", "/flow_runs/filter", completed)
        look = system.wait_for("to look at this lake: ").partition("lake: ")[2]
        looked = subprocess.run(f"{look} --json", shell=True, capture_output=True, text=True, check=True)
        assert json.loads(looked.stdout)["cells"]["gap"] == 0
        adhoc = system.ask_prefect("GET", "/deployments/name/fill/adhoc")
        assert adhoc["parameters"] == {"as_of": "2026-01-15T12:00:00+00:00"}, "no other clock than the reconcile's"
        bad = {"parameters": {"since": "2024-13-45"}, "state": {"type": "SCHEDULED"}}
        system.ask_prefect("POST", f"/deployments/{adhoc['id']}/create_flow_run", bad)
        refused = system.wait_for(" UTC  error    fill ")
        assert ": Failed: " in refused
        assert "2024-13-45" in refused
        ends = {"filter": {"event": {"name": ["prefect.flow-run.Failed"]}}}
        asked = partial(system.ask_prefect, "POST", "/events/filter", ends)
        wait_until(lambda: asked()["events"], "the event of the refused run", 60)
        second = subprocess.run(
            [ADCE, "up", "--sandbox", "--home", str(system.home), "--port", "1"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (second.returncode, second.stderr) == (
            2,
            f"adce: {system.home} is in use by another `adce up`, process {system.process.pid}; stop it, or name "
            "another folder with --home\n",
        )
        [worker] = (pid for pid in system.processes() if b"app()\0worker\0start" in system.command_of(pid))
        assert b"PREFECT_WORKER_QUERY_SECONDS=2\0" in Path(f"/proc/{worker}/environ").read_bytes()
        os.kill(worker, signal.SIGKILL)
        system.wait_for("worker died with SIGKILL; it is started again in 1 s")
        system.process.send_signal(signal.SIGTERM)
        assert system.process.wait(60) == 0, system.lines
        system.listening.join(10)
        assert not system.processes()
        assert system.lines[-1].endswith("stopped")
        told = "SIGTERM: stopping; runs end first, within at most 45s; a second signal ends everything at once"
        assert any(line.endswith(told) for line in system.lines)
    finally:
        system.process.kill()
        system.process.wait()
