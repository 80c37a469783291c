"""What can go wrong outside ADCE, and can it heal?"""

from datetime import timedelta


class AdceError(Exception):
    """One line for the reader: what went wrong, where, and what to do."""

    requests = 0  # how often a source was asked before it went wrong


class LakeError(AdceError):
    """The lake cannot be read or written."""


class LedgerError(AdceError):
    """The ledger cannot be read or written."""


class BucketError(AdceError):
    """A rate bucket is missing, inactive or does not refill: nothing may be requested."""


class SelectionError(AdceError):
    """The command asks for a source, dataset, season or date that there is none of."""


class FetchError(AdceError):
    """A file could not be fetched. It does not heal by asking again."""


class HealingError(FetchError):
    """A file could not be fetched now: the connection, a time-out, a 5xx, a body that was cut off."""

    def __init__(self, message: str, wait: timedelta | None = None, *, unreachable: bool = False):
        super().__init__(message)
        self.wait = wait
        self.unreachable = unreachable


class RefusedError(FetchError):
    """The source shuts us out: 403, a block page, or 429 from a site with a jail."""

    def __init__(self, message: str, pause: timedelta):
        super().__init__(message)
        self.pause = pause
