"""SQLite stores the gaps in the order of their keys. It had a row and an entry of an index to delete for each gap."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.rename_table("gaps", "gaps_before")
    op.create_table(
        "gaps",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("first_seen", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO gaps SELECT key, dataset, kind, first_seen FROM gaps_before ORDER BY key")
    op.drop_table("gaps_before")
