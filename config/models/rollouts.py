"""Rollouts: changed settings that apply to a part of the files."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from config.models.base import Model, Number, WholeNumber
from config.models.checks import Check
from config.models.commands import Command
from config.models.datasets import Dataset
from config.models.sources import Retries, Source, Timeouts


class Changes(Model):
    """Settings of a dataset and of its source that a rollout replaces. The lake keys always stay the same."""

    url: str | None = None
    command: Command | None = None
    min_bytes: WholeNumber | None = None
    check: Check | None = None
    base_url: str | None = None
    headers: dict[str, str] = Field(default={}, description="added to the source's headers, or in their place")
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()

    def of_dataset(self, dataset: Dataset) -> Dataset:
        """The dataset with these changes. Raises ValidationError for a change that does not fit the dataset."""
        given = self._given({"url", "command", "min_bytes", "check"})
        cleared = {"url": None, "command": None} if given.keys() & {"url", "command"} else {}
        return Dataset.model_validate(dataset.model_dump() | cleared | given)

    def of_source(self, source: Source) -> Source:
        """The source with these changes. Raises ValidationError for a change that does not fit the source."""
        settings = source.model_dump()
        for name, value in self._given({"base_url", "headers", "timeouts", "retries"}).items():
            settings[name] = settings[name] | value if isinstance(value, dict) else value
        return Source.model_validate(settings)

    def _given(self, names: set[str]) -> dict[str, Any]:
        return self.model_dump(include=names, exclude_unset=True)


class Rollout(Model):
    """Changed settings, which apply to `percent` per cent of the files, so that these can be compared with the rest."""

    percent: Number = Field(ge=0, le=100)
    datasets: list[str] = []
    sources: list[str] = Field(default=[], description="sources all of whose datasets take part")
    changes: Changes

    def covers(self, name: str, dataset: Dataset) -> bool:
        """Whether the dataset of this name takes part."""
        return name in self.datasets or dataset.source in self.sources
