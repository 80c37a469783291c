"""Is nothing lost if a watch is killed or stopped for a while, and nothing done twice if two of them share a queue?"""

import itertools
import random
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import boto3
import httpx
import pytest

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from tasks.domain.assess.states import LearntBy
from tasks.ledger import Ledger
from tests import forks
from tests.ecs import wait_until
from tests.servers import use_s3

KILLS = 4
DAYS = [f"202601{day:02}" for day in range(5, 15)]
HIDDEN = 1  # seconds
HIDES = "ApproximateNumberOfMessagesNotVisible"


class Place:
    """A bucket that tells a queue of its objects."""

    def __init__(self) -> None:
        self.s3, self.sqs = boto3.client("s3"), boto3.client("sqs")
        self.s3.create_bucket(Bucket="killed")
        self.queue = self.sqs.create_queue(QueueName="killed", Attributes={"VisibilityTimeout": str(HIDDEN)})[
            "QueueUrl"
        ]
        arn = self._attributes()["QueueArn"]
        events = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
        self.s3.put_bucket_notification_configuration(
            Bucket="killed", NotificationConfiguration={"QueueConfigurations": [events]}
        )

    def _attributes(self) -> dict[str, str]:
        found: dict[str, str] = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["All"])["Attributes"]
        return found

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket="killed", Key=key, Body=body)

    def left(self) -> int:
        """How many messages the queue has, hidden or not."""
        return sum(map(self.count, ("ApproximateNumberOfMessages", HIDES)))

    def count(self, attribute: str) -> int:
        """How many messages the queue has, by one of its attributes."""
        return int(self._attributes()[attribute])


@pytest.fixture
def place(adce_home: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    use_s3(monkeypatch, s3)
    monkeypatch.setenv("ADCE_LAKE", "s3://killed")
    return Place()


def test_nothing_is_lost_by_kills_and_stops_and_two_watches_do_nothing_twice(
    place: Place, sites: SandboxProcess, adce_home: Path
) -> None:
    template = load_config().datasets["espn_scoreboard"]
    bodies = {}
    for day in DAYS:
        request = template.request.format_map({"yyyymmdd": day})
        bodies[template.keys[0].format_map({"yyyymmdd": day})] = httpx.get(sites.base_urls["espn"] + request).content
    chance = random.Random(1)
    log = adce_home / "watches.log"

    def watch(*options: str) -> forks.Fork:
        return forks.start([forks.ADCE, "watch", "--queue", place.queue, *options], {}, log, log)

    for round in range(KILLS):
        for key, body in chance.sample(sorted(bodies.items()), 3):
            place.put(key, body + b" " * round)
        watches = [watch() for _ in range(2)]
        time.sleep(chance.uniform(0.2, 0.8))
        for running in watches:
            running.kill()
            assert running.wait() == -signal.SIGKILL, log.read_text()
    progress, some = adce_home / "progress", itertools.cycle(bodies.items())
    stopped = watch("--progress-file", str(progress))
    wait_until(lambda: place.put(*next(some)) or progress.exists(), "messages are received")
    with closing(sqlite3.connect(adce_home / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # so that it cannot record what it receives
        wait_until(lambda: place.put(*next(some)) or place.count(HIDES), "messages are received, and are hidden")
        stopped.send_signal(signal.SIGSTOP)
    for key, body in bodies.items():
        place.put(key, body)
    while place.left():
        # The queue still hides what was received by those that were killed, or were too slow to delete it.
        wait_until(lambda: place.count(HIDES) == 0, "all are shown again")
        watches = [watch("--until-empty") for _ in range(2)]
        assert [running.wait() for running in watches] == [0, 0], log.read_text()
    stopped.send_signal(signal.SIGCONT)  # others have recorded what it still has to record, and deleted it
    bodies[min(bodies)] += b" "
    place.put(min(bodies), bodies[min(bodies)])
    wait_until(lambda: place.left() == 0, "the one that was stopped goes on")
    stopped.kill()
    stopped.wait()
    with closing(Ledger(load_config().ledger)) as ledger:
        last = ledger.objects.last(bodies)
        assert {key: one.change.content and one.change.content.size for key, one in last.items()} == {
            key: len(body) for key, body in bodies.items()
        }
        # A schedule is read when its event comes, and may be a newer version by then.
        assert {one.by for one in last.values()} <= {LearntBy.EVENT, LearntBy.LISTING}
        assert ledger.unread_messages.count() == 0
