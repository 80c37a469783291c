"""How are old log records of Prefect deleted? By SQL: Prefect deletes none with their run, and its API cannot."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from deployments.up.prefect_database import transaction

AT_MOST = 5000  # records that are deleted at once
_DELETE = sa.text(
    "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE timestamp < :before AND flow_run_id IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM flow_run WHERE flow_run.id = log.flow_run_id) ORDER BY timestamp LIMIT :most)"
)


def delete_orphans(database: str, before: datetime) -> int:
    """Deletes log records from before a time whose flow run does not exist any more. Returns how many.

    `database` is the address of the database of Prefect. Raises AdceError if it fails.
    """
    statement = _DELETE.bindparams(sa.bindparam("before", before, sa.DateTime(timezone=True)), most=AT_MOST)
    with transaction(database) as connection:
        return int(connection.execute(statement).rowcount)
