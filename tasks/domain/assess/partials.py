"""Which of two versions of a document is the better one, when its source never has it whole?"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.domain.assess.verdicts import Verdict, Wholeness

FOLDER = "_adce/partial"  # of the lake, for the best version that was seen until it is known that there is none whole

_RANKS = {Wholeness.BAD: 0, Wholeness.PARTIAL: 1, Wholeness.WHOLE: 2}


@dataclass(frozen=True, slots=True)
class Version:
    """A body that the source gave, or that the lake has, and what the check found in it."""

    body: bytes
    verdict: Verdict

    @property
    def worth(self) -> tuple[int, int]:
        """The wholer first, then the one with more in it: bytes, but for spaces, which say nothing."""
        return _RANKS[self.verdict.wholeness], len(b"".join(self.body.split()))


def better_of(one: Version | None, other: Version | None) -> Version | None:
    """The better one; of two that are worth the same, the first."""
    if one is None or other is None:
        return one or other
    return other if other.worth > one.worth else one
