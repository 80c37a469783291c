"""What is known of seasons outside of a selection, so that the selected ones can be estimated from them?"""

from __future__ import annotations

from collections.abc import Collection

from tasks.domain.assess.assessment import listed_games
from tasks.domain.assess.unknown import Unknown
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell, Selection, calendar_cells, game_cells
from tasks.domain.expected.collected import collected
from tasks.observe.knowledge import Knowledge
from tasks.observe.session import Session


def files_of_other_seasons(session: Session, known: Knowledge, unknown: Collection[Unknown]) -> dict[str, Cell]:
    """The files of games of another season, by key: for each dataset of schedules, of the nearest whole season.

    A season is whole here if it is over and all its schedules are in the lake and were read. There are none if the
    selection is not limited to seasons or days, since what it contains is known already.
    """
    if session.selection.has_whole_partitions or not known.objects:
        return {}
    found: dict[str, Cell] = {}
    for schedule in {part.schedule.dataset for part in unknown}:
        parts = [part for part in unknown if part.schedule.dataset == schedule]
        found |= _files_of_nearest(session, known, schedule, parts)
    return found


def _files_of_nearest(
    session: Session, known: Knowledge, schedule: str, unknown: Collection[Unknown]
) -> dict[str, Cell]:
    config, now = session.config, session.now()
    lacking = {part.season for part in unknown}
    year = seasons.start_year(max(lacking))
    all_seasons = seasons.seasons_between(collected(config).first_seasons[schedule], seasons.current_season(now))
    others = sorted(set(all_seasons) - lacking, key=lambda other: abs(seasons.start_year(other) - year))
    by_season: dict[str, list[Cell]] = {season: [] for season in others}
    for cell in calendar_cells(config, now, Selection(datasets=(schedule,))):
        if cell.season in by_season:
            by_season[cell.season].append(cell)
    for season, cells in by_season.items():
        if now < seasons.over_at(season) or not all(cell.key in known.objects for cell in cells):
            continue
        examined = session.ledger.objects.examined([cell.key for cell in cells])
        if all((seen := examined.get(cell.key)) and seen.is_of(known.objects[cell.key]) for cell in cells):
            games = listed_games(config, cells, {key: seen.verdict for key, seen in examined.items()})
            wanted = Selection(datasets=tuple({part.dataset for part in unknown}))
            return {cell.key: cell for cell in game_cells(config, schedule, games.get(schedule, ()), now, wanted)}
    return {}
