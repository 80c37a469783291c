"""Which of two versions of a document is the better one, if its source never has it complete?"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.domain.assess.verdicts import Verdict, Wholeness

FOLDER = "_adce/partial"  # where the lake keeps the best version so far, until it is known that no complete one exists

_RANKS = {Wholeness.BAD: 0, Wholeness.PARTIAL: 1, Wholeness.WHOLE: 2}


@dataclass(frozen=True, slots=True)
class Version:
    """A body, from the source or the lake, with the verdict of the body check."""

    body: bytes
    verdict: Verdict

    @property
    def worth(self) -> tuple[int, int]:
        """Sort key: the more complete version is better; of equally complete ones, that with more non-blank bytes."""
        return _RANKS[self.verdict.wholeness], len(b"".join(self.body.split()))


def better_of(one: Version | None, other: Version | None) -> Version | None:
    """The better of two versions; the first if they are equally good."""
    if one is None or other is None:
        return one or other
    return other if other.worth > one.worth else one
