"""What is said on a bad night, and by whom? On one running system, one night after another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from deployments.cli import app
from tests.deployments.test_up import Living

LOST = ("espn_box_scores", 3)  # a folder of ESPN's files, and how many of them are deleted


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """A system whose lake is complete, and whose reconciles begin when a test wants it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ADCE_RECONCILE__INTERVAL", "1h")
        living = Living(tmp_path_factory.mktemp("night") / "home")
    try:
        living.wait_for(": Completed: Complete: ")
        yield living
    finally:
        living.process.terminate()
        living.process.wait(60)


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
    [command] = (text for pid in system.processes() if b"deployments.sandbox" in (text := system.command_of(pid)))
    return f"http://127.0.0.1:{command.split(b'--port', 1)[1].split(b'\0')[1].decode()}/_sandbox"
