"""What is said on a bad night, and by whom? On one running system, one night after another."""

from __future__ import annotations

import re

import httpx
import pytest
from typer.testing import CliRunner

from deployments.cli import app
from tests.living import Living

pytestmark = pytest.mark.xdist_group("living")  # they share it with the test that stops it, in test_up.py


@pytest.fixture
def system(living: Living) -> Living:
    living.wait_for(": Completed: Complete: ")
    return living


def reconcile(system: Living) -> str:
    """Has a worker do a reconcile, and returns what `adce up` says of its end."""
    ends = re.compile(r" reconcile [^:]+: (Completed|Incomplete|Failed): ")
    before = sum(bool(ends.search(line)) for line in system.lines)
    api = httpx.Client(base_url=f"http://127.0.0.1:{system.port}/api", trust_env=False)
    with api:
        deployment = api.get("/deployments/name/reconcile/schedule").raise_for_status().json()
        run = api.post(f"/deployments/{deployment['id']}/create_flow_run", json={"state": {"type": "SCHEDULED"}})
        name = run.raise_for_status().json()["name"]
    assert name
    system.wait_for("the next is due ", before + 1)
    return [line for line in system.lines if ends.search(line)][-1]


def adce(system: Living, *arguments: str) -> str:
    """What a command about this system prints."""
    result = CliRunner().invoke(app, [*arguments, "--config", str(system.home / "adce.yaml")])
    assert result.exit_code == 0, result.output
    return result.stdout


def plan(system: Living) -> str:
    """The first line of the plan."""
    return adce(system, "plan", "--as-of", "2026-01-15T12:00Z", "--since", "2026-01-05", "--until", "2026-01-14")


def sandbox(system: Living) -> str:
    """The address of the sandbox's controls."""
    commands = [system.command_of(pid).split(b"\0") for pid in system.processes()]
    [words] = (words for words in commands if b"deployments.sandbox" in words)
    return f"http://127.0.0.1:{int(words[words.index(b'--port') + 1])}/_sandbox"


def test_a_source_that_refuses_while_files_vanish(system: Living) -> None:
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


def test_a_rate_bucket_that_somebody_deletes(system: Living) -> None:
    """Its source waits and says what makes the bucket again."""
    next((system.home / "lake/espn_box_scores").iterdir()).unlink()
    httpx.delete(
        f"http://127.0.0.1:{system.port}/api/v2/concurrency_limits/adce-espn", trust_env=False
    ).raise_for_status()
    line = "rate bucket 'adce-espn' is missing; run `adce setup` to create"
    assert f" error    reconcile from 2026-01-05 to 2026-01-14: Incomplete: 1 of 260 files waits: {line}" in reconcile(
        system
    )
    assert plan(system).startswith(f"1 of 260 files waits: {line}")


def test_settings_with_a_mistake(system: Living) -> None:
    """The run fails with the line that every command says."""
    file = system.home / "adce.yaml"
    good = file.read_text()
    file.write_text(good.replace("rates:", "ratse:"))
    line = f"{file}: sources.basketball_reference.ratse: no such setting; did you mean rates?"
    assert f"Failed: {line}" in reconcile(system)
    assert CliRunner().invoke(app, ["plan", "--config", str(file)]).stderr == f"adce: {line}\n"
    file.write_text(good)
