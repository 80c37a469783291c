"""With which settings did the last reconcile work?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tasks.domain.flow_names import RECONCILE
from tasks.ledger.database import Database, PackedJson, UtcSeconds, metadata

settings_table = sa.Table(
    "settings",
    metadata,
    sa.Column("kind", sa.String, primary_key=True),  # of the runs that work with them
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("document", PackedJson, nullable=False),
)


@dataclass(frozen=True, slots=True)
class KeptSettings:
    """Settings, without secrets, by name."""

    values: Mapping[str, Any]
    at: datetime  # when the run with them began


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the last reconcile that has fetched."""

    database: Database

    def keep(self, values: Mapping[str, Any], at: datetime) -> None:
        """Keeps settings in place of the last ones."""
        row = {"kind": RECONCILE, "at": at, "document": values}
        self.database.write(
            lambda connection: self.database.upsert(connection, settings_table, [row], {"at", "document"})
        )

    def kept(self) -> KeptSettings | None:
        """The settings that are kept."""
        query = sa.select(settings_table.c.document, settings_table.c.at).where(settings_table.c.kind == RECONCILE)
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        return KeptSettings(*row) if row else None
