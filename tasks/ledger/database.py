"""How is the ledger's database opened, migrated, read and written? Every failure is one line for people."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from config.secrets import masked, masked_url
from tasks.domain.access import Access
from tasks.domain.errors import LedgerError, NoLedgerError
from tasks.domain.lakes import no_ledger
from tasks.domain.wording import duration

log = logging.getLogger(__name__)
T = TypeVar("T")

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_MIGRATIONS = Path(__file__).parent / "migrations"
_NEWEST = max(file.name.partition("_")[0] for file in _MIGRATIONS.glob("versions/[0-9]*.py"))  # version of the schema
_VERSION = "version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)"  # as Alembic
_ROWS_PER_STATEMENT = 5000
_DURABLE = "SET LOCAL synchronous_commit TO on"  # for a transaction of PostgreSQL; see _set_up_postgresql
_PROBE_BYTES = 64 * 1024  # size of the temporary file by which a folder is tested
_CONNECT_SECONDS = 10  # how long a database server may take to accept a connection
LOCKED_SECONDS = 30  # how long to wait while another program writes to a SQLite database
_WAL_PAGES = 4000  # of 4 KiB, after which SQLite copies its log into the database; commits take twice as long with 1000
_SERVER_AWAY_SECONDS = 120.0  # how long to wait for a database server that does not answer
_OPENS_WITHIN_SECONDS = 30.0  # the same when the ledger is opened, because its address may be wrong
# Words of errors after which the same transaction may succeed later
_TRANSIENT = ("connection", "server closed", "terminating", "starting up", "shutting down", "recovery", "deadlock")
LASTING = ("authentication", "does not exist", "pg_hba.conf")  # words of errors that waiting does not mend
# Words of errors for which SQLite cannot make the files beside a database that its readers share
_NO_SHARED_FILES = ("unable to open database file", "disk I/O error", "readonly", "full")
# What reading raises for values that no ADCE has written
_UNUSABLE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, zlib.error)
_MOVE_ASIDE = "move the file aside: ADCE starts again from the lake, and only history is lost"
_REMEDIES = {
    "malformed": _MOVE_ASIDE,
    "not a database": _MOVE_ASIDE,
    "Could not decode to UTF-8": _MOVE_ASIDE,
    "FATAL:  database": "name another, or create it: ADCE starts again from the lake, and only history is lost",
    "read-only transaction": "let the server's database be written; it may be a standby",
    "readonly": "make the file and its folder writable",
    "locked": f"another program has held it for {LOCKED_SECONDS} s; end that one",
    "full": "make room on the disk",
    "disk I/O error": "make room on the disk; if it has room, the disk is broken",
    "unable to open": "make its folder readable and writable",
}

_POSTGRESQL: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it

metadata = sa.MetaData()


class UtcSeconds(sa.TypeDecorator[datetime]):
    """A time, stored as seconds since 1970. Every database can store such numbers and sort by them.

    A time without an end is stored as None: the number for the last moment that Python knows is rounded up, and could
    not be read again.
    """

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


class PackedJson(sa.TypeDecorator[Any]):
    """A JSON document, stored compressed."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> bytes:
        return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(zlib.decompress(value))


@dataclass(frozen=True, slots=True)
class Migration:
    """An update of the schema from one version to another. `copy` is the file of the former SQLite database."""

    before: str
    after: str
    copy: Path | None

    def __str__(self) -> str:
        kept = f"; the former one is kept as {self.copy}" if self.copy else ""
        return f"migrated from schema {self.before} to {self.after}{kept}"


class Database:
    """The database at a SQLAlchemy URL: SQLite or PostgreSQL, with the newest schema.

    Every method raises LedgerError, a single line with the cause and, if one is known, the remedy. If a PostgreSQL
    server does not answer, the method blocks the whole process until it does, so that nothing happens unrecorded. After
    _SERVER_AWAY_SECONDS it raises the error, and later calls do not wait until the server has answered again. SQLite
    keeps writing to a file that was removed, and all of that is lost, so every transaction first checks that the file
    is still the same.

    Whoever only reads sees the database as it was when it was opened, in one transaction that lasts until it is closed.
    If a PostgreSQL server restarts meanwhile, the rest is read as it is then, and the log says so.
    """

    def __init__(self, url: str, access: Access = Access.RUN):
        """Opens the database for what somebody wants to do. Raises LedgerError if that cannot be done."""
        self.url = address_of(url)
        self.access = access
        self.schema = _NEWEST
        self.migration: Migration | None = None  # the one that was made when the database was opened
        self._is_server = self.url.get_backend_name() == "postgresql"
        self._is_given_up = False
        self._file = None if self._is_server else file_of(self.url)
        self._identity: tuple[int, int] | None = None
        self._snapshot: sa.Connection | None = None
        self._has_read = False
        self._reading = threading.Lock()  # one thread at a time uses the snapshot
        self._together = threading.local()  # `connection`, while a thread reads together
        self.is_there = self._file is None or _identity(self._file) is not None
        if not self.is_there and access is not Access.RUN:
            if access is not Access.LOOK:
                raise self._missing()
            self._open_empty()
        else:
            self._open()
        self.dialect = postgresql if self._is_server else sqlite

    def _open(self) -> None:
        """Opens the database that is there, or creates it."""
        if self._file and not self._file.parent.is_dir():
            raise LedgerError(f"ledger {self.name} cannot be opened: there is no folder {self._file.parent}; make it")
        if self._file:
            _check_no_folder(self._file, self.name, "opened")
        try:
            self._engine = self._make_engine()
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise self._error("opened", error) from None
        driver: Any = self._engine.dialect.loaded_dbapi
        # The functions `rows` and `columns` use the driver directly, so that its errors are not SQLAlchemy's.
        self._errors: tuple[type[Exception], ...] = (sa.exc.SQLAlchemyError, driver.Error)
        try:
            have = self._patiently("opened", self._find_schema, _OPENS_WITHIN_SECONDS)
            self.is_there = have is not None
            if have is None and self.access is Access.LOOK:
                self.close()
                self._open_empty()
            elif have is None and self.access is not Access.RUN:
                raise self._missing()
            elif have is not None and have > _NEWEST:
                raise self._wrong(
                    f"its schema {have} is newer than this ADCE, which knows {_NEWEST}; upgrade ADCE, or put back the "
                    "copy that was made before the migration"
                )
            elif have is not None and have < _NEWEST and not self.access.migrates:
                raise self._wrong(
                    f"its schema {have} is older than this ADCE, which needs {_NEWEST}; stop what uses it, and run "
                    "`adce ledger migrate`"
                )
            elif have != _NEWEST:
                self.migration = self._patiently("migrated", self._migrate, _OPENS_WITHIN_SECONDS)
        except LedgerError:
            self.close()
            raise
        if self._file and not self.access.only_reads:
            self._identity = _identity(self._file)

    def _make_engine(self, *, is_still: bool = False) -> sa.Engine:
        """Connects to the database. With `is_still`, SQLite trusts that nobody writes to its file."""
        if not self.access.only_reads:
            engine = sa.create_engine(self.url, connect_args=connect_arguments(self.url))
            sa.event.listen(engine, "connect", _set_up_postgresql if self._is_server else _set_up_sqlite)
        elif self._is_server:
            engine = sa.create_engine(
                self.url,
                connect_args=connect_arguments(self.url),
                isolation_level="REPEATABLE READ",
                execution_options={"postgresql_readonly": True},
            )
        else:
            file = self._file and f"{self._file.as_uri()}?{'immutable=1' if is_still else 'mode=ro'}"
            return _engine_to_read(file, self.url)
        if not self._is_server:
            sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _find_schema(self) -> str | None:
        """The version of the schema; None if there is no ledger in the database."""
        try:
            with self._transaction(reads=True) as connection:
                return _schema(connection)
        except self._errors as error:
            self._end_snapshot()
            is_shut = self._file and self.access.only_reads and any(word in _cause(error) for word in _NO_SHARED_FILES)
            if not is_shut:
                raise
        # The folder or the disk is read-only or full. So nobody writes to the file either.
        self._engine = self._make_engine(is_still=True)
        with self._transaction(reads=True) as connection:
            found = _schema(connection)
        assert self._file
        if _has_bytes(last := self._file.with_name(f"{self._file.name}-wal")):
            log.warning("ledger %s: its last changes, in %s, cannot be read here", self.name, last)
        return found

    def _migrate(self) -> Migration | None:
        """Updates the schema to the newest version; None if it has made it, or if another process has done it.

        Processes that start at the same time do it one after another. A copy of a SQLite database is made first.
        """
        with self._engine.begin() as connection:
            if self._is_server:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(4144434500)"))
                connection.exec_driver_sql(_DURABLE)
            have = _schema(connection)
            if have == _NEWEST:
                return None
            if have is None:
                _create(connection)
                return None
            copy = _copy(self._file, have) if self._file else None
            _upgrade(connection)
        return Migration(have, _NEWEST, copy)

    def _open_empty(self) -> None:
        """Opens an empty database in memory, in place of the one that is not there."""
        self._is_server, self._file = False, None
        self._errors = (sa.exc.SQLAlchemyError, sqlite3.Error)
        self._engine = sa.create_engine("sqlite://", poolclass=sa.NullPool, creator=lambda: _sqlite_to_read(":memory:"))
        connection = self._engine.connect()
        metadata.create_all(connection)
        connection.exec_driver_sql("PRAGMA query_only = ON")
        self._snapshot = connection

    @property
    def name(self) -> str:
        """The URL of the database, without its password."""
        return name_of(self.url)

    def close(self) -> None:
        """Closes all connections."""
        self._end_snapshot()
        self._engine.dispose()

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Returns what `work` reads in one transaction. A value that it cannot use means that the ledger is damaged."""

        def checked(connection: sa.Connection) -> T:
            try:
                return work(connection)
            except _UNUSABLE as error:
                raise self._error("read", sa.exc.DataError("", None, Exception(f"malformed: {error}"))) from error

        if connection := getattr(self._together, "connection", None):
            return checked(connection)
        return self._do("read", checked)

    def read_together(self, work: Callable[[], T]) -> T:
        """Returns the result of `work`. All that it reads in this thread is as it was at one moment.

        `work` is called again if a database server has failed meanwhile. It may itself read together.
        """
        if getattr(self._together, "connection", None):
            return work()

        def at_one_moment(connection: sa.Connection) -> T:
            if self._is_server and not self.access.only_reads:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            self._together.connection = connection
            try:
                return work()
            finally:
                self._together.connection = None

        return self._do("read", at_one_moment)

    def write(self, work: Callable[[sa.Connection], T], *, durable: bool = False) -> T:
        """Runs `work` in one transaction and returns its result. `work` is called again if the transaction is repeated.

        With `durable`, a PostgreSQL server has written the transaction to its disk when this returns. Without it, a
        crash of the server can lose the transaction; see _set_up_postgresql.
        """

        def on_disk(connection: sa.Connection) -> T:
            connection.exec_driver_sql(_DURABLE)
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
        columns = tuple(table.c[name] for name in rows[0])
        new = replace if isinstance(replace, Mapping) else {name: f"excluded.{name}" for name in replace}
        changes = tuple(sorted(new.items()))
        keys = [column.name for column in table.primary_key]
        if self._is_server and rows[0].keys() >= set(keys):
            # All processes lock rows in the same order, so that there is no deadlock.
            rows = sorted(rows, key=lambda row: [row[name] for name in keys])
        self._write_rows(connection, columns, list(_stored(columns, rows, connection.dialect)), changes)

    def insert_stored(self, connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Inserts rows with the values of all columns, in their order, as the database stores them."""
        self._write_rows(connection, tuple(table.columns), rows, ())

    def _write_rows(
        self,
        connection: sa.Connection,
        columns: tuple[sa.Column[Any], ...],
        rows: Sequence[tuple[object, ...]],
        changes: tuple[tuple[str, str], ...],
    ) -> None:
        if not self._is_server or len(rows) == 1:
            if rows:
                text = _upsert(columns, changes, placeholder="%s" if self._is_server else "?")
                connection.exec_driver_sql(text, list(rows))
            return
        # Many rows go to a server in one statement: each would take a round trip and planning.
        names, statement = [column.name for column in columns], sa.text(_upsert(columns, changes))
        for start in range(0, len(rows), _ROWS_PER_STATEMENT):
            part = rows[start : start + _ROWS_PER_STATEMENT]
            as_json = json.dumps([dict(zip(names, values, strict=True)) for values in part])
            connection.execute(statement, {"rows": as_json})

    def _do(self, what: str, work: Callable[[sa.Connection], T]) -> T:
        def once() -> T:
            if self._identity and self._file and _identity(self._file) != self._identity:
                raise LedgerError(
                    f"ledger {self.name} cannot be {what}: its file was removed or replaced while it was in use, and "
                    "what was recorded in it is lost; nothing else is, and the next run starts again from the lake"
                )
            with self._transaction(reads=what == "read") as connection:
                done = work(connection)
            self._has_read = True
            return done

        return self._patiently(what, once, _SERVER_AWAY_SECONDS)

    def _patiently(self, what: str, work: Callable[[], T], seconds: float) -> T:
        """Returns the result of `work`, which is repeated for some seconds while a database server does not answer."""
        away_since: float | None = None
        while True:
            try:
                done = work()
            except self._errors as error:
                self._end_snapshot()
                if not self._is_transient(error):
                    raise self._error(what, error) from None
                is_first, away_since = away_since is None, away_since or time.monotonic()
                if self._is_given_up or time.monotonic() - away_since >= seconds:
                    self._is_given_up = True
                    raise self._error(what, error) from None
                if is_first:
                    trying = f"trying again every second, for at most {duration(timedelta(seconds=seconds))}"
                    if self.access.only_reads and self._has_read:
                        trying += "; what is read from then on may be newer than what was read before"
                    log.warning("the ledger's database server has failed (%s); %s", _cause(error), trying)
                time.sleep(1)
            else:
                self._is_given_up = False
                return done

    @contextmanager
    def _transaction(self, *, reads: bool) -> Iterator[sa.Connection]:
        """A transaction: a new one, or the only one of somebody who only reads."""
        if not self.access.only_reads:
            options = {"reads": True} if reads else {}
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection
            return
        with self._reading:
            if self._snapshot is None:
                self._snapshot = self._engine.connect().execution_options(reads=True)
            yield self._snapshot

    def _end_snapshot(self) -> None:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            with suppress(*self._errors):  # it has only read, so nothing is lost where the server has gone already
                snapshot.close()

    def _is_transient(self, error: Exception) -> bool:
        """Can the transaction succeed later, because the server was away or has resolved a deadlock?"""
        cause = _cause(error)
        lost = getattr(error, "connection_invalidated", False) or any(word in cause for word in _TRANSIENT)
        is_drivers = isinstance(error, sa.exc.DBAPIError) or not isinstance(error, sa.exc.SQLAlchemyError)
        return self._is_server and is_drivers and lost and not any(word in cause for word in LASTING)

    def _missing(self) -> LedgerError:
        return NoLedgerError(no_ledger(self.name))

    def _wrong(self, why: str) -> LedgerError:
        return LedgerError(f"ledger {self.name} cannot be opened: {why}")

    def _error(self, what: str, error: Exception) -> LedgerError:
        return failure(self.url, what, error)


@lru_cache(maxsize=256)
def _upsert(
    columns: tuple[sa.Column[Any], ...], changes: tuple[tuple[str, str], ...], placeholder: str | None = None
) -> str:
    """An upsert as text that both databases understand. SQLAlchemy 2.0 compiles an ON CONFLICT clause every time.

    Each value is a parameter with this placeholder; without one, all rows are a JSON list in the parameter `rows`.
    """
    table = columns[0].table
    assert isinstance(table, sa.Table)
    names = ", ".join(column.name for column in columns)
    new = ", ".join(f"{name} = {value}" for name, value in changes)
    keys = ", ".join(column.name for column in table.primary_key)
    conflict = f"ON CONFLICT ({keys}) DO UPDATE SET {new}" if new else ""
    if placeholder:
        return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join([placeholder] * len(columns))}) {conflict}"
    types = ", ".join(f"{column.name} {column.type.compile(_POSTGRESQL)}" for column in columns)
    rows = f"SELECT {names} FROM json_to_recordset(CAST(:rows AS json)) AS rows ({types})"
    return f"INSERT INTO {table.name} ({names}) {rows} {conflict}"


def _stored(
    columns: Iterable[sa.Column[Any]], rows: Sequence[Mapping[str, object]], dialect: sa.Dialect
) -> Iterator[tuple[object, ...]]:
    """The values of rows as the columns store them. They are converted by column, which takes half the time."""

    def values(column: sa.Column[Any]) -> Iterable[object]:
        kind: Any = column.type
        found = [row[column.name] for row in rows]
        return [kind.process_bind_param(one, dialect) for one in found] if isinstance(kind, sa.TypeDecorator) else found

    return zip(*map(values, columns), strict=True)


def rows(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows as the driver returns them, without SQLAlchemy's conversions: several times faster for many rows."""
    for some in _fetched(connection, query):
        yield from some


def _fetched(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Sequence[tuple[Any, ...]]]:
    with connection.execute(query) as result:
        while some := result.cursor.fetchmany(10_000):
            yield some


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


def failure(address: sa.URL, what: str, error: Exception) -> LedgerError:
    """A single line that says what cannot be done with the ledger, why and, if it is known, what to do."""
    cause = _cause(error)
    remedy = next((f"; {remedy}" for word, remedy in _REMEDIES.items() if word in cause), "")
    return LedgerError(f"ledger {name_of(address)} cannot be {what}: {cause}{remedy}")


def name_of(address: sa.URL) -> str:
    """The URL of a ledger, without its password."""
    return masked(address.render_as_string())


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def address_of(url: str) -> sa.URL:
    """The URL with the driver that is installed with ADCE. Raises LedgerError for other databases."""
    try:
        address = sa.engine.make_url(url)
        address = address.set(drivername=_DRIVERS[address.drivername])
    except (sa.exc.ArgumentError, ValueError, KeyError):
        raise LedgerError(f"ledger {masked_url(url)}: not a URL of {' or '.join(_DRIVERS)}") from None
    if "@" in (address.host or ""):  # part of a password, which errors would show as the host
        raise LedgerError(f"ledger {masked_url(url)}: not a URL; write @ in a password as %40")
    return address


def file_of(address: sa.URL) -> Path | None:
    """The file of a SQLite database. None if it is in memory, or if SQLite itself has to interpret the URL."""
    name = address.database or ":memory:"
    return None if name == ":memory:" or name.startswith("file:") else Path(name).absolute()


def is_held(file: Path, within: float) -> bool:
    """Has another program kept a SQLite database from being written to for so many seconds? It may be readable."""
    address = f"{file.as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=within, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)  # its primary code
    return False


def _identity(file: Path) -> tuple[int, int] | None:
    """Identifies the file at a path by device and inode, so that a replaced file is noticed; None if there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def connect_arguments(address: sa.URL) -> dict[str, object]:
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
    cursor.execute(f"PRAGMA busy_timeout = {LOCKED_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begins a transaction. One that writes takes the write lock at once, because a reader cannot wait for it later."""
    reads = connection.get_execution_options().get("reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@lru_cache(maxsize=4)
def _engine_to_read(file: str | None, url: sa.URL) -> sa.Engine:
    """An engine that only reads, and makes each connection anew.

    It is made once, because it keeps the statements that it has compiled: a service reads the same again and again.
    """
    connect: dict[str, Any] = {"creator": lambda: _sqlite_to_read(file)} if file else {}
    engine = sa.create_engine("sqlite://" if file else url, poolclass=sa.NullPool, **connect)
    sa.event.listen(engine, "connect", _set_up_sqlite_to_read)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _sqlite_to_read(file: str) -> sqlite3.Connection:
    """A connection to a SQLite database by its URI. Several threads use it, one at a time."""
    return sqlite3.connect(file, uri=True, check_same_thread=False)


def _set_up_sqlite_to_read(connection: Any, _: object) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {LOCKED_SECONDS * 1000}")
    connection.execute("PRAGMA query_only = ON")


def _schema(connection: sa.Connection) -> str | None:
    """The version of the ledger's schema in a database; None if it has no ledger."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _copy(file: Path, schema: str) -> Path:
    """Copies a SQLite database, with the changes that are not in its file yet. Returns the file of the copy."""
    copy = file.with_name(f"{file.name}.schema-{schema}.{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}")
    try:
        with closing(sqlite3.connect(file)) as have, closing(sqlite3.connect(copy)) as made:
            have.backup(made)
    except sqlite3.Error:
        copy.unlink(missing_ok=True)
        raise
    return copy


def _has_bytes(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _create(connection: sa.Connection) -> None:
    """Makes a new ledger as all migrations together do, which takes a second less."""
    for statement in _creation(connection.dialect.name):
        connection.exec_driver_sql(statement)
    connection.execute(sa.text("INSERT INTO identities (name, id) VALUES ('ledger', :id)"), {"id": uuid.uuid4().hex})
    connection.execute(sa.text("INSERT INTO alembic_version VALUES (:schema)"), {"schema": _NEWEST})


@cache
def _creation(dialect: str) -> tuple[str, ...]:
    """The statements that make the tables of a new ledger, with the one in which Alembic has the schema's version."""
    made = [f"CREATE TABLE alembic_version ({_VERSION})"]

    def note(statement: sa.ExecutableDDLElement, *_: object) -> None:
        made.append(str(statement.compile(dialect=engine.dialect)))

    engine = sa.create_mock_engine(f"{_DRIVERS[dialect]}://", note)
    metadata.create_all(engine, checkfirst=False)
    return tuple(made)


def _upgrade(connection: sa.Connection, to: str = "head") -> None:
    from alembic import command  # not at the top: it takes half a second, and is hardly ever needed
    from alembic.config import Config as AlembicConfig

    settings = AlembicConfig()
    settings.set_main_option("script_location", str(_MIGRATIONS))
    settings.attributes["connection"] = connection
    command.upgrade(settings, to)


def _check_no_folder(file: Path, name: str, verb: str) -> None:
    if file.is_dir():
        raise LedgerError(f"ledger {name} cannot be {verb}: it is a folder; name a file in it, such as adce.db")


def check_writable(url: str) -> None:
    """Raises LedgerError if the ledger at this URL cannot be made or written. It makes nothing and changes nothing."""
    address = address_of(url)
    file = None if address.get_backend_name() == "postgresql" else file_of(address)
    name = masked(address.render_as_string())
    if file and not file.parent.is_dir():
        raise LedgerError(f"ledger {name} cannot be made: there is no folder {file.parent}; make it")
    if file and not file.exists():
        try:
            with tempfile.TemporaryFile(dir=file.parent) as probe:
                probe.write(bytes(_PROBE_BYTES))
                probe.flush()
        except OSError as error:
            raise LedgerError(f"ledger {name} cannot be made: {file.parent}: {error.strerror}") from None
        return
    if file:
        _check_no_folder(file, name, "written")
    try:
        engine = sa.create_engine(address, connect_args=connect_arguments(address))
        with engine.connect() as connection:
            if file:
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # rolled back at the end
                may = True
            else:
                may = connection.scalar(sa.text("SELECT has_schema_privilege(current_schema(), 'CREATE')"))
        engine.dispose()
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        cause = _cause(error)
        remedy = next((f"; {remedy}" for word, remedy in _REMEDIES.items() if word in cause), "")
        raise LedgerError(f"ledger {name} cannot be written: {cause}{remedy}") from None
    if not may:
        raise LedgerError(f"ledger {name} cannot be written: its user may not make tables; grant CREATE on the schema")
