"""What an operator asks: why is it not there, how complete is it all, what is unavailable, is the ledger whole?"""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import Result

from deployments.sandbox.process import SandboxProcess
from tasks.answers.report import Report
from tasks.domain.assess.absences import Absence
from tasks.domain.errors import MismatchError
from tasks.domain.lakes import KnownLake, LakeKind
from tasks.ledger import Ledger
from tasks.ledger.judgements import judgement_sets_table
from tests.builders import NOW, a_gap
from tests.old_ledger import make_old_ledger

AS_OF = ["--as-of", "2026-01-15T12:00:00Z"]
SPAN = [*AS_OF, "--since", "2026-01-13", "--until", "2026-01-14"]
Adce = Callable[..., Result]


@pytest.fixture
def game(adce: Adce, run_reconcile: Callable[..., object], adce_home: Path) -> str:
    """A game of a lake that is whole but for the files of this one."""
    run_reconcile(sources=["espn"])
    game = min((adce_home / "lake/espn_box_scores").iterdir()).stem
    for folder in ("espn_box_scores", "espn_play_by_play", "espn_team_stats"):
        (adce_home / f"lake/{folder}/{game}.json").unlink()
    return game


def _why(adce: Adce, text: str) -> list[dict[str, object]]:
    result = adce("why", text, "--json", *AS_OF)
    assert result.exit_code == 0, result.stderr
    answers: list[dict[str, object]] = json.loads(result.stdout)["answers"]
    return answers


def test_why_tells_all_about_a_file_that_is_not_there(adce: Adce, game: str) -> None:
    key = f"espn_box_scores/{game}.json"
    plan = json.loads(adce("plan", "--json", "--source", "espn", *SPAN).stdout)
    [answer] = _why(adce, key)
    assert (answer["key"], answer["state"], answer["kind"]) == (key, "gap", "vanished")
    assert answer["decides"] == "the next run: it is vanished"
    assert answer["score"] == plan["fills"][0]["score"]
    [espn, *others] = plan["cost"]["sources"]
    assert (espn["name"], espn["known"]["files"], espn["known"]["requests"]) == ("espn", 3, 1)
    assert espn["known_done"] == espn["done"] == plan["fills"][0]["eta"]
    assert plan["cost"]["total"] == espn | {"name": "all"}
    assert [one["done"] for one in others] == [None, None]
    assert plan["scrapers"]["espn_summary"]["requests_per_file"] == pytest.approx(1 / 3)  # one answer, three files
    assert answer["score_parts"] == plan["fills"][0]["score_parts"]
    [attempt] = answer["attempts"]  # type: ignore[misc]
    assert attempt["outcome"] == "stored"
    assert attempt["flow_run"] is not None
    assert attempt["due"] <= attempt["detected"]
    assert attempt["asked"]
    assert answer["learnt"] is None, "the version that was stored is not there"
    [board] = _why(adce, "espn_schedules/20260113.json")
    assert board["learnt"]["by"] == "own"  # type: ignore[index]
    result = adce("why", key, *AS_OF)
    assert result.exit_code == 0
    for word in (key, "gap (vanished)", "not in the lake any more", "every 15m", "stored,"):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("{game}", 3, id="game"),
        pytest.param("espn_*/{game}.json", 3, id="pattern"),
        pytest.param("*{game}*", 3, id="pattern of any folder"),
        pytest.param("espn_schedules/2026011[34].json", 2, id="pattern of days"),
        pytest.param("espn_schedules/20260113.json", 1, id="key"),
    ],
)
def test_why_takes_a_game_a_pattern_or_a_key(adce: Adce, game: str, text: str, count: int) -> None:
    assert len(_why(adce, text.format(game=game))) == count


def test_why_takes_a_date(adce: Adce, game: str) -> None:
    answers = _why(adce, "2026-01-13")
    assert {answer["dataset"] for answer in answers} >= {"espn_scoreboard", "espn_summary", "nba_schedule"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "espn_box_score/1.json",
            "no dataset has such a key; the nearest is espn_box_scores/{id}.json",
        ),
        (
            "espn_box_scores/401999999.json",
            "has the shape of espn_summary (id 401999999), but is not expected",
        ),
        ("espn_schedules/19991231.json", "has the shape of espn_scoreboard (yyyymmdd 19991231), but is not expected"),
        (
            "espn_schedules/20250805.json",
            "has the shape of espn_scoreboard (yyyymmdd 20250805), but is not expected: 2025",
        ),
        ("2025-08-05", "nothing is expected of that day: 2025-08-05 is in no season; 2024-25 ends on 2025-06-30, and "),
        ("401999999", "no key, no pattern with * ? [], no date, and no game of a schedule that a run has read; `adce"),
        ("20260110", "no key, no pattern with * ? [], no date, and no game of a schedule that a run has read; a date"),
        (
            "401999999.json",
            "no key, no pattern with * ? [], no date, and no game of a schedule that a run has read; a key begins with "
            "its folder: espn_box_scores/401999999.json or ",
        ),
        ("espn", "a source, with the datasets espn_scoreboard, espn_summary"),
        ("espn_scoreboard", "a dataset; name a file of it, such as espn_schedules/{yyyymmdd}.json, or a pattern"),
        ("nothing/*.json", "no file that the lake should hold has a key of this pattern. * matches any text, / too"),
    ],
)
def test_why_says_of_what_is_nobodys_what_comes_nearest(adce: Adce, text: str, line: str) -> None:
    result = adce("why", text, *AS_OF)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"adce: {text}: {line}")
    assert result.stderr.count("\n") == 1


def test_coverage_counts_the_same_cells_as_the_plan_and_draws_them(adce: Adce, game: str, tmp_path: Path) -> None:
    plan = json.loads(adce("plan", "--json", "--source", "espn", *SPAN).stdout)
    pictures = ["--svg", str(tmp_path / "c.svg"), "--html", str(tmp_path / "c.html")]
    result = adce("coverage", "--json", "--by", "date", "--source", "espn", *SPAN, *pictures)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    total = document["total"]
    assert {state: total[state] for state in plan["cells"] if state != "total"} == {
        state: count for state, count in plan["cells"].items() if state != "total"
    }
    assert sum(row["gap"] for row in document["rows"]) == plan["cells"]["gap"] == 3
    assert document["lake"] == os.environ["ADCE_LAKE"]
    picture = ElementTree.fromstring((tmp_path / "c.svg").read_text())
    title = f"Coverage of {document['lake']} as of 2026-01-15 12:00 UTC; only espn since {SPAN[-3]} until {SPAN[-1]}"
    assert picture.findtext("{*}title") == title
    assert f"espn_box_scores/{game}.json" in (tmp_path / "c.html").read_text()
    shown = adce("coverage", "--source", "espn", *SPAN)
    assert "espn_summary" in shown.stdout


def test_a_wrong_way_to_look_is_one_line(adce: Adce) -> None:
    result = adce("coverage", "--by", "week")
    assert result.exit_code == 2
    assert "'week' is not one of 'season', 'month', 'date'" in result.stderr


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--svg", "-"], "--svg -: name a file; standard output is only for --json"),
        (["--html", "-", "--json"], "--html -: name a file; standard output is only for --json"),
        (["--html", "c.html", "--by", "date"], "--by date: a page has seasons and dates in any case; leave it out"),
    ],
)
def test_a_picture_or_a_page_that_would_not_be_as_asked_for_is_refused(
    adce: Adce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = adce("coverage", *options)
    assert (result.exit_code, result.stderr) == (2, f"adce: {line}\n")
    assert list(tmp_path.glob("[c-]*")) == []


def test_an_operator_sets_lists_and_clears_what_is_unavailable(adce: Adce, game: str) -> None:
    key = f"espn_box_scores/{game}.json"
    assert adce("unavailable", "add", key, "--note", "never\nkept").exit_code == 0
    [answer] = _why(adce, key)
    assert (answer["state"], answer["reason"]) == ("unavailable", "set by an operator: never kept")
    listed = json.loads(adce("unavailable", "list", "--json").stdout)["unavailable"]
    assert [(row["key"], bool(row["by"])) for row in listed] == [(key, True)]
    with closing(Ledger(os.environ["ADCE_LEDGER"])) as ledger:
        ledger.absences.record([Absence("a", "HTTP 404", NOW, NOW, looks=2, dataset="espn_summary")])
    by_source, by_operator = adce("unavailable", "list").stdout.splitlines()
    assert by_source == "a  not yet counted as unavailable  espn, in 2 looks since 2026-01-15 12:00 UTC: HTTP 404"
    who = listed[0]["by"]
    assert re.fullmatch(rf"{key}  until .{{16}} UTC  {who}, on .{{16}} UTC: never kept", by_operator)
    cleared = adce("unavailable", "clear", "espn_box_scores/*")
    assert (cleared.exit_code, cleared.stdout) == (0, "1 file is looked for again\n")
    [answer] = _why(adce, key)
    assert answer["state"] == "gap"
    result = adce("unavailable", "clear", key)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    result = adce("unavailable", "add", "espn_box_scores/1.json", "--note", "x")
    assert (result.exit_code, "no dataset has such a key" in result.stderr) == (2, True)
    result = adce("unavailable", "add", key, "--note", "x", "--until", "2020-01-01")
    assert (result.exit_code, result.stderr) == (2, "adce: --until 2020-01-01: that day is past\n")


def test_a_lake_that_is_gone_whole_is_filled_anew_only_when_somebody_says_so(
    adce: Adce,
    run_reconcile: Callable[..., Report],
    sites: SandboxProcess,
    adce_home: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scope: dict[str, Any] = {"datasets": ["espn_scoreboard"]}
    narrow = [*SPAN, "--dataset", "espn_scoreboard"]
    none_yet = adce("ledger", "forget-lake")
    assert (none_yet.exit_code, "there is no ledger at " in none_yet.stderr) == (2, True)
    boards = run_reconcile(**scope).filled
    lake, away = adce_home / "lake", adce_home / "not-mounted"
    lake.rename(away)
    sites.clear_requests()
    with pytest.raises(MismatchError, match=r"is empty, but ledger .* knows 2 files of it: is the disk mounted"):
        run_reconcile(**scope)
    assert not lake.exists()
    for command in (["plan", *narrow], ["coverage", *narrow], ["why", boards[0], *AS_OF]):
        caplog.clear()
        assert adce(*command).exit_code == 0, command
        assert caplog.text.count("is empty, but ledger") == 1, command
    away.rename(lake)
    assert run_reconcile(**scope).fills == ()
    shutil.rmtree(lake)
    said = adce("ledger", "forget-lake")
    assert (said.exit_code, f"lake {lake.as_uri()} (2 files)" in said.stdout) == (0, True)
    assert sites.requests() == []
    again = run_reconcile(**scope)
    assert (again.filled, again.lost) == (boards, [])


def test_the_ledger_is_checked_and_pruned(adce: Adce, game: str) -> None:
    result = adce("ledger", "check")
    assert result.exit_code == 0
    assert result.stdout.endswith("whole\n")
    assert len({len(line) for line in result.stdout.splitlines()[:-1]}) == 1, "they are in columns"
    assert adce("ledger", "prune", "--keep", "90d").exit_code == 0
    [answer] = _why(adce, f"espn_box_scores/{game}.json")
    assert answer["attempts"] == [], "they were made at a clock of long ago"
    result = adce("ledger", "prune", "--keep", "lots")
    assert (result.exit_code, result.stderr) == (2, "adce: --keep lots: not a duration; write it as 30m, 2h or 90d\n")


def test_times_ahead_of_the_clock_and_damaged_judgements_are_told_by_the_check(adce: Adce, adce_home: Path) -> None:
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400)
    with closing(Ledger(f"sqlite:///{adce_home}/ledger.db")) as ledger:
        ledger.gaps.record([a_gap(1), a_gap(2, first_seen=ahead)])
        ledger.pauses.change("espn", lambda pause: replace(pause, until=ahead))
        ledger.pauses.change("nba_api", lambda pause: replace(pause, until=datetime.now(UTC) + timedelta(hours=1)))
        sets = [{"name": name, "id": name, "partitions": "", "ranges": b""} for name in ("last", "another")]
        ledger.database.write(lambda connection: connection.execute(judgement_sets_table.insert(), sets))
    result = adce("ledger", "check")
    said = result.stdout.splitlines()[-5:]
    assert result.exit_code == 1
    assert said[0].startswith("gaps.first_seen: 1 time ahead of this machine's clock, ")
    assert said[0].endswith(f"; the latest is {ahead:%Y-%m-%d %H:%M} UTC")
    assert said[1] == "pauses of espn: they end later than any pause can"
    assert said[2].startswith("a clock was wrong: set it right (NTP)")
    damaged = (
        "judgements cannot be read: judgement_sets has 2 rows instead of one; nothing is lost, and the next run makes "
        "them anew"
    )
    assert said[3:] == [damaged, "whole; only the times and judgements above are wrong"]
    assert json.loads(adce("ledger", "check", "--json").stdout)["damaged"] == [damaged]
    with closing(Ledger(f"sqlite:///{adce_home}/ledger.db")) as ledger:
        ledger.identity.remember(KnownLake("id", LakeKind.SANDBOX, "file:///lake"))
        ledger.database.write(ledger.judgements.forget)
    assert adce("ledger", "check").stdout.endswith("\nwhole\n"), "a sandbox's clock may be ahead"


def test_a_ledger_that_another_program_holds_is_told_by_the_check(
    adce: Adce, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.cli.ledger._HELD_SECONDS", 0.1)
    file = adce_home / "ledger.db"
    Ledger(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        result = adce("ledger", "check")
        assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "whole")
        assert f"so it cannot be written; end that one: `fuser {file}`" in result.stdout
        assert json.loads(adce("ledger", "check", "--json").stdout)["held"] is True
        holder.execute("ROLLBACK")
    assert json.loads(adce("ledger", "check", "--json").stdout)["held"] is False
    assert adce("ledger", "check").exit_code == 0


def test_the_ledger_is_migrated_once(adce: Adce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    monkeypatch.setenv("ADCE_LEDGER", url)
    make_old_ledger(url, "0016")
    migrated, again = (adce("ledger", "migrate") for _ in range(2))
    assert migrated.exit_code == again.exit_code == 0
    with closing(Ledger(url)) as ledger:
        newest = ledger.database.schema
    [copy] = tmp_path.glob("old.db.schema-0016.*")
    assert migrated.stdout == (
        f"ledger {url} is migrated from schema 0016 to {newest}; the former one is kept as {copy}\n"
    )
    assert again.stdout == f"ledger {url} has schema {newest}; there is nothing to migrate\n"


def test_a_ledger_that_is_not_there_is_not_whole_and_not_made(adce: Adce, adce_home: Path) -> None:
    for command in ("ledger check", "ledger migrate", "ledger prune", "unavailable list", "unavailable clear 1"):
        result = adce(*command.split())
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert result.stderr.startswith(f"adce: there is no ledger at sqlite:///{adce_home}/ledger.db")
    assert not (adce_home / "ledger.db").exists()


def test_what_only_looks_needs_no_ledger_and_leaves_one_as_it_is(adce: Adce, game: str, adce_home: Path) -> None:
    def answers() -> list[Any]:
        plan, cover = (json.loads(adce(command, "--json", *SPAN).stdout) for command in ("plan", "coverage"))
        files = [{k: v for k, v in a.items() if k in ("key", "state")} for a in _why(adce, game)]
        compared = adce("config", "diff", "-", "-", *SPAN)
        return [plan["cells"], cover["total"], files, (compared.exit_code, compared.stdout)]

    kept = sorted(adce_home.glob("ledger.db"))
    before = [file.read_bytes() for file in kept]
    known = answers()
    assert [file.read_bytes() for file in kept] == before
    for file in adce_home.glob("ledger.db*"):
        file.unlink()
    assert len(known[2]) == 3
    assert answers() == known
    for command in ("sources", "runs"):
        answered = adce(command)
        assert (answered.exit_code, answered.stderr.count("adce: there is no ledger at sqlite://")) == (0, 1)
    assert list(adce_home.glob("ledger.db*")) == []


def test_looking_needs_no_prefect(adce_home: Path) -> None:
    """It takes seconds to import: what only looks must not."""
    script = (
        "import sys; from deployments.cli import app\n"
        "for line in sys.argv[1:]: app(line.split(), standalone_mode=False)\n"
        "print('prefect' in sys.modules)"
    )
    board, span = "espn_schedules/20260113.json", " ".join(SPAN)
    about = [f"plan {span}", f"coverage {span}", f"why {board} {AS_OF[0]} {AS_OF[1]}", f"config diff - - {span}"]
    lines = [*about, *(f"{line} --json" for line in about), "unavailable list", f"coverage {span} --html page.html"]
    found = subprocess.run(
        [sys.executable, "-c", script, *lines], cwd=adce_home, check=True, capture_output=True, text=True
    )
    assert found.stdout.splitlines()[-1] == "False"
