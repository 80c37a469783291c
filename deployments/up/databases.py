"""Which of the databases that `adce up` uses cannot be used now? One of PostgreSQL may be away, and a disk full."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from deployments.up.prefect_database import cause, engine_of, url_of
from tasks.ledger.database import address_of, connect_arguments, file_of, name_of

_ROOM = 1024 * 1024  # bytes; SQLite needs room for its journal, too
_WITHIN = 5  # seconds in which each of them has to answer


def away(ledger: str, prefect: str | None) -> list[str]:
    """A line about each database that cannot be used now, with what it says.

    `prefect` is the address of Prefect's database, if `adce up` runs the server. Raises AdceError for a wrong address.
    """
    lines = []
    for what, engine in _databases(ledger, prefect):
        try:
            with engine.connect():
                pass
        except SQLAlchemyError as error:
            lines.append(f"{what} cannot be used: {cause(error)}")
        finally:
            engine.dispose()
    return lines + [line for file in _files(ledger, prefect) if (line := _full(file))]


def _full(file: Path) -> str | None:
    """A line about a database of SQLite whose disk has no room; None if it has."""
    with suppress(OSError):
        if shutil.disk_usage(file.parent).free < _ROOM:
            return f"{file} cannot be written: no space left on its disk; make room"
    return None


def prefect_engine(address: str, user: str) -> tuple[str, sa.Engine]:
    """What Prefect's database is called, and an engine for it, whose connections PostgreSQL shows under `user`."""
    engine = engine_of(address, user)
    return f"Prefect's database {engine.url.database} at {engine.url.host}", engine


def ledger_engine(address: sa.URL, user: str, within: int | None = None) -> tuple[str, sa.Engine]:
    """The same of a ledger. A connection has to be made `within` seconds, if they are given."""
    arguments = connect_arguments(address) | {"application_name": user}
    if within:
        arguments["connect_timeout"] = within
    return f"ledger {name_of(address)}", sa.create_engine(address, connect_args=arguments)


def _files(ledger: str, prefect: str | None) -> Iterator[Path]:
    """The files of the databases of SQLite."""
    if prefect and (url := url_of(prefect)).get_backend_name() == "sqlite" and url.database and "memory" not in prefect:
        yield Path(url.database)
    address = address_of(ledger)
    if address.get_backend_name() == "sqlite" and (file := file_of(address)):
        yield file


def _databases(ledger: str, prefect: str | None) -> Iterator[tuple[str, sa.Engine]]:
    if prefect and url_of(prefect).get_backend_name() == "postgresql":
        yield prefect_engine(prefect, "adce up")
    if (address := address_of(ledger)).get_backend_name() == "postgresql":
        yield ledger_engine(address, "adce up", _WITHIN)
