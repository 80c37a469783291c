"""What can go wrong outside ADCE, and can it heal?"""

from datetime import datetime, timedelta
from enum import StrEnum

from config.secrets import masked
from tasks.domain.outcomes import Asking
from tasks.domain.reasons import Reason


class AdceError(Exception):
    """One line for the reader: what went wrong, where, and what to do. Secrets in it are masked."""

    def __init__(self, message: str = ""):
        super().__init__(masked(message))

    asking = Asking()  # what was asked of a source before it went wrong

    @property
    def requests(self) -> int:
        """How often a source was asked before it went wrong."""
        return self.asking.requests


class Reach(StrEnum):
    """How much of the lake cannot be read or written?"""

    KEY = "key"
    FOLDER = "folder"  # the key's own: perhaps others can be written
    LAKE = "lake"


class LakeError(AdceError):
    """The lake cannot be read or written, or a part of it."""

    def __init__(self, message: str, reach: Reach = Reach.LAKE):
        super().__init__(message)
        self.reach = reach


class NoObjectError(LakeError):
    """There is nothing under that key."""

    def __init__(self, message: str):
        super().__init__(message, Reach.KEY)


class MismatchError(AdceError):
    """Lake, ledger and command do not belong together."""


class UnreadableError(LakeError):
    """The lake can be read, and this one object cannot: it is archived, access to it is denied, its disk is broken."""

    def __init__(self, message: str, cause: str):
        super().__init__(message, Reach.KEY)
        self.cause = cause


class LedgerError(AdceError):
    """The ledger cannot be read or written."""


class BucketError(AdceError):
    """A rate bucket is missing, inactive or does not refill: nothing may be requested."""


class SelectionError(AdceError):
    """The command asks for a source, dataset, season or date that does not exist."""


class FetchError(AdceError):
    """A file could not be fetched. It does not heal by asking again."""


class AbsentError(FetchError):
    """The source says that it does not have this one file. That is no failure of the dataset: its breaker stays closed.

    Errors of other answers about one file alone are subclasses of this one.
    """


class UnfinishedError(AbsentError):
    """The game is final, and the source's document of it is not whole: evidence, as an absence is."""

    def __init__(self, message: str, body: bytes):
        super().__init__(message)
        self.body = body


class HealingError(FetchError):
    """A file could not be fetched now: the connection, a body that was cut off, a 500."""

    def __init__(self, message: str, wait: timedelta | None = None, *, unreachable: bool = False):
        super().__init__(message)
        self.wait = wait
        self.unreachable = unreachable


class RefusedError(HealingError):
    """The source refuses us, or is in trouble itself. That says nothing of this file: other files fare no better.

    429 and 503, no answer at all, and everything that stands before a site: walls, logins, maintenance. `wait` is the
    time that the source asks for. `shut_out`: a longer pause, since nothing can be had from the source. `too_fast`: the
    pace was at fault, not this request.
    """

    def __init__(self, message: str, wait: timedelta | None = None, *, shut_out: bool = False, too_fast: bool = False):
        super().__init__(message, wait)
        self.shut_out = shut_out
        self.too_fast = too_fast


class PausedError(AdceError):
    """The source is paused, or the scraper's breaker is open, for longer than it is worth waiting.

    `refusal` is what the file itself was refused with before, if it was asked for, and `refusals` how often that was
    its own fault.
    """

    refusal: RefusedError | None = None
    refusals = 0

    def __init__(self, reason: Reason, until: datetime):
        super().__init__(reason.text)
        self.reason = reason
        self.until = until
