"""Is an answer of stats.nba.com complete, and which games does a season schedule list?"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import count
from typing import Any

from config.models import Check
from tasks.domain.assess.verdicts import Fault, Verdict, bad, unfinished, whole
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.expected.seasons import start_year
from tasks.sources.documents import UnfitBodyError, read_object
from tasks.sources.hollow import Line, TeamLines, minutes, number, period_without_plays, why_hollow
from tasks.sources.schedules import OddEntryError, is_nil, moment, read_each, tip_off

# The first three digits of a game id. An id with another beginning belongs to another league.
_SEASON_TYPES = {
    "001": "preseason",
    "002": "regular",
    "003": "all-star",
    "004": "playoffs",
    "005": "play-in",
    "006": "cup-final",
}
_STATUSES = {"1": GameStatus.SCHEDULED, "2": GameStatus.LIVE, "3": GameStatus.FINAL}
_CALLED_OFF = {"P": GameStatus.POSTPONED, "C": GameStatus.CANCELLED, "X": GameStatus.CANCELLED}
_CALLED_OFF_TEXT = re.compile(r"(?P<postponed>ppd|postponed)|(?P<cancelled>cancell?ed|forfeit)", re.IGNORECASE)

# Minutes of all players of a team together in a game of four quarters, and in each overtime.
_REGULATION, _OVERTIME = 240, 25
# Minutes are rounded for each player, so that those of a final game can be a few too low (233 of 240 were recorded) or
# too high.
_TOO_FEW, _TOO_MANY = 10, 5
# The shortest games with a clock are preseason games of 4 x 10 minutes and the rookies' games of 2 x 20 minutes.
_SHORTEST = 200
# Since this season there are All-Star games of one period: until a team had 40 points in 2025, 12 minutes in 2026.
_FIRST_MINI_GAMES = 2021
_PERIODS, _HALVES = 4, 2
_QUARTER = (10, 12)  # minutes

# Statistics that only one kind of box score has.
_MARKS = {
    "traditional": {"points", "fieldGoalsMade", "reboundsTotal", "foulsPersonal"},
    "advanced": {"offensiveRating", "defensiveRating", "possessions", "trueShootingPercentage", "PIE"},
}


def schedule(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for the schedule of a season, with its games."""
    league = read_object(body)["leagueSchedule"]
    if league["seasonYear"] != fields["season"]:
        return bad(f"the schedule of {league['seasonYear']}, not of {fields['season']}")
    entries = list(_entries(league["gameDates"]))
    if not entries:
        return bad("no games in the schedule", Fault.ABSENT)
    scored = _gives_scores(entries)
    listing = read_each(entries, lambda entry: _game(entry, fields["season"], scored), lambda entry: entry["gameId"])
    return listing.verdict() if listing.games or listing.odd else bad("no games of the NBA in the schedule")


def box_score(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for any v3 box score. All kinds have the same shape; their root names and statistics differ."""
    document = read_object(body)
    box = _root(document, check.kind)
    if box["gameId"] != fields["id"]:
        return bad(f"game {box['gameId']}, not {fields['id']}")
    teams = [box["homeTeam"] or {}, box["awayTeam"] or {}]
    if not any(team.get("players") for team in teams):
        return bad("no players in the box score", Fault.ABSENT)
    if not all(team.get("players") for team in teams):
        return unfinished("a team without players")
    if check.kind and (other := _other_kind(teams, check.kind)):
        return bad(f"a box score of kind {other}, not {check.kind}")
    sides = [_lines(team) for team in teams]
    if not all(side.players for side in sides):
        return unfinished("game not final: no player has played")
    points = [side.points for side in sides]
    if None not in points and points[0] == points[1]:
        return unfinished(f"game not final: {points[0]}-{points[1]}")
    played = [int(side.minutes) for side in sides if side.minutes]
    if played and not any(_may_be_all(total, fields["id"]) for total in played):
        return unfinished(f"game not final: {max(played)} minutes of a team's players, no whole game's")
    if hollow := next(filter(None, map(why_hollow, sides)), None):
        return unfinished(hollow)
    return whole()


def play_by_play(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for the play-by-play of a game: whole if it reaches the end and no period lacks plays."""
    game = read_object(body)["game"]
    if game["gameId"] != fields["id"]:
        return bad(f"game {game['gameId']}, not {fields['id']}")
    actions = game["actions"]
    if not actions:
        return bad("no actions", Fault.ABSENT)
    last = max(_period(action) for action in actions)
    if not _reaches_end(actions, last, fields["id"]):
        return unfinished("play-by-play stops before the end of the game")
    with_plays = {_period(action) for action in actions if action.get("actionType") not in ("period", "game")}
    if silent := period_without_plays(with_plays, last):
        return unfinished(f"hollow: no play in period {silent} of {last}")
    return whole() if with_plays else unfinished("hollow: no play but the end of the game")


# The schedule of a season.


def _entries(game_dates: list[Any]) -> Iterator[Any]:
    """The entries of all days. A day that cannot be read is returned as one entry, which cannot be read either."""
    for game_date in game_dates:
        games = game_date.get("games") if isinstance(game_date, dict) else None
        yield from games if isinstance(games, list) else [game_date]


def _game(entry: dict[str, Any], season: str, scored: bool) -> Game | None:
    game_id = str(entry["gameId"])
    if not re.fullmatch(r"[0-9]{10}", game_id):
        raise OddEntryError("not a game id")
    season_type = _SEASON_TYPES.get(game_id[:3])
    if season_type is None:
        return None
    return Game(
        id=game_id,
        day=_day(entry["gameDateEst"], season),
        start=_start(entry.get("gameDateTimeUTC")),
        status=_status(entry, scored),
        season=season,
        season_type=season_type,
        if_necessary=entry.get("ifNecessary") is True,
    )


def _day(text: str, season: str) -> date:
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        raise OddEntryError(f"gameDateEst {text[:20]!r}") from None
    year = start_year(season)
    if not date(year, 7, 1) <= day < date(year + 1, 12, 1):
        raise OddEntryError(f"{day} is no day of {season}")
    return day


def _start(text: object) -> datetime | None:
    """The start of a game; None if it is not given or cannot be read."""
    try:
        return tip_off(moment(str(text))) if text else None
    except (ValueError, OverflowError):
        return None


def _status(entry: dict[str, Any], scored: bool) -> GameStatus:
    status = _STATUSES.get(str(entry["gameStatus"]))
    if status is None:
        raise OddEntryError(f"gameStatus {entry['gameStatus']}")
    called_off = _CALLED_OFF_TEXT.search(str(entry.get("gameStatusText") or ""))
    if status is GameStatus.FINAL:
        was_not_played = (called_off and called_off["cancelled"]) or (scored and _is_nil_final(entry))
        return GameStatus.CANCELLED if was_not_played else status
    if called_off:
        return GameStatus.POSTPONED if called_off["postponed"] else GameStatus.CANCELLED
    return _CALLED_OFF.get(entry.get("postponedStatus") or "", status)


def _gives_scores(entries: list[Any]) -> bool:
    """Does the schedule give scores? If all of several final games are 0-0, it does not."""
    nil = [_is_nil_final(entry) for entry in entries if isinstance(entry, dict) and str(entry.get("gameStatus")) == "3"]
    return len(nil) == 1 or not all(nil)


def _is_nil_final(entry: dict[str, Any]) -> bool:
    teams = [entry.get(side) for side in ("homeTeam", "awayTeam")]
    return is_nil(*(team.get("score") if isinstance(team, dict) else None for team in teams))


# The box score of a game.


def _root(document: dict[str, Any], kind: str) -> dict[str, Any]:
    """The one object in the document, which is named after the kind of box score.

    Raises UnfitBodyError if there is not exactly one, or if it is named after another kind than `kind`.
    """
    roots = {name: root for name, root in document.items() if name != "meta" and isinstance(root, dict)}
    if len(roots) != 1:
        raise UnfitBodyError(f"{len(roots)} root objects, not one box score")
    [(name, root)] = roots.items()
    if kind and name.lower() != f"boxscore{kind}":
        raise UnfitBodyError(f"{name}, not a box score of kind {kind}")
    return root


def _other_kind(teams: list[dict[str, Any]], kind: str) -> str | None:
    """The kind of box score to which the players' statistics belong, if that is not `kind`; else None."""
    named = {name for team in teams for player in team["players"] for name in player.get("statistics") or {}}
    if named & _MARKS.get(kind, named):
        return None
    return next((other for other, marks in _MARKS.items() if other != kind and named & marks), None)


def _lines(team: dict[str, Any]) -> TeamLines:
    total = team.get("statistics") or {}
    players = [player for player in team["players"] if _has_played(player)]
    lines = [_line(player.get("statistics") or {}) for player in players]
    together = sum(line.minutes or 0 for line in lines)
    return TeamLines(lines, number(total.get("points")), minutes(total.get("minutes")) or together)


def _line(statistics: dict[str, Any]) -> Line:
    return Line(number(statistics.get("points")), minutes(statistics.get("minutes")))


def _has_played(player: dict[str, Any]) -> bool:
    """Has the player been on the floor? In match-up box scores the minutes are those of the match-ups."""
    numbers = [player.get("statistics") or {}, *(m["statistics"] for m in player.get("matchups") or [])]
    # "30:49", "PT30M49.00S" and "30" all hold a digit other than 0 unless no time was played.
    return any(re.search(r"[1-9]", str(n.get("minutes") or n.get("matchupMinutes") or "")) for n in numbers)


def _may_be_all(played: int, game_id: str) -> bool:
    """Can `played` be the minutes of a team's players in the whole game?

    A box score has no status, but its minutes show whether the game is in progress, except during its last two minutes.
    They do not show it for an All-Star mini-game, which can end when a team reaches a number of points.
    """
    if not game_id.startswith("00"):
        return True  # a game of another league
    if game_id[2] in "13":
        return _has_mini_games(game_id) or played >= _SHORTEST - _TOO_FEW
    totals = count(_REGULATION, _OVERTIME)
    total = next(total for total in totals if played <= total + _TOO_MANY)
    return played >= total - _TOO_FEW


def _has_mini_games(game_id: str) -> bool:
    year = int(game_id[3:5])
    return game_id[2] == "3" and _FIRST_MINI_GAMES % 100 <= year < 46  # 46 and more mean 1946 to 1999


# The play-by-play of a game.


def _reaches_end(actions: list[dict[str, Any]], last: int, game_id: str) -> bool:
    """Do the actions reach the end of the game: of the last period, without a tie that overtime has to break?

    The action that ends the game may be anywhere in the list, because a correction, or the free throw that decides the
    game, can follow it.
    """
    endings = {(action.get("actionType"), _period(action)) for action in actions if action.get("subType") == "end"}
    if any(kind == "game" for kind, _ in endings):
        return True
    if ("period", last) not in endings or last < _least_periods(actions, game_id):
        return False
    home, away = max((_score(action) for action in actions if _period(action) == last), key=sum)
    return home != away or home == 0  # 0-0 means that the document gives no scores


def _period(action: dict[str, Any]) -> int:
    return number(action.get("period")) or 0


def _score(action: dict[str, Any]) -> tuple[int, int]:
    return number(action.get("scoreHome")) or 0, number(action.get("scoreAway")) or 0


def _least_periods(actions: list[dict[str, Any]], game_id: str) -> int:
    """The smallest number of periods that the game can have, by the kind of game and its clock."""
    if game_id[2] != "3":
        return _PERIODS
    if _has_mini_games(game_id):
        return 1
    clock = max((minutes(action.get("clock")) or 0 for action in actions if _period(action) == 1), default=0)
    return _PERIODS if _QUARTER[0] <= clock <= _QUARTER[1] else _HALVES
