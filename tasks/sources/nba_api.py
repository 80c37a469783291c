"""Is an answer of stats.nba.com whole, and which games does a season schedule list?"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from config.models import Check
from tasks.domain.games import Game, GameStatus
from tasks.domain.verdicts import Fault, Verdict, bad, unfinished, whole
from tasks.sources.documents import UnfitBodyError, read_object
from tasks.sources.schedules import moment, settled, tip_off

# The third digit of a game id; an id with another beginning belongs to another league.
_SEASON_TYPES = {
    "001": "preseason",
    "002": "regular",
    "003": "all-star",
    "004": "playoffs",
    "005": "play-in",
    "006": "cup-final",
}
_STATUSES = {1: GameStatus.SCHEDULED, 2: GameStatus.LIVE, 3: GameStatus.FINAL}
_CALLED_OFF = {"P": GameStatus.POSTPONED, "C": GameStatus.CANCELLED, "X": GameStatus.CANCELLED}

# A team plays 5 x 48 = 240 minutes, but the sum in a final can miss some (233 has been seen), and other
# leagues play 200. Below this in both teams of an NBA game, more than two minutes are still to be played;
# overtime and the very end of a game cannot be told from a final, so the schedule has to say that first.
_MINUTES_OF_A_FINAL = 230
_PERIODS = 4


def schedule(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    league = read_object(body)["leagueSchedule"]
    if league["seasonYear"] != fields["season"]:
        return bad(f"the schedule of {league['seasonYear']}, not of {fields['season']}")
    games = list(_games(league, fields["season"]))
    return settled(games) if games else bad("no games in the schedule")


def box_score(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Any v3 box score: they differ in their root name and in the numbers, not in their shape."""
    document = read_object(body)
    roots = [root for name, root in document.items() if name != "meta" and isinstance(root, dict)]
    if len(roots) != 1:
        return bad(f"{len(roots)} root objects, not one box score")
    box = roots[0]
    if box["gameId"] != fields["id"]:
        return bad(f"game {box['gameId']}, not {fields['id']}")
    teams = [box["homeTeam"], box["awayTeam"]]
    if not all(team["players"] for team in teams):
        return bad("a team without players")
    if not all(any(_has_played(player) for player in team["players"]) for team in teams):
        return unfinished("game not final: no player has played")
    played = max(_team_minutes(team) for team in teams)
    if fields["id"].startswith("00") and 0 < played < _MINUTES_OF_A_FINAL:
        return unfinished(f"game not final: {played} of 240 minutes played")
    return whole()


def play_by_play(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    game = read_object(body)["game"]
    if game["gameId"] != fields["id"]:
        return bad(f"game {game['gameId']}, not {fields['id']}")
    if not game["actions"]:
        return bad("no actions", Fault.ABSENT)
    if not _told_to_the_end(game["actions"]):
        return unfinished("play-by-play stops before the end of the game")
    return whole()


def _games(league: dict[str, Any], season: str) -> Iterator[Game]:
    for game in (game for game_date in league["gameDates"] for game in game_date["games"]):
        if not re.fullmatch(r"[0-9]{10}", game["gameId"]):
            raise UnfitBodyError(f"{game['gameId']!r} is not a game id")
        if season_type := _SEASON_TYPES.get(game["gameId"][:3]):
            yield Game(
                id=game["gameId"],
                day=date.fromisoformat(game["gameDateEst"][:10]),
                start=_start(game.get("gameDateTimeUTC")),
                status=_status(game),
                season=season,
                season_type=season_type,
            )


def _start(text: str | None) -> datetime | None:
    return tip_off(moment(text)) if text else None


def _status(game: dict[str, Any]) -> GameStatus:
    status = _STATUSES[game["gameStatus"]]
    if status is GameStatus.FINAL:
        return status
    return _CALLED_OFF.get(game.get("postponedStatus") or "", status)


def _has_played(player: dict[str, Any]) -> bool:
    """Has the player been on the floor? Defensive and match-up box scores count other minutes."""
    numbers = [player.get("statistics") or {}, *(m["statistics"] for m in player.get("matchups") or [])]
    # "30:49", "PT30M49.00S" and "30" all hold a digit other than 0 unless no time was played.
    return any(re.search(r"[1-9]", str(n.get("minutes") or n.get("matchupMinutes") or "")) for n in numbers)


def _team_minutes(team: dict[str, Any]) -> int:
    """Minutes of all players together, from "240:00", "PT240M00.00S" or "240"; 0 where none is given."""
    match = re.match(r"(?:PT)?(\d+)", str((team.get("statistics") or {}).get("minutes") or ""))
    return int(match[1]) if match else 0


def _told_to_the_end(actions: list[dict[str, Any]]) -> bool:
    """Has the last period been played out, without a tie that overtime has yet to break?

    Looked up anywhere, not at the end of the list: corrections can follow the final whistle.
    """
    last = max(action["period"] for action in actions)
    for action in actions:
        if (action["actionType"], action.get("subType"), action["period"]) == ("period", "end", last):
            score = action.get("scoreHome")
            return bool(last >= _PERIODS and not (score and score == action.get("scoreAway")))
    return False
