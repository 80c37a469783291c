"""What does it take to fetch what the lake lacks? Files, requests, bytes and time, for each source and in all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from config.models import Config
from tasks.domain.assess.overview import Overview, Stored
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell, Partition
from tasks.domain.flags.maintenance import window_at
from tasks.domain.limits.pauses import FOR_EVER
from tasks.domain.limits.rates import budget_of, spacing
from tasks.domain.wording import plural, size, utc

NO_END = "held up with no end"  # of what is held up until somebody changes that
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
    will list, by estimate. The times are those of the last answer, at the configured rates. Such a time is None if
    there is nothing to fetch, and also if a pause or a maintenance window that has no end comes first.
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
        end = f", done about {utc(self.done)}" if self.done else f", {NO_END}" if both.files else ""
        return f"{self.name}: {words}{end}"


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

    `opens` says until when sources and datasets are paused, by name, and is FOR_EVER for a pause that has no end.
    `etas` says when the fills of a plan will be done, by source. Maintenance windows are those of the configuration.
    """
    sizes = MeanSizes(config, overview.stored)
    known, estimates = _known(config, overview, sizes), _estimates(config, overview, sizes)
    etas = etas or {}
    begins = {name: _begin(config, name, opens or {}, now) for name in config.datasets}
    sources = []
    for name in config.sources:
        datasets = [dataset for dataset, settings in config.datasets.items() if settings.source == name]
        apart = budget_of(config, name).spacing
        work = [(begins[dataset], known[dataset]) for dataset in datasets]
        known_done = _done(work, now, apart, etas.get(name))
        work += [(begins[dataset], estimates[dataset]) for dataset in datasets]
        done = _done(work, now, apart, known_done)
        sources.append(SourceCost(name, _sum(known, datasets), _sum(estimates, datasets), known_done, done))
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


def _begin(config: Config, dataset: str, opens: Mapping[str, datetime], now: datetime) -> datetime:
    """From when a dataset can be fetched; FOR_EVER if what holds it up has no end."""
    names = (config.datasets[dataset].source, dataset)
    window = window_at(config.maintenance, names, now)
    return max(now, *(opens.get(name, now) for name in names), (window and window.until) or now)


def _sum(amounts: Mapping[str, Amount], names: Iterable[str]) -> Amount:
    return sum((amounts[name] for name in names), Amount())


def _estimates(config: Config, overview: Overview, sizes: MeanSizes) -> dict[str, Amount]:
    """The files that missing schedules will list, by dataset."""
    found: dict[str, Amount] = defaultdict(Amount)
    for partition, files in overview.unlisted.items():
        dataset = config.datasets[partition.dataset]
        if config.enabled and dataset.enabled and config.sources[dataset.source].enabled:
            requests = round(files / len(dataset.keys)) * dataset.cost
            found[partition.dataset] += Amount(files, requests, round(files * sizes.of(partition)))
    return found


def _known(config: Config, overview: Overview, sizes: MeanSizes) -> dict[str, Amount]:
    """The files that are to be fetched, by dataset."""
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
        known[partition.dataset] += Amount(count, sum(units[partition].values()), size)
    return known


def _is_to_be_fetched(status: Status) -> bool:
    if status.kind is None or status.kind is Kind.UNREADABLE:
        return False
    is_waited_for = status.limit is None or status.limit.is_waited_for
    return status.state is State.GAP or (status.state is State.DEFERRED and is_waited_for)


def _about(cell: Cell) -> object:
    """What the response with a file is about: a game, a date, a month or a season of its dataset."""
    return cell.fields.get("id") or cell.first_day


def _done(
    work: Iterable[tuple[datetime, Amount]], now: datetime, apart: float, earliest: datetime | None
) -> datetime | None:
    """When the last of some work is done that can begin at these times, and not before `earliest`, which may be None.

    It is None if there is no work, or if some of it never begins.
    """
    at = now
    for begin, amount in sorted(work, key=lambda part: part[0]):
        if not amount.files:
            continue
        if begin == FOR_EVER:
            return None
        at = max(at, begin) + timedelta(seconds=amount.requests * apart)
        earliest = max(at, earliest or at)
    return earliest


def _total(config: Config, sources: Sequence[SourceCost], now: datetime) -> SourceCost:
    """The sum. Sources are asked at the same time; where they share a rate, it limits them together."""
    known = sum((source.known for source in sources), Amount())
    estimate = sum((source.estimate for source in sources), Amount())
    apart = spacing(config.rates) if config.rates else 0.0

    def latest(ends: Iterable[tuple[Amount, datetime | None]]) -> datetime | None:
        ends = list(ends)
        work = [(FOR_EVER if amount.files and end is None else now, amount) for amount, end in ends]
        return _done(work, now, apart, max((end for _, end in ends if end), default=None))

    known_done = latest((source.known, source.known_done) for source in sources)
    done = latest((source.known + source.estimate, source.done) for source in sources)
    return SourceCost("all", known, estimate, known_done, done)
