"""Does the Prefect API answer? A process logs an outage once, however many calls wait for its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from tasks import clock

log = logging.getLogger(__name__)

_LOG_AFTER = 2.0  # seconds: while SQLite is being written to, the API is busy for moments


class ApiOutage:
    """The outages of the Prefect API, for all calls of this process together. Use it in one event loop."""

    def __init__(self) -> None:
        self._waiting = 0  # calls that have failed and are being repeated
        self._is_logged = False

    @contextmanager
    def watched(self) -> Iterator[Callable[[Exception], float]]:
        """A block in which the caller repeats one call until the API answers, or gives up.

        It yields a function to which the caller passes each error. The function returns the number of seconds since the
        call first failed.
        """
        since: float | None = None

        def seconds_failing(error: Exception) -> float:
            nonlocal since
            if since is None:
                since = clock.seconds()
                self._waiting += 1
            seconds = clock.seconds() - since
            if seconds >= _LOG_AFTER and not self._is_logged:
                self._is_logged = True
                log.warning("the Prefect API %s; calls to it are repeated until they succeed", trouble(error))
            return seconds

        try:
            yield seconds_failing
        finally:
            self._waiting -= since is not None
        if self._is_logged and not self._waiting:
            self._is_logged = False
            log.warning("the Prefect API answers again")


def trouble(error: Exception) -> str:
    """What the API does instead of a proper answer: "answers HTTP 503", "does not answer (ConnectError)"."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"answers HTTP {error.response.status_code}"
    return f"does not answer ({type(error).__name__})"
