"""Which version of each file does the lake have, how did ADCE learn of it, and what did the body check find?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import repeat
from sys import intern
from typing import Any, NamedTuple

import sqlalchemy as sa

from tasks.domain.arrivals import LastChange
from tasks.domain.assess.states import Content, Examination, LakeObject, Learnt, LearntBy, Unreadable, content_of
from tasks.domain.assess.verdicts import Fault, Verdict, Wholeness
from tasks.ledger.announcements import unannounced_table
from tasks.ledger.arrivals import LEARNT_BY, Arrivals, Recorded, arrivals_table, lock_arrivals
from tasks.ledger.database import Database, UtcSeconds, among, columns, delete, metadata, moment, rows
from tasks.ledger.games import Games, games_table
from tasks.ledger.judgements import touch

objects_table = sa.Table(
    "objects",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("etag", sa.String, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("modified", UtcSeconds),
    sa.Column("learnt_by", sa.String, nullable=False),
    sa.Column("learnt_at", UtcSeconds),
    sa.Column("body_check", sa.String, nullable=False),
    sa.Column("wholeness", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("fault", sa.String),
    sa.Column("fetched", UtcSeconds),
    sa.Column("agreed", sa.Boolean, nullable=False),
    sa.Column("was_size", sa.BigInteger),
    sa.Column("changed", sa.Boolean, nullable=False, server_default=sa.false()),
)
unreadable_table = sa.Table(
    "unreadable",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("etag", sa.String, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("first", UtcSeconds, nullable=False),
    sa.Column("last", UtcSeconds, nullable=False),
)
_table = objects_table.c
_MANY = 1000  # files of a folder that may be read together
# When a known version is recorded again, the ledger keeps how and when ADCE first learnt of it.
_SAME = "objects.etag = excluded.etag AND objects.size = excluded.size"
_KEPT = {
    "modified": f"CASE WHEN {_SAME} THEN coalesce(excluded.modified, objects.modified) ELSE excluded.modified END",
    "learnt_by": f"CASE WHEN {_SAME} THEN objects.learnt_by ELSE excluded.learnt_by END",
    "learnt_at": f"CASE WHEN {_SAME} THEN objects.learnt_at ELSE excluded.learnt_at END",
}
_REPLACED = {c.name: f"excluded.{c.name}" for c in objects_table.c if not c.primary_key} | _KEPT


@dataclass(frozen=True, slots=True)
class Objects:
    """The files in the lake, each in the version that ADCE last read or stored."""

    database: Database
    games: Games
    arrivals: Arrivals

    def count(self) -> int:
        """The number of files that are known, whole or not."""
        query = sa.select(sa.func.count()).select_from(objects_table)
        return self.database.read(lambda connection: int(connection.execute(query).scalar_one()))

    def has_more_than(self, number: int) -> bool:
        """Are more files known than so many? To count them takes longer."""
        query = sa.select(sa.literal(1)).select_from(objects_table).limit(1).offset(number)
        return self.database.read(lambda connection: connection.execute(query).first() is not None)

    def examined(self, keys: Iterable[str] | None = None, *, with_games: bool = True) -> dict[str, Examination]:
        """What the body checks found, by key: in these files, or in all; perhaps without the games that are listed."""
        keys = None if keys is None else list(keys)

        def read(connection: sa.Connection) -> dict[str, Examination]:
            found: dict[str, Examination] = {}
            for some in [_Rows(_all)] if keys is None else _chosen(connection, keys):
                chosen = some.have(_table.key)
                before = len(found)
                found.update(_plain(connection, chosen))
                if len(found) - before != some.number:
                    found.update(_others(connection, chosen))
                if not with_games:
                    continue
                for key, games in self.games.listed(connection, some.have(games_table.c.schedule)).items():
                    if key in found:
                        found[key] = found[key]._replace(verdict=replace(found[key].verdict, games=games))
            return found

        return self.database.read(read)

    def learnt(self, objects: Mapping[str, LakeObject | None]) -> dict[str, Learnt]:
        """How and when ADCE learnt of these versions, or that a file is gone (None), by key.

        What it has not learnt yet is left out.
        """
        return {
            key: Learnt(one.by, one.at)
            for key, one in self.last(objects).items()
            if one.change.content == ((have := objects[key]) and content_of(have))
        }

    def last(self, keys: Iterable[str]) -> dict[str, Recorded]:
        """The last known changes of these files, by key. Files of which nothing is known are left out."""
        keys = list(keys)
        return self.database.read(lambda connection: self.last_in(connection, keys))

    def last_in(self, connection: sa.Connection, keys: Collection[str]) -> dict[str, Recorded]:
        """The last known changes of these files, as `last` returns them, in an open transaction."""
        told = self.arrivals.last(connection, keys)
        untold = [key for key in keys if key not in told]
        return told | _last(connection, untold) if untold else told

    def listed_anew(self, objects: Mapping[str, LakeObject]) -> dict[str, datetime | None]:
        """Those of these files that the lake lists as they were read, but with other modification times, by key.

        Their values are the former times; None where it is not known. Some servers tell a time in whole seconds.
        """
        query = sa.select(_table.key, _table.etag, _table.size, _table.modified)

        def read(connection: sa.Connection) -> dict[str, datetime | None]:
            return {
                key: moment(modified)
                for key, etag, size, modified in rows(connection, query.where(among(connection, _table.key, objects)))
                if (etag, size) == content_of(objects[key])
                if modified is None or int(modified) != int(objects[key].modified.timestamp())
            }

        return self.database.read(read)

    def keep_times(self, objects: Iterable[LakeObject]) -> None:
        """Records the modification times of these objects, as far as they are the versions that were read."""
        row, param = objects_table.update(), sa.bindparam
        row = row.where(_table.key == param("a"), _table.etag == param("b"), _table.size == param("c"))
        times = [{"a": have.key, "b": have.etag, "c": have.size, "at": have.modified} for have in objects]
        times.sort(key=lambda row: str(row["a"]))  # of processes that lock rows in the same order, none waits for ever
        if times:
            self.database.write(lambda connection: connection.execute(row.values(modified=param("at")), times))

    def not_read(self) -> set[str]:
        """The files of which the last known change is newer than the version that ADCE last read or stored."""
        told = arrivals_table.c
        same = sa.and_(_table.key == told.key, _table.etag == told.etag, _table.size == told.size)
        query = sa.select(told.key).where(~sa.exists().where(same))
        return self.database.read(lambda connection: set(connection.execute(query).scalars()))

    def learnt_since(self, at: datetime) -> set[str]:
        """The files of which ADCE has learnt after a time: that they have a new version, or are gone."""
        tables = (_table.key, _table.learnt_at), (arrivals_table.c.key, arrivals_table.c.learnt_at)
        query = sa.union(*(sa.select(key).where(learnt_at > at) for key, learnt_at in tables))
        return self.database.read(lambda connection: set(connection.execute(query).scalars()))

    def told_since(self, at: datetime) -> dict[str, datetime]:
        """When ADCE has learnt, after a time, of the last changes of files that were not read since, by key."""
        columns = (arrivals_table.c.key, arrivals_table.c.learnt_at)
        query = sa.select(*columns).where(arrivals_table.c.learnt_at > at)
        return self.database.read(lambda connection: dict(map(tuple, connection.execute(query))))

    def known(self) -> dict[str, LakeObject]:
        """The objects in the lake as far as ADCE has learnt of them, by key."""

        def read(connection: sa.Connection) -> dict[str, LakeObject]:
            found = _last(connection) | self.arrivals.last(connection)
            objects = ((key, one.change.object(key)) for key, one in found.items())
            return {key: have for key, have in objects if have is not None}

        return self.database.read(read)

    def unreadable(self, keys: Iterable[str] | None = None) -> dict[str, Unreadable]:
        """The versions that the lake could not deliver, by key: of these files, or of all."""
        query = sa.select(unreadable_table)

        def read(connection: sa.Connection) -> dict[str, Unreadable]:
            chosen = query if keys is None else query.where(among(connection, unreadable_table.c.key, keys))
            found = connection.execute(chosen)
            return {key: Unreadable(Content(etag, size), *values) for key, etag, size, *values in found}

        return self.database.read(read)

    def record(
        self,
        found: Mapping[str, Examination],
        unreadable: Mapping[str, Unreadable] | None = None,
        objects: Mapping[str, LakeObject] | None = None,
        at: datetime | None = None,
    ) -> None:
        """Records what the body checks found in files, and which files could not be read.

        `objects` are the files as the lake listed them at the time `at`. ADCE learnt of new versions then.
        """

        def write(connection: sa.Connection) -> None:
            self.write(connection, found, objects or {}, at)
            self.write_unreadable(connection, unreadable or {})

        self.database.write(write)

    def write_delivery(
        self, connection: sa.Connection, archived: Mapping[str, Unreadable], restored: Collection[str]
    ) -> None:
        """Records, in an open transaction, which files the lake does not deliver any more, or delivers again."""
        self.write_unreadable(connection, archived)
        if restored:
            delete(connection, unreadable_table, restored)
            touch(self.database, connection, restored)

    def write_unreadable(self, connection: sa.Connection, unreadable: Mapping[str, Unreadable]) -> None:
        """Records, in an open transaction, which versions the lake could not deliver."""
        refused = [
            {"key": key, **seen.content._asdict(), "reason": seen.reason, "first": seen.first, "last": seen.last}
            for key, seen in unreadable.items()
        ]
        self.database.upsert(connection, unreadable_table, refused, {"etag", "size", "reason", "first", "last"})
        touch(self.database, connection, unreadable)

    def write(
        self,
        connection: sa.Connection,
        found: Mapping[str, Examination],
        objects: Mapping[str, LakeObject],
        at: datetime | None,
        own: Collection[str] = (),
    ) -> dict[str, LastChange]:
        """Records what the body checks found, in an open transaction.

        ADCE itself has stored the files in `own`. Returns what events have told of them already, by key.
        """
        rows = [
            {
                "key": key,
                "etag": e.etag,
                "size": e.size,
                "modified": have.modified if (have := objects.get(key)) and e.is_of(have) else None,
                "learnt_by": (LearntBy.OWN if key in own else LearntBy.LISTING).value,
                "learnt_at": at,
                "body_check": e.check,
                "wholeness": e.verdict.wholeness.value,
                "reason": e.verdict.reason,
                "fault": e.verdict.fault and e.verdict.fault.value,
                "fetched": e.fetched,
                "agreed": e.agreed,
                "was_size": e.was_size,
                "changed": e.changed,
            }
            for key, e in found.items()
        ]
        self.database.upsert(connection, objects_table, rows, _REPLACED)
        self.games.write(connection, {key: e.verdict.games for key, e in found.items()})
        delete(connection, unreadable_table, found)
        touch(self.database, connection, found)
        return self.arrivals.delete_replaced(
            connection, {key: Content(e.etag, e.size) for key, e in found.items()}, own
        )

    def prune(self, connection: sa.Connection, before: datetime) -> None:
        """Deletes, in an open transaction, what was told before a time of files that are gone, and were never read."""
        lock_arrivals(connection, shared=True)
        told = arrivals_table.c
        is_gone = told.etag.is_(None) & (told.learnt_at < before)
        connection.execute(arrivals_table.delete().where(is_gone, ~sa.exists().where(_table.key == told.key)))

    def forget(self, connection: sa.Connection) -> int:
        """Deletes everything about all files, in an open transaction. Returns the number of files."""
        lock_arrivals(connection, shared=True)
        for table in (unreadable_table, games_table, arrivals_table, unannounced_table):
            connection.execute(table.delete())
        return connection.execute(objects_table.delete()).rowcount


_IS_PLAIN = sa.and_(
    _table.wholeness == Wholeness.WHOLE.value,
    _table.reason == "",
    _table.fault.is_(None),
    _table.was_size.is_(None),
    ~_table.changed,
)


def _last(connection: sa.Connection, keys: Iterable[str] | None = None) -> dict[str, Recorded]:
    """The versions that ADCE last read or stored, by key, each as the last change of its file."""
    query = sa.select(_table.key, _table.etag, _table.size, _table.modified, _table.learnt_by, _table.learnt_at)
    if keys is not None:
        query = query.where(among(connection, _table.key, keys))
    return {
        key: Recorded(LastChange(Content(etag, size), moment(modified)), LEARNT_BY[by], moment(at))
        for key, etag, size, modified, by, at in rows(connection, query)
    }


def _all(key: sa.Column[str]) -> sa.ColumnElement[bool]:
    return sa.true()


class _Rows(NamedTuple):
    """Rows that are read together: the condition that their keys meet in a column, and their number if it is known."""

    have: Callable[[sa.Column[str]], sa.ColumnElement[bool]]
    number: int | None = None


def _chosen(connection: sa.Connection, keys: Iterable[str]) -> list[_Rows]:
    """The rows of the files with these keys, in parts that are read together.

    If most files between the first and the last key of a folder are wanted, they are read together, which takes half
    the time. Others may be among them. PostgreSQL may have another order of keys.
    """
    by_folder: dict[str, list[str]] = {}
    for key in keys:
        by_folder.setdefault(key.rpartition("/")[0], []).append(key)
    together: list[_Rows] = []
    rest: list[str] = []
    for some in by_folder.values():
        if len(some) >= _MANY and connection.dialect.name == "sqlite":
            first, last = min(some), max(some)
            query = sa.select(sa.func.count()).select_from(objects_table).where(_table.key.between(first, last))
            count = connection.execute(query).scalar_one()
            if count <= 2 * len(some):
                together.append(_Rows(partial(_between, first, last), count))
                continue
        rest += some
    return [*together, _Rows(partial(_among, connection, rest))] if rest else together


def _between(first: str, last: str, key: sa.Column[str]) -> sa.ColumnElement[bool]:
    return key.between(first, last)


def _among(connection: sa.Connection, keys: Collection[str], key: sa.Column[str]) -> sa.ColumnElement[bool]:
    return among(connection, key, keys)


# Makes an examination of all its fields. It takes half the time of its own constructor, which is not written in C.
_examination: Callable[[tuple[Any, ...]], Examination] = partial(tuple.__new__, Examination)
_VERSION = (_table.key, _table.etag, _table.size, _table.body_check)


def _plain(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> Iterator[tuple[str, Examination]]:
    """The examinations of files that are whole and have no other findings. Most are such, and need few columns."""
    query = sa.select(*_VERSION, _table.fetched, _table.agreed).where(chosen, _IS_PLAIN)
    for keys, etags, sizes, checks, fetched, agreed in columns(connection, query):
        values = repeat(Verdict(Wholeness.WHOLE)), map(moment, fetched), map(bool, agreed), repeat(None), repeat(False)
        examinations = map(_examination, zip(etags, sizes, map(intern, checks), *values, strict=False))
        yield from zip(keys, examinations, strict=True)


def _others(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> Iterator[tuple[str, Examination]]:
    """The examinations of all other files."""
    verdict_columns = _table.wholeness, _table.reason, _table.fault
    query = sa.select(*_VERSION, *verdict_columns, _table.fetched, _table.agreed, _table.was_size, _table.changed)
    for key, etag, size, check, wholeness, reason, fault, fetched, agreed, was_size, changed in rows(
        connection, query.where(chosen, ~_IS_PLAIN)
    ):
        verdict = Verdict(Wholeness(wholeness), reason, fault=None if fault is None else Fault(fault))
        yield (
            key,
            Examination(etag, size, intern(check), verdict, moment(fetched), bool(agreed), was_size, bool(changed)),
        )
