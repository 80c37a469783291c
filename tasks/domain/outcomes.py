"""How can an attempt at a file end, and how can a run?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from tasks.domain.reasons import Limit, Reason


class Outcome(StrEnum):
    """How an attempt at a file ended."""

    STORED = "stored"
    KEPT = "kept"  # the lake's version stays: somebody else stored a good one meanwhile
    FAILED = "failed"
    DEFERRED = "deferred"  # a rule kept the file from being fetched; see Reason


class Failure(StrEnum):
    """Why an attempt at a file failed."""

    ABSENT = "absent"  # the source says that it does not have the file
    UNFINISHED = "unfinished"  # the source's document is incomplete
    REFUSED = "refused"  # the source refuses us
    UNREACHABLE = "unreachable"  # no connection to the source was made, or no answer came in time
    BROKEN = "broken"  # an error of the source's server, or an answer that was cut off
    UNFIT = "unfit"  # the answer is not what was asked for, the request is wrong, or the dataset's command failed
    LAKE = "lake"  # the lake does not accept the file
    OTHER = "other"


NO_FAULT = (Failure.ABSENT, Failure.UNFINISHED)  # the source does not have the file yet, and the scraper works


@dataclass(frozen=True, slots=True)
class Asking:
    """What was asked of a source to get one response."""

    requests: int = 0
    refusals: int = 0  # those that were refused, as with HTTP 429, even if a later one succeeded
    waited: float = 0.0  # seconds that they waited for the rate limiter
    asked: datetime | None = None  # when the last request was sent


IN_LAKE = (Outcome.STORED, Outcome.KEPT)  # the lake has a good version of the file afterwards


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """The outcome of one file of a fill, with its cost and, if it was not stored, the reason."""

    key: str
    outcome: Outcome
    requests: int = 0
    bytes: int = 0
    error: str | None = None
    until: datetime | None = None  # deferred: not fetched before this time
    limit: Limit | None = None  # deferred: the rule that decided
    of: str = ""  # deferred: what the limit belongs to; see Reason
    seconds: float | None = None  # seconds from sending the request to having the body
    in_this_run: bool = False  # not fetched, but the run tries again before it ends
    failure: Failure | None = None  # failed: why
    absent: bool = False  # failed, because the source does not have the file, or has only an incomplete one
    unfinished: bool = False  # absent, because the source's document is incomplete
    kept_partial: bool = False  # absent at the last look; the best version that was seen is stored
    refusals: int = 0  # see Asking
    waited: float = 0.0  # see Asking
    asked: datetime | None = None  # see Asking
    stored: datetime | None = None  # when the file was stored in the lake

    @classmethod
    def deferred(cls, key: str, reason: Reason, *, in_this_run: bool = False) -> FileOutcome:
        """The outcome of a file that is deferred for this reason."""
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
        """The same outcome with the requests for the response. Only the first file of a response counts them."""
        spent = asking if is_first else Asking(asked=asking.asked)
        return replace(self, requests=spent.requests, refusals=spent.refusals, waited=spent.waited, asked=spent.asked)

    @property
    def reason(self) -> Reason:
        """Why the file is deferred. Only a deferred file has a reason."""
        assert self.limit is not None
        return Reason(self.limit, self.error or "", self.until, self.of)

    @property
    def label(self) -> str:
        """The outcome in a word for people: "absent" for a failed file that the source does not have."""
        return "absent" if self.absent and not self.unfinished else self.outcome

    @property
    def is_fault(self) -> bool:
        """Has it failed, although the source may have the file?"""
        return self.outcome is Outcome.FAILED and not self.absent

    @property
    def is_in_lake(self) -> bool:
        """Does the lake have a good version of the file now?"""
        return self.outcome in IN_LAKE


class RunPart(StrEnum):
    """The parts of a run, whose times are recorded."""

    LOOK = "look"  # listing the lake and reading what is new in it
    JUDGE = "judge"  # deciding the state of every file
    PLAN = "plan"
    FETCH = "fetch"


class RunEnd(StrEnum):
    """How a run ended. A run that is still at work has no end."""

    ENDED = "ended"
    STOPPED = "stopped"  # by a signal, a cancellation or a lost lease; the text stored beside it says which
    FAILED = "failed"  # by an error of its own, before it recorded the outcome of every file
    DIED = "died"  # its process is gone, or its lease has lapsed; Prefect does not know yet
    DEATH_REPORTED = "buried"  # it died, and its state in Prefect has been corrected
