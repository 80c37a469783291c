"""Is a queue that is watched that of the lake, and is it empty?"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta

from tasks import clock
from tasks.domain.wording import duration, one_line, plural, verb
from tasks.observe.queue import Message, QueueError
from tasks.observe.receivers import Receivers
from tasks.observe.watcher import Taken

log = logging.getLogger(__name__)

_STRANGERS = 100  # messages of other buckets, before any of this one, after which the queue is taken for a wrong one


class BucketCheck:
    """Checks that a queue has the messages of the lake's bucket."""

    def __init__(self, queue: str, remedy: str):
        """`remedy` says what to do if it has those of another one."""
        self._queue, self._remedy = queue, remedy
        self._strangers: set[str] = set()  # ids of messages of other buckets, before the first of this one
        self._knows_ours = False  # has a message of this bucket come?

    def check(self, messages: Sequence[Message], taken: Taken) -> None:
        """Notes of which buckets messages were. Raises QueueError if the queue is taken to be that of another one."""
        if self._knows_ours:
            return
        self._strangers |= {messages[position].id for position in taken.elsewhere}
        self._knows_ours = len(taken.elsewhere) + len(taken.errors) < len(messages)
        if not self._knows_ours and len(self._strangers) >= _STRANGERS:
            bucket = one_line(next(iter(taken.elsewhere.values())))
            raise QueueError(f"queue {self._queue} has the messages of bucket {bucket}, and {self._remedy}", lasts=True)


class Emptiness:
    """Finds out whether a queue is empty, and hides nothing that another watch had received before it was killed."""

    def __init__(self, hides: timedelta, begun: float):
        """`hides` is the visibility timeout of the queue, which is watched since `begun`, by tasks.clock."""
        self._hides, self._begun = hides.total_seconds(), begun
        self._left: dict[str, float] = {}  # when messages were left to the queue, by their ids
        self._hides_nothing_since: float | None = None  # since when the queue hides no messages of others
        self._is_told = False  # was the log told that others are waited for?

    def leave(self, messages: Iterable[Message]) -> None:
        """Notes that messages, which the queue hides now, are left to it."""
        self._left |= {message.id: clock.seconds() for message in messages}

    async def is_empty(self, receivers: Receivers) -> bool:
        """Is the queue empty? It has to be found so after it hides nothing, because it may just have shown it again."""
        if await self._waits_for_others(receivers):
            self._hides_nothing_since = None
        elif self._hides_nothing_since is None:
            self._hides_nothing_since = clock.seconds()
        since, answered = self._hides_nothing_since, receivers.all_answered
        return since is not None and answered is not None and answered > since

    async def _waits_for_others(self, receivers: Receivers) -> bool:
        """Does the queue still hide messages that others have received, which may have died since?

        What was hidden when this watch began has been shown again when the queue has hidden it for its whole time.
        """
        now, facts = clock.seconds(), await receivers.facts()
        others = facts.hidden - sum(now - at < self._hides for at in self._left.values())
        if others <= 0:
            return False
        left = self._begun + self._hides - now
        are_hidden = f"{plural(others, 'message')} {verb(others, 'is', 'are')} hidden in the queue"
        if left <= 0:
            log.warning("%s, because another watch works on them, or has left them", are_hidden)
        elif not self._is_told:
            text = "%s, because a watch has received them that is at work or was killed; waiting for at most %s"
            log.warning(text, are_hidden, duration(timedelta(seconds=left)))
            self._is_told = True
        return left > 0
