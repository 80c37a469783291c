"""For how long does a Retry-After header ask a client to wait?"""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.limits.pauses import LONGEST_ASKED
from tasks.domain.limits.retry_after import asked_wait

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("7", timedelta(seconds=7)),
        (" 7 ", timedelta(seconds=7)),
        ("999999999", LONGEST_ASKED),
        ("Thu, 15 Jan 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("Thu, 15 Jan 2099 12:05:00 GMT", LONGEST_ASKED),
        ("Thu, 15 Jan 2026 11:00:00 GMT", None),
        ("Thu, 15 Jan 2026 12:05:00", None),
        ("0", None),
        ("-7", None),
        ("1.5", None),
        ("", None),
        ("soon", None),
    ],
)
def test_a_wait_is_in_seconds_or_until_a_date(text: str, wait: timedelta | None) -> None:
    assert asked_wait(text, NOW) == wait
