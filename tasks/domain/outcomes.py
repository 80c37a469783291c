"""What can become of a file that a run has come to, and how does a run end?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from tasks.domain.reasons import Limit, Reason


class Outcome(StrEnum):
    STORED = "stored"
    KEPT = "kept"  # somebody else had stored a good one meanwhile
    FAILED = "failed"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class Asking:
    """What it took to ask a source for a response."""

    requests: int = 0
    refusals: int = 0  # of these requests, such as a 429; one that was healed by asking again counts too
    waited: float = 0.0  # seconds, for the rate limit
    asked: datetime | None = None  # when the last request was sent


THERE = (Outcome.STORED, Outcome.KEPT)


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file of a fill: stored, kept (somebody else had stored a good one), failed or deferred."""

    key: str
    outcome: Outcome
    requests: int = 0
    bytes: int = 0
    error: str | None = None
    until: datetime | None = None
    limit: Limit | None = None  # deferred, because of it
    of: str = ""  # whose limit it is: see Reason
    seconds: float | None = None  # from sending the request to having the body
    in_this_run: bool = False  # deferred, and worth another try before the run ends
    absent: bool = False  # failed, because the source does not have such a file, or not whole
    unfinished: bool = False  # absent, because it is not whole
    kept_partial: bool = False  # absent for the last time, and the best version that was seen is stored
    refusals: int = 0  # see Asking, as of the fields below
    waited: float = 0.0
    asked: datetime | None = None
    stored: datetime | None = None  # when the lake had it

    @classmethod
    def deferred(cls, key: str, reason: Reason, *, in_this_run: bool = False) -> FileOutcome:
        """One that is left for later."""
        return cls(
            key,
            Outcome.DEFERRED,
            error=reason.text,
            until=reason.until,
            limit=reason.limit,
            of=reason.of,
            in_this_run=in_this_run,
        )

    def after(self, asking: Asking, *, is_first: bool) -> FileOutcome:
        """The same with what it took to ask. Of several files of one response the first counts the requests."""
        spent = asking if is_first else Asking(asked=asking.asked)
        return replace(self, requests=spent.requests, refusals=spent.refusals, waited=spent.waited, asked=spent.asked)

    @property
    def reason(self) -> Reason:
        """Why it is left for later; only of one that is."""
        assert self.limit is not None
        return Reason(self.limit, self.error or "", self.until, self.of)

    @property
    def told(self) -> str:
        """The word for it in what is printed. What is `absent` counts as failed; the source has none of it."""
        return "absent" if self.absent and not self.unfinished else self.outcome

    @property
    def is_there(self) -> bool:
        """Has the lake a good one now?"""
        return self.outcome in THERE


class RunPart(StrEnum):
    """What a run spends its time on."""

    LOOK = "look"  # listing the lake, and reading what is new in it
    JUDGE = "judge"  # the state of every file
    PLAN = "plan"
    FETCH = "fetch"


class RunEnd(StrEnum):
    """How a run ended. A run that is still at work has no end."""

    ENDED = "ended"
    STOPPED = "stopped"  # by a signal, a cancel or a lost lease: the text beside it says which
    FAILED = "failed"  # by an error of its own, before it could say what became of everything
    DIED = "died"  # without a word: its process is gone, or its lease lapsed. Prefect has not been told yet
    BURIED = "buried"  # it died, and Prefect has been told
