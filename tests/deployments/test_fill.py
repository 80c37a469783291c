"""What does `adce fill` fetch, and what does it refuse before it fetches anything?"""

import json
import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result

import deployments.cli.fill as module
from config.load import load_config
from deployments.prefect_api.flow_runs import FlowRun
from deployments.sandbox.process import SandboxProcess
from tasks.domain.errors import MismatchError
from tasks.ledger import Ledger
from tasks.ledger.runs import runs_table
from tests.builders import a_config

Adce = Callable[..., Result]


def test_files_are_fetched_first_and_mistakes_are_refused_before(
    adce: Adce,
    run_reconcile: Callable[..., Any],
    sites: SandboxProcess,
    adce_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On one lake, whole but for the box scores of a game, and at the real time, to which these days are long past."""
    monkeypatch.setenv("SUDO_USER", "ana")
    run_reconcile(sources=["espn"])
    gone, stale = sorted((adce_home / "lake/espn_box_scores").iterdir())[:2]
    gone.unlink()
    key, other = (f"espn_box_scores/{file.name}" for file in (gone, stale))
    sites.clear_requests()

    def refused(*arguments: str) -> str:
        result = adce("fill", *arguments)
        assert (result.exit_code, result.stdout, sites.requests()) == (2, "", []), result.stderr
        return result.stderr.splitlines()[-1]

    assert "has the shape of espn_summary (id 401999999), but is not expected" in refused(
        "espn_box_scores/401999999.json"
    )
    assert refused("2098-01-13").startswith("adce: 2098-01-13: nothing is expected of that day")
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    assert re.fullmatch(r"adce: espn_.*: it is not due: due from \d{4}-\d\d-\d\d \d\d:\d\d UTC.*", refused(tomorrow))
    assert refused(key, "--no-wait").startswith("adce: --no-wait: no worker is there to take it")
    assert adce("pause", "espn", "--note", "their database moves").exit_code == 0
    held = "paused with no end by ana: their database moves; `adce resume espn` ends that"
    assert re.fullmatch(rf"adce: espn_\w+/{gone.stem}.json and 2 more: {held}", refused(gone.stem))
    assert adce("resume", "espn").exit_code == 0
    with monkeypatch.context() as changed:
        changed.setattr(module, "_MOST_KEYS", 1)
        assert refused(key, other, "--again").startswith(
            "adce: 2 files are to be fetched, and a fill takes up to 1 by their keys; name fewer at a time"
        )

    with monkeypatch.context() as changed:
        changed.setattr(module, "api_url", lambda: "http://127.0.0.1:4200/api")
        moment = datetime.now(UTC)
        end = FlowRun("7", "fill", "1 file", "CRASHED", "Crashed", "… status code -9.", moment, moment, moment)
        changed.setattr(module, "_by_worker", lambda *_, **__: end)
        died = adce("fill", key)
        assert (died.exit_code, died.stdout) == (1, "Crashed: … status code -9.\n")
        assert died.stderr.endswith("on the rest end within 30s; then the same command fetches the rest\n")

    done = adce("fill", key, "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["filled"] == [key]
    assert [fill["priority"] for fill in report["fills"]] == ["CRITICAL"]
    sites.clear_requests()
    assert refused(key) == f"adce: {key}: it is there and whole; --again fetches it again"
    done = adce("fill", key, other)
    assert (done.exit_code, done.stderr) == (
        0,
        f"adce: left out: {key}: it is there and whole; --again fetches it again\n",
    )
    assert "1 file stored" in done.stdout

    before = gone.stat()
    sites.clear_requests()
    assert adce("fill", key, "--again").exit_code == 0
    assert [request["source"] for request in sites.requests()] == ["espn"]
    with closing(Ledger(load_config().ledger)) as ledger:
        assert [attempt.outcome for attempt in ledger.attempts.of(key)] == ["stored", "stored", "stored"]
    sites.set_faults("espn", "truncated")
    bad = adce("fill", key, "--again", "--json")
    assert (bad.exit_code, gone.stat().st_size) == (1, before.st_size), "a bad answer replaces no good file"
    assert [failed["key"] for failed in json.loads(bad.stdout)["failed"]] == [key]
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    listed = adce("runs")
    assert "runs that only Prefect knows are not shown: no server is named" in listed.stderr
    last, *before_it = listed.stdout.splitlines()
    told = r"[0-9a-f]{8}  \d{4}-\d\d-\d\d \d\d:\d\d UTC  fill 1 file  Incomplete after [\d.]+s: 1 of 1 file failed: .+"
    assert re.fullmatch(told, last)
    assert before_it[-1].split("  ")[2] == "reconcile espn from 2026-01-13 to 2026-01-14"
    [run] = json.loads(adce("runs", "1 file", "--json").stdout)["runs"]
    shown = adce("runs", last.split()[0]).stdout
    assert json.loads(adce("runs", run["id"], "--since", "0s", "--json").stdout)["runs"] == [run], "whenever it began"
    assert "espn_summary: 1 failed" in shown
    assert "1 file: " in shown
    missing = adce("runs", "another").stderr
    assert "runs that only Prefect knows are not shown: no server is named" in missing
    assert "no run 'another' within 7d" in missing
    assert "in the ledger or in Prefect" in adce("runs", str(uuid4())).stderr
    with closing(Ledger(load_config().ledger)) as ledger:
        later = datetime.now(UTC) + timedelta(hours=3)
        ahead = runs_table.update().where(runs_table.c.id == run["id"]).values(began=later)
        ledger.database.write(lambda connection: connection.execute(ahead))
    assert "UTC (ahead of this machine's clock)  fill 1 file  Incomplete: " in adce("runs").stdout
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(adce_home / "profiles.toml"))
    (adce_home / "profiles.toml").write_text("active = ")
    for command in (("runs",), ("sources",), ("why", key)):
        answered = adce(*command)
        assert (answered.exit_code, len(answered.stdout.splitlines()) > 3) == (0, True), answered.stderr
        assert "Prefect's profiles cannot be read" in answered.output
    (adce_home / "profiles.toml").unlink()
    monkeypatch.setenv("PREFECT_API_URL", "https://127.0.0.1:1/api")
    monkeypatch.setenv("PREFECT_API_SSL_CERT_FILE", "/nope")
    for command in (("runs",), ("sources",)):
        answered = adce(*command)
        assert (answered.exit_code, "PREFECT_API_SSL_CERT_FILE: /nope cannot be used" in answered.output) == (0, True)


def test_the_settings_of_a_sandbox_are_refused_before_it_is_said_that_this_process_fetches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(MismatchError, match="the settings are a sandbox's"):
        module._by_worker(a_config(sandbox=True), "http://127.0.0.1:1/api", {}, waits=True)
    assert capsys.readouterr().err == ""
