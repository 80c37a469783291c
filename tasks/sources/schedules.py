"""What does a site's list of games say, once its placeholders are read as such?"""

from collections.abc import Iterable
from datetime import UTC, datetime, time

from tasks.domain.games import Game
from tasks.domain.seasons import EASTERN
from tasks.domain.verdicts import Verdict, partial, whole


def settled(games: Iterable[Game]) -> Verdict:
    """Whole once no listed game can change any more; a game listed twice counts once."""
    listed = tuple({game.id: game for game in games}.values())
    unsettled = sum(not game.status.settled for game in listed)
    if unsettled:
        return partial(f"{unsettled} of {len(listed)} games not final", listed)
    return whole(listed)


def moment(text: str) -> datetime:
    """An ISO time as UTC; both JSON sources mean UTC where they name no zone."""
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def tip_off(start: datetime) -> datetime | None:
    """None for a placeholder: no game starts at midnight Eastern or before there was a league."""
    to_be_decided = start.year < 1946 or start.astimezone(EASTERN).time() == time(0)
    return None if to_be_decided else start
