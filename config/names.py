"""How are names put into a message: in a row, or as the one that somebody may have meant?"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence


def listed(names: Sequence[str]) -> str:
    """Names in a row: "espn", "espn and nba_api", "espn, nba_api and basketball_reference"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name most similar to `name`, which may be a misspelling of it; None if none is similar."""
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


def suggestion(name: str, known: Collection[str]) -> str:
    """A question that proposes the known name most similar to `name`; empty if none is similar."""
    similar = nearest(name, known)
    return f"did you mean {similar}?" if similar else ""


def suggestion_or_list(name: str, known: Collection[str], there_are: str, shown: Collection[str] = ()) -> str:
    """The question of `suggestion`, or else the names that there are: "the sources are espn, nba_api".

    The names of a long list are not all shown: then `shown` has the ones that are.
    """
    return suggestion(name, known) or f"{there_are} {', '.join(shown or known)}"
