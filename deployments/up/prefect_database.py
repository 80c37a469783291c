"""How is the database of Prefect's server reached? With drivers that need no event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from config.secrets import masked_url
from tasks.domain.errors import AdceError

_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}  # those that ADCE has, and that need no event loop
_BUSY_SECONDS = 5
# Options of an address that mean the same to psycopg as to asyncpg, the driver of Prefect's server, and their names
_OPTIONS = {name: name for name in ("host", "port", "passfile", "target_session_attrs")} | {"ssl": "sslmode"}


def url_of(address: str) -> sa.URL:
    """The URL, with a driver that ADCE has, of a database at an address for Prefect, as it is in its settings.

    Raises AdceError if Prefect could not use the address.
    """
    try:
        url = sa.make_url(address)
        url = url.set(drivername=_DRIVERS[url.get_backend_name()])
        is_whole = "@" not in (url.host or "")  # else a part of the password, which errors would show as the host
    except (ArgumentError, KeyError, ValueError):  # their texts may have the password
        is_whole = False
    if is_whole:
        return url
    raise AdceError(
        f"PREFECT_API_DATABASE_CONNECTION_URL={masked_url(address)}: not an address of a database of SQLite or "
        "PostgreSQL, such as postgresql+asyncpg://host/prefect; write @ in a password as %40"
    )


def engine_of(address: str, name: str = "adce up") -> sa.Engine:
    """An engine for the database at an address for Prefect.

    PostgreSQL shows connections under the `name`. Raises AdceError if Prefect could not use the address.
    """
    url = url_of(address)
    if url.get_backend_name() == "sqlite":
        return sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
    options = {_OPTIONS[name]: value for name, value in url.query.items() if name in _OPTIONS}
    arguments = {"connect_timeout": _BUSY_SECONDS, "application_name": name}
    return sa.create_engine(url.set(query=options), connect_args=arguments)


@contextmanager
def transaction(address: str) -> Iterator[sa.Connection]:
    """A transaction in the database at an address. Each statement of PostgreSQL is ended after 5 s.

    Raises AdceError, one line, if the database fails.
    """
    engine = engine_of(address)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text(f"SET LOCAL statement_timeout = {_BUSY_SECONDS * 1000}"))
            yield connection
    except SQLAlchemyError as error:
        raise AdceError(f"Prefect's database: {cause(error)}") from None
    finally:
        engine.dispose()


def cause(error: SQLAlchemyError) -> str:
    """What the database says, without the statement and SQLAlchemy's link."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
