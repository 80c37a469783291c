"""Do the events of the lake arrive? What ADCE stores itself has to come back as an event."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

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
    now: datetime,
    progress: datetime,
    read_to: datetime | None,
    returned: datetime | None,
    awaited: Collection[datetime],
) -> EventPath:
    """The state of the way that events take.

    The queue was last read at `progress`, and all messages that were sent until `read_to` have been taken in. The
    newest event of a file that ADCE has stored itself is of the time `returned`. `awaited` is when ADCE has stored the
    files whose event has not come. An event that is lost breaks the path until that of a later file comes.
    """
    lately = now - _PROVES_FOR
    later = [at for at in awaited if at >= lately and (returned is None or at > returned)]
    missing = [at for at in later if read_to is not None and at <= read_to - COMES_WITHIN]
    late = [at for at in later if at <= now - COMES_WITHIN]
    if missing:
        return EventPath(PathState.BROKEN, f"ADCE stored a file at {utc(max(missing))}, and no event of it has come")
    if now - progress > COMES_WITHIN:
        return EventPath(PathState.UNPROVED, f"the queue was last read at {utc(progress)}")
    if late:
        return EventPath(PathState.UNPROVED, f"the event of a file that ADCE stored at {utc(max(late))} may still come")
    if returned is not None and returned >= lately:
        return EventPath(PathState.PROVED, f"the event of a file that ADCE stored at {utc(returned)} has come")
    return EventPath(PathState.UNPROVED, "ADCE has stored nothing for a day whose event could have come")
