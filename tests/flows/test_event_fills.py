"""Does an object that somebody puts into the lake lead to the files that follow from it, without a reconcile?"""

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import httpx
import pytest

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from deployments.setup.prefect_server import set_up_buckets
from flows.event_fills import EventFills
from flows.watch import watch
from tasks.ledger import Ledger
from tasks.observe.watcher import Fate
from tests.servers import use_s3

UNEXPECTED = "espn_schedules/20990101.json"
DAY = {"yyyymmdd": "20260113", "date": "2026-01-13"}


@pytest.fixture
def queue(adce_home: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The queue of a bucket that is the lake; gaps that its events show are filled."""
    use_s3(monkeypatch, s3)
    monkeypatch.setenv("ADCE_LAKE", "s3://filled")
    monkeypatch.setenv("ADCE_EVENTS__FILL", "true")
    monkeypatch.setattr("flows.event_fills.GATHERED", 0.2)
    buckets, queues = boto3.client("s3"), boto3.client("sqs")
    buckets.create_bucket(Bucket="filled")
    url: str = queues.create_queue(QueueName="filled")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events = [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]
    buckets.put_bucket_notification_configuration(
        Bucket="filled", NotificationConfiguration={"QueueConfigurations": events}
    )
    return url


def test_a_schedule_that_arrives_has_the_files_of_its_games_filled_at_once(
    queue: str,
    sites: SandboxProcess,
    prefect_api: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board = load_config().datasets["espn_scoreboard"]
    answer = httpx.get(sites.base_urls["espn"] + board.request.format_map(DAY))
    asyncio.run(set_up_buckets(load_config()))
    buckets = boto3.client("s3")
    buckets.put_object(Bucket="filled", Key=board.keys[0].format_map(DAY), Body=answer.content)
    _find_one_more_gap(monkeypatch)
    with caplog.at_level(logging.INFO, "flows"):
        watched = asyncio.run(watch(load_config(), queue, until_empty=True))
    games = [event["id"] for event in answer.json()["events"]]
    there = {one["Key"] for one in buckets.list_objects_v2(Bucket="filled")["Contents"]}
    wanted = {
        key.format_map({"id": game})
        for dataset in load_config().datasets.values()
        if dataset.schedule == "espn_scoreboard"
        for key in dataset.keys
        for game in games
    }
    assert wanted <= there
    assert watched.fates[Fate.OWN] >= len(wanted), "what a fill has stored comes back as events, and changes nothing"
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("fill of ")]
    assert f": Failed: {UNEXPECTED} is not expected" in told[0]
    assert told[1:], "the rest is filled all the same"
    assert all(": Completed: " in line for line in told[1:])
    with closing(Ledger(load_config().ledger)) as ledger:
        names = [run.about for run in ledger.runs.begun_since(datetime(2026, 1, 1, tzinfo=UTC), ["fill"], 99)]
    assert names, "a fill of events is told from one that a person has begun"
    assert all(re.fullmatch(r"\d+ files? of events", name) for name in names), names


def _find_one_more_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the first gaps that are found include one that is expected no more when they are to be filled."""
    usual, more = EventFills.add, [SimpleNamespace(cell=SimpleNamespace(key=UNEXPECTED, dataset="espn_scoreboard"))]

    def add(self: EventFills, gaps: list[Any]) -> None:
        usual(self, [*gaps, *more])
        more.clear()

    monkeypatch.setattr(EventFills, "add", add)


class Filled:
    """In place of the run of a fill: what was begun, and whether it could begin."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_away: bool = False):
        self.begun: list[list[str]] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self._is_away = is_away
        self._stopped: list[str] = []
        monkeypatch.setattr("flows.event_fills.GATHERED", 0.02)
        monkeypatch.setattr("flows.event_fills._STOPPED_AGAIN", 0.02)
        monkeypatch.setattr("flows.event_fills._filled", self._fill)
        self.fills = EventFills(lambda dataset: dataset.partition("_")[0], self._stop)

    async def _fill(self, keys: Iterable[str], _: object) -> bool:
        self.begun.append(sorted(keys))
        await asyncio.to_thread(self.goes_on.wait, 10)
        return not self._is_away

    def _stop(self, why: str) -> None:
        self._stopped.append(why)
        if len(self._stopped) == 3:  # it was still opening before, and did not hear of it
            self.goes_on.set()

    def add(self, *keys: str) -> None:
        self.fills.add(SimpleNamespace(cell=SimpleNamespace(key=key, dataset="espn_x")) for key in keys)  # type: ignore[misc]


def test_what_is_added_while_a_fill_runs_or_as_it_ends_is_filled_next(monkeypatch: pytest.MonkeyPatch) -> None:
    filled = Filled(monkeypatch)

    async def story() -> None:
        filled.goes_on.clear()
        filled.add("a", "b")
        await _until(lambda: bool(filled.begun))
        filled.add("c")
        filled.goes_on.set()
        await _until(lambda: filled.fills.is_idle)
        filled.add("d")
        await _until(lambda: filled.fills.is_idle)
        await filled.fills.stop("enough")

    asyncio.run(story())
    assert filled.begun == [["a", "b"], ["c"], ["d"]]


@pytest.mark.parametrize("is_away", [True, False], ids=["while Prefect is away", "while a fill is opening"])
def test_fills_stop_at_once_and_none_begins_afterwards(monkeypatch: pytest.MonkeyPatch, is_away: bool) -> None:
    filled = Filled(monkeypatch, is_away=is_away)

    async def story() -> None:
        if not is_away:
            filled.goes_on.clear()
        filled.add("a")
        await _until(lambda: bool(filled.begun))
        filled.add("b")
        async with asyncio.timeout(5):
            await filled.fills.stop("enough")
        filled.add("c")
        assert filled.fills.is_idle

    asyncio.run(story())
    assert filled.begun == [["a"]]


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)
