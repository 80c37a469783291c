"""What does a run do when a fill takes too long, a scraper keeps failing, or a site refuses for a while?"""

import json
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from deployments.sandbox.process import SandboxProcess
from tasks.show.documents.plan import RunReport
from tests.flows.conftest import Reconcile

DAYS = {"since": date(2025, 12, 20), "until": date(2026, 1, 14)}


def test_a_fill_is_stopped_after_its_time_limit_and_keeps_what_is_done(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__FILL_TIME_LIMIT", "9s")
    sites.set_faults("espn", "hang", match="20260113")
    report = run_reconcile(datasets=["espn_scoreboard"])
    assert report.filled == ["espn_schedules/20260114.json"]
    assert [(key, reason) for key, reason, _ in report.deferrals] == [
        ("espn_schedules/20260113.json", "its fill was stopped after its time limit of 9s")
    ]
    assert report.counts["deferred"] == 1


def test_a_scraper_that_keeps_failing_is_left_alone_and_the_others_are_not(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__BREAKER", "{failures: 3, window: 10m, open_for: 1h, longest: 6h}")
    sites.set_faults("espn", "400", match="/summary")
    report = run_reconcile(sources=["espn"], **DAYS)
    asked = [request["url"] for request in sites.requests() if "/summary" in request["url"]]
    assert 3 <= len(asked) <= 6, "not more than were in flight"
    assert len(report.failed) == 3 * len(asked), "a summary is stored under three keys"
    assert len(report.deferrals) > 20
    for _, reason, until in report.deferrals:
        assert reason.startswith("breaker open until ")
        assert "3 failures within 10m; the last: " in reason
        assert until is not None
    assert {key.split("/")[0] for key in report.filled} == {"espn_schedules"}
    espn = RunReport.of(report).as_json()["sources"][0]
    assert (espn["name"], espn["breaker"], espn["paused_until"]) == ("espn", "open", None)
    assert espn["breakers"]["espn_summary"]["phase"] == "open"


def test_while_one_site_is_paused_the_others_go_on(run_reconcile: Reconcile, sites: SandboxProcess) -> None:
    sites.set_faults("nba_api", "403")
    report = run_reconcile(sources=["espn", "nba_api"], **DAYS)
    assert all(key.startswith("espn") for key in report.filled)
    assert len(report.filled) > 100
    assert len([request for request in sites.requests() if request["source"] == "nba_api"]) <= 2
    nba = RunReport.of(report).as_json()["sources"][1]
    assert nba["paused_until"] is not None
    assert "HTTP 403" in nba["reason"]


def test_what_was_refused_for_a_while_is_fetched_in_the_same_run(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_SOURCES__ESPN__BACKOFF", "{first: 7s, ramp: 1s}")  # longer than a fill waits for
    sites.set_faults("espn", "503", first=1)
    report = run_reconcile(datasets=["espn_scoreboard"], **DAYS, max_fills=2)  # what is done again is no other fill
    assert report.complete
    assert len(report.filled) == 26
    refused, *answered = sites.requests()
    waited = [request["monotonic"] - refused["monotonic"] for request in answered]
    assert not [seconds for seconds in waited if 1.5 < seconds < 6.9], "nothing is asked of it meanwhile"


def test_one_file_that_always_hangs_fails_and_does_not_hold_up_the_others(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_SOURCES__ESPN__TIMEOUTS", "{read: 0.5}")
    monkeypatch.setenv("ADCE_SOURCES__ESPN__BACKOFF", "{first: 6s, longest: 7s, ramp: 1s}")
    sites.set_faults("espn", "hang", match="20260108")  # the first of its fill
    report = run_reconcile(datasets=["espn_scoreboard"], since=date(2026, 1, 8))
    assert [(o.key, "no answer in time" in (o.error or "")) for o in report.failed] == [
        ("espn_schedules/20260108.json", True)
    ]
    assert len(report.filled) == 6
    assert report.deferrals == []


def test_maintenance_that_begins_in_mid_run_stops_its_source_and_no_other(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_SOURCES__ESPN__RATES", "[{requests: 4, seconds: 1}]")
    begins = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=10)
    begins_here = time.monotonic() + (begins - datetime.now(UTC)).total_seconds()
    span = {"from": begins.isoformat(), "to": (begins + timedelta(hours=1)).isoformat()}
    monkeypatch.setenv("ADCE_MAINTENANCE", json.dumps([{"of": "espn", "note": "their database", **span}]))
    report = run_reconcile(
        datasets=["espn_scoreboard", "nba_schedule"], **DAYS | {"since": date(2025, 10, 1)}, as_of=None
    )
    filled = [key for key in report.filled if key.startswith("espn")]
    assert filled
    assert "nba_api_comprehensive/schedules/schedule_2025-26.json" in report.filled
    reason = f"maintenance until {begins + timedelta(hours=1):%Y-%m-%d %H:%M} UTC: their database"
    assert {(r, u) for _, r, u in report.deferrals} == {(reason, begins + timedelta(hours=1))}
    assert len(filled) + len(report.deferrals) == 106, "every day from October to then"
    assert report.failed == []
    asked = [request["monotonic"] for request in sites.requests() if request["source"] == "espn"]
    assert max(asked) < begins_here + 1


def test_a_slow_source_is_asked_for_no_more_than_is_done_before_the_next_run_begins(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 2 a second the fills of 6 and of 20 would take 13 seconds of the 8 that there are."""
    monkeypatch.setenv("ADCE_SOURCES__ESPN__RATES", "[{requests: 2, seconds: 1}]")
    monkeypatch.setenv("ADCE_RECONCILE__INTERVAL", "8s")
    monkeypatch.setenv("ADCE_RECONCILE__TIME_BUDGET", "7s")
    report = run_reconcile(datasets=["espn_scoreboard"], **DAYS, as_of=None)
    asked = [request["monotonic"] for request in sites.requests()]
    assert max(asked) - min(asked) < 8
    assert len(report.filled) + len(report.deferrals) == 26
    assert all(reason.startswith("time budget") for _, reason, _ in report.deferrals)
    assert report.failed == []
    filled = {key for fill in report.fills for key in fill.keys}
    assert filled == set(report.filled), "what was begun is done"
