"""How often is the log told of something that fails again and again? At once, then rarely, and when it is over."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from tasks import clock
from tasks.domain.wording import utc

log = logging.getLogger(__name__)

_REPEATED_AFTER = 600.0  # seconds after which the log is told again
_LASTS = 60.0  # seconds after which it is told of an outage that began soon after another one


class Outage:
    """Something that fails now and then, or for hours.

    `end` begins the line about its end, before "since …": "the queue answers again; it had not".
    """

    def __init__(self, end: str):
        self._end = end
        self._since: float | None = None  # by tasks.clock; None while it works
        self._told: float | None = None  # when the log was last told of a failure
        self._is_told = False  # was it told of this outage?

    @property
    def seconds(self) -> float:
        """How long it has failed; 0 while it works."""
        return 0.0 if self._since is None else clock.seconds() - self._since

    @property
    def since(self) -> datetime:
        """When it began to fail."""
        return datetime.now(UTC) - timedelta(seconds=self.seconds)

    def failed(self, line: str) -> None:
        """Notes a failure. The line is logged if it is time for that."""
        now = clock.seconds()
        if self._since is None:
            self._since = now
        is_late = not self._is_told and self.seconds >= _LASTS
        if self._told is None or is_late or now - self._told >= _REPEATED_AFTER:
            log.error("%s", f"{line}; it has failed since {utc(self.since)}" if self._is_told else line)
            self._told, self._is_told = now, True

    def ended(self) -> None:
        """Notes that it works."""
        if self._since is not None and self._is_told:
            log.warning("%s since %s", self._end, utc(self.since))
        self._since, self._is_told = None, False
