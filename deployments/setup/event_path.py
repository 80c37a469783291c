"""Is everything in place that brings the events of the lake to its queue? As SQS, S3 and EventBridge tell it."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from blocks.aws import Aws, aws_of
from blocks.aws_errors import NoAnswerError, code_of, why_failed
from blocks.store import Store
from config.models import Config
from tasks.domain.errors import AdceError
from tasks.domain.expected.collected import collected
from tasks.domain.wording import duration, size
from tasks.observe.queue import QueueFacts, open_queue

T = TypeVar("T")

_LARGEST_EVENT = 64 * 1024  # bytes that an event of S3 may have
_SHORTEST = timedelta(seconds=30)  # a shorter visibility timeout may end while messages are recorded
_LONGEST = timedelta(hours=1)  # after a longer one, what a killed watch has received comes back too late
_S3, _EVENTBRIDGE, _SNS = _SENDERS = ("s3.amazonaws.com", "events.amazonaws.com", "sns.amazonaws.com")
_DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation")


@dataclass
class Checked:
    """What a check of the path of events has found."""

    troubles: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # what it may not look at: neither good nor bad
    in_order: str | None = None  # which bucket sends to which queue, if all of it was looked at and nothing is wrong


async def check_event_path(config: Config) -> Checked:
    """What is wrong with the queue of the lake's events and with what sends to it; nothing if there is no queue.

    A lake in a folder sends no events, so that a queue is of no use to it.
    """
    address, checked = config.events.queue, Checked()
    if address is None:
        if config.events.fill:
            checked.troubles.append("events.fill has no effect without a queue; name one in events.queue")
        return checked
    if (lake := Store(config.lake).bucket) is None:
        checked.troubles.append(
            f"queue {address}: the lake is a folder, which sends no events; set events.queue to null"
        )
        return checked
    try:
        aws = await aws_of(config)
        queue = await open_queue(aws, address, waits=0)
        facts = await asyncio.to_thread(queue.facts)
    except AdceError as error:
        checked.troubles.append(str(error))
        return checked
    checked.troubles += (f"queue {address}: {trouble}" for trouble in troubles_of(facts))
    await asyncio.to_thread(_check_senders, aws, config, facts, checked)
    if not (checked.troubles or checked.unknown):
        checked.in_order = f"queue {address}: bucket {lake[0]} sends to it"
    return checked


def troubles_of(facts: QueueFacts) -> Iterator[str]:
    """What is wrong with a queue, in lines that say what to do."""
    if facts.is_fifo:
        yield "it is a FIFO queue, to which S3 sends nothing; name a standard one"
    if facts.largest < _LARGEST_EVENT:
        yield (
            f"its messages have at most {size(facts.largest)}, and events of S3 that are larger are lost; set its "
            f"MaximumMessageSize to {_LARGEST_EVENT} or more"
        )
    if not facts.redrive:
        yield (
            "it has no redrive policy, so that a message that cannot be read is deleted when it has come five times; "
            "give it a dead-letter queue"
        )
    if not _SHORTEST <= facts.hides <= _LONGEST:
        yield (
            f"its visibility timeout is {duration(facts.hides)}; set it to a time from {duration(_SHORTEST)} to "
            f"{duration(_LONGEST)}, such as 5m"
        )
    if not lets_send(facts.policy):
        yield "its policy lets neither S3 nor EventBridge send to it; allow sqs:SendMessage to the one that does"


def lets_send(policy: str, services: Collection[str] = _SENDERS) -> bool:
    """Does the policy of a queue, as JSON, let one of these services send messages to it?"""
    try:
        statements = json.loads(policy or "{}").get("Statement", [])
    except ValueError:
        return False
    every = statements if isinstance(statements, list) else [statements]
    return any(_allows_sending(one, services) for one in every)


def _allows_sending(statement: dict[str, Any], services: Collection[str]) -> bool:
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        is_sender = "*" in _texts(principal.get("AWS"))
        names = _texts(principal.get("Service"))
    else:
        is_sender, names = False, _texts(principal)
    is_sender |= any(name == "*" or name in services for name in names)
    actions = (action.lower() for action in _texts(statement.get("Action")))
    return statement.get("Effect") == "Allow" and is_sender and any(fnmatchcase("sqs:sendmessage", a) for a in actions)


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [text for text in value or [] if isinstance(text, str)]


@dataclass(frozen=True)
class _Change:
    """What can happen to a file, as the events of both routes call it."""

    notification: str  # S3's own
    detail_type: str  # EventBridge's
    reason: str
    deletion: str | None = None

    def event(self, bucket: str, key: str, queue: str) -> str:
        """The event of EventBridge about a file, as JSON."""
        _, partition, _, region, account, _ = queue.split(":")
        thing = {"key": key, "size": 1000, "etag": 32 * "0", "version-id": "0", "sequencer": 16 * "0"}
        who = {"request-id": "0", "requester": account, "source-ip-address": "192.0.2.1"}
        how = {"reason": self.reason} | ({"deletion-type": self.deletion} if self.deletion else {})
        source = {
            "source": "aws.s3",
            "account": account,
            "region": region,
            "resources": [f"arn:{partition}:s3:::{bucket}"],
        }
        detail = {"version": "0", "bucket": {"name": bucket}, "object": thing, **who, **how}
        about = {"version": "0", "id": "0", "time": "2026-01-01T00:00:00Z", "detail-type": self.detail_type}
        return json.dumps({**about, **source, "detail": detail})


_CHANGES = (
    _Change("ObjectCreated:Put", "Object Created", "PutObject"),
    _Change("ObjectCreated:Post", "Object Created", "POST Object"),
    _Change("ObjectCreated:Copy", "Object Created", "CopyObject"),
    _Change("ObjectCreated:CompleteMultipartUpload", "Object Created", "CompleteMultipartUpload"),
    _Change("ObjectRemoved:Delete", "Object Deleted", "DeleteObject", "Permanently Deleted"),
    _Change("ObjectRemoved:DeleteMarkerCreated", "Object Deleted", "DeleteObject", "Delete Marker Created"),
)


@dataclass(frozen=True)
class _Lost:
    """What does not get through to the queue."""

    changes: Sequence[_Change]
    keys: Sequence[str]  # templates

    @classmethod
    def of(cls, passes: Callable[[_Change, str], bool], keys: Sequence[str]) -> _Lost:
        """What something does not pass of what happens to files whose keys have these templates."""
        examples = {key: re.sub("{[^}]*}", "1", key) for key in keys}
        lost = [key for key, example in examples.items() if not passes(_CHANGES[0], example)]
        some = next((example for key, example in examples.items() if key not in lost), examples[keys[0]])
        return cls([one for one in _CHANGES if not passes(one, some)], lost if len(lost) < len(keys) else ())

    def __bool__(self) -> bool:
        return bool(self.changes or self.keys)

    def told(self, kind_of: Callable[[_Change], str]) -> str:
        """What is lost, in words: "no ObjectRemoved", "not all of ObjectCreated", "nothing of the lake"."""
        if len(self.changes) == len(_CHANGES):
            return "nothing of the lake"
        kinds, lost = Counter(map(kind_of, _CHANGES)), Counter(map(kind_of, self.changes))
        parts = [f"no {kind}" if lost[kind] == kinds[kind] else f"not all of {kind}" for kind in kinds if kind in lost]
        more = f" and of {len(self.keys) - 1} more" if len(self.keys) > 1 else ""
        return " and ".join([*parts, *(f"nothing of {key}{more}" for key in self.keys[:1])])


def _check_senders(aws: Aws, config: Config, facts: QueueFacts, checked: Checked) -> None:
    """Checks that the bucket sends what happens to the lake to the queue: by itself, or through EventBridge."""
    lake = Store(config.lake).bucket
    assert lake
    bucket, prefix = lake
    datasets = collected(config).first_seasons
    keys = [prefix + key for dataset in datasets for key in config.datasets[dataset].keys]
    notification = _asked(
        checked,
        f"bucket {bucket}",
        "s3:GetBucketNotification",
        lambda: aws.client("s3").get_bucket_notification_configuration(Bucket=bucket),
    )
    if notification is None:
        return
    direct = [one for one in notification.get("QueueConfigurations", ()) if one["QueueArn"] == facts.arn]
    if direct:
        checked.troubles += _lets(facts, "S3", _S3)
        if lost := _Lost.of(lambda change, key: any(_sends(one, change, key) for one in direct), keys):
            told = lost.told(lambda change: change.notification.partition(":")[0])
            checked.troubles.append(
                f"bucket {bucket}: its notification to the queue has {told}; give it s3:ObjectCreated:*, "
                "s3:ObjectRemoved:* and no filter that leaves out files of the lake"
            )
    elif lets_send(facts.policy) and not lets_send(facts.policy, [_S3, _EVENTBRIDGE]):
        checked.unknown.append(
            f"queue {facts.arn}: a topic of SNS sends to it; whether that is sent the events of bucket {bucket} is not "
            "looked at"
        )
    elif "EventBridgeConfiguration" in notification:
        checked.troubles += _lets(facts, "EventBridge", _EVENTBRIDGE)
        _check_rules(aws, bucket, keys, facts.arn, checked)
    elif topics := [one["TopicArn"] for one in notification.get("TopicConfigurations", ())]:
        checked.unknown.append(
            f"bucket {bucket} sends to topic {topics[0]}; whether that sends to the queue is not looked at"
        )
    else:
        checked.troubles.append(
            f"bucket {bucket} sends its events neither to queue {facts.arn} nor to EventBridge; "
            "deployments/runbook.md says how it can, under Switch events on"
        )


def _lets(facts: QueueFacts, name: str, service: str) -> Iterator[str]:
    """The trouble if the policy of the queue lets some service send to it, but not the one that does."""
    if lets_send(facts.policy) and not lets_send(facts.policy, [service]):
        yield f"queue {facts.arn}: its policy does not let {name} send to it; allow sqs:SendMessage to {service}"


def _sends(configuration: dict[str, Any], change: _Change, key: str) -> bool:
    """Does a bucket send a notification of a change of a file to the target of this configuration?"""
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    ends = {"prefix": key.startswith, "suffix": key.endswith}
    return all(ends[rule["Name"].lower()](rule["Value"]) for rule in rules) and any(
        fnmatchcase(f"s3:{change.notification}", event) for event in configuration["Events"]
    )


def _check_rules(aws: Aws, bucket: str, keys: Sequence[str], queue: str, checked: Checked) -> None:
    """Checks that rules of EventBridge that are enabled pass to the queue what happens to the lake."""

    def rules() -> list[dict[str, Any]]:
        pages = events.get_paginator("list_rule_names_by_target").paginate(TargetArn=queue)
        return [events.describe_rule(Name=name) for page in pages for name in page["RuleNames"]]

    def passes(change: _Change, key: str) -> bool:
        event = change.event(bucket, key, queue)
        return any(events.test_event_pattern(EventPattern=one, Event=event)["Result"] for one in patterns)

    events = aws.client("events", queue.split(":")[3])
    found = _asked(checked, "EventBridge", "events:ListRuleNamesByTarget and events:DescribeRule", rules)
    if found is None:
        return
    if not found:
        checked.troubles.append(f"EventBridge: no rule sends to queue {queue}; make one for the events of the bucket")
        return
    checked.troubles += (
        f"EventBridge: rule {rule['Name']} is disabled; to enable it: aws events enable-rule --name {rule['Name']}"
        for rule in found
        if not rule["State"].startswith("ENABLED")
    )
    enabled = [rule for rule in found if rule["State"].startswith("ENABLED")]
    patterns = [rule["EventPattern"] for rule in enabled if rule.get("EventPattern")]
    if not enabled:
        return
    lost = _asked(checked, "EventBridge", "events:TestEventPattern", lambda: _Lost.of(passes, keys))
    if lost:
        names, told = ", ".join(rule["Name"] for rule in enabled), lost.told(lambda change: change.detail_type)
        checked.troubles.append(
            f"EventBridge: rule {names} passes {told}; its EventPattern has to pass all that happens to the lake in "
            f"bucket {bucket}, as that of deployments/aws/stack.yaml does"
        )


def _asked(checked: Checked, what: str, permission: str, request: Callable[[], T]) -> T | None:
    """The answer; None with a note in what was checked if there is none."""
    from botocore.exceptions import BotoCoreError, ClientError

    service = permission.partition(":")[0]
    try:
        return request()
    except ClientError as error:
        if code_of(error) in _DENIED:
            checked.unknown.append(f"{what}: not allowed to look (needs {permission})")
        else:
            checked.troubles.append(f"{what}: {why_failed(error, service)}")
    except (BotoCoreError, NoAnswerError) as error:
        checked.unknown.append(f"{what}: cannot be asked: {why_failed(error, service)}")
    return None
