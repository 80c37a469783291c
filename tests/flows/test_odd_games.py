"""Games and lists that are not as most are: what of them is fetched, and what is not believed?"""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config.load import load_config
from deployments.sandbox.league import Fate, Fixture, League
from deployments.sandbox.process import SandboxProcess
from tasks.answers.report import Report
from tasks.domain.assess.verdicts import Verdict
from tasks.domain.expected.cells import Cell
from tasks.ledger import Ledger
from tests.flows.conftest import NOW, Reconcile

SEASON = "2024-25"
ODD = [game for game in League(odd_games=True).season(SEASON) if game not in League().season(SEASON)]
PLAYED = [game for game in ODD if game.fate is Fate.PLAYED]
[NOT_NEEDED] = [game for game in ODD if game.fate is Fate.NOT_NEEDED]


@pytest.fixture(scope="module")
def odd_sites() -> Iterator[SandboxProcess]:
    with SandboxProcess(clock="2025-07-01T12:00:00Z", odd_games=True) as sandbox:
        yield sandbox


@pytest.fixture
def odd_league(adce_home: Path, odd_sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> SandboxProcess:
    for name, url in odd_sites.base_urls.items():
        monkeypatch.setenv(f"ADCE_SOURCES__{name.upper()}__BASE_URL", url)
    for name in ("espn", "nba_api"):
        monkeypatch.setenv(f"ADCE_SOURCES__{name.upper()}__RATES", "[{requests: 50, seconds: 1}]")
    odd_sites.clear_requests()
    return odd_sites


def _files(game: Fixture) -> set[str]:
    return {
        *(f"espn_{kind}/{game.espn_id}.json" for kind in ("play_by_play", "box_scores", "team_stats")),
        *(f"nba_api_comprehensive/boxscores_{k}/{k}_{game.nba_id}.json" for k in ("traditional", "advanced")),
        f"nba_api_playbyplay/playbyplay_{game.nba_id}.json",
    }


def test_games_of_every_length_are_whole_at_once_and_asked_for_once(
    run_reconcile: Reconcile, odd_league: SandboxProcess
) -> None:
    assert {game.season_type for game in PLAYED} == {"preseason", "regular", "all-star"}
    days = sorted({game.day for game in PLAYED})
    span: list[tuple[date, date]] = [(days[0], days[1]), (days[2], days[-1])]
    for since, until in span:
        report = run_reconcile(
            as_of=datetime(2025, 7, 1, 12, tzinfo=UTC), sources=["espn", "nba_api"], since=since, until=until
        )
        assert report.complete, report.failed
        expected = {file for game in PLAYED if since <= game.day <= until for file in _files(game)}
        assert expected <= set(report.filled)
    asked = [request["url"] for request in odd_league.requests()]
    assert len(asked) == len(set(asked))


def test_a_play_off_game_that_was_not_needed_is_waited_for_and_then_expected_no_more(
    run_reconcile: Reconcile, odd_league: SandboxProcess
) -> None:
    span: dict[str, Any] = {
        "since": NOT_NEEDED.day,
        "until": NOT_NEEDED.day,
        "datasets": ["nba_schedule", "nba_playbyplay", "espn_scoreboard", "espn_summary"],
    }
    noon = datetime.combine(NOT_NEEDED.day, datetime.min.time(), UTC) + timedelta(hours=16)
    files = {file for file in _files(NOT_NEEDED) if "comprehensive" not in file}
    waiting = run_reconcile(as_of=noon + timedelta(days=7), **span)
    assert (waiting.counts["not_due"], waiting.complete) == (len(files), True)
    over = run_reconcile(as_of=noon + timedelta(days=8), **span)
    assert over.counts["total"] == waiting.counts["total"] - len(files)


DAY: dict[str, Any] = {"since": date(2026, 1, 13), "until": date(2026, 1, 13), "as_of": NOW}
LISTS = {
    "espn": ("/scoreboard", "espn_schedules/20260113.json"),
    "nba_api": ("/schedule", "nba_api_comprehensive/schedules/schedule_2025-26.json"),
    "basketball_reference": ("_games-january", "basketball_reference/schedules/2026/january.html"),
}


def _examined(key: str) -> Verdict:
    with closing(Ledger(load_config().ledger)) as ledger:
        return ledger.objects.examined([key])[key].verdict


@pytest.mark.parametrize("source", LISTS)
def test_one_odd_entry_is_named_and_costs_no_other_game(
    run_reconcile: Reconcile, sites: SandboxProcess, source: str
) -> None:
    match, key = LISTS[source]
    sites.set_faults(source, "odd_entry", match=match)
    report = run_reconcile(sources=[source], **DAY)
    assert report.failed == []
    verdict = _examined(key)
    assert re.search(r"1 of \d+ entries cannot be read: \w+: ", verdict.reason)
    games = {game.id for game in verdict.games if f"{game.day}" == "2026-01-13"}
    stored = {cell.game.id for cell in _planned(report) if cell.game and cell.key in report.filled}
    assert stored == games != set()


@pytest.mark.parametrize(
    ("source", "schedule", "dataset", "day"),
    [
        ("espn", "espn_scoreboard", "espn_summary", DAY["until"]),
        ("nba_api", "nba_schedule", "nba_playbyplay", date(2025, 10, 22)),  # of the season's first game
    ],
)
def test_a_game_that_is_listed_twice_is_expected_as_the_final_one_that_it_is(
    run_reconcile: Reconcile, sites: SandboxProcess, source: str, schedule: str, dataset: str, day: date
) -> None:
    sites.set_faults(source, "twice", match=LISTS[source][0])
    report = run_reconcile(datasets=[schedule, dataset], **DAY | {"since": day, "until": day})
    assert report.complete
    played = [game for game in League().on(day, NOW) if game.fate is Fate.PLAYED]
    ids = {game.espn_id if source == "espn" else game.nba_id for game in played}
    assert {cell.game.id for cell in _planned(report) if cell.game} == ids
    assert len(report.filled) == 1 + len(ids) * (3 if source == "espn" else 1)


def test_a_final_in_which_nobody_scored_has_no_files(run_reconcile: Reconcile, sites: SandboxProcess) -> None:
    sites.set_faults("nba_api", "nil", match="/schedule")
    day = date(2025, 10, 22)
    report = run_reconcile(datasets=["nba_schedule", "nba_playbyplay"], **DAY | {"since": day, "until": day})
    assert report.complete
    listed = [game for game in _examined(LISTS["nba_api"][1]).games if game.day == day]
    [cancelled] = [game for game in listed if game.status.value == "cancelled"]
    assert len(report.filled) == len(listed)
    assert not any(cancelled.id in cell.key for cell in _planned(report))
    assert report.counts["total"] == 1 + len(listed) - 1


@pytest.mark.parametrize(
    ("dataset", "kind"),
    [
        ("nba_boxscore_traditional", "other_kind"),
        ("nba_playbyplay", "hollow"),
        ("espn_summary", "no_players"),
        ("br_boxscore", "hollow"),
    ],
)
def test_a_document_of_another_kind_or_without_its_game_is_not_stored_as_if_it_were_whole(
    run_reconcile: Reconcile, sites: SandboxProcess, dataset: str, kind: str
) -> None:
    settings = load_config().datasets[dataset]
    victim, *others = (game for game in League().on(DAY["until"], NOW) if game.fate is Fate.PLAYED)
    name = {"espn": "espn_id", "nba_api": "nba_id", "basketball_reference": "br_id"}[settings.source]
    sites.set_faults(settings.source, kind, match=getattr(victim, name))
    report = run_reconcile(datasets=[settings.schedule, dataset], **DAY)
    stored = {cell.game.id for cell in _planned(report) if cell.game and cell.key in report.filled}
    assert stored == {getattr(game, name) for game in others} != set()
    assert not report.complete


def _planned(report: Report) -> list[Cell]:
    """The files that a run has begun to fetch."""
    return [gap.cell for fill in report.fills for gap in fill.gaps]
