"""Is a secret anywhere to be read, after runs that succeed and runs that fail with secrets set wherever one can be?"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import boto3
import pytest

from deployments.sandbox.process import SandboxProcess
from deployments.up.ports import free_port
from tests import forks
from tests.servers import ask_prefect, prefect_server, use_s3

DAY = ["--as-of", "2026-01-15T12:00:00Z", "--since", "2026-01-13", "--until", "2026-01-13"]
PLACES = ("endpoint", "ledger", "header", "rollout", "base-url", "key", "session", "api-key", "command", "api-url")
SECRETS = {place: f"Zq8-{place}-hunter2" for place in PLACES}

# A program that says the secret it was given, and fails.
TALKATIVE = (
    'import os, sys; print("I was given", os.environ["SITE_LOGIN"]); sys.exit("no: " + os.environ["SITE_LOGIN"])'
)
DATASETS = f"""
datasets:
  usage:
    source: nba_api
    command:
      argv: ["{{python}}", "-c", {json.dumps(TALKATIVE)}, "{{date}}"]
      files: ["{{date}}.json"]
      environment: [SITE_LOGIN]
    keys: ["usage/{{date}}.json"]
    per: date
    first_season: 2025-26
    due_after: 1h
    check: {{name: json}}
rollout:
  other_way: {{percent: 50, datasets: [espn_summary], changes: {{headers: {{X-Own: {SECRETS["rollout"]}}}}}}}
"""


class Runs:
    """The command, as often as a test wants it, and everything that it has said."""

    def __init__(self, home: Path):
        self.home = home
        self.said = ""

    def __call__(self, *arguments: str, status: int, is_forked: bool = True, **env: str) -> str:
        """Runs the command. If it is not forked, it is started as an operator starts it."""
        command = [forks.ADCE, *arguments]
        if is_forked:
            run = forks.run(command, env, check=False, folder=self.home)
        else:
            run = subprocess.run(
                command, env={**os.environ, **env}, cwd=self.home, capture_output=True, text=True, check=False
            )
        assert run.returncode == status, run.stdout + run.stderr
        self.said += run.stdout + run.stderr
        return run.stdout + run.stderr


@pytest.fixture
def runs(adce_home: Path, sites: SandboxProcess, s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """Runs with a Prefect server, a bucket and a ledger of their own, and a secret in every setting that takes one."""
    use_s3(monkeypatch, s3)
    boto3.client("s3").create_bucket(Bucket="secrets")
    (adce_home / "my.yaml").write_text(DATASETS)
    nba = sites.base_urls["nba_api"]
    with prefect_server(adce_home / "prefect") as server:
        for name, value in {
            **server,
            "PREFECT_API_URL": _with_password(server["PREFECT_API_URL"], SECRETS["api-url"]),
            "PREFECT_API_KEY": SECRETS["api-key"],
            "PREFECT_LOGGING_LEVEL": "DEBUG",
            "AWS_ENDPOINT_URL": _with_password(s3, SECRETS["endpoint"]),
            "AWS_SECRET_ACCESS_KEY": SECRETS["key"],
            "AWS_SESSION_TOKEN": SECRETS["session"],
            "ADCE_CONFIG": str(adce_home / "my.yaml"),
            "ADCE_LAKE": "s3://secrets/nba",
            "ADCE_WORK_POOLS": "[adce]",
            "ADCE_SOURCES__ESPN__HEADERS": f"{{Authorization: Bearer {SECRETS['header']}, User-Agent: me}}",
            "ADCE_SOURCES__NBA_API__BASE_URL": _with_password(nba, SECRETS["base-url"]),
            "ADCE_SOURCES__ESPN__RETRIES": "{attempts: 1}",
            "ADCE_SOURCES__NBA_API__RETRIES": "{attempts: 1}",
            "SITE_LOGIN": SECRETS["command"],
        }.items():
            monkeypatch.setenv(name, value)
        yield Runs(adce_home)


def _with_password(url: str, password: str) -> str:
    return url.replace("://", f"://me:{password}@")


def test_no_secret_is_to_be_read_anywhere(runs: Runs, sites: SandboxProcess, adce_home: Path) -> None:
    runs("setup", status=0)
    runs("reconcile", "--dataset", "espn_scoreboard", *DAY, status=0)
    part = ["--dataset", "espn_summary", "--dataset", "usage", "--dataset", "nba_schedule"]
    with _faults(sites, "espn", "500", "/summary"), _faults(sites, "nba_api", "500", "/schedule"):
        failed = runs("reconcile", "--json", *part, *DAY, status=1, is_forked=False)
    errors = " ".join(one["error"] for one in json.loads(failed[: failed.rindex("}") + 1])["failed"])
    assert "exit status 1: " in errors
    assert " ***" in errors
    assert "HTTP 500" in errors
    nobody = f"127.0.0.1:{free_port()}"
    gone = _with_password(f"http://{nobody}", SECRETS["endpoint"])
    said = runs("reconcile", *DAY, status=2, AWS_ENDPOINT_URL=gone)
    assert f"http://***@{nobody} does not answer" in said
    lost = f"postgresql://me:{SECRETS['ledger']}@{nobody}/adce"
    assert "ledger postgresql+psycopg://***@" in runs("reconcile", *DAY, status=2, ADCE_LEDGER=lost)
    wrong = f"[Bearer {SECRETS['header']}]"
    assert "of type list" in runs("reconcile", *DAY, status=2, ADCE_SOURCES__ESPN__HEADERS=wrong)
    away = _with_password(f"http://{nobody}/api", SECRETS["api-url"])
    assert "http://***@" in runs("reconcile", *DAY, status=2, PREFECT_API_URL=away)
    runs("why", "usage/2026-01-13.json", *DAY[:2], status=0)

    assert _logs(), "the runs have logs, which are searched with all of Prefect's database"
    (adce_home / "my.yaml").unlink()
    found = [place for place in PLACES if _is_in(SECRETS[place], runs.said.encode())]
    assert found == [], "printed"
    stored = [file for file in adce_home.rglob("*") if file.is_file() and file.stat().st_size]
    assert {"prefect.db", "ledger.db"} <= {file.name for file in stored}
    for file in stored:
        body = file.read_bytes()
        assert [place for place in PLACES if _is_in(SECRETS[place], body)] == [], file
    objects = list(boto3.resource("s3").Bucket("secrets").objects.all())
    assert objects
    for thing in objects:
        body = thing.get()["Body"].read() + thing.key.encode()
        assert [place for place in PLACES if _is_in(SECRETS[place], body)] == [], thing.key


@contextmanager
def _faults(sites: SandboxProcess, source: str, fault: str, match: str) -> Iterator[None]:
    sites.set_faults(source, fault, match=match)
    try:
        yield
    finally:
        sites.clear_faults()


def _is_in(secret: str, body: bytes) -> bool:
    """In any way in which it may be written."""
    ways = {secret, quote(secret, safe=""), quote(f"me:{secret}", safe="")}
    coded = {base64.b64encode(f"{before}{secret}".encode()).rstrip(b"=")[:-1] for before in ("", "me:", "Bearer ")}
    return any(way.encode() in body for way in ways) or any(code in body for code in coded)


def _logs() -> list[str]:
    """What the API tells of the runs' logs."""
    lines = ask_prefect(os.environ["PREFECT_API_URL"], "POST", "/logs/filter", {"limit": 200})
    return [line["message"] for line in lines]
