"""Which errors does ADCE raise, and after which of them can another request succeed?"""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from config.secrets import masked
from tasks.domain.outcomes import Asking, Failure
from tasks.domain.reasons import Reason


class AdceError(Exception):
    """Base of all errors of ADCE. The message is one line: what went wrong, where, and what to do.

    Secrets in it are masked.
    """

    def __init__(self, message: str = ""):
        super().__init__(masked(message))

    failure = Failure.OTHER  # of a file that is not fetched or stored because of the error
    asking = Asking()  # the requests that were sent to the source before the error

    @property
    def requests(self) -> int:
        """The number of requests that were sent to the source before the error."""
        return self.asking.requests


class Reach(StrEnum):
    """How much of the lake an error concerns."""

    KEY = "key"
    FOLDER = "folder"  # the folder of the key; other folders may still be readable and writable
    LAKE = "lake"


class LakeError(AdceError):
    """The lake, or the part of it that `reach` names, cannot be read or written."""

    failure = Failure.LAKE

    def __init__(self, message: str, reach: Reach = Reach.LAKE):
        super().__init__(message)
        self.reach = reach


class NoObjectError(LakeError):
    """The lake has no object under this key."""

    def __init__(self, message: str):
        super().__init__(message, Reach.KEY)


class HeadRefusedError(LakeError):
    """S3 refuses to tell of the object under this key. It does not say whether it refuses all others too.

    `alone` is the message for somebody who knows that it does not.
    """

    def __init__(self, message: str, reach: Reach, alone: str):
        super().__init__(message, reach)
        self.alone = masked(alone)


class MismatchError(AdceError):
    """The lake, the ledger and the command do not belong together."""


class UnreadableError(LakeError):
    """The lake can be read, but not this object: it is archived, access to it is denied, or its disk is broken."""

    def __init__(self, message: str, cause: str):
        super().__init__(message, Reach.KEY)
        self.cause = cause


class LedgerError(AdceError):
    """The ledger cannot be read or written."""


class NoLedgerError(LedgerError):
    """There is no ledger: no run has made one so far, or it is lost."""


class BucketError(AdceError):
    """A rate bucket is missing, inactive or does not refill, so that no request may be sent."""


class PrefectAwayError(BucketError):
    """The Prefect API, which has the rate buckets, does not answer. This concerns all sources."""


class SelectionError(AdceError):
    """The command asks for a source, dataset, season or date that does not exist."""


class UnexpectedKeysError(SelectionError):
    """The command asks for files that the lake is not expected to hold, by their keys."""

    def __init__(self, message: str, keys: Collection[str]):
        super().__init__(message)
        self.keys = keys


class FetchError(AdceError):
    """A file could not be fetched, and another request would not help."""

    failure = Failure.UNFIT


class AbsentError(FetchError):
    """The source says that it does not have this file.

    This does not count as a failure of the scraper, so its circuit breaker stays closed. The same holds for subclasses.
    """

    failure = Failure.ABSENT


class UnfinishedError(AbsentError):
    """The game is final, but the source's document is incomplete. Like an absence, this is counted as evidence."""

    failure = Failure.UNFINISHED

    def __init__(self, message: str, body: bytes):
        super().__init__(message)
        self.body = body


class HealingError(FetchError):
    """A file could not be fetched, but another request may succeed: no connection, a cut-off body, or HTTP 500.

    `wait` is how long to wait before the next request, if the source said so; `unreachable` means that no connection
    was made, or that no answer came in time.
    """

    def __init__(self, message: str, wait: timedelta | None = None, *, unreachable: bool = False):
        super().__init__(message)
        self.wait = wait
        self.unreachable = unreachable
        self.failure = Failure.UNREACHABLE if unreachable else Failure.BROKEN


class RefusedError(HealingError):
    """The source refuses us or is in trouble itself. This concerns all its files, not only the requested one.

    Causes are HTTP 429 and 503, no answer at all, and pages instead of the site's own: bot walls, logins, maintenance.
    `wait` is how long the source asks us to wait. `shut_out` means that the source answers none of our requests, so
    that the pause has to be longer. `too_fast` means that our rate was the cause, not this request.
    """

    def __init__(
        self,
        message: str,
        wait: timedelta | None = None,
        *,
        shut_out: bool = False,
        too_fast: bool = False,
        unreachable: bool = False,
    ):
        super().__init__(message, wait, unreachable=unreachable)
        self.failure = Failure.UNREACHABLE if unreachable else Failure.REFUSED
        self.shut_out = shut_out
        self.too_fast = too_fast


class PausedError(AdceError):
    """The source is paused, or the scraper's circuit breaker is open, for longer than a request can wait.

    `refusal` is the last refusal of a request for this file, if there was one. `refusals` counts the requests
    for it that failed before, without those that were sent too fast.
    """

    refusal: RefusedError | None = None
    refusals = 0

    def __init__(self, reason: Reason, until: datetime):
        super().__init__(reason.text)
        self.reason = reason
        self.until = until

    @property
    def known_end(self) -> datetime | None:
        """The end of the pause; None if none is known, as of an operator's pause without one."""
        return self.until if self.reason.until else None
