"""Which games does the fictional league play, and which ids do they have at each site?

The teams, the calendar and the formats of the ids are real; the fixtures are random. The same seed draws the same
fixtures in every process.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from random import Random

from tasks.domain.expected import seasons
from tasks.domain.expected.games import GameStatus

FIRST_START_YEAR = 1996
GAME_LASTS = timedelta(hours=2, minutes=30)
ANNOUNCED_BEFORE = timedelta(hours=8)  # time before its start at which a game is called off


@dataclass(frozen=True, slots=True)
class Team:
    """A team, with its id and abbreviation at each site."""

    code: str
    city: str
    name: str
    nba_id: int
    espn_id: int
    espn_code: str
    br_code: str

    @property
    def full_name(self) -> str:
        return f"{self.city} {self.name}"


def _team(code: str, city: str, name: str, nba: int, espn: int, espn_code: str = "", br_code: str = "") -> Team:
    return Team(code, city, name, 1610612700 + nba, espn, espn_code or code, br_code or code)


TEAMS = (
    _team("ATL", "Atlanta", "Hawks", 37, 1),
    _team("BKN", "Brooklyn", "Nets", 51, 17, br_code="BRK"),
    _team("BOS", "Boston", "Celtics", 38, 2),
    _team("CHA", "Charlotte", "Hornets", 66, 30, br_code="CHO"),
    _team("CHI", "Chicago", "Bulls", 41, 4),
    _team("CLE", "Cleveland", "Cavaliers", 39, 5),
    _team("DAL", "Dallas", "Mavericks", 42, 6),
    _team("DEN", "Denver", "Nuggets", 43, 7),
    _team("DET", "Detroit", "Pistons", 65, 8),
    _team("GSW", "Golden State", "Warriors", 44, 9, espn_code="GS"),
    _team("HOU", "Houston", "Rockets", 45, 10),
    _team("IND", "Indiana", "Pacers", 54, 11),
    _team("LAC", "Los Angeles", "Clippers", 46, 12),
    _team("LAL", "Los Angeles", "Lakers", 47, 13),
    _team("MEM", "Memphis", "Grizzlies", 63, 29),
    _team("MIA", "Miami", "Heat", 48, 14),
    _team("MIL", "Milwaukee", "Bucks", 49, 15),
    _team("MIN", "Minnesota", "Timberwolves", 50, 16),
    _team("NOP", "New Orleans", "Pelicans", 40, 3, espn_code="NO"),
    _team("NYK", "New York", "Knicks", 52, 18, espn_code="NY"),
    _team("OKC", "Oklahoma City", "Thunder", 60, 25),
    _team("ORL", "Orlando", "Magic", 53, 19),
    _team("PHI", "Philadelphia", "76ers", 55, 20),
    _team("PHX", "Phoenix", "Suns", 56, 21, br_code="PHO"),
    _team("POR", "Portland", "Trail Blazers", 57, 22),
    _team("SAC", "Sacramento", "Kings", 58, 23),
    _team("SAS", "San Antonio", "Spurs", 59, 24, espn_code="SA"),
    _team("TOR", "Toronto", "Raptors", 61, 28),
    _team("UTA", "Utah", "Jazz", 62, 26, espn_code="UTAH"),
    _team("WAS", "Washington", "Wizards", 64, 27, espn_code="WSH"),
)


class Fate(StrEnum):
    """What becomes of a fixture in the end."""

    PLAYED = "played"
    POSTPONED = "postponed"
    CANCELLED = "cancelled"
    NOT_NEEDED = "not needed"  # its series was decided before; the sites list it as scheduled for ever


@dataclass(frozen=True, slots=True)
class Form:
    """Length of a game: `periods` periods of `seconds` seconds, or until a team has `target` points."""

    periods: int = 4
    seconds: int = 720
    target: int | None = None
    overtimes: int = 0  # the smallest number of overtimes


@dataclass(frozen=True, slots=True)
class Fixture:
    """One game, with its id at each of the three sites."""

    season: str
    season_type: str  # regular or playoffs; in a league with odd games also preseason or all-star
    day: date
    start: datetime
    home: Team
    away: Team
    espn_id: str
    nba_id: str
    br_id: str
    listed_from: datetime
    fate: Fate
    luck: str  # seed of the events in the game
    corrections: int = 0  # number of rebounds that are credited to another player after the game
    form: Form = Form()

    def status(self, now: datetime) -> GameStatus:
        """The game's status at the moment `now`."""
        if self.fate in (Fate.POSTPONED, Fate.CANCELLED) and now >= self.start - ANNOUNCED_BEFORE:
            return GameStatus(self.fate)
        if now < self.start or self.fate is Fate.NOT_NEEDED:
            return GameStatus.SCHEDULED
        return GameStatus.LIVE if now < self.start + GAME_LASTS else GameStatus.FINAL


@dataclass(frozen=True, slots=True)
class _Draw:
    """A fixture that has no ids yet."""

    day: date
    start: datetime
    home: Team
    away: Team
    listed_from: datetime
    fate: Fate = Fate.PLAYED
    series: str = ""  # last digits of a play-off game's NBA id: round, series and game


@dataclass(frozen=True, slots=True)
class League:
    """The fixtures of every season since 1996-97."""

    seed: int = 0
    games_per_day: int = 3  # average on days with games
    odd_games: bool = False  # adds games of other lengths, and one that is listed but not played

    def season(self, season: str) -> tuple[Fixture, ...]:
        """All fixtures of a season in order of start, including those that are not listed yet."""
        return _season(self, season)

    def listed(self, season: str, now: datetime) -> list[Fixture]:
        """The fixtures of a season that the sites list at the moment `now`."""
        return [game for game in self.season(season) if game.listed_from <= now]

    def on(self, day: date, now: datetime) -> list[Fixture]:
        """The fixtures of one day, in Eastern time, that the sites list at the moment `now`."""
        return [game for game in self.listed(seasons.season_of(day), now) if game.day == day]

    def find(self, game_id: str) -> Fixture | None:
        """The game that has this id at one of the sites."""
        season = season_of_id(game_id)
        return _by_id(self, season).get(game_id) if season else None


def season_of_id(game_id: str) -> str | None:
    """The season that a game's id at any of the sites belongs to; None if it is not the id of a game."""
    if re.fullmatch(r"40[01]\d{6}", game_id):
        return seasons.season_name(2012 + int(game_id[3:5]))
    if re.fullmatch(r"00\d{8}", game_id):
        year = int(game_id[3:5])
        return seasons.season_name((2000 if year < 46 else 1900) + year)
    try:
        if re.fullmatch(r"\d{9}", game_id):
            day = date(1980 + int(game_id[:2]), int(game_id[2:4]), int(game_id[4:6]))
        elif re.fullmatch(r"\d{8}0[A-Z]{3}", game_id):
            day = datetime.strptime(game_id[:8], "%Y%m%d").date()
        else:
            return None
    except ValueError:
        return None
    return seasons.season_of(day) if day.year >= FIRST_START_YEAR else None


# First and last day of the regular season and of the play-offs, as month and day, by the season's first year.
_UNUSUAL = {
    1998: ((2, 5), (5, 5), (5, 8), (6, 25)),
    2011: ((12, 25), (4, 26), (4, 28), (6, 21)),
    2019: ((10, 22), (8, 14), (8, 17), (10, 11)),
    2020: ((12, 22), (5, 16), (5, 22), (7, 20)),
}
_USUAL = ((10, 22), (4, 14), (4, 18), (6, 14))
_SHUTDOWN = (date(2020, 3, 12), date(2020, 7, 29))


def _calendar(season: str) -> tuple[date, date, date, date]:
    start = seasons.start_year(season)
    first, last, playoffs_first, playoffs_last = _UNUSUAL.get(start, _USUAL)
    end = start + 1
    return (
        date(start if first[0] >= 9 else end, *first),
        date(end, *last),
        date(end, *playoffs_first),
        date(end, *playoffs_last),
    )


def _all_star_break(end_year: int) -> tuple[date, date]:
    """The days from the Thursday before the third Sunday of February to the Wednesday after it."""
    first = date(end_year, 2, 1)
    third_sunday = first + timedelta(days=(6 - first.weekday()) % 7 + 14)
    return third_sunday - timedelta(days=3), third_sunday + timedelta(days=3)


def _playing_days(season: str, rng: Random) -> Iterator[date]:
    day, last, _, _ = _calendar(season)
    break_first, break_last = _all_star_break(seasons.end_year(season))
    while day <= last:
        shut = _SHUTDOWN[0] <= day < _SHUTDOWN[1]
        off = break_first <= day <= break_last or (day.month, day.day) == (12, 24) or rng.random() < 0.07
        if not shut and not off:
            yield day
        day += timedelta(days=1)


_EVENING = (time(19, 0), time(19, 0), time(19, 30), time(20, 0), time(20, 30), time(22, 0), time(22, 30))
_AFTERNOON = (time(13, 0), time(15, 30), time(18, 0))


def _start(day: date, rng: Random) -> datetime:
    times = _EVENING + _AFTERNOON if day.weekday() >= 5 else _EVENING
    return datetime.combine(day, rng.choice(times), seasons.EASTERN).astimezone(UTC)


def _regular(season: str, games_per_day: int, rng: Random) -> list[_Draw]:
    published = datetime(seasons.start_year(season), 8, 15, tzinfo=UTC)
    draws = []
    for day in list(_playing_days(season, rng)):
        count = min(max(1, games_per_day + rng.choice((-1, 0, 0, 1))), len(TEAMS) // 2)
        teams = rng.sample(TEAMS, 2 * count)
        pairs = zip(teams[::2], teams[1::2], strict=True)
        draws += [_Draw(day, _start(day, rng), home, away, published) for home, away in pairs]
    return draws


def _call_off(draws: list[_Draw], rng: Random) -> list[_Draw]:
    """Postpones three games, cancels one, and appends the make-up games.

    A postponed game stays on its old day, and its make-up is a game of its own. The real NBA moves the game and keeps
    its id, but a site that lists both days is harder to read.
    """
    early = len(draws) * 3 // 4  # only early games, so that days are left for the make-up games
    *postponed, cancelled = rng.sample(range(early), 4)
    draws[cancelled] = _with_fate(draws[cancelled], Fate.CANCELLED)
    for index in postponed:
        draws[index] = _with_fate(draws[index], Fate.POSTPONED)
        if make_up := _make_up(draws[index], draws, rng):
            draws.append(make_up)
    return draws


def _with_fate(draw: _Draw, fate: Fate) -> _Draw:
    return _Draw(draw.day, draw.start, draw.home, draw.away, draw.listed_from, fate)


def _make_up(off: _Draw, draws: list[_Draw], rng: Random) -> _Draw | None:
    busy = {draw.day for draw in draws if {draw.home, draw.away} & {off.home, off.away}}
    free = sorted({draw.day for draw in draws if draw.day >= off.day + timedelta(days=14)} - busy)
    if not free:
        return None
    return _Draw(free[0], _start(free[0], rng), off.home, off.away, off.start - ANNOUNCED_BEFORE)


def _playoffs(season: str, rng: Random) -> list[_Draw]:
    """Four rounds, three of two series and one of a single series. Each series has five games."""
    _, _, first, last = _calendar(season)
    teams = rng.sample(TEAMS, 4)
    length = (last - first).days // 4
    draws = []
    for stage in range(4):
        opens = first + timedelta(days=stage * length)
        listed_from = datetime.combine(opens - timedelta(days=2), time(12), UTC)
        for series in range(1 if stage == 3 else 2):
            pair = teams[2 * series : 2 * series + 2]
            for game in range(5):
                day = opens + timedelta(days=round(game * (length - 2) / 4))
                home, away = pair if game in (0, 1, 4) else pair[::-1]
                ending = f"{stage + 1}{series}{game + 1}"
                draws.append(_Draw(day, _start(day, rng), home, away, listed_from, series=ending))
        rng.shuffle(teams)
    return draws


@lru_cache(maxsize=64)
def _season(league: League, season: str) -> tuple[Fixture, ...]:
    if seasons.start_year(season) < FIRST_START_YEAR:
        return ()
    rng = Random(f"{league.seed}:{season}")
    regular = _call_off(_regular(season, league.games_per_day, rng), rng)
    draws = regular + _playoffs(season, rng)
    games = [_fixture(season, serial, draw, league.seed) for serial, draw in enumerate(draws, 1)]
    if league.odd_games:
        games += list(_odd_games(season, games, rng))
    return tuple(sorted(games, key=lambda game: (game.start, game.nba_id)))


def _fixture(season: str, serial: int, draw: _Draw, seed: int) -> Fixture:
    year = seasons.start_year(season)
    if year < 2012:
        espn_id = f"{draw.day.year - 1980:02d}{draw.day:%m%d}{draw.home.espn_id:03d}"
    else:
        espn_id = f"401{year - 2012:02d}{serial:04d}"
    nba_id = f"004{year % 100:02d}00{draw.series}" if draw.series else f"002{year % 100:02d}{serial:05d}"
    return Fixture(
        season=season,
        season_type="playoffs" if draw.series else "regular",
        day=draw.day,
        start=draw.start,
        home=draw.home,
        away=draw.away,
        espn_id=espn_id,
        nba_id=nba_id,
        br_id=f"{draw.day:%Y%m%d}0{draw.home.br_code}",
        listed_from=draw.listed_from,
        fate=draw.fate,
        luck=f"{seed}:{season}:{serial}",
    )


_QUARTERS_OF_10, _QUARTERS_OF_11 = Form(seconds=600), Form(seconds=660)
_HALVES = Form(periods=2, seconds=1200)
_TO_40 = Form(periods=1, seconds=1800, target=40)


def _odd_games(season: str, games: list[Fixture], rng: Random) -> Iterator[Fixture]:
    """Short preseason games, a game with four overtimes, the All-Star weekend, and a game that is not needed."""
    first, *_ = _calendar(season)
    year = seasons.start_year(season)
    thursday, wednesday = _all_star_break(year + 1)
    friday, sunday = thursday + timedelta(days=1), wednesday - timedelta(days=3)
    yield _odd_game(season, first - timedelta(days=10), 1, "001", "preseason", _QUARTERS_OF_10, rng)
    yield _odd_game(season, first - timedelta(days=9), 2, "001", "preseason", _QUARTERS_OF_11, rng)
    if year != 2020:  # in that season the break was not a weekend in February
        yield _odd_game(season, thursday, 1231, "002", "regular", Form(overtimes=4), rng)
        yield _odd_game(season, friday, 9, "003", "all-star", _HALVES if year < 2021 else _TO_40, rng)
        for serial in range(1, 2 if year < 2024 else 4):
            yield _odd_game(season, sunday, serial, "003", "all-star", Form() if year < 2024 else _TO_40, rng)
    last = next(game for game in games if game.nba_id == f"004{year % 100:02d}00105")
    day = last.day + timedelta(days=2)
    numbered = replace(_odd_game(season, day, 106, "004", "playoffs", Form(), rng), home=last.away, away=last.home)
    yield replace(numbered, listed_from=last.listed_from, fate=Fate.NOT_NEEDED)


def _odd_game(season: str, day: date, serial: int, prefix: str, season_type: str, form: Form, rng: Random) -> Fixture:
    year = seasons.start_year(season)
    home, away = rng.sample(TEAMS, 2)
    number = 9000 + 200 * int(prefix[2]) + serial % 100
    return Fixture(
        season=season,
        season_type=season_type,
        day=day,
        start=_start(day, rng),
        home=home,
        away=away,
        espn_id=f"401{year - 2012:02d}{number:04d}"
        if year >= 2012
        else f"{day.year - 1980:02d}{day:%m%d}{900 + serial % 90}",
        nba_id=f"{prefix}{year % 100:02d}{serial:05d}",
        br_id=f"{day:%Y%m%d}0{home.br_code}",
        listed_from=datetime(year, 8, 15, tzinfo=UTC),
        fate=Fate.PLAYED,
        luck=f"{season}:{prefix}:{serial}",
        form=form,
    )


@lru_cache(maxsize=64)
def _by_id(league: League, season: str) -> dict[str, Fixture]:
    games = league.season(season)
    return {game_id: game for game in games for game_id in (game.espn_id, game.nba_id, game.br_id)}
