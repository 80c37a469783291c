"""Do the events of the lake arrive? What ADCE stores itself has to come back as an event."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from tasks.domain.times import SKEW
from tasks.domain.wording import utc

COMES_WITHIN = timedelta(minutes=5)  # S3 usually takes seconds, and sometimes a minute or more
_PROVES_FOR = timedelta(days=1)


class PathState(StrEnum):
    """Whether the events of the lake are known to arrive."""

    PROVED = "proved"
    BROKEN = "broken"
    UNPROVED = "unproved"


class EventPath(NamedTuple):
    """The state of the way that events take, and why."""

    state: PathState
    reason: str


def event_path(
    now: datetime, read_to: datetime | None, returned: datetime | None, stored: datetime | None
) -> EventPath:
    """The state of the way that events take.

    All messages that were sent until `read_to` have been taken in. The newest event of a file that ADCE has stored
    itself is of the time `returned`. `stored` is when ADCE last stored a file whose event must have come by then.
    """
    if stored is not None and now - stored <= _PROVES_FOR and (returned is None or returned < stored - SKEW):
        missing = f"ADCE stored a file at {utc(stored)}, and no event of it has come"
        return EventPath(PathState.BROKEN, missing)
    if returned is not None and now - returned <= _PROVES_FOR:
        return EventPath(PathState.PROVED, f"the event of a file that ADCE stored at {utc(returned)} has come")
    if read_to is None:
        return EventPath(PathState.UNPROVED, "no queue has been received from")
    return EventPath(PathState.UNPROVED, "ADCE has stored nothing for a day whose event could have come")
