"""Which season does a game belong to, judging by its id or else by its document?"""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import date

from tasks.domain.expected.seasons import season_name, season_of


def season_of_game(source: str, game_id: str, body: bytes) -> str | None:
    """The season as "2023-24"; None if neither the id nor the document says so."""
    for season_by in (_BY_ID.get(source), lambda _: _by_document(body)):
        with suppress(ValueError, KeyError, TypeError, IndexError):
            if season_by and (season := season_by(game_id)):
                return season
    return None


def _espn(game_id: str) -> str | None:
    """The season of an id of the form YYMMDDHHH, where YY is the year - 1980. Ids after 2011-12 contain no date."""
    if len(game_id) != 9 or int(game_id[:2]) > 32:
        return None
    return season_of(date(1980 + int(game_id[:2]), int(game_id[2:4]), int(game_id[4:6])))


def _nba_api(game_id: str) -> str:
    """The season of an id such as 0022300061: the fourth and fifth digit are those of the season's first year."""
    year = int(game_id[3:5])
    return season_name(1900 + year if year >= 46 else 2000 + year)


def _basketball_reference(game_id: str) -> str:
    """The season of an id that begins with the date, such as 202401050LAL."""
    return season_of(date.fromisoformat(game_id[:8]))


_BY_ID: dict[str, Callable[[str], str | None]] = {
    "espn": _espn,
    "nba_api": _nba_api,
    "basketball_reference": _basketball_reference,
}


def _by_document(body: bytes) -> str:
    """The season in the header of an ESPN summary, which names it by the year in which it ends."""
    return season_name(int(json.loads(body)["header"]["season"]["year"]) - 1)
