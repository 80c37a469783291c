"""What does `adce datasets` print as JSON?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from tasks.show.documents.document import Document

if TYPE_CHECKING:
    from tasks.answers.datasets import CheckAnswer, DatasetAnswer


class DatasetEntry(Document):
    """A dataset of the configuration."""

    name: str
    source: str
    keys: list[str]
    per: str
    schedule: str | None
    lists_games: bool
    first_season: str
    check: str
    enabled: bool
    not_collected: str | None  # why it is not collected
    known: int  # the number of its files that are known, in any state
    present: int


class BodyCheck(Document):
    """A body check, which any dataset may name."""

    name: str
    about: str
    options: list[str]


class Datasets(Document):
    """The output of `adce datasets`."""

    as_of: datetime
    datasets: list[DatasetEntry]
    checks: list[BodyCheck]

    @classmethod
    def of(cls, datasets: Iterable[DatasetAnswer], checks: Iterable[CheckAnswer], as_of: datetime) -> Datasets:
        """The document for datasets and body checks."""
        entries = [
            DatasetEntry(
                name=one.name,
                source=one.dataset.source,
                keys=one.dataset.keys,
                per=one.dataset.per,
                schedule=one.dataset.schedule,
                lists_games=one.dataset.lists_games,
                first_season=one.dataset.first_season,
                check=one.dataset.check.name,
                enabled=one.dataset.enabled,
                not_collected=one.why_not,
                known=one.known.expected,
                present=one.known.present,
            )
            for one in datasets
        ]
        about = [BodyCheck(name=one.name, about=one.about, options=list(one.options)) for one in checks]
        return cls(as_of=as_of, datasets=entries, checks=about)
