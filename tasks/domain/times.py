"""Which stored times can be believed? A time that is yet to come was written under a wrong clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from config.models import Config
from tasks.domain.errors import SelectionError

SKEW = timedelta(minutes=2)  # by which the clocks of two machines may differ


def horizon(config: Config, now: datetime, real: datetime) -> datetime:
    """No stored time after this is believed; `now` is the clock of the run, and `real` that of this machine.

    They differ where `now` was set. What happened since a past time that is looked at is no lie; but only a sandbox,
    whose sites live at the time that was set, can have been asked in the future.
    """
    return (max(now, real) if config.sandbox else real) + SKEW


def check_fetching_clock(config: Config, as_of: datetime | None, real: datetime) -> None:
    """Raises SelectionError for a clock that is set ahead, of who fetches.

    What a site says today would count as what it says then: a list that grows would be final for good.
    """
    if as_of is None or as_of <= real or config.sandbox:
        return
    raise SelectionError(
        f"as-of {as_of:%Y-%m-%d %H:%M} UTC is later than now, {real:%Y-%m-%d %H:%M} UTC: what is fetched today would "
        "count as fetched then; leave it out, or only look, with a dry run or `adce plan`"
    )
