"""For which datasets and seasons is it unknown which files the lake should hold?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tasks.domain.assess.periods import span
from tasks.domain.assess.states import State, Status
from tasks.domain.expected.cells import Cell
from tasks.domain.reasons import Limit

_NAMED = 5  # a JSON document names at most this number of schedules for each dataset and season


class MayListMore(Protocol):
    """A schedule that is not known and may list more files of a dataset."""

    @property
    def dataset(self) -> str:
        """The dataset."""

    @property
    def season(self) -> str:
        """The season of the schedule."""

    @property
    def span(self) -> str:
        """The days of the schedule, as in Place."""

    @property
    def key(self) -> str:
        """The key of the schedule."""


class UnknownSchedule(NamedTuple):
    """What is recorded of an Unknown."""

    dataset: str
    season: str
    span: str
    key: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The games of a dataset in a season, month or day whose schedule is not known."""

    dataset: str
    schedule: Cell

    @property
    def season(self) -> str:
        """The season of the schedule."""
        return self.schedule.season

    @property
    def span(self) -> str:
        """The days of the schedule, as in Place."""
        return span(self.schedule.first_day, self.schedule.last_day)

    @property
    def key(self) -> str:
        """The key of the schedule."""
        return self.schedule.key

    @property
    def recorded(self) -> UnknownSchedule:
        """What is recorded of it."""
        return UnknownSchedule(self.dataset, self.season, self.span, self.key)


def is_known(schedule: Status) -> bool:
    """Are all games known that a schedule with this status lists so far?

    A schedule that is not due yet lists none, and an operator who marks one unavailable states that it lists none. If
    only the source says that it does not have the page, that proves nothing about the games.
    """
    if schedule.state is State.UNAVAILABLE:
        return schedule.limit is Limit.OPERATOR
    return schedule.state in (State.PRESENT, State.NOT_DUE)


def find_unknown(
    first_seasons: Mapping[str, Mapping[str, str]],
    schedules: Iterable[Cell],
    statuses: Mapping[str, Status],
    read: Collection[str],
) -> tuple[Unknown, ...]:
    """Each dataset of games with each schedule that it needs and that is not known.

    `first_seasons` maps dataset of schedules -> dataset of games -> its first season, as first_seasons_by_schedule
    returns it. `read` has the keys of the schedules whose games are already among the expected files.
    """
    unknown = []
    for cell in schedules:
        status = statuses[cell.key]
        if not (needing := first_seasons.get(cell.dataset)):
            continue
        if is_known(status) and (status.state is not State.PRESENT or cell.key in read):
            continue
        unknown += [Unknown(dataset, cell) for dataset, first in needing.items() if cell.season >= first]
    return tuple(unknown)


def by_season(unknown: Iterable[MayListMore]) -> list[dict[str, Any]]:
    """For JSON: one row for each dataset and season, with the number of unknown schedules and the first few keys."""
    return [
        {
            "dataset": dataset,
            "season": season,
            "needs": [part.key for part in parts[:_NAMED]],
            "schedules": len(parts),
        }
        for (dataset, season), parts in _grouped(unknown).items()
    ]


def by_dataset(unknown: Iterable[MayListMore]) -> list[dict[str, Any]]:
    """For a page: one row for each dataset, as by_season has them, with its seasons."""
    rows: dict[str, dict[str, Any]] = {}
    for of_season in by_season(unknown):
        row = rows.setdefault(of_season["dataset"], of_season | {"seasons": [], "needs": [], "schedules": 0})
        row["seasons"].append(of_season["season"])
        row["needs"] = [*row["needs"], *of_season["needs"]][:_NAMED]
        row["schedules"] += of_season["schedules"]
    return list(rows.values())


def seasons_of(unknown: Iterable[MayListMore]) -> str:
    """In words: "br_boxscore of 2023-24, nba_playbyplay of 30 seasons"; empty if nothing is unknown."""
    seasons: dict[str, list[str]] = {}
    for dataset, season in _grouped(unknown):
        seasons.setdefault(dataset, []).append(season)
    return ", ".join(
        f"{dataset} of {of[0] if len(of) == 1 else f'{len(of)} seasons'}" for dataset, of in seasons.items()
    )


def _grouped(unknown: Iterable[MayListMore]) -> dict[tuple[str, str], list[MayListMore]]:
    groups: dict[tuple[str, str], list[MayListMore]] = {}
    for part in unknown:
        groups.setdefault((part.dataset, part.season), []).append(part)
    return groups
