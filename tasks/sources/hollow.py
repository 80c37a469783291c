"""Does a document hold the game that it names, or only its frame?"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_ON_THE_FLOOR = 5
_TOLERANCE = 0.1  # of the minutes, which are rounded for each player
# "30:49", "PT30M49.00S", "30", and "33.000000:28", as some years of stats.nba.com have it.
_MINUTES = re.compile(r"(?:PT)?(\d+)(?:\.\d+)?(?:[:M](\d+))?", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """What a box score says of a player who has played; None where it says nothing."""

    points: int | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class TeamLines:
    """What a box score says of a team: of each player who has played, and of all together."""

    players: Sequence[Line]
    points: int | None = None
    minutes: float | None = None


def why_hollow(team: TeamLines) -> str | None:
    """Why these cannot be all players of the team, compared by what the document itself says of the team."""
    if len(team.players) < _ON_THE_FLOOR:
        return f"hollow: {len(team.players)} players of a team have played"
    points = [line.points for line in team.players if line.points is not None]
    if team.points is not None and len(points) == len(team.players) and sum(points) != team.points:
        return f"hollow: the players of a team have {sum(points)} of its {team.points} points"
    minutes = [line.minutes for line in team.players if line.minutes is not None]
    if team.minutes and len(minutes) == len(team.players) and abs(sum(minutes) / team.minutes - 1) > _TOLERANCE:
        return f"hollow: the players of a team have {sum(minutes):.0f} of its {team.minutes:.0f} minutes"
    return None


def silent_period(told: Collection[int], last: int) -> int | None:
    """The first of the periods up to the last one of which nothing is told."""
    return next((period for period in range(1, last + 1) if period not in told), None)


def minutes(text: object) -> float | None:
    """Minutes of play, from any of the ways in which the sites write them."""
    match = _MINUTES.match(str(text).strip()) if text is not None else None
    return int(match[1]) + int(match[2] or 0) / 60 if match else None


def number(text: object) -> int | None:
    """A count, from a number or its text."""
    if isinstance(text, int | float):
        return int(text) if text == text // 1 else None
    match = _NUMBER.fullmatch(text.strip()) if isinstance(text, str) else None
    return int(match[0]) if match else None
