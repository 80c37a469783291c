"""When does an answer say that it was given?"""

from datetime import datetime, timedelta

# Stands in a rendered body wherever the site would write the time. No game was played then.
ANSWERED = "1970-01-01T00:00:00.000Z"


def stamped(body: bytes, now: datetime, count: int) -> bytes:
    """The body as the `count`th answer to a question, a millisecond later than the one before."""
    moment = now + timedelta(milliseconds=count)
    return body.replace(ANSWERED.encode(), f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z".encode())
