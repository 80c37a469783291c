"""What can become of a file that a run has come to, and how does a run end?"""

from enum import StrEnum


class Outcome(StrEnum):
    STORED = "stored"
    KEPT = "kept"  # somebody else had stored a good one meanwhile
    FAILED = "failed"
    DEFERRED = "deferred"


class RunEnd(StrEnum):
    """How a run ended. A run that is still at work has no end."""

    ENDED = "ended"
    STOPPED = "stopped"  # by a signal, a cancel or a lost lease: the text beside it says which
    FAILED = "failed"  # by an error of its own, before it could say what became of everything
    DIED = "died"  # without a word: its process is gone, or its lease lapsed. Prefect has not been told yet
    BURIED = "buried"  # it died, and Prefect has been told
