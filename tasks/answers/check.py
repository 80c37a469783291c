"""What would ADCE do with a body under a key? The body is checked as after a fetch, and as in the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from config.models import Config, Dataset
from tasks.domain.assess.finality import settled_wholeness
from tasks.domain.assess.verdicts import Consequence, Verdict, Wholeness, consequence_of
from tasks.domain.errors import SelectionError
from tasks.domain.expected.keys import KeyPatterns
from tasks.domain.expected.seasons import days_of_month, end_year, season_name, season_of, start_year, window
from tasks.observe.listing import judge
from tasks.sources.ids import season_of_game


@dataclass(frozen=True)
class Checked:
    """The answer about a body. `wholeness` is how complete it was when it was taken from its source."""

    key: str
    dataset: str
    fields: Mapping[str, str]
    answer: Consequence
    wholeness: Wholeness
    verdict: Verdict

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "key": self.key,
            "dataset": self.dataset,
            "answer": self.answer.value,
            "wholeness": self.wholeness.value,
            "reason": self.verdict.reason,
            "games": {game.id: game.status.value for game in self.verdict.games},
        }


def check_body(config: Config, key: str, body: bytes, taken: datetime) -> Checked:
    """The answer about a body under a lake key, as if the source had sent it at `taken`.

    A game is assumed to be final. Its season follows from the key, from its id, or from its document. Raises
    SelectionError for a key that no dataset has.
    """
    name, known = dataset_of(config, key)
    dataset = config.datasets[name]
    fields = _fields(dataset, known, body, taken)
    verdict = judge(body, fields, dataset)
    return Checked(key, name, fields, consequence_of(verdict, dataset), _at(dataset, fields, verdict, taken), verdict)


def dataset_of(config: Config, key: str) -> tuple[str, dict[str, str]]:
    """The name of a key's dataset, and the fields in the key. Raises SelectionError for a key that no dataset has."""
    found = KeyPatterns(config).match(key)
    if found is None:
        raise SelectionError(f"no dataset has a key {key!r}; `adce why` shows the nearest one")
    name, known = found
    try:
        _fields(config.datasets[name], known, b"", datetime.now(UTC))
    except (ValueError, KeyError) as error:
        raise SelectionError(
            f"{key}: has the shape of {name}, but there is no such day, month or season: {error}"
        ) from None
    return name, known


def _fields(dataset: Dataset, known: Mapping[str, str], body: bytes, taken: datetime) -> dict[str, str]:
    """The fields of the partition that follow from the key, the game's id or the body."""
    fields = dict(known)
    day = fields.get("date") or fields.get("yyyymmdd")
    if day:
        fields["date"], fields["yyyymmdd"] = f"{date.fromisoformat(day)}", f"{date.fromisoformat(day):%Y%m%d}"
    season = _season(dataset, fields, body) or season_of(taken.date())
    if "month" in fields:
        days_of_month(season, fields["month"])
    return {"season": season, "start_year": season[:4], "end_year": str(end_year(season))} | fields


def _season(dataset: Dataset, fields: Mapping[str, str], body: bytes) -> str | None:
    if "season" in fields:
        return season_name(start_year(fields["season"]))
    if "start_year" in fields:
        return season_name(int(fields["start_year"]))
    if "end_year" in fields:
        return season_name(int(fields["end_year"]) - 1)
    if "date" in fields:
        return season_of(date.fromisoformat(fields["date"]))
    return season_of_game(dataset.source, fields["id"], body) if "id" in fields else None


def _at(dataset: Dataset, fields: Mapping[str, str], verdict: Verdict, taken: datetime) -> Wholeness:
    """The wholeness of a body at the time it was taken: a list that grows is whole only after the end of its days."""
    if dataset.per == "game":
        return verdict.wholeness
    return settled_wholeness(dataset, *_days(dataset, fields), verdict, taken)


def _days(dataset: Dataset, fields: Mapping[str, str]) -> tuple[date, date]:
    """The first and the last day that a list covers."""
    if dataset.per == "date":
        return (day := date.fromisoformat(fields["date"])), day
    season = fields["season"]
    return days_of_month(season, fields["month"]) if dataset.per == "month" else window(season)
