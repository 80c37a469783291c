"""When are the events of the lake known to arrive?"""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.event_path import PathState, event_path

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("read_to", "returned", "stored", "state"),
    [
        pytest.param(None, None, None, PathState.UNPROVED, id="nothing was ever received"),
        pytest.param(NOW, None, None, PathState.UNPROVED, id="nothing was stored"),
        pytest.param(NOW, NOW - HOUR, NOW - HOUR, PathState.PROVED, id="the last one came back"),
        pytest.param(NOW, NOW - HOUR, NOW - HOUR + 2 * MINUTE, PathState.PROVED, id="clocks may differ"),
        pytest.param(NOW, NOW - HOUR, NOW - HOUR + 3 * MINUTE, PathState.BROKEN, id="a later one did not"),
        pytest.param(NOW, None, NOW - HOUR, PathState.BROKEN, id="none came back"),
        pytest.param(NOW, NOW - HOUR, None, PathState.PROVED, id="what was stored is too new to be missed"),
        pytest.param(NOW, NOW - 2 * DAY, NOW - 2 * DAY, PathState.UNPROVED, id="that was long ago"),
        pytest.param(NOW, None, NOW - DAY - MINUTE, PathState.UNPROVED, id="so was what is missing"),
        pytest.param(NOW, None, NOW - DAY, PathState.BROKEN, id="it was just not"),
    ],
)
def test_what_comes_back_proves_the_path_and_what_does_not_breaks_it(
    read_to: datetime | None, returned: datetime | None, stored: datetime | None, state: PathState
) -> None:
    assert event_path(NOW, read_to, returned, stored).state is state
