"""Which log records does Prefect forget? With a run it deletes none, and its API cannot, so they are deleted by SQL."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

AT_MOST = 5000  # records that are deleted at once
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}  # those that ADCE has, and that need no event loop
_BUSY_SECONDS = 5
_DELETE = sa.text(
    "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE timestamp < :before AND flow_run_id IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM flow_run WHERE flow_run.id = log.flow_run_id) ORDER BY timestamp LIMIT :most)"
)


def delete_orphans(database: str, before: datetime) -> int:
    """Deletes log records from before a time whose flow run does not exist any more. Returns how many.

    `database` is the address of the database of Prefect. Raises sqlalchemy.exc.SQLAlchemyError.
    """
    url = sa.make_url(database)
    backend = url.get_backend_name()
    patience = {"timeout": _BUSY_SECONDS} if backend == "sqlite" else {"connect_timeout": _BUSY_SECONDS}
    engine = sa.create_engine(url.set(drivername=_DRIVERS[backend], query={}), connect_args=patience)
    statement = _DELETE.bindparams(sa.bindparam("before", before, sa.DateTime(timezone=True)), most=AT_MOST)
    try:
        with engine.begin() as connection:
            return int(connection.execute(statement).rowcount)
    finally:
        engine.dispose()
