"""Games that are final at their source and never told to the end."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.store import Store
from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from tasks.answers.report import Report
from tasks.answers.why import why
from tasks.domain.assess.coverage import find_holes
from tasks.domain.assess.states import State
from tasks.ledger import Ledger
from tasks.show.documents.plan import RunReport
from tasks.show.markdown import run_markdown
from tests.flows.conftest import Reconcile

DAY: dict[str, Any] = {"since": date(2026, 1, 13), "until": date(2026, 1, 13)}
# The games of the 13th end, at the latest, at 04:30 UTC on the 14th; the slowest source has all a day later.
FIRST = datetime(2026, 1, 15, 12, tzinfo=UTC)
BOARD = "espn_schedules/20260113.json"  # asked for again every hour until 09:00 UTC on the 16th
FOLDERS = ("espn_box_scores", "espn_play_by_play", "espn_team_stats")
Look = Callable[[float], Report]


@pytest.fixture(autouse=True)
def _no_corrections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__LOOK_AGAIN", "[]")


@pytest.fixture
def look(run_reconcile: Reconcile) -> Look:
    """A run so many hours after the first one."""
    return lambda hours: run_reconcile(as_of=FIRST + timedelta(hours=hours), sources=["espn"], **DAY)


@pytest.fixture
def game(look: Look, adce_home: Path) -> str:
    """A game whose three files are gone from a whole lake."""
    look(0)
    game = min((adce_home / "lake/espn_box_scores").iterdir()).stem
    for file in _files(adce_home, game):
        file.unlink()
    return game


@pytest.fixture
def ledger(adce_home: Path) -> Iterator[Ledger]:
    with closing(Ledger(load_config().ledger)) as ledger:
        yield ledger


def _files(home: Path, game: str) -> list[Path]:
    return [home / f"lake/{folder}/{game}.json" for folder in FOLDERS]


def _plays(file: Path) -> int:
    return len(json.loads(file.read_bytes())["plays"])


def test_a_final_without_plays_becomes_unavailable_with_what_there_is_kept_as_partial(
    look: Look, game: str, sites: SandboxProcess, adce_home: Path, ledger: Ledger
) -> None:
    sites.set_faults("espn", "no_plays", match=game)
    for hours in (0, 12):
        report = look(hours)
        assert len(report.failed) == 3
        assert not any(file.exists() for file in _files(adce_home, game)), "nothing under its key while there is hope"
    look(24)
    assert [_plays(file) for file in _files(adce_home, game)] == [0, 0, 0]
    sites.clear_requests()
    for hours in (25, 25 + 29 * 24):
        report = look(hours)
        assert (report.counts["unavailable"], report.counts["gap"], report.fills) == (3, 0, ())
        assert report.complete
    assert sites.requests() == []

    key = f"espn_box_scores/{game}.json"
    assert sorted(row["key"] for row in RunReport.of(report).as_json()["partial"]) == [
        f"{folder}/{game}.json" for folder in FOLDERS
    ]
    assert "kept as partial: 3" in run_markdown(report)
    holes = [hole for hole in find_holes(report.overview) if hole.key == key]
    assert "a partial version is kept" in holes[0].status.reason
    config = load_config()
    [answer] = asyncio.run(why(config, ledger, Store(config.lake), key, FIRST + timedelta(hours=25)))
    assert answer.status.state is State.UNAVAILABLE
    assert answer.status.partial
    assert "never whole at the source" in answer.status.reason
    assert "without plays" in answer.status.reason

    sites.clear_faults()
    assert len(look(25 + 30 * 24).filled) == 3, "it is looked for again, and replaced by the whole one"
    assert all(_plays(file) > 100 for file in _files(adce_home, game))
    assert look(26 + 30 * 24).counts["unavailable"] == 0


def test_a_game_that_becomes_whole_at_the_source_is_stored_when_it_is(
    look: Look, game: str, sites: SandboxProcess, adce_home: Path, ledger: Ledger
) -> None:
    sites.set_faults("espn", "few_plays", match=game, first=1)
    assert len(look(0).failed) == 3
    report = look(12)
    assert sorted(report.filled) == sorted([BOARD, *(f"{folder}/{game}.json" for folder in FOLDERS)])
    assert report.complete
    assert all(_plays(file) > 100 for file in _files(adce_home, game))
    assert ledger.absences.current() == {}
    assert list(look(48).filled) == [BOARD], "the last look at the board of two days ago"
    assert look(49).fills == ()


def test_of_three_looks_the_best_version_is_kept(look: Look, game: str, sites: SandboxProcess, adce_home: Path) -> None:
    sites.set_faults("espn", "few_plays", match=game, first=1)
    sites.set_faults("espn", "no_plays", match=game, first=1)
    sites.set_faults("espn", "404", match=game)
    for hours in (0, 12, 24):
        look(hours)
    assert all(_plays(file) > 100 for file in _files(adce_home, game))
    report = look(25)
    assert (report.counts["unavailable"], len(report.partial)) == (3, 3)


def test_a_partial_file_of_the_lake_gives_way_to_a_better_one_only(
    look: Look, game: str, sites: SandboxProcess, adce_home: Path
) -> None:
    sites.set_faults("espn", "few_plays", match=game)
    for hours in (0, 12, 24):
        look(hours)
    worse, better, junk = _files(adce_home, game)
    plays = _plays(better)
    document = json.loads(better.read_bytes())
    worse.write_text(json.dumps(document | {"plays": document["plays"][:5]}))
    better.write_text(json.dumps(document | {"plays": document["plays"] * 2}))
    junk.write_text("<html><title>Access Denied</title></html>".ljust(2000))
    for hours in (0, 12, 24):
        look(31 * 24 + hours)
    assert [_plays(file) for file in _files(adce_home, game)] == [plays, 2 * plays, plays]
    report = look(32 * 24 + 1)
    assert (report.counts["unavailable"], len(report.partial)) == (3, 3)


def test_nothing_is_kept_where_that_is_not_wanted(
    look: Look, game: str, sites: SandboxProcess, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__UNAVAILABLE", "{keep_partial: false}")
    sites.set_faults("espn", "no_plays", match=game)
    for hours in (0, 12, 24):
        look(hours)
    report = look(25)
    assert (report.counts["unavailable"], report.partial) == (3, [])
    assert not any(file.exists() for file in _files(adce_home, game))
    assert not (adce_home / "lake/_adce/partial").exists()


def test_a_whole_file_stays_when_its_source_has_less_and_is_not_asked_for_for_ever(
    look: Look, sites: SandboxProcess, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(0)
    good = {file: file.read_bytes() for file in (adce_home / "lake").rglob("4*.json")}
    monkeypatch.setenv("ADCE_RECONCILE__LOOK_AGAIN", "[1h, 6h, 24h, 7d]")
    sites.set_faults("espn", "no_plays", match="/summary")
    for hours in (160, 170, 184):
        assert look(hours).failed
    sites.clear_requests()
    for hours in (185, 400):
        report = look(hours)
        assert (report.complete, report.counts["present"]) == (True, report.counts["total"])
    assert sites.requests() == []
    assert {file: file.read_bytes() for file in good} == good


@pytest.mark.parametrize(
    ("dataset", "url"),
    [("espn_summary", "/summary"), ("nba_playbyplay", "/playbyplayv3"), ("br_playbyplay", "/boxscores/pbp/")],
)
def test_a_final_without_plays_ends_as_unavailable_at_every_source(
    run_reconcile: Reconcile, sites: SandboxProcess, dataset: str, url: str
) -> None:
    source = load_config().datasets[dataset].source
    schedule = load_config().datasets[dataset].schedule
    selected: dict[str, Any] = DAY | {"datasets": [schedule, dataset]}
    sites.set_faults(source, "no_plays", match=url)
    for hours in (0, 12, 24):
        run_reconcile(as_of=FIRST + timedelta(hours=hours), **selected)
    sites.clear_requests()
    report = run_reconcile(as_of=FIRST + timedelta(hours=24.5), **selected)
    games = {key for key, cell in report.overview.cells.items() if cell.dataset == dataset}
    assert games
    assert {report.statuses[key].state for key in games} == {State.UNAVAILABLE}
    assert not [request for request in sites.requests() if url in request["url"]]
