"""What is true of a file later on: corrected at the source, gone from the lake, never there at all."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.store import Store
from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from tasks.answers.report import Report
from tasks.answers.why import Answer, why
from tasks.domain.assess.absences import Absence
from tasks.ledger import Ledger
from tasks.show.documents.plan import RunReport
from tests.flows.conftest import Reconcile

DAY = {"since": date(2026, 1, 13), "until": date(2026, 1, 13), "sources": ["espn"]}
# The games of the 13th end, at the latest, at 04:30 UTC on the 14th. The day's board is over at FIRST, and is asked for
# again every hour for two days.
FIRST = datetime(2026, 1, 14, 9, tzinfo=UTC)
BOARD = "/scoreboard?dates=20260113"
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(adce_home: Path) -> Iterator[Ledger]:
    with closing(Ledger(load_config().ledger)) as ledger:
        yield ledger


def _ask(ledger: Ledger, text: str, now: datetime) -> list[Answer]:
    config = load_config()
    return asyncio.run(why(config, ledger, Store(config.lake), text, now))


def _asked_for(sites: SandboxProcess) -> list[str]:
    """The addresses that were asked for since the requests were cleared, each as often as it was."""
    return [request["url"] for request in sites.requests()]


def _summaries(home: Path) -> list[str]:
    return [f"/summary?event={path.stem}" for path in _box_scores(home)]


def _box_scores(home: Path) -> list[Path]:
    return sorted((home / "lake/espn_box_scores").iterdir())


def test_a_final_game_is_looked_at_again_until_two_downloads_agree_and_the_file_is_left_alone(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path
) -> None:
    run_reconcile(as_of=FIRST, **DAY)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in _box_scores(adce_home)}
    sites.clear_requests()
    again = run_reconcile(as_of=FIRST + 6 * HOUR, **DAY)
    assert {fill.kind.value for fill in again.fills} == {"stale"}
    assert sorted(_asked_for(sites)) == sorted([BOARD, *_summaries(adce_home)])
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    sites.clear_requests()
    for hours in (30, 48, 200):
        assert run_reconcile(as_of=FIRST + hours * HOUR, **DAY).complete
    assert _asked_for(sites) == [BOARD, BOARD], "two said the same: the games are settled; the board is after 48 hours"


def test_a_correction_is_stored_and_the_former_version_kept_and_the_change_recorded(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, ledger: Ledger
) -> None:
    run_reconcile(as_of=FIRST, **DAY)
    board = json.loads(next((adce_home / "lake/espn_schedules").iterdir()).read_text())
    game = board["events"][0]["id"]
    path = adce_home / f"lake/espn_box_scores/{game}.json"
    former = path.read_bytes()
    sites.correct(game)
    try:
        report = run_reconcile(as_of=FIRST + 6 * HOUR, **DAY)
        assert report.complete
        corrected = path.read_bytes()
        assert corrected != former
        [answer] = _ask(ledger, f"espn_box_scores/{game}.json", FIRST + 7 * HOUR)
        [change] = answer.changes
        assert change.kept_as is not None
        assert (adce_home / "lake" / change.kept_as).read_bytes() == former
        assert change.kept_as.startswith(f"_history/espn_box_scores/{game}.json/")
        assert change.was != change.became
        sites.clear_requests()
        run_reconcile(as_of=FIRST + 24 * HOUR, **DAY)
        assert set(_asked_for(sites)) == {BOARD, f"/summary?event={game}"}, "of the games only the corrected one"
        assert path.read_bytes() == corrected
    finally:
        sites.clear_corrections()
    listed = run_reconcile(as_of=FIRST + 25 * HOUR, **DAY)
    assert listed.counts["total"] == report.counts["total"], "the history is no part of the lake"


def test_a_correction_that_the_last_look_finds_is_confirmed_by_another(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path
) -> None:
    run_reconcile(as_of=FIRST, **DAY)
    game = _box_scores(adce_home)[0].stem
    sites.correct(game)
    asked = []
    try:
        for days in (8, 9, 16, 17, 30):
            sites.clear_requests()
            assert run_reconcile(as_of=FIRST + days * 24 * HOUR, **DAY).complete
            asked.append(set(_asked_for(sites)))
    finally:
        sites.clear_corrections()
    assert asked == [{BOARD, *_summaries(adce_home)}, set(), {f"/summary?event={game}"}, set(), set()]


def test_a_refresh_that_fails_leaves_the_good_file(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path
) -> None:
    run_reconcile(as_of=FIRST, **DAY)
    good = {path: path.read_bytes() for path in _box_scores(adce_home)}
    sites.set_faults("espn", "truncated", match="/summary")
    report = run_reconcile(as_of=FIRST + 6 * HOUR, **DAY)
    assert len(report.failed) == 3 * len(good)
    assert {path: path.read_bytes() for path in good} == good


def test_what_vanished_or_shrank_is_told_fetched_and_forgotten(
    run_reconcile: Reconcile, adce_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_reconcile(as_of=FIRST, **DAY)
    gone, less, *_ = _box_scores(adce_home)
    size = less.stat().st_size
    gone.unlink()
    document = json.loads(less.read_text())
    less.write_text(json.dumps(document, separators=(",", ":"))[:-1] + " }")
    document["news"] = None
    less.write_text(json.dumps(document, separators=(",", ":")))
    assert less.stat().st_size < size
    with caplog.at_level(logging.ERROR):
        report = run_reconcile(as_of=FIRST, **DAY)
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR and r.name.startswith("tasks")]
    assert len(said) == 2
    assert {fill.kind.value for fill in report.fills} == {"vanished", "shrunk"}
    assert report.complete
    assert run_reconcile(as_of=FIRST, **DAY).fills == ()


def _absent(run_reconcile: Reconcile, hours: float) -> Report:
    return run_reconcile(as_of=FIRST + timedelta(hours=hours), **DAY)


def test_what_the_source_has_none_of_becomes_unavailable_with_the_evidence_and_costs_nothing_until_that_expires(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__LOOK_AGAIN", "[]")
    run_reconcile(as_of=FIRST, **DAY)
    victim = _box_scores(adce_home)[0].stem
    for folder in ("espn_box_scores", "espn_play_by_play", "espn_team_stats"):
        (adce_home / f"lake/{folder}/{victim}.json").unlink()
    sites.set_faults("espn", "404", match=victim)
    for hours in (0, 1, 2):
        assert [o.key for o in _absent(run_reconcile, hours).failed]
    sites.clear_requests()
    report = _absent(run_reconcile, 3)
    assert report.counts["deferred"] == 3, "back-off"
    assert _asked_for(sites) == [BOARD]
    assert {reason for _, reason, _ in report.deferrals} != set()
    _absent(run_reconcile, 24)
    sites.clear_requests()
    for hours in (25, 48, 49):
        report = _absent(run_reconcile, hours)
        assert report.counts["unavailable"] == 3
        assert report.complete
        assert report.coverage.total.percent == 100.0
    assert _asked_for(sites) == [BOARD, BOARD], "for two days the board, and nothing after that"
    [answer] = _ask(ledger, f"espn_box_scores/{victim}.json", FIRST + 25 * HOUR)
    assert "HTTP 404" in answer.status.reason
    assert answer.status.until == FIRST + 24 * HOUR + timedelta(days=30)
    assert [a.outcome for a in answer.attempts] == ["failed"] * 4 + ["stored"]
    sites.clear_faults()
    assert len(_absent(run_reconcile, 25 + 30 * 24).filled) == 3
    assert ledger.absences.current() == {}


def test_an_operator_can_say_that_there_is_none(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, ledger: Ledger
) -> None:
    run_reconcile(as_of=FIRST, datasets=["espn_scoreboard"], **{k: DAY[k] for k in ("since", "until")})
    key = "espn_schedules/20260113.json"
    (adce_home / "lake" / key).unlink()
    note = Absence(key, "", FIRST, FIRST, until=FIRST + 48 * HOUR, note="lost for ever", dataset="espn_scoreboard")
    ledger.absences.record([note])
    sites.clear_requests()
    report = run_reconcile(as_of=FIRST, datasets=["espn_scoreboard"], **{k: DAY[k] for k in ("since", "until")})
    assert report.counts["unavailable"] == 1
    assert sites.requests() == []
    [answer] = _ask(ledger, key, FIRST)
    assert (answer.status.state.value, answer.status.reason) == ("unavailable", "set by an operator: lost for ever")


def test_all_numbers_come_from_one_computation(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, ledger: Ledger
) -> None:
    span: dict[str, Any] = {"as_of": FIRST + 3 * HOUR, "since": date(2026, 1, 12), "until": date(2026, 1, 14)}
    sites.set_faults("espn", "404", share=0.3, match="/summary")
    report = run_reconcile(sources=["espn"], **span)
    counts = report.counts
    total = report.coverage.total
    assert {state: counts[state] for state in counts if state != "total"} == {
        state: getattr(total, state) for state in counts if state != "total"
    }
    assert total.expected == counts["total"]
    document = RunReport.of(report).as_json()
    assert document["cells"] == counts
    assert len(document["deferred"]) == counts["deferred"]
    for key, status in report.statuses.items():
        [answer] = _ask(ledger, key, span["as_of"])
        assert answer.status.state is status.state, (key, answer.status, status)
