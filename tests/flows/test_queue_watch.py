"""What does a watch of a queue do with what its receivers have received, while something else holds it up?"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.watch import Watch
from tasks import clock
from tasks.domain.assess.states import Content, Examination
from tasks.domain.assess.verdicts import whole
from tasks.domain.expected.cells import Selection
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases
from tasks.observe.listing import check_ids
from tasks.observe.queue import Message, QueueFacts
from tasks.observe.receivers import Received
from tasks.observe.session import Session
from tasks.observe.watcher import Fate, Watcher
from tests.tasks.observe.test_watcher import CONFIG, KEYS, NOW, Bucket

FACTS = QueueFacts("arn", timedelta(minutes=5), 2**18, None, is_fifo=False, waiting=0, policy="")


class Given:
    """Receivers of messages that are given in batches. `deleted` are those that are done, by their ids."""

    def __init__(self, *batches: Sequence[str]):
        self._batches = [[_received(body) for body in bodies] for bodies in batches]
        self._undone: set[str] = set()
        self.deleted: list[str] = []
        self.last_answer, self.all_answered = 0.0, None
        self.has_more = False

    @property
    def found_nothing(self) -> bool:
        return not self._batches and not self._undone

    async def next(self, most: int, seconds: float) -> list[Received]:
        if not self._batches:
            await asyncio.sleep(0.02)
            return []
        found = self._batches.pop(0)
        self._undone |= {one.message.id for one in found}
        return found

    async def delete(self, messages: Sequence[Message]) -> None:
        self.deleted += [message.id for message in messages]
        self.leave(messages)

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
        watching = asyncio.create_task(watch.run(receivers))  # type: ignore[arg-type]
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


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)
