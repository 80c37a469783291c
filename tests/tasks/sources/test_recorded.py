"""Do the checks and fingerprints agree with real answers of the sites?

ADCE_RECORDED names a folder of recorded responses, which are not the project's to ship.
"""

import csv
import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from config.models import Check
from tasks.domain.assess.verdicts import Fault, Verdict, Wholeness
from tasks.domain.expected.games import GameStatus
from tasks.sources.checks import examine
from tasks.sources.fingerprints import fingerprint

RECORDED = Path(os.environ.get("ADCE_RECORDED") or "not-given")

pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="ADCE_RECORDED does not name a folder of recorded responses"
)

WHOLE, PARTIAL, BAD = Wholeness.WHOLE, Wholeness.PARTIAL, Wholeness.BAD
BR = "basketball_reference"


def recorded(name: str) -> bytes:
    path = RECORDED / name
    return path.read_bytes() if path.exists() else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())


def verdict(name: str, check: str, *, tables: tuple[str, ...] = (), min_rows: int = 0, **fields: str) -> Verdict:
    if "season" in fields:
        start_year = int(fields["season"][:4])
        fields |= {"start_year": str(start_year), "end_year": str(start_year + 1)}
    return examine(recorded(name), fields, Check(name=check, tables=list(tables), min_rows=min_rows))


def ids_of_season(source: str, season: str) -> dict[str, str]:
    """The season type of every game id."""
    with (RECORDED / "seasons" / source / f"{season}.csv").open(newline="") as file:
        return {row["game_id"]: row["season_type"] for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("day", "suffix", "games", "wholeness"),
    [
        ("2024-12-01", "", 10, WHOLE),
        ("2025-10-02", "__recorded-20250903", 2, PARTIAL),
        ("2025-10-02", "__recorded-20251002", 2, PARTIAL),
        ("2026-02-18", "", 0, WHOLE),
        ("2026-02-20", "", 9, PARTIAL),
        ("2026-02-24", "", 11, PARTIAL),
        ("2026-02-26", "", 10, PARTIAL),
        ("2026-02-28", "", 5, PARTIAL),
        ("2026-03-01", "", 11, PARTIAL),
        ("2026-05-02", "__in-progress", 1, PARTIAL),
    ],
)
def test_espn_scoreboards(day: str, suffix: str, games: int, wholeness: Wholeness) -> None:
    name = f"espn/scoreboard_dates={day.replace('-', '')}{suffix}.json"
    found = verdict(name, "espn.scoreboard", date=day)
    assert (found.wholeness, len(found.games)) == (wholeness, games), found.reason
    assert all(game.id.startswith("401") and game.day.isoformat() == day for game in found.games)


def test_a_scoreboard_is_bad_for_the_day_before() -> None:
    assert verdict("espn/scoreboard_dates=20241201.json", "espn.scoreboard", date="2024-11-30").wholeness is BAD


@pytest.mark.parametrize(
    ("name", "season", "wholeness"),
    [
        ("401585607", "2023-24", WHOLE),
        ("401705066__in-progress", "2024-25", PARTIAL),
        ("401812480__scheduled", "2025-26", PARTIAL),
    ],
)
def test_espn_summaries(name: str, season: str, wholeness: Wholeness) -> None:
    path = f"espn/summary_event={name}.json"
    assert verdict(path, "espn.summary", id=name[:9], season=season).wholeness is wholeness
    assert verdict(path, "espn.summary", id="401000000", season=season).wholeness is BAD


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("espn/errors/scoreboard_dates=range_status=400.json", "espn.scoreboard"),
        ("espn/errors/summary_event=401673394_status=404.json", "espn.summary"),
    ],
)
def test_espn_errors(name: str, check: str) -> None:
    found = verdict(name, check, id="401673394", date="2024-01-05", season="2023-24")
    assert found.wholeness is BAD
    assert found.fault is not Fault.REFUSED


@pytest.mark.parametrize(
    "name",
    [
        "boxscoretraditionalv3_GameID=0022500165",
        "boxscoreusagev3_GameID=0021700807",
        "boxscoreplayertrackv3_GameID=0022500148",
        "boxscorehustlev2_GameID=0022500148",
        "boxscorematchupsv3_GameID=0022500142",
        "boxscoreadvancedv3_GameID=1022500165",
        "boxscoredefensivev2_GameID=1022500165",
        "boxscorefourfactorsv3_GameID=1022500165",
    ],
)
def test_nba_box_scores(name: str) -> None:
    game_id = name.partition("GameID=")[2]
    assert verdict(f"nba_stats/{name}.json", "nba_api.box_score", id=game_id).wholeness is WHOLE
    assert verdict(f"nba_stats/{name}.json", "nba_api.box_score", id="0022500001").wholeness is BAD


@pytest.mark.parametrize("name", ["playbyplayv3_GameID=0022400001", "cdn_liveData_playbyplay_0022000001"])
def test_nba_play_by_plays(name: str) -> None:
    assert verdict(f"nba_stats/{name}.json", "nba_api.play_by_play", id=name[-10:]).wholeness is WHOLE


@pytest.mark.parametrize(
    "name",
    [
        "boxscoretraditionalv2_GameID=0021600270",
        "playbyplayv2_GameID=0021600270",
        "scoreboardv3_GameDate=2025-11-05_LeagueID=00",
    ],
)
@pytest.mark.parametrize("check", ["nba_api.schedule", "nba_api.box_score", "nba_api.play_by_play"])
def test_other_nba_endpoints_are_bad(name: str, check: str) -> None:
    found = verdict(f"nba_stats/{name}.json", check, id="0021600270", season="2016-17")
    assert found.wholeness is BAD


def test_nba_schedule_before_the_season() -> None:
    found = verdict(
        "nba_stats/scheduleleaguev2_Season=2023-24__recorded-20230916.json",
        "nba_api.schedule",
        season="2023-24",
    )
    assert (found.wholeness, found.reason) == (PARTIAL, "1280 of 1280 games not final")
    assert {game.id: game.season_type for game in found.games} == ids_of_season("nba_stats", "2023-24")


@pytest.mark.parametrize(("month", "games"), [("october", 104), ("december", 227), ("april", 136), ("june", 3)])
def test_br_schedules(month: str, games: int) -> None:
    found = verdict(f"{BR}/leagues_NBA_2018_games-{month}.html", f"{BR}.schedule", season="2017-18", month=month)
    assert (found.wholeness, len(found.games)) == (WHOLE, games), found.reason
    assert all(game.start and game.status is GameStatus.FINAL for game in found.games)
    season = ids_of_season(BR, "2017-18")
    assert {game.id: game.season_type for game in found.games} == {game.id: season[game.id] for game in found.games}


def test_br_schedule_in_season() -> None:
    found = verdict(
        f"{BR}/leagues_NBA_2019_games-april__in-season.html",
        f"{BR}.schedule",
        season="2018-19",
        month="april",
    )
    assert (found.wholeness, found.reason) == (PARTIAL, "79 of 79 games not final")
    assert {game.status for game in found.games} == {GameStatus.SCHEDULED}


@pytest.mark.parametrize(("season", "month"), [("2017-18", "may"), ("2016-17", "june"), ("2018-19", "june")])
def test_br_schedule_of_another_month(season: str, month: str) -> None:
    found = verdict(f"{BR}/leagues_NBA_2018_games-june.html", f"{BR}.schedule", season=season, month=month)
    assert found.wholeness is BAD


@pytest.mark.parametrize(
    "name",
    [
        "200101010MIN",
        "201701010ATL",
        "201701010ATL__recorded-2018",
        "201801010BRK",
        "201801010TOR",
        "202002220UTA__recorded-2020",
        "202002220UTA__recorded-2026",
    ],
)
def test_br_box_scores(name: str) -> None:
    found = verdict(f"{BR}/boxscores_{name}.html", f"{BR}.box_score", id=name[:12])
    assert found.wholeness is WHOLE, found.reason
    assert verdict(f"{BR}/boxscores_{name}.html", f"{BR}.play_by_play", id=name[:12]).wholeness is BAD


@pytest.mark.parametrize("game_id", ["199911160ATL", "200310290TOR", "201810160GSW"])
def test_br_play_by_plays(game_id: str) -> None:
    assert verdict(f"{BR}/boxscores_pbp_{game_id}.html", f"{BR}.play_by_play", id=game_id).wholeness is WHOLE
    assert verdict(f"{BR}/boxscores_pbp_{game_id}.html", f"{BR}.box_score", id=game_id).wholeness is BAD


@pytest.mark.parametrize(
    ("name", "season", "tables", "wholeness"),
    [
        ("leagues_NBA_2018_totals", "2017-18", ("totals_stats",), WHOLE),
        ("leagues_NBA_2018_advanced", "2017-18", ("advanced", "advanced_stats"), WHOLE),
        ("leagues_NBA_2019_totals__in-season", "2018-19", ("totals_stats",), WHOLE),
        ("leagues_NBA_2018_totals", "2018-19", ("totals_stats",), BAD),
        ("leagues_NBA_2018_totals", "2017-18", ("advanced", "advanced_stats"), BAD),
        ("leagues_NBA_2019", "2018-19", ("totals_stats",), BAD),
    ],
)
def test_br_season_tables(name: str, season: str, tables: tuple[str, ...], wholeness: Wholeness) -> None:
    found = verdict(f"{BR}/{name}.html", f"{BR}.season_table", tables=tables, min_rows=300, season=season)
    assert found.wholeness is wholeness, found.reason


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("errors/404_page-not-found", False),
        ("errors/429_rate-limited__excerpt", True),
        ("errors/soft404_players-index_foobar", False),
        ("boxscores_index_month=1_day=1_year=2018", False),
        ("friv_dailyleaders_month=1_day=1_year=2018", False),
    ],
)
@pytest.mark.parametrize("check", ["schedule", "box_score", "play_by_play", "season_table"])
def test_br_pages_that_were_not_asked_for(name: str, refused: bool, check: str) -> None:
    found = verdict(
        f"{BR}/{name}.html",
        f"{BR}.{check}",
        tables=("totals_stats",),
        id="201801010BRK",
        season="2017-18",
        month="january",
    )
    assert (found.wholeness, found.fault is Fault.REFUSED) == (BAD, refused)


@pytest.mark.parametrize("table", ["line_score", "four_factors"])
def test_br_tables_inside_comments(table: str) -> None:
    found = verdict(f"{BR}/boxscores_201801010BRK.html", "html_table", tables=(table,), min_rows=2)
    assert found.wholeness is WHOLE, found.reason


BODIES = {
    "espn.summary": [
        "espn/summary_event=401585607.json",
        "espn/summary_event=401705066__in-progress.json",
        "espn/summary_event=401812480__scheduled.json",
    ],
    "espn.scoreboard": [
        "espn/scoreboard_dates=20241201.json",
        "espn/scoreboard_dates=20251002__recorded-20251002.json",
        "espn/scoreboard_dates=20260228.json",
        "espn/scoreboard_dates=20260502__in-progress.json",
    ],
    "nba_api.box_score": [
        "nba_stats/boxscoretraditionalv3_GameID=0022500165.json",
        "nba_stats/boxscoreadvancedv3_GameID=1022500165.json",
        "nba_stats/boxscoreusagev3_GameID=0021700807.json",
    ],
    "nba_api.play_by_play": [
        "nba_stats/playbyplayv3_GameID=0022400001.json",
        "nba_stats/cdn_liveData_playbyplay_0022000001.json",
    ],
    "nba_api.schedule": ["nba_stats/scheduleleaguev2_Season=2023-24__recorded-20230916.json"],
    f"{BR}.box_score": [
        f"{BR}/boxscores_{name}.html"
        for name in ("200101010MIN", "201701010ATL", "201801010BRK", "201801010TOR", "202002220UTA__recorded-2026")
    ],
    f"{BR}.play_by_play": [
        f"{BR}/boxscores_pbp_{name}.html" for name in ("199911160ATL", "200310290TOR", "201810160GSW")
    ],
    f"{BR}.schedule": [f"{BR}/leagues_NBA_2018_games-{month}.html" for month in ("october", "december", "april")],
    f"{BR}.season_table": [f"{BR}/leagues_NBA_2018_{kind}.html" for kind in ("totals", "advanced")],
}
EACH_JSON = [(check, name) for check, names in BODIES.items() if not check.startswith(BR) for name in names]
EACH_PAGE = [(check, name) for check, names in BODIES.items() if check.startswith(BR) for name in names]


def backwards(value: Any) -> Any:
    """The same with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("check", "name"), EACH_JSON)
def test_a_json_answer_keeps_its_fingerprint_written_anew_at_another_time(check: str, name: str) -> None:
    body = recorded(name)
    answer = backwards(json.loads(body))
    answer["meta"] = {"time": "2026-11-24T12:00:00.000Z", "request": "http://nba.cloud/other"}
    assert fingerprint(json.dumps(answer, indent=1).encode(), Check(name=check)) == fingerprint(body, Check(name=check))


@pytest.mark.parametrize(("check", "name"), EACH_PAGE)
def test_a_page_keeps_its_fingerprint_without_scripts_and_remarks(check: str, name: str) -> None:
    text = recorded(name).decode()
    bare = re.sub(r"<script\b.*?</script>|<!--(?:(?!<table|-->).)*-->", "", text, flags=re.DOTALL)
    assert len(bare) < len(text) - 1000
    assert fingerprint(bare.encode(), Check(name=check)) == fingerprint(text.encode(), Check(name=check))


@pytest.mark.parametrize("check", BODIES)
def test_no_two_answers_of_a_check_have_the_same_fingerprint(check: str) -> None:
    names = BODIES[check]
    assert len({fingerprint(recorded(name), Check(name=check)) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "check", "old", "new"),
    [
        ("espn/summary_event=401585607.json", "espn.summary", '"37-84"', '"38-84"'),
        ("espn/summary_event=401585607.json", "espn.summary", "Kelly Olynyk vs.", "Kelly Olynyk and"),
        ("espn/scoreboard_dates=20241201.json", "espn.scoreboard", r'"score": ?"92"', '"score":"93"'),
        ("nba_stats/boxscoretraditionalv3_GameID=0022500165.json", "nba_api.box_score", "30:49", "30:50"),
        (f"{BR}/boxscores_201801010BRK.html", f"{BR}.box_score", 'data-stat="pts" >', 'data-stat="pts" >1'),
        (f"{BR}/leagues_NBA_2018_games-june.html", f"{BR}.schedule", "9:00p", "9:30p"),
    ],
)
def test_one_correction_changes_the_fingerprint(name: str, check: str, old: str, new: str) -> None:
    text = recorded(name).decode()
    corrected = re.sub(old, new, text, count=1)
    assert corrected != text
    assert fingerprint(corrected.encode(), Check(name=check)) != fingerprint(text.encode(), Check(name=check))
