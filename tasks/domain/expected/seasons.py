"""Which season does a day belong to, and which days and months does a season have?

A season is named as the league names it, by its start and end year: "2023-24".
"""

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")

# The first and last day that can have a game, including the preseason, by start year, for seasons that did not last
# from 25 September to 30 June: the lock-outs of 1998 and 2011, and the two seasons of the pandemic.
_UNUSUAL = {
    1998: (date(1999, 1, 20), date(1999, 6, 30)),
    2011: (date(2011, 12, 9), date(2012, 6, 30)),
    2019: (date(2019, 9, 25), date(2020, 10, 15)),
    2020: (date(2020, 12, 10), date(2021, 7, 25)),
}


def season_name(start_year: int) -> str:
    """ "2023-24" for 2023."""
    return f"{start_year}-{(start_year + 1) % 100:02d}"


@lru_cache(maxsize=500)
def start_year(season: str) -> int:
    """2023 for "2023-24". Raises ValueError for anything that is not a season."""
    match = re.fullmatch(r"([0-9]{4})-([0-9]{2})", season)
    if not match or (int(match[1]) + 1) % 100 != int(match[2]):
        raise ValueError(f"{season!r} is not a season; write it as 2023-24")
    year = int(match[1])
    if year < 1946:
        raise ValueError(f"there was no season {season}; the first was 1946-47")
    return year


def end_year(season: str) -> int:
    """2024 for "2023-24". Raises ValueError for anything that is not a season."""
    return start_year(season) + 1


def window(season: str) -> tuple[date, date]:
    """The first and the last day on which the season can have a game."""
    year = start_year(season)
    return _UNUSUAL.get(year, (date(year, 9, 25), date(year + 1, 6, 30)))


@lru_cache(maxsize=50_000)
def season_of(day: date) -> str:
    """The season that a day lies in; for a day between two seasons, the earlier one."""
    year = day.year
    while window(season_name(year))[0] > day:
        year -= 1
    return season_name(year)


def eastern_day(moment: datetime) -> date:
    """The calendar day of a moment in US Eastern time, by which the league dates its games."""
    return moment.astimezone(EASTERN).date()


@lru_cache(maxsize=50_000)
def eastern_midnight(day: date) -> datetime:
    """The moment, in UTC, at which a calendar day begins in US Eastern time."""
    return datetime.combine(day, time(), tzinfo=EASTERN).astimezone(UTC)


@lru_cache(maxsize=500)
def over_at(season: str) -> datetime:
    """The end of the last day on which the season can have a game."""
    return eastern_midnight(window(season)[1] + timedelta(days=1))


def playoffs_begin(season: str) -> datetime:
    """When the play-offs can begin: 10 April of the season's end year. No play-in or play-off game is earlier."""
    return eastern_midnight(date(end_year(season), 4, 10))


def current_season(now: datetime) -> str:
    """The season that is on at `now`; between two seasons, the earlier one."""
    return season_of(eastern_day(now))


def seasons_between(first: str, last: str) -> list[str]:
    """All seasons from the first to the last, both included."""
    return [season_name(year) for year in range(start_year(first), start_year(last) + 1)]


def days_of(season: str) -> Iterator[date]:
    """All days on which the season can have a game."""
    first, last = window(season)
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def months_of(season: str) -> list[str]:
    """The names of the month pages of a season on Basketball Reference, as they are in the pages' addresses.

    A season has games from October to June, with the exceptions below. The season of 2019-20 had two Octobers, and no
    games from April to June.
    """
    year = start_year(season)
    if year == 2019:
        return [
            *("october-2019", "november", "december", "january", "february"),
            *("march", "july", "august", "september", "october-2020"),
        ]
    order = ["october", "november", "december", "january", "february", "march", "april", "may", "june"]
    first = {1998: "february", 1999: "november", 2004: "november", 2005: "november", 2011: "december", 2020: "december"}
    last = ["july"] if year == 2020 else []
    return order[order.index(first.get(year, "october")) :] + last


def first_month_over_at(season: str) -> datetime:
    """The end of the season's first month with games."""
    _, last_day = days_of_month(season, months_of(season)[0])
    return eastern_midnight(last_day + timedelta(days=1))


_MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}


def days_of_month(season: str, month: str) -> tuple[date, date]:
    """The first and last day of a month page: 1 and 30 April 2024 for "2023-24" and "april"."""
    name, _, year_text = month.partition("-")
    number = _MONTH_NUMBERS[name]
    year = int(year_text) if year_text else start_year(season) + (number < 10)
    return date(year, number, 1), date(year, number, calendar.monthrange(year, number)[1])
