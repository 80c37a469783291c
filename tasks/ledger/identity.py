"""What is the id of this ledger, and which lake does it belong to?"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from tasks.domain.lakes import FORGOTTEN, KnownLake, LakeKind
from tasks.ledger.database import Database, metadata

identities_table = sa.Table(
    "identities",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("kind", sa.String),
    sa.Column("url", sa.String),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """The ids of the ledger and of its lake."""

    database: Database

    def ledger(self) -> str:
        """The id that was made with the ledger. All processes that use it see the same one."""
        query = sa.select(identities_table.c.id).where(identities_table.c.name == "ledger")
        return self.database.read(lambda connection: str(connection.execute(query).scalar_one()))

    def lake(self) -> KnownLake | None:
        """The lake that the ledger belongs to; None if it has not been used with a lake yet."""
        columns = identities_table.c
        query = sa.select(columns.id, columns.kind, columns.url).where(columns.name == "lake")
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        return KnownLake(row.id, LakeKind(row.kind), row.url) if row else None

    def remember(self, lake: KnownLake) -> KnownLake:
        """Records which lake the ledger belongs to, unless it belongs to another one already. Returns its lake."""
        row = {"id": lake.id, "kind": lake.kind.value, "url": lake.url}
        insert = self.database.dialect.insert(identities_table).values(name="lake", **row)
        is_same = identities_table.c.id == lake.id
        statement = insert.on_conflict_do_update(index_elements=["name"], set_=row, where=is_same)
        self.database.write(lambda connection: connection.execute(statement))
        return self.lake() or lake

    def forget(self, connection: sa.Connection) -> None:
        """Deletes where the lake is, in an open transaction. The ledger still belongs to a real or a sandbox lake."""
        is_lake = identities_table.c.name == "lake"
        connection.execute(identities_table.update().where(is_lake).values(url=FORGOTTEN))
