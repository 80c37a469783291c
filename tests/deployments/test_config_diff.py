"""What would a change of the configuration do? As `adce config diff` tells before it lands."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from tasks.ledger import Ledger
from tasks.ledger.plans import PLAN

SPAN = ["--as-of", "2026-01-15T12:00:00Z", "--since", "2026-01-13", "--until", "2026-01-14"]
Adce = Callable[..., Result]
MORE = """
datasets:
  espn_standings:
    source: espn
    url: /standings?dates={yyyymmdd}
    keys: ["espn_standings/{yyyymmdd}.json"]
    per: date
    first_season: 2015-16
    due_after: 0h
    check: {name: espn.summary}
"""


@pytest.fixture
def diff(adce: Adce, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The document about two configurations, each the text of a file or "-"."""

    def run(old: str, new: str, *options: str) -> dict[str, Any]:
        names = []
        for name, text in (("old.yaml", old), ("new.yaml", new)):
            (tmp_path / name).write_text(text)
            names.append("-" if text == "-" else str(tmp_path / name))
        result = adce("config", "diff", *names, "--json", *SPAN, *options)
        assert result.exit_code == 0, result.stderr
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    return run


def test_a_source_that_is_switched_off_is_told_as_settings_states_and_requests(diff: Any) -> None:
    document = diff("-", "sources: {espn: {enabled: false}}")
    assert document["settings"] == [{"name": "sources.espn.enabled", "old": True, "new": False}]
    assert document["switches"] == {"old": [], "new": ["espn off"]}
    assert {
        row["key"]: (row["old"]["state"], row["new"]["state"], row["new"]["reason"]) for row in document["states"]
    } == {
        f"espn_schedules/202601{day}.json": ("gap", "deferred", "disabled: sources.espn.enabled is false")
        for day in (13, 14)
    }
    [espn, *others] = document["sources"]
    assert espn["requests"] == {"old": 2, "new": 0}
    assert espn["eta"]["new"] is None
    assert all(other["requests"]["old"] == other["requests"]["new"] > 0 for other in others)
    assert (document["added"], document["dropped"]) == ([], [])


def test_files_come_and_go_with_their_dataset_and_those_in_the_lake_are_nobodys_then(
    diff: Any, adce_home: Path
) -> None:
    keys = [f"espn_standings/202601{day}.json" for day in (13, 14)]
    (adce_home / "lake/espn_standings").mkdir(parents=True)
    (adce_home / "lake" / keys[0]).write_text("{}")
    there = diff("-", MORE)
    assert (there["added"], there["dropped"], there["orphaned"]) == (keys, [], [])
    back = diff(MORE, "-")
    assert (back["added"], back["dropped"], back["orphaned"]) == ([], keys, [keys[0]])
    assert diff(MORE, "-", "--dataset", "espn_standings")["dropped"] == keys


def test_another_order_is_told_by_the_places_in_both_plans(diff: Any) -> None:
    document = diff(
        "-", "sources: {nba_api: {multiplier: 9}}", "--dataset", "espn_scoreboard", "--dataset", "nba_schedule"
    )
    places = {row["key"]: (row["old"], row["new"]) for row in document["moved"]}
    assert places["nba_api_comprehensive/schedules/schedule_2025-26.json"] == (2, 1)
    assert places["espn_schedules/20260113.json"] == (1, 2)
    assert document["states"] == []


def test_it_asks_nobody_and_the_ledger_remembers_nothing_of_it(
    diff: Any, adce: Adce, adce_home: Path, sites: SandboxProcess
) -> None:
    adce("plan", *SPAN)
    (adce_home / "lake/espn_schedules").mkdir(parents=True)
    (adce_home / "lake/espn_schedules/20260113.json").write_text("{}".ljust(100))

    def rows() -> tuple[Counter[str], Any]:
        ledger = Ledger(load_config().ledger)
        try:
            return Counter(ledger.check()), (ledger.plans.kept(PLAN), ledger.objects.examined())
        finally:
            ledger.close()

    before = rows()
    document = diff("-", "datasets: {espn_scoreboard: {min_bytes: 101}}")
    assert document["states"] == [], "undersized instead of invalid: a gap in both"
    assert rows() == before
    assert sites.requests() == []


def test_the_text_says_all_this_in_a_few_lines_and_secrets_are_kept(adce: Adce, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(MORE + "sources: {nba_api: {multiplier: 9, headers: {Cookie: s3cret}}}")
    result = adce("config", "diff", "-", str(tmp_path / "new.yaml"), "--exit-code", *SPAN)
    assert result.exit_code == 1
    assert 'sources.nba_api.headers.Cookie: not set → "***"' in result.stdout
    assert "added: espn_standings: 2 gap" in result.stdout
    assert "Files that come earlier or later" in result.stdout
    assert re.search(r"nba_schedule +1 +\d → 1 ", result.stdout)
    same = adce("config", "diff", "-", "-", "--exit-code", *SPAN)
    assert (same.exit_code, same.stdout) == (0, "No difference: the same settings, and the same plan.\n")


def test_another_lake_is_a_difference_and_the_plans_are_of_the_old_one(
    diff: Any, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, other = (adce_home / "lake").as_uri(), (adce_home / "other").as_uri()
    monkeypatch.delenv("ADCE_LAKE")
    document = diff(f"lake: {lake}", f"lake: {other}")
    assert document["settings"] == [{"name": "lake", "old": lake, "new": other}]
    assert document["cells"]["old"] == document["cells"]["new"]
    assert not (adce_home / "other").exists()


def test_a_rollout_is_told_by_what_it_says_and_changes_no_states(diff: Any) -> None:
    document = diff("-", "rollout: {x: {percent: 10, sources: [espn], changes: {retries: {attempts: 9}}}}")
    assert {row["name"]: row["new"] for row in document["settings"]} == {
        "rollout.x.percent": 10,
        "rollout.x.sources": ["espn"],
        "rollout.x.changes.retries.attempts": 9,
    }
    assert (document["states"], document["added"], document["dropped"]) == ([], [], [])


def test_a_mistake_in_either_is_one_line_and_status_2(adce: Adce, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("scoring: {weightning: false}")
    result = adce("config", "diff", "-", str(tmp_path / "new.yaml"))
    assert result.exit_code == 2
    assert result.stderr == (
        f"adce: {tmp_path}/new.yaml: scoring.weightning: no such setting; did you mean weighting?\n"
    )
    nobody = adce("config", "diff", "-", "-", "--dataset", "x")
    assert (nobody.exit_code, nobody.stderr[:24]) == (2, "adce: no dataset 'x'; th")


def test_a_dataset_of_games_that_are_not_known_yet_is_said_to_be_unknown(diff: Any, adce: Adce, tmp_path: Path) -> None:
    usage = """
datasets:
  nba_usage:
    source: nba_api
    url: /boxscoreusagev3?GameID={id}
    keys: ["nba_usage/{id}.json"]
    per: game
    schedule: nba_schedule
    first_season: 2015-16
    due_after: 4h
    check: {name: nba_api.box_score}
"""
    document = diff("-", usage)
    needs = {
        which: {row["dataset"]: row["schedules"] for row in document["unknown"][which]} for which in ("old", "new")
    }
    assert "nba_usage" not in needs["old"]
    assert needs["new"] == needs["old"] | {"nba_usage": 1}
    shown = adce("config", "diff", "-", str(tmp_path / "new.yaml"), *SPAN)
    assert "nba_usage of 2025-26" in shown.stdout


def test_a_duration_is_told_as_it_is_written(adce: Adce, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("reconcile: {interval: 1h 30m}")
    shown = adce("config", "diff", "-", str(tmp_path / "new.yaml"), "--source", "espn", *SPAN).stdout
    assert "reconcile.interval: 15m → 1h 30m\n" in shown


def test_what_missing_schedules_will_list_is_told_beside_the_requests_of_the_plans(adce: Adce, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("sources: {nba_api: {enabled: false}}")
    options = ["--as-of", "2026-01-15T12:00:00Z", "--source", "espn", "--source", "nba_api", "--since", "2025-10-01"]
    shown = adce("config", "diff", "-", str(tmp_path / "new.yaml"), *options).stdout
    costs = json.loads(adce("plan", "--json", *options).stdout)["cost"]["sources"]
    espn, nba_api = (cost["estimate"]["requests"] for cost in costs if cost["name"] in ("espn", "nba_api"))
    lines = [re.split("  +", line) for line in shown.splitlines() if line.startswith("+ not listed yet (estimate)")]
    assert [line[1] for line in lines] == [f"{espn:,}", f"{nba_api:,} → 0"]
    assert lines[1][2].endswith(" UTC → -")
