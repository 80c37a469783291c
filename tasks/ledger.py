"""What must survive a run? A small database: first seen, attempts, outcomes, holds, and what was looked into."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.util.exc import CommandError
from sqlalchemy.dialects import postgresql, sqlite

from tasks.domain.errors import LedgerError
from tasks.domain.games import Game, GameStatus
from tasks.domain.holds import Hold
from tasks.domain.plan import Gap
from tasks.domain.states import LakeObject
from tasks.domain.verdicts import Verdict, Wholeness

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_metadata = sa.MetaData()


class UtcSeconds(sa.TypeDecorator[datetime]):
    """A moment, kept as seconds since 1970: the same on every database, and it sorts."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> float | None:
        return None if value is None else value.timestamp()

    def process_result_value(self, value: float | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value, UTC)


class UtcSecondsList(sa.TypeDecorator[tuple[datetime, ...]]):
    """Some moments, kept as a JSON list of seconds since 1970."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: tuple[datetime, ...] | None, dialect: sa.Dialect) -> str:
        return json.dumps([moment.timestamp() for moment in value or ()])

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> tuple[datetime, ...]:
        return tuple(datetime.fromtimestamp(seconds, UTC) for seconds in json.loads(value or "[]"))


gaps_table = sa.Table(
    "gaps",
    _metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("dataset", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("first_seen", UtcSeconds, nullable=False),
)
fills_table = sa.Table(
    "fills",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fill", sa.String, nullable=False, index=True),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("dataset", sa.String, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("priority", sa.String, nullable=False),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("started", UtcSeconds, nullable=False),
    sa.Column("ended", UtcSeconds),
    sa.Column("requests", sa.Integer, nullable=False, default=0),
    sa.Column("bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("stored", sa.Integer, nullable=False, default=0),
    sa.Column("failed", sa.Integer, nullable=False, default=0),
    sa.Column("error", sa.String),
)
files_table = sa.Table(
    "files",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fill_id", sa.Integer, sa.ForeignKey("fills.id"), nullable=False, index=True),
    sa.Column("key", sa.String, nullable=False, index=True),
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("error", sa.String),
    sa.Column("seconds", sa.Double),
)
examined_table = sa.Table(
    "examined",
    _metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("wholeness", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("games", sa.String),
    sa.Column("fetched", UtcSeconds),
)
holds_table = sa.Table(
    "holds",
    _metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("until", UtcSeconds),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("failures", UtcSecondsList, nullable=False),
    sa.Column("probe_until", UtcSeconds),
    sa.Column("resumed_at", UtcSeconds),
)


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file of a fill: stored, failed or deferred."""

    key: str
    outcome: str
    requests: int = 0
    bytes: int = 0
    error: str | None = None
    until: datetime | None = None
    seconds: float | None = None  # from sending the request to having the body
    in_this_run: bool = False  # deferred, and worth another try before the run ends


@dataclass(frozen=True, slots=True)
class Examination:
    """What a check found in one version of a stored body; `fetched` if it was ADCE that stored this version."""

    version: str
    verdict: Verdict
    fetched: datetime | None = None


class Ledger:
    """The database behind `url` (SQLAlchemy), migrated to the newest schema when it is opened."""

    def __init__(self, url: str):
        self.url = _address(url)
        with self._errors("opened"):
            self._engine = sa.create_engine(self.url, pool_pre_ping=True)
        self._dialect = postgresql if self.url.get_backend_name() == "postgresql" else sqlite
        if self.url.get_backend_name() == "sqlite":
            sa.event.listen(self._engine, "connect", _set_up_sqlite)
        with self._errors("opened"):
            _migrate(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    # gaps

    def first_seen(self, keys: Iterable[str]) -> dict[str, datetime]:
        """When each of the gaps was first detected; keys that were no gap so far are left out."""
        with self._errors("read"), self._engine.connect() as connection:
            known: dict[str, datetime] = dict(
                connection.execute(sa.select(gaps_table.c.key, gaps_table.c.first_seen)).tuples().all()
            )
        return {key: known[key] for key in keys if key in known}

    def record_gaps(self, gaps: Iterable[Gap]) -> None:
        """Remembers when gaps were first seen; those that are known keep their time."""
        rows = [
            {"key": g.cell.key, "dataset": g.cell.dataset, "kind": g.kind.value, "first_seen": g.first_seen}
            for g in gaps
        ]
        self._insert(gaps_table, rows, replace={"kind"})

    def close_gaps(self, keys: Iterable[str]) -> None:
        """Forgets gaps that are none any more."""
        self._delete(gaps_table, keys)

    # fills

    def start_fill(
        self, *, fill: str, run: str, source: str, dataset: str, kind: str, priority: str, score: float, now: datetime
    ) -> int:
        values = {
            "fill": fill,
            "run": run,
            "source": source,
            "dataset": dataset,
            "kind": kind,
            "priority": priority,
            "score": score,
            "started": now,
        }
        with self._errors("written"), self._engine.begin() as connection:
            key = connection.execute(fills_table.insert().values(**values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def end_fill(self, row: int, outcomes: Iterable[FileOutcome], now: datetime, error: str | None = None) -> None:
        """Writes what became of a fill and of each of its files, and closes the gaps that were filled."""
        outcomes = list(outcomes)
        stored = [o for o in outcomes if o.outcome == "stored"]
        failed = [o for o in outcomes if o.outcome == "failed"]
        files = [
            {
                "fill_id": row,
                "key": o.key,
                "at": now,
                "outcome": o.outcome,
                "requests": o.requests,
                "bytes": o.bytes,
                "error": o.error,
                "seconds": o.seconds,
            }
            for o in outcomes
        ]
        summary = {
            "ended": now,
            "requests": sum(o.requests for o in outcomes),
            "bytes": sum(o.bytes for o in stored),
            "stored": len(stored),
            "failed": len(failed),
            "error": error or (failed[0].error if failed else None),
        }
        with self._errors("written"), self._engine.begin() as connection:
            if files:
                connection.execute(files_table.insert(), files)
            connection.execute(fills_table.update().where(fills_table.c.id == row).values(**summary))
        self.close_gaps(o.key for o in stored)

    def outcomes_by_dataset(self, half_life: timedelta, now: datetime) -> dict[str, tuple[float, float]]:
        """Files stored and failed by dataset, each counted half after every half-life."""
        since = now - 8 * half_life
        counts: dict[str, tuple[float, float]] = {}
        columns = fills_table.c
        query = sa.select(columns.dataset, columns.started, columns.stored, columns.failed).where(
            columns.started >= since, columns.started <= now
        )
        with self._errors("read"), self._engine.connect() as connection:
            for dataset, started, stored, failed in connection.execute(query):
                weight = 0.5 ** ((now - started) / half_life)
                old_stored, old_failed = counts.get(dataset, (0.0, 0.0))
                counts[dataset] = (old_stored + weight * stored, old_failed + weight * failed)
        return counts

    # what was looked into

    def examinations(self) -> dict[str, Examination]:
        """What the checks found in stored bodies, by key."""
        with self._errors("read"), self._engine.connect() as connection:
            rows = connection.execute(sa.select(examined_table)).all()
        return {
            key: Examination(version, Verdict(Wholeness(wholeness), reason, _games_from(games)), fetched)
            for key, version, wholeness, reason, games, fetched in rows
        }

    def record_examinations(self, found: Mapping[str, Examination]) -> None:
        rows = [
            {
                "key": key,
                "version": e.version,
                "wholeness": e.verdict.wholeness.value,
                "reason": e.verdict.reason,
                "games": _games_text(e.verdict.games),
                "fetched": e.fetched,
            }
            for key, e in found.items()
        ]
        self._insert(examined_table, rows, replace={"version", "wholeness", "reason", "games", "fetched"})

    def latencies(self, most: int = 2000) -> dict[str, float]:
        """The median time of an answer by source, in seconds, over the last files that were stored."""
        query = (
            sa.select(fills_table.c.source, files_table.c.seconds)
            .join(fills_table, files_table.c.fill_id == fills_table.c.id)
            .where(files_table.c.seconds.is_not(None))
            .order_by(files_table.c.id.desc())
            .limit(most)
        )
        seconds: dict[str, list[float]] = {}
        with self._errors("read"), self._engine.connect() as connection:
            for source, took in connection.execute(query):
                seconds.setdefault(source, []).append(took)
        return {source: median(values) for source, values in seconds.items()}

    # holds

    def holds(self) -> dict[str, Hold]:
        """The pauses of sources and the breakers of datasets, by name; those that were never touched are left out."""
        with self._errors("read"), self._engine.connect() as connection:
            return {row.name: Hold(**row._mapping) for row in connection.execute(sa.select(holds_table))}

    def change_hold(self, name: str, change: Callable[[Hold], Hold]) -> Hold:
        """Applies a change to what the ledger says now; no other process changes it meanwhile."""
        with self._errors("written"), self._engine.begin() as connection:
            fresh = asdict(Hold(name))
            insert = self._dialect.insert(holds_table).values(fresh)
            # An update that changes nothing takes the lock: of the row in PostgreSQL, of the file in SQLite.
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"name": name}))
            row = connection.execute(sa.select(holds_table).where(holds_table.c.name == name)).one()
            changed = change(Hold(**row._mapping))
            values = {field: getattr(changed, field) for field in fresh}
            connection.execute(holds_table.update().where(holds_table.c.name == name).values(values))
        return changed

    def _insert(self, table: sa.Table, rows: Sequence[Mapping[str, object]], replace: set[str]) -> None:
        """Inserts rows; of those whose key is there already, the columns in `replace` are updated."""
        if not rows:
            return
        insert = self._dialect.insert(table)
        statement = insert.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={name: insert.excluded[name] for name in replace}
        )
        with self._errors("written"), self._engine.begin() as connection:
            connection.execute(statement, rows)

    def _delete(self, table: sa.Table, keys: Iterable[str]) -> None:
        with self._errors("written"), self._engine.begin() as connection:
            for part in _parts(keys):
                connection.execute(table.delete().where(table.c.key.in_(part)))

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, CommandError, ImportError) as error:
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise LedgerError(f"ledger {self.url.render_as_string()} cannot be {what}: {cause}") from None


def _address(url: str) -> sa.URL:
    """The database's URL, with the driver that ADCE brings. Raises LedgerError for any other."""
    try:
        address = sa.engine.make_url(url)
        address = address.set(drivername=_DRIVERS[address.drivername])
    except (sa.exc.ArgumentError, ValueError, KeyError):
        shown = re.sub(r"//[^@/]*@", "//…@", url)
        raise LedgerError(f"ledger {shown}: not a URL of {' or '.join(_DRIVERS)}") from None
    return address


def _parts(keys: Iterable[str], size: int = 500) -> Iterator[list[str]]:
    """The keys in lists short enough for one statement."""
    everything = list(keys)
    return (everything[start : start + size] for start in range(0, len(everything), size))


def _set_up_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _migrate(engine: sa.Engine) -> None:
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def version_of(have: LakeObject, check: str) -> str:
    """What an examination is about: the object's version and the check that read it."""
    return f"{have.etag}:{have.size}:{check}"


def _games_text(games: tuple[Game, ...]) -> str | None:
    if not games:
        return None
    return json.dumps(
        [
            (g.id, g.day.isoformat(), g.start and g.start.timestamp(), g.status.value, g.season, g.season_type)
            for g in games
        ],
        separators=(",", ":"),
    )


def _games_from(text: str | None) -> tuple[Game, ...]:
    return tuple(
        Game(
            game,
            date.fromisoformat(day),
            None if start is None else datetime.fromtimestamp(start, UTC),
            GameStatus(status),
            season,
            season_type,
        )
        for game, day, start, status, season, season_type in json.loads(text or "[]")
    )
