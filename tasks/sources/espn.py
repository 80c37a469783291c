"""Is an answer of ESPN's site API complete, and which games does a scoreboard list?"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from config.models import Check
from tasks.domain.assess.verdicts import Fault, Verdict, bad, unfinished, whole
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.expected.seasons import eastern_day, season_name, season_of, start_year
from tasks.sources.documents import read_object
from tasks.sources.hollow import Line, TeamLines, minutes, number, period_without_plays, why_hollow
from tasks.sources.schedules import OddEntryError, is_nil, moment, read_each, tip_off

# ESPN silently cuts a list to 25 events for some forms of the request. No day has that many games.
_SILENT_CUT = 25
# A game that begins at night belongs to the scoreboard of the day before, such as one in Australia at 05:30 Eastern.
_OVERNIGHT = timedelta(hours=6)
_SEASON_TYPES = {1: "preseason", 2: "regular", 3: "playoffs", 5: "play-in"}
_CALLED_OFF = {
    "STATUS_POSTPONED": GameStatus.POSTPONED,
    "STATUS_CANCELED": GameStatus.CANCELLED,
    "STATUS_CANCELLED": GameStatus.CANCELLED,
    # Statuses of games that were not played, or whose result does not count.
    "STATUS_FORFEIT": GameStatus.CANCELLED,
    "STATUS_UNCONTESTED": GameStatus.CANCELLED,
    "STATUS_ABANDONED": GameStatus.CANCELLED,
}
_STATES = {"pre": "scheduled", "in": "in progress"}
_END_OF_GAME, _END_OF_PERIOD = "402", "412"  # types of plays
# Final games of seasons that end before this year often have a box score but no plays.
_FIRST_YEAR_WITH_PLAYS = 2003


def scoreboard(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for the scoreboard of one day in US Eastern time.

    Without events it is whole, because the day has no games, unless its calendar of the season says that there are.
    """
    document = read_object(body)
    events = document["events"]
    if len(events) == _SILENT_CUT:
        return bad(f"exactly {_SILENT_CUT} events: a list that ESPN cut")
    day = date.fromisoformat(fields["date"])
    days = _days_with_games(document)
    if not events and day in days:
        return bad("no events, on a day that has games in its own calendar", Fault.ABSENT)
    listing = read_each(events, lambda event: _game(event, day), lambda event: event["id"])
    here = [game for game in listing.games if game.day == day]
    if listing.games and not here and not (_all_called_off(listing.games) or _is_day_off(day, days)):
        return bad(f"the scoreboard of {listing.games[0].day}, not of {day}")
    return listing.only(here).verdict()


def summary(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for the summary of one game: whole if the game is final, with all players and all plays."""
    document = read_object(body)
    header = document.get("header")
    if not header:
        return bad("no game header")
    if str(header["id"]) != fields["id"]:
        return bad(f"game {header['id']}, not {fields['id']}")
    status = header["competitions"][0]["status"]["type"]
    if not _is_final(status):
        return unfinished(f"game not final: {_why_not_final(status)}")
    teams, plays = _teams(document), document.get("plays") or []
    if len(teams) != 2:
        if not teams and not plays:
            return bad("final, with neither players nor plays", Fault.ABSENT)
        return unfinished(f"{len(teams)} of 2 teams have players in the box score")
    if hollow := next(filter(None, map(why_hollow, teams)), None):
        return unfinished(hollow)
    if not plays:
        old = int(fields["end_year"]) < _FIRST_YEAR_WITH_PLAYS
        return whole() if old else unfinished("final, but without plays")
    return _check_plays(plays, header["competitions"][0])


def _days_with_games(document: dict[str, Any]) -> set[date]:
    """The days of the season's calendar that have games; empty if the calendar is not a list of days."""
    days = (day for league in document.get("leagues") or [] for day in league.get("calendar") or [])
    return {eastern_day(moment(day)) for day in days if isinstance(day, str)}


def _is_day_off(day: date, days: set[date]) -> bool:
    """Is the day within the season's calendar, but without games?

    If so, the scoreboard may list games of other days, which were moved from this day.
    """
    return bool(days) and min(days) <= day <= max(days) and day not in days


def _all_called_off(games: Iterable[Game]) -> bool:
    """Are all games postponed or cancelled? A postponed game may stay, with its new date, on its old scoreboard."""
    return all(game.status in _CALLED_OFF.values() for game in games)


def _game(event: dict[str, Any], day: date) -> Game:
    """The game of an event. Its day is that of the scoreboard if the game belongs there, and else that of its start."""
    if not re.fullmatch(r"[0-9]{6,12}", str(event["id"])):
        raise OddEntryError("not an event id")
    start = _moment(event["date"])
    own_day = day if day in (eastern_day(start), eastern_day(start - _OVERNIGHT)) else eastern_day(start)
    return Game(
        id=str(event["id"]),
        day=own_day,
        start=tip_off(start),
        status=_status(event),
        season=_season(event, own_day),
        season_type=_season_type(event),
        if_necessary=_is_if_necessary(event),
    )


def _moment(text: str) -> datetime:
    try:
        return moment(text)
    except (ValueError, OverflowError):
        raise OddEntryError(f"date {text[:25]!r}") from None


def _season(event: dict[str, Any], day: date) -> str:
    """The season that the event names, if it is at most a year off; else the season that its day lies in."""
    start = start_year(season_of(day))
    year = number((event.get("season") or {}).get("year"))
    return season_name(year - 1 if year is not None and abs(year - 1 - start) <= 1 else start)


def _competition(event: dict[str, Any]) -> dict[str, Any]:
    competition: dict[str, Any] = (event.get("competitions") or [{}])[0]
    return competition


def _status(event: dict[str, Any]) -> GameStatus:
    status = (event.get("status") or _competition(event)["status"])["type"]
    if called_off := _CALLED_OFF.get(status.get("name")):
        return called_off
    if status["state"] not in ("pre", "in", "post"):
        raise OddEntryError(f"state {status['state']}")
    if _is_final(status):
        scores = [competitor.get("score") for competitor in _competition(event).get("competitors") or []]
        return GameStatus.CANCELLED if is_nil(*scores) else GameStatus.FINAL
    # A suspended game has the state "post" but is not completed. It counts as live, because it will go on.
    return GameStatus.SCHEDULED if status["state"] == "pre" else GameStatus.LIVE


def _is_final(status: dict[str, Any]) -> bool:
    return status["state"] == "post" and status.get("completed") is True and status.get("name") not in _CALLED_OFF


def _why_not_final(status: dict[str, Any]) -> str:
    """The words of a status that show that it is not final."""
    name = str(status["name"])
    if status["state"] != "post":
        return _STATES.get(status["state"], name)
    return name if name in _CALLED_OFF else f"{name}, but completed is {json.dumps(status.get('completed'))}"


def _season_type(event: dict[str, Any]) -> str:
    if (_competition(event).get("type") or {}).get("abbreviation") == "ALLSTAR":
        return "all-star"
    season_type = number((event.get("season") or {}).get("type"))
    return _SEASON_TYPES.get(season_type or 2, "regular")


def _is_if_necessary(event: dict[str, Any]) -> bool:
    notes = _competition(event).get("notes") or []
    return any("if necessary" in str(note).lower() for note in notes)


def _teams(document: dict[str, Any]) -> list[TeamLines]:
    """The teams that have players in the box score, each with its score from the header, or else from its totals."""
    competitors = document["header"]["competitions"][0].get("competitors") or []
    scores = {str((c.get("team") or {}).get("id")): number(c.get("score")) for c in competitors}
    teams = []
    for team in (document.get("boxscore") or {}).get("players") or []:
        groups = [group for group in team.get("statistics") or [] if group.get("athletes")]
        if groups:
            lines = [line for group in groups for line in _lines(group)]
            total = _line(groups[0], groups[0].get("totals") or []) if len(groups) == 1 else Line()
            score = scores.get(str((team.get("team") or {}).get("id")))
            teams.append(TeamLines(lines, total.points if score is None else score, total.minutes))
    return teams


def _lines(group: dict[str, Any]) -> Iterator[Line]:
    """The lines of the players who have played: those with any figure other than 0."""
    for athlete in group["athletes"]:
        figures = athlete.get("stats") or []
        if not athlete.get("didNotPlay") and any(re.search(r"[1-9]", str(figure)) for figure in figures):
            yield _line(group, figures)


def _line(group: dict[str, Any], figures: list[Any]) -> Line:
    """One line of figures, read by the names of the columns, because ESPN has changed their order."""
    named = {
        str(name).lower(): figure
        for name, figure in zip(group.get("labels") or group.get("names") or [], figures, strict=False)
    }
    return Line(number(named.get("pts")), minutes(named.get("min")))


def _check_plays(plays: list[dict[str, Any]], competition: dict[str, Any]) -> Verdict:
    """The verdict for the plays of a final game: whole if they reach its end and no period lacks plays.

    The play that ends the game may be anywhere in the list, because corrections can follow it. It can be listed twice.
    """
    by_period = [(number((play.get("period") or {}).get("number")) or 0, play) for play in plays]
    last = max(period for period, _ in by_period)
    ends = [play for period, play in by_period if period == last and _type(play) == _END_OF_PERIOD]
    if _END_OF_GAME not in map(_type, plays) and not _is_played_out(ends, competition):
        return unfinished("plays stop before the end of the game")
    real = [(period, play) for period, play in by_period if not _is_edge(play)]
    if not real:
        return unfinished("hollow: no play but the end of the game")
    with_plays = {period for period, _ in real}
    silent = period_without_plays(with_plays, last)
    if silent and (silent < max(with_plays) or _points(play for _, play in real) < _points(plays)):
        return unfinished(f"hollow: no play in period {silent} of {last}")
    return whole()


def _type(play: dict[str, Any]) -> str:
    return str((play.get("type") or {}).get("id"))


def _is_edge(play: dict[str, Any]) -> bool:
    """Does this play only mark the beginning or end of a period or of the game?"""
    text = str((play.get("type") or {}).get("text"))
    return _type(play) in (_END_OF_GAME, _END_OF_PERIOD) or text.lower().startswith(("start ", "end "))


def _points(plays: Iterable[dict[str, Any]]) -> int:
    """The points of both teams together at the end of these plays; 0 if the plays do not give the score."""
    return max((number(play.get("homeScore")) or 0) + (number(play.get("awayScore")) or 0) for play in plays)


def _is_played_out(ends: list[dict[str, Any]], competition: dict[str, Any]) -> bool:
    """Does the last period end with the final score of the game? Some games have no play for the end of the game."""
    scores = {(number(play.get("homeScore")), number(play.get("awayScore"))) for play in ends}
    final = {c.get("homeAway"): number(c.get("score")) for c in competition.get("competitors") or []}
    home, away = final.get("home"), final.get("away")
    return home is not None and home != away and (home, away) in scores
