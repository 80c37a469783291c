"""How long does an answer ask its client to wait before the next request?"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from tasks.domain.limits.pauses import LONGEST_ASKED


def retry_after(response: httpx.Response, now: datetime) -> timedelta | None:
    """The wait of a Retry-After header, in seconds or as a date (RFC 9110, 10.2.3). None if it is absent or invalid.

    A wait of zero counts as none, and one longer than a day as a day.
    """
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        wait = timedelta(seconds=min(int(text), 86400))
    else:
        try:
            wait = parsedate_to_datetime(text) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(wait, LONGEST_ASKED) if wait > timedelta() else None
