"""Which games were found in a stored schedule?"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from functools import lru_cache

from tasks.domain.games import Game, GameStatus

_STATUSES = {status.value: status for status in GameStatus}
_day = lru_cache(maxsize=10_000)(date.fromisoformat)


def games_text(games: tuple[Game, ...]) -> str | None:
    """As a list of lists of the fields. What only few games have is left out at the end."""
    if not games:
        return None
    return json.dumps(
        [
            (
                *(g.id, g.day.isoformat(), g.start and g.start.timestamp(), g.status.value, g.season, g.season_type),
                *([True] if g.if_necessary else []),
            )
            for g in games
        ],
        separators=(",", ":"),
    )


def games_from(text: str) -> tuple[Game, ...]:
    return tuple(
        Game(
            game,
            _day(day),
            None if start is None else datetime.fromtimestamp(start, UTC),
            _STATUSES[status],
            season,
            season_type,
            *more,
        )
        for game, day, start, status, season, season_type, *more in json.loads(text)
    )
