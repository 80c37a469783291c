"""What did the last plan say, and what has the last run left for later?"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa

from tasks.domain.metrics import CYCLE_SECONDS, Amounts
from tasks.domain.reasons import Limit, Reason
from tasks.ledger.database import Database, PackedJson, UtcSeconds, metadata
from tasks.ledger.runs import runs_table
from tasks.ledger.totals import Totals

RUN = "last"  # the plan of the last reconcile, and what it has left for later
PLAN = "plan"  # a plan that nothing was fetched for, such as that of `adce plan`

_OF_ANOTHER_FORM = (AttributeError, KeyError, TypeError, ValueError)  # of entries that are not as they should be
T = TypeVar("T")
log = logging.getLogger(__name__)

plans_table = sa.Table(
    "plans",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("document", PackedJson, nullable=False),
)


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A plan as it was kept: see Report.plan_document."""

    document: Any
    at: datetime
    run: str  # the id of the run, or of the command, that has kept it
    packed: int = 0  # bytes that it takes in the ledger, if that was asked

    @property
    def verified_since(self) -> datetime | None:
        """Since when all of the lake had been listed, if the look of the run has listed only parts of it."""
        try:
            return _moment(self.document.get("verified_since"))
        except _OF_ANOTHER_FORM:
            return None

    @property
    def fills(self) -> list[Mapping[str, Any]]:
        """The fills in the order in which they were to start, each with at least the fields of a fill."""
        return self._entries("fills", _fill)

    def reasons(self, keys: Collection[str]) -> dict[str, Reason]:
        """The reasons for which files were left for later, of those among `keys`."""
        found: dict[str, Reason] = {}
        for of, reason in self._entries("later", _later):
            found |= dict.fromkeys(set(keys).intersection(of), reason)
        return found

    def stopped(self, now: datetime) -> dict[str, Reason]:
        """Why the run has fetched nothing of a source whose rate bucket was not as it should be, by source."""
        reasons = [reason for _, reason in self._entries("later", _later) if reason.limit is Limit.BUCKET]
        return {reason.of: reason for reason in reasons if reason.until and reason.until > now}

    def _entries(self, name: str, read: Callable[[Any], T]) -> list[T]:
        """The entries of a list in the document. Those of another form, and another list, are left out and told of."""
        entries = self.document.get(name) if isinstance(self.document, dict) else None
        if not isinstance(entries, list):
            _tell_of_another_form(self.run, name)
            return []
        found = []
        for entry in entries:
            try:
                found.append(read(entry))
            except _OF_ANOTHER_FORM:
                _tell_of_another_form(self.run, name)
        return found


@lru_cache(maxsize=16)
def _tell_of_another_form(run: str, name: str) -> None:
    """Says once that a plan cannot be read, or only in part."""
    text = "the plan that run %s has kept has %r in another form, and is not used so far: %s"
    log.warning(text, run[:8], name, "another version of ADCE may have kept it; the next reconcile replaces it")


def _later(entry: Any) -> tuple[list[str], Reason]:
    """The keys of files that were left for later, and why."""
    limit = Limit(entry.get("limit", Limit.SCRAPER_RUN))  # plans kept by older versions have no limit
    return _keys(entry), Reason(limit, entry["reason"], _moment(entry["until"]), entry.get("of", ""))


def _fill(entry: Any) -> Mapping[str, Any]:
    _keys(entry)
    return {name: entry[name] for name in ("id", "keys", "score", "score_parts", "starts", "eta")}


def _keys(entry: Any) -> list[str]:
    keys = entry["keys"]
    if not (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
        raise TypeError("keys are a list of texts")
    return keys


def _moment(text: Any) -> datetime | None:
    moment = datetime.fromisoformat(text) if text else None
    if moment and moment.tzinfo is None:
        raise ValueError("a time needs an offset")
    return moment


@dataclass(frozen=True, slots=True)
class Plans:
    """The last plans as JSON documents, by name: RUN, PLAN, or the id of a run that does a part of another run's work.

    The plan of a part says what the part has left for later. It is there until the other run has taken it.
    """

    database: Database
    totals: Totals

    def keep(self, name: str, document: Any, at: datetime, run: str, cycle: float | None = None) -> None:
        """Keeps a plan in place of the last one of this name.

        `cycle` is how many seconds it took from the start of a reconcile to this plan.
        """
        row = {"name": name, "at": at, "run": run, "document": document}
        amounts = Amounts()
        if cycle is not None:
            amounts.observe(CYCLE_SECONDS, cycle)

        def write(connection: sa.Connection) -> None:
            self.database.upsert(connection, plans_table, [row], {"at", "run", "document"})
            if cycle is not None:
                of_run = runs_table.update().where(runs_table.c.id == run)
                connection.execute(of_run.values(cycle_seconds=cycle))
            self.totals.add(connection, amounts)

        self.database.write(write)

    def update(self, name: str, document: Any, at: datetime, run: str) -> None:
        """Keeps a plan in place of the one that this run has kept. One that another run has kept since stays."""
        mine = (plans_table.c.name == name) & (plans_table.c.run == run)
        change = plans_table.update().where(mine).values(at=at, document=document)
        self.database.write(lambda connection: connection.execute(change))

    def kept(self, name: str, since: datetime | None = None) -> KeptPlan | None:
        """The plan of this name, unless it is from before `since`."""
        columns = plans_table.c
        query = sa.select(columns.document, columns.at, columns.run).where(columns.name == name)
        if since:
            query = query.where(columns.at >= since)

        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        return KeptPlan(*row) if row else None

    def unless_former(self, name: str, former: KeptPlan | None, most: int) -> KeptPlan | None:
        """The plan of this name. It is read only if it is not the `former` one.

        Of one that takes more than `most` bytes as JSON, all entries count as one that cannot be read.
        """
        columns = plans_table.c
        mine = columns.name == name
        marks = sa.select(columns.at, columns.run, sa.func.length(columns.document)).where(mine)
        document = sa.select(sa.type_coerce(columns.document, sa.LargeBinary)).where(mine)

        def read(connection: sa.Connection) -> KeptPlan | None:
            if (mark := connection.execute(marks).one_or_none()) is None:
                return None
            if former and (former.at, former.run, former.packed) == tuple(mark):
                return former
            unpacked = zlib.decompressobj().decompress(connection.execute(document).scalar_one(), most + 1)
            return KeptPlan(json.loads(unpacked) if len(unpacked) <= most else {"fills": [None], "later": []}, *mark)

        return self.database.read(read)

    def take(self, name: str) -> KeptPlan | None:
        """The plan of this name, which is not kept any longer."""
        if plan := self.kept(name):
            mine = plans_table.c.name == name
            self.database.write(lambda connection: connection.execute(plans_table.delete().where(mine)))
        return plan

    def prune(self, connection: sa.Connection, before: datetime) -> None:
        """Deletes plans of parts from before then, which the other run has not taken: it has died."""
        columns = plans_table.c
        connection.execute(plans_table.delete().where(columns.name.not_in([RUN, PLAN]), columns.at < before))
