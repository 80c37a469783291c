"""How many games does the league usually play on some days? Estimates rest on it while schedules are not known."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from tasks.domain.expected import seasons

# Games of the regular season, by start year, where it was not a full one: the lock-outs of 1998 and 2011, the game that
# was called off in Boston in 2013, and the two seasons of the pandemic. A full one has 41 games for each team.
_REGULAR = {1998: 725, 2011: 990, 2012: 1229, 2019: 1059, 2020: 1080}
_TEAMS = ((2004, 30), (1995, 29), (0, 27))  # the number of teams since a season's start year
_PRESEASON = {1998: 29, 2011: 30, 2020: 49}
# The first and last day of the preseason, of the regular season and of the play-offs, as (months, day), where they were
# not the usual ones. Months after December are counted on: 13 is January.
_DAYS = {
    1998: ((13, 22), (14, 3), (14, 5), (17, 5), (17, 8), (18, 25)),
    2011: ((12, 16), (12, 22), (12, 25), (16, 26), (16, 28), (18, 21)),
    2019: ((10, 4), (10, 18), (10, 22), (15, 11), (20, 17), (22, 11)),
    2020: ((12, 11), (12, 19), (12, 22), (17, 16), (17, 22), (19, 20)),
}
_USUAL_DAYS = (  # since a season's start year; opening nights were from 16 to 24 October since 2017, and later before
    (2017, ((10, 1), (10, 16), (10, 20), (16, 11), (16, 16), (18, 14))),
    (0, ((10, 4), (10, 23), (10, 28), (16, 14), (16, 17), (18, 14))),
)
_FIRST_ROUND = 45, 16  # games and days of the first round of the play-offs
_AFTER_THE_PAUSE = 88  # games of the regular season of 2019-20 that were played in its second summer


class Phase(NamedTuple):
    """A part of a season, with games of one type on evenly many of its days."""

    season_type: str
    first: date
    last: date
    games: float


@lru_cache(maxsize=200)
def phases(season: str) -> tuple[Phase, ...]:
    """The phases of a season, with about as many games as the sources list: final ones, and those still to be played.

    The numbers of the regular seasons are exact. The others are those that the sources list usually: since 2017-18 the
    preseason has been shorter, and until 2001-02 the first round of the play-offs was.
    """
    year = seasons.start_year(season)
    usual = next(days for since, days in _USUAL_DAYS if year >= since)
    days = [_day(year, *day) for day in _DAYS.get(year, usual)]
    regular = _REGULAR.get(year, 41 * next(teams for since, teams in _TEAMS if year >= since))
    early, first_days = _FIRST_ROUND
    playoffs = 83 if year >= 2002 else 71
    second = date.fromordinal(days[4].toordinal() + first_days)
    found = [
        Phase("preseason", days[0], days[1], _PRESEASON.get(year, 75 if year >= 2017 else 115)),
        Phase("regular", days[2], days[3], regular - (_AFTER_THE_PAUSE if year == 2019 else 0)),
        Phase("playoffs", days[4], second, early),
        Phase("playoffs", second, days[5], playoffs - early),
    ]
    if year == 2019:
        found.append(Phase("regular", date(2020, 7, 30), date(2020, 8, 14), _AFTER_THE_PAUSE))
    if year >= 2019:
        found.append(Phase("play-in", days[4], days[4], 6 if year >= 2020 else 1))
    if year >= 2023:
        found.append(Phase("cup-final", date(year, 12, 16), date(year, 12, 16), 1))
    if year != 1998:
        found.append(Phase("all-star", date(year + 1, 2, 16), date(year + 1, 2, 16), 1))
    return tuple(found)


def usual_games(season: str, first: date, last: date, season_types: Collection[str] = ()) -> float:
    """The usual number of games of some types, or of all, from one day of a season to another, both included."""
    total = 0.0
    for phase in phases(season):
        if not season_types or phase.season_type in season_types:
            shared = (min(last, phase.last) - max(first, phase.first)).days + 1
            total += phase.games * max(shared, 0) / ((phase.last - phase.first).days + 1)
    return total


def _day(year: int, month: int, day: int) -> date:
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, day)
