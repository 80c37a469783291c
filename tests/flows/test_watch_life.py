"""Does a watch keep anything of the messages that it has taken?"""

import asyncio
import gc
import json
import random
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import psutil

from flows.watch import Watch
from tasks.domain.expected.cells import Selection
from tasks.ledger import Ledger
from tasks.observe.queue import Message, Queue, QueueFacts
from tasks.observe.receivers import receiving
from tasks.observe.session import Session
from tasks.observe.watcher import Fate, Watcher
from tests.ecs import wait_until
from tests.tasks.observe.test_any_arrivals import CONFIG, FILES, OTHERS, Bucket, Numbering, body_of

MESSAGES = 1000
PADDING = 20_000  # bytes of a message
FACTS = QueueFacts("arn:aws:sqs:us-east-1:1:q", timedelta(minutes=5), 262_144, False, False, 0, 0, "")


class Waiting(Queue):
    """A queue in memory, which makes each message when it is received."""

    def __init__(self, bodies: Iterator[str]):
        self._messages = (Message(str(n), body, str(n), datetime.now(UTC), 1) for n, body in enumerate(bodies))
        self._one_at_a_time = threading.Lock()

    def facts(self) -> QueueFacts:
        return FACTS

    def receive(self) -> list[Message]:
        with self._one_at_a_time:
            return list(islice(self._messages, 10))

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        return []

    def hide(self, messages: Sequence[Message], seconds: int) -> list[Message]:
        return []


def test_a_watch_of_many_messages_has_the_memory_files_and_threads_of_its_beginning(tmp_path: Path) -> None:
    """In a process of its own, since the threads and connections of other tests come and go."""
    command = [sys.executable, "-W", "ignore", "-m", __name__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    before, after, fates = found["before"], found["after"], found["fates"]
    assert min(fates[fate] for fate in (Fate.APPLIED, Fate.ALREADY_KNOWN, Fate.UNREADABLE)) > 0
    assert sum(fates.values()) >= MESSAGES
    assert after[1:] == before[1:]
    assert after[0] - before[0] < MESSAGES * PADDING / 10


def _life(folder: Path) -> dict[str, object]:
    """What a process uses after a first watch, and after a second one, and what became of the second one's messages."""
    bucket = Bucket(random.Random(0))
    bucket.numbering = Numbering.AWS
    with closing(Ledger(f"sqlite:///{folder / 'ledger.db'}")) as ledger:
        session = Session(CONFIG, Selection(), bucket, ledger)
        first, second = (Watch(session, Watcher(session), FACTS, None, until_empty=True) for _ in range(2))
        tracemalloc.start()
        _run(first, _bodies(bucket, MESSAGES // 4))
        before = _used()
        _run(second, _bodies(bucket, MESSAGES))
        return {"before": before, "after": _used(), "fates": dict(second.watched.fates)}


def _run(watch: Watch, bodies: Iterator[str]) -> None:
    async def run() -> None:
        async with watch.recording(), receiving(Waiting(bodies), 300) as receivers, watch.deleting():
            await watch.run(receivers)

    asyncio.run(run())
    # The thread that records ends by itself.
    wait_until(
        lambda: all(thread.name != "recording" for thread in threading.enumerate()), "the thread that records has ended"
    )


def _bodies(bucket: Bucket, count: int) -> Iterator[str]:
    """Long messages of files that are stored again and again. Some come several times, and some are none."""
    sent = 0
    while sent < count:
        key = (OTHERS + FILES)[bucket.changes % 6]
        change = bucket.put(key, body_of(key, bucket.changes))
        for message in (change.messages * 5, ["no JSON"])[bucket.changes % 20 == 0]:
            sent += 1
            yield f"{message}{'':{PADDING}}"


def _used() -> tuple[int, int, int]:
    """The bytes in use by Python's objects, open files and threads of this process."""
    gc.collect()
    process = psutil.Process()
    return tracemalloc.get_traced_memory()[0], process.num_fds(), process.num_threads()


if __name__ == "__main__":
    print(json.dumps(_life(Path(sys.argv[1]))))
