"""Does `adce setup --check` find what keeps the events of the lake from arriving?"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto.events.models import EventPattern

from blocks.aws import Aws
from config.models import Config, Events
from deployments.setup.event_path import Checked, _check_senders, check_event_path, lets_send, troubles_of
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
    hidden=0,
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

    def direct(self, *events: str) -> None:
        self.notify(QueueConfigurations=[{"QueueArn": self.arn, "Events": list(events)}])

    @property
    def config(self) -> Config:
        return a_config().model_copy(update={"lake": f"s3://{BUCKET}/nba", "events": Events(queue=self.arn)})


@pytest.fixture
def path(s3: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_s3(monkeypatch, s3)
    return Path()


def test_each_gap_between_the_bucket_and_the_queue_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [alone] = _troubles(path.config)
    assert alone.startswith(f"bucket {BUCKET} sends its events neither to queue {path.arn} nor to EventBridge; ")
    path.direct("s3:ObjectCreated:*")
    assert _troubles(path.config) == [f"{TOLD}no ObjectRemoved{REMEDY}"]
    path.direct("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert _troubles(path.config) == []

    path.notify()
    answering(monkeypatch, ASKED, lambda answer: answer | {"EventBridgeConfiguration": {}})
    assert _troubles(path.config) == [
        f"EventBridge: no rule sends to queue {path.arn}; make one for the events of the bucket"
    ]
    path.events.put_rule(Name="changes", EventPattern='{"source": ["aws.s3"]}', State="DISABLED")
    path.events.put_targets(Rule="changes", Targets=[{"Id": "queue", "Arn": path.arn}])
    assert _troubles(path.config) == [DISABLED]
    path.events.enable_rule(Name="changes")
    assert _troubles(path.config) == []

    answering(monkeypatch, ASKED, refused)
    checked = asyncio.run(check_event_path(path.config))
    assert (checked.troubles, checked.unknown) == (
        [],
        [f"bucket {BUCKET}: not allowed to look (needs s3:GetBucketNotification)"],
    )


TOLD = f"bucket {BUCKET}: its notification to the queue has "
REMEDY = "; give it s3:ObjectCreated:*, s3:ObjectRemoved:* and no filter that leaves out files of the lake"
DISABLED = "EventBridge: rule changes is disabled; to enable it: aws events enable-rule --name changes"
HTML = "nothing of nba/basketball_reference/schedules/{end_year}/{month}.html and of 1 more"


class Senders:
    """What sends to a queue: the notification of a bucket, and rules of EventBridge, one a page. A client of AWS."""

    def __init__(self, notification: dict[str, Any], rules: dict[str, dict[str, Any]] | None = None):
        self.notification, self.rules = notification, rules or {}

    def client(self, *_: str) -> "Senders":
        return self

    def get_bucket_notification_configuration(self, **_: str) -> dict[str, Any]:
        return self.notification

    def get_paginator(self, _: str) -> "Senders":
        return self

    def paginate(self, **_: str) -> list[dict[str, list[str]]]:
        return [{"RuleNames": [name]} for name in self.rules]

    def describe_rule(self, **asked: str) -> dict[str, Any]:
        pattern = {"source": ["aws.s3"]} | self.rules[asked["Name"]]
        state = "DISABLED" if pattern.pop("disabled", False) else "ENABLED"
        return asked | {"State": state, "EventPattern": json.dumps(pattern)}

    def test_event_pattern(self, **asked: str) -> dict[str, bool]:
        return {"Result": EventPattern.load(asked["EventPattern"]).matches_event(json.loads(asked["Event"]))}

    def check(self, *services: str) -> Checked:
        """What is found if the policy of the queue lets these services send."""
        checked, policy = Checked(), ALLOWS.replace(json.dumps(SENDERS), json.dumps(services or SENDERS))
        config = a_config().model_copy(update={"lake": f"s3://{BUCKET}/nba"})
        _check_senders(cast(Aws, self), config, replace(GOOD, policy=policy), checked)
        return checked


def direct(*events: str, **ends: str) -> Senders:
    """A bucket that notifies the queue of these events of keys with these ends: prefix or suffix."""
    rules = {"Key": {"FilterRules": [{"Name": name, "Value": value} for name, value in ends.items()]}}
    return Senders({"QueueConfigurations": [{"QueueArn": GOOD.arn, "Events": events, "Filter": rules}]})


def bridged(**rules: dict[str, Any]) -> Senders:
    """A bucket that tells EventBridge, which has these rules with these patterns."""
    return Senders({"EventBridgeConfiguration": {}}, rules)


ALL = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")


@pytest.mark.parametrize(
    ("senders", "lost"),
    [
        (direct(*ALL, Prefix="nba/"), None),
        (direct("s3:ObjectCreated:Put", "s3:ObjectRemoved:*"), "not all of ObjectCreated"),
        (direct("s3:ObjectCreated:Put"), "not all of ObjectCreated and no ObjectRemoved"),
        (direct(*ALL, prefix="elsewhere/"), "nothing of the lake"),
        (direct(*ALL, prefix="nba/", suffix=".json"), HTML),
        (bridged(changes={"detail": {"bucket": {"name": [BUCKET]}}}), None),
        (bridged(one={"detail-type": ["Object Created"]}, other={"detail-type": ["Object Deleted"]}), None),
        (bridged(changes={"detail-type": ["Object Created"]}), "no Object Deleted"),
        (bridged(changes={"detail": {"reason": [{"anything-but": "CopyObject"}]}}), "not all of Object Created"),
        (bridged(changes={"detail": {"bucket": {"name": ["another"]}}}), "nothing of the lake"),
        (bridged(changes={"detail": {"object": {"key": [{"suffix": ".json"}]}}}), HTML),
    ],
)
def test_what_the_senders_to_the_queue_leave_out_of_the_lake_is_named(senders: Senders, lost: str | None) -> None:
    checked = senders.check()
    assert checked.unknown == []
    assert [line.partition("; ")[0] for line in checked.troubles] == (
        [] if lost is None else [f"EventBridge: rule changes passes {lost}" if senders.rules else TOLD + lost]
    )


def test_a_disabled_rule_is_named_beside_one_that_is_enabled() -> None:
    assert bridged(changes={"disabled": True}, other={}).check().troubles == [DISABLED]


def test_the_policy_of_the_queue_has_to_let_the_one_send_that_does() -> None:
    trouble = "queue {}: its policy does not let {} send to it; allow sqs:SendMessage to {}"
    assert direct(*ALL).check("events.amazonaws.com").troubles == [trouble.format(GOOD.arn, "S3", "s3.amazonaws.com")]
    found = bridged(changes={}).check("s3.amazonaws.com").troubles
    assert found == [trouble.format(GOOD.arn, "EventBridge", "events.amazonaws.com")]
    by_topic = bridged().check("sns.amazonaws.com")
    assert by_topic.troubles == []
    assert [line.partition("; ")[0] for line in by_topic.unknown] == [f"queue {GOOD.arn}: a topic of SNS sends to it"]


def test_a_queue_that_is_not_there_and_one_for_a_lake_in_a_folder_are_told(path: Path) -> None:
    away = Events(queue="arn:aws:sqs:us-east-1:123456789012:nowhere")
    [line] = _troubles(path.config.model_copy(update={"events": away}))
    assert line.startswith(f"queue {away.queue} cannot be found: ")
    [line] = _troubles(path.config.model_copy(update={"lake": "file:lake"}))
    assert line == f"queue {path.arn}: the lake is a folder, which sends no events; set events.queue to null"
    assert _troubles(path.config.model_copy(update={"events": Events()})) == []
    [line] = _troubles(path.config.model_copy(update={"events": Events(fill=True)}))
    assert line == "events.fill has no effect without a queue; name one in events.queue"


def _troubles(config: Config) -> list[str]:
    checked = asyncio.run(check_event_path(config))
    assert checked.unknown == []
    return checked.troubles


def answering(monkeypatch: pytest.MonkeyPatch, operation: str, answer: Callable[[Any], Any]) -> None:
    """Changes the answers of one operation of AWS. The stand-in for AWS refuses nothing, and tells no EventBridge."""
    usual = BaseClient._make_api_call

    def call(self: Any, name: str, arguments: Any) -> Any:
        if name == "TestEventPattern":  # the stand-in has no answer, although it can tell
            return Senders({}).test_event_pattern(**arguments)
        found = usual(self, name, arguments)
        return answer(found) if name == operation else found

    monkeypatch.setattr(BaseClient, "_make_api_call", call)


def refused(_: Any) -> Any:
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "look")
