"""Valid objects with defaults, so that a test states only what differs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count, islice, product
from typing import Any

from arro3.core import Array, DataType, RecordBatch

from config.load import load_config
from config.models import Config, Priority
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind, LakeObject
from tasks.domain.expected.cells import Cell
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.metrics import CATALOGUE, DATASET, SOURCE, Distribution, Histogram, Measured, Metric
from tasks.domain.plan.plan import Fill
from tasks.domain.plan.scoring import Score

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@cache
def _defaults() -> Config:
    return load_config(env={})


def a_config(**sections: Any) -> Config:
    """The default configuration, with the given top-level fields replaced: a_config(enabled=False)."""
    return _defaults().model_copy(update=sections)


def a_game(**change: Any) -> Game:
    """A final game two days before NOW."""
    start = datetime(2026, 1, 14, 0, 30, tzinfo=UTC)
    return Game("401810001", date(2026, 1, 13), start, GameStatus.FINAL, "2025-26", "regular")._replace(**change)


def a_cell(**change: Any) -> Cell:
    """The cell of the ESPN box score of `a_game()`."""
    game = a_game()
    assert game.start is not None
    cell = Cell(
        key="espn_box_scores/401810001.json",
        dataset="espn_summary",
        season="2025-26",
        first_day=game.day,
        last_day=game.day,
        due_at=game.start + timedelta(hours=4),
        url="/summary?event={id}",
        fields={"id": game.id},
        game=game,
    )
    return cell._replace(**change)


def a_board(**change: Any) -> Cell:
    """The cell of the ESPN scoreboard of the day of `a_game()`."""
    day = date(2026, 1, 13)
    board = Cell(
        key="espn_schedules/20260113.json",
        dataset="espn_scoreboard",
        season="2025-26",
        first_day=day,
        last_day=day,
        due_at=datetime(2026, 1, 14, 9, tzinfo=UTC),
        url="/scoreboard?dates=20260113",
        fields={"date": "2026-01-13"},
    )
    return board._replace(**change)


def an_object(**change: Any) -> LakeObject:
    return LakeObject("key", 100_000, NOW - timedelta(hours=1), "etag")._replace(**change)


def a_gap(n: int = 0, **change: Any) -> Gap:
    """A gap of a missing box score; each number `n` is another game."""
    name = f"4018{n:05}"
    cell = a_cell(key=f"espn_box_scores/{name}.json", url=f"/summary?event={name}")
    return replace(Gap(cell, Kind.MISSING, "not in the lake", NOW), **change)


_DATASETS = {"espn": "espn_summary", "nba_api": "nba_playbyplay", "basketball_reference": "br_boxscore"}


def a_fill(n: int = 0, source: str = "espn", requests: int = 1, score: float = 100.0) -> Fill:
    """A fill of `requests` missing files, each with its own request; each number `n` is another fill."""
    gaps = []
    for file in range(requests):
        gap = a_gap(n * 100 + file)
        key = f"{source}/{n}-{file}.json"
        cell = gap.cell._replace(dataset=_DATASETS[source], key=key, url=f"/{key}")
        gaps.append(replace(gap, cell=cell))
    parts = Score(score, 0.0, 1.0, 1.0, 1.0)
    dataset = _DATASETS[source]
    return Fill(f"{source}-{n}", source, dataset, "2025-26", Kind.MISSING, Priority.HIGH, tuple(gaps), parts, NOW)


def obstore_batch(objects: Sequence[LakeObject], unit: str = "us") -> RecordBatch:
    """A batch as obstore lists it. An object without an ETag has null."""
    times = [(have.modified - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) for have in objects]
    modified = Array(times, type=DataType.int64()).cast(DataType.timestamp("us", tz="UTC"))
    return RecordBatch.from_pydict(
        {
            "path": Array([have.key for have in objects], type=DataType.utf8()),
            "last_modified": modified.cast(DataType.timestamp(unit, tz="UTC")),
            "size": Array([have.size for have in objects], type=DataType.uint64()),
            "e_tag": Array([have.etag or None for have in objects], type=DataType.utf8()),
        }
    )


def every_series(config: Config) -> Measured:
    """Measured values of every series that there can be with a configuration. Each value is another one."""
    numbers = map(float, count(1))
    values: dict[Metric, dict[tuple[str, ...], float]] = {}
    distributions: dict[Histogram, dict[tuple[str, ...], Distribution]] = {}
    for metric in CATALOGUE:
        every = product(*(label.values_in(config) for label in metric.labels))
        combinations = [labels for labels in every if _belong_together(metric, labels, config)]
        if isinstance(metric, Histogram):
            buckets = len(metric.bounds) + 1
            distributions[metric] = {
                labels: Distribution(tuple(islice(numbers, buckets)), next(numbers)) for labels in combinations
            }
        else:
            values[metric] = {labels: next(numbers) for labels in combinations}
    return Measured(NOW, values, distributions)


def _belong_together(metric: Metric, labels: tuple[str, ...], config: Config) -> bool:
    of = dict(zip(metric.labels, labels, strict=True))
    return not {SOURCE, DATASET} <= of.keys() or config.datasets[of[DATASET]].source == of[SOURCE]
