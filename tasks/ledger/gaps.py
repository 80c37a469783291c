"""When was each gap first seen?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind
from tasks.domain.assess.verdicts import Wholeness
from tasks.domain.metrics import DUE_TO_DETECTED, SEEN_TO_VANISHED, Amounts
from tasks.ledger.database import Database, UtcSeconds, among, delete, metadata, rows
from tasks.ledger.objects import objects_table
from tasks.ledger.runs import first_began
from tasks.ledger.totals import Totals

gaps_table = sa.Table(
    "gaps",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("dataset", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("first_seen", UtcSeconds, nullable=False),
    sa.Column("due", UtcSeconds),  # None for gaps that older versions have recorded
    sqlite_with_rowid=False,
)


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps that were seen and are not closed yet."""

    database: Database
    totals: Totals

    def first_seen(self, keys: Iterable[str] | None = None) -> dict[str, datetime]:
        """When each of these gaps, or of all, was first seen, by key. Keys without a recorded gap are left out."""
        query = sa.select(gaps_table.c.key, gaps_table.c.first_seen)
        keys = None if keys is None else list(keys)

        def read(connection: sa.Connection) -> dict[str, datetime]:
            chosen = query if keys is None else query.where(among(connection, gaps_table.c.key, keys))
            return {key: datetime.fromtimestamp(at, UTC) for key, at in rows(connection, chosen)}

        return self.database.read(read)

    def kinds(self, keys: Iterable[str]) -> dict[str, Kind]:
        """What is wrong with those of some files that are gaps, by key."""
        query = sa.select(gaps_table.c.key, gaps_table.c.kind)
        keys = list(keys)

        def read(connection: sa.Connection) -> dict[str, Kind]:
            return {
                key: Kind(kind)
                for key, kind in rows(connection, query.where(among(connection, gaps_table.c.key, keys)))
            }

        return self.database.read(read)

    def counts(self) -> dict[str, int]:
        """How many gaps each dataset has. Datasets without gaps are left out."""
        query = sa.select(gaps_table.c.dataset, sa.func.count()).group_by(gaps_table.c.dataset)
        return self.database.read(lambda connection: dict(rows(connection, query)))

    def first_lost(self) -> dict[str, str]:
        """The first key of the gaps whose files were whole and have vanished or shrunk, by dataset.

        Datasets without such gaps are left out.
        """
        kind, known = gaps_table.c.kind, objects_table.c
        was_whole = (kind == Kind.UNDERSIZED) & (known.wholeness != Wholeness.BAD)  # what is that small is not read
        is_lost = kind.in_((Kind.VANISHED, Kind.SHRUNK)) | known.was_size.is_not(None) | was_whole
        both = gaps_table.outerjoin(objects_table, known.key == gaps_table.c.key)
        query = sa.select(gaps_table.c.dataset, sa.func.min(gaps_table.c.key)).select_from(both)
        query = query.where(kind != Kind.MISSING, is_lost)  # of a lake that is empty, nearly all gaps are missing files
        return self.database.read(lambda connection: dict(rows(connection, query.group_by(gaps_table.c.dataset))))

    def record(self, gaps: Iterable[Gap]) -> None:
        """Records when gaps were first seen. Gaps that are recorded already keep their time."""
        gaps = list(gaps)
        if gaps:
            self.database.write(lambda connection: self.write(connection, gaps))

    def write(self, connection: sa.Connection, gaps: Iterable[Gap]) -> None:
        """Records when gaps were first seen, in an open transaction. Gaps that are recorded already keep their time."""
        by_key = {gap.cell.key: gap for gap in gaps}
        if not by_key:
            return
        rows = [
            {"key": key, "dataset": gap.cell.dataset, "kind": gap.kind.value, "first_seen": gap.first_seen}
            | {"due": gap.cell.due_at}
            for key, gap in by_key.items()
        ]
        query = sa.select(gaps_table.c.key).where(among(connection, gaps_table.c.key, by_key))
        known = set(connection.execute(query).scalars())
        self.database.upsert(connection, gaps_table, rows, {"kind", "due"})
        amounts, since = Amounts(), first_began(connection)
        for key, gap in by_key.items():
            dataset = gap.cell.dataset
            if gap.came_due_after(since) and key not in known:
                amounts.observe_between(DUE_TO_DETECTED, gap.cell.due_at, gap.first_seen, dataset=dataset)
            if gap.kind is Kind.VANISHED and key not in known:
                amounts.observe_between(SEEN_TO_VANISHED, gap.last_seen, gap.first_seen, dataset=dataset)
        self.totals.add(connection, amounts)

    def close(self, keys: Iterable[str]) -> None:
        """Deletes gaps that are closed."""
        keys = list(keys)
        self.database.write(lambda connection: delete(connection, gaps_table, keys))
