"""Pauses and circuit breakers are in one table, holds. Files have the number of seconds that their answer took."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.drop_table("pauses")
    op.create_table(
        "holds",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("until", sa.Double),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("failures", sa.String, nullable=False),
        sa.Column("probe_until", sa.Double),
        sa.Column("resumed_at", sa.Double),
    )
    op.add_column("files", sa.Column("seconds", sa.Double))
