"""Which games does a site's list contain, read entry by entry?"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import TypeVar

from tasks.domain.assess.verdicts import Verdict, bad, partial, whole
from tasks.domain.expected.games import Game, deduplicated
from tasks.domain.expected.seasons import EASTERN

Entry = TypeVar("Entry")

_NAMED = 3  # a reason names at most this number of odd entries


class OddEntryError(ValueError):
    """An entry of a list cannot be understood. The message says what is odd."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The content of a list: its games, and the entries that cannot be read."""

    games: tuple[Game, ...]  # one for each readable entry, so that a game with two entries appears twice
    odd: tuple[str, ...] = ()  # for each entry that cannot be read, which one it is and why
    entries: int = 0  # number of all entries

    def only(self, games: Iterable[Game]) -> "Listing":
        """The same list with only these of its games."""
        return replace(self, games=tuple(games))

    def verdict(self) -> Verdict:
        """The verdict for the list: whole if every entry was read and no game is open.

        Otherwise it is partial, with the games that could be read. If no entry can be read, it is bad.
        """
        if self.odd and len(self.odd) == self.entries:
            return bad(f"none of {self.entries} entries can be read: {self.odd[0]}")
        games = tuple(deduplicated(self.games))
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
    """Reads the entries one by one, so that one that cannot be read does not affect the others.

    `read` returns None for an entry that is not a game of this list, and may raise any exception for one that it cannot
    read. `name` returns the id by which reasons name the entry.
    """
    games, odd, count = [], [], 0
    for entry in entries:
        count += 1
        try:
            game = read(entry)
        except Exception as error:  # `read` assumes the right shape, so that a wrong one can raise any exception
            odd.append(f"{_name(entry, name, count)}: {_why(error)}")
        else:
            games += [game] if game else []
    return Listing(tuple(games), tuple(odd), count)


def _name(entry: Entry, name: Callable[[Entry], object], number: int) -> str:
    try:
        text = str(name(entry) or "")
    except Exception:  # an entry without a readable id is named by its position
        text = ""
    return text[:40] or f"entry {number}"


def _why(error: Exception) -> str:
    if isinstance(error, OddEntryError):
        return str(error)
    if isinstance(error, KeyError):
        return f"no {error.args[0]}"
    return f"{type(error).__name__}: {error}"


def moment(text: str) -> datetime:
    """The UTC time of an ISO 8601 text. A text without a zone is in UTC, which is what ESPN and the NBA mean."""
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def tip_off(start: datetime) -> datetime | None:
    """The start of a game, or None for a placeholder.

    Sources write midnight US Eastern time, or a year before the league existed, if the time is not decided yet.
    """
    is_placeholder = start.year < 1946 or start.astimezone(EASTERN).time() == time(0)
    return None if is_placeholder else start


def is_nil(*scores: object) -> bool:
    """Are all scores given as 0? A final game with 0-0 was not played, but cancelled or forfeited."""
    return bool(scores) and all(str(score) == "0" for score in scores)
