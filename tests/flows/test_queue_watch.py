"""What does a watch of a queue do with what its receivers have received, while something else holds it up?"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.watch import Watch
from tasks import clock
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Content, Examination
from tasks.domain.assess.verdicts import whole
from tasks.domain.errors import LakeError, LedgerError
from tasks.domain.expected.cells import Selection
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases
from tasks.ledger.unread_messages import UnreadMessage, UnreadMessages
from tasks.observe.listing import check_ids
from tasks.observe.queue import Message, QueueFacts
from tasks.observe.receivers import Received
from tasks.observe.session import Session
from tasks.observe.watcher import Fate, Watcher
from tests.tasks.observe.test_watcher import CONFIG, NOW, Bucket, Refusing

KEYS = [f"espn_schedules/202601{day}.json" for day in (10, 11, 12)]
FACTS = QueueFacts("arn", timedelta(minutes=5), 2**18, redrive=False, is_fifo=False, waiting=0, hidden=0, policy="")


class Given:
    """Receivers of messages that are given in batches. `deleted` are those that are done, by their ids."""

    def __init__(self, *batches: Sequence[str]):
        self._batches = [[_received(body) for body in bodies] for bodies in batches]
        self._undone: set[str] = set()
        self.deleted: list[str] = []
        self.has_more = False
        self.rounds = 0

    @property
    def last_answer(self) -> float:
        return clock.seconds()

    @property
    def all_answered(self) -> float:
        return clock.seconds()

    @property
    def found_nothing(self) -> bool:
        return not self._batches and not self._undone

    async def next(self, most: int, seconds: float) -> list[Received]:
        self.rounds += 1
        if not self._batches:
            await asyncio.sleep(0.02)
            return []
        found = self._batches.pop(0)
        self._undone |= {one.message.id for one in found}
        return found

    async def delete(self, messages: Sequence[Message]) -> None:
        self.deleted += [message.id for message in messages]
        self.leave(messages)

    def check(self) -> None:
        pass

    async def facts(self) -> QueueFacts:
        return FACTS

    def leave(self, messages: Iterable[Message]) -> None:
        self._undone -= {message.id for message in messages}


def _received(body: str) -> Received:
    return Received(Message(body, body, body, datetime.now(UTC), 1), clock.seconds())


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_only_the_message_of_a_file_that_a_run_is_fetching_waits_until_the_run_has_recorded_it(
    ledger: Ledger,
) -> None:
    lake, stored, content = Bucket(), Bucket(), Content('"first"', 100_000)
    session = Session(CONFIG, Selection(), stored, ledger, NOW, begun=NOW)
    watch = Watch(session, Watcher(session), FACTS, None, until_empty=True)
    run = Leases(ledger.database, "run", timedelta(minutes=1))
    run.begin("reconcile", "", None, lambda why: None)
    claimed = [cell.work for cell in watch.watcher._expected.cells([KEYS[0], KEYS[2]]).values()]
    ledger.database.write(lambda connection: run.claim(connection, claimed))
    own, others, old = (lake.change(key, content, NOW, "0A") for key in KEYS[:3])
    taken = asyncio.run(watch.watcher.take([old], [clock.seconds() - 11]))
    assert (taken.fates, taken.waiting) == ([Fate.APPLIED], set()), "no message waits for more than ten seconds"
    receivers = Given([own, others])

    async def story() -> None:
        watching = asyncio.create_task(_run(watch, receivers))
        await _until(lambda: bool(receivers.deleted))
        assert receivers.deleted == [others]
        assert watch.watched.fates == {Fate.APPLIED: 1}
        recorded = Examination(content.etag, content.size, check_ids(CONFIG)["espn_scoreboard"], whole(), NOW)
        ledger.database.write(
            lambda connection: ledger.objects.write(
                connection, {KEYS[0]: recorded}, lake.objects, NOW + timedelta(seconds=1), [KEYS[0]]
            )
        )
        run.release(claimed)
        await watching

    try:
        asyncio.run(story())
    finally:
        run._ended.set()
    assert receivers.deleted == [others, own]
    assert watch.watched.fates == {Fate.APPLIED: 1, Fate.OWN: 1}


async def _run(watch: Watch, receivers: Given) -> None:
    async with watch.recording():
        await watch.run(receivers)  # type: ignore[arg-type]


def test_a_ledger_that_hangs_keeps_neither_the_progress_nor_a_stop_from_being_seen(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.watch._LOOKS_UP", 0.02)
    monkeypatch.setattr("flows.watch._ENDS_WITHIN", 0.1)
    monkeypatch.setattr("flows.loop_thread._ENDS_WITHIN", 0.1)
    session, progress = Session(CONFIG, Selection(), Bucket(), ledger, NOW, begun=NOW), tmp_path / "progress"
    watch, receivers, hangs = Watch(session, Watcher(session), FACTS, progress), Given(["no JSON"]), threading.Event()
    monkeypatch.setattr(ledger.database, "write", lambda work: hangs.wait(30))

    async def story() -> None:
        watching = asyncio.create_task(_run(watch, receivers))
        for _ in range(2):
            await _until(progress.exists)
            progress.unlink()
        watch.stopping.set()
        await asyncio.wait_for(watching, 10)

    try:
        asyncio.run(story())
    finally:
        hangs.set()
    assert receivers.deleted == []


def test_what_the_ledger_could_not_keep_of_an_unreadable_message_is_kept_by_the_next_try(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.watch._RETRY", 0.01)
    session = Session(CONFIG, Selection(), Bucket(), ledger, NOW, begun=NOW)
    watch, receivers = Watch(session, Watcher(session), FACTS, None, until_empty=True), Given(["no JSON"])
    usual, errors = UnreadMessages.keep, iter([LedgerError("ledger away")])

    def keep(self: UnreadMessages, messages: Iterable[UnreadMessage]) -> None:
        if error := next(errors, None):
            raise error
        usual(self, messages)

    monkeypatch.setattr(UnreadMessages, "keep", keep)
    asyncio.run(_run(watch, receivers))
    assert ledger.unread_messages.count() == 1
    assert watch.watched.fates == {Fate.UNREADABLE: 1}


def test_the_first_look_at_the_lake_is_tried_until_it_succeeds_or_the_watch_has_to_stop(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.watch._RETRY", 0.01)
    session, progress = Session(CONFIG, Selection(), Bucket(), ledger, NOW, begun=NOW), tmp_path / "progress"
    watch, looks = Watch(session, Watcher(session), FACTS, progress), [0]

    async def look(*_: object, by_inventory: bool, **__: object) -> None:
        assert not by_inventory, "messages that are older than an inventory would be compared with it"
        looks[0] += 1
        if looks[0] != 3:
            raise LakeError("lake away")

    async def story() -> None:
        async with watch.recording():
            await watch.list_lake()
            assert (looks, progress.exists()) == ([3], True)
            looking = asyncio.create_task(watch.list_lake())
            await _until(lambda: looks[0] > 5)
            watch.stopping.set()
            await looking

    monkeypatch.setattr("flows.watch.look_at_lake", look)
    asyncio.run(story())


def test_what_follows_is_judged_some_seconds_after_an_error_which_is_told_once(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    session = Session(CONFIG, Selection(), Bucket(), ledger, NOW, begun=NOW)
    watch, receivers, tries = Watch(session, Watcher(session), FACTS, None), Given(), [0]

    async def follow() -> list[Gap]:
        tries[0] += 1
        if tries[0] < 3:
            raise LakeError("lake away")
        return []

    watch.watcher.follow = follow  # type: ignore[method-assign]

    async def story() -> None:
        watching = asyncio.create_task(_run(watch, receivers))
        await _until(lambda: receivers.rounds > 5)
        assert tries == [1]
        watch._follows_from = 1.0  # long ago
        await _until(lambda: tries[0] == 2 and watch._follows_from > 1)
        watch._follows_from = 1.0
        await _until(lambda: tries[0] > 3)
        watch.stopping.set()
        await watching

    asyncio.run(story())
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "lake away",
        "what follows is judged again",
    ]


def test_the_message_of_a_refused_file_is_left_to_the_queue_and_all_others_are_recorded_and_deleted(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    lake = Refusing(*KEYS[:2])
    messages = [lake.change(key, None, NOW, "") for key in KEYS]  # removals, of which the lake is asked
    lake.change(KEYS[2], Content('"first"', 100_000), NOW, "")
    session = Session(CONFIG, Selection(), lake, ledger, NOW, begun=NOW)
    watch, receivers = Watch(session, Watcher(session), FACTS, None, until_empty=True), Given(messages)
    asyncio.run(_run(watch, receivers))
    assert receivers.deleted == messages[2:]
    assert watch.watched.fates == {Fate.APPLIED: 1, Fate.UNREADABLE: 2}
    assert {one.reason for one in ledger.unread_messages.newest(9)} == {f"{key} is refused" for key in KEYS[:2]}
    assert f"message {messages[0]} is not taken in: {KEYS[0]} is refused (and 1 more)" in caplog.messages


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)
