"""What is open while somebody looks at the lake, or works on it: configuration, lake, ledger, and the time."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from blocks.store import Store
from config.load import ConfigError
from config.models import Config
from tasks.clock import Stopwatch
from tasks.domain.expected.cells import Selection, in_utc
from tasks.domain.expected.keys import KeyPatterns, folders
from tasks.domain.lakes import LakeKind, Pairing
from tasks.domain.reasons import Limit, Reason
from tasks.domain.times import check_fetching_clock, horizon
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases
from tasks.observe.identity import check_pairing
from tasks.observe.listing import check_ids
from tasks.sources.checks import CHECKS


@dataclass(frozen=True, slots=True)
class Part:
    """The work is a part of another run's: of which run, by its id in the ledger, and until when.

    It is done in this process. `lake` and `ledger` are the ids of those that the other run has.
    """

    of: str | None
    ends: datetime | None
    lake: str | None = None
    ledger: str | None = None


@dataclass(frozen=True)
class Session:
    """One command, or one run, with its lake and ledger open."""

    config: Config
    selection: Selection
    lake: Store
    ledger: Ledger
    as_of: datetime | None = None
    part: Part | None = None
    pairing: Pairing | None = None  # of the lake and the ledger, when they were opened
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    watch: Stopwatch = field(default_factory=Stopwatch)  # seconds by RunPart

    @cached_property
    def keys(self) -> KeyPatterns:
        """Which dataset a key belongs to."""
        return KeyPatterns(self.config)

    @cached_property
    def checks(self) -> dict[str, str]:
        """The id of each scraper's body check: an examination by another one is read anew."""
        return check_ids(self.config)

    @cached_property
    def leases(self) -> Leases:
        parent = self.part.of if self.part else None
        return Leases(self.ledger.database, self.id, self.config.reconcile.lease, parent)

    def now(self) -> datetime:
        """The time that decides what is due: the clock's, or the one that was set."""
        return self.as_of or datetime.now(UTC)

    def horizon(self) -> datetime:
        """No stored time after this is believed."""
        return horizon(self.config, self.now(), datetime.now(UTC))

    def next_run(self) -> datetime:
        """When what is left undone is looked at again."""
        return (self.as_of or self.begun).replace(microsecond=0) + self.config.reconcile.interval

    @property
    def ends(self) -> datetime:
        """After this time no fill is started."""
        ends = self.begun + self.config.reconcile.time_budget
        return min(ends, in_utc(self.part.ends)) if self.part and self.part.ends else ends

    def left_to_the_next_run(self, limit: Limit, text: str) -> Reason:
        """The reason of a file that the next run comes to."""
        return Reason(limit, text, self.next_run())


@asynccontextmanager
async def open_session(
    config: Config,
    selection: Selection,
    *,
    as_of: datetime | None = None,
    fetches: bool = False,
    part: Part | None = None,
) -> AsyncIterator[Session]:
    """A session with its lake and ledger open, after all that can be checked without them was found right.

    For a session that `fetches`, a local lake is made, unless it does a part of a run, which has made it; and its clock
    must not be ahead. Raises an AdceError that names what cannot be opened.
    """
    check_the_checks(config)
    selection.check(config, as_of or datetime.now(UTC))
    if fetches:
        check_fetching_clock(config, as_of, datetime.now(UTC))
    lake, ledger, pairing = await open_both(config, fetches=fetches, part=part)
    try:
        yield Session(config, selection, lake, ledger, as_of, part, pairing)
    finally:
        ledger.close()


async def open_both(
    config: Config, *, fetches: bool = False, part: Part | None = None
) -> tuple[Store, Ledger, Pairing]:
    """The lake and the ledger of the configuration, which belong together. Raises an AdceError if they do not."""
    lake = await open_lake(config)
    planned = (part.lake, part.ledger) if part else (None, None)
    lake.check()
    ledger = Ledger(config.ledger)
    try:
        kind = (LakeKind.SANDBOX if config.sandbox else LakeKind.REAL) if fetches else None
        pairing = await check_pairing(lake, ledger, kind, planned, folders(config.datasets.values()))
        if fetches and planned == (None, None):
            lake.check(create=True)
        return lake, ledger, pairing
    except BaseException:
        ledger.close()
        raise


async def open_lake(config: Config) -> Store:
    """The lake of the configuration, with the credentials of the block that it names. Raises LakeError."""
    connections = config.reconcile.lake_connections
    if config.aws_credentials is None:
        return Store(config.lake, connections)
    from blocks.lake import lake_with_credentials  # seconds: it imports Prefect

    return await lake_with_credentials(config.lake, connections, config.aws_credentials)


def check_the_checks(config: Config) -> None:
    """Raises ConfigError for a dataset whose check there is none of."""
    lines = [
        f"datasets.{name}.check.name: no check {dataset.check.name!r}; there are {', '.join(sorted(CHECKS))}"
        for name, dataset in config.datasets.items()
        if dataset.check.name not in CHECKS
    ]
    if lines:
        raise ConfigError(lines)
