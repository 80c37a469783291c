"""A dataset that a script fills: planned, paced, checked and stored like any other."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

from deployments.sandbox.process import SandboxProcess
from tasks.domain.limits.pauses import Phase
from tasks.show.documents.plan import RunReport
from tests.flows.conftest import Reconcile

# What somebody has had for years: it fetches, and leaves what it got in the folder that it is called in.
SCRIPT = """
import os, sys, time, urllib.request
day = sys.argv[sys.argv.index("--day") + 1]
open(os.environ["PIDS"], "a").write(f"{os.getpid()} ")
answer = urllib.request.urlopen(f"{os.environ['ESPN']}/scoreboard?dates={day}").read()
print("got", len(answer), "bytes of", day)
exec(os.environ.get("THEN", ""))
open(f"board-{day}.json", "wb").write(answer)
"""
ENTRY = {
    "source": "espn",
    "command": {
        "argv": ["{python}", "{script}", "--day", "{yyyymmdd}", "--retries={retries}"],
        "parameters": {"yyyymmdd": {"type": "int"}, "retries": {"type": "int", "value": 2}},
        "environment": ["ESPN", "PIDS", "THEN"],
        "files": ["board-{yyyymmdd}.json"],
        "requests": 3,
        "timeout": "1m",
    },
    "keys": ["boards/{yyyymmdd}.json", "boards_again/{yyyymmdd}.json"],
    "per": "date",
    "first_season": "2025-26",
    "due_after": "4h",
    "min_bytes": 60,
    "check": {"name": "espn.scoreboard"},
}


@pytest.fixture
def home(adce_home: Path, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty lake, and a folder of scripts with one that fills `boards`."""
    scripts = adce_home / "scripts"
    scripts.mkdir()
    (scripts / "scrape_boards.py").write_text(SCRIPT)
    (scripts / "scrape_boards.yaml").write_text(yaml.safe_dump(ENTRY))
    monkeypatch.setenv("ADCE_SCRIPTS__FOLDERS", json.dumps([str(scripts)]))
    monkeypatch.setenv("ESPN", sites.base_urls["espn"])
    monkeypatch.setenv("PIDS", str(adce_home / "pids"))
    monkeypatch.setenv("THEN", "")
    return adce_home


def test_a_script_that_is_found_fills_its_dataset_and_its_requests_are_paid_for(
    run_reconcile: Reconcile, home: Path, sites: SandboxProcess
) -> None:
    report = run_reconcile(datasets=["boards"])
    assert report.complete
    plan = RunReport.of(report).as_json()
    assert [(fill["dataset"], fill["requests"], len(fill["keys"])) for fill in plan["fills"]] == [("boards", 6, 4)]
    assert next(source["requests"] for source in plan["sources"] if source["name"] == "espn") == 6
    assert sum(outcome.requests for outcome in (report.outcomes or {}).values()) == 6, "as many as were declared"
    assert len(sites.requests()) == 2
    stored = sorted(str(f.relative_to(home / "lake")) for f in (home / "lake").glob("boards*/*") if f.is_file())
    assert stored == sorted(report.filled)
    assert len(stored) == 4
    for name in ("20260113.json", "20260114.json"):
        body = (home / "lake/boards" / name).read_bytes()
        assert body == (home / "lake/boards_again" / name).read_bytes()
        assert len(json.loads(body)["events"]) > 0


def test_what_a_script_leaves_is_checked_like_any_answer_and_bad_ones_cost_no_good_one(
    run_reconcile: Reconcile, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = {
        "20260110": ("answer = b'<html>Oops'", "not JSON: <html>Oops"),
        "20260111": (
            f"os.chdir({str(home)!r})",
            "it left no file board-20260111.json in its folder, which has no files; "
            "it must write to the folder in which it starts",
        ),
        "20260112": ("sys.exit('the site has moved')", "exit status 1: the site has moved"),
    }
    monkeypatch.setenv("THEN", f"exec({ {day: fault for day, (fault, _) in faults.items()} }.get(day, ''))")
    report = run_reconcile(datasets=["boards"], since=date(2026, 1, 10), until=date(2026, 1, 13))
    assert sorted(report.filled) == ["boards/20260113.json", "boards_again/20260113.json"]
    said = {outcome.key: str(outcome.error) for outcome in report.failed}
    assert len(said) == 6
    for day, (_, error) in faults.items():
        assert said[f"boards/{day}.json"] == said[f"boards_again/{day}.json"]
        assert said[f"boards/{day}.json"] == f"python scrape_boards.py --day {day} --retries=2: {error}"
    assert len(list((home / "lake/boards").iterdir())) == 1


def test_a_block_page_that_a_script_leaves_pauses_the_source(
    run_reconcile: Reconcile, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEN", "answer = b'<html><title>Access Denied</title></html>'")
    report = run_reconcile(datasets=["boards"], until=date(2026, 1, 13))
    assert report.filled == []
    assert report.pauses["espn"].phase(datetime.now(UTC)) is Phase.OPEN


def test_a_run_that_is_stopped_ends_its_scripts(
    run_reconcile: Reconcile, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEN", f"os.kill({os.getpid()}, {signal.SIGTERM:d}); time.sleep(600)")
    monkeypatch.setenv("ADCE_RECONCILE__GRACE", "0s")
    report = run_reconcile(datasets=["boards"])
    assert report.stopped == "SIGTERM"
    assert report.filled == []
    for pid in (home / "pids").read_text().split():
        assert not Path(f"/proc/{pid}").exists()
