"""When are the events of the lake known to arrive?"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.event_path import PathState, event_path

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("read_to", "returned", "awaited", "state"),
    [
        pytest.param(None, None, [], PathState.UNPROVED, id="nothing was stored"),
        pytest.param(NOW, NOW - HOUR, [], PathState.PROVED, id="what was stored came back"),
        pytest.param(None, NOW - HOUR, [], PathState.PROVED, id="from a queue that was never empty"),
        pytest.param(NOW, NOW - 2 * DAY, [], PathState.UNPROVED, id="that was long ago"),
        pytest.param(NOW, None, [NOW - HOUR], PathState.BROKEN, id="none came back"),
        pytest.param(NOW, NOW - HOUR, [NOW - 50 * MINUTE], PathState.BROKEN, id="a later one did not"),
        pytest.param(NOW, NOW - HOUR, [NOW - 61 * MINUTE], PathState.PROVED, id="a later one did"),
        pytest.param(NOW, NOW - HOUR, [NOW - 4 * MINUTE], PathState.PROVED, id="its event may be on its way"),
        pytest.param(
            NOW - HOUR, NOW - HOUR, [NOW - 6 * MINUTE], PathState.UNPROVED, id="its event may wait in the queue"
        ),
        pytest.param(
            NOW - 5 * MINUTE,
            NOW - HOUR,
            [NOW - 10 * MINUTE, NOW - SECOND],
            PathState.BROKEN,
            id="files are stored all the time",
        ),
        pytest.param(NOW, None, [NOW - DAY - MINUTE], PathState.UNPROVED, id="what is missing is old"),
        pytest.param(NOW, None, [NOW - DAY], PathState.BROKEN, id="it is just not"),
    ],
)
def test_what_comes_back_proves_the_path_and_what_does_not_breaks_it(
    read_to: datetime | None, returned: datetime | None, awaited: Collection[datetime], state: PathState
) -> None:
    assert event_path(NOW, NOW - SECOND, read_to, returned, awaited).state is state


def test_a_queue_that_nobody_reads_proves_nothing_but_what_has_not_come_before_stays_missing() -> None:
    dead = NOW - 20 * HOUR
    path = event_path(NOW, dead, dead, dead, [])
    assert path == (PathState.UNPROVED, "the queue was last read at 2026-01-14 16:00 UTC")
    assert event_path(NOW, dead, dead, None, [dead - HOUR]).state is PathState.BROKEN
