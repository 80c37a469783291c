"""Do the sources list the same games? Compared by the number of final games of each day of the running season.

The schedule that lists fewer final games of a day than another source's lacks some, and is looked at again. No number
of games is taken for granted, and the source that lists most may be wrong: after some looks that change nothing the
difference is told, and left as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from config.models import Config
from tasks.domain.assess.finality import games_final_after
from tasks.domain.assess.states import Examination
from tasks.domain.assess.verdicts import Wholeness
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell
from tasks.domain.expected.games import Game, GameStatus

_LOOKS, _OVER = 3, timedelta(hours=24)  # a difference that so many looks over so long do not mend is left as it is
_AFTER_THE_SEASON = timedelta(days=14)
# Not all sources list preseason and all-star games.
_COMPARED = frozenset({"regular", "playoffs", "play-in", "cup-final"})


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A schedule, by its key, that lists fewer final games of a day than another source's."""

    key: str
    day: date
    what: str
    first: datetime  # when it was seen first
    taken: datetime  # when the schedule was taken that was compared last
    looks: int = 0  # at the schedule since it was seen first
    richer: str = ""  # the schedule dataset that tells of most

    def next_look(self) -> datetime | None:
        """When to look again: at once, then spread over `_OVER`; None when all looks have been in vain."""
        if self.looks >= _LOOKS and self.taken >= self.first + _OVER:
            return None
        return self.first + _OVER * min(self.looks, _LOOKS - 1) / (_LOOKS - 1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences that there are now, and those of before that are gone."""

    found: list[Disagreement]
    mended: list[Disagreement]


def compare(
    config: Config,
    schedules: Iterable[Cell],
    examined: Mapping[str, Examination],
    taken: Mapping[str, datetime],
    games: Mapping[str, Iterable[Game]],
    known: Iterable[Disagreement],
    now: datetime,
) -> Comparison:
    """The differences there are between the schedules of the running season, or of one that ended lately.

    `examined` and `taken` are what was found in the schedules that the lake has, and when each was taken; `games` are
    those that each dataset lists, and `known` the differences that were seen before. A day counts for a dataset whose
    schedule was taken when the day's games should have been final in it. Where the dataset that tells of most is
    not there to compare with now, what is known of a schedule holds until that is taken again.
    """
    season, known = seasons.current_season(now), list(known)
    if now >= seasons.over_at(season) + _AFTER_THE_SEASON:
        return Comparison([], known)
    counts, with_all_stars = _final_games(games, season)
    days = {day for _, day in counts} - with_all_stars
    keys: dict[date, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for cell in (c for c in schedules if c.season == season and c.key in taken):
        if examined[cell.key].verdict.wholeness is not Wholeness.BAD:
            for day in _days_told(cell, days, taken[cell.key] - games_final_after(config, cell.dataset)):
                keys[day][cell.dataset].append(cell.key)
    before = {(one.key, one.day): one for one in known}
    found = []
    for day, datasets in keys.items():
        by_count = {dataset: counts[dataset, day] for dataset in datasets}
        richest = max(by_count, key=lambda dataset: by_count[dataset])
        for dataset, count in by_count.items():
            if count < by_count[richest]:
                what = f"{_games(count)} on {day}, and {richest} has {by_count[richest]}"
                for key in datasets[dataset]:
                    found.append(
                        _seen(before.get((key, day)), Disagreement(key, day, what, now, taken[key], 0, richest))
                    )
    first_day, _ = seasons.window(season)
    compared = {(key, day): datasets.keys() for day, datasets in keys.items() for of in datasets.values() for key in of}
    unmended = {(one.key, one.day) for one in found}
    rest = {place: one for place, one in before.items() if place not in unmended}
    mended = [one for place, one in rest.items() if one.richer in compared.get(place, ()) or one.day < first_day]
    others = [one for one in rest.values() if one not in mended]
    return Comparison(found + untouched(others, taken), mended)


def untouched(known: Iterable[Disagreement], taken: Mapping[str, datetime]) -> list[Disagreement]:
    """Those whose schedule has not been taken again since they were seen last."""
    return [one for one in known if one.key in taken and taken[one.key] <= one.taken]


def believed(known: Iterable[Disagreement], horizon: datetime) -> list[Disagreement]:
    """Those whose times do not lie after the horizon: under a wrong clock, no look was one too many."""
    return [one for one in known if max(one.first, one.taken) <= horizon]


def by_key(disagreements: Iterable[Disagreement]) -> dict[str, list[Disagreement]]:
    found: dict[str, list[Disagreement]] = defaultdict(list)
    for disagreement in disagreements:
        found[disagreement.key].append(disagreement)
    return found


def _seen(before: Disagreement | None, one: Disagreement) -> Disagreement:
    """A difference that is there now, with what is known of it if it was there before."""
    if before is None or before.what != one.what:
        return one
    return replace(before, taken=one.taken, looks=before.looks + 1) if one.taken > before.taken else before


def _days_told(cell: Cell, days: set[date], until: datetime) -> Iterable[date]:
    """Which of these days are in a schedule and had ended by then."""
    last = min(cell.last_day, seasons.eastern_day(until) - timedelta(days=1))
    if cell.first_day == cell.last_day:
        return days & {cell.first_day} if last == cell.first_day else ()
    return (day for day in days if cell.first_day <= day <= last)


def _final_games(games: Mapping[str, Iterable[Game]], season: str) -> tuple[dict[tuple[str, date], int], set[date]]:
    """How many games of a day are final by each dataset, and the days that some source has all-star games on."""
    counts: dict[tuple[str, date], int] = defaultdict(int)
    with_all_stars = set()
    for dataset, listed in games.items():
        for game in listed:
            if game.season != season:
                continue
            if game.season_type == "all-star":
                with_all_stars.add(game.day)
            if game.status is GameStatus.FINAL and game.season_type in _COMPARED:
                counts[dataset, game.day] += 1
    return counts, with_all_stars


def _games(count: int) -> str:
    return "1 final game" if count == 1 else f"{count} final games"
