"""What is not known is not complete: through real runs against the sandbox."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from prefect.states import State

from deployments.sandbox.process import SandboxProcess
from flows.fill import fill
from flows.scraper import scraper
from tasks.answers.report import Report
from tasks.show.markdown import run_markdown
from tests.deployments.conftest import adce  # noqa: F401  (a fixture)
from tests.flows.conftest import NOW, Reconcile

Adce = Callable[..., Result]
SPAN = ["--as-of", "2026-01-15T12:00:00Z", "--since", "2026-01-13", "--until", "2026-01-14"]
SCHEDULE = "nba_api_comprehensive/schedules/schedule_2025-26.json"
GAMES = ["nba_playbyplay"]


def test_a_selection_of_games_fetches_the_schedule_that_it_needs_and_then_the_games(
    run_reconcile: Reconcile,
    adce: Adce,  # noqa: F811
    sites: SandboxProcess,
    adce_home: Path,
) -> None:
    plan = run_reconcile(datasets=GAMES, dry_run=True)
    [first] = plan.fills
    assert first.keys == [SCHEDULE]
    assert first.reason == f"missing: {SCHEDULE}: not in the lake; needed by nba_playbyplay"
    assert not plan.complete
    shown = adce("plan", "--dataset", "nba_playbyplay", *SPAN).stdout
    for told in ("nba_schedule is needed by nba_playbyplay", "Unknown, since a schedule is missing, not read yet"):
        assert told in shown
    assert "unknown: nba_playbyplay of 2025-26" in shown
    assert shown.count("nba_playbyplay of 2025-26") == 1
    report = run_reconcile(datasets=GAMES)
    assert report.complete
    assert report.unknown == ()
    assert report.filled[0] == SCHEDULE
    played = sorted(key for key in report.filled if key.startswith("nba_api_playbyplay/"))
    assert played == sorted(
        f"nba_api_playbyplay/{path.name}" for path in (adce_home / "lake/nba_api_playbyplay").iterdir()
    )
    assert len(played) > 5
    sites.clear_requests()
    again = adce("reconcile", "--dataset", "nba_playbyplay", *SPAN)
    assert again.exit_code == 0
    assert again.stdout.startswith("Complete: ")
    assert sites.requests() == []


def test_a_schedule_that_does_not_come_leaves_its_games_unknown_and_the_run_undone(
    prefect_api: None,
    adce: Adce,  # noqa: F811
    sites: SandboxProcess,
) -> None:
    sites.set_faults("nba_api", "wrong_id", match="schedule")
    result = adce("reconcile", "--json", "--dataset", "nba_playbyplay", *SPAN)
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    [row] = document["unknown"]
    assert (row["dataset"], row["season"], row["needs"]) == ("nba_playbyplay", "2025-26", [SCHEDULE])
    coverage = json.loads(adce("coverage", "--json", "--dataset", "nba_playbyplay", *SPAN).stdout)
    assert coverage["unknown"] == document["unknown"]
    assert [(r["dataset"], r["percent"], r["unknown"]) for r in coverage["rows"]] == [
        ("nba_schedule", 0.0, 0),
        ("nba_playbyplay", None, 1),
    ]


def test_a_plan_says_by_its_exit_status_that_something_is_left_only_when_asked(
    run_reconcile: Reconcile,
    adce: Adce,  # noqa: F811
) -> None:
    plan = ["plan", "--dataset", "espn_summary", *SPAN]
    assert (adce(*plan).exit_code, adce(*plan, "--exit-code").exit_code) == (0, 1)
    run_reconcile(datasets=["espn_summary"])
    assert adce(*plan, "--exit-code").exit_code == 0


@pytest.mark.parametrize("how", ["gone", "bad", "unread"])
def test_games_that_are_there_are_not_100_percent_while_a_schedule_is_not_known(
    run_reconcile: Reconcile, adce_home: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    run_reconcile(sources=["espn"])
    board = adce_home / "lake/espn_schedules/20260113.json"
    if how == "gone":
        board.unlink()
    elif how == "bad":
        board.write_text("<html><title>Access Denied</title></html>".ljust(5000))
    else:
        board.write_bytes(board.read_bytes() + b" ")
        monkeypatch.setenv("ADCE_RECONCILE__EXAMINE_AT_MOST", "0")
    looked = run_reconcile(datasets=["espn_summary"], dry_run=True)
    assert [(part.dataset, part.schedule.key) for part in looked.unknown] == [
        ("espn_summary", "espn_schedules/20260113.json")
    ]
    assert not looked.complete
    percent = looked.coverage.total.percent
    assert percent is not None
    assert percent < 100


def _ended(keys: list[str], **parameters: Any) -> State[Any]:
    async def flow() -> Any:
        return await fill(keys=keys, return_state=True, **parameters)

    state: State[Any] = asyncio.run(flow())
    return state


def test_a_file_by_key_that_no_schedule_is_there_for_is_said_to_be_unknown(
    run_reconcile: Reconcile, sites: SandboxProcess
) -> None:
    run_reconcile(dry_run=True)
    key = "espn_box_scores/401810001.json"
    state = _ended([key], source="espn", season="2025-26")
    assert (state.is_failed(), state.name) == (True, "Incomplete")
    report = state.result(raise_on_failure=False)
    assert isinstance(report, Report)
    assert f"unknown: whether {key} is to be in the lake" in (state.message or "")
    assert f"whether {key} is to be in the lake" in run_markdown(report)
    assert not report.complete
    assert sites.requests() == [], "it is not worth a season of schedules"


def test_a_file_by_key_that_nothing_expects_is_refused(run_reconcile: Reconcile, sites: SandboxProcess) -> None:
    run_reconcile(datasets=["espn_scoreboard"])
    sites.clear_requests()
    state = _ended(["espn_schedules/19991231.json"])
    assert state.is_failed()
    assert (state.message or "").startswith("espn_schedules/19991231.json is not expected; `adce why")
    assert sites.requests() == []


@pytest.mark.usefixtures("prefect_api", "adce_home")
def test_a_fill_looks_at_the_lake_by_the_clock_that_it_is_given() -> None:
    state = _ended(["espn_schedules/20260113.json"], as_of=NOW - timedelta(days=2), dry_run=True)
    report = state.result()
    assert isinstance(report, Report)
    assert (report.counts["not_due"], report.counts["total"]) == (1, 1)


def test_a_part_of_another_run_fetches_no_schedule_of_its_own(run_reconcile: Reconcile, sites: SandboxProcess) -> None:
    run_reconcile(dry_run=True)
    part = asyncio.run(scraper("espn", ["espn_box_scores/401810001.json"], as_of=NOW))
    assert (part.filled, part.unknown, sites.requests()) == ([], (), [])
