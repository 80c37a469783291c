"""What do the v3 endpoints of stats.nba.com answer about a game at a given moment?"""

import json
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from deployments.sandbox.bodies.moments import ANSWERED
from deployments.sandbox.league import Fate, Team
from deployments.sandbox.results import AWAY, HOME, Kind, Line, Play, Snapshot, total
from tasks.domain.expected import seasons
from tasks.domain.expected.games import GameStatus

Json = dict[str, Any]

_STATUS = {GameStatus.LIVE: 2, GameStatus.FINAL: 3}  # every other status is 1
_CALLED_OFF = {GameStatus.POSTPONED: ("P", "PPD"), GameStatus.CANCELLED: ("C", "Cancelled")}
_ORDINALS = ("1st", "2nd", "3rd", "4th")


def _dump(request: str, name: str, content: Json) -> bytes:
    meta = {
        "version": 1,
        "request": f"http://nba.cloud/{request}?Format=json",
        "time": ANSWERED,
    }
    return json.dumps({"meta": meta, name: content}, separators=(",", ":")).encode()


def failure() -> bytes:
    return b'{"Message":"An error has occurred."}'


def _team(team: Team) -> Json:
    return {
        "teamId": team.nba_id,
        "teamCity": team.city,
        "teamName": team.name,
        "teamTricode": team.code,
        "teamSlug": team.name.lower().replace(" ", "-"),
    }


def _status_text(shot: Snapshot) -> str:
    if shot.status in _CALLED_OFF:
        return _CALLED_OFF[shot.status][1]
    if shot.status is GameStatus.LIVE:
        return f"Q{shot.period} {shot.left // 60}:{shot.left % 60:02d}"
    if shot.final:
        return "Final"
    start = shot.game.start.astimezone(seasons.EASTERN)
    return f"{start.hour % 12 or 12}:{start:%M} {'pm' if start.hour >= 12 else 'am'} ET"


def _scheduled_game(shot: Snapshot) -> Json:
    game = shot.game
    eastern = game.start.astimezone(seasons.EASTERN)
    return {
        "gameId": game.nba_id,
        "gameCode": f"{game.day:%Y%m%d}/{game.away.code}{game.home.code}",
        "gameStatus": _STATUS.get(shot.status, 1),
        "gameStatusText": _status_text(shot),
        "gameDateEst": f"{game.day}T00:00:00Z",
        "gameTimeEst": f"1900-01-01T{eastern:%H:%M}:00Z",
        # As on the real site, this is Eastern local time with the suffix Z.
        "gameDateTimeEst": f"{eastern:%Y-%m-%dT%H:%M:00Z}",
        "gameDateTimeUTC": f"{game.start:%Y-%m-%dT%H:%M:00Z}",
        "day": f"{game.day:%a}",
        "monthNum": game.day.month,
        "ifNecessary": game.fate is Fate.NOT_NEEDED,
        "seriesText": "",
        "arenaName": f"{game.home.city} Arena",
        "arenaCity": game.home.city,
        "postponedStatus": _CALLED_OFF.get(shot.status, ("A", ""))[0],
        "gameSubtype": "",
        "homeTeam": {**_team(game.home), "score": shot.score[HOME]},
        "awayTeam": {**_team(game.away), "score": shot.score[AWAY]},
    }


def schedule(season: str, shots: Sequence[Snapshot]) -> bytes:
    """The schedule of a season, with the games in order of their days."""
    days = [
        {"gameDate": f"{day:%m/%d/%Y} 00:00:00", "games": [_scheduled_game(shot) for shot in games]}
        for day, games in groupby(shots, key=lambda shot: shot.game.day)
    ]
    content = {"seasonYear": season, "leagueId": "00", "gameDates": days, "weeks": [], "broadcasterList": []}
    return _dump(f"league/00/{season}/scheduleleaguev2", "leagueSchedule", content)


def _share(part: float, whole: float) -> float:
    return round(part / whole, 3) if whole else 0.0


def _traditional(line: Line) -> Json:
    return {
        "minutes": line.clock if line.seconds else "",
        "fieldGoalsMade": line.fgm,
        "fieldGoalsAttempted": line.fga,
        "fieldGoalsPercentage": _share(line.fgm, line.fga),
        "threePointersMade": line.tpm,
        "threePointersAttempted": line.tpa,
        "threePointersPercentage": _share(line.tpm, line.tpa),
        "freeThrowsMade": line.ftm,
        "freeThrowsAttempted": line.fta,
        "freeThrowsPercentage": _share(line.ftm, line.fta),
        "reboundsOffensive": line.orb,
        "reboundsDefensive": line.drb,
        "reboundsTotal": line.trb,
        "assists": line.ast,
        "steals": line.stl,
        "blocks": line.blk,
        "turnovers": line.tov,
        "foulsPersonal": line.pf,
        "points": line.pts,
        "plusMinusPoints": float(line.plus_minus),
    }


def _advanced(line: Line) -> Json:
    """Advanced statistics with plausible values. They are not exact, because nothing recomputes them."""
    used = line.fga + 0.44 * line.fta + line.tov
    possessions = round(line.seconds / 28.8, 1)
    offensive, defensive = 100 * _share(line.pts, used), 104.0 - line.plus_minus / 2
    ratings = {"OffensiveRating": offensive, "DefensiveRating": defensive, "NetRating": offensive - defensive}
    return {
        "minutes": line.clock if line.seconds else "",
        **{f"estimated{name}": round(value, 1) for name, value in ratings.items()},
        **{name[0].lower() + name[1:]: round(value, 1) for name, value in ratings.items()},
        "assistPercentage": _share(line.ast, line.ast + line.fgm),
        "assistToTurnover": _share(line.ast, line.tov),
        "assistRatio": 100 * _share(line.ast, used + line.ast),
        "offensiveReboundPercentage": _share(line.orb, possessions),
        "defensiveReboundPercentage": _share(line.drb, possessions),
        "reboundPercentage": _share(line.trb, 2 * possessions),
        "turnoverRatio": 100 * _share(line.tov, used),
        "effectiveFieldGoalPercentage": _share(line.fgm + 0.5 * line.tpm, line.fga),
        "trueShootingPercentage": _share(line.pts, 2 * (line.fga + 0.44 * line.fta)),
        "usagePercentage": _share(used, possessions),
        "estimatedUsagePercentage": _share(used, possessions),
        "estimatedPace": 100.0,
        "pace": 100.0,
        "pacePer40": 83.3,
        "possessions": possessions,
        "PIE": _share(line.pts + line.trb + line.ast - line.tov, 180),
    }


_STATISTICS: dict[str, Callable[[Line], Json]] = {"Traditional": _traditional, "Advanced": _advanced}


def _box_player(line: Line, starter: bool, statistics: Json) -> Json:
    player = line.player
    assert player is not None
    return {
        "personId": player.id,
        "firstName": player.first,
        "familyName": player.family,
        "nameI": player.short_name,
        "playerSlug": player.name.lower().replace(" ", "-"),
        "position": player.position if starter else "",
        "comment": "" if line.seconds else "DNP - Coach's Decision",
        "jerseyNum": str(player.jersey),
        "statistics": statistics,
    }


def _box_team(shot: Snapshot, side: int, statistics: Callable[[Line], Json]) -> Json:
    lines = shot.lines(side) if shot.started else []
    players = [_box_player(line, number < 5, statistics(line)) for number, line in enumerate(lines)]
    return {**_team(shot.team(side)), "players": players, "statistics": statistics(total(lines))}


def box_score(shot: Snapshot, measure: str) -> bytes:
    """The box score of a game; `measure` is "Traditional" or "Advanced"."""
    statistics = _STATISTICS[measure]
    content = {
        "gameId": shot.game.nba_id,
        "awayTeamId": shot.game.away.nba_id,
        "homeTeamId": shot.game.home.nba_id,
        "homeTeam": _box_team(shot, HOME, statistics),
        "awayTeam": _box_team(shot, AWAY, statistics),
    }
    return _dump(f"games/{shot.game.nba_id}/boxscore{measure.lower()}", f"boxScore{measure}", content)


def _wording(play: Play) -> tuple[str, str, str]:
    """The action's type, sub-type and description."""
    who = play.player.family if play.player else ""
    match play.kind:
        case Kind.PERIOD_START | Kind.PERIOD_END:
            edge = "start" if play.kind is Kind.PERIOD_START else "end"
            name = f"{_ORDINALS[play.period - 1]} Period" if play.period <= 4 else f"{play.period - 4} OT"
            return "period", edge, f"{edge.title()} of {name}"
        case Kind.JUMP_BALL:
            return "Jump Ball", "", f"Jump Ball {who} vs. {play.other.family if play.other else ''}"
        case Kind.SHOT:
            what = f"{who} {'3PT ' if play.value == 3 else ''}Jump Shot"
            outcome = ("Made Shot", what) if play.good else ("Missed Shot", f"MISS {what}")
            return outcome[0], "Jump Shot", outcome[1]
        case Kind.FREE_THROW:
            text = f"{'' if play.good else 'MISS '}{who} Free Throw"
            return "Free Throw", "Free Throw 1 of 2", text
        case Kind.REBOUND:
            return "Rebound", "Unknown", f"{who} REBOUND"
        case Kind.TURNOVER:
            return "Turnover", "Bad Pass", f"{who} Bad Pass Turnover"
        case Kind.FOUL:
            return "Foul", "Shooting", f"{who} S.FOUL"


def _action(shot: Snapshot, play: Play) -> Json:
    action, sub_type, description = _wording(play)
    team = shot.team(play.side) if play.side is not None else None
    shot_at_goal = play.kind is Kind.SHOT
    scored = bool(play.value and play.good)
    tells_score = scored or team is None
    return {
        "actionNumber": 2 * play.number,
        "clock": f"PT{play.left // 60:02d}M{play.left % 60:02d}.00S",
        "period": play.period,
        "teamId": team.nba_id if team else 0,
        "teamTricode": team.code if team else "",
        "personId": play.player.id if play.player else 0,
        "playerName": play.player.family if play.player else "",
        "playerNameI": play.player.short_name if play.player else "",
        "shotResult": ("Made" if play.good else "Missed") if shot_at_goal else "",
        "isFieldGoal": int(shot_at_goal),
        "scoreHome": str(play.score[HOME]) if tells_score else "",
        "scoreAway": str(play.score[AWAY]) if tells_score else "",
        "pointsTotal": sum(play.score) if scored else 0,
        "location": {HOME: "h", AWAY: "v", None: ""}[play.side],
        "description": description,
        "actionType": action,
        "subType": sub_type,
        "shotValue": play.value if shot_at_goal else 0,
        "actionId": play.number,
    }


def play_by_play(shot: Snapshot) -> bytes:
    actions = [_action(shot, play) for play in shot.plays]
    content = {"gameId": shot.game.nba_id, "videoAvailable": 0, "actions": actions}
    return _dump(f"games/{shot.game.nba_id}/playbyplay", "game", content)
