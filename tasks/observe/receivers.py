"""How do several threads receive from a queue, and what becomes of what they have received but nobody has finished?"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import NamedTuple

from tasks import clock
from tasks.domain.wording import plural, utc
from tasks.observe.queue import AT_ONCE, Message, Queue, QueueError

log = logging.getLogger(__name__)

_MOST_WAITING = 64 * 1024 * 1024  # bytes of messages that wait here to be taken; the queue holds the rest
_COUNTED = 32 * 1024  # bytes that a message counts for at least, so that no more than about 2000 wait
_RETRY_SECONDS = 5.0  # after an error of the queue
_STUCK_SECONDS = 120.0  # without an answer or an error, after which another receiver takes the place of one
_LOOK_SECONDS = 1.0  # how often is looked at what has to be hidden for longer


class Received(NamedTuple):
    """A message, and when it was received, by tasks.clock."""

    message: Message
    at: float


class Receivers:
    """Threads that receive messages from a queue for an event loop. See `receiving`."""

    def __init__(self, queue: Queue, hidden_seconds: float, count: int):
        self._queue, self._hidden = queue, hidden_seconds
        self._loop = asyncio.get_running_loop()
        self._received: deque[Sequence[Received]] = deque()
        self._size = 0  # of those, in bytes
        self._came, self._has_room = asyncio.Event(), asyncio.Event()
        self._has_room.set()
        self._undone: dict[str, tuple[Message, float]] = {}  # by handle, and since when the queue hides it
        self._stopping = threading.Event()
        self._threads: list[_Receiver] = [self._begin() for _ in range(count)]
        self._away_since: datetime | None = None  # since when the queue has not answered
        self._have_stopped = asyncio.Event()
        self._keeping = asyncio.create_task(self._keep_hidden())

    @property
    def last_answer(self) -> float | None:
        """When the queue last answered a receiver, by tasks.clock; None if it has not.

        It is now if none asks the queue, because too much waits here.
        """
        if not self._has_room.is_set():
            return clock.seconds()
        return max((thread.last_answer for thread in self._threads if thread.last_answer is not None), default=None)

    @property
    def all_answered(self) -> float | None:
        """Since when, by tasks.clock, the queue has answered each receiver; None if it has not answered all."""
        times = [thread.last_answer for thread in self._threads if thread.last_answer is not None]
        return min(times) if len(times) == len(self._threads) else None

    @property
    def found_nothing(self) -> bool:
        """Has each receiver found the queue empty, and is nothing left to do here?"""
        return not self._undone and all(thread.found_nothing for thread in self._threads)

    @property
    def has_more(self) -> bool:
        """Has more been received that `next` would return at once?"""
        return bool(self._received)

    async def next(self, most: int, seconds: float) -> list[Received]:
        """What was received, at most about this many messages; nothing if nothing comes within some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._came.wait()
        found: list[Received] = []
        while self._received and len(found) + AT_ONCE <= most:
            found += self._received.popleft()
        self._size -= _size(found)
        if self._size < _MOST_WAITING:
            self._has_room.set()
        if not self._received:
            self._came.clear()
        return found

    async def delete(self, messages: Sequence[Message]) -> None:
        """Deletes messages that are done. One that cannot be deleted comes again, and changes nothing then."""
        try:
            failed = await asyncio.to_thread(self._queue.delete, messages)
        except QueueError as error:
            log.error("%s; %s come again", error, plural(len(messages), "message"))
        else:
            if failed:
                log.warning("%s could not be deleted from the queue; they come again", plural(len(failed), "message"))
        self.leave(messages)

    def leave(self, messages: Iterable[Message]) -> None:
        """Leaves messages to the queue: it shows them again once they are hidden no more."""
        for message in messages:
            self._undone.pop(message.handle, None)

    async def _keep_hidden(self) -> None:
        """Keeps the messages hidden that are not done yet, until no receiver works any more."""
        while not self._have_stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._have_stopped.wait(), _LOOK_SECONDS)
            self._replace_stuck()
            now = clock.seconds()
            if due := [message for message, since in self._undone.values() if now - since > self._hidden / 2]:
                await self._hide(due, now)

    async def _hide(self, messages: Sequence[Message], now: float) -> None:
        """Has messages hidden for longer. Where that fails, it is tried at each look, until the queue shows them."""
        failed = messages
        try:
            failed = await asyncio.to_thread(self._queue.hide, messages, round(self._hidden))
        except QueueError as error:
            log.warning("%s received messages may come again: %s", len(messages), error)
        except Exception as error:  # whatever it is, the next look has to come
            log.warning("%s received messages may come again: %r", len(messages), error)
        still_due = {message.handle for message in failed}
        for message in messages:
            if (undone := self._undone.get(message.handle)) is None:
                continue
            if message.handle not in still_due:
                self._undone[message.handle] = (message, now)
            elif now - undone[1] > self._hidden:
                self.leave([message])

    async def stop(self) -> None:
        """Stops receiving, and gives back what is not done, so that others receive it at once.

        A request that waits for messages is waited for, because the queue may have hidden some for it already.
        """
        self._stopping.set()
        while any(thread.is_alive() and not thread.is_stuck for thread in self._threads):
            self._received.clear()
            self._has_room.set()  # a receiver may wait for it
            await asyncio.sleep(0.05)
        self._have_stopped.set()
        await self._keeping  # it must not hide anew what is given back
        if undone := [message for message, _ in self._undone.values()]:
            try:
                await asyncio.to_thread(self._queue.hide, undone, 0)
            except QueueError as error:
                log.warning("%s; %s come again later", error, plural(len(undone), "message"))
            else:
                log.info("%s given back to the queue", plural(len(undone), "message"))

    def _begin(self) -> _Receiver:
        thread = _Receiver(self._queue, self._stopping, self._put, self._failed)
        thread.start()
        return thread

    def _put(self, messages: Sequence[Message]) -> None:
        """Takes what a receiver has received, which may be nothing. The receiver waits while there is no room."""
        taking = self._take(messages)
        try:
            asyncio.run_coroutine_threadsafe(taking, self._loop).result()
        except RuntimeError:  # the loop has ended
            taking.close()

    async def _take(self, messages: Sequence[Message]) -> None:
        now = clock.seconds()
        if self._away_since:
            log.warning("the queue answers again; it had not since %s", utc(self._away_since))
            self._away_since = None
        if messages:
            self._undone |= {one.handle: (one, now) for one in messages}
            await self._has_room.wait()
            self._received.append(found := [Received(one, now) for one in messages])
            self._size += _size(found)
            if self._size >= _MOST_WAITING:
                self._has_room.clear()
            self._came.set()

    def _failed(self, error: QueueError) -> None:
        def tell() -> None:
            if self._away_since is None:
                self._away_since = datetime.now(UTC)
                log.error("%s; it is asked again every %.0f s", error, _RETRY_SECONDS)

        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(tell)

    def _replace_stuck(self) -> None:
        for place, thread in enumerate(self._threads):
            if not self._stopping.is_set() and (thread.is_stuck or not thread.is_alive()):
                log.warning("a receiver has had no answer for %.0f s; another takes its place", _STUCK_SECONDS)
                thread.is_replaced = True
                self._threads[place] = self._begin()


class _Receiver(threading.Thread):
    """A thread that receives messages until it is stopped or replaced."""

    def __init__(
        self,
        queue: Queue,
        stopping: threading.Event,
        put: Callable[[Sequence[Message]], None],
        failed: Callable[[QueueError], None],
    ):
        super().__init__(name="receiver", daemon=True)
        self.last_answer: float | None = None
        self.found_nothing = False
        self.is_replaced = False
        self._asking_since: float | None = None
        self._queue, self._stopping, self._put, self._failed = queue, stopping, put, failed

    @property
    def is_stuck(self) -> bool:
        """Has the queue neither answered nor failed for much longer than it may take?"""
        since = self._asking_since
        return since is not None and clock.seconds() - since > _STUCK_SECONDS

    def run(self) -> None:
        while not (self._stopping.is_set() or self.is_replaced):
            self._asking_since = clock.seconds()
            try:
                found = self._queue.receive()
            except QueueError as error:
                self._asking_since, self.found_nothing = None, False
                self._failed(error)
                self._stopping.wait(_RETRY_SECONDS)
                continue
            self._asking_since, self.last_answer, self.found_nothing = None, clock.seconds(), not found
            self._put(found)


@asynccontextmanager
async def receiving(queue: Queue, hidden_seconds: float, count: int = 4) -> AsyncIterator[Receivers]:
    """A block during which `count` threads receive from a queue, which hides each message for some seconds."""
    receivers = Receivers(queue, hidden_seconds, count)
    try:
        yield receivers
    finally:
        await receivers.stop()


def _size(messages: Iterable[Received]) -> int:
    return sum(max(len(one.message.body), _COUNTED) for one in messages)
