"""Which fills were made, how did each attempt at a file end, and how long did it take?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import sqlalchemy as sa

from tasks.domain.assess.gaps import Gap
from tasks.domain.outcomes import IN_LAKE, FileOutcome, Outcome
from tasks.domain.reasons import Limit
from tasks.domain.success import nearest_rank
from tasks.ledger.database import Database, UtcSeconds, among, metadata, rows

_COUNTED = (Outcome.STORED, Outcome.FAILED)
_RECENT = 20_000  # the number of attempts that percentiles are computed from

# As text, because databases use a partial index only for a condition without parameters
_IS_STORED = sa.text("stored > 0")

fills_table = sa.Table(
    "fills",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fill", sa.String, nullable=False, index=True),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("dataset", sa.String, nullable=False, index=True),
    sa.Column("variant", sa.String, nullable=False, server_default=""),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("priority", sa.String, nullable=False),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("started", UtcSeconds, nullable=False, index=True),
    sa.Column("ended", UtcSeconds),
    sa.Column("requests", sa.Integer, nullable=False, default=0),
    sa.Column("bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("stored", sa.Integer, nullable=False, default=0),
    sa.Column("failed", sa.Integer, nullable=False, default=0),
    sa.Column("absent", sa.Integer, nullable=False, server_default="0"),  # of the failed ones: the source has none
    sa.Column("error", sa.String),
    sa.Index("ix_fills_stored", "source", "ended", sqlite_where=_IS_STORED, postgresql_where=_IS_STORED),
)
files_table = sa.Table(
    "files",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fill_id", sa.Integer, sa.ForeignKey("fills.id"), nullable=False, index=True),
    sa.Column("key", sa.String, nullable=False, index=True),
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("error", sa.String),
    sa.Column("seconds", sa.Double),
    sa.Column("until", UtcSeconds),
    sa.Column("left_by", sa.String),
    sa.Column("left_of", sa.String),
    sa.Column("due", UtcSeconds),
    sa.Column("detected", UtcSeconds),
    sa.Column("asked", UtcSeconds),
    sa.Column("stored", UtcSeconds),
    sa.Column("refusals", sa.Integer, nullable=False, server_default="0"),
    sa.Column("waited", sa.Double, nullable=False, server_default="0"),
)
# Columns of `files` that are fields of a FileOutcome as they are.
_OF_OUTCOME = ("key", "requests", "bytes", "error", "until", "seconds", "refusals", "waited", "asked", "stored")


@dataclass(frozen=True, slots=True)
class FillRecord:
    """What is known about a fill when it begins."""

    fill: str
    run: str
    source: str
    dataset: str
    kind: str
    priority: str
    score: float
    started: datetime
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to fetch a file. The last six fields are None or 0 if an older ADCE recorded it."""

    at: datetime
    outcome: str
    requests: int
    bytes: int
    error: str | None
    seconds: float | None
    run: str
    due: datetime | None
    detected: datetime | None
    asked: datetime | None
    stored: datetime | None
    refusals: int
    waited: float


@dataclass(frozen=True, slots=True)
class Performance:
    """The last attempts of a dataset: percentiles of the seconds that an answer took, and requests for each file."""

    p50: float
    p95: float
    p99: float
    requests: float


@dataclass(frozen=True, slots=True)
class VariantResults:
    """The results for the files that a rollout has reached, or for the other files of its datasets."""

    stored: int = 0
    failed: int = 0
    requests: int = 0
    seconds: float | None = None  # how long an answer took on average


class Attempts:
    """The attempts at files. Every method raises LedgerError."""

    def __init__(self, database: Database):
        self._database = database

    def write(
        self,
        connection: sa.Connection,
        fill: FillRecord,
        ended: datetime,
        outcomes: Collection[FileOutcome],
        gaps: Mapping[str, Gap],
    ) -> None:
        """Records a fill that has ended and the outcomes of its files, in an open transaction.

        `gaps` has the gaps that the fill was to close, by key.
        """
        stored = [o for o in outcomes if o.outcome is Outcome.STORED]
        failed = [o for o in outcomes if o.outcome is Outcome.FAILED]
        summary = {
            **asdict(fill),
            "ended": ended,
            "requests": sum(o.requests for o in outcomes),
            "bytes": sum(o.bytes for o in stored),
            "stored": len(stored),
            "failed": len(failed),
            "absent": sum(o.absent for o in failed),
            "error": failed[0].error if failed else None,
        }
        row = connection.execute(fills_table.insert().returning(fills_table.c.id), summary).scalar_one()
        files = [
            {name: getattr(o, name) for name in _OF_OUTCOME}
            | {"fill_id": row, "at": ended, "outcome": o.outcome.value}
            | {"left_by": o.limit and o.limit.value, "left_of": o.of}
            | {"due": gap and gap.cell.due_at, "detected": gap and gap.first_seen}
            for o in outcomes
            for gap in [gaps.get(o.key)]
        ]
        self._database.insert(connection, files_table, files)

    def outcomes_of(self, run: str) -> dict[str, FileOutcome]:
        """The outcome of each file that a run has attempted, by key. The last attempt at a file counts."""
        query = (
            sa.select(files_table)
            .join(fills_table, files_table.c.fill_id == fills_table.c.id)
            .where(fills_table.c.run == run)
            .order_by(files_table.c.id)
        )
        return self._database.read(lambda connection: {r.key: _outcome_of(r) for r in connection.execute(query)})

    def last_file(self) -> int:
        """The number of the last recorded attempt. Later attempts have higher numbers."""
        query = sa.select(sa.func.max(files_table.c.id))
        return self._database.read(lambda connection: connection.execute(query).scalar() or 0)

    def stored_since(self, connection: sa.Connection, number: int, keys: Iterable[str], except_by: str) -> set[str]:
        """Which of these keys other runs than `except_by` have stored, in attempts after the one with this number."""
        query = (
            sa.select(files_table.c.key)
            .join(fills_table, files_table.c.fill_id == fills_table.c.id)
            .where(files_table.c.id > number, among(connection, files_table.c.key, keys))
            .where(files_table.c.outcome.in_([outcome.value for outcome in IN_LAKE]), fills_table.c.run != except_by)
        )
        return set(connection.execute(query).scalars())

    def last_stored(self, source: str) -> datetime | None:
        """When the last fill of a source has ended that stored a file."""
        columns = fills_table.c
        query = sa.select(sa.func.max(columns.ended)).where(columns.source == source, _IS_STORED)
        return self._database.read(lambda connection: connection.execute(query).scalar())

    def outcomes_by_dataset(self, half_life: timedelta, now: datetime) -> dict[str, tuple[float, float]]:
        """The numbers of stored and failed files by dataset. The weight of a file halves with every half-life."""
        counts: dict[str, tuple[float, float]] = {}
        columns = fills_table.c
        query = sa.select(columns.dataset, columns.started, columns.stored, columns.failed).where(
            columns.started >= now - 8 * half_life, columns.started <= now
        )
        for dataset, started, stored, failed in self._rows(query):
            weight = 0.5 ** ((now - started) / half_life)
            old_stored, old_failed = counts.get(dataset, (0.0, 0.0))
            counts[dataset] = (old_stored + weight * stored, old_failed + weight * failed)
        return counts

    def latencies(self, most: int = 2000) -> dict[str, float]:
        """The median seconds that an answer took, by source, over the last `most` attempts."""
        seconds: dict[str, list[float]] = {}
        for source, took in self._driver_rows(self._timed(fills_table.c.source, files_table.c.seconds).limit(most)):
            seconds.setdefault(source, []).append(took)
        return {source: median(values) for source, values in seconds.items()}

    def performance(self) -> dict[str, Performance]:
        """The performance of each dataset, over the last attempts of all datasets."""
        seconds: dict[str, list[float]] = {}
        requests: dict[str, int] = {}
        query = self._timed(fills_table.c.dataset, files_table.c.seconds, files_table.c.requests).limit(_RECENT)
        for dataset, took, asked in self._driver_rows(query):
            seconds.setdefault(dataset, []).append(took)
            requests[dataset] = requests.get(dataset, 0) + asked
        return {dataset: _performance(sorted(took), requests[dataset] / len(took)) for dataset, took in seconds.items()}

    def variant_results(self, rollout: str, datasets: Iterable[str]) -> tuple[VariantResults, VariantResults]:
        """The results of a rollout, and those of the other files of its datasets, since the rollout began."""
        fill, file = fills_table.c, files_table.c
        covered = fill.dataset.in_(list(datasets))
        began = sa.select(sa.func.min(fill.started)).where(covered, fill.variant == rollout).scalar_subquery()
        query = (
            sa.select(
                fill.variant,
                *(sa.func.sum(sa.case((file.outcome == what.value, 1), else_=0)) for what in _COUNTED),
                sa.func.sum(file.requests),
                sa.func.avg(file.seconds),
            )
            .join(fills_table, file.fill_id == fill.id)
            .where(covered, fill.variant.in_(("", rollout)), fill.started >= began)
            .group_by(fill.variant)
        )
        found = {variant: VariantResults(*numbers) for variant, *numbers in self._rows(query)}
        return found.get(rollout, VariantResults()), found.get("", VariantResults())

    def of(self, key: str, most: int = 100) -> list[Attempt]:
        """The last `most` attempts at a key, the latest first."""
        columns = [fills_table.c.run if f.name == "run" else files_table.c[f.name] for f in fields(Attempt)]
        query = (
            sa.select(*columns)
            .join(fills_table, files_table.c.fill_id == fills_table.c.id)
            .where(files_table.c.key == key)
            .order_by(files_table.c.id.desc())
            .limit(most)
        )
        return [Attempt(*row) for row in self._rows(query)]

    def ended_since(self, since: datetime) -> dict[str, tuple[int, int]]:
        """How many files were stored and how many failed in the fills that began since then, by source.

        Files that the source does not have are not counted.
        """
        columns = fills_table.c
        sums = sa.func.sum(columns.stored), sa.func.sum(columns.failed - columns.absent)
        query = sa.select(columns.source, *sums).where(columns.started >= since).group_by(columns.source)
        return {source: (stored, failed) for source, stored, failed in self._rows(query) if stored + failed}

    def any(self) -> bool:
        """Is any fill recorded?"""
        query = sa.select(sa.exists().where(fills_table.c.id.is_not(None)))
        return self._database.read(lambda connection: bool(connection.execute(query).scalar()))

    def prune(self, connection: sa.Connection, before: datetime) -> int:
        """Deletes fills that started before a time, with their attempts. Returns the number of deleted attempts."""
        old = sa.select(fills_table.c.id).where(fills_table.c.started < before)
        deleted = connection.execute(files_table.delete().where(files_table.c.fill_id.in_(old))).rowcount
        connection.execute(fills_table.delete().where(fills_table.c.started < before))
        return deleted

    @staticmethod
    def _timed(*columns: sa.Column[object]) -> sa.Select[tuple[object, ...]]:
        """Selects columns of the attempts that have a time, the latest first."""
        return (
            sa.select(*columns)
            .join(fills_table, files_table.c.fill_id == fills_table.c.id)
            .where(files_table.c.seconds.is_not(None))
            .order_by(files_table.c.id.desc())
        )

    def _rows(self, query: sa.Select[tuple[object, ...]]) -> list[sa.Row[tuple[object, ...]]]:
        return self._database.read(lambda connection: list(connection.execute(query)))

    def _driver_rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """The rows as the driver returns them, which is faster. For columns that need no conversion."""
        return self._database.read(lambda connection: list(rows(connection, query)))


def _outcome_of(row: Any) -> FileOutcome:
    values = {name: getattr(row, name) for name in _OF_OUTCOME}
    limit = row.left_by and Limit(row.left_by)
    return FileOutcome(outcome=Outcome(row.outcome), limit=limit, of=row.left_of or "", **values)


def _performance(ordered: list[float], requests: float) -> Performance:
    return Performance(nearest_rank(ordered, 50), nearest_rank(ordered, 95), nearest_rank(ordered, 99), requests)
