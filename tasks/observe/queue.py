"""How are messages received from a queue of SQS, kept while they are worked on, and deleted or given back?

The limits are those of https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-quotas.html
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from blocks.aws import Aws
from blocks.aws_errors import NoAnswerError, code_of, why_failed
from tasks.domain.errors import AdceError

AT_ONCE = 10  # messages: the most that one request receives, deletes or keeps
_READ_SECONDS = 10  # how long an answer may take, besides the time for which it waits for messages
_ARN = re.compile(r"arn:aws[a-z-]*:sqs:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):(?P<name>.+)")
_REGION = re.compile(r"https?://(?:sqs\.)?([a-z]{2}(?:-[a-z]+)+-[0-9])\.")
_NAMED = "in events.queue"
_HIDDEN = "told how long to hide messages"
_PERMISSIONS = {  # by what the queue cannot be without it
    "found": "sqs:GetQueueUrl",
    "looked at": "sqs:GetQueueAttributes",
    "received from": "sqs:ReceiveMessage",
    "deleted from": "sqs:DeleteMessage",
    _HIDDEN: "sqs:ChangeMessageVisibility",
}
_ALLOW = "allow {permission} in its policy, or in that of the credentials"
_RENEW = "renew the AWS credentials, and start again"
# Codes of errors that waiting does not mend, and what to do
_LASTING = {
    "AWS.SimpleQueueService.NonExistentQueue": "name another {named}, or create it",
    "QueueDoesNotExist": "name another {named}, or create it",
    "AccessDenied": _ALLOW,
    "AccessDeniedException": _ALLOW,
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "NoCredentialsError": "set them in the environment or name a block",
    "InvalidClientTokenId": "the AWS credentials are wrong",
    "UnrecognizedClientException": "the AWS credentials are wrong",
    "SignatureDoesNotMatch": "the AWS credentials are wrong",
    "InvalidAddress": "name another {named}",
}


class QueueError(AdceError):
    """The queue cannot be used. If this `lasts`, waiting does not mend it."""

    def __init__(self, message: str, *, lasts: bool):
        super().__init__(message)
        self.lasts = lasts


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was received. The queue hides it from other receivers for some time."""

    id: str
    body: str
    handle: str  # with which it is kept, deleted or given back
    sent: datetime
    receives: int  # how often it was received, this time included


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """How a queue is configured, and how much is in it."""

    arn: str
    hides: timedelta  # its visibility timeout: how long a received message is hidden
    largest: int  # bytes that a message may have
    redrive: bool  # does it move a message away that comes again and again?
    is_fifo: bool
    waiting: int  # messages, about
    hidden: int  # messages that were received and not deleted yet, about
    policy: str  # JSON, or empty

    def is_at(self, address: str | None) -> bool:
        """Does an address, a URL or an ARN, name this queue?"""
        account, name = self.arn.split(":")[-2:]
        return address is not None and (address == self.arn or address.rstrip("/").endswith(f"/{account}/{name}"))


class Queue:
    """A queue of SQS. Its methods wait for the answer, may be called from any thread, and raise QueueError."""

    def __init__(self, address: str, aws: Aws, threads: int, waits: int, named: str = _NAMED):
        """`address` is a URL or an ARN, and `named` says where: "in events.queue".

        A receive waits for messages for at most `waits` seconds.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        arn = _ARN.fullmatch(address)
        in_url = _REGION.match(address)
        region = (arn and arn["region"]) or (in_url and in_url[1]) or None
        self.name, self._named = address, named
        self._errors, self._waits = (BotoCoreError, ClientError, NoAnswerError), waits
        seconds = _READ_SECONDS + waits
        self._sqs = self._do("used", lambda: aws.client("sqs", region, read_seconds=seconds, connections=threads))
        self._url = address if arn is None else self._url_of(arn["account"], arn["name"])

    def _url_of(self, account: str, name: str) -> str:
        ask = {"QueueName": name, "QueueOwnerAWSAccountId": account}
        return str(self._do("found", lambda: self._sqs.get_queue_url(**ask)["QueueUrl"]))

    def facts(self) -> QueueFacts:
        """How the queue is configured, and how much is in it."""
        ask = {"QueueUrl": self._url, "AttributeNames": ["All"]}
        found = self._do("looked at", lambda: self._sqs.get_queue_attributes(**ask)["Attributes"])
        return QueueFacts(
            found["QueueArn"],
            timedelta(seconds=int(found["VisibilityTimeout"])),
            int(found["MaximumMessageSize"]),
            bool(found.get("RedrivePolicy")),
            found.get("FifoQueue") == "true",
            int(found["ApproximateNumberOfMessages"]),
            int(found["ApproximateNumberOfMessagesNotVisible"]),
            found.get("Policy", ""),
        )

    def receive(self) -> list[Message]:
        """At most ten messages; none if none came within the time for which a receive waits."""
        ask = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": AT_ONCE,
            "WaitTimeSeconds": self._waits,
            "AttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
        }
        found = self._do("received from", lambda: self._sqs.receive_message(**ask)).get("Messages", ())
        return [
            Message(
                one["MessageId"],
                one["Body"],
                one["ReceiptHandle"],
                datetime.fromtimestamp(int(one["Attributes"]["SentTimestamp"]) / 1000, UTC),
                int(one["Attributes"]["ApproximateReceiveCount"]),
            )
            for one in found
        ]

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Deletes messages. Returns those that the queue has kept all the same, because something there failed."""
        return self._do_by_ten("deleted from", self._sqs.delete_message_batch, messages, {})

    def hide(self, messages: Sequence[Message], seconds: int) -> list[Message]:
        """Hides messages for some more seconds. Returns those that the queue has not, as one that is hidden no more."""
        change = {"VisibilityTimeout": seconds}
        return self._do_by_ten(_HIDDEN, self._sqs.change_message_visibility_batch, messages, change)

    def _do_by_ten(
        self, what: str, request: Callable[..., Any], messages: Sequence[Message], change: dict[str, int]
    ) -> list[Message]:
        failed = []
        for start in range(0, len(messages), AT_ONCE):
            part = messages[start : start + AT_ONCE]
            entries = [{"Id": str(n), "ReceiptHandle": one.handle, **change} for n, one in enumerate(part)]
            answer = self._do(what, partial(request, QueueUrl=self._url, Entries=entries))
            failed += [part[int(one["Id"])] for one in answer.get("Failed", ())]
        return failed

    def _do(self, what: str, request: Callable[[], Any]) -> Any:
        try:
            return request()
        except self._errors as error:
            code = code_of(error)
            remedy = _LASTING.get(code)
            line = f"queue {self.name} cannot be {what}: {why_failed(error, 'sqs')}"
            if remedy is None:
                raise QueueError(line, lasts=False) from None
            what_to_do = remedy.format(permission=_PERMISSIONS.get(what), named=self._named)
            raise QueueError(f"{line}; {what_to_do}", lasts=True) from None
        except KeyError as error:
            raise QueueError(f"queue {self.name} cannot be {what}: the answer lacks {error}", lasts=False) from None
        except ValueError as error:  # botocore's, for an endpoint that is no address
            raise QueueError(f"queue {self.name} cannot be {what}: {error}", lasts=True) from None


async def open_queue(aws: Aws, address: str, *, waits: int, threads: int = 8, named: str = _NAMED) -> Queue:
    """The queue at an address, which is `named` there. Raises QueueError.

    A receive waits for messages for at most `waits` seconds, and so many threads may use the queue at once.
    """
    return await asyncio.to_thread(Queue, address, aws, threads, waits, named)
