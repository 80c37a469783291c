"""Which schedule lists which game?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from sys import intern

import sqlalchemy as sa

from tasks.domain.expected.games import Game, GameStatus
from tasks.ledger.database import Database, UtcSeconds, among, columns, metadata, moment

games_table = sa.Table(
    "games",
    metadata,
    sa.Column("schedule", sa.String, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("game", sa.String, nullable=False, index=True),
    sa.Column("day", sa.String, nullable=False),
    sa.Column("start", UtcSeconds),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("season", sa.String, nullable=False),
    sa.Column("season_type", sa.String, nullable=False),
    sa.Column("if_necessary", sa.Boolean, nullable=False),
    sqlite_with_rowid=False,
)
_STATUSES = {status.value: status for status in GameStatus}
_day = lru_cache(maxsize=20_000)(date.fromisoformat)


@dataclass(frozen=True, slots=True)
class Games:
    """The games that the schedules in the lake list, by the key of the schedule and the position in it."""

    database: Database

    def entries(self, games: Iterable[str]) -> dict[str, tuple[Game, ...]]:
        """What all schedules in the lake say of these games, by the key of the schedule."""
        games = list(games)
        return self.database.read(
            lambda connection: self.listed(connection, among(connection, games_table.c.game, games))
        )

    def listed(self, connection: sa.Connection, *chosen: sa.ColumnElement[bool]) -> dict[str, tuple[Game, ...]]:
        """The games by the key of their schedule, in an open transaction: those that meet all conditions."""
        table = games_table.c
        query = sa.select(*(column for column in table if column.name != "place")).where(*chosen)
        found: dict[str, list[Game]] = {}
        ordered = query.order_by(table.schedule, table.place)
        for keys, ids, days, starts, statuses, seasons, types, if_necessary in columns(connection, ordered):
            entries = map(
                Game,
                ids,
                map(_day, days),
                map(moment, starts),
                map(_STATUSES.__getitem__, statuses),
                map(intern, seasons),
                map(intern, types),
                map(bool, if_necessary),
            )
            for schedule, some in groupby(zip(keys, entries, strict=True), itemgetter(0)):
                found.setdefault(schedule, []).extend(map(itemgetter(1), some))
        return {schedule: tuple(games) for schedule, games in found.items()}

    def of_seasons(self, schedules: Iterable[str], seasons: Iterable[str]) -> dict[str, tuple[Game, ...]]:
        """All entries, in some schedules, of the games that any of these lists in one of some seasons, by schedule."""
        schedules, table = list(schedules), games_table.c

        def read(connection: sa.Connection) -> dict[str, tuple[Game, ...]]:
            listed = among(connection, table.schedule, schedules)
            chosen = sa.select(table.game).where(listed, table.season.in_(list(seasons)))
            games = set(connection.execute(chosen).scalars())
            return self.listed(connection, listed, among(connection, table.game, games))

        return self.database.read(read)

    def schedules_that_list(self, game: str) -> list[str]:
        """The keys of the schedules in the lake that list a game."""
        query = sa.select(games_table.c.schedule).where(games_table.c.game == game).distinct()
        return self.database.read(lambda connection: list(connection.execute(query).scalars()))

    def write(self, connection: sa.Connection, listed: Mapping[str, Iterable[Game]]) -> None:
        """Records the games that schedules list, in an open transaction. They replace those that were recorded."""
        connection.execute(games_table.delete().where(among(connection, games_table.c.schedule, listed)))
        entries = [
            {
                "schedule": schedule,
                "place": place,
                "game": game.id,
                "day": game.day.isoformat(),
                "start": game.start,
                "status": game.status.value,
                "season": game.season,
                "season_type": game.season_type,
                "if_necessary": game.if_necessary,
            }
            for schedule, games in listed.items()
            for place, game in enumerate(games)
        ]
        self.database.insert(connection, games_table, entries)
