"""How was each partition of the lake judged, and what has the ledger learnt about its files since?

Every transaction that changes what the ledger knows about a file adds the file's key to the table `touched`. A look
reads these keys before anything else, judges the partitions that contain them, and deletes exactly the rows that it has
read. So no change is lost, in whichever order transactions end.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from tasks.domain.assess.overview import Standing
from tasks.domain.assess.partitions import ExceptionalFile, Judgement
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected.cells import Partition
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.reasons import Limit
from tasks.ledger.database import Database, UtcSeconds, metadata, rows

judgements_table = sa.Table(
    "judgements",
    metadata,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("season", sa.String, primary_key=True),
    sa.Column("rules", sa.String, nullable=False),
    sa.Column("judged", UtcSeconds, nullable=False),
    sa.Column("until", UtcSeconds),
    sa.Column("objects", sa.String, nullable=False),
    sa.Column("games", sa.String, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
touched_table = sa.Table(
    "touched",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String, nullable=False),
    sqlite_autoincrement=True,  # the number of a deleted row is never used again
)
_ROWS = 5000  # the most rows that one statement deletes


@dataclass(frozen=True)
class Recalled:
    """The judgements of former looks by the present rules, and the files that were touched since."""

    judgements: Mapping[Partition, Judgement] = field(default_factory=dict)
    judged: Mapping[Partition, datetime] = field(default_factory=dict)  # when each partition was judged, by any rules
    touched: Mapping[int, str] = field(default_factory=dict)  # the touched keys by the number of their row


@dataclass(frozen=True, slots=True)
class Judgements:
    """The judgement of each partition at the last look at the whole lake."""

    database: Database

    def recall(self, rules: str, now: datetime) -> Recalled:
        """The judgements that these rules have made and whose time has not come at `now`.

        They hold only if what they rest on is unchanged, which the caller checks.
        """
        table = judgements_table.c

        def read(connection: sa.Connection) -> Recalled:
            touched = dict(rows(connection, sa.select(touched_table.c.id, touched_table.c.key)))
            judged = _judged(connection)
            is_current = (table.judged <= now) & (table.until.is_(None) | (table.until > now))
            kept = connection.execute(sa.select(judgements_table).where(table.rules == rules, is_current))
            return Recalled({Partition(row.dataset, row.season): _judgement(row) for row in kept}, judged, touched)

        return self.database.read(read)

    def keep(
        self, new: Mapping[Partition, Judgement], dropped: Collection[Partition], rules: str, since: Recalled
    ) -> None:
        """Stores new judgements and deletes dropped ones, unless another look has done so after `since` was read."""

        def write(connection: sa.Connection) -> None:
            if connection.dialect.name == "postgresql":  # SQLite lets one transaction write at a time
                connection.execute(sa.text("LOCK TABLE judgements IN SHARE ROW EXCLUSIVE MODE"))
            if _judged(connection) != since.judged:
                return
            for partition in {*new, *dropped} & since.judged.keys():
                connection.execute(judgements_table.delete().where(_is(partition)))
            if new:
                connection.execute(judgements_table.insert(), [_row(*item, rules) for item in new.items()])
            _untouch(connection, since.touched)

        if new or dropped or since.touched:
            self.database.write(write)

    def forget(self, since: Recalled) -> None:
        """Deletes all judgements, and the touched keys that `since` has."""

        def write(connection: sa.Connection) -> None:
            connection.execute(judgements_table.delete())
            _untouch(connection, since.touched)

        self.database.write(write)


def touch(database: Database, connection: sa.Connection, keys: Iterable[str]) -> None:
    """Records, in an open transaction, that the transaction changes what the ledger knows about these files."""
    database.insert(connection, touched_table, [{"key": key} for key in keys])


def _untouch(connection: sa.Connection, touched: Iterable[int]) -> None:
    ids = list(touched)
    for start in range(0, len(ids), _ROWS):
        connection.execute(touched_table.delete().where(touched_table.c.id.in_(ids[start : start + _ROWS])))


def _judged(connection: sa.Connection) -> dict[Partition, datetime]:
    """When each partition was judged."""
    table = judgements_table.c
    found = connection.execute(sa.select(table.dataset, table.season, table.judged))
    return {Partition(dataset, season): at for dataset, season, at in found}


def _is(partition: Partition) -> sa.ColumnElement[bool]:
    return (judgements_table.c.dataset == partition.dataset) & (judgements_table.c.season == partition.season)


def _row(partition: Partition, judgement: Judgement, rules: str) -> dict[str, Any]:
    content = {
        "keys": "\n".join(judgement.keys),
        "counts": {
            span: [(standing.state.value, standing.by_operator, count) for standing, count in standings.items()]
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
        "objects": judgement.objects,
        "games": judgement.games,
        "content": zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1),
    }


def _judgement(row: Any) -> Judgement:
    content = json.loads(zlib.decompress(row.content))
    counts = {
        span: {Standing(State(state), by_operator): count for state, by_operator, count in standings}
        for span, standings in content["counts"].items()
    }
    exceptions = [
        ExceptionalFile(key, _read_status(status), game and _read_game(game))
        for key, status, game in content["exceptions"]
    ]
    keys = content["keys"].split("\n") if content["keys"] else []
    return Judgement(row.judged, row.until, keys, row.objects, row.games, counts, exceptions)


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
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
