"""What does a watch say of its progress, and what does it leave in its queue?"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.watch import Watch
from tasks import clock
from tasks.domain.errors import LedgerError
from tasks.domain.expected.cells import Selection
from tasks.ledger import Ledger
from tasks.ledger import announcements as watches
from tasks.ledger.unread_messages import UnreadMessages
from tasks.observe.queue import Message, Queue, QueueError, QueueFacts
from tasks.observe.receivers import Received, Receivers, receiving
from tasks.observe.session import Session
from tasks.observe.watcher import Fate, Taken, Watcher
from tests.tasks.observe.test_watcher import CONFIG, Bucket

HIDES, MINUTE = timedelta(minutes=5), timedelta(minutes=1)
FACTS = QueueFacts("arn:aws:sqs:us-east-1:123456789012:changes", HIDES, 2**18, False, False, 0, 0, "")


class Empty(Queue):
    """A queue that is empty, until it fails."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.failures = 0

    def receive(self) -> list[Any]:
        time.sleep(0.01)  # a receive waits for messages
        if self.error:
            self.failures += 1
            raise self.error
        return []


class Story:
    """A watch of that queue, and what it tells of its progress."""

    def __init__(self, folder: Path):
        self.ledger, self.queue = Ledger(f"sqlite:///{folder / 'ledger.db'}"), Empty()
        session = Session(CONFIG, Selection(), Bucket(), self.ledger)
        self.watch = Watch(session, Watcher(session), FACTS, folder / "progress", is_the_lakes=True)
        self.rounds = 0

    def run(self, story: Callable[["Story", Receivers], Any]) -> None:
        usual = self.watch.watcher.follow

        async def follow() -> Any:
            self.rounds += 1
            return await usual()

        async def run() -> None:
            self.watch.watcher.follow = follow  # type: ignore[method-assign]
            async with asyncio.timeout(30), self.watch.recording(), receiving(self.queue, 300, 2) as receivers:
                running = asyncio.create_task(self.watch.run(receivers))
                await story(self, receivers)
                self.watch.stopping.set()
                await running

        asyncio.run(run())

    async def until(self, is_so: Callable[[], object]) -> None:
        while not is_so():
            await asyncio.sleep(0.01)

    async def goes_on(self) -> None:
        """Waits until the watch has looked up several times, and the queue has failed as often."""
        rounds, failures = self.rounds + 4, self.queue.failures + 4
        await self.until(lambda: self.rounds >= rounds and self.queue.failures >= failures)

    @property
    def told(self) -> watches.WatchRecord | None:
        return self.ledger.announcements.watch(datetime.now(UTC))

    @property
    def has_touched(self) -> bool:
        """Has it touched the file of its progress since this was last asked?"""
        assert self.watch.progress
        is_there = self.watch.progress.exists()
        self.watch.progress.unlink(missing_ok=True)
        return is_there


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    monkeypatch.setattr("flows.watch._PROGRESS_EVERY", 0.0)
    monkeypatch.setattr("flows.watch._LOOKS_UP", 0.01)
    monkeypatch.setattr("tasks.observe.receivers._RETRY_SECONDS", 0.01)
    monkeypatch.setattr("tasks.observe.receivers._LOOK_SECONDS", 0.01)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    return Story(tmp_path)


def test_a_queue_that_is_gone_was_read_until_then_and_no_longer(story: Story) -> None:
    async def tell(story: Story, receivers: Receivers) -> None:
        await story.until(lambda: story.told and story.told.read_to)
        story.queue.error = QueueError("gone", lasts=True)
        await story.goes_on()
        assert not receivers.found_nothing
        before, _ = story.told, story.has_touched
        assert before
        assert before.read_to
        assert HIDES <= before.progress - before.read_to < HIDES + MINUTE, "others may have received what came later"
        await story.goes_on()
        assert (story.told, story.has_touched) == (before, False)

    story.run(tell)


def test_receivers_that_die_each_time_have_read_nothing(story: Story) -> None:
    async def tell(story: Story, receivers: Receivers) -> None:
        await story.goes_on()
        assert (story.told, story.has_touched, receivers.last_answer) == (None, False, None)

    story.queue.error = KeyError("SentTimestamp")
    story.run(tell)


def test_another_queue_than_that_of_the_lake_does_not_say_how_far_events_have_come(story: Story) -> None:
    async def tell(story: Story, _: Receivers) -> None:
        rounds = story.rounds + 4
        await story.until(lambda: story.rounds >= rounds and story.has_touched)
        assert story.told is None

    story.watch.is_the_lakes = False
    story.run(tell)


@pytest.mark.parametrize(
    ("address", "is_so"),
    [
        (FACTS.arn, True),
        ("https://sqs.us-east-1.amazonaws.com/123456789012/changes", True),
        ("https://sqs.us-east-1.amazonaws.com/123456789012/changes-dead", False),
        ("arn:aws:sqs:us-east-1:123456789012:changes-dead", False),
        (None, False),
    ],
)
def test_a_queue_is_known_by_its_url_and_by_its_arn(address: str | None, is_so: bool) -> None:
    assert FACTS.is_at(address) is is_so


def _message(id: str, receives: int = 1) -> Message:
    return Message(id, "no JSON", f"handle of {id}", datetime.now(UTC), receives)


@pytest.mark.parametrize(
    ("is_the_lakes", "until_empty", "redrive", "is_given_up"),
    [
        pytest.param(True, False, False, True, id="nobody else cares for it"),
        pytest.param(True, False, True, False, id="the queue moves it away"),
        pytest.param(False, False, False, False, id="another queue, as one of dead letters"),
        pytest.param(True, True, False, False, id="somebody is looking"),
    ],
)
def test_only_the_watch_of_a_lake_gives_up_on_a_message_that_it_cannot_read(
    story: Story, is_the_lakes: bool, until_empty: bool, redrive: bool, is_given_up: bool
) -> None:
    watch, message, left = story.watch, _message("a", receives=5), []
    watch.is_the_lakes, watch.until_empty, watch.facts = is_the_lakes, until_empty, replace(FACTS, redrive=redrive)
    done = watch._done([message], Taken([Fate.UNREADABLE], {0: "not JSON"}), SimpleNamespace(leave=left.extend))
    assert (done, left) == (([message], []) if is_given_up else ([], [message]))


def test_a_hundred_messages_of_another_bucket_end_a_watch_and_one_that_comes_a_hundred_times_does_not(
    story: Story,
) -> None:
    strange = Taken([Fate.FOREIGN], elsewhere={0: "another"})
    for _ in range(150):
        story.watch._bucket.check([_message("the same")], strange)
    for n in range(98):
        story.watch._bucket.check([_message(str(n))], strange)
    with pytest.raises(QueueError, match="has the messages of bucket another, and the lake is "):
        story.watch._bucket.check([_message("the last")], strange)


@pytest.mark.parametrize(
    ("hidden", "left", "seconds", "waits", "line"),
    [
        pytest.param(0, 0, 0, False, "", id="none"),
        pytest.param(2, 2, 10, False, "", id="those that it has left itself"),
        pytest.param(3, 2, 10, True, "1 message is hidden in the queue, because a watch has", id="another"),
        pytest.param(3, 0, 60, True, "at work or was killed; waiting for at most 4m", id="for some time"),
        pytest.param(3, 0, 301, False, "3 messages are hidden in the queue, because another watch", id="no longer"),
    ],
)
def test_messages_that_others_have_received_are_waited_for_as_long_as_they_may_come_again(
    story: Story,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    hidden: int,
    left: int,
    seconds: int,
    waits: bool,
    line: str,
) -> None:
    async def facts() -> QueueFacts:
        return replace(FACTS, hidden=hidden)

    watch, receivers = story.watch, SimpleNamespace(facts=facts)
    watch._emptiness._left = {str(n): watch.watched.begun for n in range(left)}
    monkeypatch.setattr(clock, "seconds", lambda: watch.watched.begun + seconds)
    assert asyncio.run(watch._emptiness._waits_for_others(receivers)) == waits
    told = len(caplog.messages)
    assert (told == 1, line in caplog.text) == (bool(line), True)
    if waits:
        asyncio.run(watch._emptiness._waits_for_others(receivers))
        assert len(caplog.messages) == told, "it is told once"


def test_while_the_ledger_fails_messages_wait_and_the_log_has_one_line(
    story: Story, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("flows.watch._RETRY", 0.001)
    failures, usual = iter([LedgerError("the ledger is away")] * 5), UnreadMessages.keep

    def keep(*arguments: Any) -> None:
        if error := next(failures, None):
            raise error
        usual(*arguments)

    async def take() -> Taken | None:
        async with story.watch.recording():
            return await story.watch._take([Received(_message("a"), clock.seconds())])

    monkeypatch.setattr(UnreadMessages, "keep", keep)
    taken = asyncio.run(take())
    assert taken
    assert taken.fates == [Fate.UNREADABLE]
    lines = [line.partition(";")[0] for line in caplog.messages]
    assert lines == ["the ledger is away", "message a cannot be read: not JSON", "messages are recorded again"]
    assert story.ledger.unread_messages.count() == 1
