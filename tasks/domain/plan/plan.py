"""Which files are to be fetched, and in which order?"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate

from config.models import Config, Priority
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind
from tasks.domain.expected.cells import Cell, without_rollout
from tasks.domain.flags.maintenance import window_at
from tasks.domain.flags.rollouts import changes_request, own_address_of, reached, scraper_of, scrapers
from tasks.domain.limits.pauses import OperatorPause, Pause, Window
from tasks.domain.plan.scoring import Score, priority_of, score_of
from tasks.domain.reasons import Limit, Reason, last_to_end
from tasks.domain.wording import and_more, plural, utc

GIVEN_CAP = "max_fills"  # what Limit.MAX_FILLS belongs to if it is a parameter of the run that decides
_KINDS = list(Kind)


@dataclass(frozen=True, slots=True)
class Fill:
    """The unit of work: gaps of one dataset, season, kind and variant, which one scraper subflow fetches."""

    id: str
    source: str
    dataset: str
    season: str
    kind: Kind
    priority: Priority
    gaps: tuple[Gap, ...]
    score: Score
    detected_at: datetime
    starts: datetime | None = None
    eta: datetime | None = None
    variant: str = ""  # the rollout that has reached its cells, or ""
    own_address: str = ""  # the source's name at that rollout's own base URL, or ""; see rollouts.own_address_of
    doubtful: bool = False  # the source had none of its files when it was last asked for them

    @property
    def address(self) -> str:
        """The name of the pause that holds for its requests: the source, or the source at a rollout's own base URL."""
        return self.own_address or self.source

    @property
    def scraper(self) -> str:
        """The name of the scraper that fetches the fill."""
        return scraper_of(self.dataset, self.variant)

    @property
    def keys(self) -> list[str]:
        """The keys of the files."""
        return [gap.cell.key for gap in self.gaps]

    def requests(self) -> dict[str, list[Cell]]:
        """The cells by the request whose response contains them, in the order of the gaps."""
        grouped: dict[str, list[Cell]] = {}
        for gap in self.gaps:
            grouped.setdefault(gap.cell.request, []).append(gap.cell)
        return grouped

    @property
    def cost(self) -> int:
        """The number of requests to the source that the fill takes."""
        return sum(cells[0].cost for cells in self.requests().values())

    @property
    def days(self) -> str:
        """The days of the files: "2024-01-05" or "2023-10-24..2024-06-17"; the season if they are season files."""
        if not self.gaps[0].cell.fields.keys() & {"id", "date", "month"}:
            return self.season
        first = min(gap.cell.first_day for gap in self.gaps)
        last = max(gap.cell.last_day for gap in self.gaps)
        return f"{first}" if first == last else f"{first}..{last}"

    @property
    def reason(self) -> str:
        """The kind of the gaps, and the key and reason of the first: "missing: espn/….json: … (and 3 more)"."""
        first = self.gaps[0]
        return f"{self.kind.value}: {first.cell.key}: {first.reason}{and_more(len(self.gaps))}"


@dataclass(frozen=True, slots=True)
class Deferral:
    """A gap that is not fetched now, and why."""

    gap: Gap
    reason: Reason


@dataclass(frozen=True)
class Plan:
    """What a run does: the fills in the order in which they start, and the gaps that it does not fetch."""

    fills: tuple[Fill, ...]
    deferred: tuple[Deferral, ...]


def make_plan(
    config: Config,
    gaps: Iterable[Gap],
    now: datetime,
    success: Mapping[str, float] | None = None,
    paused: Mapping[str, Pause] | None = None,
    max_fills: int | None = None,
    priority: Priority | None = None,
    doubtful: Collection[str] = (),
    stopped: Mapping[str, Reason] | None = None,
    ends: datetime | None = None,
) -> Plan:
    """All fills in the order in which they would start, and every gap that is deferred.

    `success` is the success factor by dataset, which is 1 if it is not given. `paused` has the pauses and open circuit
    breakers, by name. The run can wait for those that are over at `ends`, and for none if that is not given. Files of a
    paused address of a rollout are fetched from the usual address instead. `priority` replaces the priorities that
    follow from the files. `doubtful` has the keys that the source did not have when it was last asked for them. They
    come after the other files of their dataset, and if a rollout has changed their request, the usual request is sent
    instead. `stopped` says why nothing of a source or a dataset is fetched. A file that waits for several of these has
    the reason that ends last.
    """
    deferred: list[Deferral] = []
    ready: list[Gap] = []
    off = {name: _why_off(config, name) for name in config.datasets}
    holds = _Holds(config, now, paused or {}, stopped or {}, ends)
    rollouts = {name: dataset.rollout for name, dataset in config.datasets.items()}
    refusals = _Refusals(config)
    for gap in gaps:
        percent, source = rollouts[gap.cell.dataset], config.datasets[gap.cell.dataset].source
        own_address = own_address_of(config, source, gap.cell.variant) if gap.cell.variant else ""
        if own_address in holds.paused or (gap.cell.key in doubtful and changes_request(config, gap.cell.variant)):
            gap, own_address = replace(gap, cell=without_rollout(config, gap.cell)), ""
        if why_off := off[gap.cell.dataset]:
            deferred.append(Deferral(gap, why_off))
        elif unfit := refusals.of(gap.cell):
            deferred.append(Deferral(gap, unfit))
        elif percent < 100 and not reached("rollout", percent, gap.cell.rollout_unit):
            name = gap.cell.dataset
            deferred.append(Deferral(gap, Reason(Limit.ROLLOUT, f"rollout: {percent:g} % of {name}", of=name)))
        elif held := holds.of(gap.cell.dataset, own_address or source, gap.cell.scraper):
            deferred.append(Deferral(gap, held))
        else:
            ready.append(gap)
    taken: list[Fill] = []
    cap = RunCap(config, max_fills)
    for fill in in_start_order(_fills(config, ready, success or {}, now, priority, doubtful)):
        if over := cap.exceeded(fill.priority):
            later = replace(over, until=now + config.reconcile.interval)
            deferred += [Deferral(gap, later) for gap in fill.gaps]
        else:
            cap.count(fill.priority)
            taken.append(fill)
    return Plan(tuple(taken), tuple(deferred))


class _Refusals:
    """Finds the files that a command can never fetch, because its parameters refuse a value that they have.

    All of them have one reason for each parameter, with the value of the first, so that it is told only once.
    """

    def __init__(self, config: Config):
        self._commands = {
            name: dataset.command
            for name, dataset in scrapers(config).items()
            if dataset.command and dataset.command.parameters
        }
        self._reasons: dict[tuple[str, str], Reason] = {}

    def of(self, cell: Cell) -> Reason | None:
        """Why the command of this file refuses it; None if it does not, or there is none."""
        command = self._commands.get(cell.scraper)
        if command is None or (found := command.unfit(cell.fields)) is None:
            return None
        name, problem = found
        setting = f"datasets.{cell.dataset}.command.parameters.{name}"
        if cell.variant:
            setting = f"rollout.{cell.variant}.changes.command.parameters.{name}"
        reason = Reason(Limit.PARAMETERS, f"{setting}: {problem}", of=setting)
        return self._reasons.setdefault((cell.scraper, name), reason)


class _Holds:
    """Finds what files wait for: maintenance windows, what stops a source or a dataset, pauses and circuit breakers."""

    def __init__(
        self,
        config: Config,
        now: datetime,
        paused: Mapping[str, Pause],
        stopped: Mapping[str, Reason],
        ends: datetime | None,
    ):
        self.paused = paused
        self._ends = ends
        self._by_dataset = {name: list(_why_stopped(config, name, stopped, now)) for name in config.datasets}
        self._reasons: dict[tuple[str, str, str], Reason | None] = {}

    def of(self, dataset: str, address: str, scraper: str) -> Reason | None:
        """Why files of a dataset wait that this scraper fetches from this address; None if they do not."""
        of = (dataset, address, scraper)
        if of not in self._reasons:
            self._reasons[of] = self._why(*of)
        return self._reasons[of]

    def _why(self, dataset: str, address: str, scraper: str) -> Reason | None:
        stopped, limits = self._by_dataset[dataset], {address: Limit.BACKOFF, scraper: Limit.BREAKER}
        pauses = [why_paused(self.paused[name], limit) for name, limit in limits.items() if name in self.paused]
        if not stopped and not pauses:
            return None
        last = last_to_end(*stopped, *pauses)
        can_wait = not stopped and last.until and self._ends and last.until <= self._ends
        return None if can_wait else last


def why_paused(pause: Pause, limit: Limit) -> Reason:
    """The reason for a file that waits for a pause: "source paused until 2026-01-15 12:15 UTC: HTTP 403".

    `limit` says what kind of pause it is, unless `pause` is a maintenance window or an operator's.
    """
    if isinstance(pause, OperatorPause):
        text = f"paused {pause.ends_in_words} by {pause.by}: {pause.reason}"
        return Reason(Limit.OPERATOR_PAUSE, text, pause.ends, pause.name)
    if isinstance(pause, Window):
        return Reason(Limit.MAINTENANCE, f"maintenance {pause.ends_in_words}: {pause.reason}", pause.ends, pause.name)
    assert pause.until is not None  # it is open
    state = {Limit.BACKOFF: "source paused", Limit.BREAKER: "breaker open"}.get(limit, limit.value)
    return Reason(limit, f"{state} until {utc(pause.until)}: {pause.reason}", pause.until, pause.name)


def why_waiting(pause: Pause, now: datetime) -> Reason:
    """The reason for a file that waits until the probe of another process is answered."""
    text = f"{pause.name} is asked again, once, and has not answered yet: {pause.reason}"
    return Reason(Limit.PROBE, text, pause.free_at(now), pause.name)


def start_order(fill: Fill) -> tuple[float, datetime, str]:
    """Sort key for fills: the highest score first, then the one detected first, then by key."""
    return (-fill.score.total, fill.detected_at, fill.gaps[0].cell.key)


def in_start_order(fills: Iterable[Fill]) -> list[Fill]:
    """The fills in the order in which they start: by start_order, and of one dataset and priority the doubtful last."""
    ordered = sorted(fills, key=start_order)
    if not any(fill.doubtful for fill in ordered):
        return ordered
    groups: dict[tuple[str, Priority], list[Fill]] = defaultdict(list)
    for fill in ordered:
        groups[fill.dataset, fill.priority].append(fill)
    queues = {group: iter(sorted(fills, key=lambda fill: fill.doubtful)) for group, fills in groups.items()}
    return [next(queues[fill.dataset, fill.priority]) for fill in ordered]


def rescored(fill: Fill, success: Mapping[str, float]) -> Fill:
    """The same fill, scored with the success factor that its dataset has now."""
    factor = success.get(fill.dataset, 1.0)
    if not fill.score.weighted or factor == fill.score.success:
        return fill
    return replace(fill, score=replace(fill.score, success=factor))


def split_first_request(fill: Fill) -> tuple[Fill, Fill] | None:
    """Splits a fill into one of its first request and one of the rest; None if it has only one request."""
    first, rest = _split(fill, 1)
    return (first, rest) if first and rest else None


def split_by_cost(fill: Fill, at_most: int) -> tuple[Fill | None, Fill | None]:
    """Splits a fill into one of its first requests that cost at most `at_most` together, and one of the rest.

    Either is None if it would be empty.
    """
    costs = accumulate(cells[0].cost for cells in fill.requests().values())
    return _split(fill, sum(cost <= at_most for cost in costs))


def _split(fill: Fill, requests: int) -> tuple[Fill | None, Fill | None]:
    """Splits a fill into one of its first `requests` requests, and one of the rest; None for an empty one."""
    keys = {cell.key for cells in list(fill.requests().values())[requests:] for cell in cells}
    first = without(fill, keys)
    return first, without(fill, first.keys if first else ())


def without(fill: Fill, keys: Collection[str]) -> Fill | None:
    """The fill without the files that have these keys; None if no file remains."""
    gaps = tuple(gap for gap in fill.gaps if gap.cell.key not in keys)
    if len(gaps) == len(fill.gaps):
        return fill
    return replace(fill, id=_id(fill.dataset, fill.season, gaps), gaps=gaps) if gaps else None


class RunCap:
    """Counts the fills that a run starts, against its caps: one for all fills, and one for each priority."""

    def __init__(self, config: Config, max_fills: int | None = None):
        self.total, self._limit, self._of = config.reconcile.max_fills, Limit.MAX_FILLS, ""
        if max_fills is not None and max_fills < self.total:
            self.total, self._of = max_fills, GIVEN_CAP
        if config.test_mode and config.test_fills < self.total:
            self.total, self._limit, self._of = config.test_fills, Limit.TEST_FILLS, ""
        self.by_priority = config.reconcile.max_fills_by_priority
        self._started: dict[Priority, int] = defaultdict(int)

    def exceeded(self, priority: Priority) -> Reason | None:
        """The reason why no more fill of this priority may start; None if one may."""
        if sum(self._started.values()) >= self.total:
            return Reason(self._limit, f"run cap: {plural(self.total, 'fill')} a run", of=self._of)
        if self._started[priority] >= self.by_priority.get(priority, self.total):
            text = f"run cap: {plural(self.by_priority[priority], f'{priority.value} fill')} a run"
            return Reason(Limit.MAX_FILLS, text, of=priority.value)
        return None

    def count(self, priority: Priority) -> None:
        """Counts one more fill of this priority as started."""
        self._started[priority] += 1


def _why_off(config: Config, name: str) -> Reason | None:
    """The switch that forbids fetching a dataset; None if none does."""
    dataset = config.datasets[name]
    if not config.enabled:
        return Reason(Limit.ENABLED, "disabled: the master switch `enabled` is false", of="enabled")
    if not config.sources[dataset.source].enabled:
        return _off(f"sources.{dataset.source}.enabled")
    if not dataset.enabled:
        return _off(f"datasets.{name}.enabled")
    return None


def _why_stopped(config: Config, name: str, stopped: Mapping[str, Reason], now: datetime) -> Iterator[Reason]:
    """Why nothing of a dataset is fetched, whatever a run can wait for."""
    names = (config.datasets[name].source, name)
    if window := window_at(config.maintenance, names, now):
        yield why_paused(window, Limit.MAINTENANCE)
    yield from (stopped[name] for name in names if name in stopped)


def _off(setting: str) -> Reason:
    return Reason(Limit.ENABLED, f"disabled: {setting} is false", of=setting)


def _fills(
    config: Config,
    gaps: Iterable[Gap],
    success: Mapping[str, float],
    now: datetime,
    given: Priority | None,
    doubtful: Collection[str],
) -> Iterator[Fill]:
    """Groups gaps into fills. Gaps of one request stay together, and the worst kind among them counts for all."""
    by_request: dict[tuple[str, str], list[Gap]] = defaultdict(list)
    for gap in gaps:
        by_request[gap.cell.dataset, gap.cell.request].append(gap)
    groups: dict[tuple[str, str, str, Priority, Kind, bool], list[list[Gap]]] = defaultdict(list)
    for (name, _), together in by_request.items():
        cell = together[0].cell
        worst = min((gap.kind for gap in together), key=_KINDS.index)
        priority = given or priority_of(cell, config.datasets[name], config.scoring, now)
        is_doubtful = bool(doubtful) and all(gap.cell.key in doubtful for gap in together)
        groups[name, cell.variant, cell.season, priority, worst, is_doubtful].append(together)
    for (name, variant, season, priority, kind, is_doubtful), requests in groups.items():
        requests.sort(key=lambda gaps: (min(gap.first_seen for gap in gaps), gaps[0].cell.first_day, gaps[0].cell.key))
        batch = config.batch_of(name)
        for start in range(0, len(requests), batch):
            members = tuple(gap for gaps in requests[start : start + batch] for gap in gaps)
            source = config.datasets[name].source
            first_seen = min(gap.first_seen for gap in members)
            score = score_of(priority, first_seen, len(members), source, success.get(name, 1.0), config, now)
            fill = _id(name, season, members)
            own_address = own_address_of(config, source, variant)
            yield Fill(
                fill,
                source,
                name,
                season,
                kind,
                priority,
                members,
                score,
                first_seen,
                variant=variant,
                own_address=own_address,
                doubtful=is_doubtful,
            )


def _id(dataset: str, season: str, gaps: Iterable[Gap]) -> str:
    """The id of a fill. The same gaps have the same id in every run."""
    digest = hashlib.sha256("\n".join(gap.cell.key for gap in gaps).encode()).hexdigest()
    return f"{dataset}-{season}-{digest[:10]}"
