"""What lies behind the overview: does it tell what the ledger knows, of what is there, and without harm to others?"""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from config.models import Config
from deployments.serve import drill_down
from tasks.domain.assess.coverage import Hole
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.overview import Place, Standing
from tasks.domain.assess.states import Examination, Kind, LakeObject, State, Status, deferred_by
from tasks.domain.assess.verdicts import whole
from tasks.domain.reasons import Limit, Reason
from tasks.domain.wording import utc
from tasks.ledger import Ledger
from tasks.ledger.plans import RUN
from tasks.observe.listing import check_ids
from tasks.show.status.drill_down import hole_line
from tests.builders import NOW, a_cell, a_config, a_game
from tests.deployments.test_serve import TOKEN, Client, a_look, no_server
from tests.deployments.test_status_page import MARKUP, text_of

__all__ = ["no_server"]
BOARD, DAY = "espn_schedules/20260113.json", "2026-01-13"
THERE, LACKING = ("espn_box_scores/401810001.json", "espn_box_scores/401810002.json")
SEASON, DATE, FILE = "/coverage/espn_summary/2025-26", f"/coverage/espn_summary/2025-26/{DAY}", f"/files/{LACKING}"
REASON = f"paused: {MARKUP} & co"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A lake of which the ledger knows a day with two games. The box score of the second one is a hole."""
    (tmp_path / "lake").mkdir()
    config = a_config(lake=(tmp_path / "lake").as_uri(), ledger=f"sqlite:///{tmp_path / 'ledger.db'}")
    checks = check_ids(config)
    games = (a_game(), a_game(id="401810002"))
    with closing(Ledger(config.ledger)) as ledger:
        keys = [template.format(id=game.id) for template in config.datasets["espn_summary"].keys for game in games]
        for key in [BOARD, *keys]:
            if key == LACKING:
                continue
            dataset, listed = ("espn_scoreboard", games) if key == BOARD else ("espn_summary", ())
            have = LakeObject(key, 100_000, NOW, "etag")
            seen = Examination("etag", 100_000, checks[dataset], whole(listed), NOW)
            ledger.objects.record({key: seen}, objects={key: have}, at=NOW)
        ledger.gaps.record([Gap(a_cell(key=LACKING), Kind.MISSING, "not in the lake", NOW)])
        counts = {Place("espn_summary", "2025-26", DAY): {Standing(State.PRESENT): 1, Standing(State.GAP): 1}}
        ledger.looks.record(a_look(lake=config.lake, counts=counts))
    return config


def keep_plan(config: Config, reason: str) -> None:
    """Records a plan that leaves the hole for later."""
    later = {"limit": "backoff", "of": "espn", "reason": reason, "until": "2099-01-01T00:00:00+00:00"}
    with closing(Ledger(config.ledger)) as ledger:
        ledger.plans.keep(RUN, {"fills": [], "later": [later | {"keys": [LACKING]}]}, NOW, "r1")


def test_a_season_leads_to_its_dates_and_to_its_holes_which_are_those_of_the_look(config: Config) -> None:
    client = Client(config).read()
    season, day = client.ask(SEASON), client.ask(DATE)
    assert "espn_summary 2025-26 50.0 %" in text_of(season.body)
    assert f'href="{DATE}"' in season.body.decode()
    for got in (season, day):
        assert got.status == 200
        assert got.body.decode().count('href="/files/') == 1
        assert f"{LACKING} gap not in the lake" in text_of(got.body)
    assert "1 of 2 files complete; 1 gap, as of 2026-01-15 12:00 UTC" in text_of(day.body)
    assert "No hole is known here" in text_of(client.ask(f"{SEASON}/2026-01-12").body)
    whole = text_of(client.ask(f"{SEASON}/whole").body)
    assert "espn_summary, files that are not of one month" in whole
    assert "Each file of this season is of a month or a date" in whole
    assert "No hole is known" not in whole, "the season has one"


def test_a_hole_says_what_adce_why_says_without_a_look_at_the_lake(config: Config) -> None:
    Path(config.lake.removeprefix("file://")).rmdir()
    client = Client(config).read()
    text = text_of(client.ask(FILE).body)
    assert f"{LACKING} Gap Reason not in the lake" in text
    assert "First missed 2026-01-15 12:00 UTC" in text
    assert "Next fetched by the next run" in text
    assert "No attempt is recorded" in text
    assert "In the lake 100 kB" in text_of(client.ask(f"/files/{THERE}").body)


def test_a_hole_that_waits_says_for_what_and_until_when(config: Config) -> None:
    keep_plan(config, REASON)
    client = Client(config).read()
    for path in (SEASON, DATE, FILE):
        body = client.ask(path).body
        assert "deferred" in text_of(body).lower()
        assert f"not in the lake; {REASON}" in text_of(body) or REASON in text_of(body)
        assert "until 2099-01-01 00:00 UTC" in text_of(body).lower().replace("utc", "UTC")
        assert MARKUP.encode() not in body


@pytest.mark.parametrize(
    "path",
    [
        "/coverage/",
        "/coverage/nothing/2025-26",
        "/coverage/br_totals/",
        "/coverage/espn_summary/2024-25",
        "/coverage/espn_summary/2025-27",
        "/coverage/espn_summary/2099-00",
        "/coverage/espn_summary/1946-47",
        "/coverage/espn_summary/²⁰²⁵-26",
        "/coverage/espn_summary/\u0662\u0660\u0662\u0665-\u0662\u0666",
        f"{SEASON}/",
        f"{SEASON}/2026-13",
        f"{SEASON}/2026-02-30",
        f"{SEASON}/2024-01-13",
        f"{SEASON}/20260113",
        f"{SEASON}/2026-W02-3",
        f"{SEASON}/\u0662\u0660\u0662\u0666-\u0660\u0661-\u0661\u0663",
        f"{SEASON}/\u0662\u0660\u0662\u0666-\u0660\u0661",
        f"{SEASON}/{DAY}/more",
        "/files/",
        "/files/nothing",
        "/files/espn_box_scores/401999999.json",
        "/files/espn_box_scores/*.json",
        f"/files/{MARKUP}",
        "/files/\x00\ud800/x",
        "/files/../../etc/passwd",
    ],
)
def test_what_is_not_there_is_told_as_such_and_not_repeated(config: Config, path: str) -> None:
    client = Client(config).read()
    got = client.ask(path)
    assert (got.status, got.headers["content-type"]) == (404, "application/problem+json")
    page = client.ask(path, accept="text/html")
    assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page" in text_of(page.body)
    assert '<a href="/">To the overview</a>' in page.body.decode()
    assert "<img" not in page.body.decode()
    assert client.ask(path, "POST").status == 405


@pytest.mark.parametrize("path", ["/coverage", "/files", "/nothing"])
def test_an_address_of_nothing_is_told_to_a_browser_as_a_page_with_a_way_back(config: Config, path: str) -> None:
    client = Client(config).read()
    assert client.ask(path).headers["content-type"] == "application/problem+json"
    got = client.ask(path, accept="text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
    assert (got.status, got.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page" in text_of(got.body)
    assert '<a href="/">To the overview</a>' in got.body.decode()


@pytest.mark.parametrize("kind", [Kind.VANISHED, Kind.MISSING])
def test_a_hole_that_is_left_for_later_says_what_is_wrong_with_it_and_until_when_it_is_left(
    config: Config, kind: Kind
) -> None:
    when = datetime(2099, 1, 1, tzinfo=UTC)
    gap = Status(State.GAP, "it has vanished", kind)
    left = deferred_by(Reason(Limit.BACKOFF, f"paused until {utc(when)}", when, "espn"), gap)
    line = hole_line(Hole("espn_summary", "2025-26", DAY, LACKING, left))
    prefix = "vanished; " if kind is Kind.VANISHED else ""
    assert (line.reason, line.when) == (f"{prefix}paused until {utc(when)}", f"until {utc(when)}")
    line = hole_line(Hole("espn_summary", "2025-26", DAY, LACKING, gap))
    assert (line.reason, line.when) == ("it has vanished", "by the next run")
    obstacle = hole_line(Hole("espn_summary", "2025-26", DAY, LACKING, replace(gap, limit=Limit.OBSTACLE)))
    assert obstacle.when == ""


@pytest.mark.parametrize("path", ["/coverage/espn_summary", "/coverage/espn_summary/"])
def test_a_shortened_address_leads_to_the_newest_season_with_a_hole(config: Config, path: str) -> None:
    counts = {Place("espn_summary", season, ""): {Standing(State.PRESENT): 1} for season in ("2023-24", "2025-26")}
    counts[Place("espn_summary", "2024-25", "")] = {Standing(State.GAP): 1}
    with closing(Ledger(config.ledger)) as ledger:
        ledger.looks.record(a_look(lake=config.lake, counts=counts))
    got = Client(config).read().ask(path)
    assert (got.status, got.headers["location"]) == (307, "/coverage/espn_summary/2024-25")


def test_a_season_of_which_the_last_look_expected_no_file_is_not_told_as_one_without_a_hole(config: Config) -> None:
    path = "/coverage/espn_summary/2024-25"
    said = "The last look at the lake expected no file of espn_summary in 2024-25"
    assert f"{said}." in text_of(Client(config).read().ask(path, accept="text/html").body)
    of_sandbox = Client(config.model_copy(update={"sandbox": True})).read().ask(path, accept="text/html")
    assert f"{said}; the sandbox looks at a few days only." in text_of(of_sandbox.body)


def test_a_season_that_is_not_collected_or_of_which_no_look_is_recorded_is_not_there(config: Config) -> None:
    less = config.model_copy(update={"collect": config.collect.model_copy(update={"since": "2025-26"})})
    assert Client(less).read().ask("/coverage/espn_summary/2024-25").status == 404
    with closing(Ledger(config.ledger)) as ledger:
        ledger.looks.record(a_look(lake="file:///another"))
    assert "no reconcile has recorded a look" in Client(config).read().ask(SEASON).json["detail"]


def test_two_pages_are_written_at_a_time_and_a_third_is_told_to_come_again(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(drill_down, "season_now", lambda *_: goes_on.wait(30) and None)

    async def ask() -> list[Any]:
        pages = drill_down.DrillDown(config, lambda: NOW)
        asking = [asyncio.create_task(pages.page(SEASON, None)) for _ in range(3)]
        done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        busy = [task.result() for task in done]
        goes_on.set()
        return [*busy, *(await asyncio.gather(*(one for one in asking if one not in done)))]

    busy, *others = asyncio.run(ask())
    assert isinstance(busy, drill_down.Busy)
    assert [type(one) for one in others] == [drill_down.Missing] * 2
    monkeypatch.setattr(drill_down.DrillDown, "page", lambda *_: asyncio.sleep(0, busy))
    got = Client(config).read().ask(SEASON)
    assert (got.status, got.headers["retry-after"]) == (503, "2")
    assert "Not now" in text_of(Client(config).ask(SEASON, accept="text/html").body)


def test_a_ledger_that_hangs_or_is_gone_is_told_and_holds_up_nothing_else(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(config).read()
    file = Path(config.ledger.removeprefix("sqlite:///"))
    file.write_bytes(b"no database" * 100)
    got = client.ask(FILE)
    assert (got.status, str(file) in got.body.decode()) == (503, False)
    assert client.ask("/").status == 200
    file.unlink()
    assert [client.ask(path).status for path in (SEASON, FILE)] == [503, 503], "it says nothing of what was recorded"
    goes_on = threading.Event()
    monkeypatch.setattr(drill_down, "_WITHIN", 0.01)
    monkeypatch.setattr(drill_down, "season_now", lambda *_: goes_on.wait(30) and None)
    monkeypatch.setattr(drill_down.DrillDown, "_ledger", lambda _: nullcontext())
    assert "has not answered in time" in client.ask(SEASON).json["detail"]
    goes_on.set()


def test_threads_that_hang_give_up_their_places_later_each_time(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, now, hung = threading.Event(), 0, []
    season_now = drill_down.season_now
    monkeypatch.setattr(drill_down, "_WITHIN", 0.01)
    monkeypatch.setattr(drill_down, "season_now", lambda *_: goes_on.wait(30) and None)

    async def ask() -> None:
        nonlocal now
        pages = drill_down.DrillDown(config, lambda: NOW, lambda: now)

        async def why() -> str:
            page = await pages.page(SEASON, None)
            return page.why if isinstance(page, drill_down.Busy) else page

        for now in range(0, 3600, 10):
            while "has not answered in time" in await why():
                hung.append(now)
        assert hung == [0, 0, 60, 120, 300, 600, 1260, 2520]
        monkeypatch.setattr(drill_down, "season_now", season_now)
        monkeypatch.setattr(drill_down, "_WITHIN", 10.0)
        now += 3600
        assert "espn_summary" in await why()
        goes_on.set()

    asyncio.run(ask())


def test_they_need_the_token_unless_they_are_public(config: Config) -> None:
    client = Client(config, token=TOKEN, public=["/"]).read()
    assert [client.ask(path).status for path in (SEASON, FILE)] == [401, 401]
    client = Client(config, token=TOKEN, public=["/coverage/*"]).read()
    assert [client.ask(path).status for path in (SEASON, FILE, "/coverage.json")] == [200, 401, 401]


def test_of_many_holes_the_first_are_listed_and_the_others_counted(config: Config) -> None:
    games = tuple(a_game(id=f"4018{n:05}") for n in range(250))
    with closing(Ledger(config.ledger)) as ledger:
        seen = ledger.objects.examined([BOARD])[BOARD]
        ledger.objects.record({BOARD: seen._replace(verdict=replace(seen.verdict, games=games))})
        keys = [key.format(id=game.id) for key in config.datasets["espn_summary"].keys for game in games]
        gaps = [Gap(a_cell(key=key), Kind.MISSING, "", NOW) for key in keys]
        ledger.gaps.record(gaps)
    got = Client(config).read().ask(SEASON)
    assert got.body.decode().count('href="/files/') == 200
    assert "And 550 more files" in text_of(got.body)
