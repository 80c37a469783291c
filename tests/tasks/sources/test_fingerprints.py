"""Are two downloads of a game alike until something is corrected? A valid body plus one change each."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Check
from tasks.sources import fingerprints
from tasks.sources.checks import CHECKS
from tasks.sources.fingerprints import fingerprint

Json = dict[str, Any]
Change = Callable[[Json], object]


def printed(body: Json | bytes | str, check: str) -> str:
    if isinstance(body, dict):
        body = json.dumps(body)
    return fingerprint(body.encode() if isinstance(body, str) else body, Check(name=check))


def after(change: Change, body: Json) -> Json:
    changed = deepcopy(body)
    change(changed)
    return changed


TEAM = {
    "id": "2",
    "displayName": "Boston Celtics",
    "logo": "https://a.espncdn.com/i/teamlogos/nba/500/bos.png",
    "logos": [{"href": "https://a.espncdn.com/i/teamlogos/nba/500/bos.png", "lastUpdated": "2024-06-25T21:17Z"}],
}
COMPETITION: Json = {
    "date": "2024-01-06T00:30Z",
    "recent": True,
    "liveAvailable": True,
    "competitors": [
        {"id": "2", "homeAway": "home", "score": "126", "team": TEAM},
        {"id": "26", "homeAway": "away", "score": "97", "team": {"id": "26", "displayName": "Utah Jazz"}},
    ],
    "status": {"period": 4, "type": {"name": "STATUS_FINAL", "state": "post", "completed": True}},
    "odds": [{"details": "BOS -12.5"}],
    "series": [{"summary": "BOS leads series 1-0"}],
    "broadcasts": [{"media": {"shortName": "NBCSB"}}],
}


def an_athlete(player_id: str, name: str, points: str) -> Json:
    known = {"id": player_id, "displayName": name, "jersey": "0", "position": {"abbreviation": "F"}}
    return {"athlete": {**known, "links": [{"href": f"/id/{player_id}"}], "status": "Active"}, "stats": ["34", points]}


SUMMARY: Json = {
    "header": {"id": "401585601", "season": {"year": 2024, "current": True}, "competitions": [COMPETITION]},
    "boxscore": {
        "players": [
            {
                "team": TEAM,
                "statistics": [{"athletes": [an_athlete("1", "A. Tatum", "30"), an_athlete("2", "B. White", "12")]}],
            }
        ]
    },
    "plays": [
        {"id": "1", "text": "Tatum makes two point shot", "clock": {"displayValue": "11:40"}, "homeScore": 2},
        {"id": "2", "text": "End of Game", "clock": {"displayValue": "0.0"}, "homeScore": 126},
    ],
    "winprobability": [{"playId": "1", "homeWinPercentage": 0.91}],
    "news": {"articles": [{"headline": "Celtics win", "lastModified": "2024-01-06T05:00:00Z"}]},
    "injuries": [{"team": {"id": "2"}, "injuries": [{"status": "Out"}]}],
    "standings": {"header": "2023-24 Standings"},
    "meta": {"lastUpdatedAt": "2024-01-06T02:50:00Z"},
}
SCOREBOARD: Json = {
    "leagues": [{"season": {"type": {"name": "Regular Season"}}, "calendar": ["2024-01-05T08:00Z"]}],
    "day": {"date": "2024-01-05"},
    "events": [
        {"id": "401585601", "date": "2024-01-06T00:30Z", "links": [{"href": "/a"}], "competitions": [COMPETITION]},
        {"id": "401585602", "date": "2024-01-06T01:00Z", "links": [{"href": "/b"}], "competitions": []},
    ],
    "provider": {"name": "ESPN BET"},
}
META = {"version": 1, "request": "http://nba.cloud/games/0022300001?Format=json", "time": "2024-01-06T12:00:00.000Z"}


def an_nba_team(points: int) -> Json:
    players = [{"personId": n, "familyName": f"Player {n}", "statistics": {"points": points + n}} for n in (1, 2)]
    return {"teamId": 1610612738, "players": players, "statistics": {"points": points}}


BOX_SCORE: Json = {
    "meta": META,
    "boxScoreTraditional": {"gameId": "0022300001", "homeTeam": an_nba_team(40), "awayTeam": an_nba_team(30)},
}
PLAY_BY_PLAY: Json = {
    "meta": META,
    "game": {
        "gameId": "0022300001",
        "videoAvailable": 0,
        "actions": [{"actionNumber": n, "description": f"Play {n}", "videoAvailable": 0} for n in (1, 2)],
    },
}
SCHEDULE: Json = {
    "meta": META,
    "leagueSchedule": {
        "gameDates": [
            {
                "games": [
                    {
                        "gameId": "0022300001",
                        "gameStatus": 3,
                        "gameDateTimeUTC": "2023-10-24T23:30:00Z",
                        "broadcasters": {"homeTvBroadcasters": []},
                        "homeTeam": {"score": 119},
                    }
                ]
            }
        ]
    },
}


def event(body: Json) -> Json:
    return body["events"][0]["competitions"][0]  # type: ignore[no-any-return]


def competition(body: Json) -> Json:
    return body["header"]["competitions"][0]  # type: ignore[no-any-return]


def athletes(body: Json) -> list[Json]:
    return body["boxscore"]["players"][0]["statistics"][0]["athletes"]  # type: ignore[no-any-return]


def listed(body: Json) -> Json:
    return body["leagueSchedule"]["gameDates"][0]["games"][0]  # type: ignore[no-any-return]


def home(body: Json) -> Json:
    return body["boxScoreTraditional"]["homeTeam"]  # type: ignore[no-any-return]


OVERLOOKED: list[tuple[str, Json, Change]] = [
    ("espn.summary", SUMMARY, lambda b: b["news"].update(articles=[])),
    ("espn.summary", SUMMARY, lambda b: b.update(injuries=[], standings={}, videos=[{"id": 1}], odds=[{}])),
    ("espn.summary", SUMMARY, lambda b: b["winprobability"][0].update(homeWinPercentage=0.9)),
    ("espn.summary", SUMMARY, lambda b: b["meta"].update(lastUpdatedAt="2026-05-23T20:10:08Z")),
    ("espn.summary", SUMMARY, lambda b: b["header"]["season"].update(current=False)),
    ("espn.summary", SUMMARY, lambda b: competition(b).update(recent=False, liveAvailable=False, series=[])),
    ("espn.summary", SUMMARY, lambda b: competition(b)["competitors"].reverse()),
    ("espn.summary", SUMMARY, lambda b: athletes(b).reverse()),
    ("espn.summary", SUMMARY, lambda b: athletes(b)[0]["athlete"].update(status="Out", injuries=[{}], links=[])),
    ("espn.scoreboard", SCOREBOARD, lambda b: b["leagues"][0]["season"]["type"].update(name="Off Season")),
    ("espn.scoreboard", SCOREBOARD, lambda b: b.update(provider={"name": "Draft Kings"})),
    ("espn.scoreboard", SCOREBOARD, lambda b: b.pop("day")),
    ("espn.scoreboard", SCOREBOARD, lambda b: event(b).update(odds=[], headlines=[{"description": "A recap"}])),
    ("espn.scoreboard", SCOREBOARD, lambda b: event(b)["competitors"][0]["team"].pop("logos")),
    ("espn.scoreboard", SCOREBOARD, lambda b: b["events"].reverse()),
    ("nba_api.box_score", BOX_SCORE, lambda b: b["meta"].update(time="2024-01-07T12:00:00.000Z")),
    ("nba_api.box_score", BOX_SCORE, lambda b: home(b)["players"].reverse()),
    ("nba_api.play_by_play", PLAY_BY_PLAY, lambda b: b["game"]["actions"][0].update(videoAvailable=1)),
    ("nba_api.play_by_play", PLAY_BY_PLAY, lambda b: b["meta"].update(request="http://nba.cloud/other")),
    ("nba_api.schedule", SCHEDULE, lambda b: b["meta"].update(time="2024-01-07T12:00:00.000Z")),
    ("nba_api.schedule", SCHEDULE, lambda b: listed(b)["broadcasters"].update(homeTvBroadcasters=[{"id": 1}])),
    ("json", BOX_SCORE, lambda b: b.pop("meta")),
]
TOLD: list[tuple[str, Json, Change]] = [
    ("espn.summary", SUMMARY, lambda b: athletes(b)[0]["stats"].__setitem__(1, "31")),
    ("espn.summary", SUMMARY, lambda b: athletes(b)[0]["athlete"].update(displayName="J. Tatum")),
    ("espn.summary", SUMMARY, lambda b: b["plays"][0].update(text="Brown makes two point shot")),
    ("espn.summary", SUMMARY, lambda b: b["plays"].reverse()),
    ("espn.summary", SUMMARY, lambda b: b["plays"].pop()),
    ("espn.summary", SUMMARY, lambda b: competition(b)["competitors"][0].update(score="127")),
    ("espn.summary", SUMMARY, lambda b: competition(b)["status"]["type"].update(name="STATUS_IN_PROGRESS")),
    ("espn.summary", SUMMARY, lambda b: competition(b).update(date="2024-01-06T01:00Z")),
    ("espn.scoreboard", SCOREBOARD, lambda b: event(b)["competitors"][1].update(score="98")),
    ("espn.scoreboard", SCOREBOARD, lambda b: event(b)["status"]["type"].update(completed=False)),
    ("espn.scoreboard", SCOREBOARD, lambda b: b["events"][1].update(date="2024-01-06T03:00Z")),
    ("espn.scoreboard", SCOREBOARD, lambda b: b["events"].pop()),
    ("nba_api.box_score", BOX_SCORE, lambda b: home(b)["players"][0]["statistics"].update(points=99)),
    ("nba_api.box_score", BOX_SCORE, lambda b: home(b)["players"][1].update(familyName="Player 3")),
    ("nba_api.play_by_play", PLAY_BY_PLAY, lambda b: b["game"]["actions"][1].update(description="Play two")),
    ("nba_api.play_by_play", PLAY_BY_PLAY, lambda b: b["game"]["actions"].reverse()),
    ("nba_api.schedule", SCHEDULE, lambda b: listed(b)["homeTeam"].update(score=120)),
    ("nba_api.schedule", SCHEDULE, lambda b: listed(b).update(gameStatus=2)),
    ("nba_api.schedule", SCHEDULE, lambda b: listed(b).update(gameDateTimeUTC="2023-10-25T00:00:00Z")),
    ("json", BOX_SCORE, lambda b: home(b)["statistics"].update(points=41)),
]


@pytest.mark.parametrize(("check", "body", "change"), OVERLOOKED)
def test_what_is_not_of_the_game_is_overlooked(check: str, body: Json, change: Change) -> None:
    changed = after(change, body)
    assert changed != body
    assert printed(changed, check) == printed(body, check)


@pytest.mark.parametrize(("check", "body", "change"), TOLD)
def test_a_correction_is_told(check: str, body: Json, change: Change) -> None:
    assert printed(after(change, body), check) != printed(body, check)


BR = [name for name in CHECKS if name.startswith("basketball_reference.") or name == "html_table"]
ROWS = (
    '<thead><tr><th data-stat="player" data-tip="<b>Who</b> it was">Player</th><th>PTS</th></tr></thead>'
    '<tbody><tr><th><a href="/players/t/tatum01.html">Jayson Tatum</a></th><td class="right">30</td></tr>\n'
    "<tr><th>Derrick White</th><td></td><td>2&nbsp;</td></tr>"
    "<tr><td><table><tr><td>Game 1</td><td>109</td></tr></table></td><td>series</td></tr></tbody>"
)
LINE_SCORE = '<!--\n<table id="line_score"><tr><th>BOS</th><td>38</td></tr></table>\n-->'
PAGE = (
    "<!DOCTYPE html><html><head><title>Jazz vs Celtics</title><script>var nonce = 'a1';</script></head><body>"
    '<table class="teams"><tr><td>DAL</td><td>107</td></tr></table>'
    f'<table class="stats_table" id="box-BOS-game-basic">{ROWS}</table>{LINE_SCORE}'
    "<ul><li>Menu</li></ul><!-- page generated at 12:00 --></body></html>"
)


@pytest.mark.parametrize("check", BR)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("var nonce = 'a1'", "var nonce = 'b2'", id="script"),
        pytest.param("<li>Menu</li>", "<li>Another menu</li>", id="menu"),
        pytest.param("at 12:00", "at 13:00", id="time of generation"),
        pytest.param("<td>107</td>", "<td>108</td>", id="another game of the day"),
        pytest.param('<td class="right">', "<td\n  class='center'>", id="attributes"),
        pytest.param("<b>Who</b> it was", "<i>Who</i> he was", id="tags inside an attribute"),
        pytest.param(
            '<a href="/players/t/tatum01.html">Jayson Tatum</a>', "\n Jayson\n Tatum ", id="link, white space"
        ),
        pytest.param("2&nbsp;", "2&#160;", id="spelling of a character"),
        pytest.param(LINE_SCORE, LINE_SCORE.removeprefix("<!--").removesuffix("-->"), id="table out of its comment"),
    ],
)
def test_a_page_is_its_tables(check: str, old: str, new: str) -> None:
    changed = PAGE.replace(old, new)
    assert changed != PAGE
    assert printed(changed, check) == printed(PAGE, check)


@pytest.mark.parametrize("check", BR)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(">30<", ">31<", id="statistic"),
        pytest.param("Tatum<", "Tatum Jr.<", id="name"),
        pytest.param("<td>38</td>", "<td>39</td>", id="in a comment"),
        pytest.param("<td>109</td>", "<td>110</td>", id="in a table of the table"),
        pytest.param(">series<", ">the series<", id="after a table of the table"),
        pytest.param("<td></td><td>2&nbsp;</td>", "<td>2&nbsp;</td><td></td>", id="in another column"),
        pytest.param("</tbody>", "<tr><td>Did Not Play</td></tr></tbody>", id="one more row"),
    ],
)
def test_a_correction_of_a_table_is_told(check: str, old: str, new: str) -> None:
    changed = PAGE.replace(old, new)
    assert changed != PAGE
    assert printed(changed, check) != printed(PAGE, check)


@pytest.mark.parametrize("check", [*CHECKS, "of_no_site"])
@pytest.mark.parametrize(
    ("body", "other"),
    [
        pytest.param(b"", b" ", id="empty"),
        pytest.param(b"\xff\xfe", b"\xff\xfd", id="not UTF-8"),
        pytest.param(b'{"events": [', b'{"events": [1', id="cut off"),
        pytest.param(b'{"meta": {"time": 1}}', b'{"meta": {"time": 2}}', id="nothing else"),
        pytest.param(b"[" * 100_000, b"[" * 100_001, id="too deep"),
        pytest.param(b"<html><table><td>1", b"<html><table><td>2", id="no table with a name"),
    ],
)
def test_a_body_that_cannot_be_read_is_its_bytes(check: str, body: bytes, other: bytes) -> None:
    assert printed(body, check) == printed(body, check) != printed(other, check)


def test_every_check_has_its_reading() -> None:
    assert fingerprints._CONTENT_OF.keys() == {name.partition(".")[0] for name in CHECKS}


def test_another_version_gives_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = printed(SUMMARY, "espn.summary")
    monkeypatch.setattr(fingerprints, "VERSION", fingerprints.VERSION + 1)
    assert printed(SUMMARY, "espn.summary") != before


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    """A change here is a change of what is overlooked, and of the version."""
    assert printed(SUMMARY, "espn.summary") == "9950703a16b546b7dfd2c32e3e15964c"
    assert printed(PAGE, "html_table") == "e7b1b96e72f4e44c35f78887d357056a"


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("0.5", "0.50"), ("100", "1e2"), ("-3", "-3.0")])
def test_a_number_is_the_same_however_it_is_written(one: str, other: str) -> None:
    assert printed(f'{{"a": {one}}}', "json") == printed(f'{{"a": {other}}}', "json")
    assert printed(f'{{"a": {one}}}', "json") != printed(f'{{"a": "{one}"}}', "json")


KEYS = st.sampled_from(["id", "events", "athletes", "athlete", "status", "links", "players", "games", "meta", "stats"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@st.composite
def reordered(draw: st.DrawFn, value: Any) -> Any:
    """The same value with the keys of every object in another order."""
    if isinstance(value, dict):
        return {key: draw(reordered(value[key])) for key in draw(st.permutations(list(value)))}
    if isinstance(value, list):
        return [draw(reordered(item)) for item in value]
    return value


@given(
    value=VALUES,
    check=st.sampled_from([name for name in CHECKS if name not in BR]),
    indent=st.none() | st.just(2),
    data=st.data(),
)
def test_order_of_keys_and_white_space_do_not_matter(
    value: Any, check: str, indent: int | None, data: st.DataObject
) -> None:
    body = {"game": value}
    other = json.dumps(data.draw(reordered(body)), indent=indent, ensure_ascii=False)
    assert printed(other, check) == printed(body, check)


@given(body=st.binary(), check=st.sampled_from(sorted(CHECKS)))
def test_any_bytes_have_a_fingerprint(body: bytes, check: str) -> None:
    assert len(fingerprint(body, Check(name=check))) == 32
