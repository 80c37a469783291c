"""How was each partition of the lake judged, and what has the ledger learnt about its files since?

Every transaction that changes what the ledger knows about a file adds the file's key to the table `touched`. A look
reads these keys before anything else, judges the partitions that contain them, and deletes exactly the rows that it has
read. So no change is lost, in whichever order transactions end.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import sqlalchemy as sa

from tasks.domain.assess.partitions import Judgement
from tasks.domain.assess.ranges import Verified
from tasks.domain.expected.cells import Partition
from tasks.domain.wording import plural
from tasks.ledger.database import Database, UtcSeconds, metadata, rows
from tasks.ledger.judgement_rows import (
    UnreadableRowError,
    judgement_in,
    keys_in,
    keys_of_row,
    packed_json,
    packed_keys,
    packed_ranges,
    ranges_in,
    row_of,
)

log = logging.getLogger(__name__)

judgements_table = sa.Table(
    "judgements",
    metadata,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("season", sa.String, primary_key=True),
    sa.Column("rules", sa.String, nullable=False),
    sa.Column("judged", UtcSeconds, nullable=False),
    sa.Column("until", UtcSeconds),
    sa.Column("games", sa.String, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("keys", sa.LargeBinary, nullable=False),
)
# Which partitions belong together: all that were judged or held at the last look at everything.
judgement_sets_table = sa.Table(
    "judgement_sets",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("partitions", sa.String, nullable=False),
    sa.Column("ranges", sa.LargeBinary, nullable=False),  # what each range of keys has held, by its start
)
touched_table = sa.Table(
    "touched",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String, nullable=False),
    sqlite_autoincrement=True,  # the number of a deleted row is never used again
)
_ROWS = 5000  # the most touched keys that one transaction deletes
_PARTITIONS = 100  # the most partitions whose judgements one transaction replaces
_INCOMPLETE = ""  # the digest of a set of which not all judgements are stored yet
_NO_ID = "damaged"  # stands for the id of a set that cannot be read
_MOST_TOUCHED = 100_000  # rows above which all judgements are forgotten, since no look at everything reads them


class Made(NamedTuple):
    """A new judgement, and the keys of all files that it is about, packed."""

    judgement: Judgement
    packed: bytes

    @classmethod
    def of(cls, judgement: Judgement, keys: Iterable[str]) -> Made:
        """A judgement about the files with these keys."""
        return cls(judgement, packed_keys(keys))

    def keys(self) -> list[str]:
        """The keys of all files that it is about."""
        return keys_in(self.packed)


class Damage(NamedTuple):
    """Something in the ledger that a look would use if it could be read. The next look that records makes it anew."""

    what: str
    why: str
    is_one: bool = False

    def __str__(self) -> str:
        return f"the ledger's {self.what} cannot be read, and {'is' if self.is_one else 'are'} made anew: {self.why}"


@dataclass(frozen=True)
class Recalled:
    """The judgements of former looks by the present rules, and the files that were touched since."""

    judgements: Mapping[Partition, Judgement] = field(default_factory=dict)
    partitions: frozenset[Partition] = frozenset()  # all partitions that were judged, by any rules
    id: str | None = None  # of the set of judgements, which is new whenever one is stored or forgotten
    touched: Mapping[int, str] = field(default_factory=dict)  # the touched keys by the number of their row
    ranges: Mapping[str, Verified] = field(default_factory=dict)  # what each range of keys has held, by its start
    is_complete: bool = False  # are all partitions judged by the present rules, and readable?
    expired: frozenset[str] = frozenset()  # the starts of ranges with keys of judgements whose time has come
    damages: Sequence[Damage] = ()
    is_damaged: bool = False  # is nothing of all this usable?


class _Set(NamedTuple):
    """A set of judgements that belong together."""

    id: str
    partitions: str  # a digest of their names, or _INCOMPLETE
    ranges: bytes  # what the ranges of keys have held that they rest on, by start, packed


@dataclass(frozen=True, slots=True)
class Judgements:
    """The judgement of each partition at the last look at the whole lake."""

    database: Database

    def recall(self, rules: str, now: datetime) -> Recalled:
        """The judgements that these rules have made and whose time has not come at `now`.

        They hold only if what they rest on is unchanged, which the caller checks. A judgement that cannot be read is
        left out, and if one is missing from the table, all are: they are made anew. A warning says what is damaged.
        """
        recalled = self._read(rules, now)
        for damage in recalled.damages:
            log.warning("%s", damage)
        return recalled

    def damages(self, rules: str, now: datetime) -> Sequence[Damage]:
        """What is damaged of what a look with these rules would recall at `now`."""
        return self._read(rules, now).damages

    def _read(self, rules: str, now: datetime) -> Recalled:
        def read(connection: sa.Connection) -> Recalled:
            try:
                return _recalled(connection, rules, now)
            except UnreadableRowError as error:
                why = str(error)
            except (sa.exc.DBAPIError, sqlite3.Error) as error:
                if not _is_no_text(error):
                    raise
                why = "a text is not in UTF-8"
            touched = dict.fromkeys(connection.execute(sa.select(touched_table.c.id)).scalars(), "")
            damages = [Damage("judgements", why)]
            return Recalled(id=_id_of_set(connection), touched=touched, damages=damages, is_damaged=True)

        return self.database.read(read)

    def ranges(self) -> list[str]:
        """The starts of the ranges of keys into which the last look at everything has divided the lake."""

        def read(connection: sa.Connection) -> list[str]:
            packed = connection.execute(sa.select(judgement_sets_table.c.ranges)).scalars().first()
            try:
                return list(ranges_in(packed)) if packed else []
            except UnreadableRowError:
                return []

        return self.database.read(read)

    def keys(self, partition: Partition) -> list[str]:
        """The keys of all files that the judgement of a partition is about. There are none if they cannot be read."""

        def read(connection: sa.Connection) -> list[str]:
            query = sa.select(judgements_table.c["keys"], judgements_table.c.content).where(_is(partition))
            row = connection.execute(query).one_or_none()
            try:
                return keys_of_row(*row) if row else []
            except UnreadableRowError:
                return []

        return self.database.read(read)

    def has_recorded_a_look(self) -> bool:
        """Has a look at everything ever been recorded? Its judgements may have been forgotten since."""
        query = sa.select(sa.literal(1)).select_from(judgement_sets_table)
        return self.database.read(lambda connection: connection.execute(query).first() is not None)

    def keep(
        self,
        new: Mapping[Partition, Made],
        held: Collection[Partition],
        rules: str,
        since: Recalled,
        ranges: Mapping[str, Verified],
    ) -> None:
        """Stores new judgements beside those that are held, and deletes all others, and all that is damaged.

        `ranges` is what the ranges of keys hold that both rest on. Nothing is stored if another look has stored
        its judgements, or forgotten all, after `since` was read. Many are stored in parts, so that no transaction keeps
        others waiting for long. The set of judgements is complete with the last part. If this ends before, by a kill or
        because another look stores its own, none of them is recalled.
        """
        replaced = sorted(since.partitions.difference(held).union(new))
        if not (replaced or since.touched or ranges != since.ranges):
            return
        made = {partition: row_of(partition, *one, rules, ranges) for partition, one in new.items()}  # takes a second
        starts = range(0, len(replaced), _PARTITIONS) or [0]
        id = since.id
        if since.is_damaged:
            id = self.database.write(partial(self._clear_if, id))
            if id is None:
                return
        for start in starts:
            before, id = id, uuid.uuid4().hex
            part = replaced[start : start + _PARTITIONS]
            rows = [made[partition] for partition in part if partition in made]
            after = _Set(id, _INCOMPLETE, packed_json({}))
            if start == starts[-1]:
                after = _Set(id, _digest({*new, *held}), packed_ranges(ranges))
            if not self.database.write(partial(self._replace, part, rows, before, after)):
                return
        ids = list(since.touched)
        for start in range(0, len(ids), _ROWS):
            self.database.write(partial(_untouch, ids[start : start + _ROWS]))

    def _replace(
        self,
        partitions: Iterable[Partition],
        made: Sequence[Mapping[str, Any]],
        before: str | None,
        after: _Set,
        connection: sa.Connection,
    ) -> bool:
        """Replaces the judgements of some partitions by others. False, with nothing changed, if the set is another."""
        if _locked_id(connection) != before:
            return False
        for partition in partitions:
            connection.execute(judgements_table.delete().where(_is(partition)))
        if made:
            connection.execute(judgements_table.insert(), made)
        _write_set(self.database, connection, after)
        return True

    def _clear_if(self, before: str | None, connection: sa.Connection) -> str | None:
        """Deletes all judgements, and returns the id of the empty set. None, with nothing changed, if it is another."""
        return self.forget(connection) if _locked_id(connection) == before else None

    def forget(self, connection: sa.Connection) -> str:
        """Deletes all judgements, in an open transaction. Returns the id of the empty set that is there then."""
        connection.execute(judgements_table.delete())
        id = uuid.uuid4().hex
        _write_set(self.database, connection, _Set(id, _digest(()), packed_json({})))
        return id

    def trim(self, connection: sa.Connection) -> None:
        """Forgets everything if too many files were touched since a look at everything, in an open transaction."""
        count = connection.execute(sa.select(sa.func.count()).select_from(touched_table)).scalar_one()
        if count > _MOST_TOUCHED:
            self.forget(connection)
            connection.execute(touched_table.delete())


def touch(database: Database, connection: sa.Connection, keys: Iterable[str]) -> None:
    """Records, in an open transaction, that the transaction changes what the ledger knows about these files."""
    database.insert(connection, touched_table, [{"key": key} for key in keys])


def _untouch(ids: Collection[int], connection: sa.Connection) -> None:
    connection.execute(touched_table.delete().where(touched_table.c.id.in_(ids)))


def _recalled(connection: sa.Connection, rules: str, now: datetime) -> Recalled:
    """See Judgements.recall. Raises UnreadableRowError if nothing of it can be used."""
    # The set comes first: if another look stores judgements meanwhile, this one's are not stored.
    one = _set_in(connection)
    touched = dict(rows(connection, sa.select(touched_table.c.id, touched_table.c.key)))
    names = sa.select(judgements_table.c.dataset, judgements_table.c.season)
    stored = frozenset(Partition(*row) for row in rows(connection, names))
    if not all(isinstance(text, str) for text in chain(touched.values(), *stored)):
        raise UnreadableRowError("the name of a file, a dataset or a season is not text")
    if one is None or one.partitions != _digest(stored):
        # A set is not complete after its look was killed, or while it is stored, which may have begun just now.
        is_usual = one is not None and (one.partitions == _INCOMPLETE or one.id != _id_of_set(connection))
        damages = [] if is_usual or not (one or stored) else [Damage("judgements", "rows are missing, or surplus")]
        return Recalled({}, stored, one.id if one else None, touched, damages=damages)
    try:
        ranges = ranges_in(one.ranges)
    except UnreadableRowError as error:
        return Recalled({}, stored, one.id, touched, damages=[Damage("digests of the listing", str(error))])
    columns = [judgements_table.c[name] for name in ("dataset", "season", "judged", "until", "games", "content")]
    found, damaged = {}, []
    for dataset, season, *row in rows(connection, sa.select(*columns).where(judgements_table.c.rules == rules)):
        partition = Partition(dataset, season)
        try:
            found[partition] = judgement_in(partition, rules, ranges, *row)
        except UnreadableRowError:
            damaged.append(partition)
    current = {partition: judgement for partition, judgement in found.items() if judgement.is_current(now)}
    expired = chain.from_iterable(held.ranges for of, held in found.items() if of not in current)
    is_complete, damages = found.keys() == stored, list(_of(damaged))
    return Recalled(current, stored, one.id, touched, ranges, is_complete, frozenset(expired), damages)


def _of(damaged: Collection[Partition]) -> Iterator[Damage]:
    """The damage of the judgements of these partitions, in one line."""
    if damaged:
        dataset, season = min(damaged)
        others = f", and of {plural(len(damaged) - 1, 'other partition')}," if len(damaged) > 1 else ""
        yield Damage(f"judgement of {dataset} {season}{others}", "it is not as it was stored", is_one=True)


def _set_in(connection: sa.Connection) -> _Set | None:
    """The set of judgements, if there is one. Raises UnreadableRowError if there is anything else."""
    found = list(rows(connection, sa.select(*(judgement_sets_table.c[name] for name in _Set._fields))))
    if len(found) > 1:
        raise UnreadableRowError(f"judgement_sets has {len(found)} rows instead of one")
    if found and not all(isinstance(value, str) for value in found[0][:2]):
        raise UnreadableRowError("a value of judgement_sets is not text")
    return _Set(*found[0]) if found else None


def _id_of_set(connection: sa.Connection) -> str | None:
    """The id of the set of judgements; None if there is none, and _NO_ID if it cannot be read."""
    try:
        one = _set_in(connection)
    except UnreadableRowError:
        return _NO_ID
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        if not _is_no_text(error):
            raise
        return _NO_ID
    return one.id if one else None


def _locked_id(connection: sa.Connection) -> str | None:
    """The id of the set of judgements, which no other transaction changes until this one ends."""
    if connection.dialect.name == "postgresql":  # SQLite lets one transaction write at a time
        connection.execute(sa.text("LOCK TABLE judgements IN SHARE ROW EXCLUSIVE MODE"))
    return _id_of_set(connection)


def _is_no_text(error: Exception) -> bool:
    """Does SQLite say that what should be text is not in UTF-8?"""
    return "Could not decode to UTF-8" in str(error)


def _write_set(database: Database, connection: sa.Connection, one: _Set) -> None:
    """Makes this the only set of judgements."""
    name = judgement_sets_table.c.name
    connection.execute(judgement_sets_table.delete().where(name.is_distinct_from("last")))
    database.upsert(connection, judgement_sets_table, [{"name": "last", **one._asdict()}], set(_Set._fields))


def _digest(partitions: Collection[Partition]) -> str:
    """A digest of the names of partitions."""
    return hashlib.sha256(repr(sorted(tuple(partition) for partition in partitions)).encode()).hexdigest()


def _is(partition: Partition) -> sa.ColumnElement[bool]:
    return (judgements_table.c.dataset == partition.dataset) & (judgements_table.c.season == partition.season)
