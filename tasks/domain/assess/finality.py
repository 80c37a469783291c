"""When is a list that grows final, and when is it looked at again until then?

A list is the file of a day, a month or a season. That everything in it is final proves nothing, since more can be
listed later; the calendar decides. A list is final when its time is over, it was taken after that, and nothing in it
is open. It is looked at once more some days after its end; one that lists games is until then looked at as often as
before, since games are listed late too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from config.models import Config, Dataset
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tasks.domain.expected import seasons
from tasks.domain.expected.games import Game

# How long after its start a game is over, and its source says so, where no dataset says otherwise.
GAME_LENGTH = timedelta(hours=4)
# So long after the end of a month or a season its list may still grow; and that of a day.
LAST_LOOK = timedelta(days=7)
LAST_LOOK_AT_A_DAY = timedelta(days=2)
# A list that should be whole by then and is not is looked at again ever less often from then on. While its season runs:
# after a quarter of the time for which it is overdue; once the season is over: after all of it; but no later than this.
LONGEST_WAIT = timedelta(days=30)
_PATIENCE = 0.25
# In the play-offs a schedule is downloaded at least so often: their games are listed only a few days ahead.
_IN_PLAYOFFS = timedelta(hours=6)


def over_at(dataset: Dataset, last_day: date) -> datetime:
    """When the time that a list is about is over. A day is over when its games should be final."""
    midnight = seasons.eastern_midnight(last_day + timedelta(days=1))
    return midnight + dataset.due_after if dataset.per == "date" else midnight


def settled_wholeness(
    dataset: Dataset, first_day: date, last_day: date, verdict: Verdict, taken: datetime
) -> Wholeness:
    """How whole a list is in which the check found `verdict`: partial at best if taken before its time was over."""
    if verdict.wholeness is Wholeness.WHOLE and taken < over_at(dataset, last_day):
        return Wholeness.PARTIAL
    return verdict.wholeness


def next_look(
    dataset: Dataset, season: str, last_day: date, verdict: Verdict, taken: datetime, final_after: timedelta
) -> datetime | None:
    """When a list that was taken at `taken` is looked at again; None once it is final.

    Its games should be final `final_after` their start: until a list was taken after that, it is open.
    """
    over, refresh = over_at(dataset, last_day), dataset.refresh
    if refresh is None or (dataset.per == "date" and taken < over):
        return over if taken < over else None
    ends = expected_ends(verdict.games, final_after)
    coming = [end for end in ends if end > taken]
    soon = min([taken + _while_it_grows(dataset, refresh, season, taken), *coming])
    if taken < over:
        return soon
    last = _grows_until(dataset, last_day)
    if dataset.lists_games and taken < last:
        return min(soon, last)
    if verdict.wholeness is Wholeness.WHOLE:
        return last if taken < last else None
    waited = taken - max([over, *(end for end in ends if end <= taken)])
    patience = 1 if taken >= seasons.over_at(season) else _PATIENCE
    return min([taken + max(refresh, min(waited * patience, LONGEST_WAIT)), *coming])


def why_not_final(dataset: Dataset, last_day: date, taken: datetime) -> str:
    """Why a list in which nothing is open is looked at again."""
    over, on = over_at(dataset, last_day), f"taken on {taken:%Y-%m-%d %H:%M} UTC"
    if taken < over:
        what = {"date": "day", "month": "month"}.get(dataset.per, "season")
        return f"{on}, before the {what} was over"
    return f"{on}; more may be listed until {_grows_until(dataset, last_day):%Y-%m-%d}, some days after its end"


def expected_ends(games: Iterable[Game], final_after: timedelta) -> list[datetime]:
    """When the games that are still open should be final; one without a time may begin as late as its day ends."""
    return [
        (game.start or seasons.eastern_midnight(game.day + timedelta(days=1))) + final_after
        for game in games
        if not game.status.settled
    ]


def awaited_again(dataset: Dataset, season: str, asked: datetime) -> datetime | None:
    """When to look again for a list that its source did not have at `asked`, but may still publish.

    None for what is no list, and once the season has been over for some days: then the answer is evidence of absence.
    """
    if dataset.per == "game" or dataset.refresh is None or asked >= seasons.over_at(season) + LAST_LOOK:
        return None
    return asked + _while_it_grows(dataset, dataset.refresh, season, asked)


def published_by(dataset: Dataset, season: str, last_day: date) -> datetime:
    """When a list should be there at the latest: it comes with its first game.

    So that of a month is there when the month is over, and that of a season when its first month is.
    """
    return seasons.first_month_over_at(season) if dataset.per == "season" else over_at(dataset, last_day)


def games_final_after(config: Config, schedule: str) -> timedelta:
    """How long after their start the games of a schedule should be final in it: as soon as a file of theirs is due."""
    return min((d.due_after for d in config.datasets.values() if d.schedule == schedule), default=GAME_LENGTH)


def _grows_until(dataset: Dataset, last_day: date) -> datetime:
    return over_at(dataset, last_day) + (LAST_LOOK_AT_A_DAY if dataset.per == "date" else LAST_LOOK)


def _while_it_grows(dataset: Dataset, refresh: timedelta, season: str, taken: datetime) -> timedelta:
    in_playoffs = dataset.lists_games and taken >= seasons.playoffs_begin(season)
    return min(refresh, _IN_PLAYOFFS) if in_playoffs else refresh
