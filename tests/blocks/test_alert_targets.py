"""Does each of those that are told get its message, and what does one line say of those that do not?

The servers are on loopback; SNS and SQS are moto's.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import boto3
import pytest

from blocks import alert_targets as module
from blocks.alert_targets import AlertTarget, DeliveryError, Http, target_of
from config.load import load_config
from tasks.domain.alert_messages import Message
from tests.receivers import receiver
from tests.servers import Handler, use_s3

DOCUMENT = {"id": "ab-7-opened", "kind": "lake"}
MESSAGE = Message("ab-7-opened", "opened", "lake", "espn", "Opened: <it>", ("Since ever.", "More: adce plan"), DOCUMENT)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes long for everything; a test about the time that a target has sets it itself."""
    monkeypatch.setattr(module, "WITHIN", 60.0)


def a_target(**settings: Any) -> AlertTarget:
    config = load_config(env={"ADCE_ALERTS__TARGETS": json.dumps({"ops": settings})})
    return asyncio.run(target_of("ops", config.alerts.targets["ops"], config))


def deliver(message: Message = MESSAGE, **settings: Any) -> None:
    asyncio.run(a_target(**settings).deliver(message))


def failure(**settings: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as raised:
        deliver(**settings)
    assert "\n" not in str(raised.value)
    return raised.value


def test_any_error_is_one_line_of_its_target() -> None:
    target = Http("ops", "http://127.0.0.1:99999/", lambda message: message.document, {})  # no port that there is
    with pytest.raises(DeliveryError, match=r"^alerts.targets.ops: it cannot be told: ") as raised:
        asyncio.run(target.deliver(MESSAGE))
    assert "\n" not in str(raised.value)


def test_slack_gets_a_text_in_its_markup() -> None:
    with receiver() as (url, requests):
        deliver(type="slack", url=f"{url}/services/T/B/secret")
    [text] = [body["text"] for body in requests.documents]
    assert text == "*Opened: &lt;it&gt;*\nSince ever.\nMore: adce plan\nMessage ab-7-opened"


def test_a_webhook_gets_the_document_with_the_id_and_headers() -> None:
    with receiver() as (url, requests):
        deliver(type="webhook", url=f"{url}/in?key=1", headers={"Authorization": "Bearer abc", "Idempotency-Key": "x"})
    assert requests.documents == [DOCUMENT]
    [headers] = [request["headers"] for request in requests]
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer abc", "ab-7-opened")
    assert headers["Content-Type"] == "application/json"
    assert requests[0]["path"] == "/in?key=1"


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [
        (429, "7", timedelta(seconds=7)),
        (503, "99999999", timedelta(days=1)),
        (429, "soon", None),
        (500, "7", None),
    ],
)
def test_a_wait_that_is_asked_for_is_told(status: int, header: str, wait: timedelta | None) -> None:
    with receiver(lambda handler: handler.answer(status, b"slow\ndown", {"Retry-After": header})) as (url, _):
        error = failure(type="slack", url=url)
    assert str(error) == f"alerts.targets.ops: HTTP {status}: slow down"
    assert (error.wait, error.is_of_message) == (wait, False)


def test_a_wait_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    with receiver(lambda handler: handler.answer(429, b"", {"Retry-After": date})) as (url, _):
        wait = failure(type="slack", url=url).wait
    assert wait
    assert wait <= timedelta(minutes=5)


def test_a_message_that_is_refused_holds_up_no_other() -> None:
    with receiver(lambda handler: handler.answer(400, b"invalid_payload")) as (url, _):
        assert failure(type="slack", url=url).is_of_message


def test_a_redirect_is_not_followed() -> None:
    with receiver() as (elsewhere, requests):
        to = {"Location": elsewhere}
        with receiver(lambda handler: handler.answer(307, b"", to)) as (url, _):
            error = failure(type="webhook", url=url)
        assert str(error) == "alerts.targets.ops: HTTP 307; a redirect is not followed, name the address itself"
        assert requests == []


def test_an_error_shows_no_secret() -> None:
    def echo(handler: Handler) -> None:
        handler.answer(404, f"no {handler.path}".encode())

    with receiver(echo) as (url, _):
        error = failure(type="slack", url=f"{url}/services/T000/B000/abcdefghijklmnopqrst")
    assert "abcdefghijklmnopqrst" not in str(error)
    assert str(error).startswith("alerts.targets.ops: HTTP 404: no ***")


def test_an_address_at_which_nobody_is_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = failure(type="slack", url=f"http://127.0.0.1:{port}/services/abcdefghijklmnopqrst")
    assert str(error).startswith("alerts.targets.ops: it cannot be reached: ")


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 500 No\r\n\r\n"])
def test_who_hangs_or_trickles_has_its_time_and_no_more(begins: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends the beginning of an answer, and then a byte now and then, for ever."""
    monkeypatch.setattr(module, "WITHIN", 0.5)
    ended = threading.Event()

    def trickle(server: socket.socket) -> None:
        client = server.accept()[0]
        with client:
            try:
                client.sendall(begins)
                while not ended.wait(0.02):
                    client.sendall(b"x")
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=trickle, args=(server,), daemon=True)
        thread.start()
        error = failure(type="slack", url=f"http://127.0.0.1:{server.getsockname()[1]}/x")
        ended.set()
        thread.join()
    assert str(error).startswith("alerts.targets.ops: ")


def test_of_an_endless_answer_only_the_beginning_is_read() -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(500)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 10_000)
        except OSError:
            pass

    with receiver(endless) as (url, _):
        assert str(failure(type="slack", url=url)) == f"alerts.targets.ops: HTTP 500: {'x' * 300}"


@pytest.fixture
def queue(s3: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[str, Callable[[], list[dict[str, Any]]]]]:
    """Makes a topic and a queue that has subscribed to it. Returns its ARN, and what reads the queue."""
    use_s3(monkeypatch, s3)

    def make(name: str) -> tuple[str, Callable[[], list[dict[str, Any]]]]:
        fifo = {"FifoTopic": "true"} if name.endswith(".fifo") else {}
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        topic = sns.create_topic(Name=name, Attributes=fifo)["TopicArn"]
        url = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if fifo else {})["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

        def read() -> list[dict[str, Any]]:
            found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            return [json.loads(one["Body"]) for one in found]

        return topic, read

    return make


@pytest.mark.parametrize("name", ["alerts", "alerts.fifo"])
def test_a_topic_of_sns_gets_a_subject_a_text_and_attributes(name: str, queue: Any) -> None:
    topic, read = queue(name)
    deliver(type="sns", topic=topic)
    [got] = read()
    assert got["Subject"] == "ADCE: Opened: <it>"
    assert got["Message"] == "Opened: <it>\n\nSince ever.\nMore: adce plan\nMessage ab-7-opened"
    attributes = {key: value["Value"] for key, value in got["MessageAttributes"].items()}
    assert attributes == {"kind": "lake", "what": "opened", "scope": "espn", "id": "ab-7-opened"}


def test_a_topic_that_is_not_there_is_one_line(queue: Any) -> None:
    topic, _ = queue("alerts")
    error = failure(type="sns", topic=f"{topic}x")
    assert str(error).startswith("alerts.targets.ops: SNS: NotFound")


def test_a_service_of_apprise_gets_title_and_text() -> None:
    with receiver() as (url, requests):
        deliver(type="apprise", url=f"{url.replace('http://', 'json://')}/a-topic")
    [body] = requests.documents
    assert body["title"] == "Opened: <it>"
    assert "Since ever." in body["message"]
    assert "ab-7-opened" in body["message"]
    assert body["type"] == "failure"


def test_a_service_of_apprise_that_refuses_or_does_not_exist_is_one_line() -> None:
    with receiver(lambda handler: handler.answer(500)) as (url, _):
        error = failure(type="apprise", url=url.replace("http://", "json://"))
    assert str(error).startswith("alerts.targets.ops: Apprise could not deliver the message")
    error = failure(type="apprise", url="nosuch://a-secret-of-mine-that-is-long")
    assert "there is no such service" in str(error)
    assert "secret" not in str(error)


def test_a_service_of_apprise_that_hangs_is_not_asked_again_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WITHIN", 1)
    ended = threading.Event()
    with receiver(lambda handler: ended.wait(30) and None) as (url, requests):
        target = a_target(type="apprise", url=f"{url.replace('http://', 'json://')}?rto=30")

        async def twice() -> list[str]:
            found = []
            for _ in range(2):
                with pytest.raises(DeliveryError) as raised:
                    await target.deliver(MESSAGE)
                found.append(str(raised.value))
            return found

        first, second = asyncio.run(twice())
        ended.set()
    assert first == "alerts.targets.ops: it has not answered within 1 s"
    assert second == "alerts.targets.ops: it still hangs"
    assert len(requests) == 1


def test_a_block_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(module, "WITHIN", 0.05)
    monkeypatch.setattr(module, "_url_in_block", lambda name, block: str(answered.wait(60)))
    with pytest.raises(DeliveryError, match="Prefect has not answered within 0 s for its Secret block 'channel'"):
        a_target(type="slack", url_block="channel")
    answered.set()


@pytest.mark.usefixtures("prefect_api")
def test_a_url_may_be_in_a_block_of_prefect() -> None:
    from prefect.blocks.system import Secret

    with receiver() as (url, requests):
        for block, value in (("channel", f" {url}/channel "), ("wrong", "http://example.org/hunter2secret")):
            Secret(value=value).save(block, overwrite=True)
        deliver(type="slack", url_block="channel")
    assert [request["path"] for request in requests] == ["/channel"]
    with pytest.raises(DeliveryError, match="wrong: must begin with https://") as raised:
        a_target(type="slack", url_block="wrong")
    assert "hunter2" not in str(raised.value)
    with pytest.raises(DeliveryError, match=r"^alerts.targets.ops: Prefect has no Secret block 'none'; create it"):
        a_target(type="slack", url_block="none")
