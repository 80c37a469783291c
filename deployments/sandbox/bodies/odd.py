"""How does a fault change a good body?"""

import json
import re
from collections.abc import Callable
from typing import Any

from deployments.sandbox.faults import FaultKind

# Faults that change the content of a body but not what it is about.
ODD = frozenset({FaultKind.HOLLOW, FaultKind.NO_PLAYERS, FaultKind.ODD_ENTRY, FaultKind.TWICE, FaultKind.NIL})
Json = dict[str, Any]


def made_odd(kind: FaultKind, body: bytes) -> bytes:
    """The body after the fault. A body of a kind to which the fault does not apply stays as it is."""
    if body.startswith(b"{"):
        document = json.loads(body)
        for name, change in _CHANGES[kind].items():
            if name in document:
                change(document)
        return json.dumps(document, separators=(",", ":")).encode()
    return _PAGES[kind](body.decode()).encode() if kind in _PAGES else body


# Lists of games: an entry of unknown status, a game that is listed twice, or a final game in which nobody scored.


def _entries(schedule: Json) -> list[Json]:
    return [game for day in schedule["leagueSchedule"]["gameDates"] for game in day["games"]]


def _unknown_status(schedule: Json) -> None:
    _entries(schedule)[-1]["gameStatus"] = 4


def _unknown_state(board: Json) -> None:
    for event in board["events"][-1:]:
        event["status"]["type"] |= {"name": "STATUS_NEW", "state": "new"}
        del event["season"]


def _final_games(schedule: Json) -> list[Json]:
    return [game for game in _entries(schedule) if game["gameStatus"] == 3]


def _again_as_postponed(schedule: Json) -> None:
    for game in _final_games(schedule)[:1]:
        day = schedule["leagueSchedule"]["gameDates"][-1]
        again = {"gameStatus": 1, "gameStatusText": "PPD", "postponedStatus": "P"}
        day["games"].append(game | again | {"gameDateEst": day["games"][0]["gameDateEst"]})


def _again_on_the_board(board: Json) -> None:
    for event in board["events"][:1]:
        postponed = {"id": "6", "name": "STATUS_POSTPONED", "state": "post", "completed": False}
        board["events"].append(event | {"status": {"type": postponed}})


def _nobody_scored(schedule: Json) -> None:
    for game in _final_games(schedule)[:1]:
        game["homeTeam"]["score"] = game["awayTeam"]["score"] = 0


# Documents of a game: without players, or with one player in each team and no play in the second period.


def _keep_players(count: int) -> Callable[[Json], None]:
    def change(document: Json) -> None:
        for name in document.keys() & {"boxScoreTraditional", "boxScoreAdvanced"}:
            for side in ("homeTeam", "awayTeam"):
                del document[name][side]["players"][count:]

    return change


def _one_athlete(summary: Json) -> None:
    for team in summary["boxscore"].get("players", []):
        del team["statistics"][0]["athletes"][1:]


def _no_athletes(summary: Json) -> None:
    summary["boxscore"].pop("players", None)


def _no_second_period(document: Json) -> None:
    actions = document["game"]["actions"]
    document["game"]["actions"] = [a for a in actions if a["period"] != 2 or a["actionType"] == "period"]


_BOX_SCORES = ("boxScoreTraditional", "boxScoreAdvanced")
_CHANGES: dict[FaultKind, dict[str, Callable[[Json], None]]] = {
    FaultKind.ODD_ENTRY: {"leagueSchedule": _unknown_status, "events": _unknown_state},
    FaultKind.TWICE: {"leagueSchedule": _again_as_postponed, "events": _again_on_the_board},
    FaultKind.NIL: {"leagueSchedule": _nobody_scored},
    FaultKind.HOLLOW: {
        **dict.fromkeys(_BOX_SCORES, _keep_players(1)),
        "boxscore": _one_athlete,
        "game": _no_second_period,
    },
    FaultKind.NO_PLAYERS: {**dict.fromkeys(_BOX_SCORES, _keep_players(0)), "boxscore": _no_athletes},
}


def _odd_row(page: str) -> str:
    return re.sub(r'csk="\d{8}(0[A-Z]{3})"', r'csk="20241340\1"', page, count=1)


def _players(keep: int) -> Callable[[str], str]:
    row = r'<tr ><th scope="row" class="left "[^>]*data-stat="player".*?</tr>\n?'

    def change(page: str) -> str:
        if 'game-basic"' not in page:
            return page
        parts = re.split(r"(<tbody>.*?</tbody>)", page, flags=re.DOTALL)
        return "".join(
            f"<tbody>{''.join(re.findall(row, part, re.DOTALL)[:keep])}</tbody>" if part[:7] == "<tbody>" else part
            for part in parts
        )

    return change


_PAGES: dict[FaultKind, Callable[[str], str]] = {
    FaultKind.ODD_ENTRY: _odd_row,
    FaultKind.HOLLOW: _players(1),
    FaultKind.NO_PLAYERS: _players(0),
}
