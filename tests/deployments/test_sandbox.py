"""Does the running sandbox answer, limit and fail as the three sites do?"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from config.models import Check
from deployments.sandbox.league import Fate, League
from deployments.sandbox.process import SandboxError, SandboxProcess
from tasks.domain.assess.verdicts import Wholeness
from tasks.sources.checks import examine
from tasks.sources.fingerprints import fingerprint

SEASON = "2023-24"
LEAGUE = League()
GAME = [game for game in LEAGUE.season(SEASON) if game.fate is Fate.PLAYED][100]
AFTER_THE_SEASON = datetime(2024, 9, 1, tzinfo=UTC)
BEFORE = GAME.start - timedelta(hours=1)
DURING = GAME.start + timedelta(hours=1)

FIELDS = {
    "season": SEASON,
    "start_year": "2023",
    "end_year": "2024",
    "date": f"{GAME.day}",
    "yyyymmdd": f"{GAME.day:%Y%m%d}",
    "month": f"{GAME.day:%B}".lower(),
}
PERIODS = "&StartPeriod=0&EndPeriod=0"
RANGES = f"{PERIODS}&StartRange=0&EndRange=0&RangeType=0"
# check: source, path below its base, table ids
PATHS: dict[str, tuple[str, str, list[str]]] = {
    "espn.scoreboard": ("espn", f"/scoreboard?dates={FIELDS['yyyymmdd']}", []),
    "espn.summary": ("espn", f"/summary?event={GAME.espn_id}", []),
    "nba_api.schedule": ("nba_api", f"/scheduleleaguev2?Season={SEASON}&LeagueID=00", []),
    "nba_api.box_score": ("nba_api", f"/boxscoretraditionalv3?GameID={GAME.nba_id}{RANGES}", []),
    "nba_api.play_by_play": ("nba_api", f"/playbyplayv3?GameID={GAME.nba_id}{PERIODS}", []),
    "basketball_reference.schedule": (
        "basketball_reference",
        f"/leagues/NBA_2024_games-{FIELDS['month']}.html",
        [],
    ),
    "basketball_reference.box_score": ("basketball_reference", f"/boxscores/{GAME.br_id}.html", []),
    "basketball_reference.play_by_play": ("basketball_reference", f"/boxscores/pbp/{GAME.br_id}.html", []),
    "basketball_reference.season_table": (
        "basketball_reference",
        "/leagues/NBA_2024_totals.html",
        ["totals_stats"],
    ),
}
ADVANCED = {
    "nba_api.box_score": ("nba_api", f"/boxscoreadvancedv3?GameID={GAME.nba_id}{RANGES}", []),
    "basketball_reference.season_table": (
        "basketball_reference",
        "/leagues/NBA_2024_advanced.html",
        ["advanced", "advanced_stats"],
    ),
}
EVERY = [*PATHS.items(), *ADVANCED.items()]


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with SandboxProcess(clock=AFTER_THE_SEASON.isoformat()) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: SandboxProcess) -> SandboxProcess:
    running.clear_faults()
    running.clear_corrections()
    running.clear_requests()
    running.set_clock(AFTER_THE_SEASON.isoformat())
    return running


def get(sandbox: SandboxProcess, source: str, path: str, timeout: float = 10) -> httpx.Response:
    return httpx.get(sandbox.base_urls[source] + path, timeout=timeout, trust_env=False)


def judge(sandbox: SandboxProcess, name: str, asked: tuple[str, str, list[str]]) -> Wholeness:
    source, path, tables = asked
    ids = {"espn": GAME.espn_id, "nba_api": GAME.nba_id, "basketball_reference": GAME.br_id}
    check = Check(name=name, tables=tables, min_rows=300 if tables else 0)
    return examine(get(sandbox, source, path).content, FIELDS | {"id": ids[source]}, check).wholeness


@pytest.mark.parametrize(("name", "asked"), EVERY)
def test_every_body_is_whole_when_the_season_is_over(
    sandbox: SandboxProcess, name: str, asked: tuple[str, str, list[str]]
) -> None:
    assert judge(sandbox, name, asked) is Wholeness.WHOLE


@pytest.mark.parametrize("now", [BEFORE, DURING], ids=["scheduled", "live"])
@pytest.mark.parametrize(("name", "asked"), EVERY)
def test_no_body_is_whole_before_its_games_are_over(
    sandbox: SandboxProcess, name: str, asked: tuple[str, str, list[str]], now: datetime
) -> None:
    sandbox.set_clock(now.isoformat())
    # Basketball Reference has no page of a game before it is over, and so answers its 404 page.
    no_page = name in ("basketball_reference.box_score", "basketball_reference.play_by_play")
    # The NBA has empty sets for a game that has not begun; a check may call them either.
    empty = name in ("nba_api.box_score", "nba_api.play_by_play") and now is BEFORE
    # Whether a season was over when its totals were taken, the calendar says.
    by_calendar = name == "basketball_reference.season_table"
    accepted = {Wholeness.BAD} if no_page else {Wholeness.WHOLE} if by_calendar else {Wholeness.PARTIAL}
    assert judge(sandbox, name, asked) in (accepted | {Wholeness.BAD} if empty else accepted)


@pytest.mark.parametrize(("name", "asked"), EVERY)
def test_two_answers_differ_and_say_the_same(
    sandbox: SandboxProcess, name: str, asked: tuple[str, str, list[str]]
) -> None:
    one, other = (get(sandbox, *asked[:2]).content for _ in range(2))
    assert one != other
    assert fingerprint(one, Check(name=name)) == fingerprint(other, Check(name=name))


def said(sandbox: SandboxProcess, name: str, asked: tuple[str, str, list[str]]) -> str:
    return fingerprint(get(sandbox, *asked[:2]).content, Check(name=name))


@pytest.mark.parametrize("game_id", [GAME.espn_id, GAME.nba_id, GAME.br_id])
@pytest.mark.parametrize(("name", "asked"), EVERY)
def test_a_correction_is_told_by_every_body_of_its_game_and_by_no_list_of_games(
    sandbox: SandboxProcess, name: str, asked: tuple[str, str, list[str]], game_id: str
) -> None:
    before = said(sandbox, name, asked)
    sandbox.correct(game_id)
    assert judge(sandbox, name, asked) is Wholeness.WHOLE
    tells = name.endswith(("summary", "box_score", "play_by_play"))
    assert (said(sandbox, name, asked) != before) is tells


def test_each_correction_changes_more_and_all_can_be_taken_back(sandbox: SandboxProcess) -> None:
    seen = [said(sandbox, "nba_api.box_score", PATHS["nba_api.box_score"])]
    for _ in range(2):
        sandbox.correct(GAME.nba_id)
        seen.append(said(sandbox, "nba_api.box_score", PATHS["nba_api.box_score"]))
    assert len(set(seen)) == 3
    sandbox.clear_corrections()
    assert said(sandbox, "nba_api.box_score", PATHS["nba_api.box_score"]) == seen[0]


def test_one_source_can_correct_what_the_others_do_not(sandbox: SandboxProcess) -> None:
    checks = ["espn.summary", "nba_api.box_score", "basketball_reference.box_score"]
    before = [said(sandbox, name, PATHS[name]) for name in checks]
    sandbox.correct(GAME.espn_id, "nba_api")
    after = [said(sandbox, name, PATHS[name]) for name in checks]
    assert [one != other for one, other in zip(before, after, strict=True)] == [False, True, False]


def test_a_correction_moves_a_rebound_from_one_player_to_another(sandbox: SandboxProcess) -> None:
    def rebounds() -> list[int]:
        box = get(sandbox, *PATHS["nba_api.box_score"][:2]).json()["boxScoreTraditional"]
        players = [*box["homeTeam"]["players"], *box["awayTeam"]["players"]]
        return [player["statistics"]["reboundsTotal"] for player in players]

    before = rebounds()
    sandbox.correct(GAME.nba_id)
    moved = [new - old for old, new in zip(before, rebounds(), strict=True)]
    assert sorted(difference for difference in moved if difference) == [-1, 1]


@pytest.mark.parametrize(
    ("game_id", "source", "reason"),
    [
        ("401999999", None, "'401999999' is not a game that is over"),
        (GAME.espn_id, "nowhere", "'nowhere' is not a source"),
    ],
)
def test_a_correction_that_is_none_is_refused_with_a_reason(
    sandbox: SandboxProcess, game_id: str, source: str | None, reason: str
) -> None:
    with pytest.raises(SandboxError, match=reason):
        sandbox.correct(game_id, source)


def test_only_a_game_that_is_over_is_corrected(sandbox: SandboxProcess) -> None:
    sandbox.set_clock(DURING.isoformat())
    before = said(sandbox, "espn.summary", PATHS["espn.summary"])
    with pytest.raises(SandboxError, match="is not a game that is over"):
        sandbox.correct(GAME.espn_id)
    assert said(sandbox, "espn.summary", PATHS["espn.summary"]) == before


@pytest.mark.parametrize("kind", ["403", "404", "429", "500", "503", "block", "soft404", "empty", "truncated"])
@pytest.mark.parametrize(("name", "asked"), PATHS.items())
def test_the_body_of_every_error_is_bad(
    sandbox: SandboxProcess, name: str, asked: tuple[str, str, list[str]], kind: str
) -> None:
    sandbox.set_faults(asked[0], kind)
    assert judge(sandbox, name, asked) is Wholeness.BAD


@pytest.mark.parametrize(("name", "asked"), PATHS.items())
def test_the_body_of_another_game_is_bad(sandbox: SandboxProcess, name: str, asked: tuple[str, str, list[str]]) -> None:
    sandbox.set_faults(asked[0], "wrong_id")
    if name == "espn.scoreboard":  # the day before may be a day off, which a board cannot tell apart
        day = next(game.day for game in LEAGUE.season(SEASON) if LEAGUE.on(game.day - timedelta(1), DURING))
        asked = (asked[0], f"/scoreboard?dates={day:%Y%m%d}", [])
    assert judge(sandbox, name, asked) is Wholeness.BAD


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("other_kind", "nba_api.box_score", "boxScoreAdvanced, not a box score of kind traditional"),
        ("hollow", "nba_api.box_score", "hollow: 1 players of a team have played"),
        ("hollow", "nba_api.play_by_play", "hollow: no play in period 2 of 4"),
        ("hollow", "espn.summary", "hollow: 1 players of a team have played"),
        ("hollow", "basketball_reference.box_score", "hollow: 1 players of a team have played"),
        ("no_players", "nba_api.box_score", "no players in the box score"),
        ("no_players", "espn.summary", "0 of 2 teams have players in the box score"),
        ("no_players", "basketball_reference.box_score", "no players in the box score"),
        ("odd_entry", "nba_api.schedule", r"1 of \d+ entries cannot be read: 004\d{7}: gameStatus 4"),
        ("odd_entry", "espn.scoreboard", r"1 of \d+ entries cannot be read: 401\d{6}: state new"),
        ("odd_entry", "basketball_reference.schedule", r"1 of \d+ entries cannot be read: 202413400[A-Z]{3}: not in"),
    ],
)
def test_a_body_of_the_right_name_can_be_odd(sandbox: SandboxProcess, kind: str, name: str, reason: str) -> None:
    source, path, tables = PATHS[name]
    sandbox.set_faults(source, kind)
    ids = {"espn": GAME.espn_id, "nba_api": GAME.nba_id, "basketball_reference": GAME.br_id}
    check = Check(name=name, tables=tables, kind="traditional")
    found = examine(get(sandbox, source, path).content, FIELDS | {"id": ids[source]}, check)
    assert found.wholeness is not Wholeness.WHOLE
    assert re.match(reason, found.reason), found.reason


@pytest.mark.parametrize(("kind", "name"), [("twice", "nba_api.schedule"), ("twice", "espn.scoreboard")])
def test_a_list_that_has_a_game_twice_is_read_as_if_it_had_it_once(
    sandbox: SandboxProcess, kind: str, name: str
) -> None:
    source, path, _ = PATHS[name]
    once = get(sandbox, source, path).content
    sandbox.set_faults(source, kind)
    twice = get(sandbox, source, path).content
    assert len(twice) > len(once) + 100
    assert examine(twice, FIELDS, Check(name=name)) == examine(once, FIELDS, Check(name=name))


@pytest.mark.parametrize("kind", ["reset", "cut_off"])
def test_a_broken_connection_breaks(sandbox: SandboxProcess, kind: str) -> None:
    sandbox.set_faults("espn", kind, first=1)
    source, path, _ = PATHS["espn.summary"]
    with pytest.raises(httpx.TransportError):
        get(sandbox, source, path)
    assert get(sandbox, source, path).status_code == 200
    assert [(entry["status"], entry["fault"]) for entry in sandbox.requests()] == [(None, kind), (200, None)]


def test_a_hang_lasts_until_the_client_gives_up(sandbox: SandboxProcess) -> None:
    sandbox.set_faults("nba_api", "hang", match="boxscore")
    source, path, _ = PATHS["nba_api.box_score"]
    with pytest.raises(httpx.ReadTimeout):
        get(sandbox, source, path, timeout=0.3)
    assert get(sandbox, *PATHS["nba_api.play_by_play"][:2]).status_code == 200


def test_the_sites_say_in_their_own_way_that_there_is_no_such_thing(sandbox: SandboxProcess) -> None:
    espn = get(sandbox, "espn", "/summary?event=401999999")
    assert (espn.status_code, espn.json()["code"]) == (404, 404)
    assert get(sandbox, "espn", "/scoreboard?dates=20240101-20240105").status_code == 400
    nba = get(sandbox, "nba_api", "/boxscoretraditionalv3?GameID=0022399999")
    assert (nba.status_code, list(nba.json())) == (200, ["Message"])
    br = get(sandbox, "basketball_reference", "/boxscores/202401010QQQ.html")
    assert br.status_code == 404
    assert "/404.html" in br.text


def test_a_summer_day_has_an_empty_board(sandbox: SandboxProcess) -> None:
    board = get(sandbox, "espn", "/scoreboard?dates=20240801").json()
    assert board["events"] == []
    assert len(board["leagues"][0]["calendar"]) > 150


def test_requests_that_are_forgotten_count_towards_no_rate_and_stay_in_the_log() -> None:
    with SandboxProcess(rates={"espn": "1/3600"}) as sandbox:
        address = f"{sandbox.base_urls['espn']}/scoreboard?dates=20260113"
        statuses = [httpx.get(address).status_code for _ in range(2)]
        sandbox.forget_accepted()
        statuses += [httpx.get(address).status_code for _ in range(2)]
        assert statuses == [entry["status"] for entry in sandbox.requests()] == [200, 429, 200, 429]


def test_requests_over_the_rate_get_429_and_are_counted() -> None:
    with SandboxProcess(rates={"basketball_reference": "2/60"}) as sandbox:
        path = "/leagues/NBA_2024_totals.html"
        answers = [get(sandbox, "basketball_reference", path) for _ in range(4)]
        log = sandbox.requests()
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert int(answers[2].headers["Retry-After"]) > 50
    assert [entry["limited"] for entry in log] == [False, False, True, True]


def test_a_source_can_hang_over_its_rate_as_the_nba_does() -> None:
    path = PATHS["nba_api.play_by_play"][1]
    with SandboxProcess(rates={"nba_api": "1/60"}, hang_over_limit=["nba_api"]) as sandbox:
        assert get(sandbox, "nba_api", path).status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            get(sandbox, "nba_api", path, timeout=0.3)
        assert [(entry["status"], entry["limited"]) for entry in sandbox.requests()] == [
            (200, False),
            (None, True),
        ]


def test_two_processes_of_one_seed_answer_with_the_same_bytes(sandbox: SandboxProcess) -> None:
    with SandboxProcess(clock=AFTER_THE_SEASON.isoformat()) as other:
        for source, path, _ in PATHS.values():
            assert get(sandbox, source, path).content == get(other, source, path).content


def test_a_fault_that_is_none_is_refused_with_a_reason(sandbox: SandboxProcess) -> None:
    with pytest.raises(SandboxError, match="'nowhere' is not a source"):
        sandbox.set_faults("nowhere", "500")


def test_the_sandbox_ends_when_its_parent_is_killed() -> None:
    script = (
        "import time; from deployments.sandbox.process import SandboxProcess\n"
        "with SandboxProcess() as sandbox: print(sandbox.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert _runs(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that has ended and that nobody has waited for yet still has its number.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in ("", "Z")
