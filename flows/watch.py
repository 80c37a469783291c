"""The watch: receive what S3 tells of the lake, decide what follows, and record it. It runs until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from blocks.aws import aws_of
from config.models import Config
from flows.loop_thread import LoopThread
from tasks import clock
from tasks.answers.watched import Watched, described
from tasks.domain.access import Access
from tasks.domain.arrivals import Fate
from tasks.domain.errors import AdceError, LakeError, LedgerError
from tasks.domain.expected.cells import Selection
from tasks.domain.incidents import Kind
from tasks.domain.wording import and_more, one_line, plural, signal_name
from tasks.ledger.unread_messages import UnreadMessage
from tasks.log_lines import about
from tasks.observe.look import Reader, look_at_lake
from tasks.observe.outages import Outage
from tasks.observe.queue import Message, QueueError, QueueFacts, open_queue
from tasks.observe.receivers import Received, Receivers, receiving
from tasks.observe.session import Session, open_session
from tasks.observe.watched_queue import BucketCheck, Emptiness
from tasks.observe.watcher import AT_ONCE, TAKEN_AGAIN, Taken, Watcher
from tasks.publish.notifier import Others, no_facts
from tasks.publish.sending import sending
from tasks.publish.telling import telling

if TYPE_CHECKING:
    from flows.event_fills import EventFills

log = logging.getLogger(__name__)
T = TypeVar("T")

_WAITS = 10  # seconds for which a receive waits for messages, so that a stop takes at most as long
_ENDS_WITHIN = 5.0  # seconds for which a stop waits for the lake or the ledger
_HANGS = 180.0  # seconds without an error after which the lake or the ledger hangs; a ledger waits less for its server
_LOOKS_UP = 1.0  # seconds after which the watch looks whether it has to stop
_REFUSED_FOR = 300.0  # seconds for which a refusal of the queue, such as of a permission, may last
_RETRY = 10.0  # seconds after which a lake or a ledger that has failed is tried again
_BACKLOG = 1000  # messages waiting at the start, above which the lake is listed before they are taken
_MOST_RECEIVES = 5  # receives of an unreadable message after which it is deleted, if the queue does not move it away
_BEGIN = 200  # characters of an unreadable message that are kept
_TELLS_EVERY = 60.0  # seconds after which the log may be told of messages again
_PROGRESS_EVERY = 30.0  # seconds after which it is recorded that the queue is read
_ARRIVES_WITHIN = timedelta(seconds=30)  # a queue that is found empty may still have messages that were sent since then
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def watch(
    config: Config,
    address: str,
    progress: Path | None = None,
    *,
    until_empty: bool = False,
    others: Others = no_facts,
    watches: Collection[Kind] = (),
) -> Watched:
    """Takes messages from a queue until a signal comes, or with `until_empty` until the queue is empty.

    The file `progress` is touched whenever the queue has answered, so that others can see that it goes on. `others` has
    facts for the conditions of incidents, besides those of the ledger.

    Raises QueueError if the queue cannot be used or is of another bucket, and AdceError if the lake or the ledger
    cannot be opened. What fails later is tried again.
    """
    async with open_session(config, Selection(), access=Access.RUN) as session:
        watcher = Watcher(session)
        named = "in events.queue" if address == config.events.queue else "with --queue"
        queue = await open_queue(await aws_of(config), address, waits=1 if until_empty else _WAITS, named=named)
        facts = await asyncio.to_thread(queue.facts)
        if facts.is_fifo:
            raise QueueError(f"queue {address}: S3 sends no events to a FIFO queue; name a standard one", lasts=True)
        watch = Watch(session, watcher, facts, progress, facts.is_at(config.events.queue), until_empty=until_empty)
        hidden, patience = facts.hides.total_seconds(), 0 if until_empty else _REFUSED_FOR
        log.info("receives what S3 tells of lake %s from queue %s", session.lake.url, facts.arn)
        with watch.stopping_on_signals():
            async with watch.recording():
                if facts.waiting > _BACKLOG:
                    await watch.list_lake()
                receivers = receiving(queue, hidden, patience=patience)
                async with watch.filling(), receivers as received, watch.deleting():
                    with nullcontext() if until_empty else _publishing(config, others, watches):
                        await watch.run(received)
        return watch.watched


@contextmanager
def _publishing(config: Config, others: Others, watches: Collection[Kind]) -> Iterator[None]:
    """A block in which metrics are sent, and incidents told, unless another process does that."""
    with sending(config), telling(config, others, watches):
        yield


@dataclass
class Watch:
    """One watch: what it uses, and how far it has come."""

    session: Session
    watcher: Watcher
    facts: QueueFacts
    progress: Path | None
    is_the_lakes: bool = False  # the queue is that of the configuration, which says how far events have come
    until_empty: bool = False
    watched: Watched = field(default_factory=Watched)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    fills: EventFills | None = None  # None: gaps are left to the next reconcile
    _bucket: BucketCheck = field(init=False)
    _emptiness: Emptiness = field(init=False)
    _waiting: list[Received] = field(default_factory=list)  # for runs that are fetching the files they tell of
    _tried: float = 0.0  # when those were last taken, by tasks.clock
    _follows_from: float = 0.0  # by tasks.clock: when what follows is judged again after an error; 0 if none came last
    _deleting: asyncio.Task[None] | None = None
    _recording: Outage = field(default_factory=lambda: Outage("messages are recorded again; they were not"))
    _following: Outage = field(default_factory=lambda: Outage("what follows is judged again; it was not"))
    _progressing: Outage = field(default_factory=lambda: Outage("progress is recorded again; it was not"))
    _receivers: Receivers | None = None  # None before anything is received
    _thread: LoopThread = field(init=False)  # see `recording`
    _ending: asyncio.Task[None] = field(init=False)  # ends some seconds after the watch has to stop
    _shown: float | None = None  # the last answer of the queue of which `progress` tells, by tasks.clock
    _told: float = -math.inf  # when the log was last told of messages, by tasks.clock
    _told_of: Counter[Fate] = field(default_factory=Counter)  # the messages of which it was told
    _recorded: float = -math.inf  # when it was last recorded that the queue is read, by tasks.clock
    _returned: datetime | None = None  # the time of the newest event of a file that ADCE has stored itself

    def __post_init__(self) -> None:
        where = "in events.queue" if self.is_the_lakes else "with --queue"
        remedy = f"the lake is {self.session.lake.url}; name the queue of the lake {where}"
        self._bucket = BucketCheck(self.facts.arn, remedy)
        self._emptiness = Emptiness(self.facts.hides, self.watched.begun)

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """A block during which SIGTERM and SIGINT stop the watch."""
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            if self.stopping.is_set():
                return
            text = "%s: the watch stops within %.0f s, and gives back what it has not recorded"
            log.warning(text, signal_name(number), _WAITS + _ENDS_WITHIN)
            self.stopping.set()

        for number in _SIGNALS:
            loop.add_signal_handler(number, stop, number)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    @asynccontextmanager
    async def filling(self) -> AsyncIterator[None]:
        """A block in which the gaps that events show are filled, if the configuration wants that.

        The fills stop as soon as the watch has to, so that they have their grace while all else ends.
        """
        config = self.session.config
        if not config.events.fill:
            yield
            return
        from flows.event_fills import EventFills  # not at the top: they import Prefect, which takes seconds
        from flows.opening import stop_open_runs

        self.fills = fills = EventFills(lambda dataset: config.datasets[dataset].source, stop_open_runs)

        async def stop() -> None:
            await self.stopping.wait()
            await fills.stop("the watch stops")

        stopping = asyncio.create_task(stop())
        try:
            yield
        finally:
            self.stopping.set()
            await stopping

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """A block during which the lake and the ledger are used in a thread, because they may block it for minutes.

        Meanwhile messages are kept hidden, signals are handled, and the file `progress` is touched.
        """

        async def end() -> None:
            await self.stopping.wait()
            await asyncio.sleep(_ENDS_WITHIN)

        self._thread, self._ending = LoopThread("recording"), asyncio.create_task(end())
        try:
            yield
        finally:
            self._ending.cancel()
            self._thread.stop()

    async def list_lake(self) -> None:
        """Looks at the whole lake once, so that older messages change nothing and cost nothing."""
        log.info("%s wait in the queue; the lake is listed first", plural(self.facts.waiting, "message"))

        async def look() -> None:
            if self.is_the_lakes:  # a look counts what it lists for a watch only
                self.session.ledger.announcements.progressed(datetime.now(UTC))
            await look_at_lake(self.session, Reader(self.session, 0), remember=True, by_inventory=False)

        await self._persistently(look, "the lake is listed again", may_last=math.inf)

    async def _persistently(
        self, work: Callable[[], Coroutine[Any, Any, T]], then: str, may_last: float = _HANGS
    ) -> T | None:
        """The result of some work, however often the lake or the ledger fails. None if the watch has to stop before.

        Raises the error if it lasts and the watch is to end when the queue is empty.
        """
        while not self.stopping.is_set():
            if self._receivers:
                self._receivers.check()
            try:
                result = await self._in_thread(work(), may_last)
                self._recording.ended()
                return result
            except (LakeError, LedgerError) as error:
                self._recording.failed(f"{error}; {then} every {_RETRY:.0f} s")
                if self.until_empty and self._recording.seconds >= _REFUSED_FOR:
                    raise
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), _RETRY)
        return None

    async def _in_thread(self, work: Coroutine[Any, Any, T], may_last: float = _HANGS) -> T | None:
        """The result of some work, which is left to itself, with the result None, if a stop cannot wait for its end.

        The watch makes no progress any more when the work has lasted for `may_last` seconds.
        """
        if self._ending.done():
            work.close()
            return None
        working, begun = self._thread.run(work), clock.seconds()
        either: set[asyncio.Future[Any]] = {working, self._ending}
        while not any(one.done() for one in either):
            await asyncio.wait(either, timeout=_LOOKS_UP, return_when=asyncio.FIRST_COMPLETED)
            if clock.seconds() - begun < may_last:
                self._show_progress()
        if working.done():
            return working.result()
        working.cancel()
        return None

    async def run(self, receivers: Receivers) -> None:
        """Receives, records and deletes messages until the watch has to stop."""
        self._receivers = receivers
        while not self.stopping.is_set():
            received = await receivers.next(AT_ONCE, TAKEN_AGAIN if self._waiting else _LOOKS_UP)
            self._show_progress()
            self._tell_of_messages()
            await self._progressed(receivers)
            if self._waiting and clock.seconds() - self._tried >= TAKEN_AGAIN:
                received, self._waiting, self._tried = [*self._waiting, *received], [], clock.seconds()
            if received:
                if not await self._record(received, receivers):
                    break
                if receivers.has_more and not self.watcher.is_behind:
                    continue
            await self._follow()
            is_idle = not received and receivers.found_nothing and (self.fills is None or self.fills.is_idle)
            if self.until_empty and is_idle and await self._emptiness.is_empty(receivers):
                await self._progressed(receivers, at_once=True)
                break
        else:
            await self._follow()

    async def _record(self, received: Sequence[Received], receivers: Receivers) -> bool:
        """Records what messages tell, and has those deleted that are done. False if the watch has to stop before.

        They are deleted while the next ones are recorded. Those that have to wait stay hidden in the queue meanwhile.
        """
        taken = await self._take(received)
        if taken is None:
            return False
        self._waiting += [received[position] for position in sorted(taken.waiting)]
        done = self._done([one.message for one in received], taken, receivers)
        if self._deleting:
            await self._deleting
        self._deleting = asyncio.create_task(receivers.delete(done))
        return True

    @asynccontextmanager
    async def deleting(self) -> AsyncIterator[None]:
        """A block after which what was recorded has been deleted from the queue."""
        try:
            yield
        finally:
            if self._deleting:
                await self._deleting

    async def _follow(self) -> None:
        """Has judged what follows from the messages. After an error, that is tried again in some seconds."""
        if clock.seconds() < self._follows_from:
            return
        try:
            gaps = await self._in_thread(self.watcher.follow())
        except (LakeError, LedgerError) as error:
            self._following.failed(f"{error}; what follows from messages is judged later")
            self._follows_from = clock.seconds() + _RETRY
            return
        self._following.ended()
        self._follows_from = 0.0
        if self.fills and gaps:
            self.fills.add(gaps)

    async def _take(self, received: Sequence[Received]) -> Taken | None:
        """Takes messages, however often the lake or the ledger fails. None if the watch has to stop before."""
        at = [one.at for one in received]

        async def take() -> Taken:
            taken = await self.watcher.take([one.message.body for one in received], at)
            self._keep_unread(received, taken)
            return taken

        taken = await self._persistently(take, "messages wait, and are tried again")
        if taken:
            self._returned = max(filter(None, (self._returned, taken.returned)), default=None)
            self.watched.add(taken, at, (one.message.id for one in received))
        return taken

    def _done(self, messages: Sequence[Message], taken: Taken, receivers: Receivers) -> list[Message]:
        """Which of the messages are done. Those of other buckets, and unreadable ones, are left to the queue.

        Raises QueueError if the queue is that of another bucket.
        """
        self._bucket.check(messages, taken)
        gives_up = self.is_the_lakes and not self.until_empty and not self.facts.redrive
        is_given_up = {
            position for position in taken.errors if gives_up and messages[position].receives >= _MOST_RECEIVES
        }
        left = (taken.errors.keys() - is_given_up) | taken.elsewhere.keys()
        receivers.leave(messages[position] for position in left)
        if self.until_empty:
            self._emptiness.leave(messages[position] for position in left)
        return [message for position, message in enumerate(messages) if position not in left | taken.waiting]

    def _keep_unread(self, received: Sequence[Received], taken: Taken) -> None:
        if not taken.errors:
            return
        now = datetime.now(UTC)
        unread = {position: received[position].message for position in taken.errors}
        self.session.ledger.unread_messages.keep(
            UnreadMessage(message.id, now, taken.errors[position], one_line(message.body[:_BEGIN]), message.receives)
            for position, message in unread.items()
        )
        refused = {position: one for position, one in unread.items() if position in taken.refused}
        for some, what in ((refused, "is not taken in"), (unread.keys() - refused, "cannot be read")):
            if some:
                first = min(some)
                more = and_more(len(some))
                fields = about(reason=taken.errors[first])
                log.warning("message %s %s: %s%s", unread[first].id, what, taken.errors[first], more, extra=fields)

    def _tell_of_messages(self) -> None:
        """Tells the log what was received since it was last told, at most once a minute."""
        new = self.watched.fates - self._told_of
        if new and clock.seconds() - self._told >= _TELLS_EVERY:
            log.info("%s", described(new))
            self._told, self._told_of = clock.seconds(), self.watched.fates.copy()

    def _show_progress(self) -> None:
        answered = self._receivers.last_answer if self._receivers else clock.seconds()
        if self.progress is None or answered is None or (self._shown is not None and answered <= self._shown):
            return
        try:
            self.progress.touch()
        except OSError as error:
            raise AdceError(f"--progress-file {self.progress}: cannot be written: {error.strerror}") from None
        self._shown = answered

    async def _progressed(self, receivers: Receivers, *, at_once: bool = False) -> None:
        """Records now and then that the queue of the lake is read, if it has answered each receiver since then.

        If all have found it empty, what was sent long enough before has been received.
        """
        seconds, answered = clock.seconds(), receivers.all_answered
        is_due = seconds - self._recorded > _PROGRESS_EVERY and answered is not None and answered > self._recorded
        if not self.is_the_lakes or answered is None or not (is_due or at_once):
            return
        now = datetime.now(UTC)
        hides = max(_ARRIVES_WITHIN, self.facts.hides)
        read_to = now - timedelta(seconds=seconds - answered) - hides if receivers.found_nothing else None

        async def record() -> None:
            self.session.ledger.announcements.progressed(now, read_to, self._returned)

        try:
            await self._in_thread(record())
        except LedgerError as error:
            self._progressing.failed(str(error))
        else:
            self._progressing.ended()
        self._recorded = seconds
