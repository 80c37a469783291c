"""Is a body the document that belongs under its key, and is it complete?"""

from dataclasses import dataclass
from enum import StrEnum

from config.models import Dataset
from tasks.domain.expected.games import Game


class Wholeness(StrEnum):
    """How complete a body is."""

    WHOLE = "whole"
    PARTIAL = "partial"  # the right document, but not complete yet, as of a game in progress
    BAD = "bad"  # not the right document: an error page, another game, cut off, or empty


class Fault(StrEnum):
    """What is wrong with a body that cannot be stored as it is. Each fault has its own consequence."""

    REFUSED = "refused"  # a bot wall, a login or a maintenance page; it says nothing about this file
    ABSENT = "absent"  # the source says in its own way that it does not have this file
    UNFINISHED = "unfinished"  # the right game's document, but incomplete; it counts as evidence, as an absence does
    CUT_OFF = "cut_off"  # not well-formed; another request may succeed
    UNFIT = "unfit"  # a different document from the requested one, or one of a different kind


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a body check found: how complete the body is, why it is not complete, and which games it lists."""

    wholeness: Wholeness
    reason: str = ""
    games: tuple[Game, ...] = ()
    fault: Fault | None = None

    def fits(self, dataset: Dataset) -> bool:
        """May a body with this verdict be stored under a key of the dataset?

        An unfinished document may be stored if the dataset has `refresh`, since it is fetched again until it is
        complete.
        """
        return self.fault is None or (self.fault is Fault.UNFINISHED and dataset.refresh is not None)


class Consequence(StrEnum):
    """What ADCE does with a body that a source gave."""

    STORED = "stored"
    ABSENT = "absent"  # it counts as one look that found no file; after several the file is unavailable
    REFUSED = "refused"  # the source is paused
    HEALS = "heals"  # the request is repeated at once
    BAD = "bad"  # the file has failed


_CONSEQUENCES = {
    Fault.REFUSED: Consequence.REFUSED,
    Fault.ABSENT: Consequence.ABSENT,
    Fault.UNFINISHED: Consequence.ABSENT,
    Fault.CUT_OFF: Consequence.HEALS,
    Fault.UNFIT: Consequence.BAD,
}


def consequence_of(verdict: Verdict, dataset: Dataset) -> Consequence:
    """What ADCE does with a body of the dataset that has this verdict."""
    return Consequence.STORED if verdict.fault is None or verdict.fits(dataset) else _CONSEQUENCES[verdict.fault]


def whole(games: tuple[Game, ...] = ()) -> Verdict:
    """The verdict for a complete document."""
    return Verdict(Wholeness.WHOLE, games=games)


def partial(reason: str, games: tuple[Game, ...] = ()) -> Verdict:
    """The verdict for a list to which entries may be added, or whose entries may change."""
    return Verdict(Wholeness.PARTIAL, reason, games)


def unfinished(reason: str) -> Verdict:
    """The verdict for an incomplete document of the right game."""
    return Verdict(Wholeness.PARTIAL, reason, fault=Fault.UNFINISHED)


def bad(reason: str, fault: Fault = Fault.UNFIT) -> Verdict:
    """The verdict for a body that is not the right document."""
    return Verdict(Wholeness.BAD, reason, fault=fault)
