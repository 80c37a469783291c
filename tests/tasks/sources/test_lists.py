"""Whatever is wrong with one entry of a list, are the others read? Tried with everything that can be wrong."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from config.models import Check
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tasks.sources.checks import examine
from tests.tasks.sources.test_espn import an_event
from tests.tasks.sources.test_nba_api import a_game

NOTHING = object()
VALUES = (NOTHING, None, 7, -1, "", "x", "2024-13-45T99:99Z", [], {}, [None], {"x": None}, True, 1e300)


def spoilt(entry: Any) -> Iterator[Any]:
    """The entry with each of its values, at any depth, replaced by each of those that it should not be."""
    for key in entry if isinstance(entry, dict) else range(len(entry)) if isinstance(entry, list) else ():
        for value in VALUES:
            changed = copy.copy(entry)
            if value is not NOTHING:
                changed[key] = value
            else:
                del changed[key]
            yield changed
        for inner in spoilt(entry[key]):
            changed = copy.copy(entry)
            changed[key] = inner
            yield changed


def _read(body: Any, name: str, **fields: str) -> Verdict:
    return examine(json.dumps(body).encode(), fields, Check(name=name))


def _schedule(*entries: Any) -> Verdict:
    body = {"leagueSchedule": {"seasonYear": "2023-24", "gameDates": [{"games": entries}]}}
    return _read(body, "nba_api.schedule", season="2023-24")


def _board(*entries: Any) -> Verdict:
    body = {"leagues": [{"calendar": ["2024-01-05T08:00Z"]}], "events": entries}
    return _read(body, "espn.scoreboard", date="2024-01-05")


TEAMS = {"homeTeam": {"teamId": 1, "score": 99}, "awayTeam": {"teamId": 2, "score": 91}}
GAME = a_game("0022300002", gameStatusText="Final", ifNecessary=False, **TEAMS)
EVENT = an_event("401585602")
EVENT["competitions"] = [
    {
        "type": {"abbreviation": "STD"},
        "competitors": [{"score": "99"}, {"score": "91"}],
        "notes": [{"headline": "Game 1"}],
        "status": {"type": EVENT["status"]["type"]},
    }
]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("read", "good", "entry"),
    [
        (_schedule, (a_game("0022300001"), a_game("0022300003")), GAME),
        (_board, (an_event("401585601"), an_event("401585603")), EVENT),
    ],
    ids=["stats.nba.com", "ESPN"],
)
def test_whatever_one_entry_says_the_others_are_read(
    read: Any, good: tuple[Any, Any], entry: Any, turned: bool
) -> None:
    ids = {game.id for game in read(*good).games}
    assert len(ids) == 2
    everything = [*VALUES[1:], *spoilt(entry)]
    assert len(everything) > 150
    for odd in everything:
        entries = [*good, odd] if turned else [odd, *good]
        found = read(*entries)
        assert ids <= {game.id for game in found.games}, (odd, found.reason)
        if found.wholeness is Wholeness.PARTIAL:
            assert "cannot be read" in found.reason or "not final" in found.reason
        assert len(found.reason) <= 200
