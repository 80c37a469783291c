"""What does a schedule say about a game?"""

from datetime import date, datetime
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
    """

    id: str
    day: date
    start: datetime | None
    status: GameStatus
    season: str
    season_type: str
