"""Is the document of a game hollow? It has the right shape then, but players or plays are missing."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_ON_THE_FLOOR = 5  # players of a team
_TOLERANCE = 0.1  # share by which the minutes may differ, because they are rounded for each player
# "30:49", "PT30M49.00S", "30", and "33.000000:28", which some years of stats.nba.com have.
_MINUTES = re.compile(r"(?:PT)?(\d+)(?:\.\d+)?(?:[:M](\d+))?", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """The line of a player in a box score. A figure that the box score does not give is None."""

    points: int | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class TeamLines:
    """The lines of a team in a box score: one for each player who has played, and the team's totals."""

    players: Sequence[Line]
    points: int | None = None
    minutes: float | None = None


def why_hollow(team: TeamLines) -> str | None:
    """Why players of a team must be missing: too few have played, or their sums differ from the team's totals.

    None if no player seems to be missing. The minutes may differ by a tenth.
    """
    if len(team.players) < _ON_THE_FLOOR:
        return f"hollow: {len(team.players)} players of a team have played"
    points = [line.points for line in team.players if line.points is not None]
    if team.points is not None and len(points) == len(team.players) and sum(points) != team.points:
        return f"hollow: the players of a team have {sum(points)} of its {team.points} points"
    minutes = [line.minutes for line in team.players if line.minutes is not None]
    if team.minutes and len(minutes) == len(team.players) and abs(sum(minutes) / team.minutes - 1) > _TOLERANCE:
        return f"hollow: the players of a team have {sum(minutes):.0f} of its {team.minutes:.0f} minutes"
    return None


def period_without_plays(with_plays: Collection[int], last: int) -> int | None:
    """The first period, up to the last one, without any play; None if every period has plays."""
    return next((period for period in range(1, last + 1) if period not in with_plays), None)


def minutes(text: object) -> float | None:
    """Minutes of play, from any of the forms that the sites use; None for any other text."""
    match = _MINUTES.match(str(text).strip()) if text is not None else None
    return int(match[1]) + int(match[2] or 0) / 60 if match else None


def number(text: object) -> int | None:
    """An integer, from a number or a text; None for anything else."""
    if isinstance(text, int | float):
        return int(text) if text == text // 1 else None
    match = _NUMBER.fullmatch(text.strip()) if isinstance(text, str) else None
    return int(match[0]) if match else None
