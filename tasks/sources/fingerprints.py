"""Do two bodies say the same?

Two downloads of one finished game differ although nothing was corrected. What to overlook was read off
recorded answers: an ESPN summary of March 2024 that was recorded in May 2026, with the injuries, standings and
news of that day; an ESPN scoreboard recorded twice, a month apart; the NBA's own time of answering; a box score
page of Basketball Reference recorded in 2020 and in 2026. In JSON, whatever is not named below counts: an
unknown field can make two answers look different, but never a correction look like none.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from typing import Any

from config.models import Check
from tasks.sources.documents import UnfitBodyError, read_text

VERSION = 1  # part of every fingerprint: raise it with any change to what is overlooked

_LENGTH = 32
_NAME = re.compile(r"""\sid=["']?([^"'\s]+)""")
_TAG = re.compile(r"""<!--.*?-->|<[^>"']*+(?:"[^"]*+"[^>"']*+|'[^']*+'[^>"']*+)*+>""", re.DOTALL)


def fingerprint(body: bytes, check: Check) -> str:
    """The same for two bodies that say the same, as far as the named check knows. Never raises."""
    try:
        said = _SAYINGS[check.name](body)
    except Exception:  # whatever the body is instead, its bytes tell it from others
        said = body
    return sha256(f"{VERSION}\n".encode() + said).hexdigest()[:_LENGTH]


@dataclass(frozen=True, slots=True)
class _Overlooked:
    """What in a site's JSON is of the answer, or of the day it was given on, rather than of the game."""

    sections: frozenset[str] = frozenset()  # keys of the whole document
    keys: frozenset[str] = frozenset()  # keys of any object
    inside: Mapping[str, frozenset[str]] = field(default_factory=dict)  # keys of the object under a key
    order: frozenset[str] = frozenset()  # keys of lists whose items could stand in any order

    def read(self, body: bytes) -> bytes:
        document = json.loads(read_text(body), object_hook=self._object_hook(), parse_float=_number)
        if isinstance(document, dict):
            document = {key: value for key, value in document.items() if key not in self.sections}
        if not document:
            raise UnfitBodyError("nothing but what is overlooked")
        return _canonical(document).encode()

    def _object_hook(self) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
        touched = self.keys | self.inside.keys() | self.order

        def strip(found: dict[str, Any]) -> dict[str, Any]:
            if touched.isdisjoint(found):
                return found
            for key in touched.intersection(found):
                if key in self.keys:
                    del found[key]
                elif key in self.order and isinstance(found[key], list):
                    found[key].sort(key=_canonical)
                elif key in self.inside and isinstance(found[key], dict):
                    for inner in self.inside[key].intersection(found[key]):
                        del found[key][inner]
            return found

        return strip if touched else None


def _number(text: str) -> float | int:
    """1 for 1.0, so that both are written alike."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _tables(body: bytes) -> bytes:
    """The cells of every table that has a name, also of those inside comments; the site's data is in no other.

    Tables without one are advertisements, and the other games of the day. The page is not parsed: cutting the
    text at its tags takes half as long, and finds the same words in every recorded page.
    """
    tables = {name: _cells(content) for name, content in _named_tables(read_text(body)).items()}
    if not tables:
        raise UnfitBodyError("no table with a name")
    return _canonical(tables).encode()


def _named_tables(text: str) -> dict[str, str]:
    """What stands between the tags of each. A table without a name inside another is part of that one."""
    contents: defaultdict[str, str] = defaultdict(str)
    inside: list[str] = []
    for opened in text.split("<table")[1:]:
        head, _, rest = opened.partition(">")
        name = _NAME.search(head)
        inside.append(name[1] if name else inside[-1] if inside else "")
        first, *after = rest.split("</table>")
        contents[inside[-1]] += first
        for piece in after:
            del inside[-1:]
            contents[inside[-1] if inside else ""] += piece
    contents.pop("", None)
    return contents


def _cells(content: str) -> str:
    for end in ("</td>", "</th>"):
        content = content.replace(end, " | ")
    return " ".join(unescape(_TAG.sub("", content)).split())


_JSON = _Overlooked(sections=frozenset({"meta", "timestamp"}))  # both sites say there when they answered

_ESPN = _Overlooked(
    sections=frozenset(
        {
            # of the answer: "leagues" says what part of the season it is today, "provider" who bets on it
            *("meta", "leagues", "season", "day", "provider"),
            # of the day it was given on
            *("news", "article", "videos", "injuries", "standings", "seasonseries", "lastFiveGames"),
            # guesses and wagers
            *("odds", "pickcenter", "againstTheSpread", "predictor", "winprobability"),
            *("broadcasts", "ticketsInfo"),
        }
    ),
    keys=frozenset(
        {
            *("$ref", "link", "links", "logo", "logos", "headshot", "images", "color", "alternateColor", "lastUpdated"),
            *("headlines", "highlights", "videos", "tickets", "broadcast", "broadcasts", "geoBroadcasts"),
            *("odds", "probability", "predictor"),
            # as of today: of a season that is over, of a game some days ago, of two teams' season so far
            *("current", "recent", "liveAvailable", "onWatchESPN", "injuries", "series"),
        }
    ),
    # A player as he is today; what he was in the game stands beside it.
    inside={"athlete": frozenset({"active", "status", "position"})},
    order=frozenset({"events", "competitors", "athletes", "officials"}),
)

_NBA = _Overlooked(
    sections=frozenset({"meta"}),
    # Clips are cut after the game, and stations added before it.
    keys=frozenset({"videoAvailable", "broadcasters", "broadcasterList", "branchLink"}),
    order=frozenset({"players"}),
)

_SAYINGS: dict[str, Callable[[bytes], bytes]] = {
    "json": _JSON.read,
    "html_table": _tables,
    "espn.scoreboard": _ESPN.read,
    "espn.summary": _ESPN.read,
    "nba_api.schedule": _NBA.read,
    "nba_api.box_score": _NBA.read,
    "nba_api.play_by_play": _NBA.read,
    "basketball_reference.schedule": _tables,
    "basketball_reference.box_score": _tables,
    "basketball_reference.play_by_play": _tables,
    "basketball_reference.season_table": _tables,
}
