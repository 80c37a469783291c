"""What must survive a run? First sightings, what was found in stored files, absences, holds, and the last plan."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from typing import Any

import sqlalchemy as sa

from tasks.ledger.database import Database, UtcSeconds, UtcSecondsList, among, metadata, rows
from tasks.domain.absences import Absence
from tasks.domain.agreement import Disagreement
from tasks.domain.games import Game, GameStatus
from tasks.domain.holds import Hold
from tasks.domain.lakes import FORGOTTEN, KnownLake, LakeKind
from tasks.domain.plan import Gap
from tasks.domain.states import Examination, Unreadable
from tasks.domain.verdicts import Fault, Verdict, Wholeness
from tasks.ledger.attempts import History, files_table, fills_table
from tasks.ledger.leases import leases_table, marks_table, runs_table

gaps_table = sa.Table(
    "gaps",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("dataset", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("first_seen", UtcSeconds, nullable=False),
)
examined_table = sa.Table(
    "examined",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("wholeness", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("games", sa.String),
    sa.Column("fetched", UtcSeconds),
    sa.Column("agreed", sa.Boolean, nullable=False),
    sa.Column("was_size", sa.BigInteger),
    sa.Column("changed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("fault", sa.String),
)
unreadable_table = sa.Table(
    "unreadable",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("content", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("first", UtcSeconds, nullable=False),
    sa.Column("last", UtcSeconds, nullable=False),
)
absences_table = sa.Table(
    "absences",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("dataset", sa.String, nullable=False),
    sa.Column("evidence", sa.String, nullable=False),
    sa.Column("first", UtcSeconds, nullable=False),
    sa.Column("last", UtcSeconds, nullable=False),
    sa.Column("looks", sa.Integer, nullable=False),
    sa.Column("until", UtcSeconds),
    sa.Column("note", sa.String),
    sa.Column("unfinished", sa.Boolean, nullable=False, server_default=sa.false()),
)
disagreements_table = sa.Table(
    "disagreements",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("day", sa.String, primary_key=True),
    sa.Column("what", sa.String, nullable=False),
    sa.Column("first", UtcSeconds, nullable=False),
    sa.Column("taken", UtcSeconds, nullable=False),
    sa.Column("looks", sa.Integer, nullable=False),
    sa.Column("richer", sa.String, nullable=False, server_default=""),
)
holds_table = sa.Table(
    "holds",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("until", UtcSeconds),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("failures", UtcSecondsList, nullable=False),
    sa.Column("probe_until", UtcSeconds),
    sa.Column("resumed_at", UtcSeconds),
)
identities_table = sa.Table(
    "identities",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("kind", sa.String),
    sa.Column("url", sa.String),
)
plans_table = sa.Table(
    "plans",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
)


class Ledger:
    """The ledger in its database; `history` is its part about attempts. Every method raises LedgerError.

    One that is lost costs history, and never truth: everything else is seen again from the lake.
    """

    def __init__(self, url: str, *, create: bool = True):
        """Raises LedgerError where there is none and it is not to `create` one."""
        self.database = Database(url, create=create)
        self.history = History(self.database)

    def close(self) -> None:
        self.database.close()

    # which one it is, and of which lake

    @property
    def name(self) -> str:
        """Its address, without a password."""
        return self.database.name

    @cached_property
    def id(self) -> str:
        """The same for all who use it, wherever they see it."""
        query = sa.select(identities_table.c.id).where(identities_table.c.name == "ledger")
        return self.database.read(lambda connection: str(connection.execute(query).scalar_one()))

    def lake(self) -> KnownLake | None:
        """The lake that it is of, once it has been used with one."""
        columns = identities_table.c
        query = sa.select(columns.id, columns.kind, columns.url).where(columns.name == "lake")
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        return KnownLake(row.id, LakeKind(row.kind), row.url) if row else None

    def remember_lake(self, lake: KnownLake) -> KnownLake:
        """Remembers which lake it is of, unless that is another one by now; gives the one that it is of."""
        row = {"id": lake.id, "kind": lake.kind.value, "url": lake.url}
        insert = self.database.dialect.insert(identities_table).values(name="lake", **row)
        is_same = identities_table.c.id == lake.id
        statement = insert.on_conflict_do_update(index_elements=["name"], set_=row, where=is_same)
        self.database.write(lambda connection: connection.execute(statement))
        return self.lake() or lake

    def files_known(self) -> int:
        """How many stored files it knows of that lake, whole or not."""
        query = sa.select(sa.func.count()).select_from(examined_table)
        return self.database.read(lambda connection: int(connection.execute(query).scalar_one()))

    def forget_lake(self) -> int:
        """Forgets where its lake is and what was found in it, so that the next one is filled anew; gives of how many
        files. It stays the ledger of a real lake, or of a sandbox's: what the sources have said counts on.
        """

        def write(connection: sa.Connection) -> int:
            is_lake = identities_table.c.name == "lake"
            connection.execute(identities_table.update().where(is_lake).values(url=FORGOTTEN))
            for table in (unreadable_table, disagreements_table):
                connection.execute(table.delete())
            return connection.execute(examined_table.delete()).rowcount

        return self.database.write(write, durable=True)

    def has_history(self) -> bool:
        """Was anything ever fetched with it, as far as it remembers?"""
        query = sa.select(sa.exists().where(fills_table.c.id.is_not(None)))
        return self.database.read(lambda connection: bool(connection.execute(query).scalar()))

    # gaps

    def first_seen(self, keys: Iterable[str]) -> dict[str, datetime]:
        """When each of the gaps was first detected; keys that were no gap so far are left out."""
        query = sa.select(gaps_table.c.key, gaps_table.c.first_seen)
        known: dict[str, float] = dict(self.database.read(lambda connection: list(rows(connection, query))))
        return {key: datetime.fromtimestamp(known[key], UTC) for key in keys if key in known}

    def record_gaps(self, gaps: Iterable[Gap]) -> None:
        """Remembers when gaps were first seen; those that are known keep their time."""
        rows = [
            {"key": g.cell.key, "dataset": g.cell.dataset, "kind": g.kind.value, "first_seen": g.first_seen}
            for g in gaps
        ]
        self.database.write(lambda connection: self.database.upsert(connection, gaps_table, rows, {"kind"}))

    def close_gaps(self, keys: Iterable[str]) -> None:
        """Forgets gaps that are none any more."""
        keys = list(keys)
        self.database.write(lambda connection: _delete(connection, gaps_table, keys))

    # what was found in stored files

    def examinations(self, keys: Iterable[str] | None = None) -> dict[str, Examination]:
        """What the checks found in stored bodies, by key: of all, or of some."""
        columns = examined_table.c
        query = sa.select(
            columns.key,
            columns.version,
            columns.wholeness,
            columns.reason,
            columns.games,
            columns.fetched,
            columns.agreed,
            columns.was_size,
            columns.changed,
            columns.fault,
        )
        verdicts: dict[tuple[str, str, str | None], Verdict] = {}  # most say the same

        def read(connection: sa.Connection) -> dict[str, Examination]:
            found = {}
            chosen = query if keys is None else query.where(among(connection, columns.key, keys))
            for key, version, wholeness, reason, games, fetched, agreed, was_size, changed, fault in rows(
                connection, chosen
            ):
                verdict = verdicts.get((wholeness, reason, fault)) if games is None else None
                if verdict is None:
                    why = None if fault is None else Fault(fault)
                    verdict = Verdict(Wholeness(wholeness), reason, _games_from(games or "[]"), why)
                    if games is None:
                        verdicts[wholeness, reason, fault] = verdict
                at = None if fetched is None else datetime.fromtimestamp(fetched, UTC)
                found[key] = Examination(version, verdict, at, bool(agreed), was_size, bool(changed))
            return found

        return self.database.read(read)

    def schedules_that_list(self, game: str) -> list[str]:
        """The keys of the stored schedules in which a game was found."""
        query = sa.select(examined_table.c.key).where(examined_table.c.games.contains(f'"{game}"', autoescape=True))
        return self.database.read(lambda connection: list(connection.execute(query).scalars()))

    def unreadable(self, keys: Iterable[str] | None = None) -> dict[str, Unreadable]:
        """The stored bodies that the lake could not give, by key: of all, or of some."""
        query = sa.select(unreadable_table)

        def read(connection: sa.Connection) -> dict[str, Unreadable]:
            chosen = query if keys is None else query.where(among(connection, unreadable_table.c.key, keys))
            return {key: Unreadable(*values) for key, *values in connection.execute(chosen)}

        return self.database.read(read)

    def record_examinations(
        self, found: Mapping[str, Examination], unreadable: Mapping[str, Unreadable] | None = None
    ) -> None:
        """Records what was found in stored bodies, and which of them could not be read."""
        rows = [{"key": key, **refused._asdict()} for key, refused in (unreadable or {}).items()]

        def write(connection: sa.Connection) -> None:
            self._write_examinations(connection, found)
            self.database.upsert(connection, unreadable_table, rows, {"content", "reason", "first", "last"})

        self.database.write(write)

    def _write_examinations(self, connection: sa.Connection, found: Mapping[str, Examination]) -> None:
        rows = [
            {
                "key": key,
                "version": e.version,
                "wholeness": e.verdict.wholeness.value,
                "reason": e.verdict.reason,
                "games": _games_text(e.verdict.games),
                "fetched": e.fetched,
                "agreed": e.agreed,
                "was_size": e.was_size,
                "changed": e.changed,
                "fault": e.verdict.fault and e.verdict.fault.value,
            }
            for key, e in found.items()
        ]
        columns = {column.name for column in examined_table.c} - {"key"}
        self.database.upsert(connection, examined_table, rows, columns)
        _delete(connection, unreadable_table, found)

    def settle(
        self,
        connection: sa.Connection,
        stored: Mapping[str, Examination],
        absent: Iterable[Absence],
        kept: Mapping[str, Examination] | None = None,
    ) -> None:
        """Within the transaction that ends a fill: what was stored is no gap and not absent, and was read.

        `kept` are those of the absent that the source never has whole, and of which the best version was stored.
        """
        self._write_examinations(connection, {**stored, **(kept or {})})
        for table in (gaps_table, absences_table):
            _delete(connection, table, stored)
        self._write_absences(connection, absent)

    # what the sources have none of

    def absences(self, keys: Iterable[str] | None = None) -> dict[str, Absence]:
        """What the sources, or operators, say that there is none of; by key."""
        return self.database.read(lambda connection: self.absences_now(connection, keys))

    def absences_now(self, connection: sa.Connection, keys: Iterable[str] | None = None) -> dict[str, Absence]:
        """The same within a transaction."""
        query = sa.select(absences_table)
        if keys is not None:
            query = query.where(among(connection, absences_table.c.key, keys))
        return {row.key: Absence(**row._mapping) for row in connection.execute(query)}

    def record_absences(self, absences: Iterable[Absence]) -> None:
        absences = list(absences)
        self.database.write(lambda connection: self._write_absences(connection, absences), durable=True)

    def clear_absences(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        self.database.write(lambda connection: _delete(connection, absences_table, keys), durable=True)

    def _write_absences(self, connection: sa.Connection, absences: Iterable[Absence]) -> None:
        columns = [column.name for column in absences_table.c]
        rows = [{name: getattr(absence, name) for name in columns} for absence in absences]
        self.database.upsert(connection, absences_table, rows, set(columns) - {"key"})

    # schedules that list fewer games than another source's

    def disagreements(self) -> list[Disagreement]:
        query = sa.select(disagreements_table)
        return self.database.read(
            lambda connection: [
                Disagreement(row.key, _day(row.day), row.what, row.first, row.taken, row.looks, row.richer)
                for row in connection.execute(query)
            ]
        )

    def record_disagreements(self, found: Iterable[Disagreement], mended: Iterable[Disagreement]) -> None:
        """Remembers those that are new or were looked at again, and forgets others."""
        new = [asdict(one) | {"day": one.day.isoformat()} for one in found]
        old = list(mended)
        columns = disagreements_table.c

        def write(connection: sa.Connection) -> None:
            self.database.upsert(connection, disagreements_table, new, {"what", "first", "taken", "looks", "richer"})
            for one in old:
                mine = (columns.key == one.key) & (columns.day == one.day.isoformat())
                connection.execute(disagreements_table.delete().where(mine))

        if new or old:
            self.database.write(write)

    # holds

    def holds(self) -> dict[str, Hold]:
        """The pauses of sources and the breakers of datasets, by name; those that were never touched are left out."""
        query = sa.select(holds_table)
        return self.database.read(
            lambda connection: {row.name: Hold(**row._mapping) for row in connection.execute(query)}
        )

    def change_hold(self, name: str, change: Callable[[Hold], Hold]) -> Hold:
        """Applies a change to what the ledger says now; no other process changes it meanwhile."""
        fresh = asdict(Hold(name))
        insert = self.database.dialect.insert(holds_table).values(fresh)

        def write(connection: sa.Connection) -> Hold:
            # An update that changes nothing takes the lock: of the row in PostgreSQL, of the file in SQLite.
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"name": name}))
            row = connection.execute(sa.select(holds_table).where(holds_table.c.name == name)).one()
            changed = change(Hold(**row._mapping))
            values = {field: getattr(changed, field) for field in fresh}
            connection.execute(holds_table.update().where(holds_table.c.name == name).values(values))
            return changed

        return self.database.write(write, durable=True)

    # the last plan

    def keep_plan(self, document: Any, at: datetime, run: str) -> None:
        """Keeps a plan, as a JSON document, in place of the last one."""
        text = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)
        row = {"name": "last", "at": at, "run": run, "document": text}
        self.database.write(
            lambda connection: self.database.upsert(connection, plans_table, [row], {"at", "run", "document"})
        )

    def last_plan(self) -> tuple[Any, datetime, str] | None:
        """The last plan that was kept, when that was, and by which run."""
        query = sa.select(plans_table.c.document, plans_table.c.at, plans_table.c.run)

        def read(connection: sa.Connection) -> tuple[Any, datetime, str] | None:
            row = connection.execute(query).one_or_none()
            return (json.loads(zlib.decompress(row.document)), row.at, row.run) if row else None

        return self.database.read(read)

    # upkeep

    def prune(self, before: datetime) -> int:
        """Forgets attempts and runs from before then; gives how many attempts."""
        forgotten = self.history.prune(before)
        old = runs_table.c.ended.is_not(None) & (runs_table.c.began < before)
        self.database.write(lambda connection: connection.execute(runs_table.delete().where(old)))
        return forgotten

    def check(self) -> dict[str, int]:
        """How many rows each table has. Raises LedgerError when the database says that it is damaged."""
        return self.database.read(_check)


def _check(connection: sa.Connection) -> dict[str, int]:
    if connection.dialect.name == "sqlite":
        found = connection.execute(sa.text("PRAGMA integrity_check(1)")).scalar_one()
        if found != "ok":
            raise sa.exc.DatabaseError("", None, Exception(f"malformed: {found}"))
    tables = (
        gaps_table,
        examined_table,
        unreadable_table,
        absences_table,
        disagreements_table,
        holds_table,
        fills_table,
        files_table,
        runs_table,
        leases_table,
        marks_table,
    )
    return {
        table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables
    }


def _delete(connection: sa.Connection, table: sa.Table, keys: Iterable[str]) -> None:
    connection.execute(table.delete().where(among(connection, table.c.key, keys)))


def _games_text(games: tuple[Game, ...]) -> str | None:
    """As a list of lists of the fields. What only few games have is left out at the end."""
    if not games:
        return None
    return json.dumps(
        [
            (
                *(g.id, g.day.isoformat(), g.start and g.start.timestamp(), g.status.value, g.season, g.season_type),
                *([True] if g.if_necessary else []),
            )
            for g in games
        ],
        separators=(",", ":"),
    )


def _games_from(text: str) -> tuple[Game, ...]:
    return tuple(
        Game(
            game,
            _day(day),
            None if start is None else datetime.fromtimestamp(start, UTC),
            _STATUSES[status],
            season,
            season_type,
            *more,
        )
        for game, day, start, status, season, season_type, *more in json.loads(text)
    )


_STATUSES = {status.value: status for status in GameStatus}
_day = lru_cache(maxsize=10_000)(date.fromisoformat)
