"""What keeps a source or a dataset from being asked now, until when, and how many files wait for it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from config.models import Config
from config.names import suggestion_or_list
from tasks.answers.health import Held
from tasks.domain.errors import SelectionError
from tasks.domain.flags.maintenance import window_at
from tasks.domain.limits.pauses import OperatorPause, Pause, Phase, all_trusted
from tasks.domain.plan.plan import why_paused, why_waiting
from tasks.domain.reasons import Limit, Reason, last_to_end
from tasks.domain.wording import plural
from tasks.ledger import Ledger
from tasks.ledger.plans import KeptPlan


@dataclass(frozen=True, slots=True)
class SourceHold:
    """Something for which a source, or a dataset, is not asked for now."""

    name: str  # what is held up: a source, a dataset, or a variant of one of them
    source: str
    reason: Reason
    waiting: Mapping[str, int]  # the number of files that wait for it, by dataset
    pause: Pause | None = None  # None if the source's rate bucket is not as it should be

    @property
    def stands_for(self) -> str:
        """The source or the dataset, of which it may be a variant."""
        return self.name.partition("@")[0]

    @property
    def by(self) -> str | None:
        """The operator who has paused it, if one has."""
        return self.pause.by if isinstance(self.pause, OperatorPause) else None

    @property
    def since(self) -> datetime | None:
        """Since when it is held up; None if that is not known."""
        return self.pause.since if self.pause else None

    def concerns(self, name: str, source: str) -> bool:
        """Does it hold up this source, or a part of it? Or this dataset of the source, perhaps as a part of that?"""
        return self.source == source and (name == source or self.stands_for in (name, source))


def named_datasets(config: Config, name: str) -> tuple[str, ...]:
    """The datasets of a source, or the dataset of this name. Raises SelectionError for another name."""
    if name in config.datasets:
        return (name,)
    if name in config.sources:
        return tuple(dataset for dataset, settings in config.datasets.items() if settings.source == name)
    plain, at, _ = name.partition("@")
    if at and (plain in config.datasets or plain in config.sources):
        raise SelectionError(f"{name}: name {plain}, which stands for all its variants")
    meant = suggestion_or_list(name, [*config.sources, *config.datasets], "the sources are", config.sources)
    raise SelectionError(f"no source or dataset {name!r}; {meant}")


def source_of(config: Config, name: str) -> str:
    """The source of a dataset; a source itself."""
    return config.datasets[name].source if name in config.datasets else name


def waiting_for(config: Config, name: str, gaps: Mapping[str, int]) -> dict[str, int]:
    """Those of the gaps, whose numbers are given by dataset, that belong to a source or a dataset."""
    return {dataset: gaps[dataset] for dataset in named_datasets(config, name) if dataset in gaps}


def holds_of(
    config: Config, ledger: Ledger, now: datetime, gaps: Mapping[str, int], last: KeptPlan | None
) -> list[SourceHold]:
    """Everything that keeps sources and datasets from being asked now, by ledger, configuration and the last plan.

    Their `gaps` wait for it, whose numbers are given by dataset. How many are a variant's the ledger does not tell, so
    a variant has none here.
    """
    return [_hold(config, *found, gaps) for found in _reasons(config, ledger, now, last)]


def hold_of(config: Config, pause: Pause, gaps: Mapping[str, int]) -> SourceHold:
    """What a pause, a circuit breaker or an operator's pause holds up while it is open."""
    return _hold(config, pause.name, why_paused(pause, _limit(config, pause)), pause, gaps)


def held(hold: SourceHold) -> Held:
    """What the health judges of a hold."""
    is_meant = hold.reason.limit in (Limit.OPERATOR_PAUSE, Limit.MAINTENANCE)
    return Held(hold.name, hold.reason.text, sum(hold.waiting.values()), is_meant)


def outlasting(begun: SourceHold, holds: Iterable[SourceHold]) -> list[SourceHold]:
    """What decides until when files of an operator's pause wait, if that ends later than the pause.

    Each has only those files. A probe may be answered at any moment, so that it never decides.
    """
    ours = (begun.name, begun.reason.limit)
    others = [h for h in holds if h.reason.limit is not Limit.PROBE and (h.name, h.reason.limit) != ours]
    found: dict[Reason, SourceHold] = {}
    for dataset, files in begun.waiting.items():
        by_reason = {hold.reason: hold for hold in others if dataset in hold.waiting}
        last = last_to_end(begun.reason, *by_reason)
        if last in by_reason:
            before = found[last].waiting if last in found else {}
            found[last] = replace(by_reason[last], waiting={**before, dataset: files})
    return list(found.values())


def remedy_of(reason: Reason) -> str:
    """What a person can do about a reason: "; `adce resume espn` ends that", or nothing."""
    return f"; `adce resume {reason.of.partition('@')[0]}` ends that" if reason.limit.is_resumable else ""


def waiting_words(waiting: Mapping[str, int]) -> str:
    """Numbers of files by dataset, in words: "30 files (espn_scoreboard 20, espn_summary 10)"."""
    files = plural(sum(waiting.values()), "file")
    if len(waiting) < 2:
        return f"{files} of {next(iter(waiting))}" if waiting else files
    return f"{files} ({', '.join(f'{name} {count:,}' for name, count in waiting.items())})"


def _reasons(
    config: Config, ledger: Ledger, now: datetime, last: KeptPlan | None
) -> Iterator[tuple[str, Reason, Pause | None]]:
    """What is held up, why, and the pause for which it is. What the configuration does not have is left out."""
    known = {*config.sources, *config.datasets}
    for name, by_operator in ledger.operator_pauses.current(now).items():
        if name in known:
            yield name, why_paused(by_operator, Limit.OPERATOR_PAUSE), by_operator
    yield from _windows(config, now)
    for name, pause in sorted(all_trusted(ledger.pauses.current(), config, now).items()):
        plain = name.partition("@")[0]
        if plain in known and pause.phase(now) is not Phase.CLOSED:
            yield name, _why(pause, _limit(config, pause), now), pause
    if last:
        for name, reason in last.stopped(now).items():
            if name in config.sources:
                yield name, reason, None


def _hold(config: Config, name: str, reason: Reason, pause: Pause | None, gaps: Mapping[str, int]) -> SourceHold:
    plain, at, _ = name.partition("@")
    waiting = {} if at else waiting_for(config, plain, gaps)
    return SourceHold(name, source_of(config, plain), reason, waiting, pause)


def _limit(config: Config, pause: Pause) -> Limit:
    return Limit.BACKOFF if pause.name.partition("@")[0] in config.sources else Limit.BREAKER


def _windows(config: Config, now: datetime) -> Iterator[tuple[str, Reason, Pause]]:
    """The open maintenance windows of sources, and those of datasets that end later than that of their source."""
    for source in config.sources:
        window = window_at(config.maintenance, [source], now)
        if window:
            yield source, why_paused(window, Limit.MAINTENANCE), window
        for name in named_datasets(config, source):
            own = window_at(config.maintenance, [source, name], now)
            if own and (window is None or own.until != window.until):
                yield name, why_paused(own, Limit.MAINTENANCE), own


def _why(pause: Pause, limit: Limit, now: datetime) -> Reason:
    if pause.phase(now) is Phase.OPEN:
        return why_paused(pause, limit)
    if pause.may_probe(now):
        text = f"the next request is a probe, whose answer decides: {pause.reason}"
        return Reason(Limit.PROBE, text, None, pause.name)
    return why_waiting(pause, now)
