"""Which files have failed at their last attempts, and of which datasets have the last bodies failed their check?

Both are kept as they are now, so that nobody has to read the attempts of weeks to know them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from tasks.domain.outcomes import Failure, FileOutcome, Outcome
from tasks.ledger.attempts import FillRecord
from tasks.ledger.database import Database, UtcSeconds, delete, metadata, rows
from tasks.ledger.gaps import gaps_table

failing_files_table = sa.Table(
    "failing_files",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("dataset", sa.String, nullable=False),
    sa.Column("priority", sa.String, nullable=False),  # of the fill of the last attempt
    sa.Column("failures", sa.Integer, nullable=False),  # attempts that failed one after another
    sa.Column("at", UtcSeconds, nullable=False),
)
failed_checks_table = sa.Table(
    "failed_checks",
    metadata,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("bodies", sa.Integer, nullable=False),  # that failed their check one after another
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("error", sa.String, nullable=False),
)


class InARow(NamedTuple):
    """The file of a dataset that has failed most often in a row, and how many files have failed at their last try."""

    failures: int
    key: str
    files: int


class FailedBodies(NamedTuple):
    """The last bodies of a dataset that failed their check one after another, why the last one did, and a file of it.

    The key is empty if that file has been stored since.
    """

    bodies: int
    error: str
    key: str


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures that no success has followed. Files that the source does not have are none."""

    database: Database

    def write(
        self, connection: sa.Connection, fill: FillRecord, ended: datetime, outcomes: Collection[FileOutcome]
    ) -> None:
        """Records what follows from the outcomes of a fill, in an open transaction."""
        failed = [o.key for o in outcomes if o.is_fault]
        delete(connection, failing_files_table, [o.key for o in outcomes if _has_answered(o)])
        failing = [
            {"key": key, "dataset": fill.dataset, "priority": fill.priority, "failures": 1, "at": ended}
            for key in failed
        ]
        counts = {"priority": "excluded.priority", "at": "excluded.at"}
        counts["failures"] = "failing_files.failures + excluded.failures"
        self.database.upsert(connection, failing_files_table, failing, counts)
        self._write_checks(connection, fill.dataset, ended, [o for o in outcomes if o.is_in_lake or _is_unfit(o)])

    def _write_checks(
        self, connection: sa.Connection, dataset: str, ended: datetime, judged: Collection[FileOutcome]
    ) -> None:
        bodies = [one for one in judged if one.requests] or list(judged)  # only the first file of a body has requests
        good = [n for n, one in enumerate(bodies) if one.is_in_lake]
        if good:
            mine = failed_checks_table.c.dataset == dataset
            connection.execute(failed_checks_table.delete().where(mine))
        if bad := bodies[good[-1] + 1 :] if good else bodies:
            row = {"dataset": dataset, "bodies": len(bad), "at": ended, "error": bad[-1].error or ""}
            more = {"bodies": "failed_checks.bodies + excluded.bodies", "at": "excluded.at", "error": "excluded.error"}
            self.database.upsert(connection, failed_checks_table, [row], more)

    def in_a_row(self, priority: str, since: datetime) -> dict[str, InARow]:
        """The failures of the gaps of a priority that have failed since then, by dataset."""
        table = failing_files_table.c
        query = (
            sa.select(table.dataset, table.failures, table.key)
            .join(gaps_table, gaps_table.c.key == table.key)
            .where(table.priority == priority, table.at >= since)
        )

        def read(connection: sa.Connection) -> dict[str, InARow]:
            found: dict[str, InARow] = {}
            for dataset, failures, key in connection.execute(query):
                most, of, files = found.get(dataset, InARow(0, "", 0))
                found[dataset] = InARow(*max((most, of), (failures, key)), files + 1)
            return found

        return self.database.read(read)

    def files_since(self, since: datetime) -> dict[str, int]:
        """How many files have failed since then, and have not been stored since, by dataset."""
        columns = failing_files_table.c
        query = sa.select(columns.dataset, sa.func.count()).where(columns.at >= since).group_by(columns.dataset)
        return self.database.read(lambda connection: dict(rows(connection, query)))

    def failed_checks(self, since: datetime) -> dict[str, FailedBodies]:
        """The datasets whose last body has failed its check, since then."""
        table = failed_checks_table.c
        files = failing_files_table.c
        is_of_it = files.dataset == table.dataset, files.at == table.at
        key = sa.select(sa.func.coalesce(sa.func.min(files.key), "")).where(*is_of_it).scalar_subquery()
        query = sa.select(table.dataset, table.bodies, table.error, key).where(table.at >= since)
        return self.database.read(
            lambda connection: {dataset: FailedBodies(*found) for dataset, *found in connection.execute(query)}
        )

    def prune(self, connection: sa.Connection, before: datetime) -> None:
        """Deletes failures from before a time, in an open transaction."""
        for table in (failing_files_table, failed_checks_table):
            connection.execute(table.delete().where(table.c.at < before))


def _has_answered(outcome: FileOutcome) -> bool:
    """Is it no failure, and was not deferred either?"""
    return outcome.outcome is not Outcome.DEFERRED and not outcome.is_fault


def _is_unfit(outcome: FileOutcome) -> bool:
    return outcome.is_fault and outcome.failure is Failure.UNFIT
