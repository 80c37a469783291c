"""What vanished, shrank or was refused is told by every run that meets it, until it is mended."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from deployments.sandbox.process import SandboxProcess
from tasks.answers.ending import ending
from tasks.show.markdown import run_markdown
from tests.deployments.conftest import adce  # noqa: F401  (a fixture)
from tests.flows.conftest import Reconcile

ESPN: dict[str, Any] = {"sources": ["espn"]}


def _errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR and r.name.split(".")[0] != "prefect"]
    caplog.clear()
    return said


def test_looking_takes_the_news_of_what_vanished_from_nobody(
    run_reconcile: Reconcile,
    adce: Callable[..., Result],  # noqa: F811
    sites: SandboxProcess,
    adce_home: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_reconcile(**ESPN)
    gone, less, *_ = sorted((adce_home / "lake/espn_box_scores").iterdir())
    gone.unlink()
    less.write_bytes(less.read_bytes()[:-200])
    caplog.clear()
    for _ in range(2):
        shown = adce("plan", "--source", "espn", "--since", "2026-01-13", "--until", "2026-01-14")
        assert shown.exit_code == 0
        assert adce("why", f"espn_box_scores/{gone.name}").exit_code == 0
        run_reconcile(**ESPN, dry_run=True)
    _errors(caplog)
    sites.set_faults("espn", "404", match="/summary")
    for _ in range(2):
        report = run_reconcile(**ESPN)
        said = _errors(caplog)
        assert [line for line in said if line.startswith(f"espn_box_scores/{gone.name} vanished: ")]
        assert [line for line in said if line.startswith(f"espn_box_scores/{less.name} ")]
        assert len(said) == 2
        end = ending(report)
        assert (end.name, end.type) == ("Incomplete", "FAILED")
        assert end.message.endswith("; 1 vanished, 1 shrank")
        assert "### Vanished or shrunk: 2" in run_markdown(report)
    sites.clear_faults()
    report = run_reconcile(**ESPN)
    assert report.complete
    assert len(_errors(caplog)) == 2
    assert ending(report).name == "Completed"
    assert "; 1 vanished, 1 shrank, 2 of them fetched again · 2 fetched" in ending(report).message
    assert "### Vanished or shrunk: 2" in run_markdown(report)
    after = run_reconcile(**ESPN)
    assert (after.lost, _errors(caplog)) == ([], []), "it is mended"


def test_a_refusal_is_told_by_the_runs_after_it_too(
    run_reconcile: Reconcile, sites: SandboxProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_SOURCES__ESPN__BACKOFF", "{first: 1h}")
    sites.set_faults("espn", "403")
    for asks in (True, False):
        sites.clear_requests()
        report = run_reconcile(**ESPN)
        assert bool(sites.requests()) is asks
        assert [line for line in _errors(caplog) if line.startswith("espn refuses: ")]
        end = ending(report)
        assert (end.name, end.type) == ("Incomplete", "FAILED")
        waits = "1 waits" if asks else "2 of 2 files wait"
        assert f"{waits}: espn paused until " in end.message
        assert end.message.count("HTTP 403") == 1 + asks
        assert "http://" not in end.message
        assert "### Refused: 1" in run_markdown(report)
    assert run_reconcile(datasets=["br_totals"]).refusals == [], "of another source"
