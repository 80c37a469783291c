"""What does it take to fetch what the lake lacks? Files, requests, bytes and time, for each source and in all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from config.models import Config
from tasks.domain.assess.overview import Overview, Stored
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell, Partition
from tasks.domain.limits.rates import budget_of, spacing
from tasks.domain.wording import plural, size, utc

_ENOUGH = 20  # files of a season from which the mean size of the others is estimated


@dataclass(frozen=True, slots=True)
class Amount:
    """Files to fetch, the requests that they take, and about how many bytes they have."""

    files: int = 0
    requests: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.files + other.files, self.requests + other.requests, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class SourceCost:
    """What it takes to fetch what the lake lacks of a source, or of all.

    `known` are files that the lake should hold by what is in it, and `estimate` are those that its missing schedules
    will list, by estimate. The times are those of the last answer, at the configured rates; None if there is none.
    """

    name: str
    known: Amount
    estimate: Amount
    known_done: datetime | None
    done: datetime | None  # of both

    def __bool__(self) -> bool:
        return bool(self.known.files or self.estimate.files)

    def __str__(self) -> str:
        """What it takes, in words: "espn: 3 files, 1 request, 1.2 MB, done about 2026-01-15 12:30 UTC"."""
        both = self.known + self.estimate
        words = f"{plural(both.files, 'file')}, {plural(both.requests, 'request')}, {size(both.bytes)}"
        if self.estimate.files:
            words = f"about {words} ({self.estimate.files:,} of the files by estimate)"
        return f"{self.name}: {words}" + (f", done about {utc(self.done)}" if self.done else "")


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of each source of the configuration, and of all together."""

    sources: tuple[SourceCost, ...]
    total: SourceCost

    @property
    def parts(self) -> list[SourceCost]:
        """What people read: the costs of the sources that lack something, and the total if there are several."""
        lacking = [source for source in self.sources if source]
        return [*lacking, self.total] if len(lacking) > 1 else lacking


def cost_of(
    config: Config,
    overview: Overview,
    now: datetime,
    opens: Mapping[str, datetime] | None = None,
    etas: Mapping[str, datetime] | None = None,
) -> Cost:
    """The cost of everything that the lake lacks.

    `opens` says until when sources are paused, and `etas` when the fills of a plan will be done, both by source.
    """
    sizes = MeanSizes(config, overview.stored)
    known, estimates = _known(config, overview, sizes), _estimates(config, overview, sizes)
    opens, etas = opens or {}, etas or {}
    sources = []
    for name in config.sources:
        apart, begin = budget_of(config, name).spacing, max(now, opens.get(name, now))
        known_done = _latest(_done(begin, known[name], apart), etas.get(name))
        done = _latest(_done(begin, known[name] + estimates[name], apart), known_done)
        sources.append(SourceCost(name, known[name], estimates[name], known_done, done))
    return Cost(tuple(sources), _total(config, sources, now))


class MeanSizes:
    """About how many bytes a file of a partition has: as many as those of the nearest season in the lake, on average.

    If no season has enough files, all seasons count; and if there is no file at all, the size that is typical.
    """

    def __init__(self, config: Config, stored: Mapping[Partition, Stored]):
        self._config = config
        self._by_year: dict[str, dict[int, float]] = defaultdict(dict)
        self._of_all: dict[str, Stored] = {}
        for (dataset, season), have in stored.items():
            if have.files >= _ENOUGH:
                self._by_year[dataset][seasons.start_year(season)] = have.bytes / have.files
            sums = self._of_all.get(dataset, Stored())
            self._of_all[dataset] = Stored(sums.files + have.files, sums.bytes + have.bytes)

    def of(self, partition: Partition) -> float:
        """The mean size of a file of the partition."""
        dataset, year = partition.dataset, seasons.start_year(partition.season)
        if years := self._by_year.get(dataset):
            return years[min(years, key=lambda other: abs(other - year))]
        sums = self._of_all.get(dataset, Stored())
        return sums.bytes / sums.files if sums.files else float(self._config.datasets[dataset].typical.bytes)


def _estimates(config: Config, overview: Overview, sizes: MeanSizes) -> dict[str, Amount]:
    """The files that missing schedules will list, by source."""
    found: dict[str, Amount] = defaultdict(Amount)
    for partition, files in overview.unlisted.items():
        dataset = config.datasets[partition.dataset]
        if config.enabled and dataset.enabled and config.sources[dataset.source].enabled:
            requests = round(files / len(dataset.keys)) * dataset.cost
            found[dataset.source] += Amount(files, requests, round(files * sizes.of(partition)))
    return found


def _known(config: Config, overview: Overview, sizes: MeanSizes) -> dict[str, Amount]:
    """The files that are to be fetched, by source."""
    files: dict[Partition, int] = defaultdict(int)
    units: dict[Partition, dict[object, int]] = defaultdict(dict)  # the cost of each response, by what it is about
    for key, status in overview.statuses.items():
        if _is_to_be_fetched(status):
            cell = overview.cells[key]
            files[cell.partition] += 1
            units[cell.partition][_about(cell)] = cell.cost
    known: dict[str, Amount] = defaultdict(Amount)
    for partition, count in files.items():
        size = round(count * sizes.of(partition))
        amount = Amount(count, sum(units[partition].values()), size)
        known[config.datasets[partition.dataset].source] += amount
    return known


def _is_to_be_fetched(status: Status) -> bool:
    if status.kind is None or status.kind is Kind.UNREADABLE:
        return False
    is_waited_for = status.limit is None or status.limit.is_waited_for
    return status.state is State.GAP or (status.state is State.DEFERRED and is_waited_for)


def _about(cell: Cell) -> object:
    """What the response with a file is about: a game, a date, a month or a season of its dataset."""
    return cell.fields.get("id") or cell.first_day


def _done(begin: datetime, amount: Amount, apart: float) -> datetime | None:
    return begin + timedelta(seconds=amount.requests * apart) if amount.requests else None


def _latest(*times: datetime | None) -> datetime | None:
    return max((at for at in times if at), default=None)


def _total(config: Config, sources: Sequence[SourceCost], now: datetime) -> SourceCost:
    """The sum. Sources are asked at the same time; where they share a rate, it limits them together."""
    known = sum((source.known for source in sources), Amount())
    estimate = sum((source.estimate for source in sources), Amount())
    apart = spacing(config.rates) if config.rates else 0.0
    known_done = _latest(*(source.known_done for source in sources), _done(now, known, apart))
    done = _latest(*(source.done for source in sources), _done(now, known + estimate, apart))
    return SourceCost("all", known, estimate, known_done, done)
