"""What does a schedule say about a game, and which of several entries counts?"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class GameStatus(StrEnum):
    """The status of a game in a schedule. A suspended game is live."""

    SCHEDULED = "scheduled"
    LIVE = "live"
    FINAL = "final"
    POSTPONED = "postponed"
    CANCELLED = "cancelled"

    @property
    def settled(self) -> bool:
        """Is this status final, so that the schedule need not be read again because of this game?"""
        return self in (GameStatus.FINAL, GameStatus.POSTPONED, GameStatus.CANCELLED)


class Game(NamedTuple):
    """A game as one source's schedule lists it.

    `day` is the game day in US Eastern time; `start` is in UTC, or None if the schedule gives no time.
    `season_type` is one of preseason, regular, all-star, playoffs, play-in, cup-final.
    `if_necessary` says that the game is played only if the series is not decided before it.
    """

    id: str
    day: date
    start: datetime | None
    status: GameStatus
    season: str
    season_type: str
    if_necessary: bool = False


# If a game has two entries for one day, the status that comes later in this list counts. An entry that says that the
# game is cancelled or postponed may be out of date.
_WEIGHT = {status: weight for weight, status in enumerate(("cancelled", "postponed", "scheduled", "live", "final"))}


def deduplicated(entries: Iterable[Game]) -> list[Game]:
    """Every game once, in the order of the first entries.

    If a game has several entries, a final one counts, or else the one with the latest day. A postponed game stays
    listed on its old day, and is sometimes played earlier than that day.
    """
    games: dict[str, Game] = {}
    for entry in entries:
        other = games.get(entry.id)
        if other is None or _rank(entry) > _rank(other):
            games[entry.id] = entry
    return list(games.values())


def _rank(entry: Game) -> tuple[bool, date, int, bool]:
    return entry.status is GameStatus.FINAL, entry.day, _WEIGHT[entry.status], entry.start is not None


def by_season(games: Iterable[Game]) -> dict[str, list[Game]]:
    """The games by their season."""
    found: dict[str, list[Game]] = {}
    for game in games:
        found.setdefault(game.season, []).append(game)
    return found


_NOT_NEEDED_AFTER = timedelta(days=7)


def was_not_needed(game: Game, today: date) -> bool:
    """Is this a play-off game that was not played because its series was decided before?

    Schedules may list such a game as scheduled for ever, so it counts as not played a week after its day.
    """
    last = last_day_listed(game)
    return last is not None and today > last


def last_day_listed(game: Game) -> date | None:
    """The last day on which a scheduled play-off game still counts as one to be played; None for any other game."""
    may_be_dropped = game.if_necessary or game.season_type == "playoffs"
    return game.day + _NOT_NEEDED_AFTER if may_be_dropped and game.status is GameStatus.SCHEDULED else None
