"""How is the ledger's database opened, migrated, read and written? Every failure is one line for people."""

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
_ROWS_PER_STATEMENT = 5000
_CONNECT_SECONDS = 10  # how long a database server may take to accept a connection
_LOCKED_SECONDS = 30  # how long to wait while another program writes to a SQLite database
_SERVER_AWAY_SECONDS = 120.0  # how long to wait for a database server that does not answer
# Words of errors after which the same transaction may succeed later
_TRANSIENT = ("connection", "server closed", "terminating", "starting up", "shutting down", "recovery", "deadlock")
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
    """A time, stored as seconds since 1970. Every database can store such numbers and sort by them."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> float | None:
        return None if value is None else value.timestamp()

    def process_result_value(self, value: float | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value, UTC)


class UtcSecondsList(sa.TypeDecorator[tuple[datetime, ...]]):
    """Several times, stored as a JSON list of seconds since 1970."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: tuple[datetime, ...] | None, dialect: sa.Dialect) -> str:
        return json.dumps([moment.timestamp() for moment in value or ()])

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> tuple[datetime, ...]:
        return tuple(datetime.fromtimestamp(seconds, UTC) for seconds in json.loads(value or "[]"))


class Database:
    """The database at a SQLAlchemy URL: SQLite or PostgreSQL, migrated to the newest schema when it is opened.

    Every method raises LedgerError, a single line with the cause and, if one is known, the remedy. If a PostgreSQL
    server does not answer, the method blocks the whole process until it does, so that nothing happens unrecorded. After
    _SERVER_AWAY_SECONDS it raises the error, and later calls do not wait until the server has answered again. SQLite
    keeps writing to a file that was removed, and all of that is lost, so every transaction first checks that the file
    is still the same.
    """

    def __init__(self, url: str, *, create: bool = True):
        """Opens the database. If there is none, creates it, or raises LedgerError if `create` is false."""
        self.url = _address(url)
        self._is_server = self.url.get_backend_name() == "postgresql"
        self._is_given_up = False
        self.dialect = postgresql if self._is_server else sqlite
        self._file = None if self._is_server else _file(self.url)
        if self._file and not create and _identity(self._file) is None:
            raise self._missing()
        try:
            self._engine = sa.create_engine(self.url, connect_args=_connect_arguments(self.url))
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise self._error("opened", error) from None
        driver: Any = self._engine.dialect.loaded_dbapi
        # The functions `rows` and `columns` use the driver directly, so that its errors are not SQLAlchemy's.
        self._errors: tuple[type[Exception], ...] = (sa.exc.SQLAlchemyError, driver.Error)
        sa.event.listen(self._engine, "connect", _set_up_postgresql if self._is_server else _set_up_sqlite)
        if not self._is_server:
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        try:
            if not create and _schema(self._engine) is None:
                raise self._missing()
            self.schema_before, self.schema = _migrate(self._engine)
        except (*self._errors, _SchemaError, LedgerError) as error:
            self.close()
            raise error if isinstance(error, LedgerError) else self._error("opened", error) from None
        self._identity = _identity(self._file) if self._file else None

    @property
    def name(self) -> str:
        """The URL of the database, without its password."""
        return masked(self.url.render_as_string())

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Returns what `work` reads in one transaction. A ValueError in it means that the database is damaged."""
        try:
            return self._do("read", work)
        except (ValueError, zlib.error) as error:
            raise self._error("read", sa.exc.DataError("", None, Exception(f"malformed: {error}"))) from error

    def write(self, work: Callable[[sa.Connection], T], *, durable: bool = False) -> T:
        """Runs `work` in one transaction and returns its result. `work` is called again if the transaction is repeated.

        With `durable`, a PostgreSQL server has written the transaction to its disk when this returns. Without it, a
        crash of the server can lose the transaction; see _set_up_postgresql.
        """

        def on_disk(connection: sa.Connection) -> T:
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO on")
            return work(connection)

        return self._do("written", on_disk if durable and self._is_server else work)

    def now(self, connection: sa.Connection) -> float:
        """Seconds since 1970, by a clock that all processes using the ledger share.

        This is the clock of the PostgreSQL server. A SQLite ledger is used on one host only, and the clock is that
        host's.
        """
        if not self._is_server:
            return time.time()
        return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def insert(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Inserts rows, which all have the same columns."""
        self.upsert(connection, table, rows, set())

    def upsert(
        self,
        connection: sa.Connection,
        table: sa.Table,
        rows: Sequence[Mapping[str, object]],
        replace: Collection[str] | Mapping[str, str],
    ) -> None:
        """Inserts rows. Where a row with the same primary key exists, updates its columns named in `replace` instead.

        A column gets the new value, or the value of the SQL expression that `replace` maps it to. In an expression, the
        table's name stands for the old row and `excluded` for the new one.
        """
        if not rows:
            return
        columns = [table.c[name] for name in rows[0]]
        values = replace if isinstance(replace, Mapping) else {name: f"excluded.{name}" for name in replace}
        changes = tuple(sorted(values.items()))
        if self._is_server and len(rows) > 1:  # many rows in one statement: each takes a round trip and planning
            statement = _upsert(tuple(columns), changes, as_json=True)
            keys = [column.name for column in table.primary_key]
            if rows[0].keys() >= set(keys):  # all processes lock rows in the same order, so that there is no deadlock
                rows = sorted(rows, key=lambda row: [row[name] for name in keys])
            for start in range(0, len(rows), _ROWS_PER_STATEMENT):
                part = rows[start : start + _ROWS_PER_STATEMENT]
                plain = [{c.name: _json_value(c, row[c.name], connection.dialect) for c in columns} for row in part]
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
            except self._errors as error:
                away_since = away_since or time.monotonic()
                if not self._is_transient(error):
                    raise self._error(what, error) from None
                if self._is_given_up or time.monotonic() - away_since > _SERVER_AWAY_SECONDS:
                    self._is_given_up = True
                    raise self._error(what, error) from None
                log.warning("the ledger's database server has failed (%s); trying again in a second", _cause(error))
                time.sleep(1)
            else:
                self._is_given_up = False
                return done

    def _is_transient(self, error: Exception) -> bool:
        """Can the transaction succeed later, because the server was away or has resolved a deadlock?"""
        lost = getattr(error, "connection_invalidated", False) or any(word in _cause(error) for word in _TRANSIENT)
        is_drivers = isinstance(error, sa.exc.DBAPIError) or not isinstance(error, sa.exc.SQLAlchemyError)
        return self._is_server and is_drivers and lost

    def _missing(self) -> LedgerError:
        return LedgerError(f"there is no ledger at {self.name}; a first `adce reconcile` or `adce plan` makes one")

    def _error(self, what: str, error: Exception) -> LedgerError:
        cause = _cause(error)
        remedy = next((f"; {remedy}" for word, remedy in _REMEDIES.items() if word in cause), "")
        return LedgerError(f"ledger {self.name} cannot be {what}: {cause}{remedy}")


@lru_cache
def _upsert(
    columns: tuple[sa.Column[Any], ...], changes: tuple[tuple[str, str], ...], *, as_json: bool
) -> sa.TextClause:
    """An upsert as text that both databases understand. SQLAlchemy 2.0 compiles an ON CONFLICT clause every time."""
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


def _json_value(column: sa.Column[Any], value: Any, dialect: sa.Dialect) -> Any:
    """A value as the column stores it, in a type that JSON has."""
    kind: Any = column.type
    return kind.process_bind_param(value, dialect) if isinstance(kind, sa.TypeDecorator) else value


def rows(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows as the driver returns them, without SQLAlchemy's conversions: several times faster for many rows."""
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
    """The result of a query in parts of some thousand rows. Each part has one tuple for each column, with its values.

    Objects made from columns with `map` take half the time of those made row by row.
    """
    for some in _fetched(connection, query):
        yield tuple(zip(*some, strict=True))


def among(connection: sa.Connection, column: sa.Column[str], keys: Iterable[str]) -> sa.ColumnElement[bool]:
    """The SQL condition that the column is one of the keys.

    All keys are one parameter, so that their number is not limited and the statement is compiled only once.
    """
    if connection.dialect.name == "postgresql":  # ANY uses the index even if the planner has no statistics yet
        return column == sa.any_(sa.literal(list(keys), postgresql.ARRAY(sa.String)))
    return column.in_(sa.select(sa.func.json_each(json.dumps(list(keys))).table_valued("value").c.value))


@lru_cache(maxsize=4096)
def moment(seconds: float | None) -> datetime | None:
    """The time that a column of the type UtcSeconds stores as this number. For rows that the driver returns."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def delete(connection: sa.Connection, table: sa.Table, keys: Iterable[str]) -> None:
    """Deletes the rows with these keys."""
    connection.execute(table.delete().where(among(connection, table.c.key, keys)))


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def _address(url: str) -> sa.URL:
    """The URL with the driver that is installed with ADCE. Raises LedgerError for other databases."""
    try:
        address = sa.engine.make_url(url)
        address = address.set(drivername=_DRIVERS[address.drivername])
    except (sa.exc.ArgumentError, ValueError, KeyError):
        raise LedgerError(f"ledger {masked_url(url)}: not a URL of {' or '.join(_DRIVERS)}") from None
    if "@" in (address.host or ""):  # part of a password, which errors would show as the host
        raise LedgerError(f"ledger {masked_url(url)}: not a URL; write @ in a password as %40")
    return address


def _file(address: sa.URL) -> Path | None:
    """The file of a SQLite database. None if it is in memory, or if SQLite itself has to interpret the URL."""
    name = address.database or ":memory:"
    return None if name == ":memory:" or name.startswith("file:") else Path(name).absolute()


def _identity(file: Path) -> tuple[int, int] | None:
    """Identifies the file at a path by device and inode, so that a replaced file is noticed; None if there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _connect_arguments(address: sa.URL) -> dict[str, object]:
    """The arguments of the driver for connecting. By default, psycopg waits for minutes for a server."""
    if address.get_backend_name() != "postgresql" or "connect_timeout" in address.query:
        return {}
    return {"connect_timeout": _CONNECT_SECONDS}


def _set_up_postgresql(connection: Any, _: object) -> None:
    """Lets transactions return before the server has written them to its disk, unless they ask for that.

    As with SQLite's WAL, a crash of the server loses the last moments of history. This is a statement and not an option
    of the connection, because a proxy such as PgBouncer refuses options that it does not know.
    """
    connection.execute("SET synchronous_commit TO off")
    connection.commit()


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # _begin_sqlite begins transactions, not Python's driver
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_LOCKED_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begins a transaction. One that writes takes the write lock at once, because a reader cannot wait for it later."""
    reads = connection.get_execution_options().get("reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


class _SchemaError(Exception):
    """This version of ADCE cannot use the tables of the ledger."""


def _schema(engine: sa.Engine) -> str | None:
    """The version of the ledger's schema in a database; None if it has no ledger."""
    with engine.connect().execution_options(reads=True) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return found


def _migrate(engine: sa.Engine) -> tuple[str | None, str]:
    """Updates the schema to the newest version. Returns the former version, None for a new database, and the newest.

    Processes that start at the same time do it one after another.
    """
    newest = max(file.name.partition("_")[0] for file in _MIGRATIONS.glob("versions/[0-9]*.py"))
    have = _schema(engine)
    if have == newest:
        return have, newest
    if have and have > newest:
        raise _SchemaError(f"its schema {have} is newer than this ADCE, which knows {newest}; upgrade ADCE")
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(4144434500)"))
        _upgrade(connection)
    return have, newest


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # not at the top: it takes half a second, and is hardly ever needed
    from alembic.config import Config as AlembicConfig

    settings = AlembicConfig()
    settings.set_main_option("script_location", str(_MIGRATIONS))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")
