"""Is an answer of ESPN's site API whole, and which games does a scoreboard list?"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from config.models import Check
from tasks.domain.games import Game, GameStatus
from tasks.domain.seasons import eastern_day, season_name
from tasks.domain.verdicts import Verdict, bad, unfinished, whole
from tasks.sources.documents import UnfitBodyError, read_object
from tasks.sources.schedules import moment, settled, tip_off

# ESPN cuts a list to 25 events without a word when it dislikes the request; no day has that many games.
_SILENT_CUT = 25
# A game in Australia that began at 05:30 Eastern was on the board of the day before.
_OVERNIGHT = timedelta(hours=6)
_SEASON_TYPES = {1: "preseason", 2: "regular", 3: "playoffs", 5: "play-in"}
_CALLED_OFF = {
    "STATUS_POSTPONED": GameStatus.POSTPONED,
    "STATUS_CANCELED": GameStatus.CANCELLED,
    "STATUS_CANCELLED": GameStatus.CANCELLED,
}
_STATES = {"pre": "scheduled", "in": "in progress"}
_END_OF_GAME = "402"
# Finals of seasons that end before this year often have a box score and no plays at all.
_FIRST_YEAR_WITH_PLAYS = 2003


def scoreboard(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """The games of one Eastern day. No events is a day off, and whole, unless the calendar beside them says more."""
    document = read_object(body)
    events = document["events"]
    if len(events) == _SILENT_CUT:
        return bad(f"exactly {_SILENT_CUT} events: a list that ESPN cut")
    day = date.fromisoformat(fields["date"])
    if not events and day in _days_with_games(document):
        return bad("no events, on a day that its own calendar has games on")
    games = list(_games(events, day))
    if events and not games:
        return bad(f"the board of {eastern_day(moment(events[0]['date']))}, not of {day}")
    return settled(games)


def summary(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Everything about one game; partial until the game is over and told to its end."""
    document = read_object(body)
    header = document.get("header")
    if not header:
        return bad("no game header")
    if header["id"] != fields["id"]:
        return bad(f"game {header['id']}, not {fields['id']}")
    status = header["competitions"][0]["status"]["type"]
    if not _is_final(status):
        return unfinished(f"game not final: {_STATES.get(status['state'], status['name'])}")
    teams = _teams_with_players(document)
    if teams != 2:
        return bad(f"{teams} of 2 teams have players in the box score")
    return _told_to_the_end(document.get("plays") or [], int(fields["end_year"]))


def _days_with_games(document: dict[str, Any]) -> set[date]:
    """The days in the season's calendar; none where it lists something else."""
    days = (day for league in document.get("leagues") or [] for day in league.get("calendar") or [])
    return {eastern_day(moment(day)) for day in days if isinstance(day, str)}


def _games(events: list[dict[str, Any]], day: date) -> Iterator[Game]:
    for event in events:
        start = moment(event["date"])
        if day in (eastern_day(start), eastern_day(start - _OVERNIGHT)):
            yield Game(
                id=_event_id(event),
                day=day,
                start=tip_off(start),
                status=_status(event["status"]["type"]),
                season=season_name(event["season"]["year"] - 1),
                season_type=_season_type(event),
            )


def _event_id(event: dict[str, Any]) -> str:
    if not re.fullmatch(r"[0-9]{6,12}", event["id"]):
        raise UnfitBodyError(f"{event['id']!r} is not an event id")
    return str(event["id"])


def _status(status: dict[str, Any]) -> GameStatus:
    if called_off := _CALLED_OFF.get(status["name"]):
        return called_off
    if _is_final(status):
        return GameStatus.FINAL
    # A suspended game is "post" and not completed: it is still open, as a live one is.
    return GameStatus.SCHEDULED if status["state"] == "pre" else GameStatus.LIVE


def _is_final(status: dict[str, Any]) -> bool:
    return status["state"] == "post" and status["completed"] is True and status["name"] not in _CALLED_OFF


def _season_type(event: dict[str, Any]) -> str:
    competition = (event.get("competitions") or [{}])[0]
    if competition.get("type", {}).get("abbreviation") == "ALLSTAR":
        return "all-star"
    return _SEASON_TYPES.get(event["season"]["type"], "regular")


def _teams_with_players(document: dict[str, Any]) -> int:
    teams = document.get("boxscore", {}).get("players", [])
    return sum(any(group.get("athletes") for group in team.get("statistics", [])) for team in teams)


def _told_to_the_end(plays: list[dict[str, Any]], end_year: int) -> Verdict:
    if not plays:
        return whole() if end_year < _FIRST_YEAR_WITH_PLAYS else unfinished("final, but without plays")
    if str(plays[-1].get("type", {}).get("id")) != _END_OF_GAME:
        return unfinished("plays stop before the end of the game")
    return whole()
