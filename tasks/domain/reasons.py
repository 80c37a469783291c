"""Why is a file not fetched now: which rule decides, and until when?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum, auto


class Remedy(Enum):
    """What ends a limit?"""

    LOOK = auto()  # the next look at the file, or at its source
    DECISION = auto()  # somebody's decision: another setting, or no mark
    RUN = auto()  # time, another run, or whoever has begun it: it is as somebody wants it, and not for good
    WORKER = auto()  # a worker that takes the work; a run fails that could do nothing at all for a source
    MENDING = auto()  # something is broken, or refuses: it has to be mended, or to recover


class Limit(StrEnum):
    """The rule that keeps a file in its state. The values appear in JSON documents, and must not change."""

    remedy: Remedy

    def __new__(cls, value: str, remedy: Remedy | None = None) -> Limit:
        if remedy is None:  # Limit("backoff") finds the member, and does not come here
            raise TypeError(f"{value}: say what ends it")
        limit = str.__new__(cls, value)
        limit._value_, limit.remedy = value, remedy
        return limit

    # Rules about one file
    NOT_PUBLISHED = "not_published", Remedy.LOOK  # the source does not have the page now, and may still publish it
    LOOKS = "reconcile.unavailable", Remedy.LOOK  # the source did not have the file at the last looks
    DISAGREEMENT = "sources_disagree", Remedy.LOOK  # another source lists more final games of a day
    OBSTACLE = "obstacle", Remedy.MENDING  # something other than a file, such as a folder, stands at the key
    EXAMINE_AT_MOST = "reconcile.examine_at_most", Remedy.LOOK  # not read yet: a run reads a limited number of files
    OPERATOR = "operator", Remedy.DECISION  # an operator has marked the file with `adce unavailable`
    # Rules that a plan applies
    ENABLED = "enabled", Remedy.DECISION  # the master switch is off, or that of the source or of the dataset
    PARAMETERS = "command.parameters", Remedy.DECISION  # the dataset's command refuses a value that the file has
    ROLLOUT = "rollout", Remedy.DECISION  # the dataset's `rollout` percentage leaves the file out
    MAINTENANCE = "maintenance", Remedy.RUN  # a maintenance window of the configuration is open
    OPERATOR_PAUSE = "operator_pause", Remedy.RUN  # an operator has paused the source or the dataset
    BACKOFF = "backoff", Remedy.MENDING  # the source has refused a request and is paused
    BREAKER = "reconcile.breaker", Remedy.MENDING  # the scraper's circuit breaker is open: too many of its files failed
    BUCKET = "bucket", Remedy.MENDING  # the source's rate bucket in Prefect is missing, inactive or wrong
    MAX_FILLS = "reconcile.max_fills", Remedy.RUN  # the cap on the fills of a run, of all or of one priority
    TEST_FILLS = "test_fills", Remedy.RUN  # the cap on the fills of a run in test mode
    OTHER_RECONCILE = "other_reconcile", Remedy.RUN  # another reconcile run holds the lease
    # Rules that apply while a run is at work
    TIME_BUDGET = "reconcile.time_budget", Remedy.RUN  # the run has no time left for the file
    FILL_TIME_LIMIT = "reconcile.fill_time_limit", Remedy.RUN  # the fill took longer than it may
    START_WITHIN = "reconcile.start_within", Remedy.WORKER  # no worker began the scraper run in time
    SCRAPER_RUN = "scraper_run", Remedy.WORKER  # the scraper run did not fetch the file, or ended early
    PROBE = "probe", Remedy.MENDING  # one request tests the source after a pause; all others wait for its answer
    OTHER_RUN = "other_run", Remedy.RUN  # another run has a claim on the file
    STOPPED = "stopped", Remedy.RUN  # the run was stopped
    LEASE = "reconcile.lease", Remedy.RUN  # the run has lost its lease
    LAKE = "lake", Remedy.MENDING  # the lake cannot be written
    LEDGER = "ledger", Remedy.MENDING  # the ledger cannot be written

    @property
    def is_failure(self) -> bool:
        """Does a run fail that leaves a file for this? It does so for as long as the limit holds."""
        return self.remedy is Remedy.MENDING

    @property
    def is_waited_for(self) -> bool:
        """Does a file that is left for this count as one to fetch?

        It does not if it is only looked for again, if nobody wants it now, or if nothing can be stored at its key.
        """
        return self.remedy not in (Remedy.LOOK, Remedy.DECISION) and self is not Limit.OBSTACLE

    @property
    def until_name(self) -> str:
        """What people read before the time of a reason: "next look", or "until" if the time is binding."""
        return "next look" if self.remedy is Remedy.LOOK else "until"

    @property
    def tells_its_end(self) -> bool:
        """Do the texts of its reasons say until when it holds, or that it has no end?"""
        return self in (Limit.MAINTENANCE, Limit.OPERATOR_PAUSE, Limit.BACKOFF, Limit.BREAKER)

    @property
    def is_resumable(self) -> bool:
        """Does `adce resume` end it?"""
        return self in (Limit.OPERATOR_PAUSE, Limit.BACKOFF, Limit.BREAKER)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a file is not fetched now: `limit` for programs, `text` for people.

    `of` names what the limit belongs to, if there can be several: a source, a scraper, a dataset, a priority, a
    parameter of the run, or a setting.
    """

    limit: Limit
    text: str
    until: datetime | None = None  # None: no end is known
    of: str = ""


def last_to_end(*reasons: Reason) -> Reason:
    """The reason that decides, of one or more for which a file waits: the one that ends last, or that has no end.

    Of those that end together, the first decides.
    """
    return max(reasons, key=lambda reason: reason.until or datetime.max.replace(tzinfo=UTC))
