"""Does nothing that a queue holds get lost, whatever becomes of those who receive it?"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import count
from typing import Any

import boto3
import moto.sqs.models
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from blocks.aws import Aws
from tasks.observe.queue import Message, Queue, QueueError, open_queue
from tasks.observe.receivers import Receivers, receiving
from tests.servers import use_s3

HIDDEN = 300  # seconds; no busy machine keeps a message for so long


class Place:
    """A queue on a server of SQS, and what it holds."""

    def __init__(self, name: str):
        self.sqs = boto3.client("sqs")
        self.name = name
        self.url = self.make()

    def make(self) -> str:
        settings = {"VisibilityTimeout": str(HIDDEN)}
        return str(self.sqs.create_queue(QueueName=self.name, Attributes=settings)["QueueUrl"])

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def left(self) -> tuple[int, int]:
        """How many messages wait, and how many are hidden because somebody has received them."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def run(self, story: Callable[[Receivers, Queue], Any], count: int = 1) -> Any:
        """Runs a story. Of two receivers that ask at the same time, moto may give a message to both."""

        async def run() -> Any:
            queue = await open_queue(Aws(boto3.Session()), self.url, waits=1)
            async with receiving(queue, HIDDEN, count) as receivers:
                return await story(receivers, queue)

        return asyncio.run(run())


@pytest.fixture
def place(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    use_s3(monkeypatch, s3)
    place = Place("received")
    yield place
    place.sqs.delete_queue(QueueUrl=place.url)


def test_what_is_done_is_deleted_and_what_is_not_is_given_back_at_the_stop(place: Place) -> None:
    place.send(*map(str, range(25)))

    async def story(receivers: Receivers, _: Queue) -> None:
        got = await _until(receivers, 25)
        assert sorted(int(one.message.body) for one in got) == list(range(25))
        assert {one.message.receives for one in got} == {1}
        await receivers.delete([one.message for one in got[:12]])

    place.run(story)
    assert place.left() == (13, 0)


def test_what_takes_longer_than_the_queue_hides_it_is_hidden_for_longer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, is_hidden, usual, now = 0.0, asyncio.Event(), Queue.hide, moto.sqs.models.unix_time_millis
    monkeypatch.setattr("tasks.clock.seconds", lambda: time.monotonic() + later)
    monkeypatch.setattr("moto.sqs.models.unix_time_millis", lambda: now() + later * 1000)
    place.send("slow")

    async def story(receivers: Receivers, _: Queue) -> list[Any]:
        nonlocal later
        loop = asyncio.get_running_loop()

        def hide(*given: Any) -> list[Message]:
            failed = usual(*given)
            loop.call_soon_threadsafe(is_hidden.set)
            return failed

        monkeypatch.setattr(Queue, "hide", hide)
        [one] = await _until(receivers, 1)
        later = 0.7 * HIDDEN
        async with asyncio.timeout(60):
            await is_hidden.wait()
        later = 1.4 * HIDDEN
        again = await receivers.next(10, 1)
        assert place.left() == (0, 1)
        await receivers.delete([one.message])
        return again

    assert place.run(story) == []
    assert place.left() == (0, 0)


def test_a_queue_that_is_away_is_told_of_once_and_received_from_when_it_is_back(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.observe.receivers._RETRY_SECONDS", 0.1)

    async def story(receivers: Receivers, _: Queue) -> None:
        await asyncio.to_thread(place.sqs.delete_queue, QueueUrl=place.url)
        async with asyncio.timeout(60):
            while not caplog.records:
                await asyncio.sleep(0.05)
        await asyncio.to_thread(place.make)
        await asyncio.to_thread(place.send, "late")
        [one] = await _until(receivers, 1)
        await receivers.delete([one.message])

    with caplog.at_level(logging.WARNING, "tasks"):
        place.run(story)
    away, back = [record.getMessage() for record in caplog.records if record.name.startswith("tasks")]
    assert away.startswith(f"queue {place.url} cannot be received from: ")
    assert "does not exist" in away
    assert back.startswith("the queue answers again; it had not since ")


def test_another_takes_the_place_of_a_receiver_that_hangs_or_has_died(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tasks.observe.receivers._STUCK_SECONDS", 0.2)
    monkeypatch.setattr("tasks.observe.receivers._LOOK_SECONDS", 0.1)
    goes_on, usual = threading.Event(), Queue.receive
    troubles = iter([lambda: goes_on.wait(60), lambda: 1 / 0])

    def receive(self: Queue) -> Any:
        if trouble := next(troubles, None):
            trouble()
        return usual(self)

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(Queue, "receive", receive)

    async def story(receivers: Receivers, _: Queue) -> None:
        async with asyncio.timeout(60):
            while sum("another takes its place" in record.getMessage() for record in caplog.records) < 2:
                await asyncio.sleep(0.05)
        await asyncio.to_thread(place.send, "here")
        got = await _until(receivers, 1)
        assert {one.message.body for one in got} == {"here"}
        await receivers.delete([one.message for one in got])
        goes_on.set()

    place.run(story, count=2)


def test_a_queue_that_is_not_there_is_one_line(place: Place) -> None:
    address = place.url.rpartition("/")[0] + "/nowhere"
    arn = "arn:aws:sqs:us-east-1:123456789012:nowhere"

    async def story() -> None:
        queue = await open_queue(Aws(boto3.Session()), address, waits=1)
        with pytest.raises(QueueError, match=r"^queue .*/nowhere cannot be looked at: .* name another in events.queue"):
            queue.facts()
        with pytest.raises(
            QueueError, match=r"^queue arn:.*:nowhere cannot be found: .*; name another with --queue, or"
        ) as raised:
            await open_queue(Aws(boto3.Session()), arn, waits=1, named="with --queue")
        assert raised.value.lasts

    asyncio.run(story())


class Stubborn:
    """In place of a queue of one message: fails to hide it in one way after the other, and then takes its time."""

    def __init__(self) -> None:
        self.message = Message("1", "x" * 3000, "1", datetime.now(UTC), 1)
        self._messages = [[self.message] for _ in range(9)]
        self.given = 0
        self.hidden: list[int] = []  # the seconds of each hiding that has ended
        self.is_hiding = threading.Event()
        self._troubles: Iterator[Callable[[], list[Message]]] = iter(
            (self._refuse, self._break, lambda: [self.message])
        )

    def _refuse(self) -> list[Message]:
        raise QueueError("throttled", lasts=False)

    def _break(self) -> list[Message]:
        raise KeyError("Failed")

    def receive(self) -> list[Message]:
        time.sleep(0.01)
        self.given += 1
        return self._messages.pop() if self._messages else []

    def hide(self, messages: Sequence[Message], seconds: int) -> list[Message]:
        if trouble := next(self._troubles, None):
            return trouble()
        self.is_hiding.set()
        time.sleep(0.1 if seconds else 0)
        self.hidden.append(seconds)
        return []


def test_a_message_is_hidden_again_after_a_failure_and_given_back_after_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.observe.receivers._LOOK_SECONDS", 0.02)
    later = 0.0
    monkeypatch.setattr("tasks.clock.seconds", lambda: time.monotonic() + later)
    queue = Stubborn()

    async def story() -> None:
        nonlocal later
        async with receiving(queue, 20, 1):  # type: ignore[arg-type]
            while queue.given < 10:
                await asyncio.sleep(0.01)
            later = 11  # more than half of the time for which it is hidden, and less than all of it
            assert await asyncio.to_thread(queue.is_hiding.wait, 60), "while it is hidden"
        assert queue.hidden == [20, 0]

    asyncio.run(story())


def test_no_more_is_received_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.observe.receivers._MOST_WAITING", 5000)
    monkeypatch.setattr("tasks.observe.receivers._COUNTED", 1)
    queue = Stubborn()

    async def story() -> None:
        async with receiving(queue, 60, 1) as receivers:  # type: ignore[arg-type]
            for taken in range(5):
                async with asyncio.timeout(60):
                    while receivers._has_room.is_set():
                        await asyncio.sleep(0.01)
                assert queue.given <= taken + 3, "two wait, and the receiver has one"
                assert [one.message for one in await receivers.next(10, 5)] == [queue.message]

    asyncio.run(story())


DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no."}}, "")
EXPIRED = ClientError({"Error": {"Code": "ExpiredToken", "Message": "The token is expired"}}, "")
THROTTLED = ClientError({"Error": {"Code": "RequestThrottled", "Message": "Rate exceeded"}}, "")
ONE = Message("1", "body", "handle", datetime(2026, 1, 15, tzinfo=UTC), 1)


@pytest.mark.parametrize(
    ("use", "error", "lasts", "line"),
    [
        (lambda queue: queue.receive(), DENIED, True, "received from: {}: no; allow sqs:ReceiveMessage in its policy"),
        (
            lambda queue: queue.delete([ONE]),
            DENIED,
            True,
            "deleted from: {}: no; allow sqs:DeleteMessage in its policy",
        ),
        (lambda queue: queue.hide([ONE], 0), DENIED, True, "told how long to hide messages: {}: no; allow sqs:Change"),
        (lambda queue: queue.receive(), EXPIRED, True, "received from: {}: The token is expired; renew the AWS"),
        (lambda queue: queue.receive(), THROTTLED, False, "received from: {}: Rate exceeded"),
    ],
)
def test_an_error_of_the_queue_says_what_to_do_and_whether_waiting_mends_it(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[Queue], Any], error: ClientError, lasts: bool, line: str
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    use_s3(monkeypatch, "http://127.0.0.1:1")
    monkeypatch.setattr(BaseClient, "_make_api_call", refuse)
    queue = Queue("https://sqs.us-east-1.amazonaws.com/123456789012/q", Aws(boto3.Session()), 1, 1)
    with pytest.raises(QueueError) as raised:
        use(queue)
    assert raised.value.lasts == lasts
    assert line.format(error.response["Error"]["Code"]) in str(raised.value)


@pytest.mark.parametrize(
    ("fails", "lasts", "gives_up"), [("receive", True, True), ("delete", True, True), ("delete", False, False)]
)
def test_what_waiting_does_not_mend_ends_the_receiving_when_it_has_lasted_for_too_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str, lasts: bool, gives_up: bool
) -> None:
    monkeypatch.setattr("tasks.observe.receivers._RETRY_SECONDS", 0.01)
    queue = Refusing(fails, QueueError("the queue refuses", lasts=lasts))

    async def story() -> None:
        async with receiving(queue, HIDDEN, patience=0.05) as receivers:  # type: ignore[arg-type]
            for _ in count() if gives_up else range(100):
                if got := await receivers.next(10, 0.01):
                    await receivers.delete([one.message for one in got])

    with pytest.raises(QueueError, match="the queue refuses") if gives_up else nullcontext():
        asyncio.run(asyncio.wait_for(story(), 60))
    assert [record.levelname for record in caplog.records if "the queue refuses" in record.message] == ["ERROR"]


class Refusing:
    """A queue that always has a message, and of which one operation always fails."""

    def __init__(self, fails: str, error: QueueError):
        self._fails, self._error = fails, error

    def receive(self) -> list[Message]:
        return self._do("receive", [ONE])

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        return self._do("delete", [])

    def hide(self, messages: Sequence[Message], seconds: int) -> list[Message]:
        return []

    def _do(self, what: str, answer: list[Message]) -> list[Message]:
        time.sleep(0.005)
        if what == self._fails:
            raise self._error
        return answer


async def _until(receivers: Receivers, count: int) -> list[Any]:
    """The next messages, until there are so many."""
    got: list[Any] = []
    async with asyncio.timeout(60):
        while len(got) < count:
            got += await receivers.next(500, 1)
    return got
