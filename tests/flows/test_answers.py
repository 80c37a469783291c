"""What does an answer mean: that the site is in trouble, that it refuses us, or that it has no such file?"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from tasks.domain.metrics import FAILURES
from tasks.ledger import Ledger
from tasks.show.documents.plan import RunReport
from tests.flows.conftest import Reconcile
from tests.servers import http_server

DAY = {"since": date(2026, 1, 13), "until": date(2026, 1, 13), "sources": ["espn"]}
FIRST = datetime(2026, 1, 14, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(adce_home: Path) -> Iterator[Ledger]:
    with closing(Ledger(load_config().ledger)) as ledger:
        yield ledger


def _asked(sites: SandboxProcess, what: str) -> list[str]:
    return [request["url"] for request in sites.requests() if what in request["url"]]


@pytest.mark.parametrize("wall", ["maintenance", "foreign_404", "aws_challenge"])
def test_a_site_in_trouble_is_asked_once_a_pause_and_no_file_counts_as_absent_however_long_that_lasts(
    run_reconcile: Reconcile, sites: SandboxProcess, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, wall: str
) -> None:
    monkeypatch.setenv("ADCE_SOURCES__ESPN__BACKOFF", "{first: 0.5s, shut_out: 1h, ramp: 1s}")
    sites.set_faults("espn", wall, match="/summary")
    for hours in (0, 13, 26, 39):
        report = run_reconcile(as_of=FIRST + hours * HOUR, **DAY)
        assert not report.complete
        assert len(_asked(sites, "/summary")) == 1
        assert RunReport.of(report).as_json()["sources"][0]["paused_until"] is not None
        assert ledger.absences.current() == {}
        sites.clear_requests()
        over = datetime.now(UTC) - timedelta(seconds=1)
        ledger.pauses.change("espn", lambda pause, over=over: replace(pause, until=over))  # type: ignore[misc]
    sites.clear_faults()
    assert run_reconcile(as_of=FIRST + 52 * HOUR, **DAY).complete


def test_files_that_a_site_does_not_have_keep_no_other_from_coming_and_are_looked_for_last(
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    adce_home: Path,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__BREAKER", "{failures: 3, window: 10m, open_for: 1h, longest: 6h}")
    monkeypatch.setenv("ADCE_DATASETS__ESPN_SUMMARY__BATCH", "4")
    days = DAY | {"since": date(2026, 1, 9)}
    sites.set_faults("espn", "404", first=6, match="/summary")
    report = run_reconcile(as_of=FIRST, **days)
    games = len(set(_asked(sites, "/summary")))
    assert games > 8
    assert len(report.failed) == 3 * 6
    assert len([key for key in report.filled if "box_scores" in key]) == games - 6
    assert ledger.absences.current().keys() == {outcome.key for outcome in report.failed}
    failures = {
        series.labels: value for series, value in ledger.totals.current().items() if series.name == FAILURES.name
    }
    assert failures == {'{"dataset":"espn_summary","failure":"absent","source":"espn"}': 3 * 6}
    assert "espn_summary" not in RunReport.of(report).as_json()["sources"][0]["breakers"]
    for path in (adce_home / "lake/espn_box_scores").iterdir():
        path.unlink()
    sites.clear_requests()
    again = run_reconcile(as_of=FIRST + HOUR / 2, **days)
    assert again.complete
    assert [fill.doubtful for fill in again.fills] == sorted(fill.doubtful for fill in again.fills)
    assert sum(len(fill.requests()) for fill in again.fills if fill.doubtful) == 6


@pytest.mark.parametrize("status", [403, 503])
def test_a_variant_with_its_own_address_that_refuses_is_paused_alone_and_its_files_go_the_usual_way(
    run_reconcile: Reconcile, sites: SandboxProcess, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("ADCE_SOURCES__ESPN__BACKOFF", "{first: 1h, shut_out: 1h, ramp: 1s}")
    days = DAY | {"since": date(2025, 12, 20), "datasets": ["espn_scoreboard"]}
    with http_server(status, b"") as new_host:
        rollout = f"{{percent: 50, datasets: [espn_scoreboard], changes: {{base_url: '{new_host}'}}}}"
        monkeypatch.setenv("ADCE_ROLLOUT", f"{{new_host: {rollout}}}")
        report = run_reconcile(as_of=FIRST, **days)
        assert report.complete
        assert len(report.filled) == len(sites.requests()) == 25
        pauses = ledger.pauses.current()
        assert pauses["espn@new_host"].until is not None
        assert "espn" not in pauses or pauses["espn"].until is None
        told = RunReport.of(report).as_json()["sources"][0]
        assert told["paused_until"] is None
        assert told["breakers"]["espn@new_host"]["phase"] == "open"
    later = run_reconcile(as_of=FIRST, **(days | {"since": date(2025, 12, 1)}))  # nobody is at the new address any more
    assert later.complete
    assert len(later.filled) == 19
    assert {fill.variant for fill in later.fills} == {""}


@pytest.mark.parametrize("fault", ["dense", "bomb", "large", "nan"])
def test_a_body_that_is_too_large_or_no_json_costs_its_own_file_alone(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, fault: str
) -> None:
    board = run_reconcile(as_of=FIRST, datasets=["espn_scoreboard"], **DAY)
    assert board.complete
    sites.clear_requests()
    game = json.loads(next((adce_home / "lake/espn_schedules").iterdir()).read_text())["events"][0]["id"]
    sites.set_faults("espn", fault, match=f"event={game}")
    report = run_reconcile(as_of=FIRST, **DAY)
    assert {outcome.key.split("/")[1] for outcome in report.failed} == {f"{game}.json"}
    assert len(report.failed) == 3
    assert report.counts["present"] == report.counts["total"] - 3
    assert len(_asked(sites, game)) == (3 if fault == "nan" else 1)
