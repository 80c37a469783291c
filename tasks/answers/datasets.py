"""Which datasets are there, how many of their files are known, and which body checks can a dataset use?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from config.models import CHECK_OPTIONS, Dataset
from tasks.answers.report import Report
from tasks.domain.assess.coverage import Tally, add_up
from tasks.domain.expected.collected import collected
from tasks.domain.wording import plural
from tasks.sources.checks import description


@dataclass(frozen=True)
class DatasetAnswer:
    """A dataset, its files that are known, and why it is not collected, if it is not."""

    name: str
    dataset: Dataset
    known: Tally
    why_not: str | None

    def lines(self) -> Iterator[str]:
        """What people read about it: a line about the dataset, the templates of its keys, and its files."""
        dataset = self.dataset
        per = f"a file per {dataset.per}" if len(dataset.keys) == 1 else f"{len(dataset.keys)} files per {dataset.per}"
        games = f" of {dataset.schedule}" if dataset.schedule else ", lists the games" if dataset.lists_games else ""
        yield f"{self.name}: {per}{games}, since {dataset.first_season}, check {dataset.check.name}"
        yield from (f"  {key}" for key in dataset.keys)
        if self.why_not or not dataset.enabled:
            yield f"  nothing is fetched: {self.why_not or 'it is disabled'}"
        else:
            schedules = len(self.known.unknown)
            more = f"; {plural(schedules, 'schedule')} not read yet may list more" if schedules else ""
            yield f"  {plural(self.known.expected, 'file')} known, {self.known.present:,} of them present{more}"


@dataclass(frozen=True)
class CheckAnswer:
    """A body check, which any dataset may name."""

    name: str
    about: str
    options: tuple[str, ...]

    def line(self) -> str:
        """What people read about it."""
        return f"{self.name}: {self.about}" + (f" Options: {', '.join(self.options)}." if self.options else "")


def datasets_of(report: Report) -> list[DatasetAnswer]:
    """The datasets of the configuration in its order, with the files that a look has found or expects."""
    config, collection = report.config, collected(report.config)
    tallies: dict[str, list[Tally]] = {name: [] for name in config.datasets}
    for row in report.coverage.finest:
        tallies[row.dataset].append(row.tally)
    return [
        DatasetAnswer(name, dataset, add_up(tallies[name]), collection.why_not_dataset(name))
        for name, dataset in config.datasets.items()
        if not report.selection.sources or dataset.source in report.selection.sources
    ]


def checks() -> list[CheckAnswer]:
    """All body checks, the general ones first."""
    return [CheckAnswer(name, description(name), options) for name, options in CHECK_OPTIONS.items()]
