"""What was the last plan?"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tasks.ledger.database import Database, UtcSeconds, metadata

plans_table = sa.Table(
    "plans",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Plans:
    """The last plan, as a JSON document."""

    database: Database

    def keep(self, document: Any, at: datetime, run: str) -> None:
        """Stores a plan in place of the last one."""
        text = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)
        row = {"name": "last", "at": at, "run": run, "document": text}
        self.database.write(
            lambda connection: self.database.upsert(connection, plans_table, [row], {"at", "run", "document"})
        )

    def last(self) -> tuple[Any, datetime, str] | None:
        """The last plan, the time at which it was made, and the id of the run that made it; None if there is none."""
        query = sa.select(plans_table.c.document, plans_table.c.at, plans_table.c.run)

        def read(connection: sa.Connection) -> tuple[Any, datetime, str] | None:
            row = connection.execute(query).one_or_none()
            return (json.loads(zlib.decompress(row.document)), row.at, row.run) if row else None

        return self.database.read(read)
