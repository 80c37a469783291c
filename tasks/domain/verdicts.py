"""Is this body what its key promises?"""

from dataclasses import dataclass
from enum import StrEnum

from tasks.domain.games import Game


class Wholeness(StrEnum):
    WHOLE = "whole"
    PARTIAL = "partial"  # what the source really says, but there is more to come: a game in progress
    BAD = "bad"  # not what was asked for: an error page, another game, cut off, empty


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a body check found: how whole the body is, why, and which games it lists."""

    wholeness: Wholeness
    reason: str = ""
    games: tuple[Game, ...] = ()
    refused: bool = False  # a block page: the source refuses us, rather than lacking the file
    absent: bool = False  # the source says that it has none: a page that tells so, a final game without plays
    cut_off: bool = False  # not even well-formed: asking again may heal it


def whole(games: tuple[Game, ...] = ()) -> Verdict:
    return Verdict(Wholeness.WHOLE, games=games)


def partial(reason: str, games: tuple[Game, ...] = ()) -> Verdict:
    return Verdict(Wholeness.PARTIAL, reason, games)


def bad(reason: str, *, refused: bool = False, absent: bool = False, cut_off: bool = False) -> Verdict:
    return Verdict(Wholeness.BAD, reason, refused=refused, absent=absent, cut_off=cut_off)
