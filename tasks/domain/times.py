"""Which times can be believed?"""

from __future__ import annotations

from datetime import datetime

from config.models import Config
from tasks.domain.errors import SelectionError


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
