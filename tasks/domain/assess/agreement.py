"""Do the sources list the same games?

The number of final games is compared for each day of the running season. A schedule that lists fewer of them than
another source's is fetched again. The source with the most games may be the wrong one, so that after some looks that
change nothing the difference is only reported.
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

_LOOKS, _OVER = 3, timedelta(hours=24)  # a difference that remains after 3 looks over 24 hours is only reported
_AFTER_THE_SEASON = timedelta(days=14)  # schedules are compared until this long after the season's end
# Only types of games that all sources list: preseason and all-star games are not compared.
_COMPARED = frozenset({"regular", "playoffs", "play-in", "cup-final"})


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A schedule, named by its key, that lists fewer final games of a day than another source's."""

    key: str
    day: date
    what: str  # the difference in words
    first: datetime  # when the difference was first seen
    taken: datetime  # when the version that was compared last was taken from its source
    looks: int = 0  # how often the schedule was fetched since the difference was first seen
    richer: str = ""  # the schedule dataset that lists the most games

    def next_look(self) -> datetime | None:
        """When to fetch the schedule again: at once, then at even intervals over _OVER; None after the last look."""
        if self.looks >= _LOOKS and self.taken >= self.first + _OVER:
            return None
        return self.first + _OVER * min(self.looks, _LOOKS - 1) / (_LOOKS - 1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences that exist now (`found`), and the former ones that are gone (`mended`)."""

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
    """Compares the schedules of the running season, or of the last one for some days after its end.

    `examined` has what was found in each schedule of the lake, and `taken` when it was taken from its source, both by
    key. `games` has the games that each schedule dataset lists, and `known` the differences that were seen before. A
    day is compared only between schedules that were taken after its games should have been final. If the dataset that
    listed the most games cannot be compared now, a known difference is kept until its schedule is taken again.
    """
    season, known = seasons.current_season(now), list(known)
    if now >= seasons.over_at(season) + _AFTER_THE_SEASON:
        return Comparison([], known)
    counts, with_all_stars = _final_games(games, season)
    days = {day for _, day in counts} - with_all_stars
    keys: dict[date, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for cell in (c for c in schedules if c.season == season and c.key in taken):
        if examined[cell.key].verdict.wholeness is not Wholeness.BAD:
            for day in _days_covered(cell, days, taken[cell.key] - games_final_after(config, cell.dataset)):
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
    rest = {key_and_day: one for key_and_day, one in before.items() if key_and_day not in unmended}
    mended = [one for at, one in rest.items() if one.richer in compared.get(at, ()) or one.day < first_day]
    others = [one for one in rest.values() if one not in mended]
    return Comparison(found + untouched(others, taken), mended)


def untouched(known: Iterable[Disagreement], taken: Mapping[str, datetime]) -> list[Disagreement]:
    """The differences whose schedule has not been taken again since it was compared last."""
    return [one for one in known if one.key in taken and taken[one.key] <= one.taken]


def trusted(known: Iterable[Disagreement], horizon: datetime) -> list[Disagreement]:
    """The differences whose times are not after the horizon. Others come from a wrong clock, and are dropped."""
    return [one for one in known if max(one.first, one.taken) <= horizon]


def by_key(disagreements: Iterable[Disagreement]) -> dict[str, list[Disagreement]]:
    """The differences grouped by the key of their schedule."""
    found: dict[str, list[Disagreement]] = defaultdict(list)
    for disagreement in disagreements:
        found[disagreement.key].append(disagreement)
    return found


def _seen(before: Disagreement | None, one: Disagreement) -> Disagreement:
    """A difference that exists now, with its history if it is the same as before."""
    if before is None or before.what != one.what:
        return one
    return replace(before, taken=one.taken, looks=before.looks + 1) if one.taken > before.taken else before


def _days_covered(cell: Cell, days: set[date], until: datetime) -> Iterable[date]:
    """The days that a schedule covers and that had ended at `until`."""
    last = min(cell.last_day, seasons.eastern_day(until) - timedelta(days=1))
    if cell.first_day == cell.last_day:
        return days & {cell.first_day} if last == cell.first_day else ()
    return (day for day in days if cell.first_day <= day <= last)


def _final_games(games: Mapping[str, Iterable[Game]], season: str) -> tuple[dict[tuple[str, date], int], set[date]]:
    """The number of final games by dataset and day, and the days on which some dataset lists an all-star game."""
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
