"""The first ledger: gaps, fills, files, what was examined, pauses."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "gaps",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("first_seen", sa.Double, nullable=False),
    )
    op.create_table(
        "fills",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fill", sa.String, nullable=False, index=True),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("dataset", sa.String, nullable=False, index=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("priority", sa.String, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("stored", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("error", sa.String),
    )
    op.create_table(
        "files",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fill_id", sa.Integer, sa.ForeignKey("fills.id"), nullable=False, index=True),
        sa.Column("key", sa.String, nullable=False, index=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("error", sa.String),
    )
    op.create_table(
        "examined",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("wholeness", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("games", sa.String),
        sa.Column("fetched", sa.Double),
    )
    op.create_table(
        "pauses",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
    )
