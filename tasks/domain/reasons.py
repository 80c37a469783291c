"""Why is a file not fetched now? Which rule decides, and until when: for programs. The text beside it is for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Limit(StrEnum):
    """The rule that keeps a file in its state. The values are part of every JSON document."""

    # What is known of the file
    NOT_PUBLISHED = "not_published"  # the source does not have the page now, and its season runs
    LOOKS = "reconcile.unavailable"  # the source had none at some looks, and the next look comes later
    DISAGREEMENT = "sources_disagree"  # another source lists more final games of a day; looked at again after a while
    OBSTACLE = "obstacle"  # something that is no file stands at its key in the lake, and somebody has to remove it
    EXAMINE_AT_MOST = "reconcile.examine_at_most"  # only so many stored files are read per run
    OPERATOR = "operator"  # somebody has said so, with `adce unavailable`
    # What a plan goes by
    ENABLED = "enabled"  # of everything, a source or a dataset
    ROLLOUT = "rollout"  # of a dataset
    MAINTENANCE = "maintenance"
    BACKOFF = "backoff"  # the source has refused, and is paused
    BREAKER = "reconcile.breaker"  # too many files of the scraper have failed
    MAX_FILLS = "reconcile.max_fills"  # in all, or of a priority
    TEST_FILLS = "test_fills"
    OTHER_RECONCILE = "other_reconcile"
    # What a run meets
    TIME_BUDGET = "reconcile.time_budget"
    FILL_TIME_LIMIT = "reconcile.fill_time_limit"
    START_WITHIN = "reconcile.start_within"  # no worker has begun the scraper run
    SCRAPER_RUN = "scraper_run"  # which left the file, or ended early
    PROBE = "probe"  # one request after a pause; others wait for its answer
    OTHER_RUN = "other_run"  # is at the file
    STOPPED = "stopped"
    LEASE = "reconcile.lease"  # the run has lost it
    LAKE = "lake"  # which cannot be written
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is left for later.

    `of` is whose limit it is where there are several: a source, a scraper, a dataset, or the setting of a switch.
    """

    limit: Limit
    text: str
    until: datetime | None = None  # None: until somebody changes it
    of: str = ""
