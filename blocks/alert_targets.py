"""Who is told of incidents: Slack, a webhook, a topic of SNS, or what Apprise knows. Each message within 10 seconds."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

from pydantic import ValidationError

from blocks.aws import aws_of
from blocks.aws_errors import NoAnswerError, code_of, why_failed
from blocks.bounded_http import UnansweredError, exchange
from config.models import AppriseTarget, Config, SlackTarget, SnsTarget, Target, WebhookTarget
from config.secrets import masked, register_url
from tasks.daemon_threads import in_daemon_thread
from tasks.domain.alert_messages import TEST, Message, for_slack, subject_of
from tasks.domain.errors import AdceError
from tasks.domain.incidents import What
from tasks.domain.limits.retry_after import asked_wait
from tasks.domain.wording import one_line

UrlTarget = SlackTarget | WebhookTarget | AppriseTarget

WITHIN = 10.0  # seconds in which a message has to be delivered
_TELLS_WAIT = (429, 503)  # statuses with which an answer may ask for a wait
_OF_THE_MESSAGE = (400, 413, 415, 422)  # statuses with which a service may refuse one message, and take the next one
_WRONG_MESSAGE = ("InvalidParameter", "InvalidParameterValue", "ParamValidationError")  # the same of SNS, by its codes


class DeliveryError(AdceError):
    """A message was not delivered, as far as is known.

    `wait` is for how long the service wants to be left alone. If it refuses only this message, others need not wait.
    """

    def __init__(self, message: str, *, wait: timedelta | None = None, is_of_message: bool = False):
        super().__init__(message)
        self.wait = wait
        self.is_of_message = is_of_message


class AlertTarget(ABC):
    """One of those that are told. `name` is that of the settings."""

    def __init__(self, name: str):
        self.name = name

    async def deliver(self, message: Message) -> None:
        """Delivers a message. Raises DeliveryError, after 10 seconds at the latest."""
        try:
            async with asyncio.timeout(WITHIN):
                await self._send(message)
        except TimeoutError:
            raise self._failed(f"it has not answered within {WITHIN:.0f} s") from None
        except DeliveryError:
            raise
        except Exception as error:  # whatever it is, the others are told
            raise self._failed(f"it cannot be told: {error!r}") from None

    @abstractmethod
    async def _send(self, message: Message) -> None:
        """Sends a message. Raises DeliveryError."""

    def _failed(self, why: str, **more: Any) -> DeliveryError:
        return DeliveryError(f"alerts.targets.{self.name}: {masked(one_line(why))}", **more)


@dataclass
class Http(AlertTarget):
    """A URL to which messages are posted as JSON, of which `body` makes the document."""

    name: str
    url: str
    body: Callable[[Message], Mapping[str, Any]]
    headers: Mapping[str, str]

    async def _send(self, message: Message) -> None:
        own = {"Content-Type": "application/json", "Idempotency-Key": message.id}
        headers = {name: value for name, value in self.headers.items() if name.title() not in own} | own
        try:
            content = json.dumps(self.body(message)).encode()
            answer = await exchange("POST", self.url, WITHIN, content=content, headers=headers)
        except UnansweredError as error:
            raise self._failed(str(error)) from None
        if not answer.is_success:
            asks = answer.headers.get("Retry-After", "") if answer.status in _TELLS_WAIT else ""
            wait, is_of_message = asked_wait(asks, datetime.now(UTC)), answer.status in _OF_THE_MESSAGE
            raise self._failed(answer.line, wait=wait, is_of_message=is_of_message)


class Sns(AlertTarget):
    """A topic of SNS, which is asked with the credentials of the lake."""

    def __init__(self, name: str, target: SnsTarget, config: Config):
        super().__init__(name)
        self._target, self._config = target, config

    async def _send(self, message: Message) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            await in_daemon_thread(lambda: self._publish(message), f"sns {self.name}")
        except (BotoCoreError, ClientError, NoAnswerError, ValueError) as error:
            is_of_message = code_of(error) in _WRONG_MESSAGE
            raise self._failed(f"SNS: {why_failed(error, 'sns')}", is_of_message=is_of_message) from None
        except AdceError as error:
            raise self._failed(str(error)) from None

    def _publish(self, message: Message) -> None:
        values = {"kind": message.kind, "what": message.what, "scope": message.scope, "id": message.id}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in values.items() if value}
        once = {"MessageGroupId": "adce", "MessageDeduplicationId": message.id} if self._target.is_fifo else {}
        self._client.publish(
            TopicArn=self._target.topic,
            Subject=subject_of(message),
            Message=f"{message.title}\n\n{message.text}",
            MessageAttributes=attributes,
            **once,
        )

    @cached_property
    def _client(self) -> Any:
        aws = asyncio.run(aws_of(self._config))
        return aws.client("sns", self._target.region, read_seconds=WITHIN / 2, attempts=1)


class Apprise(AlertTarget):
    """A service that Apprise knows."""

    def __init__(self, name: str, url: str):
        super().__init__(name)
        self._url = url
        self._sending: asyncio.Future[bool] | None = None

    async def _send(self, message: Message) -> None:
        if self._sending and not self._sending.done():
            raise self._failed("it still hangs")
        self._sending = in_daemon_thread(lambda: self._notify(message), f"apprise {self.name}")
        try:
            is_taken = await asyncio.shield(self._sending)
        except Exception as error:  # whatever a service's module raises, the message was not delivered
            raise self._failed(f"Apprise: {error!r}") from None
        if not is_taken:
            raise self._failed("Apprise could not deliver the message; the log of apprise may say why")

    def open(self) -> None:
        """Raises DeliveryError if Apprise cannot use the URL."""
        import apprise  # not at the top: it takes half a second

        if not apprise.Apprise().add(self._url):
            raise self._failed("Apprise: there is no such service, or its URL lacks something")

    def _notify(self, message: Message) -> bool:
        import apprise  # as above

        service = apprise.Apprise()
        service.add(self._url)
        kinds = {What.OPENED: apprise.NotifyType.FAILURE, What.REMINDED: apprise.NotifyType.WARNING}
        kinds |= {What.CLOSED: apprise.NotifyType.SUCCESS}
        kind = apprise.NotifyType.INFO if message.what == TEST else kinds[What(message.what)]
        text = apprise.NotifyFormat.TEXT
        return bool(service.notify(message.text, title=message.title, notify_type=kind, body_format=text))


async def target_of(name: str, target: Target, config: Config) -> AlertTarget:
    """The target of these settings. Raises DeliveryError if the block with its URL cannot be read, or has none."""
    if isinstance(target, SnsTarget):
        return Sns(name, target, config)
    if target.url_block is not None:
        reading = in_daemon_thread(partial(_url_in_block, name, target.url_block), f"block {name}")
        try:
            async with asyncio.timeout(WITHIN):
                url = await reading
        except TimeoutError:
            text = f"Prefect has not answered within {WITHIN:.0f} s for its Secret block {target.url_block!r}"
            raise DeliveryError(f"alerts.targets.{name}: {text}") from None
        target = _with_url(name, target, url)
    if isinstance(target, SlackTarget):
        return Http(name, str(target.url), lambda message: {"text": for_slack(message)}, {})
    if isinstance(target, WebhookTarget):
        return Http(name, str(target.url), lambda message: message.document, target.headers)
    apprise = Apprise(name, str(target.url))
    await in_daemon_thread(apprise.open, f"apprise {name}")
    return apprise


def _url_in_block(name: str, block: str) -> str:
    """The URL in a Secret block of Prefect."""
    from prefect.blocks.system import Secret  # not at the top: it imports Prefect, which takes seconds

    async def load() -> str:
        return str((await Secret.load(block)).get())

    try:
        url = asyncio.run(load())
    except ValueError:
        text = f"Prefect has no Secret block {block!r}; create it there, or name another with url_block"
        raise DeliveryError(f"alerts.targets.{name}: {text}") from None
    except Exception as error:  # whatever Prefect raises, as when its API is away
        text = f"its Secret block {block!r} cannot be read: {type(error).__name__}"
        raise DeliveryError(f"alerts.targets.{name}: {text}") from None
    register_url(url)
    return url


def _with_url(name: str, target: UrlTarget, url: str) -> UrlTarget:
    """The target with the URL of its block, which is checked as one in the settings is."""
    settings = target.model_dump() | {"url": url, "url_block": None}
    try:
        return type(target).model_validate(settings)
    except ValidationError as error:
        why = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise DeliveryError(f"alerts.targets.{name}: what is in its Secret block is wrong: {why}") from None
