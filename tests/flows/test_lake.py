"""What becomes of a lake that others write too, that goes away, or that is full?"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from deployments.up.ports import free_port
from flows.scraper import scraper
from tasks.domain.errors import LedgerError
from tasks.ledger import Ledger
from tests.flows.conftest import NOW, Reconcile
from tests.servers import use_s3

DAYS = {"since": date(2026, 1, 13), "until": date(2026, 1, 13), "sources": ["espn"]}
DATASETS = ["espn_scoreboard", "espn_summary", "nba_schedule", "nba_playbyplay"]
JUNK = b"<html><head><title>Access Denied</title></head><body></body></html>".ljust(200_000)


@contextmanager
def at_once(condition: Callable[[], Any], act: Callable[[], None]) -> Iterator[None]:
    """Acts in a thread as soon as something is so, while the block goes on; the block is to last longer."""
    over = threading.Event()
    acted = False

    def watch() -> None:
        nonlocal acted
        while not condition():
            if over.wait(0.05):
                return
        act()
        acted = True

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert acted


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, adce_home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Somebody else's access to the lake: functions that read, write and remove a key."""
    if request.param == "folder":
        root = adce_home / "lake"

        def write(key: str, body: bytes) -> None:
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(body)

        return (lambda key: (root / key).read_bytes()), write, (lambda key: (root / key).unlink())
    use_s3(monkeypatch, request.getfixturevalue("s3"))
    bucket = "shared-" + adce_home.name.replace("_", "-").lower()[-40:]
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    monkeypatch.setenv("ADCE_LAKE", f"s3://{bucket}")
    return (
        lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read(),
        lambda key, body: client.put_object(Bucket=bucket, Key=key, Body=body),
        lambda key: client.delete_object(Bucket=bucket, Key=key),
    )


def test_what_somebody_else_stores_between_listing_and_storing_is_examined_like_any(
    run_reconcile: Reconcile, sites: SandboxProcess, lake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write, _ = lake
    with monkeypatch.context() as elsewhere:  # the bodies as they are to be
        elsewhere.setenv("ADCE_LAKE", (tmp_path / "other").as_uri())
        elsewhere.setenv("ADCE_LEDGER", f"sqlite:///{tmp_path / 'other.db'}")
        keys = [key for key in run_reconcile(**DAYS).filled if key.startswith("espn_box_scores/")]
    good = {key: (tmp_path / "other" / key).read_bytes() for key in keys}
    junk, theirs, *_ = keys
    reformatted = good[theirs] + b"\n"
    sites.clear_requests()

    def interfere() -> None:
        write(junk, JUNK)
        write(theirs, reformatted)

    with at_once(sites.requests, interfere):  # the lake has been listed by then
        report = run_reconcile(**DAYS)
    assert report.complete
    assert read(junk) == good[junk], "not what was asked for: ours takes its place"
    assert read(theirs) == reformatted, "as good as ours: it is nobody's business to replace it"
    assert theirs not in report.filled
    assert junk in report.filled
    assert {outcome.key: outcome.outcome for outcome in (report.outcomes or {}).values()}[theirs] == "kept"
    with closing(Ledger(load_config().ledger)) as ledger:
        examined = ledger.objects.examined([junk, theirs])
        assert examined[theirs].size == len(reformatted)
        assert examined[theirs].fetched is None, "ours was not stored"
        assert examined[junk].size == len(good[junk])
    sites.clear_requests()
    assert run_reconcile(**DAYS).fills == ()
    assert sites.requests() == []


def test_a_correction_meets_what_others_did_meanwhile(
    run_reconcile: Reconcile, sites: SandboxProcess, lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write, remove = lake
    monkeypatch.setenv("ADCE_SOURCES__ESPN__RATES", "[{requests: 2, seconds: 1}]")
    first = datetime(2026, 1, 14, 9, tzinfo=UTC)
    keys = [key for key in run_reconcile(as_of=first, **DAYS).filled if key.startswith("espn_box_scores/")]
    *_, junk, gone = sorted(keys)
    good = read(junk)
    for key in (junk, gone):
        sites.correct(key.split("/")[1].removesuffix(".json"))
    sites.clear_requests()

    def interfere() -> None:
        write(junk, JUNK)
        remove(gone)

    try:
        with at_once(sites.requests, interfere):
            report = run_reconcile(as_of=first + timedelta(hours=6), **DAYS)
    finally:
        sites.clear_corrections()
    assert report.failed == []
    assert {junk, gone} <= set(report.filled)
    assert len(read(junk)) == pytest.approx(len(good), rel=0.01)
    assert read(gone) != b""
    assert read(junk) != good
    assert set(Counter(request["url"] for request in sites.requests()).values()) == {1}


def _tracebacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    """In the logs of the runs."""
    runs = ("prefect.flow_runs", "prefect.task_runs", "flows", "tasks", "blocks")
    return [r.getMessage() for r in caplog.records if r.exc_info and r.name.startswith(runs)]


def _at(request: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(request["time"]).timestamp()


def _time_of(caplog: pytest.LogCaptureFixture, text: str) -> float:
    [record] = [record for record in caplog.records if text in record.getMessage()]
    return record.created


def test_while_s3_is_away_nothing_is_asked_for_and_what_was_fetched_is_stored_when_it_is_back(
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    servers = [ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False) for _ in range(2)]
    servers[0].start()
    use_s3(monkeypatch, f"http://127.0.0.1:{port}")
    boto3.client("s3").create_bucket(Bucket="goes-away")
    monkeypatch.setenv("ADCE_LAKE", "s3://goes-away")
    monkeypatch.setenv("ADCE_RECONCILE__FILL_TIME_LIMIT", "9s")  # shorter than S3 is away
    monkeypatch.setenv("ADCE_SOURCES__ESPN__RATES", "[{requests: 2, seconds: 1}]")
    try:

        def away_for_a_while() -> None:
            servers[0].stop()
            for _ in range(600):
                if "no requests are sent until it can be" in caplog.text:
                    break
                time.sleep(0.1)
            time.sleep(11)
            servers[1].start()

        with caplog.at_level(logging.INFO), at_once(lambda: len(sites.requests()) >= 6, away_for_a_while):
            report = run_reconcile(**DAYS | {"since": date(2026, 1, 10)})
    finally:
        servers[1].stop()
    assert report.complete
    assert len(report.filled) > 30
    asked = sites.requests()
    assert set(Counter(request["url"] for request in asked).values()) == {1}, "no body was thrown away"
    away = _time_of(caplog, "no requests are sent until it can be")
    back = _time_of(caplog, "the lake can be written again")
    assert back - away > 9
    assert [r for r in asked if away + 0.3 < _at(r) < back] == []
    assert [r for r in asked if _at(r) > back] != []
    assert _tracebacks(caplog) == []


def test_a_full_disk_costs_the_few_files_on_their_way_and_is_said_in_one_line(
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("ADCE_LAKE", (small_disk / "lake").as_uri())
    monkeypatch.setenv("ADCE_RECONCILE__TIME_BUDGET", "20s")
    monkeypatch.setenv("ADCE_RECONCILE__GRACE", "1s")
    span = DAYS | {"since": date(2026, 1, 5)}
    with caplog.at_level(logging.INFO):
        report = run_reconcile(**span)
    asked = {request["url"] for request in sites.requests()}
    assert 5 < len(asked) < report.counts["total"] / 2
    full = _time_of(caplog, "No space left on device; no requests are sent")
    assert [r for r in sites.requests() if _at(r) > full + 0.3] == []
    assert report.failed == []
    assert {"No space left on device" in reason for _, reason, _ in report.deferrals} == {True}
    assert "were fetched could not be stored before the run had to end" in caplog.text
    assert _tracebacks(caplog) == []
    sites.clear_requests()
    rest = small_disk / "lake/rest"
    for size in (100_000, 1000):
        try:
            with rest.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(size))
        except OSError:
            pass
    with pytest.raises(Exception, match="the folder cannot be written: No space left on device"):
        run_reconcile(**span)
    assert sites.requests() == [], "the next run sees it before it asks"


def test_a_folder_that_cannot_be_written_fails_alone_and_is_not_fetched_for_again_and_again(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__BATCH", "2")
    (adce_home / "lake").mkdir()
    for folder in ("espn_box_scores", "nba_api_playbyplay"):
        (adce_home / "lake" / folder).symlink_to("nowhere")
    report = run_reconcile(**DAYS | {"since": date(2026, 1, 11), "datasets": DATASETS, "sources": []})
    failed = Counter(outcome.key.split("/")[0] for outcome in report.failed)
    games = failed["espn_box_scores"]
    assert games > 1
    assert failed == {"espn_box_scores": games, "nba_api_playbyplay": games}
    assert all("File exists" in (outcome.error or "") for outcome in report.failed)
    assert report.counts["present"] == report.counts["total"] - 2 * games
    asked = Counter("summary" if "/summary" in r["url"] else "playbyplay" in r["url"] for r in sites.requests())
    assert asked["summary"] == games, "they bring the play-by-play too"
    assert asked[True] < games


def test_what_stands_in_place_of_a_file_is_named_and_the_source_is_not_asked_for_that_file(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path
) -> None:
    lake, scope = adce_home / "lake", DAYS | {"datasets": ["espn_scoreboard", "espn_summary"]}
    run_reconcile(**scope)
    boxes = sorted((lake / "espn_box_scores").iterdir())
    folder, link = (boxes[n].relative_to(lake).as_posix() for n in (0, -1))
    for path in (boxes[0], boxes[-1]):
        path.unlink()
    boxes[0].mkdir()
    boxes[-1].symlink_to("nowhere")
    sites.clear_requests()
    report = run_reconcile(**scope)
    told = dict(report.unreadable)
    assert told.keys() == {folder, link}
    assert told[folder].startswith("a folder stands at this key; remove it; not in the lake any more; it had ")
    assert told[link].startswith("a dangling link stands at this key; remove it")
    assert (report.complete, report.counts["gap"], report.fills) == (False, 2, ())
    assert sites.requests() == []
    boxes[0].rmdir()
    boxes[-1].unlink()
    report = run_reconcile(**scope)
    assert report.complete
    assert {*report.filled} == {folder, link}


def test_a_part_that_was_planned_for_another_lake_or_ledger_is_refused_in_one_line(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path
) -> None:
    keys = ["espn_schedules/20260113.json"]
    run_reconcile(datasets=["espn_scoreboard"], since=date(2026, 1, 14))
    with closing(Ledger(load_config().ledger)) as ledger:
        lake = ledger.identity.lake()
        assert lake is not None
        right = {"lake": lake.id, "ledger": ledger.id}
    sites.clear_requests()
    for what in right:
        state = asyncio.run(scraper("espn", keys, as_of=NOW, return_state=True, **right | {what: "another"}))
        assert state.is_failed()
        assert f"the {what} here, " in (state.message or "")
        assert f"set ADCE_{what.upper()} for this worker" in (state.message or "")
    assert sites.requests() == []
    assert asyncio.run(scraper("espn", keys, as_of=NOW, **right)).filled == keys


def test_a_ledger_that_cannot_be_written_ends_the_run_in_one_line(
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("ADCE_LEDGER", f"sqlite:///{small_disk / 'ledger.db'}")

    def fill_the_disk() -> None:
        with (small_disk / "rest").open("wb", buffering=0) as file:
            for size in (100_000, 1000):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    with (
        caplog.at_level(logging.INFO),
        at_once(lambda: len(sites.requests()) >= 3, fill_the_disk),
        pytest.raises(LedgerError, match=r"^ledger sqlite.* cannot be (written|read): ") as raised,
    ):
        run_reconcile(**DAYS | {"since": date(2026, 1, 5)})
    assert "\n" not in str(raised.value)
    assert _tracebacks(caplog) == []
    assert len(sites.requests()) < 60


def test_a_ledger_that_goes_away_while_an_absence_is_believed_ends_the_run_in_one_line(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_reconcile(**DAYS | {"datasets": ["espn_scoreboard"]})
    sites.clear_requests()
    sites.set_faults("espn", "404", match="/summary")
    url = load_config().ledger.removeprefix("sqlite:///")

    def damage() -> None:
        with closing(sqlite3.connect(url, timeout=30)) as database:
            database.execute("DROP TABLE absences")
            database.commit()

    with (
        caplog.at_level(logging.INFO),
        at_once(sites.requests, damage),
        pytest.raises(LedgerError, match=r"^ledger sqlite.* no such table: absences") as raised,
    ):
        run_reconcile(**DAYS)
    assert "\n" not in str(raised.value)
    assert _tracebacks(caplog) == []


def test_a_ledger_whose_file_is_removed_ends_the_run_in_one_line(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = Path(load_config().ledger.removeprefix("sqlite:///"))
    with (
        caplog.at_level(logging.INFO),
        at_once(lambda: len(sites.requests()) >= 3, file.unlink),
        pytest.raises(LedgerError, match=r"^ledger sqlite.* its file was removed or replaced while it was in use"),
    ):
        run_reconcile(**DAYS | {"since": date(2026, 1, 5)})
    assert not file.exists()
    assert _tracebacks(caplog) == []
    assert len(sites.requests()) < 60
