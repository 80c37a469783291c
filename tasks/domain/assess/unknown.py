"""Of which datasets and seasons is it unknown which files the lake should hold?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.domain.assess.states import State, Status
from tasks.domain.expected.cells import Cell
from tasks.domain.reasons import Limit

_NAMED = 5  # schedules that a document names, of each dataset and season


@dataclass(frozen=True, slots=True)
class Unknown:
    """A dataset's games of a season, month or day, while the schedule that lists them is not known."""

    dataset: str
    schedule: Cell

    @property
    def season(self) -> str:
        return self.schedule.season


def is_known(schedule: Status) -> bool:
    """Are all games known that a schedule in this state lists so far?

    A schedule that is not due yet lists none, and one that an operator has marked unavailable is not to list any. When
    a source says that it has no such page, that proves nothing about the games.
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
    """The datasets of games for which a schedule is not known.

    `first_seasons` has the first season of each dataset of games, by the schedule dataset that it needs, and `read` the
    keys of the schedules whose games are counted.
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


def by_season(unknown: Iterable[Unknown]) -> list[dict[str, Any]]:
    """For JSON, a row for each dataset and season: how many schedules it needs, and the keys of the first few."""
    return [
        {
            "dataset": dataset,
            "season": season,
            "needs": [part.schedule.key for part in parts[:_NAMED]],
            "schedules": len(parts),
        }
        for (dataset, season), parts in _grouped(unknown).items()
    ]


def seasons_of(unknown: Iterable[Unknown]) -> str:
    """ "br_boxscore of 2023-24, nba_playbyplay of 30 seasons"; nothing when all is known."""
    seasons: dict[str, list[str]] = {}
    for dataset, season in _grouped(unknown):
        seasons.setdefault(dataset, []).append(season)
    return ", ".join(
        f"{dataset} of {of[0] if len(of) == 1 else f'{len(of)} seasons'}" for dataset, of in seasons.items()
    )


def _grouped(unknown: Iterable[Unknown]) -> dict[tuple[str, str], list[Unknown]]:
    groups: dict[tuple[str, str], list[Unknown]] = {}
    for part in unknown:
        groups.setdefault((part.dataset, part.season), []).append(part)
    return groups
