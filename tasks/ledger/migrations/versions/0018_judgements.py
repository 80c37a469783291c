"""The judgement of each partition of the lake, and the files about which the ledger has learnt something since."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "judgements",
        sa.Column("dataset", sa.String, primary_key=True),
        sa.Column("season", sa.String, primary_key=True),
        sa.Column("rules", sa.String, nullable=False),
        sa.Column("judged", sa.Double, nullable=False),
        sa.Column("until", sa.Double),
        sa.Column("objects", sa.String, nullable=False),
        sa.Column("games", sa.String, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "judgement_sets",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("partitions", sa.String, nullable=False),
    )
    op.create_table(
        "touched",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
