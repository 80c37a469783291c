"""What does a process find out about disks, its configuration, the lake and Prefect?"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from config.load import load_config
from config.models import Config
from deployments import process_facts as module
from deployments.prefect_yaml import deployments_for
from deployments.process_facts import Needs, process_facts
from deployments.serve.refresh import Refresh
from tasks.domain.flow_names import RECONCILE
from tasks.domain.incidents import Fact, Kind
from tasks.domain.limits.buckets import buckets_of
from tasks.domain.limits.rates import allowance_terms_of
from tests.builders import a_config
from tests.servers import Handler, serving


class Prefect:
    """What a server says that has everything as it should be, by path. A test changes an answer."""

    def __init__(self, config: Config) -> None:
        [self.deployment] = (one for one in deployments_for(["adce"]) if one.flow == RECONCILE)
        self.schedule = {"id": "7", "active": True}
        self.pool = {"name": "adce", "is_paused": False, "concurrency_limit": None}
        self.limits: list[dict[str, Any]] = []
        for name, rates in buckets_of(config):
            terms = allowance_terms_of(rates)
            limit = {"name": name, "active": True, "limit": terms.slots, "slot_decay_per_second": terms.decay}
            self.limits.append(limit)
        self.status = 200
        self.asked: list[str] = []

    def answer(self, path: str) -> Any:
        known = {"id": "1", "name": self.deployment.name, "entrypoint": self.deployment.entrypoint, "paused": False}
        answers: Mapping[str, Any] = {
            "/api/health": True,
            "/api/deployments/filter": [{**known, "schedules": [self.schedule]}],
            "/api/work_pools/filter": [self.pool],
            "/api/work_pools/adce/queues/filter": [{"name": "low", "is_paused": True}],
            "/api/v2/concurrency_limits/filter": self.limits,
        }
        return answers[path]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "lake").mkdir()
    return a_config(lake=(tmp_path / "lake").as_uri(), ledger=f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def prefect(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prefect]:
    state = Prefect(config)

    class Answers(Handler):
        def respond(self) -> None:
            state.asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            body = json.dumps(state.answer(self.path)).encode() if state.status == 200 else b""
            self.answer(state.status, body, {"Content-Type": "application/json"})

    with serving(Answers) as url:
        monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
        yield state


def found(config: Config, reached: Needs | None = None) -> dict[tuple[Kind, str], Fact]:
    """All that a process has found out once every question was answered."""
    facts = process_facts(config, lambda: load_config(env={}), reached)
    facts()
    for thread in threading.enumerate():
        if thread.name.startswith("asking "):
            thread.join(20)
    return {(fact.kind, fact.scope): fact for fact in facts()}


def test_if_all_is_well_nothing_holds(config: Config, prefect: Prefect) -> None:
    facts = found(config)
    of_all = {Kind.CONFIGURATION, Kind.DISK, Kind.LAKE, Kind.PREFECT, Kind.SCHEDULE}
    assert facts.keys() == {(kind, "") for kind in of_all} | {(Kind.BUCKET, source) for source in config.sources}
    assert {fact for fact in facts.values() if fact.value} == set()


def test_what_is_wrong_is_told_with_its_reason_and_without_an_address(
    config: Config, prefect: Prefect, tmp_path: Path
) -> None:
    (tmp_path / "lake").rmdir()
    prefect.status = 503
    facts = found(config)
    assert facts[Kind.PREFECT, ""][2:5] == (1, 0, "it answers HTTP 503")
    assert (facts[Kind.LAKE, ""].value, "there is no such folder" in facts[Kind.LAKE, ""].reason) == (1, True)
    assert {kind for kind, _ in facts} == {Kind.CONFIGURATION, Kind.DISK, Kind.LAKE, Kind.PREFECT}, "else unknown"


def test_a_service_asks_the_lake_and_prefect_once_for_its_health_and_for_incidents(
    config: Config, prefect: Prefect, tmp_path: Path
) -> None:
    refresh = Refresh(config)
    before = found(config, lambda: refresh.reached)
    assert not {Kind.LAKE, Kind.PREFECT} & {kind for kind, _ in before}, "nothing was asked so far"
    asyncio.run(refresh.once())
    well = found(config, lambda: refresh.reached)
    assert (well[Kind.LAKE, ""].value, well[Kind.PREFECT, ""].value) == (0, 0)
    (tmp_path / "lake").rmdir()
    prefect.status = 503
    asyncio.run(refresh.once())
    assert prefect.asked.count("/api/health") == 2
    away = found(config, lambda: refresh.reached)
    assert prefect.asked.count("/api/health") == 2
    asked_itself = found(config)
    asked_itself.pop((Kind.DISK, ""))  # how much is free changes from one moment to the next
    assert {key: away[key] for key in asked_itself} == asked_itself
    assert away[Kind.PREFECT, ""].reason == "it answers HTTP 503"


def test_a_paused_schedule_and_pool_and_a_bucket_of_another_rate_are_told(config: Config, prefect: Prefect) -> None:
    prefect.schedule["active"] = False
    prefect.pool["is_paused"] = True
    prefect.limits[0]["limit"] += 1
    prefect.limits.pop()
    facts = found(config)
    name = prefect.deployment.full_name
    [schedule, pool] = facts[Kind.SCHEDULE, ""].reason.split("; work pool ")
    resume = f"prefect deployment schedule resume {name} "
    assert schedule.startswith(f"deployment {name} is paused; to have it run again: {resume}")
    assert pool == "adce is paused; to have it run again: prefect work-pool resume adce"
    off = {scope: fact.reason for (kind, scope), fact in facts.items() if kind is Kind.BUCKET and fact.value}
    first, *_, last = config.sources
    assert off.keys() == {first, last}
    assert "the next run sets it so" in off[first]
    assert "is missing; run `adce setup`" in off[last]


def test_without_a_server_nothing_of_prefect_is_known(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "profiles.toml"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert {kind for kind, _ in found(config)} == {Kind.CONFIGURATION, Kind.DISK, Kind.LAKE}


def test_a_configuration_that_a_new_run_could_not_load_is_told(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "adce.yaml"
    file.write_text("reconcile: {intervall: 5m}")
    facts = process_facts(config, lambda: load_config(file, env={}))
    facts()
    for thread in threading.enumerate():
        if thread.name.startswith("asking "):
            thread.join(20)
    [fact] = (fact for fact in facts() if fact.kind is Kind.CONFIGURATION)
    assert fact.value == 1
    assert "intervall" in fact.reason


def test_the_fullest_disk_is_told_by_the_limit_at_which_the_health_warns(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {"ledger": Path("/l"), "lake": Path("/k"), "x": Path("/x"), "temporary files": Path("/t")}
    disks = {Path("/l"): 1, Path("/k"): 2, Path("/t"): 2}
    free = {1: iter([2_000_000_000]), 2: iter([998_000_000, 999_000_000])}

    def disk_of(folder: Path) -> int:
        if folder not in disks:
            raise FileNotFoundError
        return disks[folder]

    monkeypatch.setattr(module, "folders_of", lambda config: folders)
    monkeypatch.setattr(module, "disk_of", disk_of)
    monkeypatch.setattr(module, "free_bytes", lambda folder: next(free[disk_of(folder)]))
    is_full = "999.0 MB are free on the disk of the lake in /k and the temporary files in /t; at least 1.0 GB should be"
    assert found(config)[Kind.DISK, ""][2:5] == (1, 0, is_full)
