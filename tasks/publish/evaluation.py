"""Which incidents follow from what is known now? One process at a time evaluates the conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from config.models import Config
from tasks.answers.incidents import facts_of, lost_facts
from tasks.domain.flags.maintenance import window_at
from tasks.domain.incidents import Change, Fact, QuietTime, Settings, step
from tasks.ledger import Ledger


def evaluate(
    config: Config, ledger: Ledger, now: datetime, others: Iterable[Fact] = (), since: datetime | None = None
) -> tuple[Change, ...]:
    """Opens and closes incidents by the facts of the ledger and others, and returns what is to be told.

    `since` is when services began to evaluate, if one does. The ledger keeps what is to be told until it has been
    delivered. Raises LedgerError.
    """
    return _evaluate(config, ledger, now, [*facts_of(config, ledger, now, since), *others])


def note_lost(config: Config, ledger: Ledger, run: str, now: datetime) -> None:
    """Opens the incidents of files that the look of a run has found lost, before it fetches them again.

    Whoever tells next tells of them. Nothing is evaluated besides. Raises LedgerError.
    """
    facts = lost_facts(config, ledger, now)
    if not any(fact.value for fact in facts):
        return
    targets = config.alerts.targets if config.alerts.owner == "adce" else {}
    ledger.alert_targets.take_turn(run, targets, now, 0.0)  # a target that is new is told from now on
    ledger.alert_targets.let_go(run)
    _evaluate(config, ledger, now, facts)


def _evaluate(config: Config, ledger: Ledger, now: datetime, facts: Sequence[Fact]) -> tuple[Change, ...]:
    settings = settings_of(config, holds_of(config, ledger, now))
    return ledger.incidents.evaluate(lambda before: step(before, facts, now, settings), now)


def holds_of(config: Config, ledger: Ledger, now: datetime) -> tuple[QuietTime, ...]:
    """The times in which nothing is told: the silences of operators, and the maintenance windows that are open now."""
    return (*(silence.hold for silence in ledger.incidents.silences(now)), *_maintenance(config, now))


def settings_of(config: Config, holds: Iterable[QuietTime]) -> Settings:
    """How incidents are told by this configuration."""
    alerts, limits = config.alerts, {str(kind): limit for kind, limit in config.alerts.limits.items()}
    return Settings(alerts.settle, alerts.remind_every, config.reconcile.interval, limits, tuple(holds))


def _maintenance(config: Config, now: datetime) -> Iterator[QuietTime]:
    """The maintenance windows that are open now."""
    for name in dict.fromkeys(window.of for window in config.maintenance):
        window = window_at(config.maintenance, [name], now)
        if window and window.until:
            yield QuietTime(now, window.until, scope=_scope_of(config, name))


def _scope_of(config: Config, name: str) -> str:
    """The scope of a source, of a dataset, or of "all"."""
    return f"{config.datasets[name].source}/{name}" if name in config.datasets else name if name != "all" else ""
