"""What do ESPN's scoreboard and summary of a game look like at a given moment?"""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from deployments.sandbox.bodies.moments import ANSWERED
from deployments.sandbox.league import Fate, Team
from deployments.sandbox.results import AWAY, HOME, Kind, Line, Play, Snapshot, total
from tasks.domain.expected import seasons
from tasks.domain.expected.games import GameStatus

Json = dict[str, Any]

_STATUS = {
    GameStatus.SCHEDULED: ("1", "STATUS_SCHEDULED", "pre", False, "Scheduled"),
    GameStatus.LIVE: ("2", "STATUS_IN_PROGRESS", "in", False, "In Progress"),
    GameStatus.FINAL: ("3", "STATUS_FINAL", "post", True, "Final"),
    GameStatus.CANCELLED: ("5", "STATUS_CANCELED", "post", False, "Canceled"),
    GameStatus.POSTPONED: ("6", "STATUS_POSTPONED", "post", False, "Postponed"),
}
_SEASON_TYPES = {"preseason": (1, "preseason"), "playoffs": (3, "post-season")}
_ORDINALS = ("1st", "2nd", "3rd", "4th")
_NO_PLAYS_BEFORE = 2001  # games of seasons before this start year have a box score but no plays


def dump(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def error(code: int, message: str) -> bytes:
    return dump({"code": code, "message": message})


def _period_name(period: int) -> str:
    return f"{_ORDINALS[period - 1]} Quarter" if period <= 4 else f"OT{period - 4}"


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}" if seconds >= 60 else f"{seconds}.0"


def _status(shot: Snapshot) -> Json:
    type_id, name, state, completed, description = _STATUS[shot.status]
    detail = description
    if shot.status is GameStatus.SCHEDULED:
        start = shot.game.start.astimezone(seasons.EASTERN)
        detail = f"{start:%a, %B} {start.day} at {start.hour % 12 or 12}:{start:%M %p %Z}"
    elif shot.status is GameStatus.LIVE:
        detail = f"{_clock(shot.left)} - {_period_name(shot.period)}"
    return {
        "clock": float(shot.left if shot.status is GameStatus.LIVE else 0),
        "displayClock": _clock(shot.left if shot.status is GameStatus.LIVE else 0),
        "period": shot.period,
        "type": {
            "id": type_id,
            "name": name,
            "state": state,
            "completed": completed,
            "description": description,
            "detail": detail,
            "shortDetail": detail,
        },
    }


def _season(shot: Snapshot) -> Json:
    type_id, slug = _SEASON_TYPES.get(shot.game.season_type, (2, "regular-season"))
    return {"year": seasons.end_year(shot.game.season), "type": type_id, "slug": slug}


def _team(team: Team) -> Json:
    return {
        "id": str(team.espn_id),
        "uid": f"s:40~l:46~t:{team.espn_id}",
        "location": team.city,
        "name": team.name,
        "abbreviation": team.espn_code,
        "displayName": team.full_name,
        "shortDisplayName": team.name,
        "logos": _logos(f"nba/500/{team.espn_code.lower()}"),
    }


def _logos(name: str) -> list[Json]:
    return [{"href": f"https://a.espncdn.com/i/teamlogos/{name}.png", "rel": ["full"], "lastUpdated": ANSWERED}]


def _competitor(shot: Snapshot, side: int) -> Json:
    competitor: Json = {
        "id": str(shot.team(side).espn_id),
        "type": "team",
        "order": side,
        "homeAway": "away" if side else "home",
        "team": _team(shot.team(side)),
        "score": str(shot.score[side]),
    }
    if shot.started:
        points = shot.points_by_period(side)
        competitor["linescores"] = [
            {"value": n, "displayValue": str(n), "period": period} for period, n in enumerate(points, 1)
        ]
    if shot.final:
        competitor["winner"] = shot.score[side] > shot.score[1 - side]
    return competitor


def _competition(shot: Snapshot) -> Json:
    game = shot.game
    return {
        "id": game.espn_id,
        "uid": f"s:40~l:46~e:{game.espn_id}~c:{game.espn_id}",
        "type": {"abbreviation": "ALLSTAR" if game.season_type == "all-star" else "STD"},
        "date": f"{game.start:%Y-%m-%dT%H:%MZ}",
        "timeValid": True,
        "neutralSite": False,
        "playByPlayAvailable": bool(shot.plays),
        "venue": {"fullName": f"{game.home.city} Arena", "address": {"city": game.home.city}},
        "competitors": [_competitor(shot, HOME), _competitor(shot, AWAY)],
        "status": _status(shot),
        "notes": [{"type": "event", "headline": "If Necessary"}] if game.fate is Fate.NOT_NEEDED else [],
        "broadcasts": [],
    }


def _event(shot: Snapshot) -> Json:
    game = shot.game
    return {
        "id": game.espn_id,
        "uid": f"s:40~l:46~e:{game.espn_id}",
        "date": f"{game.start:%Y-%m-%dT%H:%MZ}",
        "name": f"{game.away.full_name} at {game.home.full_name}",
        "shortName": f"{game.away.espn_code} @ {game.home.espn_code}",
        "season": _season(shot),
        "competitions": [_competition(shot)],
        "status": _status(shot),
    }


def _day_stamp(day: date) -> str:
    """A day of ESPN's calendar: midnight of Pacific Standard Time, written in UTC, also in summer."""
    return f"{day:%Y-%m-%d}T08:00Z"


def scoreboard(season: str, calendar: Sequence[date], shots: Sequence[Snapshot]) -> bytes:
    """The scoreboard of one day in Eastern time; `calendar` lists the season's days with games."""
    first, last = seasons.window(season)
    league = {
        "id": "46",
        "uid": "s:40~l:46",
        "name": "National Basketball Association",
        "abbreviation": "NBA",
        "slug": "nba",
        "season": {"year": seasons.end_year(season), "displayName": season},
        "logos": _logos("leagues/500/nba"),
        "calendarType": "day",
        "calendarIsWhitelist": True,
        "calendarStartDate": _day_stamp(first),
        "calendarEndDate": _day_stamp(last),
        "calendar": [_day_stamp(day) for day in calendar],
    }
    return dump({"leagues": [league], "events": [_event(shot) for shot in shots]})


_LABELS = ("MIN", "PTS", "FG", "3PT", "FT", "REB", "AST", "TO", "STL", "BLK", "OREB", "DREB", "PF", "+/-")


def _stats(line: Line) -> list[str]:
    made = (f"{line.fgm}-{line.fga}", f"{line.tpm}-{line.tpa}", f"{line.ftm}-{line.fta}")
    counts = (line.trb, line.ast, line.tov, line.stl, line.blk, line.orb, line.drb, line.pf)
    return [str(line.seconds // 60), str(line.pts), *made, *map(str, counts), f"{line.plus_minus:+d}"]


def _athlete(line: Line, starter: bool) -> Json:
    player = line.player
    assert player is not None
    played = line.seconds > 0
    return {
        "active": False,
        "athlete": {
            "id": str(player.id),
            "uid": f"s:40~l:46~a:{player.id}",
            "displayName": player.name,
            "shortName": player.short_name,
            "jersey": str(player.jersey),
            "position": {"abbreviation": player.position},
        },
        "starter": starter,
        "didNotPlay": not played,
        "reason": "" if played else "COACH'S DECISION",
        "ejected": False,
        "stats": _stats(line) if played else [],
    }


def _box(shot: Snapshot) -> Json:
    teams, players = [], []
    for side in (AWAY, HOME):
        team, lines = _team(shot.team(side)), shot.lines(side)
        sums = total(lines)
        shown = [
            {"name": "fieldGoals", "displayValue": f"{sums.fgm}-{sums.fga}", "label": "FG"},
            {"name": "totalRebounds", "displayValue": str(sums.trb), "label": "Rebounds"},
            {"name": "assists", "displayValue": str(sums.ast), "label": "Assists"},
        ]
        place = {"displayOrder": 2 - side, "homeAway": "away" if side else "home"}
        teams.append({"team": team, "statistics": shown if shot.started else [], **place})
        athletes = [_athlete(line, number < 5) for number, line in enumerate(lines)]
        totals = ["", *_stats(sums)[1:-1], ""]
        table = {"names": _LABELS, "labels": _LABELS, "athletes": athletes, "totals": totals}
        players.append({"team": team, "statistics": [table], "displayOrder": 2 - side})
    return {"teams": teams, "players": players} if shot.started else {"teams": teams}


def _wording(play: Play) -> tuple[str, str, str]:
    """The id and name of ESPN's play type, and the description of the play."""
    who = play.player.name if play.player else ""
    other = play.other.name if play.other else ""
    match play.kind:
        case Kind.PERIOD_START:
            return "58", "Start Period", f"Start of the {_period_name(play.period)}"
        case Kind.PERIOD_END:
            return "412", "End Period", f"End of the {_period_name(play.period)}"
        case Kind.JUMP_BALL:
            return "615", "Jumpball", f"{who} vs. {other}"
        case Kind.SHOT:
            what = "three point jumper" if play.value == 3 else "two point shot"
            aid = f" ({other} {'assists' if play.good else 'blocks'})" if other else ""
            return "92", "Jump Shot", f"{who} {'makes' if play.good else 'misses'} {what}{aid}"
        case Kind.FREE_THROW:
            return "98", "Free Throw - 1 of 2", f"{who} {'makes' if play.good else 'misses'} free throw"
        case Kind.REBOUND:
            kind = "offensive" if play.good else "defensive"
            return "156" if play.good else "155", f"{kind.title()} Rebound", f"{who} {kind} rebound"
        case Kind.TURNOVER:
            return "62", "Bad Pass Turnover", f"{who} bad pass" + (f" ({other} steals)" if other else "")
        case Kind.FOUL:
            return "44", "Shooting Foul", f"{who} shooting foul"


def _play(shot: Snapshot, play: Play) -> Json:
    type_id, name, text = _wording(play)
    written: Json = {
        "id": f"{shot.game.espn_id}{play.number}",
        "sequenceNumber": str(play.number),
        "type": {"id": type_id, "text": name},
        "text": text,
        "awayScore": play.score[AWAY],
        "homeScore": play.score[HOME],
        "period": {"number": play.period, "displayValue": _period_name(play.period)},
        "clock": {"displayValue": _clock(play.left)},
        "scoringPlay": bool(play.value and play.good),
        "scoreValue": play.value * play.good,
    }
    if play.side is not None and play.player:
        written["team"] = {"id": str(shot.team(play.side).espn_id)}
        players = [player for player in (play.player, play.other) if player]
        written["participants"] = [{"athlete": {"id": str(player.id)}} for player in players]
    return written


def _plays(shot: Snapshot) -> list[Json]:
    plays = [_play(shot, play) for play in shot.plays]
    if shot.final:
        end = dict(plays[-1], id=f"{shot.game.espn_id}9999", sequenceNumber="9999")
        plays.append(end | {"type": {"id": "402", "text": "End Game"}, "text": "End of Game"})
    return plays


def _news() -> Json:
    """The league's news at the time of the response, which is the same for every game."""
    article = {"type": "HeadlineNews", "headline": f"The league at {ANSWERED}", "published": ANSWERED}
    return {"header": "NBA News", "articles": [article | {"lastModified": ANSWERED}]}


def summary(shot: Snapshot) -> bytes:
    form = shot.game.form
    body: Json = {
        "boxscore": _box(shot),
        "format": {"regulation": {"periods": form.periods, "displayName": "Quarter", "clock": float(form.seconds)}},
        "gameInfo": {"venue": {"fullName": f"{shot.game.home.city} Arena"}},
        "header": {
            "id": shot.game.espn_id,
            "uid": f"s:40~l:46~e:{shot.game.espn_id}",
            "season": _season(shot),
            "timeValid": True,
            "competitions": [_competition(shot)],
            "league": {"id": "46", "name": "National Basketball Association", "abbreviation": "NBA"},
        },
        "news": _news(),
        "meta": {"gp_topic": f"gp-basketball-nba-{shot.game.espn_id}", "lastUpdatedAt": ANSWERED},
    }
    if shot.started and seasons.start_year(shot.game.season) >= _NO_PLAYS_BEFORE:
        body["plays"] = _plays(shot)
    return dump(body)
