"""Which time stamp does an answer carry?"""

from datetime import datetime, timedelta

# Placeholder in a rendered body for the time of the answer. No game has this time.
ANSWERED = "1970-01-01T00:00:00.000Z"


def stamped(body: bytes, now: datetime, count: int) -> bytes:
    """The body with the time `now` plus `count` milliseconds, so that repeated answers differ."""
    moment = now + timedelta(milliseconds=count)
    return body.replace(ANSWERED.encode(), f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z".encode())
