"""What does a schedule say about a game, and which of its entries counts?"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class GameStatus(StrEnum):
    SCHEDULED = "scheduled"
    LIVE = "live"
    FINAL = "final"
    POSTPONED = "postponed"
    CANCELLED = "cancelled"

    @property
    def settled(self) -> bool:
        """Nothing more will be learnt from looking at the schedule again."""
        return self in (GameStatus.FINAL, GameStatus.POSTPONED, GameStatus.CANCELLED)


class Game(NamedTuple):
    """A game as one source's schedule lists it.

    `day` is the US Eastern game day; `start` is UTC, or None where the schedule gives no time.
    `season_type` is one of preseason, regular, all-star, playoffs, play-in, cup-final.
    `if_necessary`: it is played only if the series is not decided before.
    """

    id: str
    day: date
    start: datetime | None
    status: GameStatus
    season: str
    season_type: str
    if_necessary: bool = False


# Of two entries of one day the later in this order counts: an entry that calls a game off may be out of date.
_WEIGHT = {status: weight for weight, status in enumerate(("cancelled", "postponed", "scheduled", "live", "final"))}


def each_once(entries: Iterable[Game]) -> list[Game]:
    """Every game once, in the order in which they were first listed.

    Of several entries of one game the final one counts, else the one of the later day: a game that is postponed
    stays listed on its old day, and its new day can be an earlier one.
    """
    games: dict[str, Game] = {}
    for entry in entries:
        other = games.get(entry.id)
        if other is None or _rank(entry) > _rank(other):
            games[entry.id] = entry
    return list(games.values())


def _rank(entry: Game) -> tuple[bool, date, int, bool]:
    return entry.status is GameStatus.FINAL, entry.day, _WEIGHT[entry.status], entry.start is not None


_NOT_NEEDED_AFTER = timedelta(days=7)


def was_not_needed(game: Game, today: date) -> bool:
    """Is this a play-off game that a decided series did without? Schedules may list it as scheduled for ever."""
    may_fall_out = game.if_necessary or game.season_type == "playoffs"
    return may_fall_out and game.status is GameStatus.SCHEDULED and today > game.day + _NOT_NEEDED_AFTER
