"""How is each source asked now: at which rate, for how many files, and what keeps it from being asked?

Everything is read from the ledger and the configuration, so that the answer takes no look at the lake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from config.models import Config, Rate
from tasks.answers.holds import SourceHold, holds_of, named_datasets, waiting_for
from tasks.domain.event_path import EventPath
from tasks.domain.expected.collected import collected
from tasks.domain.flags.maintenance import next_window
from tasks.domain.incidents import Incident, is_within
from tasks.domain.limits.pauses import Window
from tasks.domain.limits.rates import spacing
from tasks.ledger import Ledger
from tasks.ledger.plans import KeptPlan
from tasks.ledger.unread_messages import UnreadMessage
from tasks.observe.scope import path_of

_LATELY = timedelta(minutes=1)
_WEEK = timedelta(days=7)
_MOST_UNREAD = 20  # unreadable messages that are told of one by one


@dataclass(frozen=True, slots=True)
class SourceNow:
    """How a source is asked now."""

    name: str
    is_enabled: bool
    rates: Sequence[Rate]  # its own, and the one that all sources share
    last_minute: int  # requests that runs have reported; a run reports them at least every ten seconds
    last_stored: datetime | None  # when the last fill ended that stored a file
    waiting: Mapping[str, int]  # gaps that runs have seen and that are not closed, by dataset
    holds: Sequence[SourceHold]
    next_window: tuple[datetime, Window] | None  # the next maintenance window of the source or of one of its datasets
    not_fetched: Mapping[str, str] = field(default_factory=dict)  # its datasets that are not fetched, with the reason
    incidents: Sequence[Incident] = ()  # those of it or one of its datasets that are open

    @property
    def per_minute(self) -> float:
        """The requests that its rates let through in a minute, while no other source sends any."""
        return _LATELY.total_seconds() / spacing(self.rates)


def sources_now(config: Config, ledger: Ledger, now: datetime, last: KeptPlan | None) -> list[SourceNow]:
    """How each source is asked now, if that is the plan of the last reconcile."""
    gaps = ledger.gaps.counts()
    holds = holds_of(config, ledger, now, gaps, last)
    not_fetched = why_not_fetched(config)
    lately, incidents = ledger.requests.lately(_LATELY), ledger.incidents.open()
    return [
        SourceNow(
            name,
            config.enabled and settings.enabled,
            [*settings.rates, *config.rates],
            lately.get(name, 0),
            ledger.attempts.last_stored(name),
            waiting_for(config, name, gaps),
            [hold for hold in holds if hold.source == name],
            next_window(config.maintenance, [name, *named_datasets(config, name)], now),
            {dataset: not_fetched[dataset] for dataset in named_datasets(config, name) if dataset in not_fetched},
            [one for one in incidents if one.scope and is_within(one.scope, name)],
        )
        for name, settings in config.sources.items()
    ]


def why_not_fetched(config: Config) -> dict[str, str]:
    """The datasets that are not fetched by this configuration, each with the setting for which it is not."""
    collection, found = collected(config), {}
    for name, dataset in config.datasets.items():
        switches = {
            "enabled": config.enabled,
            f"sources.{dataset.source}.enabled": config.sources[dataset.source].enabled,
            f"datasets.{name}.enabled": dataset.enabled,
        }
        off = next((f"{switch} is false" for switch, is_on in switches.items() if not is_on), None)
        if why_not := collection.why_not_dataset(name) or off:
            found[name] = why_not
    return found


@dataclass(frozen=True, slots=True)
class EventsNow:
    """How events of the lake are watched now, and which changes of the last week none has told of."""

    since: datetime
    progress: datetime  # when the queue was last read
    path: EventPath
    missed: Mapping[tuple[date, str], int]  # by day (in UTC) and folder
    unread_count: int  # messages that could not be read
    unread: Sequence[UnreadMessage]  # the last of them, the newest first


def events_now(ledger: Ledger, now: datetime) -> EventsNow | None:
    """How events of the lake are watched now; None if they are not watched."""
    watch = ledger.announcements.watch(now)
    if watch is None:
        return None
    path = path_of(ledger, watch, now)
    missed = ledger.announcements.missed((now - _WEEK).date())
    unread = ledger.unread_messages
    return EventsNow(watch.since, watch.progress, path, missed, unread.count(), unread.newest(_MOST_UNREAD))
