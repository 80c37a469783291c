"""What has the last look at the whole lake found, in numbers?"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa

from config.models import Priority
from tasks.domain.assess.overview import Counts, Place, Standing, Stored
from tasks.domain.assess.recorded import Days, Gauges, RecordedLook, Waiting
from tasks.domain.assess.states import State
from tasks.domain.assess.unknown import UnknownSchedule
from tasks.domain.expected.cells import Partition
from tasks.domain.metrics import Series
from tasks.ledger.completeness import Completeness
from tasks.ledger.database import Database, UtcSeconds, metadata, rows
from tasks.ledger.runs import RunRecord, runs_table

looks_table = sa.Table(
    "looks",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("taken_at", UtcSeconds, nullable=False),
    sa.Column("verified_since", UtcSeconds, nullable=False),
    sa.Column("inventory", UtcSeconds),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("lake", sa.String, nullable=False),
    sa.Column("list_requests", sa.Integer, nullable=False),
    sa.Column("never_read", sa.Integer, nullable=False),
    sa.Column("by_former_checks", sa.Integer, nullable=False),
    sa.Column("unknown", sa.Integer, nullable=False),
)
# The partitions that the look has counted: a digest of their rows in three other tables, and what the lake has of them
tallied_table = sa.Table(
    "tallied",
    metadata,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("season", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
tallies_table = sa.Table(
    "tallies",
    metadata,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("season", sa.String, primary_key=True),
    sa.Column("span", sa.String, primary_key=True),
    sa.Column("state", sa.String, primary_key=True),
    sa.Column("by_operator", sa.Boolean, primary_key=True),
    sa.Column("unread", sa.Boolean, primary_key=True),
    sa.Column("cells", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
# The sums of the tallies of each season
season_tallies_table = sa.Table(
    "season_tallies",
    metadata,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("season", sa.String, primary_key=True),
    sa.Column("state", sa.String, primary_key=True),
    sa.Column("by_operator", sa.Boolean, primary_key=True),
    sa.Column("unread", sa.Boolean, primary_key=True),
    sa.Column("cells", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
unknown_table = sa.Table(
    "unknown_schedules",
    metadata,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("season", sa.String, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),  # among the schedules of the partition, in their order
    sa.Column("key", sa.String, nullable=False),
    sa.Column("span", sa.String, nullable=False),
    sqlite_with_rowid=False,
)
waiting_table = sa.Table(
    "waiting",
    metadata,
    sa.Column("priority", sa.String, primary_key=True),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("oldest", UtcSeconds, nullable=False),
)
gauges_table = sa.Table(
    "gauges",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("labels", sa.String, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
)
_OF_PARTITION = (tallied_table, tallies_table, season_tallies_table, unknown_table)
_TABLES = (looks_table, *_OF_PARTITION, waiting_table, gauges_table)
_LENGTH_OF_A_DATE = 10
_LAST, _FINISHED = "last", "finished"  # the last look, and that of the last run that has worked through its plan
_SUMS = season_tallies_table.c
_BY_SEASON = sa.select(_SUMS.dataset, _SUMS.season, sa.literal_column("''").label("span"), *list(_SUMS)[2:])


class LookNow(NamedTuple):
    """The last recorded look, without its counts."""

    taken_at: datetime
    verified_since: datetime
    inventory: datetime | None
    run: str
    lake: str
    list_requests: int
    never_read: int
    by_former_checks: int
    unknown: int  # the number of schedules that are not known; several datasets may need the same one

    @property
    def listed_since(self) -> datetime:
        """When that part of the lake was listed that was not listed for the longest time.

        An inventory counts as a listing at the time at which it was begun.
        """
        return min(filter(None, (self.verified_since, self.inventory)))


class _Tallied(NamedTuple):
    """A row of `tallied`, and the rows of the same partition in the tables `tallies` and `unknown_schedules`."""

    digest: str
    stored: Stored
    tallies: Sequence[tuple[Any, ...]]
    unknown: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Looks:
    """The last look at the whole lake, of a run that had the lease of a reconcile."""

    database: Database
    completeness: Completeness

    def record(
        self,
        look: RecordedLook,
        may: Callable[[sa.Connection], bool] = lambda connection: True,
        *,
        is_done: bool = False,
    ) -> bool:
        """Records a look in place of the last one, completely or not at all. Rows that stay the same are not written.

        `is_done` if its run has worked through its plan; see `finished`. Returns False, with nothing recorded, if the
        look `may` not be recorded any more when the transaction begins.
        """
        tallied = _by_partition(look)
        names = (_LAST, _FINISHED) if is_done else (_LAST,)
        return self.database.write(partial(self._record, look, names, tallied, may))

    def _record(
        self,
        look: RecordedLook,
        names: Collection[str],
        tallied: Mapping[Partition, _Tallied],
        may: Callable[[sa.Connection], bool],
        connection: sa.Connection,
    ) -> bool:
        if not may(connection):
            return False
        columns = tallied_table.c
        stored = connection.execute(sa.select(columns.dataset, columns.season, columns.digest))
        before = {Partition(dataset, season): digest for dataset, season, digest in stored}
        changed = [of for of, one in tallied.items() if before.get(of) != one.digest]
        replaced = [of._asdict() for of in (*changed, *(before.keys() - tallied.keys())) if of in before]
        for table in _OF_PARTITION if replaced else ():
            mine = (table.c.dataset == sa.bindparam("d")) & (table.c.season == sa.bindparam("s"))
            connection.execute(table.delete().where(mine), [{"d": r["dataset"], "s": r["season"]} for r in replaced])
        new = [(of, tallied[of]) for of in changed]
        insert = partial(self.database.insert_stored, connection)
        insert(tallied_table, [(*of, one.digest, *one.stored) for of, one in new])
        insert(tallies_table, [row for _, one in new for row in one.tallies])
        insert(season_tallies_table, [row for of, one in new for row in _sums(of, one.tallies)])
        insert(unknown_table, [row for _, one in new for row in one.unknown])
        connection.execute(waiting_table.delete())
        insert(waiting_table, [(name.value, one.files, one.oldest.timestamp()) for name, one in look.queue.items()])
        self._replace_gauges(connection, look.gauges)
        unknown = len({part.key for part in look.unknown})
        row = {**{name: getattr(look, name) for name in LookNow._fields}, "unknown": unknown}
        self.database.upsert(connection, looks_table, [{"name": name, **row} for name in names], set(LookNow._fields))
        self.completeness.write(connection, look)
        return True

    def _replace_gauges(self, connection: sa.Connection, gauges: Gauges) -> None:
        columns = gauges_table.c
        before = _gauges(connection)
        for series in before.keys() - gauges.keys():
            this = (columns.name == series.name) & (columns.labels == series.labels)
            connection.execute(gauges_table.delete().where(this))
        changed = [
            {"name": series.name, "labels": series.labels, "value": value}
            for series, value in gauges.items()
            if before.get(series) != value
        ]
        self.database.upsert(connection, gauges_table, changed, {"value"})

    def last(self) -> LookNow | None:
        """The last recorded look, without its counts; None if none is recorded."""
        query = sa.select(*(looks_table.c[name] for name in LookNow._fields)).where(looks_table.c.name == _LAST)
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        return LookNow(*row) if row else None

    def finished(self) -> datetime | None:
        """When the last run ended that has looked at the whole lake and worked through its plan; None if none has."""
        moments = runs_table.c.ended, runs_table.c.began, looks_table.c.taken_at
        ended = sa.func.coalesce(*moments, type_=UtcSeconds)
        both = looks_table.outerjoin(runs_table, runs_table.c.id == looks_table.c.run)
        query = sa.select(ended).select_from(both).where(looks_table.c.name == _FINISHED)
        return self.database.read(lambda connection: connection.execute(query).scalar())

    def finished_by(self) -> RunRecord | None:
        """The last run that has looked at the whole lake and worked through its plan; None if it is not known."""
        ours = looks_table.join(runs_table, runs_table.c.id == looks_table.c.run)
        query = sa.select(runs_table).select_from(ours).where(looks_table.c.name == _FINISHED)
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        return RunRecord.of(row) if row else None

    def days(self) -> Days | None:
        """The first and the last day of which the last recorded look has counted files; None if there is none."""
        span = tallies_table.c.span
        query = sa.select(sa.func.min(span), sa.func.max(span)).where(sa.func.length(span) == _LENGTH_OF_A_DATE)
        first, last = self.database.read(lambda connection: connection.execute(query).one())
        return (date.fromisoformat(first), date.fromisoformat(last)) if first else None

    def gauges(self) -> dict[Series, float]:
        """The values of the metrics that the last recorded look has given values to."""
        return self.database.read(_gauges)

    def recorded(self, *, by_season: bool = False, of: Partition | None = None) -> RecordedLook | None:
        """The last recorded look; None if none is recorded. With `by_season`, files are counted by season, not by day.

        That takes a twentieth of the time, since a season has one sum instead of one for each day. With `of`, only the
        files of a partition are counted.
        """
        table = season_tallies_table if by_season else tallies_table
        query = _BY_SEASON if by_season else sa.select(table)
        if of:
            query = query.where(table.c.dataset == of.dataset, table.c.season == of.season)

        def read() -> RecordedLook | None:
            if (last := self.last()) is None:
                return None
            return RecordedLook(
                *last[:-1],
                self.database.read(partial(_counts, query)),
                self.database.read(_stored),
                self.database.read(_unknown),
                self.database.read(_queue),
                self.gauges(),
            )

        return self.database.read_together(read)

    def forget(self, connection: sa.Connection) -> None:
        """Deletes the recorded look, in an open transaction."""
        for table in _TABLES:
            connection.execute(table.delete())


def _by_partition(look: RecordedLook) -> dict[Partition, _Tallied]:
    tallies: dict[Partition, list[tuple[Any, ...]]] = defaultdict(list)
    for place, standings in look.counts.items():
        tallies[Partition(place.dataset, place.season)] += [
            (*place, standing.state.value, standing.by_operator, standing.unread, cells)
            for standing, cells in standings.items()
            if cells
        ]
    unknown: dict[Partition, list[tuple[Any, ...]]] = defaultdict(list)
    for part in look.unknown:
        of_partition = unknown[Partition(part.dataset, part.season)]
        of_partition.append((part.dataset, part.season, len(of_partition), part.key, part.span))
    found = {}
    for of in tallies.keys() | unknown.keys() | look.stored.keys():
        rows, schedules, stored = sorted(tallies[of]), unknown[of], look.stored.get(of, Stored())
        digest = hashlib.sha256(repr((rows, schedules, stored)).encode()).hexdigest()
        found[of] = _Tallied(digest, stored, rows, schedules)
    return found


def _sums(of: Partition, tallies: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows of `season_tallies`, from the rows of `tallies` of one partition."""
    sums: Counter[tuple[Any, ...]] = Counter()
    for *_, state, by_operator, unread, cells in tallies:
        sums[state, by_operator, unread] += cells
    return ((*of, *standing, cells) for standing, cells in sums.items())


def _counts(query: sa.Select[Any], connection: sa.Connection) -> Counts:
    counts: dict[Place, dict[Standing, int]] = {}
    standings: dict[tuple[Any, ...], Standing] = {}
    for dataset, season, span, state, by_operator, unread, cells in rows(connection, query):
        parts = state, by_operator, unread
        standing = standings.get(parts) or standings.setdefault(
            parts, Standing(State(state), bool(by_operator), bool(unread))
        )
        counts.setdefault(Place(dataset, season, span), {})[standing] = cells
    return counts


def _stored(connection: sa.Connection) -> dict[Partition, Stored]:
    columns = tallied_table.c
    query = sa.select(columns.dataset, columns.season, columns.files, columns.bytes).where(columns.files > 0)
    return {Partition(dataset, season): Stored(*both) for dataset, season, *both in connection.execute(query)}


def _unknown(connection: sa.Connection) -> tuple[UnknownSchedule, ...]:
    query = sa.select(*(unknown_table.c[name] for name in UnknownSchedule._fields)).order_by(*unknown_table.primary_key)
    return tuple(UnknownSchedule(*row) for row in rows(connection, query))


def _queue(connection: sa.Connection) -> dict[Priority, Waiting]:
    found = {priority: Waiting(*both) for priority, *both in connection.execute(sa.select(waiting_table))}
    return {priority: found[priority.value] for priority in Priority if priority.value in found}


def _gauges(connection: sa.Connection) -> dict[Series, float]:
    return {Series(name, labels): value for name, labels, value in rows(connection, sa.select(gauges_table))}
