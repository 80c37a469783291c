"""How long does an answer ask its client to wait before the next request?"""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx

from tasks.domain.limits.retry_after import asked_wait


def retry_after(response: httpx.Response, now: datetime) -> timedelta | None:
    """The wait of a Retry-After header; see `asked_wait`. None if the header is absent or invalid."""
    return asked_wait(response.headers.get("Retry-After", ""), now)
