"""The end of a season, lived through: play-offs that are listed when they are known, and sources that disagree."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.sandbox.league import Fixture, League
from deployments.sandbox.process import SandboxProcess
from tasks.answers.report import Report
from tasks.domain.assess.states import State
from tasks.domain.reasons import Limit
from tests.flows.conftest import Reconcile
from tests.servers import http_server

SEASON, CLOCK = "2024-25", "2026-01-15T12:00:00Z"
LEAGUE = League(seed=0, games_per_day=3)
FINALS = [game for game in LEAGUE.season(SEASON) if game.season_type == "playoffs" and game.day.month == 6]
JUNE = "basketball_reference/schedules/2025/june.html"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def live(run_reconcile: Reconcile, sites: SandboxProcess) -> Iterator[Reconcile]:
    """A reconcile at a moment at which the sites stand, too."""

    def run(now: datetime, **parameters: object) -> Report:
        sites.set_clock(now.isoformat())
        return run_reconcile(**{"as_of": now, "until": None, "seasons": [SEASON]} | parameters)

    yield run
    sites.set_clock(CLOCK)


def _noon(month: int, day: int) -> datetime:
    return datetime(2025, month, day, 12, tzinfo=UTC)


def _files(game: Fixture) -> set[str]:
    return {
        f"espn_box_scores/{game.espn_id}.json",
        f"nba_api_playbyplay/playbyplay_{game.nba_id}.json",
        f"basketball_reference/box_scores/2025/{game.br_id}.json",
    }


def test_a_lake_that_lives_through_the_play_offs_has_the_finals(
    live: Reconcile, sites: SandboxProcess, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__LOOK_AGAIN", "[]")
    datasets = ["espn_scoreboard", "espn_summary", "nba_schedule", "nba_playbyplay", "br_schedule", "br_boxscore"]
    scope = {"datasets": datasets, "since": _noon(5, 27).date()}
    lake = adce_home / "lake"

    def check(now: datetime) -> Report:
        report = live(now, **scope)
        over = {game for game in LEAGUE.season(SEASON) if now >= game.start + DAY and game.day >= scope["since"]}
        lacking = {file for game in over for file in _files(game) if not (lake / file).exists()}
        assert not lacking
        assert report.complete
        return report

    check(_noon(5, 28) - HOUR)  # every listed game is final, and the Finals are not listed yet
    check(_noon(5, 29))
    sites.set_faults("basketball_reference", "404", match="games-june")
    status = check(_noon(6, 2) - HOUR).statuses[JUNE]
    assert (status.state, status.limit, status.until) == (State.NOT_DUE, Limit.NOT_PUBLISHED, _noon(6, 2) + 5 * HOUR)
    sites.clear_faults()
    assert JUNE in live(_noon(6, 2) + 5 * HOUR, **scope).filled
    for day in (FINALS[0].day + 2 * DAY, FINALS[-1].day + 2 * DAY):
        check(_noon(day.month, day.day))
    check(_noon(7, 1))
    sites.clear_requests()
    check(_noon(7, 9))
    assert {request["url"].removesuffix("?Season=2024-25&LeagueID=00") for request in sites.requests()} == {
        "/scheduleleaguev2",
        "/leagues/NBA_2025_games-june.html",
        "/scoreboard?dates=20250629",
        "/scoreboard?dates=20250630",
    }, "one more look at what has ended: the season, its last month, and the days that were not two days old on 1 July"
    sites.clear_requests()
    check(_noon(9, 1))
    assert sites.requests() == []


def test_a_board_that_tells_of_fewer_games_than_the_nba_is_looked_at_again(
    live: Reconcile, sites: SandboxProcess, adce_home: Path
) -> None:
    game = FINALS[0]
    now = datetime(2025, game.day.month, game.day.day, 12, tzinfo=UTC) + DAY
    scope = {"datasets": ["espn_scoreboard", "nba_schedule"], "since": game.day, "until": game.day}
    live(now, **scope)
    board = adce_home / f"lake/espn_schedules/{game.day:%Y%m%d}.json"
    document = json.loads(board.read_text())
    board.write_text(json.dumps(document | {"events": [], "leagues": []}).ljust(2 * board.stat().st_size))
    sites.clear_requests()
    report = live(now + HOUR, **scope)
    [fill] = report.fills
    assert "nba_schedule has 1" in fill.reason
    assert len(sites.requests()) == 1
    assert report.complete
    assert json.loads(board.read_text())["events"]


def test_a_difference_that_looking_again_does_not_mend_is_told_and_left(
    live: Reconcile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    game = FINALS[0]
    # The board is older than two days: nothing but the difference has it looked at again.
    now = datetime(2025, game.day.month, game.day.day, 12, tzinfo=UTC) + 3 * DAY
    board = f"espn_schedules/{game.day:%Y%m%d}.json"
    story = []
    with http_server(200, json.dumps({"events": [], "leagues": []}).ljust(100).encode()) as espn:
        monkeypatch.setenv("ADCE_SOURCES__ESPN__BASE_URL", espn)
        for hours in (0, 1, 2, 12, 24, 25):
            with caplog.at_level(logging.WARNING):
                report = live(
                    now + hours * HOUR,
                    datasets=["espn_scoreboard", "nba_schedule"],
                    since=game.day,
                    until=game.day,
                )
            story.append((board in report.filled, report.statuses[board].state.value, report.complete))
    assert story == [
        (True, "gap", False),
        (True, "deferred", False),
        (False, "deferred", False),
        (True, "deferred", False),
        (True, "present", True),
        (False, "present", True),
    ]
    assert [key for key, _ in report.differing] == [board]
    assert "which further looks did not change" in report.statuses[board].reason
    told = [record.getMessage() for record in caplog.records if "looking again did not change" in record.getMessage()]
    assert told == [
        f"{board} lists 0 final games on {game.day}, and nba_schedule has 1; looking again did not change that"
    ]
