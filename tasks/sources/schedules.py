"""What does a site's list of games say, read entry by entry?"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import TypeVar

from tasks.domain.assess.verdicts import Verdict, bad, partial, whole
from tasks.domain.expected.games import Game, each_once
from tasks.domain.expected.seasons import EASTERN

Entry = TypeVar("Entry")

_NAMED = 3  # so many odd entries are named in a reason


class OddEntryError(ValueError):
    """An entry of a list says something that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What was read of a list: the games, and of each entry that cannot be read which it is, and why."""

    games: tuple[Game, ...]  # one an entry: a game that is listed twice is here twice
    odd: tuple[str, ...] = ()
    entries: int = 0

    def only(self, games: Iterable[Game]) -> "Listing":
        """The same list with some of its games."""
        return replace(self, games=tuple(games))

    def verdict(self) -> Verdict:
        """Whole once every entry was read and no listed game can change any more.

        One odd entry leaves the list partial, with the games that could be read. A list in which nothing can be
        read is bad.
        """
        if self.odd and len(self.odd) == self.entries:
            return bad(f"none of {self.entries} entries can be read: {self.odd[0]}")
        games = tuple(each_once(self.games))
        unsettled = sum(not game.status.settled for game in games)
        reasons = [f"{unsettled} of {len(games)} games not final"] if unsettled else []
        if self.odd:
            reasons.append(f"{len(self.odd)} of {self.entries} entries cannot be read: {_named(self.odd)}")
        return partial("; ".join(reasons), games) if reasons else whole(games)


def _named(odd: tuple[str, ...]) -> str:
    more = [f"{len(odd) - _NAMED} more"] if len(odd) > _NAMED else []
    return ", ".join([*odd[:_NAMED], *more])


def read_each(
    entries: Iterable[Entry], read: Callable[[Entry], Game | None], name: Callable[[Entry], object]
) -> Listing:
    """Reads each entry by itself. `read` gives None for what is no game of this list, and may raise anything."""
    games, odd, count = [], [], 0
    for entry in entries:
        count += 1
        try:
            game = read(entry)
        except Exception as error:  # entries are read as if they were right; a wrong one fails in any way at all
            odd.append(f"{_name(entry, name, count)}: {_why(error)}")
        else:
            games += [game] if game else []
    return Listing(tuple(games), tuple(odd), count)


def _name(entry: Entry, name: Callable[[Entry], object], number: int) -> str:
    try:
        said = str(name(entry) or "")
    except Exception:  # whatever the entry is, it has a place in the list
        said = ""
    return said[:40] or f"entry {number}"


def _why(error: Exception) -> str:
    if isinstance(error, OddEntryError):
        return str(error)
    if isinstance(error, KeyError):
        return f"no {error.args[0]}"
    return f"{type(error).__name__}: {error}"


def moment(text: str) -> datetime:
    """An ISO time as UTC; both JSON sources mean UTC where they name no zone."""
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def tip_off(start: datetime) -> datetime | None:
    """None for a placeholder: no game starts at midnight Eastern or before there was a league."""
    to_be_decided = start.year < 1946 or start.astimezone(EASTERN).time() == time(0)
    return None if to_be_decided else start


def is_nil(*scores: object) -> bool:
    """Is nobody said to have scored? A final 0-0 was not played: it was cancelled, or forfeited."""
    return bool(scores) and all(str(score) == "0" for score in scores)
