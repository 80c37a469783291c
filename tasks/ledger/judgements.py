"""How was each partition of the lake judged, and what has the ledger learnt about its files since?

Every transaction that changes what the ledger knows about a file adds the file's key to the table `touched`. A look
reads these keys before anything else, judges the partitions that contain them, and deletes exactly the rows that it has
read. So no change is lost, in whichever order transactions end.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import sqlalchemy as sa

from tasks.domain.assess.overview import Standing, Stored
from tasks.domain.assess.partitions import ExceptionalFile, Judgement
from tasks.domain.assess.ranges import Verified
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected.cells import Partition
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.reasons import Limit
from tasks.ledger.database import Database, UtcSeconds, metadata, rows

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
_MOST_TOUCHED = 100_000  # rows above which all judgements are forgotten, since no look at everything reads them


class Made(NamedTuple):
    """A new judgement, and the keys of all files that it is about."""

    judgement: Judgement
    keys: Collection[str]


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
        left out, and if one is missing from the table, all are: they are made anew.
        """

        def read(connection: sa.Connection) -> Recalled:
            # The set comes first: if another look stores judgements meanwhile, this one's are not stored.
            one = connection.execute(sa.select(judgement_sets_table)).one_or_none()
            touched = dict(rows(connection, sa.select(touched_table.c.id, touched_table.c.key)))
            names = sa.select(judgements_table.c.dataset, judgements_table.c.season)
            stored = frozenset(Partition(*row) for row in connection.execute(names))
            if one is None or one.partitions != _digest(stored):
                return Recalled({}, stored, one.id if one else None, touched)
            columns = [column for column in judgements_table.columns if column.name != "keys"]
            kept = rows(connection, sa.select(*columns).where(judgements_table.c.rules == rules))
            found = {Partition(*row[:2]): judgement for row in kept if (judgement := _readable(*row))}
            current = {partition: judgement for partition, judgement in found.items() if judgement.is_current(now)}
            over = chain.from_iterable(held.ranges for of, held in found.items() if of not in current)
            ranges, is_complete = _readable_ranges(one.ranges), found.keys() == stored
            return Recalled(current, stored, one.id, touched, ranges, is_complete, frozenset(over))

        return self.database.read(read)

    def ranges(self) -> list[str]:
        """The starts of the ranges of keys into which the last look at everything has divided the lake."""

        def read(connection: sa.Connection) -> list[str]:
            packed = connection.execute(sa.select(judgement_sets_table.c.ranges)).scalar_one_or_none()
            return list(_readable_ranges(packed)) if packed else []

        return self.database.read(read)

    def keys(self, partition: Partition) -> list[str]:
        """The keys of all files that the judgement of a partition is about. There are none if they cannot be read."""

        def read(connection: sa.Connection) -> list[str]:
            packed = connection.execute(
                sa.select(judgements_table.c["keys"]).where(_is(partition))
            ).scalar_one_or_none()
            try:
                return zlib.decompress(packed).decode().split("\n") if packed else []
            except (ValueError, zlib.error):
                return []

        return self.database.read(read)

    def are_begun(self) -> bool:
        """Has a look at everything ever been recorded? Its judgements may have been forgotten since."""
        query = sa.select(judgement_sets_table.c.id)
        return self.database.read(lambda connection: connection.execute(query).first() is not None)

    def keep(
        self,
        new: Mapping[Partition, Made],
        held: Collection[Partition],
        rules: str,
        since: Recalled,
        ranges: Mapping[str, Verified],
    ) -> None:
        """Stores new judgements beside those that are held, and deletes all others.

        `ranges` is what the ranges of keys hold that both rest on. Nothing is stored if another look has stored
        its judgements, or forgotten all, after `since` was read. Many are stored in parts, so that no transaction keeps
        others waiting for long. The set of judgements is complete with the last part. If this ends before, by a kill or
        because another look stores its own, none of them is recalled.
        """
        replaced = sorted(since.partitions.difference(held).union(new))
        if not (replaced or since.touched or ranges != since.ranges):
            return
        made = {partition: _row(partition, *one, rules) for partition, one in new.items()}  # takes a second
        starts = range(0, len(replaced), _PARTITIONS) or [0]
        id = since.id
        for start in starts:
            before, id = id, uuid.uuid4().hex
            part = replaced[start : start + _PARTITIONS]
            rows = [made[partition] for partition in part if partition in made]
            after = _Set(id, _INCOMPLETE, _packed({}))
            if start == starts[-1]:
                after = _Set(id, _digest({*new, *held}), _packed_ranges(ranges))
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
        if connection.dialect.name == "postgresql":  # SQLite lets one transaction write at a time
            connection.execute(sa.text("LOCK TABLE judgements IN SHARE ROW EXCLUSIVE MODE"))
        if connection.execute(sa.select(judgement_sets_table.c.id)).scalar_one_or_none() != before:
            return False
        for partition in partitions:
            connection.execute(judgements_table.delete().where(_is(partition)))
        if made:
            connection.execute(judgements_table.insert(), made)
        _write_set(self.database, connection, after)
        return True

    def forget(self, connection: sa.Connection) -> None:
        """Deletes all judgements, in an open transaction."""
        connection.execute(judgements_table.delete())
        _write_set(self.database, connection, _Set(uuid.uuid4().hex, _digest(()), _packed({})))

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


def _write_set(database: Database, connection: sa.Connection, one: _Set) -> None:
    row = {"name": "last", **one._asdict()}
    database.upsert(connection, judgement_sets_table, [row], set(_Set._fields))


def _digest(partitions: Collection[Partition]) -> str:
    """A digest of the names of partitions."""
    return hashlib.sha256(repr(sorted(tuple(partition) for partition in partitions)).encode()).hexdigest()


def _is(partition: Partition) -> sa.ColumnElement[bool]:
    return (judgements_table.c.dataset == partition.dataset) & (judgements_table.c.season == partition.season)


def _row(partition: Partition, judgement: Judgement, keys: Collection[str], rules: str) -> dict[str, Any]:
    content = {
        "ranges": judgement.ranges,
        "stored": judgement.stored,
        "counts": {
            span: [(*standing, count) for standing, count in standings.items()]
            for span, standings in judgement.counts.items()
        },
        "exceptions": [
            (key, _written(status), game and _written_game(game)) for key, status, game in judgement.exceptions
        ],
    }
    return {
        **partition._asdict(),
        "rules": rules,
        "judged": judgement.judged,
        "until": judgement.until,
        "games": judgement.games,
        "content": _packed(content),
        "keys": zlib.compress("\n".join(keys).encode(), 1),
    }


def _packed(content: object) -> bytes:
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1)


def _packed_ranges(ranges: Mapping[str, Verified]) -> bytes:
    return _packed({start: [digest, at and at.timestamp()] for start, (digest, at) in ranges.items()})


def _readable_ranges(packed: bytes) -> dict[str, Verified]:
    """What the ranges of keys have held; nothing if it is damaged, so that everything is judged anew."""
    try:
        return {start: _verified(one) for start, one in json.loads(zlib.decompress(packed)).items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, zlib.error) as error:
        log.warning("the ledger's digests of the listing cannot be read, and are made anew: %s", error)
        return {}


def _verified(stored: Any) -> Verified:
    """A range as it is stored. Former releases have stored its digest alone."""
    digest, seconds = (stored, None) if isinstance(stored, str) else stored
    return Verified(str(digest), _moment(seconds))


def _readable(dataset: str, season: str, *row: Any) -> Judgement | None:
    """The judgement in a row as the driver gives it; None, with a warning, if the row is damaged."""
    try:
        return _judgement(*row)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, zlib.error) as error:
        log.warning("the ledger's judgement of %s %s cannot be read, and is made anew: %s", dataset, season, error)
        return None


def _judgement(_: str, judged: float, until: float | None, games: str, packed: bytes) -> Judgement:
    content = json.loads(zlib.decompress(packed))
    counts = {
        span: {Standing(State(state), *parts): count for state, *parts, count in standings}
        for span, standings in content["counts"].items()
    }
    exceptions = [
        ExceptionalFile(key, _read_status(status), game and _read_game(game))
        for key, status, game in content["exceptions"]
    ]
    ranges, stored = [str(start) for start in content["ranges"]], Stored(*map(int, content["stored"]))
    return Judgement(_at(judged), _moment(until), ranges, stored, games, counts, exceptions)


def _written(status: Status) -> list[Any]:
    until = status.until and status.until.timestamp()
    return [status.state, status.reason, status.kind, until, status.lost, status.limit, status.of, status.partial]


def _read_status(fields: list[Any]) -> Status:
    state, reason, kind, until, lost, limit, of, partial = fields
    return Status(State(state), reason, kind and Kind(kind), _moment(until), lost, limit and Limit(limit), of, partial)


def _written_game(game: Game) -> list[Any]:
    start = game.start and game.start.timestamp()
    return [game.id, game.day.isoformat(), start, game.status, game.season, game.season_type, game.if_necessary]


def _read_game(fields: list[Any]) -> Game:
    id, day, start, status, season, season_type, if_necessary = fields
    return Game(id, date.fromisoformat(day), _moment(start), GameStatus(status), season, season_type, if_necessary)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else _at(seconds)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
