"""What does a process find out, and what if something hangs or fails?"""

import threading
from collections.abc import Callable, Iterable

from tasks.answers.process import ASKED_EVERY, ProcessFacts, Question
from tasks.domain.errors import AdceError, LakeError
from tasks.domain.incidents import Fact, Kind

FINE = Fact(Kind.LAKE, "", 0)
EVERY = ASKED_EVERY.total_seconds()


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def settle(name: str = "asking the lake") -> None:
    """Waits until all threads of a question have ended."""
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(10)


def asking(ask: Callable[[], Iterable[Fact]], away: Kind | None = Kind.LAKE) -> tuple[ProcessFacts, Clock]:
    clock = Clock()
    return ProcessFacts([Question("the lake", ask, away)], clock), clock


def test_nobody_waits_for_an_answer_and_each_is_known_for_two_minutes() -> None:
    times = 0

    def ask() -> list[Fact]:
        nonlocal times
        times += 1
        return [FINE]

    facts, clock = asking(ask)
    facts()
    settle()
    assert (facts(), times) == ([FINE], 1), "it is asked every 30 seconds"
    clock.now = EVERY
    facts()
    settle()
    assert (facts(), times) == ([FINE], 2)
    clock.now += 121
    found = facts()
    settle()
    assert found in ([], [FINE]), "the old answer counts no longer; a new one may have come at once"


def test_what_cannot_be_asked_is_away_or_not_known_and_no_reason_has_line_breaks() -> None:
    def lake() -> list[Fact]:
        raise LakeError("no such\nbucket")

    def other() -> list[Fact]:
        raise ZeroDivisionError

    for ask, away, expected in (
        (lake, Kind.LAKE, [Fact(Kind.LAKE, "", 1, reason="no such bucket")]),
        (lake, None, []),
        (other, Kind.LAKE, [Fact(Kind.LAKE, "", 1, reason="ZeroDivisionError; the log says more")]),
    ):
        facts, _ = asking(ask, away)
        facts()
        settle()
        assert facts() == expected


def test_what_hangs_is_away_after_ten_seconds_and_asked_anew_later_each_time() -> None:
    free, asked = threading.Event(), threading.Semaphore(0)

    def ask() -> list[Fact]:
        asked.release()
        free.wait(60)
        return [FINE]

    facts, clock = asking(ask)
    assert facts() == []
    clock.now = 9.0
    assert facts() == []
    clock.now = 10.0
    away = [Fact(Kind.LAKE, "", 1, reason="it has not answered for 10s")]
    assert facts() == away
    for clock.now in range(11, 2000):
        assert facts() == away
    free.set()
    settle()
    times = 0
    while asked.acquire(blocking=False):
        times += 1
    assert times == 5, "few threads hang"
    assert facts() == [FINE]


def test_a_question_that_hangs_holds_up_no_other() -> None:
    free = threading.Event()

    def hangs() -> list[Fact]:
        free.wait(60)
        raise AdceError("too late")

    facts = ProcessFacts([Question("the disks", hangs), Question("the lake", lambda: [FINE])], Clock())
    facts()
    settle()
    assert facts() == [FINE]
    free.set()
    settle("asking the disks")
