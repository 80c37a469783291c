"""How do several threads receive from a queue, and what becomes of what they have received but nobody has finished?"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from tasks import clock
from tasks.domain.wording import plural
from tasks.observe.outages import Outage
from tasks.observe.queue import AT_ONCE, Message, Queue, QueueError, QueueFacts

log = logging.getLogger(__name__)

_MOST_WAITING = 64 * 1024 * 1024  # bytes of messages that wait here to be taken; the queue holds the rest
_COUNTED = 32 * 1024  # bytes that a message counts for at least, so that no more than about 2000 wait
_RETRY_SECONDS = 5.0  # after an error of the queue; twice as long after each further one
_LONGEST_RETRY_SECONDS = 40.0
_STUCK_SECONDS = 120.0  # without an answer or an error, after which another receiver takes the place of one
_LOOK_SECONDS = 1.0  # how often is looked at what has to be hidden for longer, if the queue does not hide it for less
_SHORTEST_LOOK_SECONDS = 0.1


class Received(NamedTuple):
    """A message, and when it was received, by tasks.clock."""

    message: Message
    at: float


class Receivers:
    """Threads that receive messages from a queue for an event loop. See `receiving`."""

    def __init__(self, queue: Queue, hidden_seconds: float, count: int, patience: float):
        self._queue, self._hidden, self._patience = queue, hidden_seconds, patience
        self._loop = asyncio.get_running_loop()
        self._received: deque[Sequence[Received]] = deque()
        self._size = 0  # of those, in bytes
        self._came, self._has_room = asyncio.Event(), asyncio.Event()
        self._has_room.set()
        self._undone: dict[str, tuple[Message, float]] = {}  # by handle, and since when the queue hides it
        self._stopping = threading.Event()
        self._receiving = Outage("the queue answers again; it had not")
        self._deleting = Outage("messages are deleted again; they were not")
        self._hiding = Outage("messages that take long are hidden again; they were not")
        self._given_up: QueueError | None = None
        self._have_stopped = asyncio.Event()
        self._keeping = asyncio.create_task(self._keep_hidden())
        # They come last, because they use what is set before as soon as they begin.
        self._threads: list[_Receiver] = [self._begin() for _ in range(count)]

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
        """What was received, at most about this many messages; nothing if nothing comes within some seconds.

        Raises QueueError as `check` does.
        """
        self.check()
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

    async def facts(self) -> QueueFacts:
        """How the queue is configured, and how much is in it now. Raises QueueError."""
        return await asyncio.to_thread(self._queue.facts)

    def check(self) -> None:
        """Raises the error of a queue that does not let itself be used, once that has lasted for too long."""
        if self._given_up:
            raise self._given_up

    async def delete(self, messages: Sequence[Message]) -> None:
        """Deletes messages that are done. One that cannot be deleted comes again, and changes nothing then."""
        try:
            failed = await asyncio.to_thread(self._queue.delete, messages)
        except QueueError as error:
            self._note(self._deleting, error, "what was recorded comes again, and changes nothing")
        else:
            self._deleting.ended()
            if failed:
                log.warning("%s could not be deleted from the queue; they come again", plural(len(failed), "message"))
        self.leave(messages)

    def leave(self, messages: Iterable[Message]) -> None:
        """Leaves messages to the queue: it shows them again once they are hidden no more."""
        for message in messages:
            self._undone.pop(message.handle, None)

    async def _keep_hidden(self) -> None:
        """Keeps the messages hidden that are not done yet, until no receiver works any more."""
        looks = max(min(_LOOK_SECONDS, self._hidden / 4), _SHORTEST_LOOK_SECONDS)
        while not self._have_stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._have_stopped.wait(), looks)
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
            self._hiding.failed(f"{error}; what takes longer than {self._hidden:.0f} s may come again")
        except Exception as error:  # whatever it is, the next look has to come
            self._hiding.failed(f"{error!r}; what takes longer than {self._hidden:.0f} s may come again")
        else:
            self._hiding.ended()
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
        self._receiving.ended()
        if messages:
            self._undone |= {one.handle: (one, now) for one in messages}
            await self._has_room.wait()
            self._received.append(found := [Received(one, now) for one in messages])
            self._size += _size(found)
            if self._size >= _MOST_WAITING:
                self._has_room.clear()
            self._came.set()

    def _failed(self, error: QueueError) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note, self._receiving, error, "it is asked again, ever more rarely")

    def _note(self, outage: Outage, error: QueueError, consequence: str) -> None:
        """Notes an error of the queue. Nobody waits longer than `patience` for the end of one that `lasts`."""
        if error.lasts and outage.seconds >= self._patience:
            self._given_up = error
        else:
            outage.failed(f"{error}; {consequence}")

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
        wait = _RETRY_SECONDS
        while not (self._stopping.is_set() or self.is_replaced):
            self._asking_since = clock.seconds()
            try:
                found = self._queue.receive()
            except QueueError as error:
                self._asking_since, self.found_nothing = None, False
                self._failed(error)
                self._stopping.wait(wait)
                wait = min(2 * wait, _LONGEST_RETRY_SECONDS)
                continue
            wait = _RETRY_SECONDS
            self._asking_since, self.last_answer, self.found_nothing = None, clock.seconds(), not found
            self._put(found)


@asynccontextmanager
async def receiving(
    queue: Queue, hidden_seconds: float, count: int = 4, patience: float = 300
) -> AsyncIterator[Receivers]:
    """A block during which `count` threads receive from a queue, which hides each message for some seconds.

    Raises QueueError if the queue has failed for `patience` seconds by something that waiting does not mend.
    """
    receivers = Receivers(queue, hidden_seconds, count, patience)
    try:
        yield receivers
    finally:
        await receivers.stop()
    receivers.check()


def _size(messages: Iterable[Received]) -> int:
    return sum(max(len(one.message.body), _COUNTED) for one in messages)
