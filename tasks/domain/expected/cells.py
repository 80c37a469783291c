"""Which files should the lake hold?

There are two levels: schedules follow from the calendar, and games follow from the schedules in the lake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, NamedTuple

from config.models import YEARS, Config, Dataset
from config.names import suggestion_or_list
from tasks.domain.errors import SelectionError
from tasks.domain.expected import seasons
from tasks.domain.expected.collected import Collected, collected
from tasks.domain.expected.games import Game, GameStatus, was_not_needed
from tasks.domain.expected.keys import KeyPatterns, keys_of
from tasks.domain.flags.rollouts import scraper_of, scrapers, variant_of


class Partition(NamedTuple):
    """The files of one dataset and season."""

    dataset: str
    season: str


class Cell(NamedTuple):
    """One file that the lake should hold. Cells with the same `request` come from one response."""

    key: str
    dataset: str
    season: str
    first_day: date
    last_day: date
    due_at: datetime
    url: str  # template of the request: of a path and query, or of a command line
    fields: Mapping[str, str]  # the values for the templates
    game: Game | None = None
    cost: int = 1  # number of requests to the source that the response takes
    variant: str = ""  # the name of the rollout that has reached the cell, or ""
    place: int = 0  # position of its key among the keys of its dataset

    @property
    def scraper(self) -> str:
        """The name of the scraper that fetches the file; rollouts.scrapers has its settings."""
        return scraper_of(self.dataset, self.variant)

    @property
    def partition(self) -> Partition:
        """The partition that the file belongs to."""
        return Partition(self.dataset, self.season)

    @property
    def rollout_unit(self) -> str:
        """The name by which a rollout reaches the file: the same for all files that come with one response."""
        return _rollout_unit(self.dataset, self.first_day, self.fields)

    @property
    def request(self) -> str:
        """The path and query to append to the source's base URL, or a command line."""
        return self.url.format_map(self.fields)

    @property
    def work(self) -> str:
        """The name of the unit of work that a run claims. Cells with the same `work` come from one response."""
        return f"{self.dataset} {self.request}"


# Makes a cell of all its fields. It takes half the time of Cell's own constructor, which is not written in C.
_cell: Callable[[tuple[Any, ...]], Cell] = partial(tuple.__new__, Cell)


@dataclass(frozen=True)
class Selection:
    """The part of the lake that a command is limited to. An empty field does not limit it."""

    sources: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    seasons: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    keys: tuple[str, ...] = ()

    def check(self, config: Config, now: datetime) -> None:
        """Raises SelectionError for an unknown name, season or year, and for a selection that can contain no file."""
        if now.year not in YEARS:
            raise SelectionError(
                f"the clock says {now.isoformat()}; the seasons are known from {YEARS[0]} to {YEARS[-1]}"
            )
        for what, asked, known in (
            ("source", self.sources, config.sources),
            ("dataset", self.datasets, config.datasets),
        ):
            for name in asked:
                if name not in known:
                    several = name.split(",")
                    hint = suggestion_or_list(name, known, "there are")
                    if set(several) <= set(known):
                        hint = f"repeat the option: {' '.join(f'--{what} {one}' for one in several)}"
                    raise SelectionError(f"no {what} {name!r}; {hint}")
        lake = collected(config)
        self._check_collected(lake)
        patterns = KeyPatterns(config)
        for key in self.keys:
            if (found := patterns.dataset_of(key)) is None:
                raise SelectionError(f"no dataset has a key {key!r}; `adce why` shows the nearest one")
            if not self.has(found, config.datasets[found]):
                raise SelectionError(f"{key} belongs to {found}, which was not asked for")
            if why := lake.why_not_dataset(found):
                raise SelectionError(f"{key} is not collected: {why}")
        chosen = {name: dataset for name, dataset in config.datasets.items() if self.has(name, dataset)}
        if missed := [name for name in self.datasets if name not in chosen]:
            raise SelectionError(f"{', '.join(missed)} is no dataset of {', '.join(self.sources)}; leave one out")
        if missed := [name for name in self.sources if all(dataset.source != name for dataset in chosen.values())]:
            lacks = f"none of the datasets {', '.join(self.datasets)}" if self.datasets else "no dataset"
            raise SelectionError(f"{', '.join(missed)} has {lacks}; leave one out")
        if self.since and self.until and self.since > self.until:
            raise SelectionError(f"since {self.since} is after until {self.until}")
        first_seasons = [first for name, first in lake.first_seasons.items() if name in chosen]
        for season in self.seasons:
            try:
                seasons.start_year(season)
            except ValueError as error:
                raise SelectionError(str(error)) from None
            if season > seasons.current_season(now):
                raise SelectionError(f"season {season} has not begun; the current one is {seasons.current_season(now)}")
            if why := lake.why_not_season(season):
                raise SelectionError(f"season {season} is not collected: {why}")
            if all(season < first for first in first_seasons):
                raise SelectionError(f"no files are expected of season {season}; the first is {min(first_seasons)}")
            if not self.overlaps(season, *seasons.window(season)):
                raise SelectionError(f"season {season} has no day{self._days()}")
        if next(calendar_cells(config, now, self), None) is None:
            first, last = min(first_seasons), seasons.current_season(now)
            if first > last:
                day = seasons.eastern_day(now)
                raise SelectionError(f"no files{self._words()} are expected on {day}; the first season is {first}")
            narrowed = f" (collect.seasons: {', '.join(lake.settings.seasons)})" if lake.settings.seasons else ""
            raise SelectionError(f"no files{self._words()} are expected; the seasons are {first} to {last}{narrowed}")

    def _check_collected(self, lake: Collected) -> None:
        """Raises SelectionError, which names the setting, if it selects something that is not collected."""
        for what, names, why_not in (
            ("source", self.sources, lake.why_not_source),
            ("dataset", self.datasets, lake.why_not_dataset),
        ):
            for name in names:
                if why := why_not(name):
                    raise SelectionError(f"{what} {name} is not collected: {why}")
        for day in (self.since, self.until):
            if day and lake.since and day < lake.since:
                raise SelectionError(f"{day} is not collected: collect.since is {lake.settings.since}")

    def _words(self) -> str:
        """The selection in words, with a leading space: " of br_totals of 2023-24 since 2024-07-15"."""
        limits = self.datasets or self.sources, self.seasons
        return "".join(f" of {', '.join(names)}" for names in limits if names) + self._days()

    def _days(self) -> str:
        """The limits of the days in words, with a leading space: " since 2024-07-15 until 2024-08-15"."""
        return "".join(f" {word} {day}" for word, day in (("since", self.since), ("until", self.until)) if day)

    @property
    def in_words(self) -> str:
        """The selection in words: "br_totals 2023-24 since 2024-07-15"; empty for everything."""
        names = (", ".join(some) for some in (self.datasets or self.sources, self.seasons) if some)
        return (" ".join(names) + self._days()).strip()

    @property
    def is_everything(self) -> bool:
        """Does it limit nothing?"""
        return self == Selection()

    @property
    def has_whole_partitions(self) -> bool:
        """Does it select partitions as a whole, by source or dataset only?"""
        return not (self.seasons or self.since or self.until or self.keys)

    def has(self, name: str, dataset: Dataset) -> bool:
        """Is this dataset selected?"""
        return (not self.sources or dataset.source in self.sources) and (not self.datasets or name in self.datasets)

    def overlaps(self, season: str, first_day: date, last_day: date) -> bool:
        """Is any of these days of the season selected?"""
        return (
            (not self.seasons or season in self.seasons)
            and (self.since is None or last_day >= self.since)
            and (self.until is None or first_day <= self.until)
        )


def assume_utc(moment: datetime) -> datetime:
    """A time that a user has given, which is in UTC unless it names another zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def first_seasons_by_schedule(config: Config, selection: Selection) -> dict[str, dict[str, str]]:
    """The first season of each selected dataset of games, by the dataset of the schedules that list its games.

    The result maps dataset of schedules -> dataset of games -> first season.
    """
    needed: dict[str, dict[str, str]] = {}
    for name, first_season in collected(config).first_seasons.items():
        dataset = config.datasets[name]
        if dataset.schedule and selection.has(name, dataset):
            needed.setdefault(dataset.schedule, {})[name] = first_season
    return needed


def selected_datasets(config: Config, selection: Selection) -> dict[str, Dataset]:
    """The collected datasets that are selected, by name, without schedules that are there for other datasets only."""
    wanted = collected(config).chosen.union(selection.datasets)
    return {name: d for name, d in config.datasets.items() if name in wanted and selection.has(name, d)}


def games_from(config: Config, schedule: str, selection: Selection) -> list[str]:
    """The selected datasets of the games that a schedule dataset lists."""
    datasets = selected_datasets(config, selection).items()
    return [name for name, dataset in datasets if dataset.schedule == schedule]


def calendar_cells(config: Config, now: datetime, selection: Selection | None = None) -> Iterator[Cell]:
    """The cells that follow from the calendar: those of every date, month and season up to the current season.

    They include schedules that are not selected themselves but list selected games.
    """
    selection = selection or Selection()
    current = seasons.current_season(now)
    requests = _requests(config)
    needed = first_seasons_by_schedule(config, selection)
    lake = collected(config)
    for name, first_season in lake.first_seasons.items():
        dataset = config.datasets[name]
        if not selection.has(name, dataset):
            if name not in needed:
                continue
            first_season = max(first_season, min(needed[name].values()))
        if dataset.per == "game":
            continue
        for season in seasons.seasons_between(first_season, current):
            if selection.seasons and season not in selection.seasons:
                continue
            for first_day, last_day, fields in _periods(dataset.per, season):
                if selection.overlaps(season, first_day, last_day) and lake.overlaps(season, last_day):
                    due_from = last_day + timedelta(days=1) if dataset.per == "date" else first_day
                    due_at = seasons.eastern_midnight(due_from) + dataset.due_after
                    variant = _variant(config, name, first_day, fields)
                    url, cost = requests[scraper_of(name, variant)]
                    for place, key in enumerate(keys_of(dataset, fields)):
                        yield Cell(
                            key, name, season, first_day, last_day, due_at, url, fields, None, cost, variant, place
                        )


def season_of_fields(fields: Mapping[str, str]) -> str:
    """The season of the files whose keys have these fields. Raises ValueError if there is no such day or season."""
    if day := fields.get("date") or fields.get("yyyymmdd"):
        return seasons.season_of(date.fromisoformat(day))
    if "season" in fields:
        return seasons.season_name(seasons.start_year(fields["season"]))
    return seasons.season_name(int(fields["start_year"]) if "start_year" in fields else int(fields["end_year"]) - 1)


def why_not_expected(dataset: Dataset, fields: Mapping[str, str], now: datetime) -> str:
    """Why the calendar has no cell with these fields, which were read from a well-formed key of the dataset."""
    if dataset.per == "date":
        try:
            day = date.fromisoformat(fields.get("date") or fields["yyyymmdd"])
        except ValueError:
            return "there is no such day"
        return why_no_season(dataset.first_season, day, now) or "its parts are not of one season"
    if "season" in fields:
        year = int(fields["season"][:4])
        if fields["season"] != seasons.season_name(year):
            return f"{fields['season']} is no season; write it as {seasons.season_name(year)}"
    else:
        year = int(fields["start_year"]) if "start_year" in fields else int(fields["end_year"]) - 1
    season = seasons.season_name(year)
    if why := _outside(dataset.first_season, year, now):
        return why
    if dataset.per == "month" and fields["month"] not in (months := seasons.months_of(season)):
        return f"{season} has no month {fields['month']}; its months are {', '.join(months)}"
    return "its parts are not of one season"


def why_no_season(first_season: str, day: date, now: datetime) -> str | None:
    """Why a day lies in no season between the first and the current one; None if it lies in one."""
    if day < seasons.window(first_season)[0]:
        return f"the first season is {first_season}"
    year = seasons.start_year(seasons.season_of(day))
    if why := _outside(first_season, year, now):
        return why
    season, following = seasons.season_name(year), seasons.season_name(year + 1)
    last = seasons.window(season)[1]
    if day <= last:
        return None
    return f"{day} is in no season; {season} ends on {last}, and {following} begins on {seasons.window(following)[0]}"


def _outside(first_season: str, year: int, now: datetime) -> str | None:
    """Why no file is expected of the season that begins in a year; None if files are expected."""
    current = seasons.current_season(now)
    if year < seasons.start_year(first_season):
        return f"the first season is {first_season}"
    if year > seasons.start_year(current):
        return f"{seasons.season_name(year)} has not begun; the current season is {current}"
    return None


def game_cells(
    config: Config, schedule: str, games: Iterable[Game], now: datetime, selection: Selection | None = None
) -> Iterator[Cell]:
    """The cells of games that the dataset `schedule` lists, without games that will not be played."""
    selection = selection or Selection()
    datasets = [(name, config.datasets[name]) for name in games_from(config, schedule, selection)]
    requests = _requests(config)
    lake, types = collected(config), config.collect.season_types
    unplayed = (GameStatus.POSTPONED, GameStatus.CANCELLED)
    today = seasons.eastern_day(now)
    chosen: dict[tuple[str, str], list[tuple[str, Dataset]]] = {}  # the datasets by season and type of a game
    for game in games:
        day, season = game.day, game.season
        if game.status in unplayed or was_not_needed(game, today) or not selection.overlaps(season, day, day):
            continue
        if not lake.overlaps(season, day) or (types and game.season_type not in types):
            continue
        of = season, game.season_type
        if of not in chosen:
            chosen[of] = [(name, dataset) for name, dataset in datasets if _has_games(dataset, *of)]
        fields = {**_season_fields(season), **_day_fields(day), "id": game.id}
        start = game.start or seasons.eastern_midnight(day + timedelta(days=1))
        for name, dataset in chosen[of]:
            due_at = start + dataset.due_after
            variant = _variant(config, name, day, fields) if config.rollout else ""
            url, cost = requests[scraper_of(name, variant) if variant else name]
            for place, key in enumerate(keys_of(dataset, fields)):
                yield _cell((key, name, season, day, day, due_at, url, fields, game, cost, variant, place))


def _has_games(dataset: Dataset, season: str, season_type: str) -> bool:
    """Does a dataset of games have those of this type in this season?"""
    types = dataset.season_types
    return season >= dataset.first_season and (types is None or season_type in types)


def without_rollout(config: Config, cell: Cell) -> Cell:
    """The same cell, with the request that it would have if no rollout had reached it."""
    dataset = config.datasets[cell.dataset]
    return cell._replace(url=dataset.request, cost=dataset.cost, variant="")


def _requests(config: Config) -> dict[str, tuple[str, int]]:
    """The template of the request and its cost in requests to the source, by the name of the scraper."""
    return {scraper: (dataset.request, dataset.cost) for scraper, dataset in scrapers(config).items()}


def _variant(config: Config, name: str, first_day: date, fields: Mapping[str, str]) -> str:
    return variant_of(config, name, _rollout_unit(name, first_day, fields)) if config.rollout else ""


def _rollout_unit(name: str, first_day: date, fields: Mapping[str, str]) -> str:
    return f"{name} {fields.get('id') or first_day.isoformat()}"


def _periods(per: str, season: str) -> Iterator[tuple[date, date, dict[str, str]]]:
    base = _season_fields(season)
    if per == "season":
        yield *seasons.window(season), base
    elif per == "month":
        for month in seasons.months_of(season):
            yield *seasons.days_of_month(season, month), base | {"month": month}
    else:
        for day in seasons.days_of(season):
            yield day, day, base | _day_fields(day)


@lru_cache(maxsize=200)
def _season_fields(season: str) -> dict[str, str]:
    return {"season": season, "start_year": season[:4], "end_year": str(seasons.end_year(season))}


@lru_cache(maxsize=50_000)
def _day_fields(day: date) -> dict[str, str]:
    return {"date": day.isoformat(), "yyyymmdd": day.strftime("%Y%m%d")}
