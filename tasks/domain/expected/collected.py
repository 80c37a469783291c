"""Which part of what the sources have should the lake hold? The section `collect` of the configuration decides.

A schedule that lists games of a collected dataset is collected with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from config.models import Collect, Config
from config.names import listed
from tasks.domain.expected import seasons
from tasks.domain.wording import plural


@dataclass(frozen=True)
class Collected:
    """What the lake should hold. Each `why_not_…` names the setting that leaves something out, or returns None."""

    settings: Collect
    first_seasons: Mapping[str, str]  # of each collected dataset, by name
    sources: Mapping[str, str]  # the source of every dataset, by name
    chosen: frozenset[str]  # the datasets that are collected for their own sake
    since: date | None

    def overlaps(self, season: str, last_day: date) -> bool:
        """Are any days of the season up to this one collected?"""
        chosen = self.settings.seasons
        return (self.since is None or last_day >= self.since) and (not chosen or season in chosen)

    def why_not_source(self, source: str) -> str | None:
        """Why nothing of a source is collected."""
        if self.settings.sources and source not in self.settings.sources:
            return self._is("sources")
        is_left_out = self.settings.datasets and all(self.sources[name] != source for name in self.first_seasons)
        return self._is("datasets") if is_left_out else None

    def why_not_dataset(self, dataset: str) -> str | None:
        """Why a dataset is not collected."""
        if dataset in self.first_seasons:
            return None
        return self.why_not_source(self.sources[dataset]) or self._is("datasets")

    def why_not_season(self, season: str) -> str | None:
        """Why no day of a season is collected."""
        return self.why_not_day(season, seasons.window(season)[1])

    def why_not_day(self, season: str, last_day: date) -> str | None:
        """Why no day of a season up to this one is collected."""
        if self.since and last_day < self.since:
            return self._is("since")
        return None if self.overlaps(season, last_day) else self._is("seasons")

    def why_not_type(self, season_type: str) -> str | None:
        """Why games of a type are not collected."""
        types = self.settings.season_types
        return self._is("season_types") if types and season_type not in types else None

    def in_words(self, config: Config) -> str:
        """What is collected: "5 datasets of espn and nba_api since 2015-16, only regular and playoffs games"."""
        sources = [name for name in config.sources if self.why_not_source(name) is None]
        words = f"{plural(len(self.first_seasons), 'dataset')} of {listed(sources)}"
        begin = f"since {self.settings.since or min(self.first_seasons.values())}"
        words += f" in {listed(self.settings.seasons)}" if self.settings.seasons else f" {begin}"
        types = self.settings.season_types
        return f"{words}, only {listed(types)} games" if types else words

    def _is(self, field: str) -> str:
        value = getattr(self.settings, field)
        return f"collect.{field} is {', '.join(value) if isinstance(value, list) else value}"


def collected(config: Config) -> Collected:
    """What the lake should hold by this configuration."""
    collect, since = config.collect, first_day(config.collect)
    earliest = seasons.season_of(since) if since else ""
    chosen = {name for name, dataset in config.datasets.items() if collect.chooses(name, dataset.source)}
    needed: dict[str, list[str]] = {}
    for name in chosen:
        if schedule := config.datasets[name].schedule:
            needed.setdefault(schedule, []).append(config.datasets[name].first_season)
    first_seasons = {
        name: max(dataset.first_season, earliest, "" if name in chosen else min(needed[name]))
        for name, dataset in config.datasets.items()
        if name in chosen or name in needed
    }
    sources = {name: dataset.source for name, dataset in config.datasets.items()}
    return Collected(collect, first_seasons, sources, frozenset(chosen), since)


def first_day(collect: Collect) -> date | None:
    """The first day that is collected; None if nothing limits it."""
    since = collect.since
    return seasons.window(since)[0] if isinstance(since, str) else since
