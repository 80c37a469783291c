"""Does the Prefect API answer? An outage is told of once by a process, however many calls wait, and its end once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from tasks import clock

log = logging.getLogger(__name__)

_TELL_AFTER = 2.0  # seconds: SQLite that is written to is busy for moments


class ApiOutage:
    """What all calls of a process see of the Prefect API together. Use it in one event loop."""

    def __init__(self) -> None:
        self._waiting = 0  # calls that were made in vain, and are made again
        self._is_told = False

    @contextmanager
    def watched(self) -> Iterator[Callable[[Exception], float]]:
        """A call that is made until it is answered: then this block is left, and if not, by an error.

        What it gives is to be told why the call was in vain, and gives for how many seconds that has been so.
        """
        since: float | None = None

        def in_vain(error: Exception) -> float:
            nonlocal since
            if since is None:
                since = clock.seconds()
                self._waiting += 1
            silent = clock.seconds() - since
            if silent >= _TELL_AFTER and not self._is_told:
                self._is_told = True
                log.warning("the Prefect API %s; what needs it waits until that is over", trouble(error))
            return silent

        try:
            yield in_vain
        finally:
            self._waiting -= since is not None
        if self._is_told and not self._waiting:
            self._is_told = False
            log.warning("the Prefect API answers again")


def trouble(error: Exception) -> str:
    """What the API does instead of answering as it should: "answers HTTP 503", "does not answer (ConnectError)"."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"answers HTTP {error.response.status_code}"
    return f"does not answer ({type(error).__name__})"
