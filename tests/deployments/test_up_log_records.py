"""Which log records are deleted in Prefect's database?"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from deployments.up import log_records
from deployments.up.log_records import delete_orphans
from tests.servers import new_database

NOW = datetime(2026, 11, 30, tzinfo=UTC)
TABLES = "CREATE TABLE flow_run (id {id}); CREATE TABLE log (id {id}, flow_run_id {id}, timestamp {time});"


def fill(run: str, gone: str) -> list[tuple[str, str | None, datetime]]:
    """Records of a run that is there, of one that is gone, and of none; the last of each kind is new."""
    old, new = NOW - timedelta(days=2), NOW - timedelta(minutes=1)
    rows = [(run, old), (run, new), (gone, old), (gone, old), (gone, old), (gone, new), (None, old)]
    return [(f"00000000-0000-0000-0000-00000000000{n}", of, at) for n, (of, at) in enumerate(rows)]


RUN, GONE = (f"10000000-0000-0000-0000-00000000000{n}" for n in range(2))


def check(database: str) -> None:
    assert [delete_orphans(database, NOW - timedelta(days=1)) for _ in range(3)] == [2, 1, 0]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_records, "AT_MOST", 2)


def test_old_records_of_runs_that_are_gone_are_deleted_in_sqlite(tmp_path: Path) -> None:
    file = tmp_path / "prefect.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript(TABLES.format(id="CHAR(36)", time="DATETIME"))
        database.execute("INSERT INTO flow_run VALUES (?)", [RUN])
        rows = [(id, of, f"{at:%Y-%m-%d %H:%M:%S.%f}") for id, of, at in fill(RUN, GONE)]
        database.executemany("INSERT INTO log VALUES (?, ?, ?)", rows)
        database.commit()
        check(f"sqlite+aiosqlite:///{file}?cache=shared")
        assert [row[0][-1] for row in database.execute("SELECT id FROM log ORDER BY id")] == ["0", "1", "5", "6"]


def test_old_records_of_runs_that_are_gone_are_deleted_in_postgresql(postgres: str) -> None:
    address = new_database(postgres, "logs")
    with psycopg.connect(f"postgresql://{address}", autocommit=True) as database:
        database.execute(TABLES.format(id="UUID", time="TIMESTAMPTZ"))
        database.execute("INSERT INTO flow_run VALUES (%s)", [RUN])
        database.cursor().executemany("INSERT INTO log VALUES (%s, %s, %s)", fill(RUN, GONE))
        check(f"postgresql+asyncpg://{address}")
        found = database.execute("SELECT id FROM log ORDER BY id").fetchall()
        assert [str(row[0])[-1] for row in found] == ["0", "1", "5", "6"]
