"""Every rule that leaves a file for later, met in a real run and read back from what `adce why` says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from tasks.domain.outcomes import RunEnd
from tasks.domain.reasons import Limit
from tasks.ledger import Ledger
from tasks.ledger.leases import RECONCILE, Leases
from tasks.run.run import Run
from tests.flows.conftest import NOW, run_reconcile  # noqa: F401  (a fixture)

DAY = date(2026, 1, 13)
KEY = "espn_schedules/20260113.json"
Adce = Callable[..., Result]
Reconcile = Callable[..., Any]


def _why(adce: Adce, key: str = KEY, as_of: str = "2026-01-15T12:00:00Z") -> dict[str, Any]:
    result = adce("why", key, "--json", "--as-of", as_of)
    assert result.exit_code == 0, result.stderr
    [answer] = json.loads(result.stdout)["answers"]
    assert isinstance(answer, dict)
    return answer


def _read(answer: dict[str, Any]) -> tuple[str, str, str]:
    return answer["state"], answer["limit"], answer["decides"]


@pytest.mark.parametrize(
    ("settings", "limit", "decides"),
    [
        pytest.param({"ENABLED": "false"}, Limit.ENABLED, "enabled", id="everything off"),
        pytest.param({"SOURCES__ESPN__ENABLED": "false"}, Limit.ENABLED, "sources.espn.enabled", id="source off"),
        pytest.param(
            {"DATASETS__ESPN_SCOREBOARD__ENABLED": "false"},
            Limit.ENABLED,
            "datasets.espn_scoreboard.enabled",
            id="dataset off",
        ),
        pytest.param(
            {"DATASETS__ESPN_SCOREBOARD__ROLLOUT": "0"},
            Limit.ROLLOUT,
            "datasets.espn_scoreboard.rollout",
            id="rollout",
        ),
        pytest.param(
            {"MAINTENANCE": '[{of: espn, note: "source paused by us", from: "11:00", to: "13:00"}]'},
            Limit.MAINTENANCE,
            "maintenance",
            id="maintenance",
        ),
        pytest.param({"RECONCILE__MAX_FILLS": "0"}, Limit.MAX_FILLS, "reconcile.max_fills", id="cap of a run"),
        pytest.param(
            {"RECONCILE__TIME_BUDGET": "0.001s"}, Limit.TIME_BUDGET, "reconcile.time_budget", id="time budget"
        ),
    ],
)
def test_a_setting(
    adce: Adce,
    run_reconcile: Reconcile,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    limit: Limit,
    decides: str,
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"ADCE_{name}", value)
    report = run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert [status.limit for status in report.statuses.values()] == [limit]
    assert _read(_why(adce)) == ("deferred", limit.value, decides)


@pytest.mark.parametrize(
    ("fault", "limit", "decides"),
    [
        pytest.param("403", Limit.BACKOFF, "sources.espn.backoff", id="pause"),
        pytest.param("400", Limit.BREAKER, "reconcile.breaker", id="breaker"),
    ],
)
def test_a_source_that_is_left_alone(
    adce: Adce,
    run_reconcile: Reconcile,  # noqa: F811
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    limit: Limit,
    decides: str,
) -> None:
    monkeypatch.setenv("ADCE_SOURCES__ESPN__BACKOFF", "{first: 1h, shut_out: 1h}")
    monkeypatch.setenv("ADCE_RECONCILE__BREAKER", "{failures: 1, open_for: 1h, longest: 1h}")
    sites.set_faults("espn", fault)
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    sites.clear_faults()
    second = run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert [status.limit for status in second.statuses.values()] == [limit]
    assert _read(_why(adce)) == ("deferred", limit.value, decides)


@pytest.mark.parametrize(
    ("match", "folder", "limit"),
    [
        pytest.param("summary", "espn_box_scores", Limit.LOOKS, id="game"),
        pytest.param("scoreboard", "espn_schedules", Limit.NOT_PUBLISHED, id="page that will come"),
    ],
)
def test_what_the_source_had_none_of(
    adce: Adce,
    run_reconcile: Reconcile,  # noqa: F811
    sites: SandboxProcess,
    match: str,
    folder: str,
    limit: Limit,
) -> None:
    sites.set_faults("espn", "404", match=match)
    for hours in (0, 1, 2):
        report = run_reconcile(sources=["espn"], since=DAY, until=DAY, as_of=NOW + timedelta(hours=hours))
    answer = _why(adce, next(key for key in report.statuses if key.startswith(folder)), "2026-01-15T14:01:00Z")
    assert (answer["state"], answer["limit"]) == ("deferred", limit.value)
    assert "HTTP 404" in answer["reason"]


def test_a_fill_that_takes_too_long(
    adce: Adce,
    run_reconcile: Reconcile,  # noqa: F811
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__FILL_TIME_LIMIT", "1s")
    sites.set_faults("espn", "hang")
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert _read(_why(adce)) == ("deferred", Limit.FILL_TIME_LIMIT.value, "reconcile.fill_time_limit")


def test_a_run_that_was_stopped(
    adce: Adce,
    run_reconcile: Reconcile,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begins = Run.begin_to_store

    async def is_told_to_stop(run: Run) -> None:
        await begins(run)
        run.shutdown.request("its lease lapsed, and another run may have taken over")

    monkeypatch.setattr(Run, "begin_to_store", is_told_to_stop)
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert _read(_why(adce)) == ("deferred", Limit.STOPPED.value, "whoever stopped the run")


def test_another_reconcile_that_is_at_work(
    adce: Adce,
    run_reconcile: Reconcile,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__LEASE", "3s")
    with _another_run() as other:
        assert other.take(RECONCILE) is None
        run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert _read(_why(adce)) == ("deferred", Limit.OTHER_RECONCILE.value, "the lease of the other reconcile")


@contextmanager
def _another_run() -> Iterator[Leases]:
    config = load_config()
    ledger = Ledger(config.ledger)
    leases = Leases(ledger.database, "another", config.reconcile.lease)
    leases.begin("reconcile", "another", None, lambda why: None, None)
    try:
        yield leases
    finally:
        leases.end(RunEnd.ENDED)
        ledger.close()


def test_a_lake_that_is_full(
    adce: Adce,
    run_reconcile: Reconcile,  # noqa: F811
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADCE_LAKE", (small_disk / "lake").as_uri())
    monkeypatch.setenv("ADCE_RECONCILE__FILL_TIME_LIMIT", "1s")
    monkeypatch.setenv("ADCE_RECONCILE__TIME_BUDGET", "2s")
    monkeypatch.setenv("ADCE_RECONCILE__GRACE", "1s")
    monkeypatch.setattr(Run, "begin_to_store", _fill_the_disk(small_disk, Run.begin_to_store))
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    (small_disk / "filler").unlink()
    assert _read(_why(adce)) == ("deferred", Limit.LAKE.value, "the lake, which cannot be written")


def _fill_the_disk(disk: Path, begins: Callable[[Run], Any]) -> Callable[[Run], Any]:
    async def begin(run: Run) -> None:
        await begins(run)
        with (disk / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass

    return begin
