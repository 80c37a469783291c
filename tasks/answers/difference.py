"""What would a change of the configuration do to the plan? Nothing is fetched, and nothing is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from config.models import Config
from config.secrets import MASK, is_harmless_header, without_secrets
from tasks.answers.plan import report_of
from tasks.answers.report import Report
from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.states import LakeObject, State, Status
from tasks.domain.errors import SelectionError
from tasks.domain.expected.cells import Cell, Selection
from tasks.observe.listing import list_lake
from tasks.observe.look import Reader, look_at_lake
from tasks.observe.planner import Planner
from tasks.observe.session import Session, open_both


@dataclass(frozen=True, repr=False)
class Difference:
    """Two plans for one moment, one lake and one ledger, by two configurations."""

    old: Report
    new: Report
    assessments: tuple[Assessment, Assessment]  # of all files, as expected by the old and by the new configuration
    objects: Mapping[str, LakeObject]
    configs: tuple[Config, Config]

    @cached_property
    def settings(self) -> list[tuple[str, Any, Any]]:
        """The settings that differ: name, old value and new value. Secrets are masked."""
        old, new = (dict(_flat("", _settings(config))) for config in self.configs)
        names = [name for name in old | new if old.get(name) != new.get(name)]
        return [(name, _masked(name, old.get(name)), _masked(name, new.get(name))) for name in names]

    @cached_property
    def added(self) -> list[str]:
        """The keys that only the new configuration expects."""
        old, new = self.assessments
        return [key for key in new.cells if key not in old.cells]

    @cached_property
    def dropped(self) -> list[str]:
        """The keys that only the old configuration expects."""
        old, new = self.assessments
        return [key for key in old.cells if key not in new.cells]

    @property
    def orphaned(self) -> list[str]:
        """The dropped keys whose files are in the lake: they stay there, and are no longer maintained."""
        return [key for key in self.dropped if key in self.objects]

    @cached_property
    def states(self) -> list[tuple[str, Status, Status]]:
        """The cells whose state or reason of deferral changes: key, old status and new status."""
        old, new = self.statuses
        both = [(key, was, new[key]) for key, was in old.items() if key in new]
        return [(key, was, now) for key, was, now in both if _compared(was) != _compared(now)]

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """All files that either configuration expects, by key; as the new one expects them, if it does."""
        old, new = self.assessments
        return {**old.cells, **new.cells}

    @cached_property
    def statuses(self) -> tuple[dict[str, Status], dict[str, Status]]:
        """The statuses of all files by the old and by the new configuration, after what each plan defers."""
        old, new = self.assessments
        return {**old.statuses, **self.old.statuses}, {**new.statuses, **self.new.statuses}

    @cached_property
    def moved(self) -> list[tuple[str, int, int]]:
        """The files that both plans fetch, but in another order: key, and its fill's place in the old and new plan."""
        old, new = (_places(report) for report in self._both)
        order = [[key for key in places if key in old and key in new] for places in (old, new)]
        rank = {key: n for n, key in enumerate(order[0])}
        return [(key, old[key], new[key]) for n, key in enumerate(order[1]) if rank[key] != n]

    def __bool__(self) -> bool:
        return bool(self.settings or self.added or self.dropped or self.states or self.moved)

    def sources(self) -> list[dict[str, Any]]:
        """For each source, the requests of both plans, and when each plan would be done."""
        old, new = ({source.name: (source.requests, source.eta) for source in report.sources} for report in self._both)
        rows = [(name, old.get(name, (0, None)), new.get(name, (0, None))) for name in old | new]
        return [
            {
                "name": name,
                "requests": {"old": was[0], "new": now[0]},
                "eta": {"old": was[1], "new": now[1]},
            }
            for name, was, now in rows
        ]

    @property
    def _both(self) -> tuple[Report, Report]:
        return self.old, self.new


async def compare(old: Config, new: Config, selection: Selection, now: datetime) -> Difference:
    """Compares the plans of two configurations for the lake and the ledger of the `old` one.

    Raises AdceError and ConfigError.
    """
    configs = old, new
    new = new.model_copy(update={"lake": old.lake, "ledger": old.ledger})
    _check(selection, configs, now)
    lake, ledger, _ = await open_both(old)
    try:
        datasets = [*old.datasets.values(), *new.datasets.values()]
        objects = await list_lake(lake, datasets, ledger.judgements.ranges())
        before, was = await _planned(Session(old, selection, lake, ledger, now), objects)
        after, becomes = await _planned(Session(new, selection, lake, ledger, now), objects)
        return Difference(before, after, (was, becomes), objects, configs)
    finally:
        ledger.close()


async def _planned(session: Session, listing: MutableMapping[str, LakeObject]) -> tuple[Report, Assessment]:
    """The plan of one configuration for a lake that holds the objects of the listing, and the state of all files."""
    look = await look_at_lake(session, Reader(session), remember=False, listing=listing)
    return report_of(session, look, Planner.of_a_look(session)), look.assessment


def _check(selection: Selection, configs: tuple[Config, Config], now: datetime) -> None:
    """Raises SelectionError if the selection fits neither of the two configurations."""
    errors = []
    for config in configs:
        try:
            selection.check(config, now)
        except SelectionError as error:
            errors.append(error)
    if len(errors) == len(configs):
        raise errors[-1]


def _settings(config: Config) -> dict[str, Any]:
    """All settings of a configuration. Of a rollout only those that are set, since its changes have no defaults."""
    rollout = {name: r.model_dump(mode="json", exclude_unset=True) for name, r in config.rollout.items()}
    return config.model_dump(mode="json", by_alias=True) | {"rollout": rollout}


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The settings by their dotted names."""
    if isinstance(value, dict):
        for part, inner in value.items():
            yield from _flat(f"{name}.{part}" if name else part, inner)
    else:
        yield name, value


def _masked(name: str, value: Any) -> Any:
    """The value of a setting, with everything masked that may be a secret."""
    _, is_header, header = name.partition(".headers.")
    if is_header and value is not None and not is_harmless_header(header):
        return MASK
    return without_secrets(value)


def _compared(status: Status) -> tuple[State, str]:
    return status.state, status.reason if status.state is State.DEFERRED else ""


def _places(report: Report) -> dict[str, int]:
    """The place of each file's fill in the plan, from 1, by key."""
    return {key: place for place, fill in enumerate(report.fills, 1) for key in fill.keys}
