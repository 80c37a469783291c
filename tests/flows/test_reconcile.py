"""The main job, end to end: real HTTP to the sandbox, Prefect's embedded API, a local folder."""

import asyncio
import json
import logging
import re
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from prefect.exceptions import ParameterTypeError

from config.load import ConfigError, load_config
from config.models import Priority
from deployments.sandbox.process import SandboxProcess
from flows.fill import fill
from flows.reconcile import reconcile
from flows.scraper import scraper
from tasks.answers.ending import ending
from tasks.answers.metrics import measured
from tasks.answers.recorded import coverage
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.metrics import CYCLE_SECONDS, FILES, LIST_REQUESTS, REQUESTS, series_of
from tasks.domain.outcomes import RunPart
from tasks.ledger import Ledger
from tasks.ledger.looks import Looks
from tasks.ledger.sendings import sendings_table
from tasks.observe.look import Look, look_at_lake
from tasks.show.documents.plan import RunReport
from tasks.show.markdown import run_markdown
from tests.flows.conftest import NOW, Reconcile
from tests.inventories import Delivery


def test_the_first_run_of_a_lake_logs_what_will_be_collected(
    run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ADCE_COLLECT", "{since: 2025-26, datasets: [br_totals]}")
    caplog.set_level(logging.INFO)
    for _ in range(2):
        report = run_reconcile(since=None, until=None)
        assert report.counts["total"] == 1
    said = [record.getMessage() for record in caplog.records]
    assert [line for line in said if "the first run" in line] == [
        "the first run of this lake; it is to hold 1 dataset of basketball_reference since 2025-26"
    ]


def test_the_look_of_a_run_at_the_whole_lake_is_recorded_before_and_after_it_fetches(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_COLLECT", "{since: 2025-26, datasets: [br_totals]}")
    looks: list[RecordedLook] = []
    record = Looks.record

    def recording(self: Looks, look: RecordedLook, *may: Any, is_done: bool) -> bool:
        looks.append(look)
        return record(self, look, *may, is_done=is_done)

    monkeypatch.setattr(Looks, "record", recording)
    everything = {"since": None, "until": None, "as_of": None}
    for part in ({"dry_run": True}, {"sources": ["basketball_reference"]}, {"as_of": NOW}):
        run_reconcile(**everything | part)
    assert looks == [], "it takes the lease, the whole lake, and the present time"
    report = run_reconcile(**everything)
    planned, fetched = looks
    with closing(Ledger(load_config().ledger)) as ledger:
        told = coverage(load_config(), ledger)
        cycles = measured(load_config(), ledger, NOW).distributions[CYCLE_SECONDS][()]
        latest, finished = ledger.runs.by_id([fetched.run])[fetched.run], ledger.looks.finished()
    assert told is not None
    assert (told.finest, told.as_of) == (report.coverage.finest, report.looked_at.taken_at)
    assert planned.taken_at < fetched.taken_at
    assert latest.kind == "reconcile"
    assert finished == latest.ended, "no run at a part of the lake counts as the last finished one"
    assert sum(cycles.counts) == 3, "each run that has the lease publishes a plan"


def test_an_empty_lake_is_filled_schedules_first_and_their_games_in_the_same_run(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path
) -> None:
    report = run_reconcile()
    assert report.failed == []
    assert report.counts["present"] == report.counts["total"] - report.counts["not_due"]
    stored = {str(f.relative_to(adce_home / "lake")) for f in (adce_home / "lake").rglob("*") if f.is_file()}
    assert stored == {*report.filled, "_adce/lake.json"}
    with closing(Ledger(load_config().ledger)) as ledger:
        totals, [run] = ledger.totals.current(), {ledger.attempts.of(key)[0].run for key in report.filled}
        assert ledger.runs.by_id([run])[run].seconds.keys() == set(RunPart)
        attempts = [ledger.attempts.of(key)[0] for key in report.filled]
        reported = ledger.requests.lately(timedelta(minutes=10))
    files = sum(value for series, value in totals.items() if series.name == FILES.name and '"stored"' in series.labels)
    requests = sum(value for series, value in totals.items() if series.name == REQUESTS.name)
    assert (files, requests) == (len(report.filled), len(sites.requests()))
    assert sum(reported.values()) == requests, "as the run reported when it ended"
    assert all(a.due and a.detected and a.asked and a.stored and a.due <= a.detected for a in attempts)
    assert sum(a.waited for a in attempts) > 0, "for the rate limit"
    assert {key.split("/")[0] for key in report.filled} == {
        "espn_schedules",
        "espn_play_by_play",
        "espn_box_scores",
        "espn_team_stats",
        "nba_api_comprehensive",
        "nba_api_playbyplay",
        "basketball_reference",
    }
    asked = Counter(request["url"] for request in sites.requests())
    assert set(asked.values()) == {1}, "no file is requested twice"
    assert all(request["status"] == 200 for request in sites.requests()), "no 429 is provoked"


def test_a_time_without_a_zone_is_utc(prefect_api: None, run_reconcile: Reconcile, sites: SandboxProcess) -> None:
    naive = NOW.replace(tzinfo=None)
    report = run_reconcile(sources=["espn"], as_of=naive)
    assert (report.looked_at.taken_at, report.complete) == (NOW, True)
    keys = [key for fill in report.fills for key in fill.keys]
    part = asyncio.run(scraper("espn", keys, ends=datetime.now(UTC).replace(tzinfo=None), as_of=naive))
    assert part.complete


def test_a_part_has_the_priority_that_its_whole_was_given(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_reconcile(dry_run=True)
    monkeypatch.setenv("ADCE_RECONCILE__MAX_FILLS_BY_PRIORITY", "{CRITICAL: 0}")
    keys = ["espn_schedules/20260113.json"]
    left = asyncio.run(scraper("espn", keys, as_of=NOW))
    assert [reason for _, reason, _ in left.deferrals] == ["run cap: 0 CRITICAL fills a run"]
    assert asyncio.run(scraper("espn", keys, as_of=NOW, priority=Priority.LOW)).filled == keys


def test_a_part_that_names_no_files_is_refused_rather_than_everything_fetched(
    prefect_api: None, adce_home: Path, sites: SandboxProcess
) -> None:
    with pytest.raises(ParameterTypeError, match="at least 1 item"):
        asyncio.run(scraper("espn", []))
    assert sites.requests() == []


def test_a_second_run_finds_nothing_to_do(run_reconcile: Reconcile, sites: SandboxProcess) -> None:
    run_reconcile(sources=["espn"])
    sites.clear_requests()
    again = run_reconcile(sources=["espn"])
    assert again.complete
    assert again.fills == ()
    assert sites.requests() == []


def test_exactly_the_holes_are_found_and_filled(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path
) -> None:
    whole = run_reconcile(sources=["espn"])
    lake = adce_home / "lake"
    boxes = sorted((lake / "espn_box_scores").iterdir())
    good = boxes[1].read_bytes()
    boxes[0].unlink()
    boxes[1].write_bytes(good[:200])
    boxes[2].write_text("<html><title>Access Denied</title></html>".ljust(2000))
    boxes[3].write_text("{}".ljust(2000))
    boxes[4].write_bytes(boxes[3].with_name(boxes[5].name).read_bytes())  # another game's body
    sites.clear_requests()
    report = run_reconcile(sources=["espn"])
    assert sorted(report.filled) == [f"espn_box_scores/{box.name}" for box in boxes[:5]]
    assert {fill.kind.value for fill in report.fills} == {"vanished", "undersized", "invalid"}
    assert len(sites.requests()) == 5
    assert report.counts == whole.counts
    assert boxes[1].read_bytes() == good


def test_a_file_from_mid_game_is_replaced_when_the_game_is_over(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path
) -> None:
    sites.set_clock("2026-01-15T01:30:00Z")
    try:
        run_reconcile(datasets=["espn_scoreboard"], since=date(2026, 1, 14), as_of="2026-01-15T09:30:00Z")
    finally:
        sites.set_clock("2026-01-15T12:00:00Z")
    stored = adce_home / "lake/espn_schedules/20260114.json"
    before = {event["status"]["type"]["state"] for event in json.loads(stored.read_text())["events"]}
    assert before != {"post"}
    report = run_reconcile(sources=["espn"], since=date(2026, 1, 14))
    after = {event["status"]["type"]["state"] for event in json.loads(stored.read_text())["events"]}
    assert after == {"post"}
    assert [fill.kind.value for fill in report.fills if fill.dataset == "espn_scoreboard"] == ["stale"]
    assert report.complete


@pytest.mark.parametrize("fault", ["block", "soft404", "empty", "wrong_id", "truncated"])
def test_a_bad_body_is_never_stored_over_a_good_one(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, fault: str
) -> None:
    run_reconcile(datasets=["espn_scoreboard"])
    board = next((adce_home / "lake/espn_schedules").iterdir())
    board.write_bytes(board.read_bytes().replace(b'"post"', b'"in"').replace(b"true", b"false"))
    kept = board.read_bytes()
    sites.set_faults("espn", fault)
    report = run_reconcile(datasets=["espn_scoreboard"])
    assert board.read_bytes() == kept
    assert [outcome.key for outcome in report.failed] == [f"espn_schedules/{board.name}"]
    assert report.counts["gap"] + report.counts["deferred"] == 1
    assert not report.complete


@pytest.mark.parametrize("fault", ["500", "503", "reset"])
def test_what_can_heal_is_asked_for_again(run_reconcile: Reconcile, sites: SandboxProcess, fault: str) -> None:
    sites.set_faults("espn", fault, first=2)
    assert run_reconcile(datasets=["espn_scoreboard"]).complete
    assert len(sites.requests()) == 4


def test_a_site_that_refuses_is_left_alone_until_later(run_reconcile: Reconcile, sites: SandboxProcess) -> None:
    sites.set_faults("espn", "403")
    report = run_reconcile(datasets=["espn_scoreboard"], since=date(2025, 11, 1))
    assert len(sites.requests()) <= 5, "not more than were in flight"
    assert len(report.failed) + len(report.deferrals) == report.counts["gap"] + report.counts["deferred"]
    again = run_reconcile(datasets=["espn_scoreboard"], since=date(2025, 11, 1))
    assert again.fills == ()
    reason, until = next((reason, until) for _, reason, until in again.deferrals)
    assert re.fullmatch(r"source paused until .* UTC: .*/scoreboard\?dates=\d+: HTTP 403: Access Denied", reason)
    assert timedelta(minutes=14) < until - datetime.now(UTC) < timedelta(minutes=17), "of the real clock"


def test_an_unreachable_source_fails_its_own_files_and_no_others(
    run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_SOURCES__NBA_API__BASE_URL", "http://127.0.0.1:9")
    report = run_reconcile(sources=["espn", "nba_api"])
    assert {outcome.key.split("/")[0] for outcome in report.failed} == {"nba_api_comprehensive"}
    assert all(key.startswith("espn") for key in report.filled)
    assert len(report.filled) > 10


def test_a_dry_run_fetches_nothing_and_tells_the_plan(run_reconcile: Reconcile, sites: SandboxProcess) -> None:
    report = run_reconcile(dry_run=True, datasets=["espn_scoreboard"])
    assert [len(fill.gaps) for fill in report.fills] == [2]
    assert report.filled == []
    assert report.switches == ["dry run"]
    assert sites.requests() == []


def test_the_switches_defer_what_they_switch_off(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_SOURCES__ESPN__ENABLED", "false")
    report = run_reconcile(sources=["espn"])
    assert report.counts["deferred"] == 2
    assert {reason for _, reason, _ in report.deferrals} == {"disabled: sources.espn.enabled is false"}
    assert report.switches == RunReport.of(report).as_json()["switches"] == ["espn off"]
    assert ending(report).message.endswith(" · switches: espn off")
    assert "Switches: espn off." in run_markdown(report)
    assert sites.requests() == []


def test_test_mode_fetches_a_few_files_and_changes_nothing_but_its_own_folder(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__BATCH", "1")
    with monkeypatch.context() as testing:
        testing.setenv("ADCE_TEST_MODE", "true")
        testing.setenv("ADCE_TEST_FILLS", "1")
        tested, again = (run_reconcile(datasets=["espn_scoreboard"]) for _ in range(2))
    assert tested.filled == again.filled
    [key] = tested.filled
    assert [f for f in (adce_home / "lake").rglob("*") if f.is_file()] == [adce_home / "lake" / key]
    assert key.startswith("_test/espn_schedules/")
    assert len(sites.requests()) == 2
    assert (tested.counts["present"], tested.counts["gap"], tested.counts["deferred"]) == (0, 1, 1)
    assert tested.switches == ["test mode, 1 fill"]
    report = run_reconcile(datasets=["espn_scoreboard"])
    assert len(report.filled) == 2, "what was only a test never counts as present"
    assert report.switches == []
    ledger = Ledger(load_config().ledger)
    assert len(ledger.attempts.of(key.removeprefix("_test/"))) == 1
    ledger.close()


def test_a_rollout_goes_its_way_for_a_part_of_the_files_and_both_parts_are_told_of(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"url": "/scoreboard?limit=500&dates={yyyymmdd}", "headers": {"User-Agent": "new"}}
    rollout = {"percent": 40, "datasets": ["espn_scoreboard"], "changes": changes | {"retries": {"attempts": 1}}}
    monkeypatch.setenv("ADCE_ROLLOUT", json.dumps({"longer": rollout}))
    monkeypatch.setenv("ADCE_RECONCILE__BREAKER", "{failures: 3}")
    sites.set_faults("espn", "404", match="limit=500")
    days = {"since": date(2025, 12, 26), "until": date(2026, 1, 14)}
    report = run_reconcile(datasets=["espn_scoreboard"], **days)
    asked = [request["url"] for request in sites.requests()]
    assert len(asked) == len(set(asked))
    changed = [url for url in asked if "limit=500" in url]
    told = RunReport.of(report).as_json()["rollouts"][0]
    assert (told["name"], told["percent"], told["datasets"]) == ("longer", 40, ["espn_scoreboard"])
    new, rest = told["this_run"]["rollout"], told["this_run"]["rest"]
    assert (new["stored"], new["failed"], new["requests"]) == (0, len(changed), len(changed))
    assert (rest["stored"], rest["failed"], rest["requests"]) == (len(asked) - len(changed), 0, len(report.filled))
    assert rest["seconds"] > 0
    waiting = {reason for _, reason, _ in report.deferrals}
    assert all(reason.startswith("breaker open until") for reason in waiting), "of the rollout's scraper alone"
    assert report.counts["present"] == rest["stored"] == 20 - report.counts["gap"] - report.counts["deferred"]
    assert RunReport.of(report).as_json()["sources"][0]["breakers"].keys() == {"espn_scoreboard@longer"}
    assert report.switches == ["rollout longer 40 %"]
    assert f"| longer, 40 % | this run | 0 | {len(changed)} | {len(changed)} |  |" in run_markdown(report)
    missed = [outcome.key for outcome in report.failed]
    again = run_reconcile(datasets=["espn_scoreboard"], **days)
    assert set(missed) <= set(again.filled), "what a way that is tried does not find is asked for the usual way"


def test_a_run_goes_by_the_configuration_that_it_began_with(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = adce_home / "my.yaml"
    file.write_text("reconcile: {batch: 5}\n")
    monkeypatch.setenv("ADCE_CONFIG", str(file))

    def spoil() -> None:
        while not sites.requests():
            time.sleep(0.05)
        file.write_text("enabled: false\nnonsense: [\n")

    spoiling = threading.Thread(target=spoil)
    spoiling.start()
    report = run_reconcile(datasets=["espn_scoreboard"], since=date(2025, 12, 20))
    spoiling.join()
    assert report.complete
    assert len(report.filled) == 26
    with pytest.raises(ConfigError, match="not YAML"):
        load_config()


def test_a_run_with_a_mistake_in_its_configuration_fails_with_the_line_that_names_it(
    prefect_api: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__MAX_FILS", "5")

    async def run() -> Any:
        return await reconcile(return_state=True)

    state = asyncio.run(run())
    assert state.is_failed()
    assert state.message.startswith("environment variable ADCE_RECONCILE__MAX_FILS: ")
    assert "did you mean max_fills?" in state.message


def test_the_time_budget_ends_submission_and_the_rest_is_deferred(
    run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__TIME_BUDGET", "1s")
    monkeypatch.setenv("ADCE_RECONCILE__BATCH", "5")
    report = run_reconcile(datasets=["espn_scoreboard"], since=date(2025, 10, 1))
    left = [reason for _, reason, _ in report.deferrals]
    assert left
    assert set(left) == {"time budget of 1s is used up"}
    assert len(report.filled) + len(left) == report.counts["present"] + report.counts["deferred"]

    async def fetch_again() -> Any:
        return await fill(keys=report.filled, again=True, as_of=NOW, return_state=True)

    monkeypatch.setenv("ADCE_RECONCILE__TIME_BUDGET", "0.001s")
    state = asyncio.run(fetch_again())
    again = state.result()
    assert state.name == "Incomplete"
    assert {key for key, _, _ in again.deferrals} == set(report.filled) - set(again.filled) != set()
    assert again.counts["present"] == len(again.filled)


def test_only_a_run_that_a_schedule_has_started_may_list_less_than_everything(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_list_less = []

    async def look(*arguments: Any, by_schedule: bool, **how: Any) -> Look:
        may_list_less.append(by_schedule)
        return await look_at_lake(*arguments, by_schedule=by_schedule, **how)

    monkeypatch.setattr("tasks.run.run.look_at_lake", look)
    run_reconcile(dry_run=True)
    monkeypatch.setattr("flows.reconcile._is_scheduled", lambda: True)
    run_reconcile(dry_run=True)
    run_reconcile(dry_run=True, full=True)
    assert may_list_less == [False, True, False]


def test_the_lake_may_be_an_s3_bucket_and_cloudwatch_gets_the_metrics_of_its_runs(
    run_reconcile: Reconcile, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("ADCE_LAKE", "s3://lake/nba")
        monkeypatch.setenv("ADCE_CLOUDWATCH__NAMESPACE", "ADCE")
        client = boto3.client("s3")
        client.create_bucket(Bucket="lake")
        for n in range(1500):  # straight into the server, which is a part of this process: by HTTP it takes seconds
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object("lake", f"nba/espn_schedules/foreign-{n}.txt", b"")
        delivered = Delivery(datetime.now(UTC) - timedelta(hours=1), [[]])
        for inventory_key, body in delivered.objects().items():
            client.put_object(Bucket="lake", Key=inventory_key, Body=body)
        monkeypatch.setenv("ADCE_INVENTORY__MANIFEST", f"s3://lake/{delivered.prefix}")
        report = run_reconcile(sources=["espn"])
        assert report.complete
        assert len(report.filled) > 10
        assert "The run began from the S3 Inventory of " in str(report.looked_at.from_inventory)
        assert report.list_requests >= 4, "two pages of one folder, and one of at least two others"
        said = f"The lake was listed with {report.list_requests} LIST requests, for less than $0.01."
        assert said in run_markdown(report)
        key = report.filled[0]
        stored = client.get_object(Bucket="lake", Key=f"nba/{key}")
        assert stored["ContentType"] == "application/json"
        client.delete_object(Bucket="lake", Key=f"nba/{key}")
        with closing(Ledger(load_config().ledger)) as ledger:
            earlier = sendings_table.update().values(at=datetime.now(UTC) - timedelta(minutes=1))
            ledger.database.write(lambda connection: connection.execute(earlier))
        again = run_reconcile(sources=["espn"])
        assert again.filled == [key]
        with closing(Ledger(load_config().ledger)) as ledger:
            listed = ledger.totals.current()[series_of(LIST_REQUESTS)]
        assert listed == report.list_requests + again.list_requests
        sent = boto3.client("cloudwatch").get_metric_statistics(
            Namespace="ADCE",
            MetricName=FILES.name,
            Dimensions=[{"Name": "source", "Value": "espn"}, {"Name": "outcome", "Value": "stored"}],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(hours=1),
            Period=7200,
            Statistics=["Sum"],
        )
        assert [point["Sum"] for point in sent["Datapoints"]] == [1]
    finally:
        server.stop()


def test_the_ledger_knows_whether_what_a_run_has_left_needs_mending(
    run_reconcile: Reconcile, sites: SandboxProcess
) -> None:
    days = {"datasets": ["espn_scoreboard"], "since": date(2026, 1, 1), "until": date(2026, 1, 14)}
    run_reconcile(**days, max_fills=0)
    sites.set_faults("espn", "wrong_id")
    run_reconcile(**days)
    with closing(Ledger(load_config().ledger)) as ledger:
        failed, capped = ledger.runs.begun_since(datetime.min.replace(tzinfo=UTC), ["reconcile"], 2)
    assert [(run.state, run.needs_mending) for run in (capped, failed)] == [("Incomplete", False), ("Incomplete", True)]
