"""What does a plan or a run report? Values, from which the JSON document and the Markdown for the Prefect UI follow."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from statistics import fmean
from typing import Any

from blocks.store import Store
from config.models import TEST_FOLDER, Config
from tasks.answers.settings import SettingsUsed
from tasks.domain.assess.coverage import Coverage, measure
from tasks.domain.assess.overview import Overview
from tasks.domain.assess.states import Kind, State, Status, deferred_by
from tasks.domain.assess.unknown import Unknown, seasons_of
from tasks.domain.expected.cells import Selection
from tasks.domain.flags.rollouts import covered, own_addresses, scrapers
from tasks.domain.flags.switches import switches
from tasks.domain.limits.pauses import FOR_EVER, Pause, Phase
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.cost import Cost, cost_of
from tasks.domain.plan.plan import Deferral, Fill
from tasks.domain.reasons import Limit, Reason
from tasks.domain.wording import and_more, plural, utc, verb
from tasks.ledger.attempts import Performance, VariantResults
from tasks.ledger.runs import RunRecord

_MOST_FILLS = 200  # rows in an artifact
COMPARED = ("variant", "when", "stored", "failed", "requests", "seconds an answer")


@dataclass(frozen=True, slots=True)
class BreakerState:
    """The state of a circuit breaker, or of the pause of a rollout's own address."""

    phase: Phase
    until: datetime | None  # when the next request may be sent
    reason: str


@dataclass(frozen=True, slots=True)
class SourceOutlook:
    """What a source is asked for, until when, and what keeps it from being asked."""

    name: str
    requests: int  # of the fills
    eta: datetime | None  # of the last fill
    phase: Phase  # of its pause
    paused_until: datetime | None
    reason: str | None  # of its pause
    breaker: Phase  # the worst phase of its circuit breakers
    breakers: Mapping[str, BreakerState]  # those that are not closed, by the name of the scraper or address


@dataclass(frozen=True)
class Comparison:
    """A rollout compared with the rest of its datasets. Each pair is (with its settings, with the usual settings)."""

    percent: float
    datasets: list[str]
    run: tuple[VariantResults, VariantResults]  # in this run
    since: tuple[VariantResults, VariantResults]  # since the rollout began

    def rows(self, name: str) -> Iterator[tuple[str, ...]]:
        """Rows of text with the columns of COMPARED. Pairs without any files are left out."""
        for span, results in (("this run", self.run), ("since it began", self.since)):
            if results == (VariantResults(), VariantResults()):
                continue
            for who, result in zip((f"{name}, {self.percent:g} %", "the rest"), results, strict=True):
                seconds = "" if result.seconds is None else f"{result.seconds:.2f}"
                yield who, span, f"{result.stored}", f"{result.failed}", f"{result.requests}", seconds


@dataclass(frozen=True, slots=True)
class Loss:
    """A file that was in the lake and had vanished or shrunk when the run first saw it."""

    key: str
    kind: Kind | None
    reason: str
    mended: bool  # whether it is whole again


@dataclass(frozen=True, slots=True)
class Refusal:
    """A source that has refused a request and has not answered one since."""

    source: str
    reason: str
    until: datetime | None  # when it is asked again
    files: int  # of the selection that wait for it

    def __str__(self) -> str:
        until = utc(self.until) if self.until else "it answers"
        return f"{self.source} refuses: {self.reason}; paused until {until}; {plural(self.files, 'file')} not fetched"


@dataclass(frozen=True, repr=False)  # asyncio and Prefect call repr() on results, which would take seconds here
class Report:
    """The state of the lake, and what a plan would do or a run has done about it. All output is made from this."""

    looked_at: Overview
    fills: tuple[Fill, ...]  # of a plan all, of a run those that were started
    deferred: tuple[Deferral, ...]  # by the plan or the dispatcher
    config: Config
    pauses: Mapping[str, Pause] = field(default_factory=dict)  # of sources, own addresses and scrapers, by name
    outcomes: Mapping[str, FileOutcome] | None = None  # None for a plan
    performance: Mapping[str, Performance] = field(default_factory=dict)  # of the last attempts, by dataset
    rollouts: Mapping[str, tuple[VariantResults, VariantResults]] = field(default_factory=dict)  # see Comparison.since
    was_lost: Mapping[str, Status] = field(default_factory=dict)  # files that had vanished or shrunk when first seen
    seconds: float = 0.0
    list_requests: int = 0  # LIST requests that it took to look at the lake in S3
    selection: Selection = field(default_factory=Selection)  # what was looked at
    stopped: str | None = None  # why the run was stopped early, if it was
    stop_signal: int | None = None  # the signal that stopped it, if one did
    settings: SettingsUsed | None = None  # those of a run
    held: Mapping[str, Reason] = field(default_factory=dict)  # why nothing of a source or a dataset is fetched, by name
    again: Collection[str] = ()  # files that were there, and that somebody wants fetched again
    left_to: RunRecord | None = None  # the other reconcile at work, to which this one has left everything

    @cached_property
    def overview(self) -> Overview:
        """The states of all files, after what the plan has deferred, or the run deferred or failed."""
        statuses = self.looked_at.statuses
        changed = {key: deferred_by(reason, statuses[key]) for key, reason in self.later.items() if key in statuses}
        for outcome in self.failed:
            if status := statuses.get(outcome.key):
                reason = f"{status.reason}; {outcome.error}"
                changed[outcome.key] = replace(status, reason=reason, until=outcome.until)
        return self.looked_at.with_statuses({key: new for key, new in changed.items() if self._is_undone(key, new)})

    def _is_undone(self, key: str, new: Status) -> bool:
        """Is the file still to be fetched, so that its new status counts? A file that is there may be wanted again."""
        before = self.looked_at.statuses[key].state
        return before is State.GAP or (before is State.PRESENT and key in self.again and new.state is State.DEFERRED)

    @property
    def statuses(self) -> Mapping[str, Status]:
        """The statuses of the exceptions, by key; see Overview."""
        return self.overview.statuses

    @cached_property
    def later(self) -> dict[str, Reason]:
        """The reasons for which the plan or the run has deferred files, by key."""
        deferred = (outcome for outcome in (self.outcomes or {}).values() if outcome.outcome is Outcome.DEFERRED)
        return {d.gap.cell.key: d.reason for d in self.deferred} | {outcome.key: outcome.reason for outcome in deferred}

    @cached_property
    def counts(self) -> dict[str, int]:
        """The number of cells in each state, and their total."""
        return self.overview.totals

    @cached_property
    def coverage(self) -> Coverage:
        """The states of all cells, by dataset and season, month or date."""
        measured = measure(self.overview.counts, self.config, self.unknown)
        lake, part = Store(self.config.lake).address, self.selection.in_words
        look = self.looked_at
        return replace(
            measured, lake=lake, part=part, as_of=look.taken_at, since=look.verified_since, inventory=look.inventory
        )

    @cached_property
    def switches(self) -> list[str]:
        """The switches that differ from their usual setting."""
        return switches(self.config, self.looked_at.taken_at)

    @cached_property
    def comparisons(self) -> dict[str, Comparison]:
        """Each rollout compared with the rest of its datasets, by name."""
        return {
            name: Comparison(
                self.config.rollout[name].percent,
                (datasets := covered(self.config, name)),
                (self._results(datasets, name), self._results(datasets, "")),
                since,
            )
            for name, since in self.rollouts.items()
        }

    def _results(self, datasets: Collection[str], variant: str) -> VariantResults:
        """The results of this run's files of some datasets that were fetched with a variant; "" for no variant."""
        keys = [key for fill in self.fills if fill.variant == variant and fill.dataset in datasets for key in fill.keys]
        found = [outcome for key in keys if (outcome := (self.outcomes or {}).get(key))]
        seconds = [outcome.seconds for outcome in found if outcome.seconds is not None]
        return VariantResults(
            sum(outcome.outcome is Outcome.STORED for outcome in found),
            sum(outcome.outcome is Outcome.FAILED for outcome in found),
            sum(outcome.requests for outcome in found),
            fmean(seconds) if seconds else None,
        )

    @property
    def list_cost(self) -> float:
        """What these LIST requests cost, in US dollars."""
        return self.list_requests * self.config.reconcile.list_price / 1000

    @property
    def listing(self) -> str:
        """How the lake was listed, in a sentence; empty if that took no LIST requests."""
        if not self.list_requests:
            return ""
        cost = f"about ${self.list_cost:.2f}" if self.list_cost >= 0.01 else "less than $0.01"
        cost = f", for {cost}" if self.list_cost else ""
        since = self.looked_at.verified_since
        parts = f"; parts of it as of {utc(since)} or later" if since else ""
        what = "Beside the inventory, parts of the lake were" if self.looked_at.inventory else "The lake was"
        return f"{what} listed with {plural(self.list_requests, 'LIST request')}{cost}{parts}."

    @property
    def filled(self) -> list[str]:
        """The keys under which this run has stored a file."""
        folder = f"{TEST_FOLDER}/" if self.config.test_mode else ""
        return [folder + o.key for o in (self.outcomes or {}).values() if o.outcome is Outcome.STORED]

    @property
    def failed(self) -> list[FileOutcome]:
        """The outcomes that count as failed, including files that the source says it does not have ("absent")."""
        return [o for o in (self.outcomes or {}).values() if o.outcome is Outcome.FAILED]

    def failure_counts(self) -> str:
        """The number of failed files, in words: "3 failed", or "0 failed, 10 absent"."""
        counts = Counter(outcome.label for outcome in self.failed)
        return f"{counts['failed']} failed" + (f", {counts['absent']} absent" if counts["absent"] else "")

    @property
    def deferrals(self) -> list[tuple[str, str, datetime | None]]:
        """The deferred files: key, reason, until."""
        return [
            (key, status.reason, status.until)
            for key, status in self.statuses.items()
            if status.state is State.DEFERRED
        ]

    @cached_property
    def lost(self) -> list[Loss]:
        """The files that had vanished or shrunk when this run first saw them, mended or not."""
        now = self.looked_at.lost
        return [Loss(key, s.kind, s.reason, key not in now) for key, s in sorted({**self.was_lost, **now}.items())]

    @cached_property
    def refusals(self) -> list[Refusal]:
        """The sources that refuse requests and of which the selection lacks files."""
        refusing = {
            name: pause
            for name, pause in self.pauses.items()
            if name in self.config.sources and pause.phase(datetime.now(UTC)) is not Phase.CLOSED
        }
        if not refusing:
            return []
        undone = (State.GAP, State.DEFERRED)
        waiting = Counter(
            self.config.datasets[self.looked_at.cells[key].dataset].source
            for key, status in self.statuses.items()
            if status.state in undone
        )
        return [
            Refusal(name, pause.reason, pause.free_at(datetime.now(UTC)), waiting[name])
            for name, pause in refusing.items()
            if waiting[name]
        ]

    @cached_property
    def marked_unavailable(self) -> dict[str, int]:
        """The number of files that operators have marked as unavailable, by reason."""
        return Counter(
            status.reason
            for status in self.statuses.values()
            if status.state is State.UNAVAILABLE and status.limit is Limit.OPERATOR
        )

    @property
    def unknown(self) -> tuple[Unknown, ...]:
        return self.looked_at.unknown

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """The files that are in the lake and cannot be read: key and reason. They are not fetched."""
        return [
            (key, status.reason)
            for key, status in self.statuses.items()
            if status.state is State.GAP and status.kind is Kind.UNREADABLE
        ]

    @property
    def partial(self) -> list[tuple[str, str, datetime | None]]:
        """The unavailable files of which a partial version is kept: key, reason, until."""
        return [(key, status.reason, status.until) for key, status in self.statuses.items() if status.partial]

    @property
    def differing(self) -> list[tuple[str, str]]:
        """The schedules that list fewer games than another source's, also after looking again: key and reason."""
        return [
            (key, status.reason)
            for key, status in self.statuses.items()
            if status.state is State.PRESENT and status.limit is Limit.DISAGREEMENT
        ]

    @property
    def to_examine(self) -> int:
        """The number of stored files that are still to be read: not read yet, or by a former check only."""
        return self.looked_at.never_read + self.looked_at.by_former_checks

    @property
    def reading(self) -> str:
        """A sentence about the stored files that are still to be read; empty if there are none."""
        if not self.to_examine:
            return ""
        at_most = self.config.reconcile.examine_at_most
        parts = []
        if never := self.looked_at.never_read:
            parts.append(f"{_files(never)} not read yet")
        if former := self.looked_at.by_former_checks:
            parts.append(f"{_files(former)} counted by the verdict of a former check")
        if not at_most:
            return f"{' and '.join(parts)}; none is read, since reconcile.examine_at_most is 0."
        runs = -(-self.to_examine // at_most)
        how = "the next run reads them" if runs == 1 else f"a run reads {at_most:,} of them, which takes {runs:,} runs"
        return f"{' and '.join(parts)}; {how}. Reading them sends no requests to the sites."

    @property
    def other_at_work(self) -> str:
        """A sentence about the other reconcile to which everything was left; empty if there is none."""
        return f"{self.left_to.already_at_work}; this one has left everything to it" if self.left_to else ""

    @property
    def complete(self) -> bool:
        """Whether nothing was left undone, and nothing is unknown."""
        counts = self.counts
        return not (self.failed or counts["gap"] or counts["deferred"] or counts["in_flight"] or self.unknown)

    def plan_document(self) -> dict[str, Any]:
        """The plan as the ledger keeps it for `adce why`: the fills in order, and the reasons for deferred files."""
        rows: dict[Reason, list[str]] = defaultdict(list)
        for key, reason in self.later.items():
            if (status := self.statuses.get(key)) and status.state is State.DEFERRED:
                rows[reason].append(key)
        later = [
            {"limit": r.limit.value, "of": r.of, "reason": r.text, "until": _iso(r.until), "keys": keys}
            for r, keys in rows.items()
        ]
        since = _iso(self.looked_at.verified_since)
        return {"fills": [_fill(fill) for fill in self.fills], "later": later, "verified_since": since}

    def losses(self) -> str:
        """The lost files, in words: "30 vanished, 2 shrank, 31 of them fetched again"."""
        vanished = sum(loss.kind is Kind.VANISHED for loss in self.lost)
        mended = sum(loss.mended for loss in self.lost)
        counts = (vanished, "vanished"), (len(self.lost) - vanished, "shrank"), (mended, "of them fetched again")
        return ", ".join(f"{count} {text}" for count, text in counts if count)

    def unknown_line(self) -> str:
        """What is unknown, in words: "nba_playbyplay of 2023-24", or whether files named by key are expected."""
        keys = self.looked_at.unknown_keys
        if not keys:
            return seasons_of(self.unknown)
        return f"whether {keys[0]}{and_more(len(keys))} {verb(len(keys), 'is', 'are')} to be in the lake"

    def what_is_needed(self) -> str:
        """What would end the unknown, in words: "a schedule is missing, not read yet, stale or bad: … (and 6 more)".

        If the source says that it has none of the schedules, an operator can say that no games are expected.
        """
        needed = list(dict.fromkeys(part.schedule.key for part in self.unknown))
        gone = [key for key in needed if (s := self.statuses.get(key)) and s.state is State.UNAVAILABLE]
        if gone and len(gone) == len(needed):
            return (
                f"the source says that it has no {gone[0]}{and_more(len(gone))}; if no games are to be expected there, "
                "say so with `adce unavailable add`"
            )
        return f"a schedule is missing, not read yet, stale or bad: {needed[0]}{and_more(len(needed))}"

    @cached_property
    def sources(self) -> list[SourceOutlook]:
        """What each source is asked for, until when, and what keeps it from being asked."""
        return [self._outlook(name, datetime.now(UTC)) for name in self.config.sources]

    @cached_property
    def cost(self) -> Cost:
        """What it takes to fetch what the lake lacks."""
        at = self.looked_at.taken_at
        ahead = at - datetime.now(UTC)  # pauses are of the real time
        opens = {name: pause.until + ahead for name, pause in self.pauses.items() if pause.until}
        for name, reason in self.held.items():
            until = reason.until + ahead if reason.until else FOR_EVER
            opens[name] = max(until, opens.get(name, until))
        etas = {source.name: source.eta for source in self.sources if source.eta} if self.outcomes is None else {}
        return cost_of(self.config, self.overview, at, opens, etas)

    def _outlook(self, name: str, now: datetime) -> SourceOutlook:
        fills = [fill for fill in self.fills if fill.source == name]
        breakers = {
            scraper: BreakerState(breaker.phase(now), breaker.free_at(now), breaker.reason)
            for scraper, breaker in self._breakers(name).items()
        }
        pause = self.pauses.get(name) or Pause(name)
        phase, phases = pause.phase(now), {breaker.phase for breaker in breakers.values()}
        return SourceOutlook(
            name,
            sum(fill.cost for fill in fills),
            max((fill.eta for fill in fills if fill.eta), default=None),
            phase,
            pause.until if phase is Phase.OPEN else None,
            None if phase is Phase.CLOSED else pause.reason,
            next((worst for worst in (Phase.OPEN, Phase.HALF_OPEN) if worst in phases), Phase.CLOSED),
            breakers,
        )

    def _breakers(self, source: str) -> dict[str, Pause]:
        """The circuit breakers of a source's scrapers that are not closed, and the pauses of its own addresses."""
        owners = {name: dataset.source for name, dataset in scrapers(self.config).items()} | own_addresses(self.config)
        return {
            name: self.pauses[name]
            for name, of in owners.items()
            if of == source and name in self.pauses and self.pauses[name].until
        }


def _fill(fill: Fill) -> dict[str, Any]:
    return {
        "id": fill.id,
        "source": fill.source,
        "dataset": fill.dataset,
        "rollout": fill.variant or None,
        "kind": fill.kind.value,
        "priority": fill.priority.value,
        "score": round(fill.score.total, 6),
        "score_parts": fill.score.parts(),
        "keys": fill.keys,
        "requests": fill.cost,
        "detected_at": _iso(fill.detected_at),
        "starts": _iso(fill.starts),
        "eta": _iso(fill.eta),
        "reason": fill.reason,
    }


def _files(count: int) -> str:
    return f"{plural(count, 'file')} {verb(count, 'is', 'are')}"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
