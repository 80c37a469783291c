"""Does any body at all get a verdict?"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import CHECK_OPTIONS, Check
from deployments.sandbox.bodies.walls import WALLS
from tasks.domain.assess.verdicts import Fault, Verdict, Wholeness, bad, unfinished, whole
from tasks.sources.checks import CHECKS, examine

FIELDS = {
    "id": "0022300001",
    "date": "2024-01-05",
    "yyyymmdd": "20240105",
    "season": "2023-24",
    "start_year": "2023",
    "end_year": "2024",
    "month": "january",
}
NAMES = sorted(CHECKS)
JSON_NAMES = [name for name in NAMES if name == "json" or name.startswith(("espn", "nba"))]

# The keys that checks look at, so that arbitrary values get past the first look-up.
# fmt: off
KEYS = st.sampled_from(
    [
        "id", "date", "events", "status", "type", "name", "state", "season",
        "year", "header", "competitions", "boxscore", "players", "statistics", "athletes", "plays",
        "leagueSchedule", "seasonYear", "gameDates", "games", "gameId", "gameStatus", "gameDateEst", "gameDateTimeUTC",
        "game", "actions", "period", "actionType", "subType", "homeTeam", "awayTeam", "minutes",
        "matchups", "meta", "code", "message",
    ]
)
# fmt: on
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["0022300001", "2023-24", "2024-01-05T23:30Z", "0001-01-01T00:00Z", "post", "period", "end"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


def judged(name: str, body: bytes) -> Verdict:
    return examine(body, FIELDS, Check(name=name, tables=["totals_stats"], min_rows=1))


@given(name=st.sampled_from(NAMES), body=st.binary())
def test_arbitrary_bytes_get_a_verdict(name: str, body: bytes) -> None:
    judged(name, body)


@given(name=st.sampled_from([name for name in NAMES if name != "json"]), value=VALUES)
def test_arbitrary_json_gets_a_verdict_of_one_line(name: str, value: object) -> None:
    reason = judged(name, json.dumps(value).encode()).reason
    assert reason.isprintable()
    reason.encode()


@given(
    name=st.sampled_from(NAMES),
    markup=st.lists(st.sampled_from(["<table id=pbp>", "<tr>", "<!--", "-->", "<td data-stat=g>", "9"])),
)
def test_arbitrary_markup_gets_a_verdict(name: str, markup: list[str]) -> None:
    judged(name, f"<html>{''.join(markup)}</html>".encode())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        pytest.param(b"", Fault.CUT_OFF, id="nothing"),
        pytest.param(b" \r\n", Fault.CUT_OFF, id="blank"),
        pytest.param(b"\xff\xfe\x00{", Fault.CUT_OFF, id="not UTF-8"),
        pytest.param(b'{"a": "\x00"}', Fault.CUT_OFF, id="NUL bytes"),
        pytest.param(
            b"<html><title>Access Denied</title><h1>Access Denied</h1></html>", Fault.REFUSED, id="block page"
        ),
        pytest.param(b"<html><title>Just a moment...</title></html>", Fault.REFUSED, id="Cloudflare's question"),
        pytest.param(b"<h1>Rate Limited Request (429 error)</h1> <p>We apologize", Fault.REFUSED, id="429 page"),
        pytest.param(b"error code: 1015", Fault.REFUSED, id="Cloudflare's plain text"),
        pytest.param(b"Service Unavailable", Fault.REFUSED, id="a line of a gateway"),
        pytest.param(b'{"cpr_chlge": "true"}', Fault.REFUSED, id="Akamai's question to programs"),
    ],
)
def test_bodies_that_are_bad_for_every_check(name: str, body: bytes, fault: Fault) -> None:
    found = judged(name, body)
    assert (found.wholeness, found.fault) == (Wholeness.BAD, fault)
    assert found.reason


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wall", [name for name, wall in WALLS.items() if wall.status == 200 and name != "nan"])
def test_what_stands_before_a_site_says_nothing_of_a_file(name: str, wall: str) -> None:
    assert judged(name, WALLS[wall].body).fault is Fault.REFUSED


@pytest.mark.parametrize("name", JSON_NAMES)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html><title>Page Not Found | ESPN.com</title></html>", id="a page of the site"),
        pytest.param(b"<html><head></head><body></body></html>", id="an empty page"),
        pytest.param(b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', id="XML"),
        pytest.param(b"<!-- page --><p>Oops", id="a page cut off"),
        pytest.param(b"upstream connect error or disconnect/reset before headers", id="a line of text"),
    ],
)
def test_where_json_is_asked_for_a_page_or_a_notice_is_the_site_s_trouble(name: str, body: bytes) -> None:
    assert judged(name, body).fault is Fault.REFUSED


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_nan_in_json_is_not_json(constant: str) -> None:
    assert judged("json", f'{{"a": [{constant}]}}'.encode()).fault is Fault.CUT_OFF
    assert judged("json", f'{{"a": "{constant}"}}'.encode()).wholeness is Wholeness.WHOLE


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" + b"{}," * 1_000_001 + b"{}]", id="values"),
        pytest.param(b"[" + b'{"a":{"a":{"a":0}}},' * 300_000 + b"0]", id="objects"),
        pytest.param(b'["\xf0\x9f\x8f\x80' + b"a" * 30_000_000 + b'"]', id="wide text"),
        pytest.param(b'["' + b"a" * 30_000_000 + b'\\ud83c\\udfc0"]', id="wide text by an escape"),
        pytest.param(b"<html>" + b"<p>x" * 800_000 + b"</html>", id="elements"),
        pytest.param(b"<html><a " + b"b " * 1_200_000 + b"></a></html>", id="attributes"),
        pytest.param(b"<html><a " + b"b=" * 1_200_000 + b"></a></html>", id="values of attributes"),
    ],
)
def test_what_would_take_too_much_memory_is_not_parsed(name: str, body: bytes) -> None:
    found = judged(name, body)
    if body.startswith(b"<") == (name in JSON_NAMES):
        assert found.fault is Fault.REFUSED
    else:
        assert found.fault is Fault.UNFIT
        assert found.reason.startswith("too dense")


def test_a_long_table_of_numbers_is_parsed() -> None:
    assert judged("json", b"[" + b"1," * 1_900_000 + b"1]").wholeness is Wholeness.WHOLE


@pytest.mark.parametrize("name", JSON_NAMES)
@pytest.mark.parametrize(
    ("body", "reason", "fault"),
    [
        pytest.param("{}", "empty JSON", Fault.UNFIT, id="empty object"),
        pytest.param("[]", "empty JSON", Fault.UNFIT, id="empty list"),
        pytest.param("null", "not JSON: null", Fault.UNFIT, id="null"),
        pytest.param(
            '{"Message": "An error has occurred."}', "error body: An error has occurred.", Fault.UNFIT, id="NBA error"
        ),
        pytest.param('{"code": 404, "message": "gone"}', "error body 404: gone", Fault.ABSENT, id="ESPN error"),
        pytest.param('{"message": "Too Many Requests"}', "error body: Too Many Requests", Fault.REFUSED, id="gateway"),
        pytest.param('{"code": 429}', "error body 429", Fault.REFUSED, id="429 in the body"),
        pytest.param("[" * 100_000, "JSON nested too deeply", Fault.UNFIT, id="deep"),
    ],
)
def test_json_that_is_bad_for_every_check(name: str, body: str, reason: str, fault: Fault) -> None:
    assert judged(name, body.encode()) == bad(reason, fault)


def test_json_cut_off_can_heal() -> None:
    found = judged("json", b'{"events": [{"id": "4015')
    assert found == bad("JSON broken or cut off at character 19 of 24", Fault.CUT_OFF)


def test_a_page_cut_off_can_heal() -> None:
    assert judged("html_table", b"<html><table id=totals_stats><tr><td>1</td>").fault is Fault.CUT_OFF
    assert judged("html_table", b"\n<!DOCTYP").fault is Fault.CUT_OFF


@pytest.mark.parametrize("body", [b'{"a": 1}', b"[1]", b'\xef\xbb\xbf{"a": 1}'])
def test_any_json_is_whole_for_the_json_check(body: bytes) -> None:
    assert judged("json", body) == Verdict(Wholeness.WHOLE)


def test_a_page_is_whole_with_one_of_the_named_tables() -> None:
    table = "<table id=totals_stats><tbody><tr><td>1</td></tr></tbody></table>"
    assert judged("html_table", f"<html>{table}</html>".encode()) == Verdict(Wholeness.WHOLE)
    assert judged("html_table", f"<html><!--{table}--></html>".encode()) == Verdict(Wholeness.WHOLE)


DOCUMENT = b'{"game": {"gameId": "1", "note": null, "players": [{"points": 3}, {"points": 0}]}}'
TABLE = b"<html><table id=a><thead><tr><th data-stat=g>G<th>PTS<tbody><tr><td data-stat=g>1<td>2</table></html>"
OF_A_SEASON = {name: value for name, value in FIELDS.items() if name != "id"}


@pytest.mark.parametrize(
    ("body", "options", "fields", "verdict"),
    [
        (DOCUMENT, {"must_have": ["game.gameId", "game.players.1.points"]}, FIELDS, whole()),
        (DOCUMENT, {"must_have": ["game.note", "game.gameId.x"]}, FIELDS, bad("without game.note, game.gameId.x")),
        (DOCUMENT, {"must_have": ["game.players.2"]}, FIELDS, bad("without game.players.2")),
        (DOCUMENT, {"equals": {"game.gameId": "1", "game.players.0.points": "3"}}, FIELDS, whole()),
        (DOCUMENT, {"equals": {"game.gameId": "{id}"}}, FIELDS, bad("game.gameId is 1, not 0022300001")),
        (DOCUMENT, {"equals": {"season": "{season}"}}, FIELDS, bad("season is None, not 2023-24")),
        (DOCUMENT, {"rows": "game.players", "min_rows": 2}, FIELDS, whole()),
        (
            DOCUMENT,
            {"rows": "game.players", "min_rows": 3},
            FIELDS,
            unfinished("2 rows in game.players, fewer than 3"),
        ),
        (DOCUMENT, {"rows": "game.players", "min_rows": 3}, OF_A_SEASON, bad("2 rows in game.players, fewer than 3")),
        (b'{"games": []}', {"rows": "games"}, FIELDS, unfinished("0 rows in games, fewer than 1")),
        (DOCUMENT, {"rows": "game.gameId"}, FIELDS, bad("game.gameId is not a list")),
        (b"[1]", {"min_rows": 2}, OF_A_SEASON, bad("1 row, fewer than 2")),
        (TABLE, {"tables": ["a"], "must_have": ["g", "PTS"], "min_rows": 1}, FIELDS, whole()),
        (TABLE, {"tables": ["a"], "must_have": ["PTS", "AST"]}, FIELDS, bad("table without the column AST")),
        (TABLE, {"tables": ["a"], "min_rows": 2}, FIELDS, unfinished("1 row, fewer than 2")),
        (TABLE, {"tables": ["b"]}, FIELDS, bad("no table b")),
    ],
)
def test_the_general_checks_ask_for_what_their_options_name(
    body: bytes, options: dict[str, Any], fields: dict[str, str], verdict: Verdict
) -> None:
    name = "html_table" if "tables" in options else "json"
    assert examine(body, fields, Check(name=name, **options)) == verdict


def test_the_configuration_knows_every_check() -> None:
    assert CHECKS.keys() == CHECK_OPTIONS.keys()


def test_a_reason_is_safe_to_store() -> None:
    body = json.dumps({"code": 1, "message": "two\nlines\x00 and \ud800 " + "x" * 500}).encode()
    reason = judged("json", body).reason
    assert reason.isprintable()
    assert len(reason) <= 200


def test_an_unknown_check_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        examine(b"{}", FIELDS, Check(name="espn.unknown"))
