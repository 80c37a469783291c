"""Which log records are deleted in Prefect's database?"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from deployments.up import log_records
from deployments.up.log_records import delete_orphans
from deployments.up.prefect_database import engine_of
from tasks.domain.errors import AdceError
from tests.servers import new_database

NOW = datetime(2026, 11, 30, tzinfo=UTC)
RUN, GONE, FLOW = (UUID(int=n) for n in range(3))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_records, "AT_MOST", 2)


def left_of(database: str) -> Sequence[int]:
    """The records that are left of those of a run that is there, of one that is gone, and of none.

    The last of each of the two runs is new. The tables are Prefect's own.
    """
    from prefect.server.database.orm_models import AioSqliteORMConfiguration  # its import takes seconds

    tables = AioSqliteORMConfiguration().Base.metadata.tables
    runs, logs = tables["flow_run"], tables["log"]
    old, new = NOW - timedelta(days=2), NOW - timedelta(minutes=1)
    records = [(RUN, old), (RUN, new), (GONE, old), (GONE, old), (GONE, old), (GONE, new), (None, old)]
    engine = engine_of(database)
    with engine.begin() as connection:
        runs.c.state_type.type.create(connection, checkfirst=True)  # an enumeration of PostgreSQL
        for table in (runs, logs):
            connection.execute(CreateTable(table, include_foreign_key_constraints=[]))
        connection.execute(runs.insert().values(id=RUN, flow_id=FLOW))
        for n, (run, at) in enumerate(records):
            values = {"id": UUID(int=n), "flow_run_id": run, "timestamp": at, "name": "", "level": 20, "message": ""}
            connection.execute(logs.insert().values(values))
    assert [delete_orphans(database, NOW - timedelta(days=1)) for _ in range(3)] == [2, 1, 0]
    with engine.begin() as connection:
        found = connection.execute(sa.select(logs.c.id).order_by(logs.c.id)).scalars()
        left = [one.int for one in found]
    engine.dispose()
    return left


def test_old_records_of_runs_that_are_gone_are_deleted_in_sqlite(tmp_path: Path) -> None:
    assert left_of(f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}?cache=shared") == [0, 1, 5, 6]


def test_old_records_of_runs_that_are_gone_are_deleted_in_postgresql(postgres: str) -> None:
    address = new_database(postgres, "logs")
    assert left_of(f"postgresql+asyncpg://{address}?ssl=prefer&statement_cache_size=0") == [0, 1, 5, 6]


def test_a_database_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "prefect.db")), pytest.raises(AdceError) as raised:
        delete_orphans(f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}", NOW)
    assert str(raised.value) == "Prefect's database: no such table: log"


def test_an_address_keeps_what_both_drivers_understand() -> None:
    url = engine_of("postgresql+asyncpg://me@/prefect?host=/run/postgresql&ssl=require&command_timeout=5").url
    assert url.render_as_string() == "postgresql+psycopg://me@/prefect?host=%2Frun%2Fpostgresql&sslmode=require"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+asyncpg:/me:hunter2@h/d",
        "postgresql+asyncpg://me:hunter2@h:port/d",
        "postgresql+asyncpg://me:hun@ter2@h/d",
        "mysql+aiomysql://me:hunter2@h/d",
        "",
    ],
)
def test_an_address_that_prefect_could_not_use_is_one_line_without_the_password(address: str) -> None:
    with pytest.raises(AdceError) as raised:
        delete_orphans(address, NOW)
    assert str(raised.value).startswith("PREFECT_API_DATABASE_CONNECTION_URL=")
    assert "not an address of a database" in str(raised.value)
    assert "ter2" not in str(raised.value)
