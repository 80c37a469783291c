"""Why is a file not fetched now: which rule decides, and until when?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Limit(StrEnum):
    """The rule that keeps a file in its state. The values appear in JSON documents, and must not change."""

    # Rules about one file
    NOT_PUBLISHED = "not_published"  # the source does not have the page now, and may still publish it this season
    LOOKS = "reconcile.unavailable"  # the source did not have the file at the last looks; the next look is not due yet
    DISAGREEMENT = "sources_disagree"  # another source lists more final games of a day; the next look is not due yet
    OBSTACLE = "obstacle"  # something other than a file stands at the key, such as a folder; a person has to remove it
    EXAMINE_AT_MOST = "reconcile.examine_at_most"  # the file is not read yet: a run reads only a limited number
    OPERATOR = "operator"  # an operator has marked the file with `adce unavailable`
    # Rules that a plan applies
    ENABLED = "enabled"  # a switch is off: the master switch, that of the source or that of the dataset
    PARAMETERS = "command.parameters"  # the dataset's command does not accept a value that the file has
    ROLLOUT = "rollout"  # the dataset's `rollout` percentage leaves the file out
    MAINTENANCE = "maintenance"  # a maintenance window of the configuration is open
    OPERATOR_PAUSE = "operator_pause"  # an operator has paused the source or the dataset
    BACKOFF = "backoff"  # the source has refused a request and is paused
    BREAKER = "reconcile.breaker"  # the scraper's circuit breaker is open: too many of its files have failed
    BUCKET = "bucket"  # the source's rate bucket in Prefect is missing, inactive or wrong
    MAX_FILLS = "reconcile.max_fills"  # the cap on the fills of a run, of all or of one priority
    TEST_FILLS = "test_fills"  # the cap on the fills of a run in test mode
    OTHER_RECONCILE = "other_reconcile"  # another reconcile run holds the lease
    # Rules that apply while a run is at work
    TIME_BUDGET = "reconcile.time_budget"  # the run has no time left for the file
    FILL_TIME_LIMIT = "reconcile.fill_time_limit"  # the fill took longer than it may
    START_WITHIN = "reconcile.start_within"  # no worker began the scraper run in time
    SCRAPER_RUN = "scraper_run"  # the scraper run did not fetch the file, or ended early
    PROBE = "probe"  # one request tests the source after a pause; all others wait for its answer
    OTHER_RUN = "other_run"  # another run has a claim on the file
    STOPPED = "stopped"  # the run was stopped
    LEASE = "reconcile.lease"  # the run has lost its lease
    LAKE = "lake"  # the lake cannot be written
    LEDGER = "ledger"  # the ledger cannot be written


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
