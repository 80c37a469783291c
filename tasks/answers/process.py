"""What does a process find out for the conditions of incidents, besides what the ledger knows?

Whatever may block is asked in a thread of its own, so that nobody who wants to know the facts ever waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from config.secrets import masked
from tasks.domain.errors import AdceError
from tasks.domain.incidents import Fact, Kind
from tasks.domain.wording import duration, one_line

log = logging.getLogger(__name__)

ASKED_EVERY = timedelta(seconds=30)
_ANSWERS_WITHIN = timedelta(seconds=10)  # after which something counts as away
_KNOWN_FOR = timedelta(minutes=2)  # after which an answer tells nothing of now
_MOST_HANGING = 5  # threads that wait for one thing
_LONGEST_REASON = 300  # characters


@dataclass(frozen=True, slots=True)
class Question:
    """A question about something that ADCE needs: how it is asked, and what follows if there is no answer.

    `ask` returns facts, or raises AdceError. Then the fact is that `away` holds; without `away`, nothing is known.
    `of` is the kind of its facts; without it, that is `away`.
    """

    name: str
    ask: Callable[[], Iterable[Fact]]
    away: Kind | None = None
    of: Kind | None = None


@dataclass(slots=True)
class _Asked:
    """A question, its last answer, and the threads that wait for one. All times are of a clock that is never set."""

    question: Question
    facts: Sequence[Fact] = ()
    answered: float | None = None
    begun: dict[int, float] = field(default_factory=dict)  # when each thread began that has no answer yet, by number
    number: int = 0


class ProcessFacts:
    """The facts that a process finds out. To call it returns those that are known, and has asked what is due.

    It may be called in any thread. A thread that hangs is left alone, and the question is asked anew in another one.
    """

    def __init__(self, questions: Iterable[Question], seconds: Callable[[], float] = time.monotonic):
        self._asked = [_Asked(question) for question in questions]
        self._seconds = seconds
        self._lock = threading.Lock()

    @property
    def watches(self) -> frozenset[Kind]:
        """The kinds of facts that the process finds out, whether it knows them now or not."""
        return frozenset(filter(None, (one.question.of or one.question.away for one in self._asked)))

    def __call__(self) -> list[Fact]:
        """The facts. The first call knows none, since it only asks."""
        now = self._seconds()
        with self._lock:
            due = [(one, self._begin(one, now)) for one in self._asked if self._is_due(one, now)]
        for one, number in due:
            name = f"asking {one.question.name}"
            threading.Thread(target=self._ask, args=(one, number), name=name, daemon=True).start()
        with self._lock:
            return [fact for one in self._asked for fact in self._known(one, now)]

    def _is_due(self, one: _Asked, now: float) -> bool:
        """Is it time to ask? What hangs is asked anew later each time."""
        last = max(one.begun.values(), default=one.answered)
        every = ASKED_EVERY.total_seconds() * 2 ** len(one.begun)
        return len(one.begun) < _MOST_HANGING and (last is None or now - last >= every)

    def _begin(self, one: _Asked, now: float) -> int:
        one.number += 1
        one.begun[one.number] = now
        return one.number

    def _ask(self, one: _Asked, number: int) -> None:
        try:
            found = list(one.question.ask())
        except AdceError as error:
            found = self._away(one, str(error))
        except Exception as error:  # whatever it is, the others are asked
            log.warning("%s cannot be asked: %s", one.question.name, error, exc_info=error)
            found = self._away(one, f"{type(error).__name__}; the log says more")
        with self._lock:
            del one.begun[number]
            one.facts, one.answered = found, self._seconds()

    def _known(self, one: _Asked, now: float) -> Sequence[Fact]:
        waits = now - min(one.begun.values(), default=now)
        if waits >= _ANSWERS_WITHIN.total_seconds() and one.question.away:
            return self._away(one, f"it has not answered for {duration(_ANSWERS_WITHIN)}")
        is_old = one.answered is None or now - one.answered > _KNOWN_FOR.total_seconds()
        return () if is_old else one.facts

    @staticmethod
    def _away(one: _Asked, reason: str) -> list[Fact]:
        if one.question.away is None:
            return []
        return [Fact(one.question.away, "", 1, reason=masked(one_line(reason))[:_LONGEST_REASON])]
