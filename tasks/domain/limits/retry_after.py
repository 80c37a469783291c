"""For how long does the text of a Retry-After header ask a client to wait?"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from tasks.domain.limits.pauses import LONGEST_ASKED


def asked_wait(text: str, now: datetime) -> timedelta | None:
    """The wait that a Retry-After header asks for, in seconds or as a date (RFC 9110, 10.2.3).

    None if the text is neither. A wait of zero counts as none, and one longer than a day as a day.
    """
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        wait = timedelta(seconds=min(int(text), 86400))
    else:
        try:
            wait = parsedate_to_datetime(text) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(wait, LONGEST_ASKED) if wait > timedelta() else None
