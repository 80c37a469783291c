"""How does a site answer a path and query at a given moment, if nothing goes wrong?"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

from deployments.sandbox.bodies import basketball_reference, espn, nba_api, refusals
from deployments.sandbox.bodies.moments import stamped
from deployments.sandbox.corrections import Correction, corrected
from deployments.sandbox.league import Fate, Fixture, League
from deployments.sandbox.results import Snapshot, as_of
from tasks.domain.expected import seasons
from tasks.domain.expected.games import GameStatus

PREFIXES = {"espn": "espn", "nba": "nba_api", "br": "basketball_reference"}  # first part of the path → source
SOURCES = tuple(PREFIXES.values())

JSON, HTML = "application/json; charset=utf-8", "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """An HTTP response of a site."""

    status: int
    media_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def known(source: str) -> str:
    """The source itself. Raises ValueError if there is no such source."""
    if source not in SOURCES:
        raise ValueError(f"{source!r} is not a source; there are {', '.join(SOURCES)}")
    return source


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request to a source, and the state of the league that its answer depends on."""

    league: League
    source: str
    now: datetime
    corrections: tuple[Correction, ...]
    query: Mapping[str, str]
    path: re.Match[str]

    def games(self, season: str) -> list[Snapshot]:
        return [as_of(game, self.now) for game in self.league.listed(season, self.now)]

    def game(self, game_id: str) -> Snapshot | None:
        """The game as it stands, or None if it does not exist or is not listed yet."""
        game = self.league.find(game_id)
        if game is None or game.listed_from > self.now:
            return None
        if game.status(self.now) is GameStatus.FINAL:
            game = corrected(game, self.source, self.corrections)
        return as_of(game, self.now)


def _json(body: bytes, status: int = 200) -> Page:
    return Page(status, JSON, body)


def _html(body: bytes, status: int = 200) -> Page:
    return Page(status, HTML, body)


def missing(source: str) -> Page:
    """The site's own answer for a page that does not exist."""
    if source == "basketball_reference":
        return _html(refusals.not_found(), 404)
    return _json(espn.error(404, "Not Found") if source == "espn" else nba_api.failure(), 404)


def _scoreboard(asked: _Asked) -> Page:
    text = asked.query.get("dates", f"{seasons.eastern_day(asked.now):%Y%m%d}")
    day = _day(text)
    if day is None:
        return _json(espn.error(400, "Failed to get events endpoint."), 400)
    season = seasons.season_of(day)
    calendar = sorted({game.day for game in asked.league.listed(season, asked.now)})
    shots = [as_of(game, asked.now) for game in asked.league.on(day, asked.now)]
    return _json(espn.scoreboard(season, calendar, shots))


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date() if len(text) == 8 else None
    except ValueError:
        return None


def _summary(asked: _Asked) -> Page:
    event = asked.query.get("event", "")
    shot = asked.game(event)
    if shot is None or shot.game.espn_id != event:
        return _json(espn.error(404, f"Error invoking GET: events/{event}, status=404"), 404)
    return _json(espn.summary(shot))


def _nba_schedule(asked: _Asked) -> Page:
    season = asked.query.get("Season", "")
    try:
        seasons.start_year(season)
    except ValueError:
        return _json(b'{"Message":"The field Season must match the regular expression."}', 400)
    return _json(nba_api.schedule(season, asked.games(season)))


def _nba_game(asked: _Asked, render: Callable[[Snapshot], bytes]) -> Page:
    game_id = asked.query.get("GameID", "")
    if not re.fullmatch(r"\d{10}", game_id):
        return _json(b'{"Message":"The field GameID must match the regular expression."}', 400)
    shot = asked.game(game_id)
    return _json(render(shot) if shot else nba_api.failure())


def _traditional(asked: _Asked) -> Page:
    return _nba_game(asked, lambda shot: nba_api.box_score(shot, "Traditional"))


def _advanced(asked: _Asked) -> Page:
    return _nba_game(asked, lambda shot: nba_api.box_score(shot, "Advanced"))


def _nba_play_by_play(asked: _Asked) -> Page:
    return _nba_game(asked, nba_api.play_by_play)


def _season_ending(year: str) -> str:
    return seasons.season_name(int(year) - 1)


def _month(asked: _Asked) -> Page:
    """The schedule of a month. The season 2019-20 has two Octobers, which are named with their years."""
    season, month = _season_ending(asked.path["year"]), asked.path["month"]
    # The page drops a cancelled game, and keeps a postponed game with a remark.
    listed = [shot for shot in asked.games(season) if shot.status is not GameStatus.CANCELLED and _counts(shot.game)]
    games = [shot for shot in listed if _page_month(shot.game) == month]
    if not games:
        return missing("basketball_reference")
    return _html(basketball_reference.schedule(season, month.split("-")[0].title(), games))


def _counts(game: Fixture) -> bool:
    """Whether Basketball Reference has pages for the game: it has none for preseason and All-Star games."""
    return game.season_type in ("regular", "playoffs")


def _page_month(game: Fixture) -> str:
    name = f"{game.day:%B}".lower()
    return f"{name}-{game.day.year}" if game.season == "2019-20" and name == "october" else name


def _br_game(asked: _Asked, render: Callable[[Snapshot], bytes]) -> Page:
    shot = asked.game(asked.path["id"])
    # The site has no page for a game that is not over.
    return _html(render(shot)) if shot and shot.final and _counts(shot.game) else missing("basketball_reference")


def _br_box_score(asked: _Asked) -> Page:
    return _br_game(asked, basketball_reference.box_score)


def _br_play_by_play(asked: _Asked) -> Page:
    return _br_game(asked, basketball_reference.play_by_play)


def _season_table(asked: _Asked) -> Page:
    season = _season_ending(asked.path["year"])
    games_played = _games_played(asked.league, season, asked.now)
    if not games_played:
        return missing("basketball_reference")
    return _html(basketball_reference.season_table(season, asked.path["kind"], games_played))


_A_FULL_SEASON = 82  # games of a player who misses none


def _games_played(league: League, season: str, now: datetime) -> int:
    """Games of a player who misses none: the share of the fixtures that are over, times 82.

    So a league with few games a day still has a full season in the end.
    """
    regular = [game for game in league.season(season) if game.season_type == "regular"]
    due = [game for game in regular if game.fate is Fate.PLAYED]
    over = sum(game.status(now) is GameStatus.FINAL for game in due)
    return _A_FULL_SEASON * over // len(due) if due else 0


_ROUTES: dict[str, tuple[tuple[str, Callable[[_Asked], Page]], ...]] = {
    "espn": (("/scoreboard", _scoreboard), ("/summary", _summary)),
    "nba_api": (
        ("/scheduleleaguev2", _nba_schedule),
        ("/boxscoretraditionalv3", _traditional),
        ("/boxscoreadvancedv3", _advanced),
        ("/playbyplayv3", _nba_play_by_play),
    ),
    "basketball_reference": (
        (r"/leagues/NBA_(?P<year>\d{4})_games-(?P<month>[a-z]+(-\d{4})?)\.html", _month),
        (r"/leagues/NBA_(?P<year>\d{4})_(?P<kind>totals|advanced)\.html", _season_table),
        (r"/boxscores/(?P<id>\d{8}0[A-Z]{3})\.html", _br_box_score),
        (r"/boxscores/pbp/(?P<id>\d{8}0[A-Z]{3})\.html", _br_play_by_play),
    ),
}


def answer(
    league: League,
    source: str,
    url: str,
    now: datetime,
    count: int = 0,
    corrections: tuple[Correction, ...] = (),
) -> Page:
    """The page of a source at the moment `now`; `url` is the path and query below the source's base URL.

    Two answers within the same minute differ only in their time stamps, to which `count` adds milliseconds.
    """
    page = _answer(league, source, url, now.replace(second=0, microsecond=0), corrections)
    return replace(page, body=stamped(page.body, now, count))


def has_page(source: str, url: str) -> bool:
    """Does the site of a source have pages at such a path?"""
    path = urlsplit(url).path
    return any(re.fullmatch(pattern, path) for pattern, _ in _ROUTES.get(source, ()))


@lru_cache(maxsize=512)
def _answer(league: League, source: str, url: str, now: datetime, corrections: tuple[Correction, ...]) -> Page:
    parts = urlsplit(url)
    for pattern, page in _ROUTES[source]:
        if match := re.fullmatch(pattern, parts.path):
            try:
                return page(_Asked(league, source, now, corrections, dict(parse_qsl(parts.query)), match))
            except (ValueError, OverflowError):  # an impossible year or date
                return missing(source)
    return missing(source)


_NAMED = re.compile(
    r"\d{8}0[A-Z]{3}|(?<=GameID=)\d{10}|(?<=event=)\d{9}|(?<=dates=)\d{8}|(?<=Season=)\d{4}-\d\d|(?<=NBA_)\d{4}"
)


def mistaken(league: League, url: str) -> str:
    """The same URL for another thing: a neighbouring game, or the day or season before."""
    return _NAMED.sub(lambda match: _something_else(league, match[0]), url, count=1)


def other_kind(url: str) -> str:
    """The URL of the same game's advanced box score."""
    return url.replace("boxscoretraditional", "boxscoreadvanced")


def _something_else(league: League, name: str) -> str:
    if day := _day(name):
        return f"{day - timedelta(days=1):%Y%m%d}"
    if re.fullmatch(r"\d{4}", name):
        return str(int(name) - 1)
    if re.fullmatch(r"\d{4}-\d\d", name):
        return seasons.season_name(int(name[:4]) - 1)
    game = league.find(name)
    return _same_site_id(_neighbour(league, game), name) if game else name


def _neighbour(league: League, game: Fixture) -> Fixture:
    """The game before this one, which is over when this one is. For the first game it is the second."""
    played = [other for other in league.season(game.season) if other.fate is Fate.PLAYED and other != game]
    earlier = [other for other in played if other.start <= game.start]
    return earlier[-1] if earlier else played[0]


def _same_site_id(game: Fixture, like: str) -> str:
    return {9: game.espn_id, 10: game.nba_id, 12: game.br_id}[len(like)]
