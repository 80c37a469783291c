"""Is everything in place that brings the events of the lake to its queue? As SQS, S3 and EventBridge tell it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from blocks.aws import Aws, aws_of
from blocks.store import Store
from config.models import Config
from tasks.domain.errors import AdceError
from tasks.domain.wording import duration, one_line, size
from tasks.observe.queue import QueueFacts, open_queue

T = TypeVar("T")

_LARGEST_EVENT = 64 * 1024  # bytes that an event of S3 may have
_SHORTEST = timedelta(seconds=30)  # a shorter visibility timeout may end while messages are recorded
_LONGEST = timedelta(hours=1)  # after a longer one, what a killed watch has received comes back too late
_KINDS = ("ObjectCreated", "ObjectRemoved")
_SENDERS = ("s3.amazonaws.com", "events.amazonaws.com")
_DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation")


@dataclass
class Checked:
    """What a check of the path of events has found."""

    troubles: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # what it may not look at: neither good nor bad


async def check_event_path(config: Config) -> Checked:
    """What is wrong with the queue of the lake's events and with what sends to it; nothing if there is no queue.

    A lake in a folder sends no events, so that a queue is of no use to it.
    """
    address, checked = config.events.queue, Checked()
    if address is None:
        return checked
    bucket = Store(config.lake).bucket
    if bucket is None:
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
    await asyncio.to_thread(_check_senders, aws, bucket[0], facts.arn, checked)
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
    if facts.redrive is None:
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


def lets_send(policy: str) -> bool:
    """Does the policy of a queue, as JSON, let S3 or EventBridge send messages to it?"""
    try:
        statements = json.loads(policy or "{}").get("Statement", [])
    except ValueError:
        return False
    return any(_allows_sending(one) for one in (statements if isinstance(statements, list) else [statements]))


def _allows_sending(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal")
    services = _texts(principal.get("Service")) if isinstance(principal, dict) else _texts(principal)
    is_sender = any(service == "*" or service in _SENDERS for service in services)
    actions = (action.lower() for action in _texts(statement.get("Action")))
    return statement.get("Effect") == "Allow" and is_sender and any(fnmatchcase("sqs:sendmessage", a) for a in actions)


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [text for text in value or [] if isinstance(text, str)]


def _check_senders(aws: Aws, bucket: str, queue: str, checked: Checked) -> None:
    """Checks that the bucket sends its events to the queue: by itself, or through EventBridge."""
    region = queue.split(":")[3]
    notification = _asked(
        checked,
        f"bucket {bucket}",
        "s3:GetBucketNotification",
        lambda: aws.client("s3").get_bucket_notification_configuration(Bucket=bucket),
    )
    if notification is None:
        return
    direct = [one for one in notification.get("QueueConfigurations", ()) if one["QueueArn"] == queue]
    if direct:
        events = {event for one in direct for event in one["Events"]}
        if lacking := [kind for kind in _KINDS if not any(event.startswith(f"s3:{kind}:") for event in events)]:
            checked.troubles.append(f"bucket {bucket}: its notification to the queue has no {' and no '.join(lacking)}")
        return
    if "EventBridgeConfiguration" in notification:
        _check_rules(aws, region, queue, checked)
        return
    if topics := [one["TopicArn"] for one in notification.get("TopicConfigurations", ())]:
        checked.unknown.append(
            f"bucket {bucket} sends to topic {topics[0]}; whether that sends to the queue is not looked at"
        )
        return
    checked.troubles.append(
        f"bucket {bucket} sends its events neither to queue {queue} nor to EventBridge; switch one on, as "
        "deployments/aws/stack.yaml does"
    )


def _check_rules(aws: Aws, region: str, queue: str, checked: Checked) -> None:
    """Checks that a rule of EventBridge sends to the queue, and is enabled."""

    def rules() -> list[dict[str, Any]]:
        client = aws.client("events", region)
        names = client.list_rule_names_by_target(TargetArn=queue)["RuleNames"]
        return [client.describe_rule(Name=name) for name in names]

    found = _asked(checked, "EventBridge", "events:ListRuleNamesByTarget and events:DescribeRule", rules)
    if found is None:
        return
    if not found:
        checked.troubles.append(f"EventBridge: no rule sends to queue {queue}; make one for the events of the bucket")
    elif not any(rule["State"].startswith("ENABLED") for rule in found):
        names = ", ".join(rule["Name"] for rule in found)
        checked.troubles.append(
            f"EventBridge: rule {names} is disabled; to enable it: aws events enable-rule --name {found[0]['Name']}"
        )


def _asked(checked: Checked, what: str, permission: str, request: Callable[[], T]) -> T | None:
    """The answer; None with a note in what was checked if there is none."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return request()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _DENIED:
            checked.unknown.append(f"{what}: not allowed to look (needs {permission})")
        else:
            checked.troubles.append(f"{what}: {one_line(str(error))}")
    except BotoCoreError as error:
        checked.unknown.append(f"{what}: cannot be asked: {one_line(str(error))}")
    return None
