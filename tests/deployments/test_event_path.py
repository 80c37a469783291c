"""Does `adce setup --check` find what keeps the events of the lake from arriving?"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto.events.models import EventPattern

from config.models import Config, Events
from deployments.setup.event_path import check_event_path, lets_send, troubles_of
from tasks.observe.queue import QueueFacts
from tests.builders import a_config
from tests.servers import use_s3

BUCKET = "told"
ASKED = "GetBucketNotificationConfiguration"
SENDERS = ["s3.amazonaws.com", "events.amazonaws.com"]
ALLOWS = json.dumps(
    {"Statement": [{"Effect": "Allow", "Principal": {"Service": SENDERS}, "Action": "sqs:SendMessage"}]}
)
GOOD = QueueFacts(
    "arn:aws:sqs:us-east-1:123456789012:changes",
    timedelta(minutes=5),
    256 * 1024,
    True,
    is_fifo=False,
    waiting=0,
    policy=ALLOWS,
)


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ({}, None),
        ({"is_fifo": True}, "it is a FIFO queue, to which S3 sends nothing; name a standard one"),
        ({"largest": 1024}, "its messages have at most 1 kB, and events of S3 that are larger are lost; set its Max"),
        ({"redrive": False}, "it has no redrive policy, so that a message that cannot be read is deleted when it has"),
        ({"hides": timedelta(seconds=1)}, "its visibility timeout is 1s; set it to a time from 30s to 1h, such as 5m"),
        ({"hides": timedelta(hours=12)}, "its visibility timeout is 12h; set it to a time from 30s to 1h, such as 5m"),
        ({"policy": ""}, "its policy lets neither S3 nor EventBridge send to it; allow sqs:SendMessage to the one"),
    ],
)
def test_what_is_wrong_with_a_queue_is_one_line(change: dict[str, Any], trouble: str | None) -> None:
    found = list(troubles_of(replace(GOOD, **change)))
    assert len(found) == (trouble is not None)
    assert all(line.startswith(trouble or "") for line in found)


@pytest.mark.parametrize(
    ("statement", "lets"),
    [
        ({"Effect": "Allow", "Principal": {"Service": ["s3.amazonaws.com"]}, "Action": ["SQS:SendMessage"]}, True),
        ({"Effect": "Allow", "Principal": "*", "Action": "sqs:*"}, True),
        ({"Effect": "Deny", "Principal": "*", "Action": "sqs:*"}, False),
        ({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sqs:SendMessage"}, True),
        ({"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}, True),
        ({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sqs:SendMessage"}, False),
        ({"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sqs:SendMessage"}, False),
        ({"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:ReceiveMessage"}, False),
        ({}, False),
    ],
)
def test_a_policy_lets_send_or_not(statement: dict[str, Any], lets: bool) -> None:
    assert lets_send(json.dumps({"Statement": statement})) is lets
    assert lets_send(json.dumps({"Statement": [{}, statement]})) is lets
    assert not lets_send("no JSON")


class Path:
    """A bucket, a queue, and what is between them, on a server of AWS."""

    def __init__(self) -> None:
        self.s3, self.sqs, self.events = boto3.client("s3"), boto3.client("sqs"), boto3.client("events")
        self.s3.create_bucket(Bucket=BUCKET)
        dead = self._arn(self.sqs.create_queue(QueueName="dead")["QueueUrl"])
        redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 5})
        settings = {"VisibilityTimeout": "300", "RedrivePolicy": redrive, "Policy": ALLOWS}
        self.url = self.sqs.create_queue(QueueName="told", Attributes=settings)["QueueUrl"]
        self.arn = self._arn(self.url)

    def _arn(self, url: str) -> str:
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(found["Attributes"]["QueueArn"])

    def notify(self, **configuration: Any) -> None:
        self.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=configuration)

    def direct(self, *events: str, **ends: str) -> None:
        """Has the bucket notify the queue of events of keys with these ends: prefix or suffix."""
        rules = [{"Name": name, "Value": value} for name, value in ends.items()]
        told: dict[str, Any] = {"QueueArn": self.arn, "Events": list(events)}
        self.notify(QueueConfigurations=[told | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})])

    def rule(self, name: str, pattern: dict[str, Any], state: str = "ENABLED") -> None:
        """Makes or changes a rule that sends to the queue."""
        self.events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.s3"]} | pattern), State=state)
        self.events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": self.arn}])

    def allow(self, *services: str) -> None:
        """Lets these services, and no others, send to the queue."""
        self.sqs.set_queue_attributes(
            QueueUrl=self.url, Attributes={"Policy": ALLOWS.replace(json.dumps(SENDERS), json.dumps(services))}
        )

    @property
    def config(self) -> Config:
        return a_config().model_copy(update={"lake": f"s3://{BUCKET}/nba", "events": Events(queue=self.arn)})


@pytest.fixture
def path(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    use_s3(monkeypatch, s3)
    path = Path()
    yield path
    path.sqs.delete_queue(QueueUrl=path.url)


TOLD = f"bucket {BUCKET}: its notification to the queue has "
REMEDY = "; give it s3:ObjectCreated:*, s3:ObjectRemoved:* and no filter that leaves out files of the lake"


def test_each_gap_between_the_bucket_and_the_queue_is_named(path: Path) -> None:
    [alone] = _troubles(path.config)
    assert alone.startswith(f"bucket {BUCKET} sends its events neither to queue {path.arn} nor to EventBridge; ")
    path.direct("s3:ObjectCreated:*")
    assert _troubles(path.config) == [f"{TOLD}no ObjectRemoved{REMEDY}"]
    path.direct("s3:ObjectCreated:Put", "s3:ObjectRemoved:*")
    assert _troubles(path.config) == [f"{TOLD}not all of ObjectCreated{REMEDY}"]
    path.direct("s3:ObjectCreated:*", "s3:ObjectRemoved:*", prefix="elsewhere/")
    assert _troubles(path.config) == [f"{TOLD}nothing of the lake{REMEDY}"]
    path.direct("s3:ObjectCreated:*", "s3:ObjectRemoved:*", prefix="nba/", suffix=".json")
    [line] = _troubles(path.config)
    assert line.startswith(
        f"{TOLD}nothing of nba/basketball_reference/schedules/{{end_year}}/{{month}}.html and of 1 more; "
    )
    path.direct("s3:ObjectCreated:*", "s3:ObjectRemoved:*", prefix="nba/")
    assert _troubles(path.config) == []
    path.allow("events.amazonaws.com")
    assert _troubles(path.config) == [
        f"queue {path.arn}: its policy does not let S3 send to it; allow sqs:SendMessage to s3.amazonaws.com"
    ]


def test_each_gap_on_the_way_through_eventbridge_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.notify()
    answering(monkeypatch, ASKED, lambda answer: answer | {"EventBridgeConfiguration": {}})
    assert _troubles(path.config) == [
        f"EventBridge: no rule sends to queue {path.arn}; make one for the events of the bucket"
    ]
    path.rule("changes", {}, "DISABLED")
    disabled = "EventBridge: rule changes is disabled; to enable it: aws events enable-rule --name changes"
    assert _troubles(path.config) == [disabled]
    path.rule("another", {"detail": {"bucket": {"name": ["another"]}}})
    assert _troubles(path.config) == [
        disabled,
        "EventBridge: rule another passes nothing of the lake; its EventPattern has to pass all that happens to the "
        f"lake in bucket {BUCKET}, as that of deployments/aws/stack.yaml does",
    ]
    for pattern, told in (
        ({"detail-type": ["Object Created"]}, "passes no Object Deleted; "),
        ({"detail": {"reason": [{"anything-but": "CopyObject"}]}}, "passes not all of Object Created; "),
        (
            {"detail": {"object": {"key": [{"suffix": ".json"}]}}},
            "passes nothing of nba/basketball_reference/schedules/{end_year}/{month}.html and of 1 more; ",
        ),
    ):
        path.rule("changes", pattern)
        [line] = _troubles(path.config)
        assert told in line
    path.rule("changes", {"detail": {"bucket": {"name": [BUCKET]}}})
    assert _troubles(path.config) == []
    path.allow("s3.amazonaws.com")
    [line] = _troubles(path.config)
    assert "its policy does not let EventBridge send to it" in line
    path.allow("sns.amazonaws.com")
    checked = asyncio.run(check_event_path(path.config))
    assert checked.troubles == []
    assert [line.partition(";")[0] for line in checked.unknown] == [f"queue {path.arn}: a topic of SNS sends to it"]

    answering(monkeypatch, ASKED, refused)
    checked = asyncio.run(check_event_path(path.config))
    assert (checked.troubles, checked.unknown) == (
        [],
        [f"bucket {BUCKET}: not allowed to look (needs s3:GetBucketNotification)"],
    )


def test_a_queue_that_is_not_there_and_one_for_a_lake_in_a_folder_are_told(path: Path) -> None:
    away = Events(queue="arn:aws:sqs:us-east-1:123456789012:nowhere")
    [line] = _troubles(path.config.model_copy(update={"events": away}))
    assert line.startswith(f"queue {away.queue} cannot be found: ")
    [line] = _troubles(path.config.model_copy(update={"lake": "file:lake"}))
    assert line == f"queue {path.arn}: the lake is a folder, which sends no events; set events.queue to null"
    assert _troubles(path.config.model_copy(update={"events": Events()})) == []


def _troubles(config: Config) -> list[str]:
    checked = asyncio.run(check_event_path(config))
    assert checked.unknown == []
    return checked.troubles


def answering(monkeypatch: pytest.MonkeyPatch, operation: str, answer: Callable[[Any], Any]) -> None:
    """Changes the answers of one operation of AWS. The stand-in for AWS refuses nothing, and tells no EventBridge."""
    usual = BaseClient._make_api_call

    def call(self: Any, name: str, arguments: Any) -> Any:
        if name == "TestEventPattern":  # the stand-in has no answer, although it can tell
            pattern = EventPattern.load(arguments["EventPattern"])
            return {"Result": pattern.matches_event(json.loads(arguments["Event"]))}
        found = usual(self, name, arguments)
        return answer(found) if name == operation else found

    monkeypatch.setattr(BaseClient, "_make_api_call", call)


def refused(_: Any) -> Any:
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "look")
