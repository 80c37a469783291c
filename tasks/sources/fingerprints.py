"""Do two bodies have the same content?

Two downloads of one finished game differ even if nothing was corrected. Recorded answers show which fields to ignore.
An ESPN summary of March 2024, recorded in May 2026, has the injuries, standings and news of that later day. An ESPN
scoreboard was recorded twice, a month apart. The NBA's JSON has the time of the answer. A box score page of Basketball
Reference was recorded in 2020 and in 2026. All other fields of JSON count. So an unknown field can make equal answers
look different, but a correction is never ignored.
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

VERSION = 1  # part of every fingerprint; raise it with every change to what is ignored

_LENGTH = 32  # hexadecimal digits
_NAME = re.compile(r"""\sid=["']?([^"'\s]+)""")
_TAG = re.compile(r"""<!--.*?-->|<[^>"']*+(?:"[^"]*+"[^>"']*+|'[^']*+'[^>"']*+)*+>""", re.DOTALL)


def fingerprint(body: bytes, check: Check) -> str:
    """A text of 32 characters that is equal for two bodies with the same content. Never raises.

    The name of the body check decides what is ignored. If the body is not a document of that kind, all its bytes count.
    """
    try:
        content = _CONTENT_OF[check.name.partition(".")[0]](body)
    except Exception:
        content = body
    return sha256(f"{VERSION}\n".encode() + content).hexdigest()[:_LENGTH]


@dataclass(frozen=True, slots=True)
class _Ignored:
    """The parts of a site's JSON to ignore, because they depend on the answer or its date and not on the game."""

    sections: frozenset[str] = frozenset()  # keys of the whole document
    keys: frozenset[str] = frozenset()  # keys of any object
    inside: Mapping[str, frozenset[str]] = field(default_factory=dict)  # keys of the object under a key
    order: frozenset[str] = frozenset()  # keys of lists in which the order of the items does not matter

    def read(self, body: bytes) -> bytes:
        """The canonical content of a JSON body. Raises UnfitBodyError if nothing remains of it."""
        document = json.loads(read_text(body), object_hook=self._object_hook(), parse_float=_number)
        if isinstance(document, dict):
            document = {key: value for key, value in document.items() if key not in self.sections}
        if not document:
            raise UnfitBodyError("nothing but ignored parts")
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
    """The number in a text, as an integer if possible, so that 1 and 1.0 are equal."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _tables(body: bytes) -> bytes:
    """The cells of every table with an id, including those inside comments; the site's data is in no other table.

    Tables without an id contain advertisements and the other games of the day. The page is not parsed: splitting the
    text at its tags takes half as long and finds the same words in every recorded page.
    """
    tables = {name: _cells(content) for name, content in _named_tables(read_text(body)).items()}
    if not tables:
        raise UnfitBodyError("no table with an id")
    return _canonical(tables).encode()


def _named_tables(text: str) -> dict[str, str]:
    """The text inside each table with an id, by id. A table without an id counts as part of the one around it."""
    contents: defaultdict[str, str] = defaultdict(str)
    inside: list[str] = []
    for after_tag in text.split("<table")[1:]:
        head, _, rest = after_tag.partition(">")
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


_JSON = _Ignored(sections=frozenset({"meta", "timestamp"}))  # where both sites give the time of their answer

_ESPN = _Ignored(
    sections=frozenset(
        {
            # About the answer: "leagues" has the present part of the season, and "provider" a betting company.
            *("meta", "leagues", "season", "day", "provider"),
            # News of the day of the answer.
            *("news", "article", "videos", "injuries", "standings", "seasonseries", "lastFiveGames"),
            # Predictions and bets.
            *("odds", "pickcenter", "againstTheSpread", "predictor", "winprobability"),
            *("broadcasts", "ticketsInfo"),
        }
    ),
    keys=frozenset(
        {
            *("$ref", "link", "links", "logo", "logos", "headshot", "images", "color", "alternateColor", "lastUpdated"),
            *("headlines", "highlights", "videos", "tickets", "broadcast", "broadcasts", "geoBroadcasts"),
            *("odds", "probability", "predictor"),
            # As of the day of the answer, even for a past game: flags, and the two teams' season so far.
            *("current", "recent", "liveAvailable", "onWatchESPN", "injuries", "series"),
        }
    ),
    # The player on the day of the answer. His part in the game is in other fields.
    inside={"athlete": frozenset({"active", "status", "position"})},
    order=frozenset({"events", "competitors", "athletes", "officials"}),
)

_NBA = _Ignored(
    sections=frozenset({"meta"}),
    # Video clips are added after the game, and broadcasters before it.
    keys=frozenset({"videoAvailable", "broadcasters", "broadcasterList", "branchLink"}),
    order=frozenset({"players"}),
)

# By the first part of a body check's name.
_CONTENT_OF: dict[str, Callable[[bytes], bytes]] = {
    "json": _JSON.read,
    "html_table": _tables,
    "espn": _ESPN.read,
    "nba_api": _NBA.read,
    "basketball_reference": _tables,
}
