"""What can become of a file that a run has come to?"""

from enum import StrEnum


class Outcome(StrEnum):
    STORED = "stored"
    KEPT = "kept"  # somebody else had stored a good one meanwhile
    FAILED = "failed"
    DEFERRED = "deferred"
