"""What is open during a command or a run? The configuration, the lake, the ledger, and the time it goes by."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from blocks.store import Store
from config.models import Config, Dataset
from tasks.clock import Stopwatch
from tasks.domain.access import Access
from tasks.domain.errors import LedgerError
from tasks.domain.expected.cells import Selection, assume_utc, selected_datasets
from tasks.domain.expected.keys import KeyPatterns, folders
from tasks.domain.lakes import LakeKind, Pairing, check_sites
from tasks.domain.metrics import LIST_REQUESTS, Amounts
from tasks.domain.reasons import Limit, Reason
from tasks.domain.times import check_fetching_clock, horizon
from tasks.domain.wording import plural
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases
from tasks.observe.identity import check_pairing
from tasks.observe.listing import check_ids

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of another run's work, which this process does."""

    of: str | None  # the id of the other run in the ledger
    ends: datetime | None  # when the other run ends: no fill is started after that
    lake: str | None = None  # the id of the other run's lake
    ledger: str | None = None  # the id of the other run's ledger


@dataclass(frozen=True)
class Session:
    """One command or run, with its lake and ledger open."""

    config: Config
    selection: Selection
    lake: Store
    ledger: Ledger
    as_of: datetime | None = None
    part: Part | None = None
    pairing: Pairing | None = None  # how the lake and the ledger belong together, as found when they were opened
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    watch: Stopwatch = field(default_factory=Stopwatch)  # seconds by RunPart

    @cached_property
    def keys(self) -> KeyPatterns:
        """The patterns by which a key belongs to a dataset."""
        return KeyPatterns(self.config)

    @cached_property
    def checks(self) -> dict[str, str]:
        """The id of each scraper's body check. A file that was examined by another check is read again."""
        return check_ids(self.config)

    @cached_property
    def leases(self) -> Leases:
        """The leases and claims of this run; a part of another run shares that run's claims."""
        parent = self.part.of if self.part else None
        return Leases(self.ledger.database, self.id, self.config.reconcile.lease, parent)

    def now(self) -> datetime:
        """The time that decides what is due: `as_of` if it was set, else the clock's."""
        return self.as_of or datetime.now(UTC)

    def learnt_at(self) -> datetime:
        """The time that is recorded for what is learnt of the lake now. It is past the begin of the session."""
        return self.now() if self.as_of is None else max(self.begun, self.as_of)

    @property
    def remembers(self) -> bool:
        """Does the ledger keep what is found? Not in a dry run with a set clock."""
        return self.as_of is None or not self.config.dry_run

    def horizon(self) -> datetime:
        """The latest stored time that is trusted. Later ones were written under a wrong clock."""
        return horizon(self.config, self.now(), datetime.now(UTC))

    def next_run(self) -> datetime:
        """When the next scheduled run begins, which continues what this one leaves undone."""
        return (self.as_of or self.begun).replace(microsecond=0) + self.config.reconcile.interval

    @property
    def ends(self) -> datetime:
        """The time after which no fill is started: the end of the time budget, or that of the other run."""
        ends = self.begun + self.config.reconcile.time_budget
        return min(ends, assume_utc(self.part.ends)) if self.part and self.part.ends else ends

    def count_list_requests(self) -> None:
        """Adds the LIST requests that the lake has answered since the last time to the running totals."""
        requests = 0 if self.ledger.only_reads else self.lake.take_list_requests()
        amounts = Amounts()
        amounts.count(LIST_REQUESTS, requests)
        try:
            self.ledger.totals.record(amounts)
        except LedgerError as error:  # it must not hide why the work ended
            log.warning("%s; %s missing from the totals", error, plural(requests, "LIST request"))

    def until_next_run(self, limit: Limit, text: str) -> Reason:
        """The reason for files that are deferred to the next run."""
        return Reason(limit, text, self.next_run())


def listed_datasets(session: Session) -> dict[str, Dataset]:
    """The datasets whose folders are listed: those that are selected, and the schedules of their games."""
    config, selected = session.config, selected_datasets(session.config, session.selection)
    in_use = {dataset.schedule for dataset in selected.values()}
    return {name: dataset for name, dataset in config.datasets.items() if name in selected or name in in_use}


@asynccontextmanager
async def open_session(
    config: Config,
    selection: Selection,
    *,
    as_of: datetime | None = None,
    access: Access = Access.LOOK,
    fetches: bool = False,
    part: Part | None = None,
) -> AsyncIterator[Session]:
    """Opens a session with its lake and its ledger, after checking everything that can be checked without them.

    For a session that `fetches`, the clock must not be ahead, and the folder of a local lake is created, unless the
    session does a part of another run, which has created it. Raises an AdceError that says what is wrong.
    """
    selection.check(config, as_of or datetime.now(UTC))
    if fetches:
        check_fetching_clock(config, as_of, datetime.now(UTC))
        check_sites(config)
    lake, ledger, pairing = await open_both(config, access, fetches=fetches, part=part)
    session = Session(config, selection, lake, ledger, as_of, part, pairing)
    try:
        yield session
    finally:
        session.count_list_requests()
        ledger.close()


async def open_both(
    config: Config, access: Access = Access.LOOK, *, fetches: bool = False, part: Part | None = None
) -> tuple[Store, Ledger, Pairing]:
    """Opens the lake and the ledger of the configuration. Raises an AdceError if they do not belong together."""
    lake = await open_lake(config)
    planned = (part.lake, part.ledger) if part else (None, None)
    lake.check()
    ledger = Ledger(config.ledger, access)
    if migration := ledger.database.migration:
        log.warning("ledger %s is %s", ledger.name, migration)
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
    """The lake of the configuration, with the credentials of the Prefect block that it names. Raises LakeError."""
    connections = config.reconcile.lake_connections
    if config.aws_credentials is None:
        return Store(config.lake, connections)
    from blocks.lake import lake_with_credentials  # not at the top: it imports Prefect, which takes seconds

    return await lake_with_credentials(config.lake, connections, config.aws_credentials)
