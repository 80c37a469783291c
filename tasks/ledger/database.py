"""How is the ledger's database reached? One engine, the newest schema, and one clear line when something is wrong."""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from config.secrets import masked, masked_url
from tasks.domain.errors import LedgerError

log = logging.getLogger(__name__)
T = TypeVar("T")

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_MIGRATIONS = Path(__file__).parent / "migrations"
_PART = 5000  # rows in one statement
_CONNECT_SECONDS = 10
_LOCKED_SECONDS = 30  # for which another program may write
_PATIENCE = 120.0  # seconds for a database server to come back
_PASSES = ("connection", "server closed", "terminating", "starting up", "shutting down", "recovery", "deadlock")
_MOVE_ASIDE = "move the file aside: ADCE starts again from the lake, and only history is lost"
_REMEDIES = {
    "malformed": _MOVE_ASIDE,
    "not a database": _MOVE_ASIDE,
    "Could not decode to UTF-8": _MOVE_ASIDE,
    "readonly": "make the file and its folder writable",
    "locked": f"another program has held it for {_LOCKED_SECONDS} s; end that one",
    "full": "make room on the disk",
}

_POSTGRESQL: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it

metadata = sa.MetaData()


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


class Database:
    """The database behind `url` (SQLAlchemy): SQLite or PostgreSQL, migrated to the newest schema when it is opened.

    Every method raises LedgerError: one line with the cause and, where there is one, what to do. A PostgreSQL server
    that goes away is waited for; meanwhile nothing else of the process goes on, and so nothing goes unrecorded. One
    that was waited for in vain is not waited for again, until it is there. SQLite writes on into a file that was
    removed, and nobody reads that again: so every transaction begins with a look at whether the file is there.
    """

    def __init__(self, url: str, *, create: bool = True):
        """Makes the database if there is none, unless it is not to `create` one."""
        self.url = _address(url)
        self._is_server = self.url.get_backend_name() == "postgresql"
        self._is_given_up = False
        self.dialect = postgresql if self._is_server else sqlite
        self._file = None if self._is_server else _file(self.url)
        if self._file and not create and _identity(self._file) is None:
            raise self._none_there()
        try:
            self._engine = sa.create_engine(self.url, connect_args=_manners(self.url))
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise self._error("opened", error) from None
        driver: Any = self._engine.dialect.loaded_dbapi
        self._troubles: tuple[type[Exception], ...] = (sa.exc.SQLAlchemyError, driver.Error)  # `rows` meets the latter
        sa.event.listen(self._engine, "connect", _set_up_postgresql if self._is_server else _set_up_sqlite)
        if not self._is_server:
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        try:
            if not create and _schema(self._engine) is None:
                raise self._none_there()
            _migrate(self._engine)
        except (*self._troubles, _SchemaError, LedgerError) as error:
            self.close()
            raise error if isinstance(error, LedgerError) else self._error("opened", error) from None
        self._identity = _identity(self._file) if self._file else None

    @property
    def name(self) -> str:
        """Its URL, without a password."""
        return masked(self.url.render_as_string())

    def close(self) -> None:
        self._engine.dispose()

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` finds, in one transaction. What it cannot make sense of is damage."""
        try:
            return self._do("read", work)
        except (ValueError, zlib.error) as error:
            raise self._error("read", sa.exc.DataError("", None, Exception(f"malformed: {error}"))) from error

    def write(self, work: Callable[[sa.Connection], T], *, durable: bool = False) -> T:
        """Does `work` in a transaction of its own: all of it, or nothing. It may have to begin again.

        A `durable` one of a database server is on its disk when this returns; see _set_up_postgresql for the others.
        """

        def on_disk(connection: sa.Connection) -> T:
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO on")
            return work(connection)

        return self._do("written", on_disk if durable and self._is_server else work)

    def now(self, connection: sa.Connection) -> float:
        """Seconds since 1970 by the one clock that all who share the ledger see.

        That is the server's; SQLite is shared on one host only, so there it is the host's.
        """
        if not self._is_server:
            return time.time()
        return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def insert(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Inserts rows, all with the same columns."""
        self.upsert(connection, table, rows, set())

    def upsert(
        self,
        connection: sa.Connection,
        table: sa.Table,
        rows: Sequence[Mapping[str, object]],
        replace: Collection[str] | Mapping[str, str],
    ) -> None:
        """Inserts rows; of those whose key is there already, the columns in `replace` are updated.

        They get the new value, or that of an expression: in it, the table's name is the old row, `excluded` the new.
        """
        if not rows:
            return
        columns = [table.c[name] for name in rows[0]]
        values = replace if isinstance(replace, Mapping) else {name: f"excluded.{name}" for name in replace}
        changes = tuple(sorted(values.items()))
        if self._is_server and len(rows) > 1:  # as one statement: each costs its way to the server and its planning
            statement = _upsert(tuple(columns), changes, as_json=True)
            keys = [column.name for column in table.primary_key]
            if rows[0].keys() >= set(keys):  # in one order, so that nobody waits for who waits for them
                rows = sorted(rows, key=lambda row: [row[name] for name in keys])
            for start in range(0, len(rows), _PART):
                part = rows[start : start + _PART]
                plain = [{c.name: _plain(c, row[c.name], connection.dialect) for c in columns} for row in part]
                connection.execute(statement, {"rows": json.dumps(plain)})
        else:
            connection.execute(_upsert(tuple(columns), changes, as_json=False), rows)

    def _do(self, what: str, work: Callable[[sa.Connection], T]) -> T:
        away_since: float | None = None
        options = {"reads": True} if what == "read" else {}
        while True:
            if self._file and _identity(self._file) != self._identity:
                raise LedgerError(
                    f"ledger {self.name} cannot be {what}: its file was removed or replaced while it was in use, and "
                    "what was recorded in it is lost; nothing else is, and the next run starts again from the lake"
                )
            try:
                with self._engine.connect().execution_options(**options) as connection, connection.begin():
                    done = work(connection)
            except self._troubles as error:
                away_since = away_since or time.monotonic()
                if not self._may_come_back(error):
                    raise self._error(what, error) from None
                if self._is_given_up or time.monotonic() - away_since > _PATIENCE:
                    self._is_given_up = True
                    raise self._error(what, error) from None
                log.warning("the ledger's server could not do it (%s); again in a second", _cause(error))
                time.sleep(1)
            else:
                self._is_given_up = False
                return done

    def _may_come_back(self, error: Exception) -> bool:
        """A server that is away for a while, or that has ended this transaction so that another one gets through."""
        lost = getattr(error, "connection_invalidated", False) or any(word in _cause(error) for word in _PASSES)
        is_drivers = isinstance(error, sa.exc.DBAPIError) or not isinstance(error, sa.exc.SQLAlchemyError)
        return self._is_server and is_drivers and lost

    def _none_there(self) -> LedgerError:
        return LedgerError(f"there is no ledger at {self.name}; a first `adce reconcile` or `adce plan` makes one")

    def _error(self, what: str, error: Exception) -> LedgerError:
        cause = _cause(error)
        remedy = next((f"; {remedy}" for word, remedy in _REMEDIES.items() if word in cause), "")
        return LedgerError(f"ledger {self.name} cannot be {what}: {cause}{remedy}")


@lru_cache
def _upsert(
    columns: tuple[sa.Column[Any], ...], changes: tuple[tuple[str, str], ...], *, as_json: bool
) -> sa.TextClause:
    """As text, since SQLAlchemy 2.0 compiles an ON CONFLICT anew every time; both databases read it."""
    table = columns[0].table
    assert isinstance(table, sa.Table)
    names = ", ".join(column.name for column in columns)
    new = ", ".join(f"{name} = {value}" for name, value in changes)
    keys = ", ".join(column.name for column in table.primary_key)
    conflict = f"ON CONFLICT ({keys}) DO UPDATE SET {new}" if new else ""
    if as_json:
        types = ", ".join(f"{column.name} {column.type.compile(_POSTGRESQL)}" for column in columns)
        rows = f"SELECT {names} FROM json_to_recordset(CAST(:rows AS json)) AS rows ({types})"
        return sa.text(f"INSERT INTO {table.name} ({names}) {rows} {conflict}")
    values = ", ".join(f":{column.name}" for column in columns)
    text = sa.text(f"INSERT INTO {table.name} ({names}) VALUES ({values}) {conflict}")
    return text.bindparams(*(sa.bindparam(column.name, type_=column.type) for column in columns))


def _plain(column: sa.Column[Any], value: Any, dialect: sa.Dialect) -> Any:
    """A value as the column keeps it, which JSON can say."""
    kind: Any = column.type
    return kind.process_bind_param(value, dialect) if isinstance(kind, sa.TypeDecorator) else value


def rows(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows as the driver gives them: for many at once, since SQLAlchemy's own cost several times as much."""
    for some in _fetched(connection, query):
        yield from some


def _fetched(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Sequence[tuple[Any, ...]]]:
    compiled = query.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    assert connection.connection.dbapi_connection
    cursor = connection.connection.cursor()
    try:
        parameters = (
            compiled.params if compiled.positiontup is None else [compiled.params[n] for n in compiled.positiontup]
        )
        cursor.execute(compiled.string, parameters)
        while some := cursor.fetchmany(10_000):
            yield some
    finally:
        cursor.close()


def columns(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """The same rows, some thousands at a time and turned: a tuple for each column.

    What is made of them with `map` costs half as much as row by row.
    """
    for some in _fetched(connection, query):
        yield tuple(zip(*some, strict=True))


def among(connection: sa.Connection, column: sa.Column[str], keys: Iterable[str]) -> sa.ColumnElement[bool]:
    """Is the column one of the keys? However many: one parameter of a statement that is compiled once."""
    if connection.dialect.name == "postgresql":  # by the index even where the planner has no statistics yet
        return column == sa.any_(sa.literal(list(keys), postgresql.ARRAY(sa.String)))
    return column.in_(sa.select(sa.func.json_each(json.dumps(list(keys))).table_valued("value").c.value))


@lru_cache(maxsize=4096)
def moment(seconds: float | None) -> datetime | None:
    """What UtcSeconds keeps so, of a row as the driver gives it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def delete(connection: sa.Connection, table: sa.Table, keys: Iterable[str]) -> None:
    """Deletes the rows with these keys."""
    connection.execute(table.delete().where(among(connection, table.c.key, keys)))


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def _address(url: str) -> sa.URL:
    """The database's URL, with the driver that ADCE brings. Raises LedgerError for any other."""
    try:
        address = sa.engine.make_url(url)
        address = address.set(drivername=_DRIVERS[address.drivername])
    except (sa.exc.ArgumentError, ValueError, KeyError):
        raise LedgerError(f"ledger {masked_url(url)}: not a URL of {' or '.join(_DRIVERS)}") from None
    if "@" in (address.host or ""):  # the rest of a password, which would be shown as the host
        raise LedgerError(f"ledger {masked_url(url)}: not a URL; write @ in a password as %40")
    return address


def _file(address: sa.URL) -> Path | None:
    """The file of a SQLite database, as SQLAlchemy finds it; None where the URL is for SQLite itself to read."""
    name = address.database or ":memory:"
    return None if name == ":memory:" or name.startswith("file:") else Path(name).absolute()


def _identity(file: Path) -> tuple[int, int] | None:
    """The same as long as a path leads to the same file; None where there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _manners(address: sa.URL) -> dict[str, object]:
    """For how long a database server may stay silent; of itself, psycopg waits for minutes."""
    if address.get_backend_name() != "postgresql" or "connect_timeout" in address.query:
        return {}
    return {"connect_timeout": _CONNECT_SECONDS}


def _set_up_postgresql(connection: Any, _: object) -> None:
    """The server's disk is not waited for, unless a transaction asks for that.

    As with SQLite's WAL, a crash of the server costs the history of the last moments. Said here and not when
    connecting: what stands between, such as PgBouncer, refuses options that it does not know.
    """
    connection.execute("SET synchronous_commit TO off")
    connection.commit()


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin below, and not when Python thinks it best
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_LOCKED_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """A transaction that writes takes the lock at once: one that reads first could not wait for it later."""
    reads = connection.get_execution_options().get("reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


class _SchemaError(Exception):
    """The tables are not those that this version can use."""


def _schema(engine: sa.Engine) -> str | None:
    """Which schema a database has; None where there is no ledger in it."""
    with engine.connect().execution_options(reads=True) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return found


def _migrate(engine: sa.Engine) -> None:
    """Brings the schema up to date; processes that start at once do it one after another."""
    newest = max(file.name.partition("_")[0] for file in _MIGRATIONS.glob("versions/[0-9]*.py"))
    have = _schema(engine)
    if have == newest:
        return
    if have and have > newest:
        raise _SchemaError(f"its schema {have} is of a newer ADCE, and this one knows {newest}; upgrade ADCE")
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(4144434500)"))
        _upgrade(connection)


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # half a second, and hardly ever needed
    from alembic.config import Config as AlembicConfig

    settings = AlembicConfig()
    settings.set_main_option("script_location", str(_MIGRATIONS))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")
