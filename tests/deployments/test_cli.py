"""The `adce` command, as somebody types it: what it prints, and its exit status."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.sandbox.process import SandboxProcess
from tests.servers import free_port, http_server, use_s3

SPAN = ["--as-of", "2026-01-15T12:00:00Z", "--since", "2026-01-13", "--until", "2026-01-14"]


def test_plan_as_json_is_one_document_with_the_promised_fields(adce: Any) -> None:
    result = adce("plan", "--json", "--source", "espn", *SPAN)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["cells"] == {
        "total": 2,
        "present": 0,
        "not_due": 0,
        "gap": 2,
        "in_flight": 0,
        "deferred": 0,
        "unavailable": 0,
    }
    [fill] = document["fills"]
    assert {"id", "source", "dataset", "kind", "priority", "score", "score_parts", "keys"} <= fill.keys()
    assert {"requests", "detected_at", "eta", "reason"} <= fill.keys()
    assert fill["keys"] == ["espn_schedules/20260113.json", "espn_schedules/20260114.json"]
    parts = fill["score_parts"]
    total = (parts["base"] + parts["age"]) * parts["multiplier"] * parts["small_fill"] * parts["success"]
    assert fill["score"] == pytest.approx(total)
    for source in document["sources"]:
        assert {"name", "requests", "eta", "paused_until", "breaker"} <= source.keys()


def test_plan_shows_tables_and_warns_of_settings_without_effect(adce: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADCE_EVENTS__FILL", "true")
    result = adce("plan", "--source", "espn", *SPAN)
    assert "1 fill planned" in result.stdout
    assert "espn_scoreboard" in result.stdout
    assert result.stderr.startswith("adce: warning: events.fill has no effect without a queue; name one")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(
            ["--source", "espm"],
            "adce: no source 'espm'; did you mean espn?\n",
            id="source",
        ),
        pytest.param(["--dataset", "x"], "adce: no dataset 'x'; there are espn_scoreboard,", id="dataset"),
        pytest.param(["--season", "2023-25"], "adce: '2023-25' is not a season; write it as 2023-24", id="season"),
        pytest.param(["--season", "2035-36"], "adce: season 2035-36 has not begun", id="future season"),
        pytest.param(["--season", "9999-00"], "adce: season 9999-00 has not begun", id="last of all years"),
        pytest.param(["--season", ""], "adce: '' is not a season; write it as 2023-24", id="empty season"),
        pytest.param(["--season", "1950-51"], "adce: no files are expected of season 1950-51", id="too early"),
        pytest.param(["--since", "yesterday"], "adce: --since yesterday: not a day; write it as", id="day"),
        pytest.param(["--since", "2026-02-30"], "adce: --since 2026-02-30: not a day; write it as", id="no such day"),
        pytest.param(
            ["--since", "2024-25"],
            "adce: --since 2024-25: not a day; write it as 2024-09-25, the first day of that season\n",
            id="season for its first day",
        ),
        pytest.param(
            ["--until", "2024-25"],
            "adce: --until 2024-25: not a day; write it as 2025-06-30, the last day of that season\n",
            id="season for its last day",
        ),
        pytest.param(["--until", ""], "adce: --until : not a day; write it as", id="empty day"),
        pytest.param(
            ["--since", "2026-01-14", "--until", "2026-01-13"],
            "adce: since 2026-01-14 is after until 2026-01-13",
            id="days in the wrong order",
        ),
        pytest.param(
            ["--as-of", "2026-01-15", "--season", "2026-27"],
            "adce: season 2026-27 has not begun; the current one is 2025-26",
            id="season after the clock",
        ),
        pytest.param(
            ["--season", "2025-26", "--until", "2024-01-01"],
            "adce: season 2025-26 has no day until 2024-01-01\n",
            id="season outside the days",
        ),
        pytest.param(["--as-of", "noon"], "adce: --as-of noon: not a time; write it as", id="time"),
        pytest.param(["--as-of", ""], "adce: --as-of : not a time; write it as", id="empty time"),
        pytest.param(
            ["--as-of", "1066-10-14"], "adce: the clock says 1066-10-14T00:00:00+00:00; the", id="too long ago"
        ),
        pytest.param(["--as-of", "9999-12-31T23:59"], "adce: the clock says 9999-12-31T23:59:00+00:00;", id="far away"),
        pytest.param(["--config", "/no/such.yaml"], "adce: /no/such.yaml: cannot be read: No such file", id="config"),
        pytest.param(["--lake", "ftp://x"], "adce: --lake: not the address of a lake; write it as file:///", id="lake"),
        pytest.param(["--ledger", "mysql://x"], "adce: --ledger: not the address of a ledger; write it", id="ledger"),
        pytest.param(["--lake", "file:"], "adce: --lake: not the address of a lake; write it", id="lake of no name"),
    ],
)
def test_a_mistake_in_the_command_is_one_line_and_status_2(adce: Any, arguments: list[str], line: str) -> None:
    result = adce("plan", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_reconcile_whose_clock_is_ahead_is_refused_in_one_line(adce: Any) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    result = adce("reconcile", "--source", "espn", "--as-of", ahead)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("adce: as-of ")
    assert "is later than now" in result.stderr


def test_a_wrong_file_gets_a_line_for_each_mistake(adce: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("reconcile: {max_fils: 3}\nsources: {espn: {rates: [{requests: 0, seconds: 1}]}}\n")
    result = adce("plan", "--config", str(wrong))
    assert result.exit_code == 2
    assert [line.split(": ", 3)[1:3] for line in result.stderr.splitlines()] == [
        [str(wrong), "reconcile.max_fils"],
        [str(wrong), "sources.espn.rates.0.requests"],
    ]


def test_a_lake_that_is_a_file_or_a_ledger_that_is_none_is_status_2(
    adce: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a database, not a folder" * 50)
    result = adce("plan", "--lake", (tmp_path / "file").as_uri())
    assert (result.exit_code, "is a file, not a folder" in result.stderr) == (2, True)
    monkeypatch.setenv("ADCE_LEDGER", f"sqlite:///{tmp_path / 'file'}")
    result = adce("plan")
    assert (result.exit_code, "file is not a database" in result.stderr) == (2, True)


def test_lake_ledger_and_settings_may_be_plain_paths_and_a_file_that_is_found_is_named(
    adce: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADCE_CONFIG")
    (tmp_path / "adce.yaml").write_text("datasets: {espn_summary: {enabled: false}}\nreconcile: {max_fills: 0}\n")
    result = adce("plan", "--json", "--source", "espn", "--lake", "my lake", "--ledger", "my.db", *SPAN)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["cells"]["deferred"] == 2, "max_fills is that of the file"
    assert result.stderr.splitlines()[0] == "adce: the settings are those of ./adce.yaml"
    assert not (tmp_path / "my.db").exists(), "a look makes no ledger"
    assert "my.db" in adce("config", "show", "ledger", "--json", "--ledger", "my.db").stdout
    monkeypatch.setenv("ADCE_LAKE", "elsewhere")
    result = adce("plan", "--config", "adce.yaml", "--ledger", "my.db", *SPAN)
    lake = f"The lake file://{tmp_path}/elsewhere as of 2026-01-15 12:00 UTC"
    assert f"{lake}; only since 2026-01-13 until 2026-01-14" in result.stdout.splitlines()
    assert "the settings are those of" not in result.stderr


def test_without_a_file_of_settings_and_a_lake_the_defaults_are_said(
    adce: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADCE_CONFIG")
    said = "adce: there is no ./adce.yaml: the defaults apply"
    assert not adce("config", "show", "lake", "--lake", "here").stderr, "a lake that is named is meant"
    for name in ("ADCE_LAKE", "ADCE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    assert adce("config", "show", "lake").stderr.startswith(said)
    monkeypatch.setenv("ADCE_CONFIG", "")
    assert not adce("config", "show", "lake").stderr, "an empty variable says that there is none"


def test_a_lake_whose_folder_is_not_there_is_said_once(
    adce: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    none = ["--lake", (tmp_path / "none").as_uri()]
    result = adce("check", "espn_schedules/20260113.json", *none)
    assert result.exit_code == 2
    assert result.stderr.endswith(
        f"cannot be read at espn_schedules/20260113.json: there is no folder {tmp_path}/none\n"
    )
    assert adce("plan", "--since", "2026-01-13", "--until", "2026-01-13", *none).exit_code == 0
    [told] = [line for line in caplog.text.splitlines() if "there is no such folder yet" in line]
    assert re.search(r"there is no such folder yet, and no ledger at \S+; a run that fetches makes both$", told)


def test_a_lake_on_s3_that_cannot_be_listed_is_one_line_and_status_2(
    adce: Any, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server(403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>") as strict:
        for endpoint, said in ((s3, "read at _adce/lake.json: NoSuchBucket"), (strict, "listed: AccessDenied")):
            use_s3(monkeypatch, endpoint)
            result = adce("plan", "--lake", "s3://my-lake/nba")
            assert result.exit_code == 2
            assert result.stderr == f"adce: lake s3://my-lake/nba cannot be {said}\n"


def test_s3_that_is_not_there_ends_the_process_with_status_2_within_seconds(
    adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    use_s3(monkeypatch, nobody)
    command = [sys.executable, "-m", "deployments", "plan", "--lake", "s3://my-lake/nba"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    where = "lake s3://my-lake/nba cannot be read at _adce/lake.json"
    assert done.stderr == f"adce: {where}: {nobody} does not answer: Connection refused\n"


def test_the_version_is_that_of_adce_prefect_and_python(adce: Any) -> None:
    result = adce("--version")
    assert result.exit_code == 0
    shown = re.fullmatch(r"adce (\d+\.\d+)\.\d+ \(Prefect 2\.20\.\d+, Python 3\.1\d\.\d+\)\n", result.stdout)
    assert shown
    told = re.findall(r"ADCE/([\d.]+)", adce("config", "show", "sources").stdout)
    assert set(told) == {shown[1]}, "the sites are told the same version"


def test_the_configuration_is_shown_as_yaml_with_origins_and_as_json(
    adce: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text("lake: data\nsources: {nba_api: {lanes: 2}}\n")
    monkeypatch.delenv("ADCE_LAKE")
    shown = ["config", "show", "--config", "my.yaml"]
    assert " ".join(adce(*shown, "sources.nba_api.lanes").stdout.split()) == "sources: nba_api: lanes: 2 # my.yaml"
    whole = adce(*shown, "--ledger", "x.db").stdout
    assert yaml.safe_load(whole)["lake"] == (tmp_path / "data").as_uri()
    assert re.search(rf"^ledger: sqlite:///{tmp_path}/x.db +# --ledger$", whole, re.MULTILINE)
    assert re.search(r"^enabled: true +# default$", whole, re.MULTILINE)
    document = json.loads(adce(*shown, "--changed", "sources.nba_api.lanes", "--json").stdout)
    origin = str(tmp_path / "my.yaml")
    assert document["settings"] == [{"name": "sources.nba_api.lanes", "value": 2, "origin": origin}]
    for section, said in (("sources.espm", "sources.espn"), ("espn", "sources.espn"), ("reconcil", "reconcile")):
        result = adce(*shown, section)
        assert (result.exit_code, result.stderr) == (2, f"adce: no setting {section}; did you mean {said}?\n")


def test_the_datasets_are_told_with_their_known_files_and_the_body_checks(adce: Any, adce_home: Path) -> None:
    (adce_home / "lake/espn_schedules").mkdir(parents=True)
    document = json.loads(adce("datasets", "--json", "--source", "espn", *SPAN).stdout)
    board, summary = document["datasets"]
    assert (board["name"], board["known"], board["present"], board["per"]) == ("espn_scoreboard", 2, 0, "date")
    assert (summary["schedule"], summary["keys"][1]) == ("espn_scoreboard", "espn_box_scores/{id}.json")
    assert [check["name"] for check in document["checks"][:2]] == ["json", "html_table"]
    shown = adce("datasets", "--dataset", "espn_scoreboard", *SPAN).stdout
    assert "espn_scoreboard: a file per date, lists the games" in shown
    assert "2 files known, 0 of them present" in shown
    assert "espn_summary" not in shown
    assert "  json: For any JSON" in shown


def test_ten_thousand_foreign_keys_change_nothing(adce: Any, adce_home: Path) -> None:
    folder = adce_home / "lake/espn_schedules"
    folder.mkdir(parents=True)
    for n in range(10_000):
        (folder / f"foreign-{n}.json").touch()
    document = json.loads(adce("plan", "--json", "--source", "espn", *SPAN).stdout)
    assert (document["cells"]["total"], document["cells"]["gap"]) == (2, 2)
    [misnamed] = document["misnamed"]
    assert (misnamed["dataset"], misnamed["files"]) == ("espn_scoreboard", 10_000), "which is said"


def test_reconcile_exits_0_when_all_is_there_and_1_when_something_is_left(
    prefect_api: None, adce: Any, sites: SandboxProcess
) -> None:
    sites.set_faults("espn", "404", match="20260113")
    result = adce("reconcile", "--json", "--dataset", "espn_scoreboard", *SPAN)
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["filled"] == ["espn_schedules/20260114.json"]
    [failure] = document["failed"]
    assert failure["key"] == "espn_schedules/20260113.json"
    assert "HTTP 404" in failure["error"]
    sites.clear_faults()
    result = adce("reconcile", "--json", "--dataset", "espn_scoreboard", *SPAN)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["deferred"] == []


def test_at_most_so_many_fills_are_started_and_the_rest_is_deferred(prefect_api: None, adce: Any) -> None:
    result = adce("reconcile", "--json", "--max-fills", "1", "--source", "espn", *SPAN)
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert len(document["fills"]) == 1
    assert {row["reason"] for row in document["deferred"]} == {"run cap: 1 fill a run"}
    assert document["cells"]["deferred"] == len(document["deferred"])
