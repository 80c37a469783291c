"""Runs report the requests that they send, and the last stored file of a source is found by an index."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
    )
    stored = sa.text("stored > 0")
    op.create_index("ix_fills_stored", "fills", ["source", "ended"], sqlite_where=stored, postgresql_where=stored)
