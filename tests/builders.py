"""Valid objects with defaults, so that a test states only its difference."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from config.load import load_config
from config.models import Config
from tasks.domain.expected import Cell
from tasks.domain.games import Game, GameStatus
from tasks.domain.plan import Gap
from tasks.domain.states import Kind, LakeObject

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def a_config(**sections: Any) -> Config:
    """The default configuration, with whole sections replaced: a_config(enabled=False)."""
    return load_config(env={}).model_copy(update=sections)


def a_game(**change: Any) -> Game:
    """A final game of two days ago."""
    start = datetime(2026, 1, 14, 0, 30, tzinfo=UTC)
    return replace(Game("401810001", date(2026, 1, 13), start, GameStatus.FINAL, "2025-26", "regular"), **change)


def a_cell(**change: Any) -> Cell:
    """The box score of that game."""
    game = a_game()
    assert game.start is not None
    cell = Cell(
        key="espn_box_scores/401810001.json",
        dataset="espn_summary",
        season="2025-26",
        first_day=game.day,
        last_day=game.day,
        due_at=game.start + timedelta(hours=4),
        request="/summary?event=401810001",
        fields={"id": game.id},
        game=game,
    )
    return replace(cell, **change)


def a_board(**change: Any) -> Cell:
    """The scoreboard of the day of that game."""
    day = date(2026, 1, 13)
    board = Cell(
        key="espn_schedules/20260113.json",
        dataset="espn_scoreboard",
        season="2025-26",
        first_day=day,
        last_day=day,
        due_at=datetime(2026, 1, 14, 9, tzinfo=UTC),
        request="/scoreboard?dates=20260113",
        fields={"date": "2026-01-13"},
    )
    return replace(board, **change)


def an_object(**change: Any) -> LakeObject:
    return replace(LakeObject("key", 100_000, NOW - timedelta(hours=1), "etag"), **change)


def a_gap(n: int = 0, **change: Any) -> Gap:
    """A missing box score; different numbers are different games."""
    name = f"4018{n:05}"
    cell = a_cell(key=f"espn_box_scores/{name}.json", request=f"/summary?event={name}")
    return replace(Gap(cell, Kind.MISSING, "not in the lake", NOW), **change)
