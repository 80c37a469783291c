"""How many files will the schedules list that are not in the lake yet? An estimate."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from config.models import Config
from tasks.domain.assess.overview import Counts
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.assess.unknown import Unknown
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell, Partition, Selection
from tasks.domain.expected.collected import collected
from tasks.domain.expected.usual_games import usual_games

_ENOUGH = 100  # usual games of the known days of a season from which the others are estimated
_NOT_THERE = (Kind.MISSING, Kind.VANISHED, Kind.UNDERSIZED, Kind.INVALID)


def estimate_unlisted(
    config: Config,
    unknown: Iterable[Unknown],
    statuses: Mapping[str, Status],
    counts: Counts,
    selection: Selection,
    now: datetime,
    others: Iterable[Cell] = (),
) -> dict[Partition, int]:
    """The number of files that are due and that schedules will list once they are in the lake, by partition.

    `statuses` are those of the schedules, `counts` are of the files that known schedules list, and `others` are all
    files of whole seasons that are not selected. A season is estimated from its own days that are known, if they are
    enough; else from the nearest season of which enough is known; else from the usual number of games.
    """
    schedules: dict[Partition, list[Cell]] = defaultdict(list)
    for part in unknown:
        schedules[Partition(part.dataset, part.season)].append(part.schedule)
    lacking = {of: [cell for cell in cells if _will_list(statuses[cell.key])] for of, cells in schedules.items()}
    if not any(lacking.values()):
        return {}
    usual = _UsualGames(config, selection, now)
    known = {
        partition: files / games
        for partition, files in _count_files(counts).items()
        if (games := usual.of_season(partition) - usual.of_days(partition, schedules.get(partition, ()))) >= _ENOUGH
    }
    everything = _UsualGames(config, Selection(), now)
    for partition, files in Counter(cell.partition for cell in others).items():
        if (games := everything.of_season(partition)) >= _ENOUGH:
            known.setdefault(partition, files / games)
    found: dict[Partition, int] = {}
    for partition, cells in lacking.items():
        files_per_game = _nearest(known, partition)
        if files_per_game is None:
            files_per_game = len(config.datasets[partition.dataset].keys)
        if files := round(usual.of_days(partition, cells) * files_per_game):
            found[partition] = files
    return found


def _will_list(schedule: Status) -> bool:
    """Does a schedule with this status list games once it is fetched? One that its source does not have does not."""
    return schedule.state is not State.UNAVAILABLE and schedule.kind in _NOT_THERE


def _count_files(counts: Counts) -> dict[Partition, int]:
    files: Counter[Partition] = Counter()
    for place, standings in counts.items():
        files[Partition(place.dataset, place.season)] += sum(standings.values())
    return files


def _nearest(known: Mapping[Partition, float], partition: Partition) -> float | None:
    """The files per usual game of the nearest season of the same dataset that is known."""
    year = seasons.start_year(partition.season)
    same = [other for other in known if other.dataset == partition.dataset]
    nearest = min(same, key=lambda other: abs(seasons.start_year(other.season) - year), default=None)
    return known[nearest] if nearest else None


class _UsualGames:
    """The usual number of games of which files are due, within what is selected and collected."""

    def __init__(self, config: Config, selection: Selection, now: datetime):
        self._now = now
        lake = collected(config)
        self._since = max(filter(None, (selection.since, lake.since)), default=date.min)
        self._until: dict[str, date] = {}
        self._types: dict[str, frozenset[str] | None] = {}  # None: no type is collected
        for name, dataset in config.datasets.items():
            ended = seasons.eastern_day(now - dataset.due_after) - timedelta(days=1)
            self._until[name] = min(ended, selection.until or ended)
            lists = config.datasets[dataset.schedule].typical.season_types if dataset.schedule else ()
            limits = [frozenset(types) for types in (lists, dataset.season_types, lake.settings.season_types) if types]
            self._types[name] = (frozenset.intersection(*limits) or None) if limits else frozenset()

    def of_season(self, partition: Partition) -> float:
        """Of a season that is over; 0 for the current one, of which schedules list games that are not due yet."""
        if self._now < seasons.over_at(partition.season):
            return 0.0
        return self._between(partition, *seasons.window(partition.season))

    def of_days(self, partition: Partition, schedules: Iterable[Cell]) -> float:
        """Of the days of some schedules."""
        return sum(self._between(partition, cell.first_day, cell.last_day) for cell in schedules)

    def _between(self, partition: Partition, first: date, last: date) -> float:
        types = self._types[partition.dataset]
        if types is None:
            return 0.0
        last = min(last, self._until[partition.dataset])
        return usual_games(partition.season, max(first, self._since), last, types)
