"""Is this body what its key promises?"""

from dataclasses import dataclass
from enum import StrEnum

from config.models import Dataset
from tasks.domain.expected.games import Game


class Wholeness(StrEnum):
    WHOLE = "whole"
    PARTIAL = "partial"  # what the source really says, but there is more to come: a game in progress
    BAD = "bad"  # not what was asked for: an error page, another game, cut off, empty


class Fault(StrEnum):
    """What is wrong with a body that cannot be stored as it is, by what follows from it."""

    REFUSED = "refused"  # a wall, a login, a maintenance page: the site's trouble; it says nothing of this file
    ABSENT = "absent"  # the source says in its own way that it has no such file
    UNFINISHED = "unfinished"  # the document of the right game, which is not whole: evidence like an absence
    CUT_OFF = "cut_off"  # not even well-formed: asking again may heal it
    UNFIT = "unfit"  # another document than the one asked for, or of another kind


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a body check found: how whole the body is, why, and which games it lists."""

    wholeness: Wholeness
    reason: str = ""
    games: tuple[Game, ...] = ()
    fault: Fault | None = None

    def fits(self, dataset: Dataset) -> bool:
        """May a body of this verdict be stored under a key of the dataset?

        An unfinished document may where it is asked for again until it is finished.
        """
        return self.fault is None or (self.fault is Fault.UNFINISHED and dataset.refresh is not None)


class Consequence(StrEnum):
    """What becomes of a body that a source gave, in a word."""

    STORED = "stored"
    ABSENT = "absent"  # one look that found none; after some of them the file is unavailable
    REFUSED = "refused"  # the source is left alone for a while
    HEALS = "heals"  # it is asked for again at once
    BAD = "bad"  # the file has failed


_CONSEQUENCES = {
    Fault.REFUSED: Consequence.REFUSED,
    Fault.ABSENT: Consequence.ABSENT,
    Fault.UNFINISHED: Consequence.ABSENT,
    Fault.CUT_OFF: Consequence.HEALS,
    Fault.UNFIT: Consequence.BAD,
}


def consequence_of(verdict: Verdict, dataset: Dataset) -> Consequence:
    return Consequence.STORED if verdict.fault is None or verdict.fits(dataset) else _CONSEQUENCES[verdict.fault]


def whole(games: tuple[Game, ...] = ()) -> Verdict:
    return Verdict(Wholeness.WHOLE, games=games)


def partial(reason: str, games: tuple[Game, ...] = ()) -> Verdict:
    """Of a list: more will be listed, or what it lists may change."""
    return Verdict(Wholeness.PARTIAL, reason, games)


def unfinished(reason: str) -> Verdict:
    """Of a game's document: it is that of the right game, and there is more to come, or should be."""
    return Verdict(Wholeness.PARTIAL, reason, fault=Fault.UNFINISHED)


def bad(reason: str, fault: Fault = Fault.UNFIT) -> Verdict:
    return Verdict(Wholeness.BAD, reason, fault=fault)
