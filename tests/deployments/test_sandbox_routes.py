"""Which answers does a file of routes give, and what is said of a wrong one?"""

import asyncio
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

from deployments.cli.sandbox import unanswered
from deployments.sandbox.app import Sandbox, create_app
from deployments.sandbox.league import League
from deployments.sandbox.routes import RoutesError, read_routes

ROUTES = """
/nba/boxscoreusagev3?GameID={id}: {file: "usage_{id}.json"}
/br/leagues/NBA_{end_year}_per_game.html: {body: "<html>{end_year} {x}</html>", headers: {Server: mine}}
/espn/news: [{status: 503}, {body: {id: "{id}", games: [1]}}]
/wnba/{date}: {status: 404, body: []}
"""


def test_a_request_gets_the_answer_of_its_route_with_the_values_of_its_fields(tmp_path: Path) -> None:
    (tmp_path / "usage_0022500001.json").write_text('{"a": "{id}"}')
    (tmp_path / "routes.yaml").write_text(ROUTES)
    sandbox = Sandbox(League(), routes=read_routes(tmp_path / "routes.yaml"))
    app = create_app(sandbox)

    async def ask(url: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as client:
            return await client.get(url)

    def get(url: str) -> tuple[int, str, str]:
        response = asyncio.run(ask(url))
        return response.status_code, response.headers.get("Content-Type", "").partition(";")[0], response.text

    usage = "/nba/boxscoreusagev3?StartPeriod=0&GameID="
    assert get(f"{usage}0022500001") == (200, "application/json", '{"a": "0022500001"}'), "by a part of the query"
    assert get(f"{usage}0022500002")[0] == 404, "without its file, the source's own answer"
    assert get(f"{usage}../x")[0] == 404
    assert get("/br/leagues/NBA_2024_per_game.html") == (200, "text/html", "<html>2024 {x}</html>")
    assert asyncio.run(ask("/br/leagues/NBA_2024_per_game.html")).headers["Server"] == "mine"
    assert [get("/espn/news")[0] for _ in range(3)] == [503, 200, 200]
    assert get("/espn/news")[2] == '{"id": "{id}", "games": [1]}'
    assert get("/wnba/2024-01-05") == (404, "application/json", "[]"), "a source of the user's own"
    assert get("/wnba/yesterday")[0] == 404
    assert get("/other/x")[:2] == (404, ""), "no such site"
    assert '"events"' in get("/espn/scoreboard?dates=20260113")[2], "everything else as before"
    assert get("/espn/summary?event=1")[0] == 404, "a page without such a game"
    log = [asdict(entry) for entry in sandbox.log]
    assert unanswered(log) == (
        "the sandbox has no page for 3 requests, such as /nba/boxscoreusagev3?StartPeriod=0&GameID=0022500002; "
        "--routes FILE names what it answers there"
    )
    assert unanswered(log[:1]) is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("/nba/x: {file: usage.json}", "/nba/x: no file 'usage.json' in "),
        ("/nba/x?GameID={game}: {body: a}", "/nba/x?GameID={game}: no field {game}; there are season, "),
        ("/nba/x: {body: a, file: b}", "/nba/x: give a body or a file, not both"),
        ("/nba/x: {boddy: a}", "/nba/x: boddy: no such setting; there are status, headers, body, file"),
        ("/nba/x: {status: soon}", "/nba/x: status: Input should be a valid integer"),
        ("/nba/x: [{status: 503}, {status: 7}]", "/nba/x: 1.status: Input should be greater than or equal to 200"),
        ("/nba/x: good", "/nba/x: must be an answer, such as {file: body.json}, or a list of answers"),
        ("nba/x: {body: a}", "nba/x: a path begins with its source: /espn/, /nba/, /br/, or the name of"),
        ("- a", "must map paths, such as /nba/path?GameID={id}, to answers"),
        ("a: [", "not YAML at line 2: "),
    ],
)
def test_a_mistake_in_the_routes_is_one_line(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "routes.yaml").write_text(text + "\n")
    with pytest.raises(RoutesError) as caught:
        read_routes(tmp_path / "routes.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'routes.yaml'}: {error}")
    assert "\n" not in str(caught.value)


def test_a_file_of_routes_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RoutesError, match=r"no\.yaml: cannot be read: No such file or directory$"):
        read_routes(tmp_path / "no.yaml")
