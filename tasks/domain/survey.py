"""Where does the whole lake stand?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from config.models import Config
from tasks.domain.expected import Cell, Selection, calendar_cells, game_cells
from tasks.domain.games import Game
from tasks.domain.plan import Gap
from tasks.domain.states import LakeObject, State, Status, count_states, state_of
from tasks.domain.verdicts import Verdict


@dataclass(frozen=True)
class Survey:
    """The state of every selected cell at one moment, by key."""

    cells: Mapping[str, Cell]
    statuses: Mapping[str, Status]
    taken_at: datetime

    def gaps(self, first_seen: Mapping[str, datetime]) -> list[Gap]:
        """The gaps, each with when it was first seen: now, if never before."""
        return [
            Gap(self.cells[key], status.kind, status.reason, first_seen.get(key, self.taken_at))
            for key, status in self.statuses.items()
            if status.state is State.GAP and status.kind is not None
        ]

    def counts(self, overrides: Mapping[str, State] | None = None) -> dict[str, int]:
        """Cells by state, adding up to the total; `overrides` are states that a plan or a run gives to gaps."""
        overrides = overrides or {}
        return count_states(overrides.get(key, status.state) for key, status in self.statuses.items())


def expected_cells(
    config: Config, games_by_schedule: Mapping[str, Iterable[Game]], selection: Selection, now: datetime
) -> dict[str, Cell]:
    """All selected cells by key: those of the calendar, and those of the games that each schedule dataset lists."""
    cells = {
        cell.key: cell
        for cell in calendar_cells(config, now, selection)
        if selection.has(cell.dataset, config.datasets[cell.dataset])
    }
    for schedule, games in games_by_schedule.items():
        for cell in game_cells(config, schedule, games, selection):
            cells[cell.key] = cell
    return cells


def listed_games(config: Config, schedules: Iterable[Cell], verdicts: Mapping[str, Verdict]) -> dict[str, list[Game]]:
    """The games of each schedule dataset, each once: as final, where two of its files tell of it differently."""
    games: dict[str, dict[str, Game]] = defaultdict(dict)
    for cell in schedules:
        if not config.datasets[cell.dataset].lists_games or cell.key not in verdicts:
            continue
        known = games[cell.dataset]
        for game in verdicts[cell.key].games:
            other = known.get(game.id)
            if other is None or not other.status.settled or game.status.value == "final":
                known[game.id] = game
    return {schedule: list(by_id.values()) for schedule, by_id in games.items()}


def take_survey(
    config: Config,
    cells: Mapping[str, Cell],
    objects: Mapping[str, LakeObject],
    verdicts: Mapping[str, Verdict],
    fetched: Mapping[str, datetime],
    now: datetime,
) -> Survey:
    """The one state of each cell; see states.state_of."""
    statuses = {
        key: state_of(cell, config.datasets[cell.dataset], objects.get(key), verdicts.get(key), fetched.get(key), now)
        for key, cell in cells.items()
    }
    return Survey(cells, statuses, now)
