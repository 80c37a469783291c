"""When is a growing list final, and when is it fetched again until then?

A list is the file of a day, a month or a season. The calendar decides whether it is final: that all its games are final
proves nothing, because more can be added. A list is final when its period is over, it was taken from the source after
that, and none of its entries is open. It is fetched once more some days after its end. A list of games is fetched as
often as before until then, since games are sometimes added late.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from config.models import Config, Dataset
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tasks.domain.expected import seasons
from tasks.domain.expected.games import Game
from tasks.domain.wording import utc

# Time from the start of a game until its source calls it final, unless a dataset's `due_after` says otherwise.
GAME_LENGTH = timedelta(hours=4)
# The list of a month or a season may grow for this long after its end.
LAST_LOOK = timedelta(days=7)
# The list of a day may grow for this long after its end.
LAST_LOOK_AT_A_DAY = timedelta(days=2)
# An overdue list, which should be complete but is not, is fetched less and less often. While its season runs, the wait
# is _WAIT_SHARE of the time for which it is overdue. Afterwards it is all of that time, but never longer than this.
LONGEST_WAIT = timedelta(days=30)
_WAIT_SHARE = 0.25
# Schedules are fetched at least this often in the play-offs, whose games are listed only a few days ahead.
_IN_PLAYOFFS = timedelta(hours=6)


def over_at(dataset: Dataset, last_day: date) -> datetime:
    """The end of a list's period: of its month or season, or the time at which the games of its day should be final."""
    midnight = seasons.eastern_midnight(last_day + timedelta(days=1))
    return midnight + dataset.due_after if dataset.per == "date" else midnight


def settled_wholeness(
    dataset: Dataset, first_day: date, last_day: date, verdict: Verdict, taken: datetime
) -> Wholeness:
    """How complete a list is, given its verdict: at best partial if it was taken before the end of its period."""
    if verdict.wholeness is Wholeness.WHOLE and taken < over_at(dataset, last_day):
        return Wholeness.PARTIAL
    return verdict.wholeness


def next_look(
    dataset: Dataset, season: str, last_day: date, verdict: Verdict, taken: datetime, final_after: timedelta
) -> datetime | None:
    """When a list that was taken at `taken` is fetched again; None if it is final.

    A game should be final `final_after` its start. The list is fetched again after each such time, unless it already
    shows the game as final.
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
    share = 1 if taken >= seasons.over_at(season) else _WAIT_SHARE
    return min([taken + max(refresh, min(waited * share, LONGEST_WAIT)), *coming])


def why_not_final(dataset: Dataset, last_day: date, taken: datetime) -> str:
    """The reason for fetching a list again in which no entry is open."""
    over, on = over_at(dataset, last_day), f"taken on {utc(taken)}"
    if taken < over:
        period = {"date": "day", "month": "month"}.get(dataset.per, "season")
        return f"{on}, before the {period} was over"
    return f"{on}; more may be listed until {_grows_until(dataset, last_day):%Y-%m-%d}, some days after its end"


def expected_ends(games: Iterable[Game], final_after: timedelta) -> list[datetime]:
    """When each game that is still open should be final. A game without a start time may begin until its day ends."""
    return [
        (game.start or seasons.eastern_midnight(game.day + timedelta(days=1))) + final_after
        for game in games
        if not game.status.settled
    ]


def awaited_again(dataset: Dataset, season: str, asked: datetime) -> datetime | None:
    """When to request a list again that its source did not have at `asked` but may still publish.

    None if the source will not publish it any more, so that its answer is evidence of absence: some days after the
    season's end, and always for the file of a game and for a dataset without `refresh`.
    """
    if dataset.per == "game" or dataset.refresh is None or asked >= seasons.over_at(season) + LAST_LOOK:
        return None
    return asked + _while_it_grows(dataset, dataset.refresh, season, asked)


def published_by(dataset: Dataset, season: str, last_day: date) -> datetime:
    """The time by which a source should have published a list.

    Sources publish a list by its first game. That game is in the first month of a season that has games, or in the
    list's own period, so that the end of this month or period is the latest time.
    """
    return seasons.first_month_over_at(season) if dataset.per == "season" else over_at(dataset, last_day)


def games_final_after(config: Config, schedule: str) -> timedelta:
    """The time after its start at which a game should be final in a schedule: when its first file is due."""
    return min((d.due_after for d in config.datasets.values() if d.schedule == schedule), default=GAME_LENGTH)


def _grows_until(dataset: Dataset, last_day: date) -> datetime:
    """The time until which entries may be added to a list."""
    return over_at(dataset, last_day) + (LAST_LOOK_AT_A_DAY if dataset.per == "date" else LAST_LOOK)


def _while_it_grows(dataset: Dataset, refresh: timedelta, season: str, taken: datetime) -> timedelta:
    """The interval at which a growing list is fetched: `refresh`, or less for a schedule in the play-offs."""
    in_playoffs = dataset.lists_games and taken >= seasons.playoffs_begin(season)
    return min(refresh, _IN_PLAYOFFS) if in_playoffs else refresh
