"""An object of the lake counts when it was read."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import Result

from deployments.sandbox.process import SandboxProcess
from flows.fill import fill
from tasks.domain.assess.states import Kind
from tasks.show.documents.plan import RunReport
from tasks.show.markdown import run_markdown
from tests.deployments.conftest import adce  # noqa: F401  (a fixture)
from tests.flows.conftest import NOW, Reconcile
from tests.servers import use_s3

AS_OF = ["--as-of", NOW.isoformat(), "--since", "2026-01-13", "--until", "2026-01-14", "--source", "espn"]
Adce = Callable[..., Result]


def test_an_archived_object_is_a_gap_that_nothing_is_fetched_for_and_counts_again_when_it_is_restored(
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    s3: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    adce: Adce,  # noqa: F811
) -> None:
    use_s3(monkeypatch, s3)
    bucket = boto3.client("s3")
    bucket.create_bucket(Bucket="archive")
    monkeypatch.setenv("ADCE_LAKE", "s3://archive")
    filled = run_reconcile(sources=["espn"])
    key = next(key for key in filled.filled if key.startswith("espn_box_scores/"))
    page = b"<html><title>Access Denied</title></html>".ljust(2000)
    bucket.put_object(Bucket="archive", Key=key, Body=page, StorageClass="DEEP_ARCHIVE")
    monkeypatch.setenv("ADCE_LEDGER", f"sqlite:///{tmp_path / 'another.db'}")
    sites.clear_requests()
    for report in (run_reconcile(sources=["espn"]), run_reconcile(sources=["espn"])):
        assert report.statuses[key].kind is Kind.UNREADABLE
        assert (report.complete, report.fills, report.counts["gap"]) == (False, (), 1)
        assert report.coverage.total.percent < 100
        assert [unreadable for unreadable, _ in report.unreadable] == [key]
        assert key in run_markdown(report)
    assert sites.requests() == []
    planned = adce("plan", *AS_OF)
    assert "1 file " in planned.stdout
    assert "archived" in planned.stdout
    document = json.loads(adce("plan", "--json", *AS_OF).stdout)
    assert [row["key"] for row in document["unreadable"]] == [key]
    answer = json.loads(adce("why", key, "--json", "--as-of", NOW.isoformat()).stdout)["answers"][0]
    assert (answer["state"], answer["kind"]) == ("gap", "unreadable")
    assert "not fetched" in answer["next_action"]

    bucket.restore_object(Bucket="archive", Key=key, RestoreRequest={"Days": 1})
    mended = run_reconcile(sources=["espn"])
    assert mended.filled == [key], "it is readable, and was a block page all along"
    assert mended.complete
    assert run_reconcile(sources=["espn"]).complete


def test_an_unreadable_file_that_is_named_is_fetched_again(
    run_reconcile: Reconcile, sites: SandboxProcess, s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_s3(monkeypatch, s3)
    bucket = boto3.client("s3")
    bucket.create_bucket(Bucket="named")
    monkeypatch.setenv("ADCE_LAKE", "s3://named")
    filled = run_reconcile(sources=["espn"])
    key = next(key for key in filled.filled if key.startswith("espn_box_scores/"))
    body = bucket.get_object(Bucket="named", Key=key)["Body"].read()
    bucket.put_object(Bucket="named", Key=key, Body=body, StorageClass="DEEP_ARCHIVE")
    monkeypatch.setenv("ADCE_LEDGER", f"sqlite:///{tmp_path / 'another.db'}")
    assert not run_reconcile(sources=["espn"]).complete
    state: Any = asyncio.run(fill(keys=[key], return_state=True))
    assert state.result().filled == [key]
    assert state.result().settings.before, "its artifact says with which settings, compared with the last reconcile"
    stored = json.loads(bucket.get_object(Bucket="named", Key=key)["Body"].read())
    assert stored["header"]["id"] == json.loads(body)["header"]["id"]
    assert run_reconcile(sources=["espn"]).complete


def test_files_that_were_not_read_yet_are_deferred_and_cost_no_request(
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    adce_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    adce: Adce,  # noqa: F811
) -> None:
    total = run_reconcile(sources=["espn"]).counts["total"]
    monkeypatch.setenv("ADCE_LEDGER", f"sqlite:///{adce_home / 'another.db'}")
    monkeypatch.setenv("ADCE_RECONCILE__EXAMINE_AT_MOST", "5")
    sites.clear_requests()
    document = json.loads(adce("plan", "--json", *AS_OF).stdout)
    assert document["to_examine"] == total - 5
    assert document["cells"]["deferred"] == total - 5
    assert document["fills"] == []
    shown = " ".join(adce("plan", *AS_OF).stdout.split())
    assert f"{total - 5} files are not read yet; a run reads 5 of them" in shown, "a look keeps no verdicts"
    assert f"{total - 5} files are not read yet" in " ".join(adce("coverage", *AS_OF).stdout.split())
    runs = 0
    while not (report := run_reconcile(sources=["espn"])).complete:
        assert report.fills == ()
        assert report.to_examine > 0
        runs += 1
    assert runs == -(-total // 5) - 1
    assert sites.requests() == []


def test_after_a_change_of_checks_files_count_by_what_the_former_found_until_they_are_read_anew(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_reconcile(sources=["espn"])
    victim = min((adce_home / "lake/espn_box_scores").iterdir())
    good = victim.read_bytes()
    victim.write_text("{}".ljust(len(good)))
    assert run_reconcile(sources=["espn"], dry_run=True).counts["gap"] == 1
    sites.clear_requests()
    monkeypatch.setattr("tasks.observe.listing.CHECK_VERSION", 10_000)
    monkeypatch.setenv("ADCE_RECONCILE__EXAMINE_AT_MOST", "0")
    report = run_reconcile(sources=["espn"])
    assert report.counts["present"] == whole.counts["present"] - 1, "counted by what the former check found"
    assert report.counts["deferred"] == 1, "and not fetched before it is read anew"
    assert RunReport.of(report).as_json()["by_former_checks"] == report.to_examine == whole.counts["present"]
    assert sites.requests() == []
    monkeypatch.setenv("ADCE_RECONCILE__EXAMINE_AT_MOST", "3")  # the schedules are read before all others
    mended = run_reconcile(sources=["espn"])
    assert mended.filled == [f"espn_box_scores/{victim.name}"], "what may be bad is read first"
    assert mended.complete
    assert mended.reading
    assert victim.read_bytes() == good
